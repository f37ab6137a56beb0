//! The gate of a phase: the checks of Repository and Phase together, and what a score must reach.
//! A Phase adds checks and raises bars; whatever would lower one is a problem with a remedy.
//!
//! Evidence and scores do not belong here.

mod reviewers;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::cut;
use crate::api::{
    PhaseSpec, RepositorySpec,
    agent_task::AgentPod,
    check::Check,
    common::{Category, Decimal, Duration, Review},
    phase::{Blocked, BlockedReason, Judge, SuccessCriterion, Waiver},
    review_result::{CriterionToJudge, Rubric, RubricCategory},
};

/// Weighted score that passes unless the Repository sets another (seed: Quality Gate Rules).
pub const PASSING_SCORE: Decimal = Decimal::from_tenths(90);

/// The seed's categories with its weights, and the floors of design §7.
pub const SEED_CATEGORIES: [(&str, i32, Decimal); 5] = [
    ("code-quality", 30, Decimal::from_tenths(80)),
    ("functionality", 25, Decimal::from_tenths(80)),
    ("performance", 20, Decimal::from_tenths(70)),
    ("security", 15, Decimal::from_tenths(90)),
    ("documentation", 10, Decimal::from_tenths(60)),
];

/// Most categories that can count (the limit of the API).
const MAX_CATEGORIES: usize = 16;

/// Everything a judgement depends on but the code.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The Repository's checks, then the Phase's. Each has its image.
    pub checks: Vec<Check>,
    /// The Phase's success criteria.
    pub criteria: Vec<CriterionToJudge>,
    /// What a score must reach.
    pub rubric: Rubric,
    /// What the review looks at in particular: the Repository's points, then the Phase's.
    pub focus: Vec<String>,
    /// The reviewers, in the Repository's order.
    pub reviewers: Vec<GateReviewer>,
    /// Paths that only a person may change, as git pathspecs.
    pub protected_paths: Vec<String>,
    /// What persons have waived, and still holds.
    pub waivers: Vec<Waiver>,
    /// [`gate_hash`] of all this.
    pub hash: String,
}

/// One reviewer of the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateReviewer {
    /// Its name: `reviewer` for the one of `spec.agents.reviewer`.
    pub name: String,
    /// The PodTemplate it runs from.
    pub template: String,
    /// Its pod, once the PodTemplate is there and can be taken over.
    pub pod: Option<AgentPod>,
    /// Categories it examines.
    pub categories: Vec<String>,
    /// What it looks at: the review's focus and its own.
    pub focus: Vec<String>,
    /// Recorded and shown, not counted.
    pub shadow: bool,
    /// Longest time of one run, if set.
    pub timeout: Option<Duration>,
}

/// Puts the gate of a phase together. `waivers` are those that hold now, `pods` the reviewers' PodTemplates that can be
/// taken over.
///
/// # Errors
///
/// Every problem at once, each naming the field and the remedy, in a stable order.
pub fn gate(
    repository: &RepositorySpec,
    phase: &PhaseSpec,
    waivers: &[Waiver],
    pods: &BTreeMap<String, AgentPod>,
) -> Result<Gate, Vec<Blocked>> {
    let mut problems = Vec::new();
    let checks = checks(repository, phase, &mut problems);
    let rubric = rubric(repository, phase, &mut problems);
    let focus = focus(repository.review.as_ref(), phase.review.as_ref());
    let reviewers = reviewers::reviewers(repository, &rubric, &focus, pods);
    reviewers::problems(&reviewers, &checks, &rubric, &phase.success_criteria, &mut problems);
    unknown_checks(&checks, &phase.success_criteria, &mut problems);
    if !problems.is_empty() {
        problems.sort();
        problems.dedup();
        return Err(problems);
    }
    let mut gate = Gate {
        checks,
        criteria: phase.success_criteria.iter().map(criterion).collect(),
        rubric,
        focus,
        reviewers,
        protected_paths: repository.protected_paths.clone(),
        waivers: waivers.to_vec(),
        hash: String::new(),
    };
    gate.hash = gate_hash(&gate);
    Ok(gate)
}

