//! Signs that a change weakens what judges it (design §7, "Gamed"): those that the diff shows come with the evidence,
//! those that the counts of tests show are computed here. One that nobody accepts refuses the change, whatever the
//! score, and a person looks at it.

use std::collections::BTreeSet;

use super::{cut, piece::broken, reason, rules_out_pass, waived::Waived};
use crate::{
    api::{
        ReviewResultSpec,
        evidence::{GamingSign, GamingSignType, ReportFacts, ReportFormat, TestCounts},
        review_result::{CheckEvidence, JudgedSign, ReasonType, VerdictReason},
    },
    review::{evidence::bound::fitting, findings::finding_id},
};

/// Most signs of one judgement that are listed.
const MAX_SIGNS: usize = 200;
/// Most bytes that they may take, as JSON.
const MAX_BYTES: usize = 60 * 1024;
/// Most signs that have a reason of their own; the others are counted.
const MAX_REASONS: usize = 20;

/// Every sign, each once, those that nobody accepts first.
pub(super) fn signs(spec: &ReviewResultSpec, waived: &Waived<'_>) -> Vec<JudgedSign> {
    let computed = spec.checks.iter().flat_map(of_check);
    let all = spec.gaming_signs.iter().cloned().chain(computed);
    let mut signs: Vec<JudgedSign> = all.map(|sign| JudgedSign { waived: waived.has(&sign.id), sign }).collect();
    signs.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut seen = BTreeSet::new();
    signs.retain(|judged| seen.insert(judged.sign.id.clone()));
    signs
}

fn order(judged: &JudgedSign) -> impl Ord + '_ {
    let JudgedSign { waived, sign } = judged;
    let GamingSign { id, kind, path, line, text, message } = sign;
    (*waived, *kind, path, *line, text, message, id)
}

/// As many as an object has room for.
pub(super) fn listed(mut signs: Vec<JudgedSign>) -> Vec<JudgedSign> {
    let fit = fitting(&signs, MAX_SIGNS, MAX_BYTES);
    signs.truncate(fit);
    signs
}

/// What the counts of tests say of a check. One that rules out a pass says nothing: a test run that broke off has
/// fewer tests, and that is a matter for the developer.
fn of_check(check: &CheckEvidence) -> Vec<GamingSign> {
    if rules_out_pass(check) {
        return Vec::new();
    }
    check.reports.iter().flat_map(|report| of_report(check, report)).collect()
}

fn of_report(check: &CheckEvidence, report: &ReportFacts) -> Vec<GamingSign> {
    let before = report.base.as_ref().and_then(|base| base.tests);
    let (Some(now), Some(before), ReportFormat::JUnit, None) = (report.tests, before, report.format, broken(report))
    else {
        return Vec::new();
    };
    let fewer = (all(now) < all(before)).then(|| {
        let message =
            format!("check {} has {} tests in {}, the base has {}", check.name, all(now), report.path, all(before));
        (GamingSignType::FewerTests, message)
    });
    let skipped = (now.skipped > before.skipped).then(|| {
        let message = format!(
            "check {} skips {} tests in {}, on the base it skips {}",
            check.name, now.skipped, report.path, before.skipped
        );
        (GamingSignType::TestSkipped, message)
    });
    let sign = |(kind, message): (GamingSignType, String)| GamingSign {
        id: finding_id(&format!("{kind:?}"), &format!("{}/{}", check.name, report.path), "", 0),
        kind,
        path: report.path.clone(),
        line: 0,
        text: String::new(),
        message: cut(&message, 600),
    };
    fewer.into_iter().chain(skipped).map(sign).collect()
}

fn all(tests: TestCounts) -> i64 {
    let TestCounts { passed, failed, skipped } = tests;
    [passed, failed, skipped].into_iter().map(|count| i64::from(count.max(0))).sum()
}

/// One reason for each sign that nobody accepts, and one for those that are too many.
pub(super) fn reasons(signs: &[JudgedSign]) -> Vec<VerdictReason> {
    let open: Vec<&GamingSign> = signs.iter().filter(|judged| !judged.waived).map(|judged| &judged.sign).collect();
    let told = open.iter().take(MAX_REASONS).map(|sign| reason(ReasonType::Gamed, &words(sign)));
    let rest = open.len().saturating_sub(MAX_REASONS);
    let more = (rest > 0).then(|| reason(ReasonType::Gamed, &format!("and {rest} more signs")));
    told.chain(more).collect()
}

/// `AssertionDeleted tests/test_bus.py:12: an assertion is gone: -    assert sent == 1`.
fn words(sign: &GamingSign) -> String {
    let GamingSign { id: _, kind, path, line, text, message } = sign;
    let place = match (path.as_str(), line) {
        ("", _) => String::new(),
        (path, 0) => format!(" {path}"),
        (path, line) => format!(" {path}:{line}"),
    };
    let shown = if text.is_empty() { String::new() } else { format!(": {text}") };
    format!("{kind:?}{place}: {message}{shown}")
}
