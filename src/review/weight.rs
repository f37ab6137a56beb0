//! Keeps evidence and judgement within what one object of the API may weigh, whatever they say. Long texts are
//! shortened first; then the mildest findings leave their lists. The counts stay exact, so the scores stay the same.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    cut_bytes,
    evidence::bound::{MAX_EVIDENT, bound},
    judge,
};
use crate::api::{
    ReviewResultSpec,
    agent_task::ReviewSubmission,
    evidence::{Finding, Severity, SeverityCounts},
    review_result::{CategoryCounts, ReviewerEvidence},
};

/// Most bytes of evidence and judgement, as JSON. etcd refuses objects of more than 1.5 MiB, and metadata need room.
const MAX_BYTES: usize = 1_400_000;
/// Bytes of a text that was shortened.
const SHORT: usize = 160;
/// Bytes for the findings that the checks list, and for those that the reviewers list: the first that are few enough.
const ROOMS: [usize; 4] = [200 * 1024, 100 * 1024, 40 * 1024, 0];

/// Evidence that can be stored with its judgement: as it is if that is light enough.
pub fn bounded_result(mut spec: ReviewResultSpec) -> ReviewResultSpec {
    if fits(&spec) {
        return spec;
    }
    shorten(&mut spec);
    for room in ROOMS {
        bound(spec.checks.iter_mut().flat_map(|check| &mut check.reports).collect(), MAX_EVIDENT, room);
        leave_out(&mut spec.reviews, room);
        if fits(&spec) {
            break;
        }
    }
    spec
}

fn fits(spec: &ReviewResultSpec) -> bool {
    let evidence = weight(spec);
    // A judgement takes less than a megabyte, so that light evidence needs no trial.
    evidence <= MAX_BYTES && (evidence <= MAX_BYTES / 6 || evidence + weight(&judge(spec)) <= MAX_BYTES)
}

fn weight(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// Shortens every long text that is for people. Ids, names and places stay.
fn shorten(spec: &mut ReviewResultSpec) {
    let checks = spec.checks.iter_mut().flat_map(|check| {
        let reports = check.reports.iter_mut().map(|report| &mut report.message);
        reports.chain([&mut check.message])
    });
    let signs = spec.gaming_signs.iter_mut().flat_map(|sign| [&mut sign.text, &mut sign.message]);
    let answers = spec.answers.iter_mut().map(|answer| &mut answer.note);
    let waivers = spec.waivers.iter_mut().map(|waiver| &mut waiver.reason);
    for text in checks.chain(signs).chain(answers).chain(waivers) {
        *text = cut_bytes(text, SHORT);
    }
    spec.reviews.iter_mut().filter_map(|reviewer| reviewer.review.as_mut()).for_each(shorten_review);
}

fn shorten_review(review: &mut ReviewSubmission) {
    let ReviewSubmission { stamp: _, examined, findings, criteria, own_score: _, summary } = review;
    let examined = examined.iter_mut().map(|examined| &mut examined.what);
    let criteria = criteria.iter_mut().map(|criterion| &mut criterion.evidence);
    let findings = findings.iter_mut().flat_map(|finding| {
        let Finding { message, evidence, recommendation, .. } = finding;
        [message, evidence, recommendation]
    });
    for text in examined.chain(criteria).chain(findings).chain([summary]) {
        *text = cut_bytes(text, SHORT);
    }
}

/// Where a finding stands: those of reviewers that count come first, the worst before the others, and then fairly: the
/// first of each reviewer before the second of any.
type Place = (bool, Reverse<Severity>, usize, usize);

/// Leaves as many findings in the reviewers' lists as fit, the worst ones. The others are counted by category: they are
/// charged all the same.
fn leave_out(reviews: &mut [ReviewerEvidence], mut room: usize) {
    let mut all: Vec<(Place, usize)> = Vec::new();
    for (n, reviewer) in reviews.iter_mut().enumerate() {
        let Some(review) = &mut reviewer.review else { continue };
        review.findings.sort_by_key(|finding| Reverse(finding.severity));
        let places = review.findings.iter().enumerate();
        all.extend(places.map(|(at, found)| ((reviewer.shadow, Reverse(found.severity), at, n), weight(found))));
    }
    all.sort_unstable();
    let mut kept = vec![0; reviews.len()];
    for ((.., n), weight) in all {
        if weight > room {
            break;
        }
        room -= weight;
        kept[n] += 1;
    }
    for (reviewer, kept) in reviews.iter_mut().zip(kept) {
        let Some(review) = &mut reviewer.review else { continue };
        let out = review.findings.split_off(kept.min(review.findings.len()));
        reviewer.left_out.extend(by_category(&out));
    }
}

fn by_category(findings: &[Finding]) -> Vec<CategoryCounts> {
    let mut counts: BTreeMap<&str, SeverityCounts> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| !finding.known) {
        let SeverityCounts { critical, major, minor, info } = counts.entry(&finding.rule).or_default();
        *match finding.severity {
            Severity::Critical => critical,
            Severity::Major => major,
            Severity::Minor => minor,
            Severity::Info => info,
        } += 1;
    }
    counts.into_iter().map(|(category, counts)| CategoryCounts { category: category.to_owned(), counts }).collect()
}
