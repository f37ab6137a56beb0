//! Tables for the gate: what counts, what a Phase may change, and which problems are named.

use rstest::rstest;
use serde_json::{Value, json};

use std::collections::BTreeMap;

use super::{Gate, SEED_CATEGORIES};
use crate::api::{
    PhaseSpec, RepositorySpec,
    agent_task::AgentPod,
    common::Decimal,
    phase::{Blocked, BlockedReason, Waiver},
};

fn gate(repository: &RepositorySpec, phase: &PhaseSpec) -> Result<Gate, Vec<Blocked>> {
    super::gate(repository, phase, &[], &BTreeMap::new())
}

fn repository(fields: Value) -> RepositorySpec {
    let mut spec = json!({ "image": "alpine", "checks": [check("test", &["functionality"])] });
    merge(&mut spec, fields);
    serde_json::from_value(spec).unwrap()
}

fn phase(fields: Value) -> PhaseSpec {
    let mut spec = json!({
        "repositoryRef": { "name": "r" }, "number": 1, "version": "1.0.0",
        "tasks": [{ "name": "t", "description": "d" }],
    });
    merge(&mut spec, fields);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    into.as_object_mut().unwrap().extend(fields);
}

fn check(name: &str, categories: &[&str]) -> Value {
    json!({ "name": name, "script": "true", "categories": categories })
}

/// Name, weight, floor in tenths, and whether the Phase added it.
fn categories(repository: &RepositorySpec, phase: &PhaseSpec) -> Vec<(String, i32, u16, bool)> {
    let rubric = gate(repository, phase).unwrap().rubric;
    rubric.categories.into_iter().map(|c| (c.name, c.weight, c.floor.tenths(), c.added)).collect()
}

fn problems(repository: &RepositorySpec, phase: &PhaseSpec) -> Vec<Blocked> {
    gate(repository, phase).unwrap_err()
}

#[test]
fn the_seeds_weights_and_the_designs_floors_are_the_defaults() {
    let all: Vec<&str> = SEED_CATEGORIES.iter().map(|(name, ..)| *name).collect();
    let expected = [("code-quality", 30, 80), ("functionality", 25, 80), ("performance", 20, 70), ("security", 15, 90)]
        .into_iter()
        .chain([("documentation", 10, 60)])
        .map(|(name, weight, floor)| (name.to_owned(), weight, floor, false))
        .collect::<Vec<_>>();
    let repository = repository(json!({ "checks": [check("all", &all)] }));
    assert_eq!(categories(&repository, &phase(json!({}))), expected);
    assert_eq!(gate(&repository, &phase(json!({}))).unwrap().rubric.passing_score, Decimal::from_tenths(90));
}

#[test]
fn the_smallest_phase_has_a_gate_with_one_category_and_the_repositorys_image() {
    let gate = self::gate(&repository(json!({})), &phase(json!({}))).unwrap();
    assert_eq!(gate.checks[0].image.as_deref(), Some("alpine"));
    assert_eq!(gate.rubric.categories.len(), 1);
    assert_eq!(gate.hash.len(), 64);
}

#[test]
fn listed_categories_count_and_what_else_checks_feed_does_not() {
    let repository = repository(json!({
        "checks": [check("test", &["functionality", "security"])],
        "review": { "categories": [{ "name": "functionality", "weight": 7, "floor": "8.5" }] },
    }));
    assert_eq!(categories(&repository, &phase(json!({}))), [("functionality".to_owned(), 7, 85, false)]);
}

#[test]
fn a_phase_adds_categories_but_never_takes_one_away() {
    let phase = phase(json!({
        "checks": [check("docs", &["documentation"]), check("scan", &["security"])],
        "review": { "categories": [{ "name": "security", "floor": "9.5", "weight": 40 }] },
    }));
    let expected = [("functionality", 25, 80, false), ("security", 40, 95, true), ("documentation", 10, 60, true)]
        .map(|(name, weight, floor, added)| (name.to_owned(), weight, floor, added));
    assert_eq!(categories(&repository(json!({})), &phase), expected);
}

#[test]
fn a_category_listed_twice_has_the_stricter_floor() {
    let repository = repository(json!({
        "review": { "categories": [{ "name": "functionality", "floor": 9 }, { "name": "functionality", "floor": 2 }] },
    }));
    assert_eq!(categories(&repository, &phase(json!({}))), [("functionality".to_owned(), 25, 90, false)]);
}

#[rstest]
#[case::passing_score(json!({ "passingScore": "8.9" }), "spec.review.passingScore: 8.9 is below the Repository's 9.0")]
#[case::floor(json!({ "categories": [{ "name": "functionality", "floor": 7 }] }), "floor: 7.0 is below the Repository's 8.0")]
#[case::weight(json!({ "categories": [{ "name": "functionality", "weight": 1 }] }), "weights are the Repository's (25)")]
#[case::floor_of_an_added_category(json!({ "categories": [{ "name": "security", "floor": 3 }] }), "is below the default 9.0")]
fn a_phase_that_lowers_a_bar_weakens_the_gate(#[case] review: Value, #[case] message: &str) {
    let found =
        problems(&repository(json!({})), &phase(json!({ "review": review, "checks": [check("scan", &["security"])] })));
    assert!(
        found.iter().any(|b| b.reason == BlockedReason::WeakensGate && b.message.contains(message)),
        "{found:?} lacks {message:?}"
    );
}

