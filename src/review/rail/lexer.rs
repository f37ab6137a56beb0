//! What of a line is code, what is text in quotes, and what is comment, as far as a diff can say.
//!
//! State is carried from line to line: block comments and texts of several lines. Not a parser: a line that cannot be
//! understood is code.

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Code,
    Text,
    Comment,
}

/// How comments and texts are written in a language.
#[expect(clippy::struct_excessive_bools, reason = "independent marks of a language, each with a name")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexis {
    /// Begins of comments up to the end of the line.
    pub(super) comments: &'static [&'static str],
    /// Begin and end of comments of several lines.
    pub(super) block: Option<(&'static str, &'static str)>,
    /// Quotes around a text of one line.
    pub(super) quotes: &'static str,
    /// Quotes around a text of several lines, and whether a backslash hides the end.
    pub(super) long: &'static [(&'static str, bool)],
    /// `'` is around one character, or before a lifetime.
    pub(super) character: bool,
    /// `r#"…"#`.
    pub(super) raw: bool,
    /// `/…/` can be a regular expression.
    pub(super) regex: bool,
    /// A comment must begin the line or follow white space.
    pub(super) apart: bool,
}

/// Inside of what a line begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    Block(&'static str, &'static str, u32),
    Long(&'static str, bool),
    Raw(usize),
}

/// Reads the lines of one side of a file, one after the other.
#[derive(Debug)]
pub(super) struct Lexer {
    lexis: Lexis,
    inside: Inside,
}

/// A line, byte by byte.
#[derive(Debug)]
pub(super) struct Masked {
    classes: Vec<Class>,
    /// It begins inside of a text or comment of several lines.
    pub(super) continues: bool,
}

impl Masked {
    fn keep(&self, raw: &str, code: bool, text: bool, comment: bool) -> String {
        let shown = |(byte, class): (u8, &Class)| match class {
            Class::Code if code => char::from(byte),
            Class::Text if text => char::from(byte),
            Class::Text if code => '_',
            Class::Comment if comment => char::from(byte),
            Class::Code | Class::Text | Class::Comment => ' ',
        };
        if raw.is_ascii() {
            return raw.bytes().zip(&self.classes).map(shown).collect();
        }
        // Every byte of a character is of one class; lengths must stay.
        let mut kept = String::with_capacity(raw.len());
        for (at, c) in raw.char_indices() {
            let class = self.classes.get(at).unwrap_or(&Class::Code);
            if c.is_ascii() {
                kept.push(shown((u8::try_from(c).unwrap_or(b' '), class)));
            } else if (*class == Class::Text && text)
                || (*class == Class::Comment && comment)
                || *class == Class::Code && code
            {
                kept.push(c);
            } else {
                let filler = if *class == Class::Text && code { "_" } else { " " };
                kept.push_str(&filler.repeat(c.len_utf8()));
            }
        }
        kept
    }

    /// The line with `_` for what is in quotes and blanks for comments; as long as the line.
    pub(super) fn code(&self, raw: &str) -> String {
        self.keep(raw, true, false, false)
    }

    /// The line with blanks for comments.
    pub(super) fn bare(&self, raw: &str) -> String {
        self.keep(raw, true, true, false)
    }

    /// Comments only.
    pub(super) fn comment(&self, raw: &str) -> String {
        self.keep(raw, false, false, true)
    }
}

impl Lexer {
    pub(super) fn new(lexis: Lexis) -> Self {
        Self { lexis, inside: Inside::Nothing }
    }

    /// Lines were left out: what came before says nothing any more.
    pub(super) fn reset(&mut self) {
        self.inside = Inside::Nothing;
    }

    /// The next line.
    pub(super) fn mask(&mut self, raw: &str) -> Masked {
        let mut line = Line { raw, bytes: raw.as_bytes(), classes: vec![Class::Code; raw.len()], at: 0 };
        let continues = self.inside != Inside::Nothing;
        while line.at < line.bytes.len() {
            match self.inside.clone() {
                Inside::Nothing => self.begin(&mut line),
                Inside::Block(open, close, depth) => self.block(&mut line, open, close, depth),
                Inside::Long(close, escapes) => self.long(&mut line, close, escapes),
                Inside::Raw(hashes) => self.raw(&mut line, hashes),
            }
        }
        Masked { classes: line.classes, continues }
    }

