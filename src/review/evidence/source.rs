//! A report file: read from its beginning as often as it takes, a piece at a time.

use std::io::{self, BufRead, Read as _};

use super::Broken;

/// The bytes of a report. What may be large is read from here and never held.
pub trait Source {
    /// Begins at the beginning.
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>>;
}

impl Source for &[u8] {
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(Box::new(*self))
    }
}

/// Byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads all of it once: within the limit, in UTF-8, and not blank.
pub(super) fn check(source: &dyn Source, most: u64) -> Result<(), Broken> {
    let mut bytes = source.open().map_err(unreadable)?;
    let mut text = Utf8::default();
    let mut blank = true;
    loop {
        let chunk = bytes.fill_buf().map_err(unreadable)?;
        if chunk.is_empty() {
            break;
        }
        let shown = if text.read == 0 { chunk.strip_prefix(MARK).unwrap_or(chunk) } else { chunk };
        blank &= shown.iter().all(u8::is_ascii_whitespace);
        text.feed(chunk)?;
        if text.read > most {
            return Err(too_large(most));
        }
        let used = chunk.len();
        bytes.consume(used);
    }
    text.end()?;
    if blank { Err(Broken::empty("the file is empty")) } else { Ok(()) }
}

/// All of it as text, without its byte order mark, for formats whose reports are small.
pub(super) fn whole(source: &dyn Source, most: u64) -> Result<String, Broken> {
    check(source, most)?;
    let mut bytes = Vec::new();
    source.open().map_err(unreadable)?.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    String::from_utf8(bytes).map_err(|_| Broken::invalid("it changed while it was read"))
}

/// A file over its limit.
pub(super) fn too_large(most: u64) -> Broken {
    Broken::invalid(format!("larger than {} MiB; let the tool report less", most / (1024 * 1024)))
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> Broken {
    Broken::invalid(format!("failed to read it: {error}"))
}

/// Checks a stream for UTF-8, across the borders of its pieces.
#[derive(Default)]
struct Utf8 {
    /// Bytes so far.
    read: u64,
    /// The beginning of a character whose end is in the next piece.
    open: Vec<u8>,
    utf16: bool,
}

impl Utf8 {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Broken> {
        self.utf16 |= self.read == 0 && (chunk.starts_with(b"\xff\xfe") || chunk.starts_with(b"\xfe\xff"));
        let mut rest = chunk;
        while let (false, Some((byte, tail))) = (self.open.is_empty(), rest.split_first()) {
            self.open.push(*byte);
            rest = tail;
            match std::str::from_utf8(&self.open) {
                Ok(_) => self.open.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(self.wrong(self.read + count(chunk) - count(rest) - count(&self.open))),
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            let good = error.valid_up_to();
            if error.error_len().is_some() {
                return Err(self.wrong(self.read + count(chunk) - count(rest) + u64::try_from(good).unwrap_or(0)));
            }
            self.open = rest.get(good..).unwrap_or_default().to_vec();
        }
        self.read += count(chunk);
        Ok(())
    }

    fn end(&self) -> Result<(), Broken> {
        if self.open.is_empty() { Ok(()) } else { Err(self.wrong(self.read - count(&self.open))) }
    }

    fn wrong(&self, at: u64) -> Broken {
        let like = if self.utf16 { " (it looks like UTF-16)" } else { "" };
        Broken::invalid(format!("not UTF-8 at byte {at}{like}; let the tool write UTF-8"))
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::BufReader;

    use rstest::rstest;

    use super::*;
    use crate::api::evidence::ReportState;

    /// A source that hands out pieces of a size.
    pub(in crate::review::evidence) struct Pieces<'a>(
        pub(in crate::review::evidence) &'a [u8],
        pub(in crate::review::evidence) usize,
    );

    impl Source for Pieces<'_> {
        fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
            Ok(Box::new(BufReader::with_capacity(self.1, self.0)))
        }
    }

    #[rstest]
    #[case::ascii(b"abc", None)]
    #[case::characters("aé€😀".as_bytes(), None)]
    #[case::with_a_mark("\u{feff}x".as_bytes(), None)]
    #[case::latin_1(b"ab\xe4c", Some((ReportState::Invalid, "not UTF-8 at byte 2; ")))]
    #[case::cut_in_a_character(b"ab\xe2\x82", Some((ReportState::Invalid, "not UTF-8 at byte 2; ")))]
    #[case::wrong_after_a_beginning(b"a\xe2\x82bc", Some((ReportState::Invalid, "not UTF-8 at byte 1; ")))]
    #[case::utf_16(b"\xff\xfe<\x00", Some((ReportState::Invalid, "not UTF-8 at byte 0 (it looks like UTF-16)")))]
    #[case::utf_16_big(b"\xfe\xff\x00<", Some((ReportState::Invalid, "not UTF-8 at byte 0 (it looks like UTF-16)")))]
    #[case::nothing(b"", Some((ReportState::Empty, "the file is empty")))]
    #[case::a_mark_alone("\u{feff} \n".as_bytes(), Some((ReportState::Empty, "the file is empty")))]
    #[case::long(b"1234567890123", Some((ReportState::Invalid, "larger than 0 MiB")))]
    fn a_file_is_checked_the_same_whatever_the_pieces(
        #[case] bytes: &[u8],
        #[case] expected: Option<(ReportState, &str)>,
    ) {
        for size in 1..=bytes.len().max(1) {
            // A mark that is cut in two is not seen as one; real readers bring more at once.
            let marked = size < MARK.len()
                && (bytes.starts_with(MARK) || bytes.starts_with(b"\xff") || bytes.starts_with(b"\xfe"));
            let found = check(&Pieces(bytes, size), 12).err();
            match (&found, expected) {
                _ if marked => {}
                (None, None) => {}
                (Some(broken), Some((state, message))) => {
                    assert_eq!(broken.state, state, "{broken:?}");
                    assert!(broken.message.starts_with(message), "{broken:?}");
                }
                other => panic!("pieces of {size}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_text_comes_without_its_mark() {
        assert_eq!(whole(&"\u{feff}é".as_bytes(), 12).unwrap(), "é");
    }
}