#[rstest]
#[case::passing_score(json!({ "passingScore": "9.5" }))]
#[case::the_same_weight(json!({ "categories": [{ "name": "functionality", "weight": 25 }] }))]
#[case::floor(json!({ "categories": [{ "name": "functionality", "floor": 10 }] }))]
fn a_phase_may_raise_a_bar(#[case] review: Value) {
    assert!(gate(&repository(json!({})), &phase(json!({ "review": review }))).is_ok());
}

#[rstest]
#[case::name_taken(
    json!({}), json!({ "checks": [check("test", &["functionality"])] }), BlockedReason::CheckNameTaken, "rename it"
)]
#[case::no_image(json!({ "image": null }), json!({}), BlockedReason::CheckImageMissing, "no image for test")]
#[case::unknown_check(
    json!({}),
    json!({ "successCriteria": [{ "name": "c", "description": "d", "judge": "Checks", "provenBy": ["nope"] }] }),
    BlockedReason::CheckUnknown,
    "no check is named nope"
)]
#[case::no_checks(json!({ "checks": [] }), json!({}), BlockedReason::NoEvidencePossible, "no check and no reviewer")]
#[case::starved(
    json!({ "review": { "categories": [{ "name": "security" }, { "name": "functionality" }] } }),
    json!({}),
    BlockedReason::NoEvidencePossible,
    "no check and no reviewer feeds security"
)]
#[case::no_weight(
    json!({ "checks": [check("t", &["beauty"])] }), json!({}), BlockedReason::WeightMissing, "beauty is not one of"
)]
fn a_gate_that_cannot_work_names_the_field_and_the_remedy(
    #[case] of_repository: Value,
    #[case] of_phase: Value,
    #[case] reason: BlockedReason,
    #[case] message: &str,
) {
    let found = problems(&repository(of_repository), &phase(of_phase));
    assert_eq!(found.iter().map(|b| b.reason).collect::<Vec<_>>(), [reason], "{found:?}");
    assert!(found[0].message.contains(message), "{found:?}");
}

#[test]
fn seventeen_categories_are_too_many() {
    let names: Vec<String> = (0..17).map(|n| format!("c{n}")).collect();
    let listed: Vec<Value> = names.iter().map(|name| json!({ "name": name, "weight": 1 })).collect();
    let (in_repository, in_phase) = listed.split_at(10);
    let checks: Vec<Value> = names.iter().map(|name| check(name, &[name])).collect();
    let found = problems(
        &repository(json!({ "checks": checks, "review": { "categories": in_repository } })),
        &phase(json!({ "review": { "categories": in_phase } })),
    );
    assert_eq!(found[0].reason, BlockedReason::NoEvidencePossible);
    assert!(found[0].message.contains("17 categories"), "{found:?}");
}

