//! From a report file to its bounded facts: exact counts, and the worst findings, of what is new
//! against the base.
//!
//! A report is written by code under judgement, so nothing here trusts it: size, depth, entities,
//! attributes and list lengths are bounded, one element is held at a time, and what is malformed
//! is refused rather than guessed. (The typed models of junit-parser and serde-sarif hold a whole
//! file, recurse with its depth and let a later `<skipped>` hide a failure; the tests compare our
//! counts with theirs on real files.) What a fact costs is decided in `score`.

pub mod bound;
mod change;
mod collect;
mod coverage;
mod junit;
mod metrics;
mod place;
mod sarif;
mod source;
mod xml;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::api::evidence::{
    BaseFacts, Coverage, LineCounts, Measurement, Report, ReportFacts, ReportFormat, ReportState, SeverityCounts,
    TestCounts,
};

use super::cut;
use collect::{Collector, Findings};

pub use change::{Change, DiffError, DiffParser};
pub use source::Source;

/// Largest SARIF and Metrics report, in bytes: these are held while they are read. A larger one is
/// Invalid, unread.
pub const MAX_REPORT_BYTES: usize = 32 * 1024 * 1024;
/// Largest report of the other formats, in bytes: test output and line counts of large projects are
/// long, and are read without being held.
pub const MAX_STREAMED_BYTES: usize = 128 * 1024 * 1024;
/// Most findings of one report that are listed. The counts are exact all the same.
pub const MAX_LISTED: usize = 100;
/// Most distinct findings of one report. One that has more is Invalid.
pub const MAX_FINDINGS: usize = 100_000;

/// Text of a line (counted from 1) of a file, given by its path below the work tree. None if there
/// is no such line. Asked in the order of paths and lines, once per place, with paths that never
/// leave the tree by `..`; links are the caller's to refuse.
pub type Lines<'a> = dyn Fn(&str, u32) -> Option<String> + 'a;

/// What a report is read with.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Absolute path of the work tree where the check ran: tools that write absolute paths mean files
    /// below it.
    pub root: &'a str,
    /// The lines that findings point to.
    pub lines: &'a Lines<'a>,
    /// What the phase changed. None if that is not known.
    pub change: Option<&'a Change>,
    /// What the same report said of the base. None if that is not known: then all counts as new.
    pub base: Option<&'a BaseReport>,
}

impl<'a> Around<'a> {
    /// With nothing to compare with.
    pub fn new(root: &'a str, lines: &'a Lines<'a>) -> Self {
        Self { root, lines, change: None, base: None }
    }
}

/// What a report said of the base.
#[derive(Debug)]
pub struct BaseReport {
    /// Commit and task, for the record.
    facts: BaseFacts,
    /// Ids of all its findings.
    ids: BTreeSet<String>,
}

impl BaseReport {
    /// Reads the report of a check that ran on `commit` as AgentTask `task`. Answers why it says nothing, if so.
    pub fn read(
        report: &Report,
        source: &dyn Source,
        around: &Around<'_>,
        commit: &str,
        task: &str,
    ) -> Result<Self, String> {
        let Facts { tests, coverage, measurements: _, found } =
            facts(report, source, around).map_err(|broken| broken.message)?;
        let coverage: Option<LineCounts> = coverage.map(|coverage| coverage.all);
        let facts = BaseFacts { commit: commit.to_owned(), task: task.to_owned(), tests, known: None, coverage };
        Ok(Self { facts, ids: found.map(|found| found.ids(around)).unwrap_or_default() })
    }
}

/// What a report file says.
///
/// `root` is the absolute path of the work tree where the check ran: tools that write absolute
/// paths mean files below it.
pub fn read_report(report: &Report, bytes: &[u8], root: &str, lines: &Lines<'_>) -> ReportFacts {
    compare_report(report, &bytes, &Around::new(root, lines))
}

