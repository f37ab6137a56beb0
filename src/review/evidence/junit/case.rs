//! One test case, as its element tells it.

use std::borrow::Cow;

use quick_xml::events::BytesStart;

/// Most of an attribute or of a failure's text that is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// A test case, or a failure outside of any.
pub(super) struct Case {
    /// Depth of its element, counted from 1.
    pub(super) depth: usize,
    /// Class and name: two entries with both the same are the same test.
    pub(super) test: (String, String),
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) failed: bool,
    pub(super) skipped: bool,
    pub(super) message: String,
    /// Depth of the failure whose text is being collected.
    pub(super) saying: Option<usize>,
    pub(super) said: String,
}

impl Case {
    /// Some tools give the outcome in attributes (googletest: `status` and `result`).
    pub(super) fn of(element: &BytesStart<'_>, depth: usize) -> Self {
        let outcomes = [attribute(element, "status"), attribute(element, "result")].map(|s| s.to_ascii_lowercase());
        let any = |words: &[&str]| outcomes.iter().any(|outcome| words.contains(&outcome.as_str()));
        Self {
            depth,
            test: (attribute(element, "classname").into_owned(), attribute(element, "name").into_owned()),
            file: attribute(element, "file").into_owned(),
            line: attribute(element, "line").trim().parse().unwrap_or(0),
            failed: any(&["failed", "failure", "fail", "error"]),
            skipped: any(&["notrun", "skipped", "disabled", "suppressed", "ignored"]),
            message: String::new(),
            saying: None,
            said: String::new(),
        }
    }

    /// A failure that stands in a suite.
    pub(super) fn outside(element: &BytesStart<'_>, depth: usize) -> Self {
        Self { test: (String::new(), "suite".to_owned()), ..Self::of(element, depth) }
    }

    pub(super) fn say(&mut self, text: &str) {
        let room = MAX_TEXT.saturating_sub(self.said.len());
        self.said.push_str(&text[..text.floor_char_boundary(room)]);
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
