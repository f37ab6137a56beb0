//! The open findings of a judgement, the dearest first, and which of the previous one are gone.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    cut,
    piece::{Standing, broken},
};
use crate::{
    api::{
        ReviewResultSpec,
        evidence::{Finding, ReportFacts, Severity, SeverityCounts},
        review_result::{CheckEvidence, JudgedFinding},
    },
    review::{
        evidence::bound::{MAX_EVIDENT, MAX_EVIDENT_BYTES, fitting},
        findings::{finding_id, resolved},
    },
};

pub(super) struct Open {
    pub(super) counts: SeverityCounts,
    pub(super) findings: Vec<JudgedFinding>,
    pub(super) resolved: Vec<String>,
}

pub(super) fn open(spec: &ReviewResultSpec) -> Open {
    let mut counts = SeverityCounts::default();
    let mut findings = Vec::new();
    for check in &spec.checks {
        for report in check.reports.iter().filter(|report| broken(report).is_none()) {
            add(&mut counts, report.counts.unwrap_or_default());
            findings.extend(report.findings.iter().map(|finding| judged(spec, check, finding.clone())));
        }
        if let Some(finding) = failure(check) {
            add(&mut counts, SeverityCounts { minor: 1, ..SeverityCounts::default() });
            findings.push(judged(spec, check, finding));
        }
    }
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    let listed = fitting(&findings, MAX_EVIDENT, MAX_EVIDENT_BYTES);
    let whole = spec.checks.iter().all(is_whole) && findings.len() == listed;
    findings.truncate(listed);
    let ids: BTreeSet<&str> = findings.iter().map(|judged| judged.finding.id.as_str()).collect();
    let resolved = resolved(&spec.previous_findings, &ids, whole);
    Open { counts, findings, resolved }
}

fn order(judged: &JudgedFinding) -> impl Ord + '_ {
    let JudgedFinding { check, categories: _, persisting: _, finding, reported_by: _, uncharged: _, dispute: _ } =
        judged;
    let Finding { id, rule, severity, path, line, message, evidence: _, recommendation: _, known: _ } = finding;
    (Reverse(*severity), check, path, *line, rule, id, message)
}

fn judged(spec: &ReviewResultSpec, check: &CheckEvidence, finding: Finding) -> JudgedFinding {
    let counts = |name: &&String| spec.rubric.categories.iter().any(|category| category.name == **name);
    JudgedFinding {
        check: check.name.clone(),
        reported_by: Vec::new(),
        uncharged: None,
        dispute: String::new(),
        categories: check.categories.iter().filter(counts).cloned().collect(),
        persisting: spec.previous_findings.contains(&finding.id),
        finding,
    }
}

/// The one Minor that a failed check without reports is, if it does not block.
fn failure(check: &CheckEvidence) -> Option<Finding> {
    match Standing::of(check) {
        Standing::Failed(why) if !check.blocking && check.reports.is_empty() => Some(Finding {
            id: finding_id(&check.name, "", "", 0),
            rule: check.name.clone(),
            severity: Severity::Minor,
            path: String::new(),
            line: 0,
            message: cut(&why, 600),
            evidence: String::new(),
            recommendation: String::new(),
            known: false,
        }),
        Standing::Passed | Standing::Failed(_) | Standing::NotStarted(_) => None,
    }
}

/// Whether a check's lists show all it could have found.
fn is_whole(check: &CheckEvidence) -> bool {
    let shown = |report: &ReportFacts| broken(report).is_none() && !report.truncated;
    !matches!(Standing::of(check), Standing::NotStarted(_)) && check.reports.iter().all(shown)
}

fn add(sum: &mut SeverityCounts, counts: SeverityCounts) {
    let SeverityCounts { critical, major, minor, info } = counts;
    for (sum, count) in
        [(&mut sum.critical, critical), (&mut sum.major, major), (&mut sum.minor, minor), (&mut sum.info, info)]
    {
        *sum = sum.saturating_add(count.max(0));
    }
}
