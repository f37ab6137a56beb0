//! JUnit XML: test results, counted case by case. Totals in attributes are what a tool claims; they
//! count only where they tell of failures that no case shows.
//!
//! A test is named by class and name. What failed once is failed, also if it passed in another
//! entry: reruns (pytest-rerunfailures, gradle) and teardowns are entries of their own. So the file
//! is walked twice: first for the tests that failed, then to count.

mod case;

use std::collections::BTreeSet;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{Broken, Facts, Lines, MAX_FINDINGS, collect::Collector, collect::Found, place, place::Place};
use crate::api::evidence::{Severity, TestCounts};
use case::{Case, attribute};

/// Reads a JUnit report. A file in which no test ran is Empty.
pub(super) fn read(text: &str, root: &str, lines: &Lines<'_>) -> Result<Facts, Broken> {
    let mut failing = BTreeSet::new();
    let claimed = walk(text, &mut |case| {
        if case.failed && failing.len() >= MAX_FINDINGS && !failing.contains(&case.test) {
            return Err(Broken::invalid(format!("more than {MAX_FINDINGS} failed tests")));
        }
        if case.failed {
            failing.insert(case.test);
        }
        Ok(())
    })?;
    let mut counts = Counts::default();
    walk(text, &mut |case| counts.add(case, &failing, root))?;
    counts.finish(claimed, lines)
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    collector: Collector,
}

impl Counts {
    fn add(&mut self, case: Case, failing: &BTreeSet<(String, String)>, root: &str) -> Result<(), Broken> {
        if case.failed {
            self.failed += 1;
            return self.collector.add(found(case, root));
        }
        if !failing.contains(&case.test) {
            *(if case.skipped { &mut self.skipped } else { &mut self.passed }) += 1;
        }
        Ok(())
    }

    /// `claimed` is the highest number of failures that an element claims.
    fn finish(mut self, claimed: usize, lines: &Lines<'_>) -> Result<Facts, Broken> {
        if self.failed == 0 && claimed > 0 {
            self.failed = claimed;
            self.collector.add(Found {
                key: None,
                severity: Severity::Major,
                rule: "totals".to_owned(),
                path: String::new(),
                line: 0,
                message: format!("the report's totals tell of failed tests that it does not list: {claimed}"),
            })?;
        }
        match (self.passed, self.failed, self.skipped) {
            (0, 0, 0) => return Err(Broken::empty("no test is in it")),
            (0, 0, skipped) => return Err(Broken::empty(format!("no test ran: all {skipped} were skipped"))),
            _ => {}
        }
        let int = |count| i32::try_from(count).unwrap_or(i32::MAX);
        let tests = TestCounts { passed: int(self.passed), failed: int(self.failed), skipped: int(self.skipped) };
        let (mut counts, findings, truncated) = self.collector.finish(lines);
        counts.major = tests.failed;
        Ok(Facts { tests: Some(tests), counts, findings, truncated })
    }
}

/// A failed test is a finding too, for the rework's brief; its cost is in the test counts.
fn found(case: Case, root: &str) -> Found {
    let rule = match (case.test.0.as_str(), case.test.1.as_str()) {
        ("", "") => "test".to_owned(),
        ("", name) => name.to_owned(),
        (class, name) => format!("{class}::{name}"),
    };
    let path = match place::of_path(&case.file, root) {
        Place::Inside(path) => path,
        Place::Nowhere | Place::Outside(_) => String::new(),
    };
    let said = if case.message.trim().is_empty() { case.said } else { case.message };
    let message = if said.trim().is_empty() { "failed".to_owned() } else { said };
    let line = if path.is_empty() { 0 } else { case.line };
    Found { key: None, severity: Severity::Major, rule, path, line, message }
}

/// Hands over each case, one at a time. Answers the highest number of failures that one element
/// claims in its attributes.
fn walk(text: &str, told: &mut dyn FnMut(Case) -> Result<(), Broken>) -> Result<usize, Broken> {
    let mut document = Document { depth: 0, has_root: false, case: None, claimed: 0, told };
    let mut reader = Reader::from_str(text);
    loop {
        let event = reader.read_event().map_err(|error| malformed(&reader, &error.to_string()))?;
        match event {
            Event::Start(element) => document.open(&element)?,
            Event::Empty(element) => {
                document.open(&element)?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(text) => document.say(&text),
            Event::CData(text) => document.say(&text),
            // Entities are never expanded; the predefined ones hardly matter in a message.
            Event::GeneralRef(_) => document.say(" "),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof if document.depth > 0 => return Err(malformed(&reader, "the file ends too early")),
            Event::Eof if !document.has_root => return Err(Broken::invalid("not JUnit: no root element")),
            Event::Eof => return Ok(document.claimed),
        }
    }
}

fn malformed(reader: &Reader<&[u8]>, error: &str) -> Broken {
    Broken::invalid(format!("not well-formed XML at byte {}: {error}", reader.buffer_position()))
}

struct Document<'a> {
    depth: usize,
    has_root: bool,
    /// The open test case, or a failure that stands outside of any.
    case: Option<Case>,
    claimed: usize,
    told: &'a mut dyn FnMut(Case) -> Result<(), Broken>,
}

impl Document<'_> {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Broken> {
        self.depth += 1;
        let name = element.local_name();
        if self.depth == 1 {
            self.begin(name.as_ref())?;
        }
        match name.as_ref() {
            "testcase" if self.case.is_none() => self.case = Some(Case::of(element, self.depth)),
            "testsuites" | "testsuite" | "testrun" => self.claim(element),
            "failure" | "error" => self.fail(element),
            "skipped" | "disabled" | "ignored" => {
                if let Some(case) = self.case.as_mut().filter(|case| case.depth + 1 == self.depth) {
                    case.skipped = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, name: &str) -> Result<(), Broken> {
        if self.has_root {
            return Err(Broken::invalid("not well-formed XML: more than one root element"));
        }
        self.has_root = true;
        if ["testsuites", "testsuite", "testrun"].contains(&name) {
            return Ok(());
        }
        Err(Broken::invalid(format!("not JUnit: the root element is <{name}>, not <testsuites> or <testsuite>")))
    }

    fn claim(&mut self, element: &BytesStart<'_>) {
        let number = |name| attribute(element, name).trim().parse::<usize>().unwrap_or(0);
        self.claimed = self.claimed.max(number("failures").saturating_add(number("errors")));
    }

    /// A failure makes its case fail, whatever else the case says. One that stands directly in a
    /// suite (its set-up failed) is a failed test of its own.
    fn fail(&mut self, element: &BytesStart<'_>) {
        let depth = self.depth;
        let case = match &mut self.case {
            Some(case) if case.depth + 1 == depth => case,
            // Deeper: a failure within a flakyFailure or rerunFailure was not the last word.
            Some(_) => return,
            None => self.case.insert(Case::outside(element, depth)),
        };
        case.failed = true;
        if case.message.is_empty() {
            case.message = attribute(element, "message").into_owned();
            case.saying = Some(depth);
        }
    }

    fn say(&mut self, text: &str) {
        if let Some(case) = self.case.as_mut().filter(|case| case.saying.is_some()) {
            case.say(text);
        }
    }

    fn close(&mut self) -> Result<(), Broken> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        if let Some(case) = self.case.as_mut().filter(|case| case.saying == Some(depth)) {
            case.saying = None;
        }
        self.case.take_if(|case| case.depth == depth).map_or(Ok(()), |case| (self.told)(case))
    }
}
