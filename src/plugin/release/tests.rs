//! Release plans, compared with golden files.

use serde_json::{Value, json};

use super::*;
use crate::plugin::fixtures;

/// A phase of repository `alicia` in this state, with a merge if it has one.
fn phase(number: i32, version: &str, status: &Value, spec: &Value) -> Phase {
    let mut value = serde_json::to_value(fixtures::phase(number, status)).unwrap();
    value["spec"]["version"] = json!(version);
    value["spec"]["objective"] = json!(format!("Objective {number}\n# of the phase"));
    for (field, given) in spec.as_object().unwrap() {
        value["spec"][field] = given.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn passed(number: i32, version: &str, day: u32, spec: &Value) -> Phase {
    let status = json!({
        "observedGeneration": 1, "state": "Passed", "attempt": 2, "stateSince": format!("2026-01-{day:02}T10:00:00Z"),
        "summary": {"attempt": "2/3", "score": "9.91"},
        "merge": {"commit": format!("{number}f2c1ab7e6d5c4b3a2918070605040302010ffee"), "tag": format!("phase-{number}-v{version}")},
    });
    phase(number, version, &status, spec)
}

fn release() -> Value {
    json!({"release": {"tag": true}})
}

fn plan(phase: &Phase, all: &[Phase]) -> ReleasePlan {
    prepare_release(phase, all, &[], None).unwrap()
}

fn names(plan: &ReleasePlan) -> Vec<&str> {
    plan.phases.iter().map(|phase| phase.name.as_str()).collect()
}

/// The third phase is before a person; the first made a release.
fn line() -> Vec<Phase> {
    let mut second = serde_json::to_value(passed(2, "1.1.0", 5, &json!({}))).unwrap();
    second["status"]["usedDecisions"] = json!(["d-1"]);
    second["status"]["approval"] = json!({"decisionUID": "d-2", "user": "grace", "commit": "2f"});
    second["status"]["waivers"] = json!([{"decisionUID": "d-3", "user": "ada", "findings": ["0123456789abcdef"],
        "criteria": ["mqtt"], "reason": "known\n- and harmless"}]);
    let third = fixtures::awaiting();
    let spec = json!({"release": {"tag": true, "milestone": "voice"}});
    vec![passed(1, "1.0.0", 2, &release()), serde_json::from_value(second).unwrap(), phase(3, "1.2.0", &third, &spec)]
}

fn decisions() -> Vec<Decision> {
    let decision = |uid: &str, kind: &str, note: &str| {
        serde_json::from_value(json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Decision",
            "metadata": {"name": uid, "uid": uid, "creationTimestamp": "2026-01-04T00:00:00Z"},
            "spec": {"type": kind, "phase": "alicia-2", "phaseUID": "uid-2", "attempt": 1, "user": "ada", "note": note},
        }))
        .unwrap()
    };
    vec![decision("d-1", "Retry", "mind the port"), decision("d-9", "Retry", "was ignored")]
}

#[test]
fn a_release_to_come_is_shown_before_anything_is_done() {
    let all = line();
    let plan = prepare_release(&all[2], &all, &decisions(), None).unwrap();
    insta::assert_snapshot!("release_to_come", markdown(&plan));
    insta::assert_snapshot!("release_to_come_json", serde_json::to_string_pretty(&plan).unwrap());
}

/// A rollback of the first was given up in March; the second is being taken back.
#[test]
fn what_became_of_a_phase_later_does_not_move_its_merge() {
    let mut all = line();
    all.push(passed(4, "1.3.0", 9, &release()));
    for (place, day, state, since) in
        [(0, 2, "Passed", "2026-03-01T10:00:00Z"), (1, 5, "RollingBack", "2026-03-02T10:00:00Z")]
    {
        let mut changed = serde_json::to_value(&all[place]).unwrap();
        changed["status"]["state"] = json!(state);
        changed["status"]["stateSince"] = json!(since);
        changed["status"]["merge"]["at"] = json!(format!("2026-01-{day:02}T10:00:00Z"));
        all[place] = serde_json::from_value(changed).unwrap();
    }
    let last = plan(&all[3], &all);
    assert_eq!((last.since.as_ref().unwrap().phase.as_str(), names(&last)), ("alicia-1", vec!["alicia-2", "alicia-4"]));
    let second = plan(&all[1], &all);
    assert_eq!(names(&second), ["alicia-2"], "what was merged after it is of a later release");
}

