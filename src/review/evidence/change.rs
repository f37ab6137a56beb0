//! What a phase changed: the lines of each file on its new side, and the names that files had before.
//!
//! Read from the output of `git diff -U0`, a piece at a time, while the file names and texts in it are
//! whatever the code under judgement wants them to be: what counts is told apart by the numbers of
//! lines that a hunk announces, never by what a line looks like.

use std::collections::BTreeMap;

use crate::review::quoting::escaped;

/// Most of one line that is looked at, in bytes.
const MAX_LINE: usize = 32 * 1024;
/// Most files and most runs of changed lines.
const MAX_FILES: usize = 100_000;
const MAX_RUNS: usize = 2_000_000;
/// Most bytes of all paths together.
const MAX_PATHS: usize = 64 * 1024 * 1024;

/// What a phase changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    files: BTreeMap<String, FileChange>,
}

/// What it changed in one file that is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileChange {
    /// The name it had, if it was renamed.
    origin: Option<String>,
    /// Runs of changed lines, first and last, in order.
    runs: Vec<(u32, u32)>,
    /// Changed lines with something to run in them, as far as that can be seen without knowing the language.
    pub(super) code: u32,
}

impl Change {
    /// The name that a file had on the base.
    pub fn origin<'a>(&'a self, path: &'a str) -> &'a str {
        self.files.get(path).and_then(|file| file.origin.as_deref()).unwrap_or(path)
    }