/// What a report file says, and what of it is new against the base.
pub fn compare_report(report: &Report, source: &dyn Source, around: &Around<'_>) -> ReportFacts {
    let facts = match facts(report, source, around) {
        Ok(facts) => facts,
        Err(Broken { state, message }) => return broken_report(report, state, &message),
    };
    let Facts { tests, coverage, measurements, found } = facts;
    // Tests are judged by their counts: what failed on the base too is no excuse.
    let base = around.base.filter(|_| tests.is_none());
    let found = found.map(|found| found.finish(&Around { base, ..*around }));
    let known = found.as_ref().filter(|_| tests.is_none()).map(|found| found.known);
    let counts = found.as_ref().map(|found| match tests {
        Some(tests) => SeverityCounts { major: tests.failed, ..found.counts },
        None => found.counts,
    });
    let Findings { listed, truncated, .. } = found.unwrap_or_default();
    ReportFacts {
        path: report.path.clone(),
        format: report.format,
        state: ReportState::Read,
        message: String::new(),
        tests,
        counts,
        coverage,
        measurements,
        base: around.base.map(|base| BaseFacts { known, ..base.facts.clone() }),
        findings: listed,
        truncated,
    }
}

/// What a report says, whatever the base has.
fn facts(report: &Report, source: &dyn Source, around: &Around<'_>) -> Result<Facts, Broken> {
    let most = max_report_bytes(report.format);
    match report.format {
        ReportFormat::JUnit => source::check(source, most).and_then(|()| junit::read(source, around.root)),
        ReportFormat::Sarif => sarif::read(&source::whole(source, most)?, report.levels.as_ref(), around.root),
        ReportFormat::Cobertura => {
            source::check(source, most).and_then(|()| coverage::cobertura(report, source, around))
        }
        ReportFormat::Lcov => source::check(source, most).and_then(|()| coverage::lcov(report, source, around)),
        ReportFormat::Metrics => metrics::read(report, &source::whole(source, most)?),
    }
}

/// Most bytes that are read of a report of this format.
pub fn max_report_bytes(format: ReportFormat) -> u64 {
    let most = match format {
        ReportFormat::JUnit | ReportFormat::Cobertura | ReportFormat::Lcov => MAX_STREAMED_BYTES,
        ReportFormat::Sarif | ReportFormat::Metrics => MAX_REPORT_BYTES,
    };
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// The facts of a report that could not be read: not there, not a plain file, or over the limit.
pub fn broken_report(report: &Report, state: ReportState, message: &str) -> ReportFacts {
    ReportFacts {
        path: report.path.clone(),
        format: report.format,
        state,
        message: plain(message, 600),
        tests: None,
        counts: None,
        coverage: None,
        measurements: Vec::new(),
        base: None,
        findings: Vec::new(),
        truncated: false,
    }
}

/// One set of facts for each report that a check declares: what was delivered of it, or that it is
/// missing. What was delivered beside them is no evidence.
pub fn declared_reports(declared: &[Report], delivered: &[ReportFacts]) -> Vec<ReportFacts> {
    let facts = |report: &Report| {
        let of_it = |facts: &&ReportFacts| facts.path == report.path && facts.format == report.format;
        delivered.iter().find(of_it).cloned()
    };
    let missing = |report: &Report| broken_report(report, ReportState::Missing, "the check did not deliver it");
    declared.iter().map(|report| facts(report).unwrap_or_else(|| missing(report))).collect()
}

/// What a well-formed report says.
#[derive(Default)]
struct Facts {
    tests: Option<TestCounts>,
    coverage: Option<Coverage>,
    measurements: Vec<Measurement>,
    found: Option<Collector>,
}

/// Why a report says nothing.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    state: ReportState,
    message: String,
}

impl Broken {
    fn empty(message: impl Into<String>) -> Self {
        Self { state: ReportState::Empty, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { state: ReportState::Invalid, message: message.into() }
    }
}

/// A tool's text in one line, without control and direction characters (it ends up in terminals),
/// cut to `max` characters.
fn plain(text: &str, max: usize) -> String {
    let mut line = String::new();
    // Enough for `max` characters and the mark of the cut, however long the text is.
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if line.len() > max * 4 {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !is_direction(*c)).take(max + 1));
    }
    cut(&line, max)
}

const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