    fn begin(&mut self, line: &mut Line<'_>) {
        let lexis = self.lexis;
        let rest = line.rest();
        let apart = !lexis.apart || line.at == 0 || line.bytes[line.at - 1].is_ascii_whitespace();
        if apart && lexis.comments.iter().any(|comment| rest.starts_with(comment)) {
            return line.take(rest.len(), Class::Comment);
        }
        if let Some((open, close)) = lexis.block.filter(|(open, _)| rest.starts_with(open)) {
            self.inside = Inside::Block(open, close, 1);
            return line.take(open.len(), Class::Comment);
        }
        if let Some((quote, escapes)) = lexis.long.iter().find(|(quote, _)| rest.starts_with(quote)) {
            self.inside = Inside::Long(quote, *escapes);
            return line.take(quote.len(), Class::Code);
        }
        if lexis.raw && !line.follows_word() && rest.starts_with('r') {
            let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
            if rest[1 + hashes..].starts_with('"') {
                self.inside = Inside::Raw(hashes);
                return line.take(2 + hashes, Class::Code);
            }
        }
        let first = rest.as_bytes().first().copied().unwrap_or_default();
        if lexis.character && first == b'\'' {
            return line.character();
        }
        if lexis.quotes.as_bytes().contains(&first) {
            return line.quoted(first);
        }
        if lexis.regex && first == b'/' && line.may_be_regex() {
            return line.quoted(b'/');
        }
        line.take(rest.chars().next().map_or(1, char::len_utf8), Class::Code);
    }

    fn block(&mut self, line: &mut Line<'_>, open: &'static str, close: &'static str, depth: u32) {
        let rest = line.rest();
        if rest.starts_with(close) {
            // Comments nest in Rust only.
            let left = if self.lexis.raw { depth.saturating_sub(1) } else { 0 };
            self.inside = if left == 0 { Inside::Nothing } else { Inside::Block(open, close, left) };
            line.take(close.len(), Class::Comment);
        } else if self.lexis.raw && rest.starts_with(open) {
            self.inside = Inside::Block(open, close, depth.saturating_add(1));
            line.take(open.len(), Class::Comment);
        } else {
            line.take(rest.chars().next().map_or(1, char::len_utf8), Class::Comment);
        }
    }

    fn long(&mut self, line: &mut Line<'_>, close: &str, escapes: bool) {
        let rest = line.rest();
        if rest.starts_with(close) {
            self.inside = Inside::Nothing;
            line.take(close.len(), Class::Code);
        } else {
            line.take(text_length(rest, escapes), Class::Text);
        }
    }

    fn raw(&mut self, line: &mut Line<'_>, hashes: usize) {
        let rest = line.rest();
        let closes =
            rest.strip_prefix('"').is_some_and(|after| after.bytes().take_while(|b| *b == b'#').count() >= hashes);
        if closes {
            self.inside = Inside::Nothing;
            line.take(1 + hashes, Class::Code);
        } else {
            line.take(text_length(rest, false), Class::Text);
        }
    }
}

/// Bytes of the next character, or of the next two where the first hides the second.
fn text_length(rest: &str, escapes: bool) -> usize {
    let mut chars = rest.chars();
    let first = chars.next();
    let hidden = if escapes && first == Some('\\') { chars.next().map_or(0, char::len_utf8) } else { 0 };
    first.map_or(1, char::len_utf8) + hidden
}

struct Line<'a> {
    raw: &'a str,
    bytes: &'a [u8],
    classes: Vec<Class>,
    at: usize,
}

