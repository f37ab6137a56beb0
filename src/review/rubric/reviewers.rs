//! The reviewers of a gate: who examines what, and what only they can prove.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{GateReviewer, blocked, names};
use crate::api::{
    RepositorySpec,
    agent_task::AgentPod,
    check::Check,
    phase::{Blocked, BlockedReason, Judge, SuccessCriterion},
    repository::{Agents, Reviewer},
    review_result::{Rubric, RubricCategory},
};

/// Name of the reviewer of `spec.agents.reviewer`.
const ONE: &str = "reviewer";

/// The reviewers as the Repository lists them; the one of `reviewer` under the name of the field.
fn declared(repository: &RepositorySpec) -> Vec<Reviewer> {
    let Some(Agents { developer: _, reviewer, reviewers }) = &repository.agents else { return Vec::new() };
    let one = reviewer.iter().map(|profile| Reviewer {
        name: ONE.to_owned(),
        pod_template_ref: profile.pod_template_ref.clone(),
        categories: Vec::new(),
        focus: Vec::new(),
        shadow: false,
        timeout: None,
    });
    one.chain(reviewers.iter().cloned()).collect()
}

/// Whether a reviewer counts.
pub(super) fn any(repository: &RepositorySpec) -> bool {
    declared(repository).iter().any(|reviewer| !reviewer.shadow)
}

/// Categories that reviewers feed, of those that count.
pub(super) fn fed<'a>(repository: &RepositorySpec, categories: &'a [RubricCategory]) -> Vec<&'a str> {
    let reviewers: Vec<Reviewer> = declared(repository).into_iter().filter(|reviewer| !reviewer.shadow).collect();
    let examines = |name: &&str| {
        let examined = |reviewer: &Reviewer| {
            reviewer.categories.is_empty() || reviewer.categories.iter().any(|category| category == name)
        };
        reviewers.iter().any(examined)
    };
    categories.iter().map(|category| category.name.as_str()).filter(examines).collect()
}

/// The reviewers of the gate.
pub(super) fn reviewers(
    repository: &RepositorySpec,
    rubric: &Rubric,
    focus: &[String],
    pods: &BTreeMap<String, AgentPod>,
) -> Vec<GateReviewer> {
    let counts = |name: &String| rubric.categories.iter().any(|category| category.name == *name);
    declared(repository)
        .into_iter()
        .map(|Reviewer { name, pod_template_ref, categories, focus: own, shadow, timeout }| GateReviewer {
            name,
            pod: pods.get(&pod_template_ref.name).cloned(),
            template: pod_template_ref.name,
            categories: if categories.is_empty() {
                rubric.categories.iter().map(|category| category.name.clone()).collect()
            } else {
                categories.into_iter().filter(counts).collect()
            },
            focus: focus.iter().chain(&own).cloned().collect(),
            shadow,
            timeout,
        })
        .collect()
}

/// What of a reviewer is part of the gate's hash: all of it.
pub(super) fn hashed(reviewer: &GateReviewer) -> Value {
    let GateReviewer { name, template, pod, categories, focus, shadow, timeout } = reviewer;
    json!({
        "name": name, "template": template, "pod": pod, "categories": categories, "focus": focus, "shadow": shadow,
        "timeout": timeout,
    })
}

/// Names that are taken, reviewers that examine nothing, and criteria that nobody can judge.
pub(super) fn problems(
    reviewers: &[GateReviewer],
    checks: &[Check],
    rubric: &Rubric,
    criteria: &[SuccessCriterion],
    problems: &mut Vec<Blocked>,
) {
    let known: BTreeSet<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let taken = names(reviewers.iter().map(|reviewer| reviewer.name.as_str()).filter(|name| known.contains(name)));
    if !taken.is_empty() {
        let message = format!(
            "spec.agents of the Repository: a check has the name of a reviewer already: {taken}; rename one of the two"
        );
        problems.push(blocked(BlockedReason::CheckNameTaken, &message));
    }
    let idle = names(reviewers.iter().filter(|reviewer| reviewer.categories.is_empty()).map(|r| r.name.as_str()));
    if !idle.is_empty() && !rubric.categories.is_empty() {
        let message = format!(
            "spec.agents.reviewers[].categories of the Repository: {idle} examines no category that counts; name one of \
             {}, or remove the reviewer",
            names(rubric.categories.iter().map(|category| category.name.as_str()))
        );
        problems.push(blocked(BlockedReason::NoEvidencePossible, &message));
    }
    let asked = criteria.iter().filter(|criterion| criterion.judge == Judge::Reviewer);
    let asked = names(asked.map(|criterion| criterion.name.as_str()));
    if !asked.is_empty() && reviewers.iter().all(|reviewer| reviewer.shadow) {
        let message = format!(
            "spec.successCriteria: {asked} is for a reviewer to judge, and the Repository has none that counts; set \
             spec.agents.reviewer of the Repository, or let Checks or a Person judge it"
        );
        problems.push(blocked(BlockedReason::CriterionUnprovable, &message));
    }
}
