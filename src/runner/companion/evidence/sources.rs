//! Lines of files of the work tree, for the ids of findings.

use std::{cell::RefCell, path::Path};

use rustix::fd::OwnedFd;

use super::super::super::beneath::{self, Content};

/// Most bytes of a file that a finding points into.
pub(super) const MAX_SOURCE: u64 = 4 << 20;
/// Most bytes of all such files together: what comes after has no text.
pub(super) const MAX_SOURCES: u64 = 512 << 20;
/// Most bytes of one line that are looked at: enough for as many characters as an id takes.
const MAX_LINE: usize = 16 << 10;

/// A file by lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Text {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).filter(|start| *start < bytes.len()).collect();
        Self { bytes, starts }
    }

    /// A line, counted from 1.
    pub(super) fn line(&self, line: u32) -> Option<String> {
        let start = *self.starts.get(usize::try_from(line.checked_sub(1)?).ok()?)?;
        let rest = self.bytes.get(start..)?;
        let rest = rest.get(..MAX_LINE).unwrap_or(rest);
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
    }
}

/// The file that was asked for last. Findings of one file come together, so one is enough.
#[derive(Debug)]
pub(super) struct Last {
    path: Option<String>,
    text: Text,
    left: u64,
}

impl Last {
    pub(super) fn new() -> Self {
        Self { path: None, text: Text::default(), left: MAX_SOURCES }
    }

    /// A line of a file that `read` brings if it is another one.
    pub(super) fn line(&mut self, path: &str, line: u32, read: impl FnOnce() -> Option<Vec<u8>>) -> Option<String> {
        if self.path.as_deref() != Some(path) {
            let bytes = if self.left == 0 { None } else { read() };
            let bytes = bytes.unwrap_or_default();
            self.left = self.left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            self.path = Some(path.to_owned());
            self.text = Text::new(bytes);
        }
        self.text.line(line)
    }
}

/// Files of the work tree.
pub(super) struct Sources<'a> {
    root: &'a OwnedFd,
    last: RefCell<Last>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(root: &'a OwnedFd) -> Self {
        Self { root, last: RefCell::new(Last::new()) }
    }

    pub(super) fn line(&self, path: &str, line: u32) -> Option<String> {
        self.last.borrow_mut().line(path, line, || match beneath::read(self.root, Path::new(path), MAX_SOURCE) {
            Ok(Content::Bytes(bytes)) => Some(bytes),
            Ok(Content::Missing | Content::NotPlain | Content::TooLong) | Err(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_editors_count_them() {
        let text = Text::new(b"one\r\n\n\xfftwo\nthree".to_vec());
        let lines: Vec<Option<String>> = (0..6).map(|line| text.line(line)).collect();
        let expected = [None, Some("one\r"), Some(""), Some("\u{fffd}two"), Some("three"), None];
        assert_eq!(lines, expected.map(|line| line.map(str::to_owned)));
        assert_eq!(Text::new(b"one\n".to_vec()).line(2), None);
        assert_eq!(Text::new(Vec::new()).line(1), None);
    }

    #[test]
    fn a_file_is_read_once_and_not_all_files_are() {
        let mut last = Last::new();
        let mut reads = 0;
        for line in 1..=3 {
            let text = last.line("a", line, || {
                reads += 1;
                Some(b"1\n2\n3\n".to_vec())
            });
            assert_eq!(text, Some(line.to_string()));
        }
        last.left = 3;
        assert_eq!(last.line("b", 1, || Some(b"long enough".to_vec())).as_deref(), Some("long enough"));
        assert_eq!(last.line("c", 1, || Some(b"too much".to_vec())), None);
        assert_eq!(reads, 1);
    }

    #[test]
    fn a_long_line_is_cut_before_it_is_copied() {
        let text = Text::new(vec![b'x'; 1 << 20]);
        assert_eq!(text.line(1).map(|line| line.len()), Some(MAX_LINE));
    }
}
