//! What reviewing agents say: a piece of evidence for each category they examined, and what their findings come to
//! beside the number they would give.
//!
//! Shadow reviewers are recorded and shown. Nothing of a judgement depends on them.

use std::{collections::BTreeSet, slice};

use super::{
    piece::{Piece, Spared, findings, less},
    waived::{Waived, one_more},
};
use crate::api::{
    ReviewResultSpec,
    agent_task::ReviewSubmission,
    common::Decimal,
    evidence::SeverityCounts,
    review_result::{ReviewerEvidence, ReviewerScore},
};

/// Findings that one review can list (the limit of the API): a list of that length may have been cut.
const MAX_LISTED: usize = 100;

/// Reviewers that count and submitted a review, with it.
pub(super) fn counting(spec: &ReviewResultSpec) -> impl Iterator<Item = (&ReviewerEvidence, &ReviewSubmission)> {
    let counting = spec.reviews.iter().filter(|reviewer| !reviewer.shadow);
    counting.filter_map(|reviewer| Some((reviewer, reviewer.review.as_ref()?)))
}

/// Reviewers that count and submitted nothing.
pub(super) fn missing(spec: &ReviewResultSpec) -> impl Iterator<Item = &ReviewerEvidence> {
    spec.reviews.iter().filter(|reviewer| !reviewer.shadow && reviewer.review.is_none())
}

/// Every piece of evidence of the reviewers that count.
pub(super) fn pieces<'a>(spec: &'a ReviewResultSpec, waived: &Waived<'_>) -> Vec<Piece<'a>> {
    counting(spec).flat_map(|(reviewer, review)| of_review(reviewer, review, waived)).collect()
}

/// One piece for each category that a reviewer was asked to examine and did. What it found elsewhere can lower a
/// score, but does not show that the category was looked at.
fn of_review<'a>(reviewer: &'a ReviewerEvidence, review: &'a ReviewSubmission, waived: &Waived<'_>) -> Vec<Piece<'a>> {
    let examined: BTreeSet<&String> =
        review.examined.iter().map(|examined| &examined.category).filter(|c| reviewer.categories.contains(c)).collect();
    let listed = review.findings.iter().map(|finding| &finding.rule);
    let found = listed.chain(reviewer.left_out.iter().map(|left_out| &left_out.category));
    let elsewhere: BTreeSet<&String> = found.filter(|category| !examined.contains(category)).collect();
    let piece = |category: &'a String, only_lowers| {
        let (score, why) = scored(reviewer, review, category, waived);
        let source = format!("{} review", reviewer.name);
        Piece { categories: slice::from_ref(category), source, score, why, only_lowers }
    };
    let examined = examined.into_iter().map(|category| piece(category, false));
    examined.chain(elsewhere.into_iter().map(|category| piece(category, true))).collect()
}

/// What the findings of one category come to, with the usual costs.
fn scored(
    reviewer: &ReviewerEvidence,
    review: &ReviewSubmission,
    category: &str,
    waived: &Waived<'_>,
) -> (i64, String) {
    let (mut counts, mut spared) = (SeverityCounts::default(), Spared::default());
    for finding in review.findings.iter().filter(|finding| finding.rule == *category) {
        let count = match (finding.known, waived.has(&finding.id)) {
            (true, _) => &mut spared.known,
            (false, true) => &mut spared.waived,
            (false, false) => &mut counts,
        };
        one_more(count, finding.severity);
    }
    for left_out in reviewer.left_out.iter().filter(|left_out| left_out.category == *category) {
        add(&mut counts, left_out.counts);
    }
    findings(counts, spared)
}

/// Adds counts, severity by severity.
pub(super) fn add(sum: &mut SeverityCounts, counts: SeverityCounts) {
    let SeverityCounts { critical, major, minor, info } = less(counts, SeverityCounts::default());
    for (sum, count) in
        [(&mut sum.critical, critical), (&mut sum.major, major), (&mut sum.minor, minor), (&mut sum.info, info)]
    {
        *sum = sum.saturating_add(count);
    }
}

/// Whether the lists of the reviewers that count show all they could have found.
pub(super) fn are_whole(spec: &ReviewResultSpec) -> bool {
    let whole = |(reviewer, review): (&ReviewerEvidence, &ReviewSubmission)| {
        let examined = |category: &String| review.examined.iter().any(|examined| examined.category == *category);
        review.findings.len() < MAX_LISTED && reviewer.left_out.is_empty() && reviewer.categories.iter().all(examined)
    };
    missing(spec).next().is_none() && counting(spec).all(whole)
}

/// The reviewers' own numbers beside what their findings alone come to, in the order of their names.
pub(super) fn scores(spec: &ReviewResultSpec, waived: &Waived<'_>) -> Vec<ReviewerScore> {
    let score = |reviewer: &ReviewerEvidence| {
        let review = reviewer.review.as_ref();
        let pieces = review.map(|review| of_review(reviewer, review, waived)).unwrap_or_default();
        ReviewerScore {
            name: reviewer.name.clone(),
            shadow: reviewer.shadow,
            own: review.and_then(|review| review.own_score),
            ours: lowest(&pieces),
        }
    };
    let mut scores: Vec<ReviewerScore> = spec.reviews.iter().map(score).collect();
    scores.sort_by(|a, b| (&a.name, a.shadow).cmp(&(&b.name, b.shadow)));
    scores
}

fn lowest(pieces: &[Piece<'_>]) -> Option<Decimal> {
    pieces.iter().map(|piece| piece.scored().score).min()
}