    /// Takes a file out: the work tree has it as the base has it.
    pub fn leave_out(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// The files, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &FileChange)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }
}

impl FileChange {
    /// Whether a line, counted from 1, is new or changed.
    pub(super) fn touches(&self, line: u32) -> bool {
        let after = self.runs.partition_point(|(first, _)| *first <= line);
        after.checked_sub(1).and_then(|at| self.runs.get(at)).is_some_and(|(_, last)| line <= *last)
    }
}

/// Why a diff says nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DiffError {
    /// It is too large.
    #[error("the change has more than {0}")]
    TooLarge(&'static str),
    /// It is not the output of `git diff -U0`.
    #[error("the diff is not what git writes: {0}")]
    Malformed(&'static str),
}

/// Reads the output of `git diff -U0 --find-renames` with the prefixes `a/` and `b/`.
#[derive(Debug, Default)]
pub struct DiffParser {
    change: Change,
    /// Of the line that is being read, as much as is looked at.
    line: Vec<u8>,
    file: Option<Pending>,
    hunk: Option<Hunk>,
    runs: usize,
    paths: usize,
}

/// The file that is being read.
#[derive(Debug, Default)]
struct Pending {
    path: Option<String>,
    origin: Option<String>,
    change: FileChange,
}

/// Lines of the hunk that are still to come.
#[derive(Debug)]
struct Hunk {
    old: u32,
    new: u32,
}

impl DiffParser {
    /// Takes the next piece, cut anywhere.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), DiffError> {
        while let Some(at) = piece.iter().position(|byte| *byte == b'\n') {
            self.keep(piece.get(..at).unwrap_or_default());
            let line = std::mem::take(&mut self.line);
            self.read(&line)?;
            self.line = line;
            self.line.clear();
            piece = piece.get(at + 1..).unwrap_or_default();
        }
        self.keep(piece);
        Ok(())
    }

    /// The whole change, once everything was fed.
    pub fn finish(mut self) -> Result<Change, DiffError> {
        if self.hunk.is_some() || !self.line.is_empty() {
            return Err(DiffError::Malformed("it ends too early"));
        }
        self.close()?;
        Ok(self.change)
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
    }

    fn read(&mut self, line: &[u8]) -> Result<(), DiffError> {
        match self.hunk.take() {
            Some(hunk) => self.within(hunk, line),
            None => self.between(line),
        }
    }

    /// A line of a hunk.
    fn within(&mut self, mut hunk: Hunk, line: &[u8]) -> Result<(), DiffError> {
        let Some((sign, text)) = line.split_first() else { return Err(DiffError::Malformed("an empty line")) };
        let wrong = DiffError::Malformed("a hunk has other lines than it says");
        match sign {
            b'+' => {
                hunk.new = hunk.new.checked_sub(1).ok_or(wrong)?;
                if let Some(file) = self.file.as_mut().filter(|_| is_code(text)) {
                    file.change.code = file.change.code.saturating_add(1);
                }
            }
            b'-' => hunk.old = hunk.old.checked_sub(1).ok_or(wrong)?,
            b'\\' => {}
            _ => return Err(wrong),
        }
        self.hunk = Some(hunk).filter(|hunk| hunk.old > 0 || hunk.new > 0);
        Ok(())
    }

    /// A line of a head.
    fn between(&mut self, line: &[u8]) -> Result<(), DiffError> {
        if line.starts_with(b"diff --git ") {
            self.close()?;
            self.file = Some(Pending::default());
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Some(name) = line.strip_prefix(b"rename from ") {
            file.origin = unquoted(name);
        } else if let Some(name) = line.strip_prefix(b"rename to ") {
            file.path = unquoted(name);
        } else if let Some(name) = line.strip_prefix(b"+++ ") {
            // A file that is gone has no new side. A name with spaces in it ends in a tab.
            let name = unquoted(name.strip_suffix(b"\t").unwrap_or(name));
            file.path = name.and_then(|name| name.strip_prefix("b/").map(str::to_owned));
        } else if let Some(numbers) = line.strip_prefix(b"@@ ") {
            let wrong = DiffError::Malformed("a hunk without numbers");
            let (old, (first, new)) = numbers_of(numbers).ok_or(wrong)?;
            if new > 0 {
                self.runs += 1;
                let last = first.checked_add(new - 1).ok_or(DiffError::Malformed("a line number"))?;
                file.change.runs.push((first, last));
            }
            if self.runs > MAX_RUNS {
                return Err(DiffError::TooLarge("2,000,000 places"));
            }
            self.hunk = Some(Hunk { old, new }).filter(|hunk| hunk.old > 0 || hunk.new > 0);
        }
        Ok(())
    }

    /// The file that was read is whole. One whose name is not UTF-8 is in no report either.
    fn close(&mut self) -> Result<(), DiffError> {
        let Some(Pending { path: Some(path), origin, change }) = self.file.take() else { return Ok(()) };
        self.paths += path.len() + origin.as_ref().map_or(0, String::len);
        if self.paths > MAX_PATHS {
            return Err(DiffError::TooLarge("64 MiB of file names"));
        }
        if self.change.files.len() >= MAX_FILES {
            return Err(DiffError::TooLarge("100,000 files"));
        }
        self.change.files.insert(path, FileChange { origin, ..change });
        Ok(())
    }
}

/// `-1,2 +3,4 @@ …`: lines on the old side, and the first line and the lines on the new one.
fn numbers_of(text: &[u8]) -> Option<(u32, (u32, u32))> {
    let end = text.windows(3).position(|window| window == b" @@")?;
    let (old, new) = std::str::from_utf8(text.get(..end)?).ok()?.split_once(' ')?;
    let side = |text: &str| -> Option<(u32, u32)> {
        let (first, lines) = text.split_once(',').unwrap_or((text, "1"));
        Some((first.parse().ok()?, lines.parse().ok()?))
    };
    Some((side(old.strip_prefix('-')?)?.1, side(new.strip_prefix('+')?)?))
}

/// A name as git writes it: in quotes with escapes, if it has odd bytes. None if it is not UTF-8.
fn unquoted(name: &[u8]) -> Option<String> {
    let Some(quoted) = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return String::from_utf8(name.to_vec()).ok();
    };
    let mut bytes = Vec::with_capacity(quoted.len());
    let mut rest = quoted.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(escaped(&mut rest)?);
    }
    String::from_utf8(bytes).ok()
}

