//! Pieces of evidence: what each check and each of its reports scores, and why.

mod measured;

use super::waived::Waived;
use crate::{
    api::{
        agent_task::CheckOutcome,
        common::Decimal,
        evidence::{
            Coverage, LineCounts, Measurement, ReportFacts, ReportFormat, ReportState, SeverityCounts, TestCounts,
        },
        review_result::{CheckEvidence, EvidenceScore},
    },
    review::{cut, findings::finding_id},
};

/// A perfect score, in tenths.
const BEST: i64 = 100;
/// No evidence scores less (seed: 1-10 scale), in tenths.
const WORST: i64 = 10;
/// Costs of a Critical, a Major and a Minor, and the most that all Minors cost, in tenths.
const CRITICAL: i64 = 60;
const MAJOR: i64 = 25;
const MINOR: i64 = 3;
const MINORS: i64 = 10;

/// How a check stands, its reports taken into account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Exit code 0, and every declared report is intact.
    Passed,
    /// It started and ended badly, or lacks a report; why, in words.
    Failed(String),
    /// It never started; why, in words.
    NotStarted(String),
}

impl Standing {
    pub(super) fn of(check: &CheckEvidence) -> Self {
        let said = if check.message.is_empty() { String::new() } else { format!(": {}", check.message) };
        match check.outcome {
            CheckOutcome::NotStarted => Self::NotStarted(format!("never started{said}")),
            CheckOutcome::Failed => {
                let code = check.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
                Self::Failed(format!("failed{code}{said}"))
            }
            CheckOutcome::Passed => {
                let mut broken: Vec<String> = check.reports.iter().filter_map(broken).collect();
                broken.sort();
                if broken.is_empty() {
                    Self::Passed
                } else {
                    Self::Failed(format!("ended well, but without its evidence: {}", broken.join("; ")))
                }
            }
        }
    }
}

/// Why a report is no evidence; none if it is intact.
pub(super) fn broken(report: &ReportFacts) -> Option<String> {
    let state = match report.state {
        ReportState::Read if facts(report).is_some() => return None,
        ReportState::Read => "has no facts",
        ReportState::Missing => "is missing",
        ReportState::Empty => "is empty",
        ReportState::Invalid => "is invalid",
    };
    let said = if report.message.is_empty() { String::new() } else { format!(" ({})", report.message) };
    Some(format!("{} {state}{said}", report.path))
}

/// What an intact report says.
enum Facts<'a> {
    Tests {
        passed: i64,
        failed: i64,
    },
    /// Those that are charged, unless a person waives them.
    Findings(SeverityCounts),
    Coverage(&'a Coverage, Option<LineCounts>),
    Metrics(&'a [Measurement]),
}

fn facts(report: &ReportFacts) -> Option<Facts<'_>> {
    let base = report.base.as_ref();
    match report.format {
        ReportFormat::JUnit => {
            let TestCounts { passed, failed, skipped: _ } = report.tests?;
            let (passed, failed) = (i64::from(passed.max(0)), i64::from(failed.max(0)));
            (passed + failed > 0).then_some(Facts::Tests { passed, failed })
        }
        ReportFormat::Sarif => report.counts.map(Facts::Findings),
        ReportFormat::Cobertura | ReportFormat::Lcov => {
            let coverage = report.coverage.as_ref().filter(|coverage| measured::is_evidence(coverage))?;
            Some(Facts::Coverage(coverage, base.and_then(|base| base.coverage)))
        }
        ReportFormat::Metrics => Some(Facts::Metrics(&report.measurements)).filter(|_| !report.measurements.is_empty()),
    }
}

/// Tests of a report that failed.
pub(super) fn failed_tests(report: &ReportFacts) -> i32 {
    match report.format {
        ReportFormat::JUnit => report.tests.map_or(0, |tests| tests.failed),
        ReportFormat::Sarif | ReportFormat::Cobertura | ReportFormat::Lcov | ReportFormat::Metrics => 0,
    }
}

/// What one check, report or reviewer says of the categories it feeds.
pub(super) struct Piece<'a> {
    pub(super) categories: &'a [String],
    pub(super) source: String,
    /// In tenths.
    pub(super) score: i64,
    pub(super) why: String,
    /// It can lower a score, but does not say that the category was looked at.
    pub(super) only_lowers: bool,
}

impl Piece<'_> {
    pub(super) fn scored(&self) -> EvidenceScore {
        let tenths = u16::try_from(self.score.clamp(WORST, BEST)).unwrap_or(0);
        EvidenceScore { source: cut(&self.source, 600), score: Decimal::from_tenths(tenths), why: cut(&self.why, 300) }
    }
}

/// Every piece of evidence of the checks. A check that never started gives none.
pub(super) fn pieces<'a>(checks: &'a [CheckEvidence], waived: &Waived<'_>) -> Vec<Piece<'a>> {
    checks.iter().flat_map(|check| of_check(check, waived)).collect()
}

fn of_check<'a>(check: &'a CheckEvidence, waived: &Waived<'_>) -> Vec<Piece<'a>> {
    let standing = Standing::of(check);
    if matches!(standing, Standing::NotStarted(_)) {
        return Vec::new();
    }
    let reports = check.reports.iter().filter_map(|report| of_report(check, report, waived));
    of_exit(check, standing, waived).into_iter().chain(reports).collect()
}

