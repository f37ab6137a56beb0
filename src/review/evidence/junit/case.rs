//! One test case, as its element tells it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use quick_xml::events::BytesStart;

use super::super::xml::{MAX_TEXT, attribute};

/// A test case, or a failure outside of any.
pub(super) struct Case {
    /// Depth of its element, counted from 1.
    pub(super) depth: usize,
    /// Digest of suite, class and name: entries with all three the same are the same test. None without a name.
    pub(super) test: Option<u64>,
    pub(super) class: String,
    pub(super) name: String,
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
    pub(super) fn of(element: &BytesStart<'_>, depth: usize, suite: u64) -> Self {
        let outcomes = [attribute(element, "status"), attribute(element, "result")].map(|s| s.to_ascii_lowercase());
        let any = |words: &[&str]| outcomes.iter().any(|outcome| words.contains(&outcome.as_str()));
        let (class, name) = (attribute(element, "classname").into_owned(), attribute(element, "name").into_owned());
        let mut digest = DefaultHasher::new();
        (suite, &class, &name).hash(&mut digest);
        Self {
            depth,
            test: Some(digest.finish()).filter(|_| !(class.is_empty() && name.is_empty())),
            class,
            name,
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
        Self { test: None, class: String::new(), name: "suite".to_owned(), ..Self::of(element, depth, 0) }
    }

    pub(super) fn say(&mut self, text: &str) {
        let room = MAX_TEXT.saturating_sub(self.said.len());
        self.said.push_str(&text[..text.floor_char_boundary(room)]);
    }
}
