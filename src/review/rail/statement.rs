//! A statement of one or several lines, as far as its brackets reach.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    facts::{At, Place, What},
    rules::pattern,
    strength,
    words::{self, Words},
};

/// Most lines and bytes of a statement that are looked at.
const MAX_LINES: u32 = 64;
const MAX_BYTES: usize = 8 << 10;
/// The same of a list of cases.
const MAX_TABLE_LINES: u32 = 2000;
const MAX_TABLE_BYTES: usize = 128 << 10;
/// Most characters of a line that are shown.
const MAX_TEXT: usize = 280;

/// What kind of statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Assertion,
    Skip,
    Table,
    Suppression,
}

/// A statement whose end has not come.
#[derive(Debug)]
pub(super) struct Open {
    form: Form,
    test: Option<usize>,
    code: String,
    bare: String,
    place: Option<Place>,
    depth: i64,
    lines: u32,
    /// It goes on in the next line whatever its brackets say.
    hangs: bool,
    /// Nothing can follow.
    ended: bool,
    /// How much of it is a condition, which says all there is to say.
    condition: usize,
}

/// A line as it is shown: without its indentation and what could command a terminal, and cut.
pub(super) fn text_of(raw: &str) -> String {
    let shown = raw.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(MAX_TEXT).collect()
}

impl Open {
    pub(super) fn new(form: Form, test: Option<usize>) -> Self {
        Self {
            form,
            test,
            code: String::new(),
            bare: String::new(),
            place: None,
            depth: 0,
            lines: 0,
            hangs: false,
            ended: false,
            condition: 0,
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// What stands before it and is part of it; its brackets do not count.
    pub(super) fn prefix(&mut self, code: &str, bare: &str, at: At, raw: &str) {
        self.take(code, bare, at, raw);
        self.condition = self.bare.len();
    }

    /// Its first line; brackets count from `begin`.
    pub(super) fn begin(&mut self, code: &str, bare: &str, begin: usize, at: At, raw: &str) {
        self.take(code, bare, at, raw);
        self.count(code.get(begin..).unwrap_or_default());
    }

    /// A further line.
    pub(super) fn add(&mut self, code: &str, bare: &str, at: At, raw: &str) {
        self.take(code, bare, at, raw);
        self.count(code);
    }

    fn take(&mut self, code: &str, bare: &str, at: At, raw: &str) {
        self.lines += 1;
        if self.code.len() < self.limits().1 {
            // Cut at the same bytes: the two are of the same length.
            let begin = code.len() - code.trim_start().len();
            self.code.push_str(code.get(begin..).unwrap_or_default());
            self.bare.push_str(bare.get(begin..).unwrap_or_default());
            self.code.push(' ');
            self.bare.push(' ');
        }
        let changed = at.shared.is_none();
        let place = self.place.get_or_insert_with(|| Place {
            line: at.number,
            text: text_of(raw),
            block: at.block,
            twin: at.shared,
            changed,
        });
        let says_nothing = !place.text.contains(char::is_alphanumeric);
        if changed && (!place.changed || says_nothing) {
            let twin = place.twin;
            *place = Place { line: at.number, text: text_of(raw), block: at.block, twin, changed };
        }
    }

    fn count(&mut self, code: &str) {
        for byte in code.bytes() {
            match byte {
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => {
                    self.depth -= 1;
                    self.ended |= self.form != Form::Assertion && self.depth <= 0;
                }
                _ => {}
            }
            if self.ended {
                return;
            }
        }
        self.hangs = code.trim_end().ends_with('\\');
    }

    /// Whether its brackets are closed.
    pub(super) fn is_complete(&self) -> bool {
        self.ended || (self.depth <= 0 && !self.hangs)
    }

    fn limits(&self) -> (u32, usize) {
        if self.form == Form::Table { (MAX_TABLE_LINES, MAX_TABLE_BYTES) } else { (MAX_LINES, MAX_BYTES) }
    }

    /// Whether it is too long to go on.
    pub(super) fn is_full(&self) -> bool {
        self.ended || self.lines >= self.limits().0 || self.code.len() >= self.limits().1
    }

    /// What it came to.
    pub(super) fn close(self) -> (What, Words, Place, Option<usize>) {
        let what = match self.form {
            Form::Assertion => What::Assertion(strength::says(&self.code, &self.bare)),
            Form::Skip => What::Skip,
            Form::Suppression => What::Suppression(false),
            // Cases that were not all seen cannot be counted.
            Form::Table => What::Table(if self.ended { cases(&self.code) } else { 0 }),
        };
        let mut place = self.place.unwrap_or_default();
        if self.lines == 1 && !place.changed {
            place.twin = None;
        }
        let says = if self.condition > 0 { self.bare.get(..self.condition).unwrap_or_default() } else { &self.bare };
        let words = if what == What::Skip { skip_words(&self.code, &self.bare) } else { words::of(says) };
        (what, words, place, self.test)
    }
}

static CONDITION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)skip_?(?:if|unless|when)|enabled(?:if|on|for)|disabled(?:if|on|for)|assum|runif|\bif\b|\bunless\b")
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""_*"|'_*'|`_*`"#));
static REASON: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\breason\s*=\s*\w?(?:"[^"]*"|'[^']*')"#));

static EMPTY: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(\s*(?:'')?\s*,?\s*\)"));

/// The words of a skip without its reason; of a condition the texts count too.
pub(super) fn skip_words(code: &str, bare: &str) -> Words {
    if CONDITION.is_match(code) {
        return words::of(&REASON.replace_all(bare, ""));
    }
    let told = REASON.replace_all(code, "");
    let plain = QUOTED.replace_all(&told, "''");
    words::of(&EMPTY.replace_all(&plain, ""))
}

/// Entries of the longest list in the brackets of a statement.
fn cases(code: &str) -> u32 {
    let mut open: Vec<(u32, bool)> = Vec::new();
    let mut longest = 0;
    for byte in code.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                mark(&mut open);
                open.push((0, false));
            }
            b')' | b']' | b'}' => {
                let Some((entries, filled)) = open.pop() else { continue };
                if open.len() == 1 {
                    longest = longest.max(entries + u32::from(filled));
                }
            }
            b',' => {
                if let Some((entries, filled)) = open.last_mut() {
                    *entries += u32::from(*filled);
                    *filled = false;
                }
            }
            b' ' => {}
            _ => mark(&mut open),
        }
    }
    longest
}

/// The innermost list has something since its last comma.
fn mark(open: &mut [(u32, bool)]) {
    if let Some((_, filled)) = open.last_mut() {
        *filled = true;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("@pytest.mark.parametrize(_, [1, 2, 3])", 3)]
    #[case("@pytest.mark.parametrize(_, [ (1, 2), (3, 4), ])", 2)]
    #[case("@pytest.mark.parametrize([_, _], [(1, 2), (3, 4), (5, 6)])", 3)]
    #[case("it.each([[1, 2], [3, 4]])", 2)]
    #[case("@ValueSource(ints = {1, 2, 3})", 3)]
    #[case("@pytest.mark.parametrize(_, CASES)", 0)]
    #[case("@pytest.mark.parametrize(_, [])", 0)]
    fn cases_are_the_entries_of_the_longest_list(#[case] code: &str, #[case] count: u32) {
        assert_eq!(cases(code), count);
    }
}