/// Whether a line may run: not blank, not only brackets, and not a comment of the common kinds.
fn is_code(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    let comment = [b"#".as_slice(), b"//", b"/*", b"*", b"--", b"<!--"].iter().any(|mark| text.starts_with(mark));
    !comment && text.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn parsed(diff: &str) -> Result<Change, DiffError> {
        let mut parser = DiffParser::default();
        parser.feed(diff.as_bytes())?;
        parser.finish()
    }

    const DIFF: &str = "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n\
        @@ -1 +1,2 @@ def f():\n-old\n+new\n+# why\n@@ -9,2 +10,0 @@\n-x\n-y\n@@ -20,0 +20 @@\n+++ b/fake.py\n\
        \\ No newline at end of file\n\
        diff --git a/old name.py b/new name.py\nsimilarity index 90%\nrename from old name.py\nrename to new name.py\n\
        --- a/old name.py\t\n+++ b/new name.py\t\n@@ -3 +3 @@\n-a\n+b\n\
        diff --git a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
        diff --git \"a/t\\303\\244\\\"\\t.py\" \"b/t\\303\\244\\\"\\t.py\"\nnew file mode 100644\n--- /dev/null\n\
        +++ \"b/t\\303\\244\\\"\\t.py\"\n@@ -0,0 +1,3 @@\n+\n+}\n+\tcall()\n\
        diff --git a/m.py b/moved.py\nsimilarity index 100%\nrename from m.py\nrename to moved.py\n\
        diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n";

    #[test]
    fn the_changed_lines_of_every_file_are_read_with_the_names_it_had() {
        let change = parsed(DIFF).unwrap();
        let files: Vec<&str> = change.files().map(|(path, _)| path).collect();
        assert_eq!(files, ["a.py", "moved.py", "new name.py", "tä\"\t.py"]);
        let touched =
            |path: &str| (1..30).filter(|line| change.files.get(path).unwrap().touches(*line)).collect::<Vec<_>>();
        assert_eq!(touched("a.py"), [1, 2, 20], "a line that looks like a head is a line of its hunk");
        assert_eq!(touched("new name.py"), [3]);
        assert_eq!(touched("tä\"\t.py"), [1, 2, 3]);
        assert_eq!(touched("moved.py"), [0_u32; 0]);
        assert_eq!((change.origin("new name.py"), change.origin("moved.py")), ("old name.py", "m.py"));
        assert_eq!((change.origin("a.py"), change.origin("elsewhere.py")), ("a.py", "elsewhere.py"));
        let code = |path: &str| change.files.get(path).unwrap().code;
        assert_eq!((code("a.py"), code("tä\"\t.py")), (2, 1), "comments, brackets and blank lines do not run");
    }

    #[test]
    fn a_file_that_the_work_tree_has_as_the_base_has_it_is_no_change() {
        let mut change = parsed(DIFF).unwrap();
        change.leave_out("a.py");
        assert!(!change.files.contains_key("a.py") && change.files.contains_key("moved.py"));
    }

    #[rstest]
    #[case::cut_in_a_hunk("diff --git a/a b/a\n+++ b/a\n@@ -0,0 +1,2 @@\n+x\n", "ends too early")]
    #[case::cut_in_a_line("diff --git a/a b/a\n+++ b/a", "ends too early")]
    #[case::other_lines("diff --git a/a b/a\n+++ b/a\n@@ -0,0 +1 @@\n-x\n", "other lines")]
    #[case::no_numbers("diff --git a/a b/a\n+++ b/a\n@@ what @@\n", "without numbers")]
    #[case::huge_numbers("diff --git a/a b/a\n+++ b/a\n@@ -0,0 +4294967295,9 @@\n", "a line number")]
    fn what_git_does_not_write_is_refused(#[case] diff: &str, #[case] message: &str) {
        let error = parsed(diff).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut parser = DiffParser::default();
        parser.feed(b"diff --git a/a b/a\n+++ b/a\n@@ -0,0 +1 @@\n+").unwrap();
        for _ in 0..100 {
            parser.feed(&[b'x'; 10_000]).unwrap();
        }
        assert!(parser.line.capacity() <= 4 * MAX_LINE);
        parser.feed(b"\n").unwrap();
        assert_eq!(parser.finish().unwrap().files.get("a").unwrap().code, 1);
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(size in 1..40_usize) {
            let mut parser = DiffParser::default();
            for piece in DIFF.as_bytes().chunks(size) {
                parser.feed(piece).unwrap();
            }
            prop_assert_eq!(parser.finish().unwrap(), parsed(DIFF).unwrap());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..600_usize) {
            let mut parser = DiffParser::default();
            let _ = parser.feed(&DIFF.as_bytes()[..at.min(DIFF.len())]);
            let _ = parser.feed(&bytes);
            let _ = parser.finish();
        }
    }
}
