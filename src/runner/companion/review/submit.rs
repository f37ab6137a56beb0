//! Handing a review in: about everything that was asked, in words. The first of a run wins.

use std::{cmp::Reverse, collections::BTreeSet, fmt::Write as _, time::Duration};

use super::{
    super::Companion,
    file::clean,
    tools::{ExaminedArgs, NotExaminedArgs, OpinionArgs, SubmitReviewArgs},
};
use crate::{
    api::{
        agent_task::{CriterionOpinion, Examined},
        common::Decimal,
    },
    runner::{
        client::CallError,
        protocol::{MAX_EVIDENCE, MAX_TEXT, ReviewReport},
    },
    text::cut,
};

/// Longest time for the operator while the agent waits.
const LONGEST: Duration = Duration::from_mins(1);

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("{0}")]
    Incomplete(String),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A review that the operator has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reviewed {
    /// Findings that count.
    pub(super) findings: usize,
    /// It was submitted before; this call changed nothing.
    pub(super) before: bool,
}

impl Companion {
    /// Submits what was filed, with what was examined.
    pub(super) async fn submit_review(&self, args: SubmitReviewArgs) -> Result<Reviewed, ReviewError> {
        let mut held = self.review.lock().await;
        if held.submitted {
            return Ok(Reviewed { findings: held.findings.len(), before: true });
        }
        let mut report = self.report(args)?;
        for finding in &held.findings {
            if !report.examined.iter().any(|examined| examined.category == finding.rule) {
                let why = format!(
                    "findings of {0} are filed, but examined says nothing of {0}; say what you examined for it",
                    finding.rule
                );
                return Err(ReviewError::Incomplete(why));
            }
        }
        report.findings.clone_from(&held.findings);
        report.findings.sort_by_key(|finding| Reverse(finding.severity));
        let counts = self.client.review(&report, LONGEST).await?;
        held.submitted = true;
        // The operator knows it too: a companion that forgets is told.
        if let Err(error) = held.write(&self.places.git) {
            tracing::warn!(%error, "failed to keep that the review is submitted");
        }
        tracing::info!(findings = report.findings.len(), "reviewed");
        Ok(Reviewed { findings: report.findings.len(), before: !counts })
    }

    fn report(&self, args: SubmitReviewArgs) -> Result<ReviewReport, ReviewError> {
        let SubmitReviewArgs { examined, not_examined, criteria, own_score, summary } = args;
        let summary = clean(&summary).trim().to_owned();
        if summary.is_empty() {
            return Err(incomplete("summary is empty; say in a few sentences what you think of the change"));
        }
        let (examined, missing) = self.examined(examined, not_examined)?;
        let own_score = own_score.map(own).transpose()?;
        let criteria = self.criteria(criteria)?;
        // What was left out must not be lost to a long summary.
        let summary = cut(&summary, MAX_TEXT.saturating_sub(missing.chars().count())) + &missing;
        Ok(ReviewReport { examined, findings: Vec::new(), criteria, own_score, summary })
    }

    /// Every category that was asked for, examined or with words why not, which become part of the summary.
    fn examined(
        &self,
        examined: Vec<ExaminedArgs>,
        not_examined: Vec<NotExaminedArgs>,
    ) -> Result<(Vec<Examined>, String), ReviewError> {
        let asked = self.assignment.review.iter().flat_map(|review| &review.categories);
        let mut open: BTreeSet<&str> = asked.map(String::as_str).collect();
        let mut named = |category: &str, words: &str, field: &str| {
            let name = category.trim().to_lowercase();
            if !open.remove(name.as_str()) {
                let why = format!("{field}: {:?} was not asked for, or is named twice", cut(&name, 80));
                return Err(incomplete(&format!("{why}; name each category of get_review_request once")));
            }
            let words = clean(words).trim().to_owned();
            if words.is_empty() {
                return Err(incomplete(&format!("{field}: no words for {name}; say them in a sentence")));
            }
            Ok((name, words))
        };
        let mut seen = Vec::new();
        for ExaminedArgs { category, what } in examined {
            let (category, what) = named(&category, &what, "examined")?;
            seen.push(Examined { category, what: cut(&what, MAX_EVIDENCE) });
        }
        let mut missing = String::new();
        for NotExaminedArgs { category, why } in not_examined {
            let (category, why) = named(&category, &why, "not_examined")?;
            let _ = write!(missing, "\nNot examined: {category} ({})", cut(&why, 150));
        }
        if open.is_empty() {
            return Ok((seen, missing));
        }
        let open = open.into_iter().collect::<Vec<_>>().join(", ");
        Err(incomplete(&format!(
            "nothing is said of {open}; name each in examined with what you looked at, or in not_examined with why not"
        )))
    }

    /// One opinion of every criterion that was asked for.
    fn criteria(&self, given: Vec<OpinionArgs>) -> Result<Vec<CriterionOpinion>, ReviewError> {
        let asked = self.assignment.review.iter().flat_map(|review| &review.criteria);
        let mut open: BTreeSet<&str> = asked.map(|criterion| criterion.name.as_str()).collect();
        let mut judged = Vec::new();
        for OpinionArgs { name, opinion, evidence } in given {
            let name = name.trim();
            if !open.remove(name) {
                let why = format!("criteria: {:?} was not asked for, or is named twice", cut(name, 80));
                return Err(incomplete(&format!("{why}; name each criterion of get_review_request once")));
            }
            let evidence = clean(&evidence).trim().to_owned();
            if evidence.is_empty() {
                return Err(incomplete(&format!("criteria: no evidence for {name}; say what shows it")));
            }
            judged.push(CriterionOpinion {
                name: name.to_owned(),
                opinion: opinion.into(),
                evidence: cut(&evidence, MAX_EVIDENCE),
            });
        }
        if open.is_empty() {
            return Ok(judged);
        }
        let open = open.into_iter().collect::<Vec<_>>().join(", ");
        Err(incomplete(&format!(
            "criteria: no word about {open}; say Met, Unmet or Unverifiable of each, with evidence"
        )))
    }
}

fn incomplete(why: &str) -> ReviewError {
    ReviewError::Incomplete(why.to_owned())
}

fn own(score: f64) -> Result<Decimal, ReviewError> {
    // NaN and infinities do not parse.
    let parsed = format!("{score:.1}").parse();
    parsed.map_err(|_| incomplete(&format!("own_score must be 0 to 10; it is {score}")))
}
