//! From the bytes of a report file to its bounded facts: exact counts, and the worst findings.
//!
//! A report is written by code under judgement, so nothing here trusts it: size, depth, entities,
//! attributes and list lengths are bounded, one element is held at a time, and what is malformed
//! is refused rather than guessed. (The typed models of junit-parser and serde-sarif hold a whole
//! file, recurse with its depth and let a later `<skipped>` hide a failure; the tests compare our
//! counts with theirs on real files.) What a fact costs is decided in `score`.

pub mod bound;
mod collect;
mod junit;
mod place;
mod sarif;

#[cfg(test)]
mod tests;

use crate::api::evidence::{Finding, Report, ReportFacts, ReportFormat, ReportState, SeverityCounts, TestCounts};

use super::cut;

/// Largest report that is read, in bytes. A larger one is Invalid: read at most one byte more.
pub const MAX_REPORT_BYTES: usize = 32 * 1024 * 1024;
/// Most findings of one report that are listed. The counts are exact all the same.
pub const MAX_LISTED: usize = 100;
/// Most distinct findings of one report. One that has more is Invalid.
pub const MAX_FINDINGS: usize = 100_000;

/// Text of a line (counted from 1) of a file, given by its path below the work tree. None if there
/// is no such line. Asked at most [`MAX_LISTED`] times per report, with paths that never leave the
/// tree by `..`; links are the caller's to refuse.
pub type Lines<'a> = dyn Fn(&str, u32) -> Option<String> + 'a;

/// What a report file says.
///
/// `root` is the absolute path of the work tree where the check ran: tools that write absolute
/// paths mean files below it.
pub fn read_report(report: &Report, bytes: &[u8], root: &str, lines: &Lines<'_>) -> ReportFacts {
    let facts = text(bytes).and_then(|text| match report.format {
        ReportFormat::JUnit => junit::read(text, root, lines),
        ReportFormat::Sarif => sarif::read(text, report.levels.as_ref(), root, lines),
        ReportFormat::Cobertura | ReportFormat::Lcov | ReportFormat::Metrics => {
            Err(Broken::invalid("this format is not implemented in this version; use JUnit or SARIF"))
        }
    });
    match facts {
        Ok(facts) => ReportFacts {
            path: report.path.clone(),
            format: report.format,
            state: ReportState::Read,
            message: String::new(),
            tests: facts.tests,
            counts: Some(facts.counts),
            coverage: None,
            measurements: Vec::new(),
            base: None,
            findings: facts.findings,
            truncated: facts.truncated,
        },
        Err(Broken { state, message }) => broken_report(report, state, &message),
    }
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
#[derive(Debug)]
struct Facts {
    tests: Option<TestCounts>,
    counts: SeverityCounts,
    findings: Vec<Finding>,
    truncated: bool,
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

/// The file as text: within the limit, in UTF-8, without its byte order mark.
fn text(bytes: &[u8]) -> Result<&str, Broken> {
    if bytes.len() > MAX_REPORT_BYTES {
        let limit = MAX_REPORT_BYTES / (1024 * 1024);
        return Err(Broken::invalid(format!("larger than {limit} MiB; let the tool report less")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Broken::invalid(format!("not UTF-8 at byte {}; let the tool write UTF-8", error.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() { Err(Broken::empty("the file is empty")) } else { Ok(text) }
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
