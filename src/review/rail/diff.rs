//! A unified diff as git writes it, read line by line: which file, which side, which line.
//!
//! Counts of the hunk heads decide what is a line of a file and what is a head, so that a removed `-- x` is
//! never taken for the head of another file. What lines mean does not belong here.

use super::path;

/// Most bytes of a line that are kept.
pub(super) const MAX_LINE: usize = 4096;

/// One thing a diff says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// What follows is of this file.
    File(Head),
    /// What follows begins at these lines of the old and the new side.
    Hunk(u32, u32),
    /// A line, and whether it was too long to be kept whole.
    Line(Mark, &'a [u8], bool),
}

/// Which side a line is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Both.
    Context,
    /// The old one only.
    Removed,
    /// The new one only.
    Added,
}

/// A file that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Its path on the old side; none if it is new.
    pub(super) old: Option<String>,
    /// Its path on the new side; none if it is gone.
    pub(super) new: Option<String>,
    /// Git does not show how it differs.
    pub(super) binary: bool,
}

/// A head whose lines are still coming.
#[derive(Debug, Default)]
struct Draft {
    both: Option<String>,
    old: Option<String>,
    new: Option<String>,
    created: bool,
    deleted: bool,
    binary: bool,
}

impl Draft {
    fn head(self) -> Head {
        let old = self.old.or_else(|| self.both.clone()).filter(|_| !self.created);
        let new = self.new.or(self.both).filter(|_| !self.deleted);
        Head { old, new, binary: self.binary }
    }
}

/// Takes a diff in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    cut: bool,
    draft: Option<Draft>,
    /// Lines of the hunk that are still to come, of the old and the new side.
    left: (u64, u64),
}

