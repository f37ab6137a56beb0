//! JUnit XML: test results, counted case by case. Totals in attributes are what a tool claims; they
//! count only where they tell of failures that no case shows.
//!
//! A test is named by suite, class and name, and counts once. What failed once is failed, also if it
//! passed in another entry: reruns (pytest-rerunfailures, gradle) and teardowns are entries of their
//! own. So the file is walked twice: first for the tests that failed, then to count. It is read from
//! its source and not held, since it holds the output of tests and so may be large.

mod case;

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use quick_xml::events::BytesStart;

use super::{
    Broken, Facts, MAX_FINDINGS,
    collect::{Collector, Found},
    place,
    place::Place,
    source::Source,
    xml,
    xml::attribute,
};
use crate::api::evidence::{Severity, TestCounts};
use case::Case;

/// Most tests of one report: the digest of each is held.
const MAX_TESTS: usize = 4_000_000;
/// Names of a root element.
const ROOTS: [&str; 3] = ["testsuites", "testsuite", "testrun"];

/// Reads a JUnit report. A file in which no test ran is Empty.
pub(super) fn read(source: &dyn Source, root: &str) -> Result<Facts, Broken> {
    let mut failing = HashSet::new();
    let claimed = walk(source, &mut |case| {
        if case.failed {
            failing.extend(case.test);
        }
        if failing.len() > MAX_FINDINGS {
            return Err(Broken::invalid(format!("more than {MAX_FINDINGS} failed tests")));
        }
        Ok(())
    })?;
    let mut counts = Counts::default();
    walk(source, &mut |case| counts.add(case, &failing, root))?;
    counts.finish(claimed)
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Tests that were counted.
    seen: HashSet<u64>,
    collector: Collector,
}

impl Counts {
    fn add(&mut self, case: Case, failing: &HashSet<u64>, root: &str) -> Result<(), Broken> {
        let has_failed = case.failed || case.test.is_some_and(|test| failing.contains(&test));
        if has_failed && !case.failed {
            return Ok(());
        }
        // A case without any name is a test of its own.
        if case.test.is_some_and(|test| !self.seen.insert(test)) {
            return Ok(());
        }
        if self.seen.len() > MAX_TESTS {
            return Err(Broken::invalid(format!("more than {MAX_TESTS} tests")));
        }
        match (has_failed, case.skipped) {
            (true, _) => {
                self.failed += 1;
                return self.collector.add(found(case, root));
            }
            (false, true) => self.skipped += 1,
            (false, false) => self.passed += 1,
        }
        Ok(())
    }

    /// `claimed` is the highest number of failures that an element claims.
    fn finish(mut self, claimed: usize) -> Result<Facts, Broken> {
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
        Ok(Facts { tests: Some(tests), found: Some(self.collector), ..Facts::default() })
    }
}

/// A failed test is a finding too, for the rework's brief; its cost is in the test counts.
fn found(case: Case, root: &str) -> Found {
    let rule = match (case.class.as_str(), case.name.as_str()) {
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
fn walk(source: &dyn Source, told: &mut dyn FnMut(Case) -> Result<(), Broken>) -> Result<usize, Broken> {
    let mut document = Document { suites: Vec::new(), case: None, claimed: 0, told };
    xml::walk("JUnit", &ROOTS, source, &mut document)?;
    Ok(document.claimed)
}

struct Document<'a> {
    /// Depths of the open suites, and digests of their names.
    suites: Vec<(usize, u64)>,
    /// The open test case, or a failure that stands outside of any.
    case: Option<Case>,
    claimed: usize,
    told: &'a mut dyn FnMut(Case) -> Result<(), Broken>,
}

impl xml::Sink for Document<'_> {
    fn open(&mut self, element: &BytesStart<'_>, depth: usize) -> Result<(), Broken> {
        match element.local_name().as_ref() {
            "testcase" if self.case.is_none() => {
                let suite = self.suites.last().map_or(0, |(_, name)| *name);
                self.case = Some(Case::of(element, depth, suite));
            }
            "testsuites" | "testsuite" | "testrun" => {
                let mut name = DefaultHasher::new();
                attribute(element, "name").hash(&mut name);
                self.suites.push((depth, name.finish()));
                self.claim(element);
            }
            "failure" | "error" => self.fail(element, depth),
            "skipped" | "disabled" | "ignored" => {
                if let Some(case) = self.case.as_mut().filter(|case| case.depth + 1 == depth) {
                    case.skipped = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        if let Some(case) = self.case.as_mut().filter(|case| case.saying.is_some()) {
            case.say(text);
        }
    }

    fn close(&mut self, depth: usize) -> Result<(), Broken> {
        self.suites.pop_if(|(open, _)| *open == depth);
        if let Some(case) = self.case.as_mut().filter(|case| case.saying == Some(depth)) {
            case.saying = None;
        }
        self.case.take_if(|case| case.depth == depth).map_or(Ok(()), |case| (self.told)(case))
    }
}

impl Document<'_> {
    fn claim(&mut self, element: &BytesStart<'_>) {
        let number = |name| attribute(element, name).trim().parse::<usize>().unwrap_or(0);
        self.claimed = self.claimed.max(number("failures").saturating_add(number("errors")));
    }

    /// A failure makes its case fail, whatever else the case says. One that stands directly in a
    /// suite (its set-up failed) is a failed test of its own.
    fn fail(&mut self, element: &BytesStart<'_>, depth: usize) {
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
}