#[test]
fn a_release_that_was_made_is_shown_as_it_was() {
    let mut all = line();
    all.push(passed(4, "1.3.0", 9, &release()));
    all[2] = passed(3, "1.2.0", 7, &release());
    let plan = plan(&all[2], &all);
    assert_eq!((names(&plan), plan.open.len()), (vec!["alicia-2", "alicia-3"], 0));
    let tags: Vec<_> = plan.tags.iter().map(|tag| (tag.name.as_str(), tag.state)).collect();
    assert_eq!(tags, [("phase-3-v1.2.0", TagState::Exists), ("release-v1.2.0", TagState::Exists)]);
}

/// Its release tag completes a hotfix: it is a release without being asked for one, and what comes later begins after it.
#[test]
fn a_hotfix_is_a_release_of_its_own() {
    let mut hotfix = serde_json::to_value(passed(2, "1.0.1", 4, &json!({}))).unwrap();
    hotfix["metadata"]["name"] = json!("login");
    hotfix["spec"]["number"] = json!(null);
    hotfix["spec"]["hotfix"] = json!("broker-login");
    hotfix["status"]["merge"]["tag"] = json!("release-v1.0.1");
    let hotfix: Phase = serde_json::from_value(hotfix).unwrap();
    let all = [passed(1, "1.0.0", 2, &json!({})), hotfix, passed(3, "1.1.0", 6, &release())];
    let made = plan(&all[1], &all);
    assert_eq!((names(&made), made.open.len()), (vec!["alicia-1", "login"], 0));
    assert_eq!(made.phases[1].title, "hotfix broker-login");
    let tags: Vec<_> = made.tags.iter().map(|tag| (tag.name.as_str(), tag.state)).collect();
    assert_eq!(tags, [("release-v1.0.1", TagState::Exists)]);
    // The version of its manifest may be another one by now.
    let mut raised = all.clone();
    raised[1].spec.version = "1.0.2".to_owned();
    let since = plan(&raised[2], &raised).since.unwrap();
    assert_eq!((since.tag.as_str(), since.phase.as_str()), ("release-v1.0.1", "login"));
}

#[test]
fn without_a_release_before_it_begins_with_the_first_phase() {
    let all = [passed(1, "1.0.0", 2, &json!({})), passed(2, "1.1.0", 3, &release())];
    let plan = plan(&all[1], &all);
    assert_eq!((names(&plan), plan.since.as_ref()), (vec!["alicia-1", "alicia-2"], None));
}

#[test]
fn what_was_taken_back_is_left_out_and_its_tag_is_taken() {
    let status = json!({"observedGeneration": 1, "state": "RolledBack", "attempt": 1,
        "rollback": {"merge": "1f2c1ab", "tag": "phase-1-v1.0.0", "reason": "nobody should leave"}});
    let taken_back = phase(1, "1.0.0", &status, &release());
    let all = [taken_back.clone(), passed(2, "1.1.0", 3, &release())];
    assert_eq!(names(&plan(&all[1], &all)), ["alicia-2"]);
    assert!(markdown(&plan(&all[1], &all)).contains("- alicia-1, tag phase-1-v1.0.0 stays: nobody should leave"));
    let again = plan(&taken_back, &all);
    assert_eq!((again.tags[0].state, again.tags[0].by.as_deref()), (TagState::Taken, Some("alicia-1")));
    assert!(again.open.iter().any(|line| line.ends_with("raise spec.version")), "{:?}", again.open);
}

#[test]
fn a_version_of_another_release_is_said_to_be_taken() {
    let all = [passed(1, "1.0.0", 2, &release()), phase(2, "1.0.0", &fixtures::developing(), &release())];
    let plan = plan(&all[1], &all);
    let tags: Vec<_> = plan.tags.iter().map(|tag| (tag.name.as_str(), tag.state, tag.by.as_deref())).collect();
    let expected = [("phase-2-v1.0.0", TagState::Planned, None), ("release-v1.0.0", TagState::Taken, Some("alicia-1"))];
    assert_eq!(tags, expected);
}

#[test]
fn phases_of_another_repository_are_no_part_of_it() {
    let other = passed(1, "1.0.0", 2, &json!({"repositoryRef": {"name": "other"}}));
    let all = [other, passed(2, "1.1.0", 3, &release())];
    assert_eq!(names(&plan(&all[1], &all)), ["alicia-2"]);
}

#[test]
fn what_was_given_up_makes_no_release() {
    let given_up = phase(1, "1.0.0", &json!({"observedGeneration": 1, "state": "Failed"}), &release());
    let error = prepare_release(&given_up, &[], &[], None).unwrap_err().to_string();
    assert!(error.starts_with("alicia-1 was given up"), "{error}");
}