impl Line<'_> {
    fn rest(&self) -> &str {
        self.raw.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize, class: Class) {
        let end = (self.at + length.max(1)).min(self.bytes.len());
        self.classes[self.at..end].fill(class);
        self.at = end;
    }

    fn follows_word(&self) -> bool {
        // `br"…"` is a text too.
        let before = self.at.checked_sub(1).map(|at| self.bytes[at]);
        before.is_some_and(|byte| (byte.is_ascii_alphanumeric() && byte != b'b') || byte == b'_')
    }

    /// A text that ends on its line; without an end it is the rest of the line.
    fn quoted(&mut self, quote: u8) {
        self.take(1, Class::Code);
        let mut in_class = false;
        while self.at < self.bytes.len() {
            let byte = self.bytes[self.at];
            if byte == quote && !in_class {
                return self.take(1, Class::Code);
            }
            // A slash in brackets does not end a regular expression.
            in_class = quote == b'/' && (byte == b'[' || (in_class && byte != b']'));
            self.take(text_length(self.rest(), true), Class::Text);
        }
    }

    /// `'x'` or `'\n'`, else a lifetime.
    fn character(&mut self) {
        let rest = self.rest();
        let content = text_length(&rest[1..], true);
        let long = rest.starts_with("'\\u{");
        let end = if long { rest.find('}').map_or(0, |at| at + 1) } else { 1 + content };
        if rest.as_bytes().get(end) == Some(&b'\'') && end > 1 {
            self.take(1, Class::Code);
            self.take(end - 1, Class::Text);
        }
        self.take(1, Class::Code);
    }

    fn may_be_regex(&self) -> bool {
        let before = self.raw[..self.at].trim_end();
        before.is_empty()
            || before.ends_with(['(', ',', '=', ':', '[', '!', '&', '|', '?', '{', '}', ';', '+'])
            || before.ends_with("return")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::review::rail::rules::Family;

    fn masked(family: Family, lines: &[&str]) -> Vec<(String, String)> {
        let mut lexer = Lexer::new(family.lexis());
        let each = |line: &&str| {
            let masked = lexer.mask(line);
            assert_eq!(masked.code(line).len(), line.len());
            (masked.code(line).trim_end().to_owned(), masked.comment(line).trim().to_owned())
        };
        lines.iter().map(each).collect()
    }

    #[rstest]
    #[case::a_comment(Family::Python, "x = 1  # skip 'it", "x = 1", "# skip 'it")]
    #[case::a_hash_in_quotes(Family::Python, "x = '#'  # y", "x = '_'", "# y")]
    #[case::a_quote_behind_a_backslash(Family::Python, r##"x = "a\"#" + y"##, r#"x = "____" + y"#, "")]
    #[case::a_long_text_on_one_line(Family::Python, r#""""skip""" + x"#, r#""""____""" + x"#, "")]
    #[case::an_address(Family::JavaScript, "a('http://x') // y", "a('________')", "// y")]
    #[case::a_regular_expression(Family::JavaScript, r"x = /'[/]\//.test(y) // '", r"x = /______/.test(y)", "// '")]
    #[case::a_division(Family::JavaScript, "x = a / b / 'c'", "x = a / b / '_'", "")]
    #[case::a_template(Family::JavaScript, "x(`a // b`)", "x(`______`)", "")]
    #[case::a_lifetime(Family::Rust, "fn f<'a>(x: &'a str) { '\"' } // c", "fn f<'a>(x: &'a str) { '_' }", "// c")]
    #[case::a_raw_text(Family::Rust, r##"x(r#"a"b"#, br"\")"##, r##"x(r#"___"#, br"_")"##, "")]
    #[case::an_escape(Family::Rust, r"x('\u{1F600}', '\'')", r"x('_________', '__')", "")]
    #[case::a_block_comment(Family::Jvm, "a /* it.skip */ b", "a               b", "/* it.skip */")]
    #[case::not_ascii(Family::Python, "x = 'ü'  # ö", "x = '__'", "# ö")]
    #[case::a_hash_inside_of_a_word(Family::Script, "echo a#b # c", "echo a#b", "# c")]
    fn a_line_is_taken_apart(#[case] family: Family, #[case] line: &str, #[case] code: &str, #[case] comment: &str) {
        assert_eq!(masked(family, &[line]), [(code.to_owned(), comment.to_owned())]);
    }

    #[rstest]
    #[case::a_docstring(Family::Python, &["\"\"\"a", "@skip", "\"\"\"", "b"], &["\"\"\"_", "_____", "\"\"\"", "b"])]
    #[case::a_block(Family::C, &["/* a", "TEST(x)", "*/ b"], &["", "", "   b"])]
    #[case::nested(Family::Rust, &["/* /* */", "a", "*/ b"], &["", "", "   b"])]
    #[case::raw(Family::Rust, &["r#\"", "#[ignore]", "\"# + b"], &["r#\"", "_________", "\"# + b"])]
    #[case::backticks(Family::Go, &["x := `", "t.Skip()", "`"], &["x := `", "________", "`"])]
    fn several_lines_hang_together(#[case] family: Family, #[case] lines: &[&str], #[case] codes: &[&str]) {
        assert_eq!(masked(family, lines).into_iter().map(|(code, _)| code).collect::<Vec<_>>(), codes);
    }
}