/// Id of the one Minor that a failed check is, if it does not block and has no reports.
pub(super) fn failure_id(check: &CheckEvidence) -> String {
    finding_id(&check.name, "", "", 0)
}

/// What the way a check ended says. A failed check that does not block and has reports is judged
/// by them alone: a linter exits 1 when it finds something.
fn of_exit<'a>(check: &'a CheckEvidence, standing: Standing, waived: &Waived<'_>) -> Option<Piece<'a>> {
    let (score, why) = match standing {
        Standing::Passed => (BEST, "exit code 0".to_owned()),
        Standing::Failed(why) if check.blocking => (WORST, why),
        Standing::Failed(why) if check.reports.is_empty() && waived.has(&failure_id(check)) => {
            (BEST, format!("{why}; waived (no cost)"))
        }
        Standing::Failed(why) if check.reports.is_empty() => (BEST - MINOR, format!("{why}; one Minor (-0.3)")),
        Standing::Failed(_) | Standing::NotStarted(_) => return None,
    };
    Some(Piece { categories: &check.categories, source: check.name.clone(), score, why, only_lowers: false })
}

/// What a report says. One that is broken scores what the worst report would, unless its check
/// blocks and has said so already: missing evidence is never better than any evidence.
fn of_report<'a>(check: &'a CheckEvidence, report: &ReportFacts, waived: &Waived<'_>) -> Option<Piece<'a>> {
    let (score, why) = match (facts(report), broken(report)) {
        (Some(Facts::Tests { passed, failed }), None) => tests(passed, failed, i64::from(total(waived.listed(report)))),
        (Some(Facts::Findings(counts)), None) => {
            let spared = Spared::of(report, waived);
            findings(less(counts, spared.waived), spared)
        }
        (Some(Facts::Coverage(coverage, base)), None) => measured::coverage(coverage, base),
        (Some(Facts::Metrics(measurements)), None) => measured::metrics(measurements),
        _ if check.blocking => return None,
        (_, why) => (WORST, format!("{}, which counts as the worst it could say", why.unwrap_or_default())),
    };
    let source = format!("{} {}", check.name, report.path);
    Some(Piece { categories: &check.categories, source, score, why, only_lowers: false })
}

/// 10 × passed ÷ (passed + failed), rounded down to tenths. Failures that are waived count neither way; if nothing
/// passed, that is no evidence still.
fn tests(passed: i64, failed: i64, waived: i64) -> (i64, String) {
    let charged = (failed - waived).max(0);
    let spared = if waived > 0 { format!("; {waived} waived (no cost)") } else { String::new() };
    if passed > 0 && charged == 0 {
        return (BEST, format!("{passed} tests, none failed{spared}"));
    }
    let total = passed + charged;
    if total == 0 {
        return (WORST, format!("no test passed (-{}){spared}", tenths(BEST - WORST)));
    }
    let score = (BEST * passed / total).max(WORST);
    (score, format!("{charged} of {total} tests failed (-{}){spared}", tenths(BEST - score)))
}

/// Findings that cost nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Spared {
    /// The base has them too.
    pub(super) known: SeverityCounts,
    /// A person accepts them.
    pub(super) waived: SeverityCounts,
}

impl Spared {
    fn of(report: &ReportFacts, waived: &Waived<'_>) -> Self {
        let known = report.base.as_ref().and_then(|base| base.known).unwrap_or_default();
        Self { known, waived: waived.listed(report) }
    }
}

/// How many of all severities.
fn total(counts: SeverityCounts) -> i32 {
    let SeverityCounts { critical, major, minor, info } = counts;
    [critical, major, minor, info].into_iter().fold(0, |sum, count| sum.saturating_add(count.max(0)))
}

/// Counts without others, severity by severity, never below nothing.
pub(super) fn less(counts: SeverityCounts, others: SeverityCounts) -> SeverityCounts {
    let less = |a: i32, b: i32| a.max(0).saturating_sub(b.max(0)).max(0);
    SeverityCounts {
        critical: less(counts.critical, others.critical),
        major: less(counts.major, others.major),
        minor: less(counts.minor, others.minor),
        info: less(counts.info, others.info),
    }
}

/// 10.0 less what the findings cost, not below 1.0; and in words that, and what costs nothing.
pub(super) fn findings(counts: SeverityCounts, spared: Spared) -> (i64, String) {
    let SeverityCounts { critical, major, minor, info } = counts;
    let cost = |count: i32, each: i64| i64::from(count.max(0)) * each;
    let costs = [
        ("Critical", critical, cost(critical, CRITICAL)),
        ("Major", major, cost(major, MAJOR)),
        ("Minor", minor, cost(minor, MINOR).min(MINORS)),
    ];
    let lost: i64 = costs.iter().map(|(.., cost)| cost).sum();
    let mut words: Vec<String> = costs
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(name, count, cost)| format!("{count} {name} (-{})", tenths(*cost)))
        .collect();
    if info > 0 {
        words.push(format!("{info} Info (no cost)"));
    }
    if words.is_empty() {
        words.push("no findings".to_owned());
    }
    for (count, what) in [(total(spared.known), "known"), (total(spared.waived), "waived")] {
        if count > 0 {
            words.push(format!("{count} {what} (no cost)"));
        }
    }
    let floor = if BEST - lost < WORST { "; not below 1.0" } else { "" };
    ((BEST - lost).max(WORST), format!("{}{floor}", words.join(", ")))
}

fn tenths(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}