impl Reader {
    /// The next piece.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(Event<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                self.end_line(each);
            }
        }
    }

    /// There is no more.
    pub(super) fn finish(mut self, each: &mut impl FnMut(Event<'_>)) {
        if !self.line.is_empty() {
            self.end_line(each);
        }
        self.end_head(each);
    }

    fn end_line(&mut self, each: &mut impl FnMut(Event<'_>)) {
        let mut line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.cut);
        if self.left == (0, 0) || !self.body(&line, cut, each) {
            self.head(&line, each);
        }
        line.clear();
        self.line = line;
    }

    fn end_head(&mut self, each: &mut impl FnMut(Event<'_>)) {
        if let Some(draft) = self.draft.take() {
            each(Event::File(draft.head()));
        }
    }

    /// A line of a hunk; false if it cannot be one.
    fn body(&mut self, line: &[u8], cut: bool, each: &mut impl FnMut(Event<'_>)) -> bool {
        let (old, new) = &mut self.left;
        let mark = match line.first() {
            Some(b' ') | None => Mark::Context,
            Some(b'-') => Mark::Removed,
            Some(b'+') => Mark::Added,
            Some(b'\\') => return true,
            Some(_) => {
                self.left = (0, 0);
                return false;
            }
        };
        if mark != Mark::Added {
            *old = old.saturating_sub(1);
        }
        if mark != Mark::Removed {
            *new = new.saturating_sub(1);
        }
        each(Event::Line(mark, line.get(1..).unwrap_or_default(), cut));
        true
    }

    fn head(&mut self, line: &[u8], each: &mut impl FnMut(Event<'_>)) {
        if let Some(names) = line.strip_prefix(b"diff --git ") {
            self.end_head(each);
            self.draft = Some(Draft { both: path::same_twice(names), ..Draft::default() });
        } else if let Some(spans) = line.strip_prefix(b"@@ ") {
            self.end_head(each);
            if let Some((old, new)) = spans_of(spans) {
                self.left = (old.1, new.1);
                each(Event::Hunk(old.0, new.0));
            }
        } else if let Some(draft) = &mut self.draft {
            draft_line(draft, line);
        }
    }
}

fn draft_line(draft: &mut Draft, line: &[u8]) {
    let name = |text: &[u8]| Some(path::unquoted(text)).filter(|name| !name.is_empty());
    if let Some(text) = line.strip_prefix(b"--- ") {
        draft.old = path::with_side(text);
    } else if let Some(text) = line.strip_prefix(b"+++ ") {
        draft.new = path::with_side(text);
    } else if let Some(text) = line.strip_prefix(b"rename from ") {
        draft.old = name(text);
    } else if let Some(text) = line.strip_prefix(b"rename to ") {
        draft.new = name(text);
    } else if line.starts_with(b"new file mode ") {
        draft.created = true;
    } else if line.starts_with(b"deleted file mode ") {
        draft.deleted = true;
    } else if line.starts_with(b"Binary files ") || line.starts_with(b"GIT binary patch") {
        draft.binary = true;
    }
}

/// Begin and length on both sides, from `-1,2 +3 @@`.
fn spans_of(text: &[u8]) -> Option<((u32, u64), (u32, u64))> {
    let text = std::str::from_utf8(text.split(|byte| *byte == b'@').next()?).ok()?;
    let mut words = text.split_whitespace();
    let mut span = |sign: char| {
        let word = words.next()?.strip_prefix(sign)?;
        let (begin, length) = word.split_once(',').unwrap_or((word, "1"));
        Some((begin.parse().ok()?, length.parse().ok()?))
    };
    Some((span('-')?, span('+')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(diff: &str, piece: usize) -> Vec<String> {
        let mut said = Vec::new();
        let mut each = |event: Event<'_>| {
            said.push(match event {
                Event::File(Head { old, new, binary }) => {
                    let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
                    format!("{} > {}{}", name(old), name(new), if binary { " binary" } else { "" })
                }
                Event::Hunk(old, new) => format!("@{old},{new}"),
                Event::Line(mark, text, _) => format!("{mark:?} {}", String::from_utf8_lossy(text)),
            });
        };
        let mut reader = Reader::default();
        for piece in diff.as_bytes().chunks(piece) {
            reader.push(piece, &mut each);
        }
        reader.finish(&mut each);
        said
    }

    #[test]
    fn lines_that_look_like_heads_are_lines_of_their_file() {
        let diff = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@ def f\n--- a/y\n+++ b/y\n \n-@@ -1 +1 @@\n+diff --git a/z b/z\n\\ No newline at end of file\ndiff --git a/e b/e\nnew file mode 100644\n";
        let want = [
            "x > x",
            "@1,1",
            "Removed -- a/y",
            "Added ++ b/y",
            "Context ",
            "Removed @@ -1 +1 @@",
            "Added diff --git a/z b/z",
            "- > e",
        ];
        for piece in [1, 7, 1000] {
            assert_eq!(events(diff, piece), want, "in pieces of {piece}");
        }
    }

    #[test]
    fn names_come_from_wherever_git_says_them() {
        let diff = "diff --git a/old name b/new name\nsimilarity index 100%\nrename from old name\nrename to new name\n\
                    diff --git \"a/t\\tab\\303\\274\" \"b/t\\tab\\303\\274\"\ndeleted file mode 100644\nBinary files differ\n\
                    diff --git a/a b b/a b\nindex 1..2\n--- a/a b\t\n+++ b/a b\t\n@@ -1 +0,0 @@\n-x\n\
                    diff --git a/m b/m\nold mode 100644\nnew mode 100755\n";
        assert_eq!(
            events(diff, 1000),
            ["old name > new name", "t\tabü > - binary", "a b > a b", "@1,0", "Removed x", "m > m"]
        );
    }

    #[test]
    fn a_line_without_end_is_kept_in_part() {
        let mut reader = Reader::default();
        let mut longest = 0;
        let mut each = |event: Event<'_>| {
            if let Event::Line(_, text, cut) = event {
                assert!(cut);
                longest = text.len();
            }
        };
        reader.push(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+", &mut each);
        for _ in 0..100 {
            reader.push(&[b'x'; 1000], &mut each);
        }
        assert!(reader.line.len() <= MAX_LINE);
        reader.finish(&mut each);
        assert_eq!(longest, MAX_LINE - 1);
    }

    #[test]
    fn what_is_no_diff_says_nothing() {
        assert_eq!(events("hello\n@@ x\n--- a/x\n@@ -a +b @@\n", 1000), [""; 0]);
    }
}
