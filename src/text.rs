//! Texts of others, cut to what a field of ours may hold.

/// Cuts a text to at most `most` characters, with a mark where something is missing. NUL has no place in JSON stores.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let text = text.replace('\0', "");
    if text.chars().nth(most).is_none() {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Like [`cut`], but keeps the end: of an output the last words say most.
pub(crate) fn cut_front(text: &str, most: usize) -> String {
    let text = text.replace('\0', "");
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    std::iter::once('…').chain(text.chars().skip(length.saturating_sub(most.saturating_sub(1)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_characters_and_say_so() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut_front("äöü", 3), "äöü");
        assert_eq!(cut_front("äöüß", 3), "…üß");
        assert_eq!(cut(&cut("äöüß", 3), 3), "äö…");
    }
}
