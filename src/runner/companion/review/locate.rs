//! PURE. Where a quote is in a file: a finding counts only if what it quotes is there.

use crate::review::findings::even;

/// How far from the named line a quote is looked for.
const NEAR: usize = 3;
/// Fewest characters of a quote that is not a whole line.
const SHORTEST: usize = 4;
/// Most lines that are named where a quote is elsewhere.
const NAMED: usize = 5;

/// The lines of one file, with white space made even.
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(text.lines().map(even).collect())
    }

    /// The text of a line, counted from 1.
    pub(super) fn text(&self, line: usize) -> &str {
        line.checked_sub(1).and_then(|at| self.0.get(at)).map_or("", String::as_str)
    }

    /// How many lines before this one have the same text.
    pub(super) fn before(&self, line: usize) -> usize {
        self.0.iter().take(line.saturating_sub(1)).filter(|other| *other == self.text(line)).count()
    }

    /// The line where the quote begins, counted from 1: the named one, or else the nearest within three. Without a
    /// named line, the only one in the file.
    ///
    /// # Errors
    ///
    /// Why it is not there, and what to do, as the end of a sentence that begins with the file's name.
    pub(super) fn locate(&self, line: Option<usize>, quote: &str) -> Result<usize, String> {
        let last = self.0.len();
        if let Some(line) = line.filter(|line| !(1..=last).contains(line)) {
            return Err(format!("has {last} lines, so there is no line {line}; name the line that the quote is on"));
        }
        let quoted = Quote::of(quote)?;
        let found = self.all(&quoted);
        let found =
            if found.is_empty() { quoted.without_marks().map_or(found, |quoted| self.all(&quoted)) } else { found };
        let near = |line: usize| found.iter().copied().filter(move |at| at.abs_diff(line) <= NEAR);
        match (line, found.as_slice()) {
            (_, []) => {
                Err("does not hold this quote at that commit; quote a line of it exactly as it stands".to_owned())
            }
            (None, [only]) => Ok(*only),
            (None, many) => {
                Err(format!("holds this quote {} times, at lines {}; name the line", many.len(), some(many)))
            }
            (Some(line), all) => near(line).min_by_key(|at| at.abs_diff(line)).ok_or_else(|| {
                format!(
                    "does not hold this quote within {NEAR} lines of line {line}, but at {}; correct the line",
                    some(all)
                )
            }),
        }
    }

    /// Every line where the quote begins.
    fn all(&self, quote: &Quote) -> Vec<usize> {
        (0..self.0.len()).filter(|at| self.begins(*at, quote)).map(|at| at + 1).collect()
    }

    fn begins(&self, at: usize, quote: &Quote) -> bool {
        let first = &self.0[at];
        if first.is_empty() {
            return false;
        }
        if quote.lines == 1 {
            return first == &quote.text || (quote.is_long() && first.contains(&quote.text));
        }
        let spoken = self.0[at..].iter().filter(|line| !line.is_empty()).take(quote.lines);
        let spoken = spoken.map(String::as_str).collect::<Vec<_>>().join(" ");
        quote.is_long() && spoken.find(&quote.text).is_some_and(|begin| begin < first.len())
    }
}

/// A quote with white space made even, and how many lines it has without the empty ones.
struct Quote {
    text: String,
    lines: usize,
    marked: Option<String>,
}

impl Quote {
    fn of(quote: &str) -> Result<Self, String> {
        let spoken: Vec<&str> = quote.lines().filter(|line| !line.trim().is_empty()).collect();
        let Some(first) = spoken.first() else {
            return Err("is named without a quote; quote the line exactly as it stands".to_owned());
        };
        // Copied from a diff: the marks are no part of the file.
        let marks = ['+', ' '].into_iter().find(|mark| first.starts_with(*mark));
        let marked = marks.filter(|_| spoken.iter().all(|line| line.starts_with(['+', ' '])));
        let marked = marked.map(|_| spoken.iter().map(|line| &line[1..]).collect::<Vec<_>>().join("\n"));
        Ok(Self { text: even(quote), lines: spoken.len(), marked })
    }

    fn without_marks(&self) -> Option<Self> {
        Self::of(self.marked.as_ref()?).ok()
    }

    fn is_long(&self) -> bool {
        self.text.chars().filter(|c| !c.is_whitespace()).count() >= SHORTEST
    }
}

fn some(lines: &[usize]) -> String {
    let named: Vec<String> = lines.iter().take(NAMED).map(usize::to_string).collect();
    let more = if lines.len() > NAMED { " and others" } else { "" };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FILE: &str = "import os\n\n\ndef run(x):\n    return  os.system(x)\n\n\ndef other(x):\n    return 1\n\n\ndef run2(x):\n    return 1\n}\n";

    #[rstest]
    #[case::at_its_line(Some(5), "return os.system(x)", 5)]
    #[case::a_part_of_the_line(Some(5), "os.system", 5)]
    #[case::white_space_is_made_even(Some(5), "\treturn os.system(x)  ", 5)]
    #[case::three_lines_off_is_corrected(Some(2), "return os.system(x)", 5)]
    #[case::the_nearest_counts(Some(11), "return 1", 9)]
    #[case::the_nearest_below(Some(12), "return 1", 13)]
    #[case::two_lines(Some(4), "def run(x):\n    return os.system(x)", 4)]
    #[case::two_lines_around_empty_ones(Some(1), "import os\ndef run(x):", 1)]
    #[case::copied_from_a_diff(Some(5), "+    return  os.system(x)", 5)]
    #[case::lines_copied_from_a_diff(Some(4), "+def run(x):\n+    return os.system(x)", 4)]
    #[case::a_whole_short_line(Some(14), "}", 14)]
    #[case::the_only_one_without_a_line(None, "os.system(x)", 5)]
    fn a_quote_is_found(#[case] line: Option<usize>, #[case] quote: &str, #[case] expected: usize) {
        assert_eq!(Lines::of(FILE).locate(line, quote), Ok(expected));
    }

    #[rstest]
    #[case::not_in_the_file(Some(5), "subprocess.run(x)", "does not hold this quote at that commit")]
    #[case::four_lines_off(
        Some(1),
        "return os.system(x)",
        "not hold this quote within 3 lines of line 1, but at 5; correct"
    )]
    #[case::beyond_the_end(Some(15), "import os", "has 14 lines, so there is no line 15")]
    #[case::no_line_zero(Some(0), "import os", "no line 0")]
    #[case::two_places_without_a_line(None, "return 1", "2 times, at lines 9, 13; name the line")]
    #[case::too_short_to_say_anything(Some(5), "os.", "does not hold this quote")]
    #[case::nothing(Some(5), " \n ", "without a quote")]
    #[case::lines_in_another_order(Some(4), "return os.system(x)\ndef run(x):", "does not hold")]
    #[case::words_left_out(Some(5), "return ... system(x)", "does not hold")]
    fn a_quote_that_is_not_there_says_what_to_do(#[case] line: Option<usize>, #[case] quote: &str, #[case] why: &str) {
        let said = Lines::of(FILE).locate(line, quote).unwrap_err();
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn equal_lines_are_told_apart_by_those_before() {
        let lines = Lines::of(FILE);
        assert_eq!((lines.before(9), lines.before(13), lines.before(5)), (0, 1, 0));
        assert_eq!((lines.text(5), lines.text(99)), ("return os.system(x)", ""));
    }
}
