//! The words of a line: what makes two lines the same whatever their layout, and what they speak of.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

/// One word, number, text or sign of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Text,
    Sign,
}

fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, skipped, length) = if first == '"' || first == '\'' || first == '`' {
            (Kind::Text, 1, quoted(&rest[1..], first))
        } else if first.is_alphabetic() || first == '_' {
            (Kind::Word, 0, span(rest, |c| c.is_alphanumeric() || c == '_'))
        } else if first.is_ascii_digit() {
            (Kind::Number, 0, span(rest, |c| c.is_alphanumeric() || c == '_' || c == '.'))
        } else {
            (Kind::Sign, 0, first.len_utf8())
        };
        found.push(Token { kind, text: &rest[skipped..skipped + length] });
        // The end of a text has a quote that is left out.
        let end = skipped + length;
        let end = if kind == Kind::Text && rest[end..].starts_with(first) { end + 1 } else { end };
        rest = rest[end..].trim_start();
    }
    found
}

fn span(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

fn quoted(text: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, c) in text.char_indices() {
        if !hidden && c == quote {
            return at;
        }
        hidden = !hidden && c == '\\';
    }
    text.len()
}

/// What a line comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The same for lines that differ in layout only: white space, quotes, commas before a bracket.
    pub(super) same: u64,
    /// The same also where variables have other names.
    pub(super) shape: u64,
    /// Names, numbers and texts that it speaks of, each once and in order.
    pub(super) about: Vec<u64>,
    /// It speaks of more than variables.
    pub(super) anchored: bool,
    /// How many words and signs it has.
    pub(super) count: usize,
}

/// Most of them that are kept of one line.
const MAX_ABOUT: usize = 64;

/// The words of a line or a statement without its comments.
pub(super) fn of(line: &str) -> Words {
    let all = tokens(line);
    let layout = |at: usize| match all[at] {
        Token { kind: Kind::Sign, text: "," } => {
            all.get(at + 1).is_none_or(|next| matches!(next.text, ")" | "]" | "}"))
        }
        Token { kind: Kind::Sign, text: ";" } => at + 1 == all.len(),
        Token { .. } => false,
    };
    let (mut same, mut shape) = (DefaultHasher::new(), DefaultHasher::new());
    for at in (0..all.len()).filter(|at| !layout(*at)) {
        hash_into(&mut same, all[at]);
        hash_into(&mut shape, if is_variable(&all, at) { Token { kind: Kind::Word, text: "$" } } else { all[at] });
    }
    let speaks = |token: &&Token<'_>| match token.kind {
        Kind::Word => !is_vocabulary(token.text),
        Kind::Number | Kind::Text => true,
        Kind::Sign => false,
    };
    let mut about: Vec<u64> = all.iter().filter(speaks).map(|token| hash(token.text)).take(MAX_ABOUT).collect();
    about.sort_unstable();
    about.dedup();
    let anchored = (0..all.len()).any(|at| speaks(&&all[at]) && !is_variable(&all, at));
    Words { same: same.finish(), shape: shape.finish(), about, anchored, count: all.len() }
}

fn hash_into(hasher: &mut DefaultHasher, token: Token<'_>) {
    (token.kind == Kind::Text, token.text).hash(hasher);
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A name of the place alone: not a member, not called, not a type.
fn is_variable(all: &[Token<'_>], at: usize) -> bool {
    let near = |index: Option<usize>| index.and_then(|index| all.get(index)).map_or("", |token| token.text);
    let (before, after) = (near(at.checked_sub(1)), near(Some(at + 1)));
    let name = all[at].text;
    all[at].kind == Kind::Word
        && before != "."
        && !matches!(after, "(" | "!" | ":")
        && name.starts_with(|c: char| c.is_lowercase() || c == '_')
        && !is_vocabulary(name)
}

/// Words that every assertion has.
fn is_vocabulary(word: &str) -> bool {
    const WORDS: [&str; 44] = [
        "self",
        "this",
        "t",
        "s",
        "b",
        "await",
        "async",
        "to",
        "be",
        "not",
        "is",
        "in",
        "and",
        "or",
        "if",
        "else",
        "with",
        "as",
        "return",
        "let",
        "const",
        "var",
        "eq",
        "equal",
        "equals",
        "Equal",
        "Equals",
        "Is",
        "That",
        "Should",
        "should",
        "must_equal",
        "toBe",
        "toEqual",
        "toStrictEqual",
        "true",
        "false",
        "True",
        "False",
        "None",
        "nil",
        "null",
        "raises",
        "undefined",
    ];
    let lower = word.to_ascii_lowercase();
    let begins =
        ["assert", "expect", "require", "check", "verify", "refute"].iter().any(|begin| lower.starts_with(begin));
    begins || word == "_" || WORDS.contains(&word)
}

/// Whether all of `part` is in `whole`; both are in order.
pub(super) fn within(part: &[u64], whole: &[u64]) -> bool {
    part.iter().all(|word| whole.binary_search(word).is_ok())
}

/// How many words two lines have in common; both are in order.
pub(super) fn common(a: &[u64], b: &[u64]) -> usize {
    a.iter().filter(|word| b.binary_search(word).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::layout("assert_eq!( a,\t3, );", "assert_eq!(a, 3)", true)]
    #[case::quotes("assert x == 'a'", "assert x == \"a\"", true)]
    #[case::a_number("assert x == 3", "assert x == 4", false)]
    #[case::a_text_is_no_name("assert x == a", "assert x == 'a'", false)]
    #[case::joined("a b", "ab", false)]
    fn layout_makes_no_difference(#[case] a: &str, #[case] b: &str, #[case] same: bool) {
        assert_eq!(of(a).same == of(b).same, same);
    }

    #[test]
    fn other_names_of_variables_leave_the_shape() {
        assert_eq!(of("assert r.status == 200").shape, of("assert response.status == 200").shape);
        assert_ne!(of("assert r.status == 200").shape, of("assert r.code == 200").shape);
        assert_ne!(of("assert r.status == 200").shape, of("assert r.status == 201").shape);
    }

    #[test]
    fn what_a_line_is_about_is_what_is_not_in_every_assertion() {
        assert_eq!(of("self.assertEqual(total(cart), 3)").about, of("assert total(cart) == 3").about);
        assert!(within(&of("assert x == 1").about, &of("assert (x, y) == (1, 2)").about));
        assert_eq!(common(&of("assert x == 1").about, &of("assert x is not None").about), 1);
    }
}
