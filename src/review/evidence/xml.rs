//! XML, one element at a time: what JUnit and Cobertura share.
//!
//! Entities are never expanded, nothing recurses with the depth, and one event is held at a time.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

use quick_xml::{
    Error, Reader,
    events::{BytesStart, Event},
};

use super::{
    Broken,
    source::{Source, unreadable},
};

/// Most of an attribute that is looked at, in bytes.
pub(super) const MAX_TEXT: usize = 4096;
/// Most bytes of one tag or one text.
const MAX_EVENT: usize = 32 * 1024 * 1024;
/// Most elements within one another.
const MAX_DEPTH: usize = 100_000;

/// Takes what the walk meets. Depths are counted from 1.
pub(super) trait Sink {
    /// An element begins.
    fn open(&mut self, element: &BytesStart<'_>, depth: usize) -> Result<(), Broken>;
    /// Text of the innermost element.
    fn say(&mut self, text: &str);
    /// An element ends.
    fn close(&mut self, depth: usize) -> Result<(), Broken>;
}

/// Walks a document of this format, whose root must be one of `roots`.
pub(super) fn walk(format: &str, roots: &[&str], source: &dyn Source, sink: &mut dyn Sink) -> Result<(), Broken> {
    let bytes = Limited { inner: source.open().map_err(unreadable)?, left: MAX_EVENT };
    let mut reader = Reader::from_reader(bytes);
    let mut walk = Walk { format, roots, depth: 0, has_root: false, sink };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().left = MAX_EVENT;
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(Error::Io(error)) => return Err(unreadable(error)),
            Err(error) => return Err(malformed(reader.buffer_position(), &error.to_string())),
        };
        match event {
            Event::Start(element) => walk.open(&element)?,
            Event::Empty(element) => {
                walk.open(&element)?;
                walk.close()?;
            }
            Event::End(_) => walk.close()?,
            Event::Text(text) => walk.sink.say(&text),
            Event::CData(text) => walk.sink.say(&text),
            // Entities are never expanded; the predefined ones hardly matter in a message.
            Event::GeneralRef(_) => walk.sink.say(" "),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof if walk.depth > 0 => {
                return Err(malformed(reader.buffer_position(), "the file ends too early"));
            }
            Event::Eof if !walk.has_root => return Err(Broken::invalid(format!("not {format}: no root element"))),
            Event::Eof => return Ok(()),
        }
    }
}

fn malformed(at: u64, error: &str) -> Broken {
    Broken::invalid(format!("not well-formed XML at byte {at}: {error}"))
}

struct Walk<'a> {
    format: &'a str,
    roots: &'a [&'a str],
    depth: usize,
    has_root: bool,
    sink: &'a mut dyn Sink,
}

impl Walk<'_> {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Broken> {
        self.depth += 1;
        if self.depth == 1 {
            self.begin(element.local_name().as_ref())?;
        }
        if self.depth > MAX_DEPTH {
            return Err(Broken::invalid(format!("more than {MAX_DEPTH} elements within one another")));
        }
        self.sink.open(element, self.depth)
    }

    fn begin(&mut self, name: &str) -> Result<(), Broken> {
        if self.has_root {
            return Err(Broken::invalid("not well-formed XML: more than one root element"));
        }
        self.has_root = true;
        if self.roots.contains(&name) {
            return Ok(());
        }
        let roots: Vec<String> = self.roots.iter().map(|root| format!("<{root}>")).collect();
        let name = super::plain(name, 100);
        let message = format!("not {}: the root element is <{name}>, not {}", self.format, roots.join(" or "));
        Err(Broken::invalid(message))
    }

    fn close(&mut self) -> Result<(), Broken> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        self.sink.close(depth)
    }
}

/// Lets one event have so many bytes and no more: the parser holds it as a whole.
struct Limited<'a> {
    inner: Box<dyn BufRead + 'a>,
    left: usize,
}

impl BufRead for Limited<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            let limit = MAX_EVENT / (1024 * 1024);
            return Err(io::Error::other(format!("one tag or text is longer than {limit} MiB; let the tool say less")));
        }
        Ok(available.get(..self.left.min(available.len())).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

/// Value of an attribute, empty without it. Only the first ones are looked at, and without the
/// search for duplicates, whose time grows with the square of their number.
pub(super) fn attribute<'a>(element: &'a BytesStart<'_>, name: &str) -> Cow<'a, str> {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    let found = attributes.take(64).flatten().find(|attribute| attribute.key.as_ref() == name);
    found.map_or(Cow::Borrowed(""), |attribute| {
        let raw = &attribute.value[..attribute.value.floor_char_boundary(MAX_TEXT)];
        // An entity that is not predefined, or one that was cut, stays as it is written.
        Cow::Owned(quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), Cow::into_owned))
    })
}
