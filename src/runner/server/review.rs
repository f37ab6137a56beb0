//! What a review must look like to be recorded. That its quotes are there, the pod's companion has seen; that it speaks
//! of what it was asked, and fits into its object, is seen here once more.

use std::{cmp::Reverse, collections::BTreeSet};

use axum::{Json, extract::State};
use kube::ResourceExt;
use tracing::info;

use super::{
    super::protocol::{
        MAX_CATEGORIES, MAX_CRITERIA, MAX_EVIDENCE, MAX_FINDING_TEXT, MAX_FINDINGS, MAX_PATH, MAX_REVIEW_BYTES,
        MAX_TEXT, ReviewReport,
    },
    Body, Recorded, RunnerApi,
    caller::{Caller, Live},
    record::{Change, record},
    refusal::{self, Refused, bad},
};
use crate::api::{
    agent_task::{CriterionOpinion, Examined, ReviewBrief, ReviewSubmission, Role, RunStamp},
    evidence::{Finding, Severity},
};
use crate::text::cut;

/// Most characters of an id.
const MAX_ID: usize = 64;

pub(super) async fn review(State(api): State<RunnerApi>, caller: Caller, body: Body<ReviewReport>) -> Recorded {
    let Json(report) = body?;
    record(&api, &caller, |live, own| {
        live.has_role(Role::Reviewer)?;
        let review = checked(live, report.clone())?;
        // The first of a run wins, so that a call whose answer was lost can be repeated.
        match live.reviewed() {
            Some(first) if *first == review => return Ok(Change::Known),
            Some(_) => return Err(refusal::reviewed()),
            None => live.may_submit()?,
        }
        info!(
            namespace = live.task.namespace(),
            task = live.task.name_any(),
            findings = review.findings.len(),
            correlation_id = live.task.spec.correlation_id,
            "reviewed"
        );
        own.review = Some(review);
        Ok(Change::Write)
    })
    .await
}

fn checked(live: &Live, report: ReviewReport) -> Result<ReviewSubmission, Refused> {
    let ReviewReport { examined, findings, criteria, own_score, summary } = report;
    let nothing =
        ReviewBrief { categories: Vec::new(), criteria: Vec::new(), previous: Vec::new(), answers: Vec::new() };
    let asked = live.task.spec.review.as_ref().unwrap_or(&nothing);
    let stamp: RunStamp = live.stamp.clone();
    let examined = checked_examined(asked, examined)?;
    let findings = checked_findings(&examined, findings)?;
    let criteria = checked_criteria(asked, criteria)?;
    Ok(ReviewSubmission { stamp, examined, findings, criteria, own_score, summary: cut(&summary, MAX_TEXT) })
}

/// Categories that were asked for, each once, with words.
fn checked_examined(asked: &ReviewBrief, examined: Vec<Examined>) -> Result<Vec<Examined>, Refused> {
    if examined.len() > MAX_CATEGORIES {
        return Err(bad(format!("examined: at most {MAX_CATEGORIES}, not {}", examined.len())));
    }
    let mut seen = BTreeSet::new();
    let one = |(at, Examined { category, what }): (usize, Examined)| {
        let name = cut(&category, 80);
        if !asked.categories.contains(&category) {
            return Err(bad(format!("examined[{at}].category: {name} was not asked for")));
        }
        if !seen.insert(category.clone()) {
            return Err(bad(format!("examined[{at}].category: {name} is named twice")));
        }
        if what.trim().is_empty() {
            return Err(bad(format!("examined[{at}].what: say what was examined for {name}")));
        }
        Ok(Examined { category, what: cut(&what, MAX_EVIDENCE) })
    };
    examined.into_iter().enumerate().map(one).collect()
}

/// Findings in examined categories, the most severe first.
fn checked_findings(examined: &[Examined], findings: Vec<Finding>) -> Result<Vec<Finding>, Refused> {
    if findings.len() > MAX_FINDINGS {
        return Err(bad(format!("findings: at most {MAX_FINDINGS}, not {}", findings.len())));
    }
    let mut ids = BTreeSet::new();
    let one = |(at, finding): (usize, Finding)| {
        let Finding { id, rule, severity, path, line, message, evidence, recommendation, known } = finding;
        if id.is_empty() || id.chars().count() > MAX_ID || !ids.insert(id.clone()) {
            return Err(bad(format!("findings[{at}].id: 1 to {MAX_ID} characters, and each once")));
        }
        if !examined.iter().any(|examined| examined.category == rule) {
            return Err(bad(format!("findings[{at}].rule: {} is no category that was examined", cut(&rule, 80))));
        }
        if line < 0 || path.chars().count() > MAX_PATH {
            return Err(bad(format!("findings[{at}]: line from 0, path of at most {MAX_PATH} characters")));
        }
        if line == 0 && severity > Severity::Minor {
            return Err(bad(format!("findings[{at}].severity: without a place at most Minor, not {severity:?}")));
        }
        let text = |text: String| cut(&text, MAX_FINDING_TEXT);
        let (message, evidence, recommendation) = (text(message), text(evidence), text(recommendation));
        Ok(Finding { id, rule, severity, path, line, message, evidence, recommendation, known })
    };
    let mut findings = findings.into_iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let bytes = serde_json::to_vec(&findings).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_REVIEW_BYTES {
        return Err(bad(format!("findings: at most {MAX_REVIEW_BYTES} bytes together, not {bytes}")));
    }
    Ok(findings)
}

/// An opinion of every criterion that was asked for, each once, with words.
fn checked_criteria(asked: &ReviewBrief, criteria: Vec<CriterionOpinion>) -> Result<Vec<CriterionOpinion>, Refused> {
    if criteria.len() > MAX_CRITERIA {
        return Err(bad(format!("criteria: at most {MAX_CRITERIA}, not {}", criteria.len())));
    }
    let mut open: BTreeSet<&str> = asked.criteria.iter().map(|criterion| criterion.name.as_str()).collect();
    let mut judged = Vec::new();
    for (at, CriterionOpinion { name, opinion, evidence }) in criteria.into_iter().enumerate() {
        if !open.remove(name.as_str()) {
            return Err(bad(format!("criteria[{at}].name: {} was not asked for, or is named twice", cut(&name, 80))));
        }
        if evidence.trim().is_empty() {
            return Err(bad(format!("criteria[{at}].evidence: say why {name} is {opinion:?}")));
        }
        judged.push(CriterionOpinion { name, opinion, evidence: cut(&evidence, MAX_EVIDENCE) });
    }
    if open.is_empty() {
        return Ok(judged);
    }
    Err(bad(format!("criteria: no word about {}", open.into_iter().collect::<Vec<_>>().join(", "))))
}
