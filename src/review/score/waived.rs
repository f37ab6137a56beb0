//! What persons have waived: it is shown, and its cost is taken out.
//!
//! Only what a list names can be identified: counts that are longer than their list keep what they cannot name.

use std::collections::BTreeMap;

use crate::api::{
    evidence::{Finding, ReportFacts, ReportFormat, Severity, SeverityCounts},
    phase::Waiver,
};

/// The waivers that hold, by what they accept. Where several accept the same, the one with the first UID is named.
pub(super) struct Waived<'a> {
    findings: BTreeMap<&'a str, &'a Waiver>,
    criteria: BTreeMap<&'a str, &'a Waiver>,
}

impl<'a> Waived<'a> {
    pub(super) fn of(waivers: &'a [Waiver]) -> Self {
        let mut sorted: Vec<&Waiver> = waivers.iter().collect();
        sorted.sort_by(|a, b| a.decision_uid.cmp(&b.decision_uid));
        let mut waived = Self { findings: BTreeMap::new(), criteria: BTreeMap::new() };
        for waiver in sorted {
            for id in &waiver.findings {
                waived.findings.entry(id.as_str()).or_insert(waiver);
            }
            for name in &waiver.criteria {
                waived.criteria.entry(name.as_str()).or_insert(waiver);
            }
        }
        waived
    }

    /// Whether the finding or sign of this id is accepted.
    pub(super) fn has(&self, id: &str) -> bool {
        self.findings.contains_key(id)
    }

    /// Who says that a criterion need not be met.
    pub(super) fn criterion(&self, name: &str) -> Option<&'a Waiver> {
        self.criteria.get(name).copied()
    }

    /// How many findings that a report lists would cost something and are accepted, by severity.
    pub(super) fn listed(&self, report: &ReportFacts) -> SeverityCounts {
        let mut counts = SeverityCounts::default();
        for finding in report.findings.iter().filter(|finding| !is_known(report, finding) && self.has(&finding.id)) {
            one_more(&mut counts, finding.severity);
        }
        counts
    }
}

/// Whether a finding of a report costs nothing because the base has it too. Failed tests are judged by their number,
/// whatever the base has.
pub(super) fn is_known(report: &ReportFacts, finding: &Finding) -> bool {
    match report.format {
        ReportFormat::JUnit => false,
        ReportFormat::Sarif | ReportFormat::Cobertura | ReportFormat::Lcov | ReportFormat::Metrics => finding.known,
    }
}

/// Counts one more finding.
pub(super) fn one_more(counts: &mut SeverityCounts, severity: Severity) {
    let count = match severity {
        Severity::Critical => &mut counts.critical,
        Severity::Major => &mut counts.major,
        Severity::Minor => &mut counts.minor,
        Severity::Info => &mut counts.info,
    };
    *count = count.saturating_add(1);
}
