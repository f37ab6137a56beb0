//! Keeps what is stored within what an object of the API may weigh: the worst findings stay in the
//! lists, the counts stay exact.

use std::cmp::Reverse;

use super::MAX_LISTED;
use crate::api::{
    evidence::{Finding, ReportFacts},
    review_result::CheckEvidence,
};

/// Most findings of one ReviewResult that are listed.
pub const MAX_EVIDENT: usize = 500;
/// Most bytes that they may take, as JSON. Evidence and judgement are one object, which etcd limits
/// to 1.5 MiB.
pub const MAX_EVIDENT_BYTES: usize = 250 * 1024;
/// The same for the reports of one check.
const MAX_DELIVERED_BYTES: usize = 100 * 1024;

/// The reports of one check, listing [`MAX_LISTED`] findings together at most.
pub fn bounded_delivery(mut reports: Vec<ReportFacts>) -> Vec<ReportFacts> {
    bound(reports.iter_mut().collect(), MAX_LISTED, MAX_DELIVERED_BYTES);
    reports
}

/// The evidence of one judgement, listing [`MAX_EVIDENT`] findings together at most.
pub fn bounded_evidence(mut checks: Vec<CheckEvidence>) -> Vec<CheckEvidence> {
    bound(checks.iter_mut().flat_map(|check| &mut check.reports).collect(), MAX_EVIDENT, MAX_EVIDENT_BYTES);
    checks
}

/// How many of a list, from its beginning, fit into a number of entries and of bytes as JSON.
pub(in crate::review) fn fitting(list: &[impl serde::Serialize], count: usize, bytes: usize) -> usize {
    let mut room = bytes;
    let fits = |entry: &&_| {
        let weight = weight(*entry);
        let fits = weight <= room;
        room = room.saturating_sub(weight);
        fits
    };
    list.iter().take(count).take_while(fits).count()
}

/// What a finding takes, as JSON.
fn weight(finding: &impl serde::Serialize) -> usize {
    serde_json::to_vec(finding).map_or(usize::MAX, |json| json.len())
}

/// Leaves the worst findings in their lists, as many as fit.
pub(in crate::review) fn bound(mut reports: Vec<&mut ReportFacts>, count: usize, bytes: usize) {
    let mut all: Vec<(Place, usize)> = Vec::new();
    for (list, report) in reports.iter().enumerate() {
        let places = report.findings.iter().enumerate();
        all.extend(places.map(|(at, finding)| (place(list, at, finding), weight(finding))));
    }
    all.sort();
    let mut room = bytes;
    let mut kept: Vec<usize> = vec![0; reports.len()];
    for (place, weight) in all.into_iter().take(count) {
        if weight > room {
            break;
        }
        room -= weight;
        kept[place.list] += 1;
    }
    for (report, kept) in reports.iter_mut().zip(kept) {
        if report.findings.len() > kept {
            // Stable, so that what is kept is what was counted.
            report.findings.sort_by_key(|finding| (finding.known, Reverse(finding.severity)));
            report.findings.truncate(kept);
            report.truncated = true;
        }
    }
}

/// Orders findings of several lists: what is charged before what is known of the base, the worst first,
/// then fairly: the first of each list before the second of any.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    known: bool,
    severity: Reverse<crate::api::evidence::Severity>,
    at: usize,
    list: usize,
}

fn place(list: usize, at: usize, finding: &Finding) -> Place {
    Place { known: finding.known, severity: Reverse(finding.severity), at, list }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::evidence::{ReportFormat, ReportState, Severity};

    fn report(severities: &[Severity], message: &str) -> ReportFacts {
        let finding = |(n, severity): (usize, &Severity)| Finding {
            id: n.to_string(),
            rule: "R".to_owned(),
            severity: *severity,
            path: String::new(),
            line: 0,
            message: message.to_owned(),
            evidence: String::new(),
            recommendation: String::new(),
            known: false,
        };
        ReportFacts {
            path: "r".to_owned(),
            format: ReportFormat::Sarif,
            state: ReportState::Read,
            message: String::new(),
            tests: None,
            counts: None,
            coverage: None,
            measurements: Vec::new(),
            base: None,
            findings: severities.iter().enumerate().map(finding).collect(),
            truncated: false,
        }
    }

    fn sizes(reports: &[ReportFacts]) -> Vec<(usize, bool)> {
        reports.iter().map(|report| (report.findings.len(), report.truncated)).collect()
    }

    #[test]
    fn the_worst_stay_and_a_flood_in_one_report_does_not_crowd_out_another() {
        let flood = report(&[Severity::Info; 100], "");
        let few = report(&[Severity::Info, Severity::Critical, Severity::Minor], "");
        let bounded = bounded_delivery(vec![flood.clone(), few, flood]);
        assert_eq!(sizes(&bounded), [(49, true), (3, false), (48, true)]);
        assert!(bounded[1].findings.iter().any(|finding| finding.severity == Severity::Critical));
        assert_eq!(sizes(&bounded_delivery(bounded.clone())), sizes(&bounded), "bounding again changes nothing");
    }

    #[test]
    fn what_is_charged_stays_before_what_the_base_has_too() {
        let mut debt = report(&[Severity::Critical; 100], "");
        debt.findings.iter_mut().for_each(|finding| finding.known = true);
        let new = report(&[Severity::Info; 30], "");
        let bounded = bounded_delivery(vec![debt, new]);
        assert_eq!(sizes(&bounded), [(70, true), (30, false)]);
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let reports = vec![report(&[Severity::Minor, Severity::Major], "m")];
        assert_eq!(bounded_delivery(reports.clone()), reports);
    }

    #[test]
    fn heavy_findings_are_bounded_by_their_bytes() {
        let heavy = report(&[Severity::Minor; 100], &"\\\"".repeat(900));
        let bounded = bounded_delivery(vec![heavy]);
        assert!(bounded[0].truncated && !bounded[0].findings.is_empty());
        assert!(weight(&bounded[0].findings) < MAX_DELIVERED_BYTES + 200);
    }
}
