//! The output on disk: its beginning and its end, however much there is between.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// Bytes kept of the beginning. They are on disk at once.
const HEAD: usize = 4 << 20;
/// Bytes kept of the end. They are written when the command has ended.
const TAIL: usize = 1 << 20;

/// Keeps an output.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    head_left: usize,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Log {
    /// Starts a new file. Without one the output is only passed on.
    pub(super) fn create(path: &Path) -> (Self, io::Result<()>) {
        let (file, made) = match File::create(path) {
            Ok(file) => (Some(file), Ok(())),
            Err(error) => (None, Err(error)),
        };
        (Self { file, head_left: HEAD, tail: VecDeque::new(), left_out: 0 }, made)
    }

    /// Keeps some more. A full disk must not stop the command.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_left));
        self.head_left -= head.len();
        if let Some(file) = &mut self.file
            && file.write_all(head).is_err()
        {
            self.file = None;
        }
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.left_out += u64::try_from(self.tail.drain(..over).len()).unwrap_or(u64::MAX);
    }

    /// Writes the end.
    pub(super) fn finish(&mut self) {
        let Some(file) = &mut self.file else { return };
        let note = match self.left_out {
            0 => String::new(),
            left_out => format!("\n[… {left_out} bytes are left out …]\n"),
        };
        self.tail.make_contiguous();
        let _ = file.write_all(note.as_bytes()).and_then(|()| file.write_all(self.tail.as_slices().0));
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(chunks: &[&[u8]]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o");
        let (mut log, made) = Log::create(&path);
        made.unwrap();
        for chunk in chunks {
            log.add(chunk);
        }
        log.finish();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_short_output_is_kept_whole() {
        assert_eq!(kept(&[b"one\n", b"two\n"]), b"one\ntwo\n");
    }

    #[test]
    fn an_output_up_to_the_limit_is_kept_whole() {
        let (head, tail) = (vec![b'a'; HEAD], vec![b'b'; TAIL]);
        assert_eq!(kept(&[&head, &tail]).len(), HEAD + TAIL);
    }

    #[test]
    fn of_a_long_output_beginning_and_end_are_kept_and_the_gap_is_told() {
        let (head, middle, tail) = (vec![b'a'; HEAD], vec![b'm'; 3 * TAIL], vec![b'z'; TAIL]);
        let kept = kept(&[&head, &middle, &tail]);
        let gap = format!("\n[… {} bytes are left out …]\n", 3 * TAIL);
        assert_eq!(kept.len(), HEAD + gap.len() + TAIL);
        assert!(kept.starts_with(&head) && kept.ends_with(&tail));
        assert_eq!(&kept[HEAD..HEAD + gap.len()], gap.as_bytes());
    }

    #[test]
    fn without_a_file_nothing_breaks() {
        let (mut log, made) = Log::create(Path::new("/nonexistent/folder/o"));
        assert!(made.is_err());
        log.add(b"x");
        log.finish();
    }
}
