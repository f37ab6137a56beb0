//! What `step` left: its record and the output. The agent writes to the same folder, so nothing here is trusted beyond
//! being a bounded plain file.

use std::path::Path;

use super::super::{
    beneath::{self, Content},
    step::{OUTPUT, RECORD, Record},
};
use crate::text::cut_front;

/// Most bytes of a record.
const MAX_RECORD: u64 = 64 << 10;
/// Most bytes of an output: what `step` keeps, and room.
const MAX_OUTPUT: u64 = 8 << 20;
/// Most characters of the output in a delivery.
const MAX_TAIL: usize = 3000;
/// Most lines of the output in a delivery.
const MAX_LINES: usize = 40;

/// How the command ended, as far as `step` could tell: not if it was killed itself.
pub(super) fn record(out: &Path) -> Option<Record> {
    let bytes = read(out, RECORD, MAX_RECORD)?;
    serde_json::from_slice(&bytes).inspect_err(|error| tracing::warn!(%error, "the record of step is unreadable")).ok()
}

/// The output as it is kept.
pub(super) fn output(out: &Path) -> Option<Vec<u8>> {
    read(out, OUTPUT, MAX_OUTPUT)
}

/// The last lines of the output, for people.
pub(super) fn tail(out: &Path) -> String {
    let Some(bytes) = output(out) else { return String::new() };
    let text = plain(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = lines.get(lines.len().saturating_sub(MAX_LINES)..).unwrap_or_default().join("\n");
    cut_front(&last, MAX_TAIL)
}

fn read(out: &Path, name: &str, most: u64) -> Option<Vec<u8>> {
    let root = beneath::root(out).ok()?;
    match beneath::read(&root, Path::new(name), most) {
        Ok(Content::Bytes(bytes)) => Some(bytes),
        Ok(Content::Missing) => None,
        Ok(Content::NotPlain | Content::TooLong) => {
            tracing::warn!(name, "not what step wrote");
            None
        }
        Err(error) => {
            tracing::warn!(name, %error, "failed to read what step wrote");
            None
        }
    }
}

/// Without what moves a terminal's cursor or changes its colours.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            chars.next();
        } else if c == '\n' || c == '\t' || !c.is_control() {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_are_taken_out() {
        assert_eq!(plain("\u{1b}[31;1mred\u{1b}[0m\r\n\tx\u{7}\0"), "red\n\tx");
        assert_eq!(plain("cut off \u{1b}["), "cut off ");
    }

    #[test]
    fn the_last_lines_are_kept() {
        let out = tempfile::tempdir().unwrap();
        let text = (0..100).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n") + "\n";
        std::fs::write(out.path().join(OUTPUT), text).unwrap();
        let tail = tail(out.path());
        assert!(tail.starts_with("line 60\n") && tail.ends_with("line 99"), "{tail}");
    }

    #[test]
    fn a_link_in_place_of_the_output_is_not_read() {
        let out = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", out.path().join(OUTPUT)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", out.path().join(RECORD)).unwrap();
        assert_eq!((output(out.path()), record(out.path())), (None, None));
    }
}