/// SHA-256, in hex, over the canonical JSON of checks with their images, criteria, rubric, reviewers with their pods
/// and focus, protected paths, and waivers. The order in which a manifest lists them changes nothing.
pub fn gate_hash(gate: &Gate) -> String {
    let Gate { checks, criteria, rubric, focus: _, reviewers, protected_paths, waivers, hash: _ } = gate;
    let mut checks: Vec<&Check> = checks.iter().collect();
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    let mut criteria: Vec<&CriterionToJudge> = criteria.iter().collect();
    criteria.sort_by(|a, b| a.name.cmp(&b.name));
    let mut categories: Vec<&RubricCategory> = rubric.categories.iter().collect();
    categories.sort_by(|a, b| a.name.cmp(&b.name));
    let paths: BTreeSet<&String> = protected_paths.iter().collect();
    let mut reviewers: Vec<&GateReviewer> = reviewers.iter().collect();
    reviewers.sort_by(|a, b| a.name.cmp(&b.name));
    let waived: BTreeSet<&String> = waivers.iter().flat_map(|waiver| &waiver.findings).collect();
    let waived_criteria: BTreeSet<&String> = waivers.iter().flat_map(|waiver| &waiver.criteria).collect();
    let all = json!({
        "checks": checks,
        "criteria": criteria,
        "passingScore": rubric.passing_score,
        "categories": categories,
        "protectedPaths": paths,
        "reviewers": reviewers.into_iter().map(reviewers::hashed).collect::<Vec<_>>(),
        "waived": [waived, waived_criteria],
    });
    hex::encode(Sha256::digest(canonical(all).to_string()))
}

/// The same value with the keys of every object in order, whatever map serde_json was built with.
pub(super) fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(canonical).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn criterion(criterion: &SuccessCriterion) -> CriterionToJudge {
    let SuccessCriterion { name, description, judge, proven_by } = criterion.clone();
    CriterionToJudge { name, description, judge, proven_by }
}

fn focus(repository: Option<&Review>, phase: Option<&Review>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    [repository, phase]
        .into_iter()
        .flatten()
        .flat_map(|review| &review.focus)
        .filter(|point| seen.insert(*point))
        .cloned()
        .collect()
}