#[test]
fn every_problem_is_named_at_once_and_in_a_stable_order() {
    let repository = repository(json!({ "image": null }));
    let phase = phase(json!({
        "checks": [check("test", &["functionality"])],
        "review": { "passingScore": 5 },
        "successCriteria": [{ "name": "c", "description": "d", "judge": "Checks", "provenBy": ["nope"] }],
    }));
    let found = problems(&repository, &phase);
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(found, sorted);
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn the_hash_ignores_the_order_of_a_manifest_and_sees_every_change_of_the_gate() {
    let two = |first: &str, second: &str| {
        repository(json!({ "checks": [check(first, &["functionality"]), check(second, &["functionality"])] }))
    };
    let hash = |repository: &RepositorySpec, phase: &PhaseSpec| gate(repository, phase).unwrap().hash;
    let plain = hash(&two("a", "b"), &phase(json!({})));
    assert_eq!(plain, hash(&two("b", "a"), &phase(json!({}))));
    assert_eq!(plain, hash(&two("a", "b"), &phase(json!({ "objective": "other", "review": { "focus": ["x"] } }))));
    for changed in [
        json!({ "review": { "passingScore": "9.1" } }),
        json!({ "review": { "categories": [{ "name": "functionality", "floor": "8.1" }] } }),
        json!({ "checks": [check("c", &["functionality"])] }),
        json!({ "successCriteria": [{ "name": "c", "description": "d", "judge": "Person" }] }),
    ] {
        assert_ne!(plain, hash(&two("a", "b"), &phase(changed.clone())), "{changed}");
    }
    let mut protected = two("a", "b");
    protected.protected_paths.push("Makefile".to_owned());
    assert_ne!(plain, hash(&protected, &phase(json!({}))));
}

fn pods(image: &str) -> BTreeMap<String, AgentPod> {
    BTreeMap::from([("eyes".to_owned(), AgentPod { image: image.to_owned(), ..AgentPod::default() })])
}

fn reviewer(name: &str, more: Value) -> Value {
    let mut reviewer = json!({ "name": name, "podTemplateRef": { "name": "eyes" } });
    merge(&mut reviewer, more);
    reviewer
}

#[expect(clippy::needless_pass_by_value, reason = "it is given a literal")]
fn reviewed(agents: Value) -> RepositorySpec {
    repository(json!({ "agents": agents }))
}

#[rstest]
#[case::one(json!({ "reviewer": { "podTemplateRef": { "name": "eyes" } } }), 5)]
#[case::several(json!({ "reviewers": [reviewer("a", json!({})), reviewer("b", json!({ "categories": ["security"] }))] }), 5)]
#[case::a_shadow_feeds_nothing(json!({ "reviewers": [reviewer("a", json!({ "shadow": true }))] }), 1)]
fn with_a_reviewer_that_counts_the_seeds_five_count(#[case] agents: Value, #[case] count: usize) {
    assert_eq!(categories(&reviewed(agents), &phase(json!({}))).len(), count);
}

#[test]
fn the_one_reviewer_examines_every_category_that_counts_with_the_focus_of_the_review() {
    let mut of_repository = reviewed(json!({ "reviewer": { "podTemplateRef": { "name": "eyes" } } }));
    of_repository.review = serde_json::from_value(json!({ "focus": ["errors"] })).unwrap();
    let found = super::gate(&of_repository, &phase(json!({})), &[], &pods("i")).unwrap();
    let [one] = found.reviewers.as_slice() else { panic!("{:?}", found.reviewers) };
    assert_eq!(
        (one.name.as_str(), one.categories.len(), one.focus.as_slice()),
        ("reviewer", 5, &["errors".to_owned()][..])
    );
    assert_eq!(one.pod.as_ref().map(|pod| pod.image.as_str()), Some("i"));
}

#[rstest]
#[case::name_taken(json!({ "reviewers": [reviewer("test", json!({}))] }), json!({}), BlockedReason::CheckNameTaken, "test")]
#[case::nothing_to_examine(
    json!({ "reviewers": [reviewer("a", json!({})), reviewer("b", json!({ "categories": ["beauty"] }))] }), json!({}),
    BlockedReason::NoEvidencePossible, "b examines no category that counts"
)]
#[case::only_a_shadow_could_judge(
    json!({ "reviewers": [reviewer("a", json!({ "shadow": true }))] }),
    json!({ "successCriteria": [{ "name": "c", "description": "d", "judge": "Reviewer" }] }),
    BlockedReason::CriterionUnprovable, "spec.successCriteria: c is for a reviewer"
)]
#[case::one_category_of_the_five_is_fed_by_nobody(
    json!({ "reviewers": [reviewer("a", json!({ "categories": ["security", "documentation", "performance"] }))] }),
    json!({}), BlockedReason::NoEvidencePossible, "no check and no reviewer feeds code-quality"
)]
fn reviewers_that_cannot_work_block_the_phase(
    #[case] agents: Value,
    #[case] of_phase: Value,
    #[case] reason: BlockedReason,
    #[case] message: &str,
) {
    let found = problems(&reviewed(agents), &phase(of_phase));
    assert_eq!(found.iter().map(|b| b.reason).collect::<Vec<_>>(), [reason], "{found:?}");
    assert!(found[0].message.contains(message), "{found:?}");
}

#[test]
fn the_hash_sees_reviewers_their_pods_and_waivers() {
    let agents = |more: Value| reviewed(json!({ "reviewers": [reviewer("a", more)] }));
    let waiver = |finding: &str, user: &str| Waiver {
        decision_uid: user.to_owned(),
        user: user.to_owned(),
        findings: vec![finding.to_owned()],
        criteria: Vec::new(),
        reason: "why".to_owned(),
        until: None,
    };
    let hash = |repository: &RepositorySpec, waivers: &[Waiver], image: &str| {
        super::gate(repository, &phase(json!({})), waivers, &pods(image)).unwrap().hash
    };
    let plain = hash(&agents(json!({})), &[], "i");
    for (what, changed) in [
        ("no reviewer", hash(&reviewed(json!({})), &[], "i")),
        ("another image", hash(&agents(json!({})), &[], "other")),
        ("another focus", hash(&agents(json!({ "focus": ["x"] })), &[], "i")),
        ("a waiver", hash(&agents(json!({})), &[waiver("f", "ada")], "i")),
    ] {
        assert_ne!(plain, changed, "{what}");
    }
    let by = |user: &str| hash(&agents(json!({})), &[waiver("f", user)], "i");
    assert_eq!(by("ada"), by("grace"), "what is waived is part of the gate, who waived it is not");
}