fn blocked(reason: BlockedReason, message: &str) -> Blocked {
    Blocked { reason, message: cut(message, 1024) }
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The Repository's checks and then the Phase's, each with its image.
fn checks(repository: &RepositorySpec, phase: &PhaseSpec, problems: &mut Vec<Blocked>) -> Vec<Check> {
    let mut seen = BTreeSet::new();
    let all = repository.checks.iter().chain(&phase.checks);
    let (first, taken): (Vec<&Check>, Vec<&Check>) = all.partition(|check| seen.insert(check.name.as_str()));
    if !taken.is_empty() {
        let message = format!(
            "spec.checks: the Repository has a check of this name already: {}; rename it in the Phase",
            names(taken.iter().map(|check| check.name.as_str()))
        );
        problems.push(blocked(BlockedReason::CheckNameTaken, &message));
    }
    let checks: Vec<Check> = first
        .into_iter()
        .cloned()
        .map(|check| match check.external {
            Some(_) => check,
            None => Check { image: check.image.or_else(|| repository.image.clone()), ..check },
        })
        .collect();
    let imageless = |check: &&Check| check.image.is_none() && check.external.is_none();
    let bare = names(checks.iter().filter(imageless).map(|check| check.name.as_str()));
    if !bare.is_empty() {
        let message =
            format!("spec.checks[].image: no image for {bare}; set it, or spec.image of the Repository for all checks");
        problems.push(blocked(BlockedReason::CheckImageMissing, &message));
    }
    checks
}

fn unknown_checks(checks: &[Check], criteria: &[SuccessCriterion], problems: &mut Vec<Blocked>) {
    let known = |name: &String| checks.iter().any(|check| check.name == *name);
    for criterion in criteria.iter().filter(|criterion| criterion.judge == Judge::Checks) {
        let unknown = names(criterion.proven_by.iter().filter(|name| !known(name)).map(String::as_str));
        if !unknown.is_empty() {
            let message = format!(
                "spec.successCriteria[{}].provenBy: no check is named {unknown}; correct the name, or add the check to \
                 spec.checks of the Phase or the Repository",
                criterion.name
            );
            problems.push(blocked(BlockedReason::CheckUnknown, &message));
        }
    }
}

/// What a score must reach: the Repository's bars, raised by the Phase.
fn rubric(repository: &RepositorySpec, phase: &PhaseSpec, problems: &mut Vec<Blocked>) -> Rubric {
    let mut categories = own_categories(repository, problems);
    let raised = phase.review.as_ref().map_or(&[][..], |review| &review.categories);
    for category in raised {
        match categories.iter_mut().find(|known| known.name == category.name) {
            Some(known) => raise(known, category, problems),
            None => categories.extend(add(category, problems)),
        }
    }
    if listed(repository).is_empty() {
        for name in fed(&phase.checks) {
            if !categories.iter().any(|known| known.name == name) {
                categories.extend(counted(&bare(name), "spec.checks[].categories of the Phase", true, problems));
            }
        }
    }
    enough_evidence(repository, phase, &categories, problems);
    Rubric { passing_score: passing_score(repository, phase, problems), categories }
}

fn passing_score(repository: &RepositorySpec, phase: &PhaseSpec, problems: &mut Vec<Blocked>) -> Decimal {
    let of = |review: &Option<Review>| review.as_ref().and_then(|review| review.passing_score);
    let own = of(&repository.review).unwrap_or(PASSING_SCORE);
    let raised = of(&phase.review).unwrap_or(own);
    if raised < own {
        let message = format!(
            "spec.review.passingScore: {raised} is below the Repository's {own}; a Phase may only raise it: remove it or \
             set at least {own}"
        );
        problems.push(blocked(BlockedReason::WeakensGate, &message));
    }
    raised.max(own)
}

fn listed(repository: &RepositorySpec) -> &[Category] {
    repository.review.as_ref().map_or(&[], |review| &review.categories)
}

/// Categories that checks feed, each once, in order of appearance.
fn fed(checks: &[Check]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    checks.iter().flat_map(|check| &check.categories).map(String::as_str).filter(|name| seen.insert(*name)).collect()
}

fn bare(name: &str) -> Category {
    Category { name: name.to_owned(), weight: None, floor: None }
}

/// The categories that count without the Phase: those listed, or else the seed's five if there is a reviewer, and
/// those the checks feed.
fn own_categories(repository: &RepositorySpec, problems: &mut Vec<Blocked>) -> Vec<RubricCategory> {
    let mut categories: Vec<RubricCategory> = Vec::new();
    if listed(repository).is_empty() {
        if reviewers::any(repository) {
            for (name, ..) in SEED_CATEGORIES {
                categories.extend(counted(&bare(name), "spec.review.categories", false, problems));
            }
        }
        for name in fed(&repository.checks) {
            if categories.iter().any(|known| known.name == name) {
                continue;
            }
            categories.extend(counted(&bare(name), "spec.checks[].categories of the Repository", false, problems));
        }
        return categories;
    }
    for category in listed(repository) {
        let next = counted(category, "spec.review.categories of the Repository", false, problems);
        match (categories.iter_mut().find(|known| known.name == category.name), next) {
            // Listed twice: the stricter floor, so that a second entry cannot hide the first.
            (Some(known), Some(next)) => known.floor = known.floor.max(next.floor),
            (None, Some(next)) => categories.push(next),
            (_, None) => {}
        }
    }
    categories
}

/// A category with its defaults filled in. None, and a problem, when nobody gave it a weight.
fn counted(category: &Category, field: &str, added: bool, problems: &mut Vec<Blocked>) -> Option<RubricCategory> {
    let seed = SEED_CATEGORIES.iter().find(|(name, ..)| *name == category.name);
    let Some(weight) = category.weight.or(seed.map(|(_, weight, _)| *weight)) else {
        let message = format!(
            "{field}: {} is not one of the seed's five categories and has no weight; give it one in \
             spec.review.categories, beside every other category that counts",
            category.name
        );
        problems.push(blocked(BlockedReason::WeightMissing, &message));
        return None;
    };
    let floor = category.floor.or(seed.map(|(.., floor)| *floor)).unwrap_or(Decimal::from_tenths(0));
    Some(RubricCategory { name: category.name.clone(), weight, floor, added })
}

/// A category that only the Phase counts. Its floor is at least the default.
fn add(category: &Category, problems: &mut Vec<Blocked>) -> Option<RubricCategory> {
    let mut added = counted(&bare_with_weight(category), "spec.review.categories of the Phase", true, problems)?;
    raise_floor(&mut added, category, "the default", problems);
    Some(added)
}

fn bare_with_weight(category: &Category) -> Category {
    Category { floor: None, ..category.clone() }
}

/// Raises the floor of a category that counts already.
fn raise(known: &mut RubricCategory, category: &Category, problems: &mut Vec<Blocked>) {
    if category.weight.is_some_and(|weight| weight != known.weight) {
        let message = format!(
            "spec.review.categories[{}].weight: weights are the Repository's ({}), since another one may let a weak \
             category count less; remove it from the Phase",
            known.name, known.weight
        );
        problems.push(blocked(BlockedReason::WeakensGate, &message));
    }
    raise_floor(known, category, "the Repository's", problems);
}

fn raise_floor(known: &mut RubricCategory, category: &Category, whose: &str, problems: &mut Vec<Blocked>) {
    let Some(floor) = category.floor else { return };
    if floor < known.floor {
        let message = format!(
            "spec.review.categories[{}].floor: {floor} is below {whose} {}; a Phase may only raise it: remove it or set \
             at least {}",
            known.name, known.floor, known.floor
        );
        problems.push(blocked(BlockedReason::WeakensGate, &message));
    }
    known.floor = known.floor.max(floor);
}

/// Every category that counts needs a check or a reviewer that feeds it.
fn enough_evidence(
    repository: &RepositorySpec,
    phase: &PhaseSpec,
    categories: &[RubricCategory],
    problems: &mut Vec<Blocked>,
) {
    let reviewed = reviewers::fed(repository, categories);
    let evident: BTreeSet<&str> =
        fed(&repository.checks).into_iter().chain(fed(&phase.checks)).chain(reviewed).collect();
    if evident.is_empty() {
        let message = "spec.checks: no check and no reviewer, so nothing can be judged; add a check to the Repository or \
                       the Phase, or a reviewer to spec.agents of the Repository";
        problems.push(blocked(BlockedReason::NoEvidencePossible, message));
        return;
    }
    let starved = categories.iter().map(|category| category.name.as_str()).filter(|name| !evident.contains(name));
    let starved = names(starved);
    if !starved.is_empty() {
        let message = format!(
            "spec.review.categories: no check and no reviewer feeds {starved}; add it to spec.checks[].categories of a \
             check that measures it, let a reviewer examine it, or do not count it"
        );
        problems.push(blocked(BlockedReason::NoEvidencePossible, &message));
    }
    if categories.len() > MAX_CATEGORIES {
        let message = format!(
            "spec.review.categories: {} categories count, at most {MAX_CATEGORIES} can; let the checks feed fewer",
            categories.len()
        );
        problems.push(blocked(BlockedReason::NoEvidencePossible, &message));
    }
}

#[cfg(test)]
mod tests;
