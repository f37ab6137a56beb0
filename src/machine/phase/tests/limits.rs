//! Whatever happens, the status fits what the API server takes: one that does not could never be
//! written, and the phase would stand still.

use jiff::Timestamp;
use kube::CustomResourceExt as _;
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    api::{
        Phase,
        agent_task::FailureClass,
        common::Backoff,
        phase::{Blocked, BlockedReason, EscalationReason, PhaseState, PhaseStatus},
        review_result::Verdict,
    },
    machine::phase::{Change, REWORK, Stamp, Waived, project},
};

/// Every way in which the value does not fit the schema, by its path.
fn misfits(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let limit = |key: &str| schema[key].as_u64().map(|limit| usize::try_from(limit).unwrap());
    match value {
        Value::String(text) => {
            if limit("maxLength").is_some_and(|most| text.chars().count() > most) {
                found.push(format!("{path}: {} characters", text.chars().count()));
            }
            if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
                found.push(format!("{path}: {text}"));
            }
        }
        Value::Array(items) => {
            if limit("maxItems").is_some_and(|most| items.len() > most) {
                found.push(format!("{path}: {} items", items.len()));
            }
            for item in items {
                misfits(&schema["items"], item, &format!("{path}[]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                assert!(schema["properties"][name].is_object(), "{path}.{name} is not in the schema");
                misfits(&schema["properties"][name], field, &format!("{path}.{name}"), found);
            }
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            found.extend(
                required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{path}.{name} missing")),
            );
        }
        Value::Number(number) => {
            if schema["minimum"].as_f64().is_some_and(|least| number.as_f64().unwrap() < least) {
                found.push(format!("{path}: {number}"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn status_schema() -> Value {
    let crd = serde_json::to_value(Phase::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
}

/// Texts of any length, of characters of any width.
fn text() -> impl Strategy<Value = String> {
    (
        prop_oneof![Just('x'), Just('ü'), Just('𝄞'), any::<char>()],
        prop_oneof![0..40_usize, 900..1100_usize, 4000..6000_usize],
    )
        .prop_map(|(character, length)| character.to_string().repeat(length))
}

fn commit() -> impl Strategy<Value = String> {
    "[0-9a-f]{40}([0-9a-f]{24})?"
}

/// Names as the schema of the spec takes them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(REWORK.to_owned()), Just("a".to_owned()), "[a-z0-9]{1,40}"]
}

fn state() -> impl Strategy<Value = PhaseState> {
    use PhaseState as S;
    prop::sample::select(vec![
        S::Preparing,
        S::Developing,
        S::Reviewing,
        S::Backoff,
        S::AwaitingApproval,
        S::Merging,
        S::Escalated,
        S::Passed,
        S::RollingBack,
        S::RolledBack,
    ])
}

fn reason() -> impl Strategy<Value = EscalationReason> {
    use EscalationReason as R;
    prop::sample::select(vec![R::AttemptsExhausted, R::PhaseTimeout, R::Conflict, R::TaskFailed])
}

fn blocked() -> impl Strategy<Value = Blocked> {
    text().prop_map(|message| Blocked { reason: BlockedReason::PodTemplateInvalid, message })
}

fn change() -> impl Strategy<Value = Change> {
    let verdict = prop::sample::select(vec![Verdict::Pass, Verdict::Fail, Verdict::Inconclusive]);
    prop_oneof![
        state().prop_map(Change::Enter),
        Just(Change::RestartClock),
        Just(Change::DropReview),
        Just(Change::DropRevert),
        Just(Change::BeginAnew),
        (text(), text()).prop_map(|(user, reason)| Change::BeginRollback { uid: "d".repeat(36), user, reason }),
        (commit(), commit(), commit()).prop_map(|(commit, tree, base)| Change::BeginRevert { commit, tree, base }),
        commit().prop_map(|commit| Change::RolledBack { commit }),
        prop::option::of(commit()).prop_map(|pushed| Change::BeginAttempt { pushed }),
        (commit(), prop::option::of(commit())).prop_map(|(head, base)| Change::Release { head, base }),
        name().prop_map(Change::TaskWorking),
        (name(), commit()).prop_map(|(task, commit)| Change::TaskIntegrated { task, commit }),
        (commit(), text()).prop_map(|(base, why)| Change::BaseConflict { base, why }),
        (name(), commit()).prop_map(|(work, commit)| Change::WorkFound { work, commit }),
        (name(), text()).prop_map(|(task, why)| Change::TaskAnew { task, why, conflict: Some("c".into()) }),
        (name(), commit()).prop_map(|(task, commit)| Change::TaskPushed { task, commit }),
        (name(), text()).prop_map(|(task, why)| Change::TaskFailed { task, why, conflict: None }),
        (commit(), commit(), commit(), commit()).prop_map(|(commit, tree, base, patch)| Change::BeginReview {
            commit,
            tree,
            base,
            patch
        }),
        (verdict, text()).prop_map(|(verdict, score)| Change::Judged {
            verdict,
            class: Some(FailureClass::ReviewFailed),
            evidence: score.clone(),
            score,
            categories: Vec::new(),
        }),
        ("[0-9a-f-]{1,64}", text(), text()).prop_map(|(uid, user, reason)| Change::Waived {
            uid,
            user,
            what: Waived { reason, findings: vec!["f".into()], criteria: Vec::new(), until: None },
        }),
        (text(), commit()).prop_map(|(user, commit)| Change::Approved {
            uid: "u".into(),
            user,
            commit,
            criteria: vec!["docs".into()]
        }),
        text().prop_map(Change::Note),
        any::<u32>().prop_map(Change::Grant),
        ("[0-9a-f-]{1,64}", text()).prop_map(|(uid, remark)| Change::Used { uid, remark }),
        prop::collection::vec(blocked(), 0..4).prop_map(Change::Blocked),
        (reason(), text()).prop_map(|(reason, message)| Change::Escalate { reason, message }),
    ]
}

prop_compose! {
    fn stamp()(
        second in 1_i64..4_000_000_000,
        tasks in prop::collection::btree_set(name(), 1..32),
        blocked in prop::collection::vec(blocked(), 0..100),
        suspended: bool,
        max_attempts: u32,
        asked in prop::collection::vec(text(), 0..33),
    ) -> Stamp {
        Stamp {
            now: Timestamp::from_second(second).unwrap(),
            generation: 1,
            name: "p".repeat(40),
            uid: "01234567-89ab-cdef".into(),
            tasks: tasks.into_iter().filter(|name| name != REWORK).collect(),
            release_branch: format!("release/phase-9999-v{}", "1".repeat(40)),
            max_attempts,
            backoff: Backoff::default(),
            gate_hash: "0".repeat(64),
            blocked,
            suspended,
            decisions: vec![],
            dependants_at_work: Vec::new(),
            asked_of_person: asked,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_status_can_be_written(
        steps in prop::collection::vec((prop::collection::vec(change(), 0..12), stamp()), 1..8),
    ) {
        let schema = status_schema();
        let mut status = PhaseStatus::default();
        for (changes, stamp) in steps {
            status = project(&status, &changes, &stamp);
            let mut found = Vec::new();
            misfits(&schema, &serde_json::to_value(&status).unwrap(), "status", &mut found);
            prop_assert_eq!(found, Vec::<String>::new());
        }
    }

    #[test]
    fn without_changes_projecting_again_changes_nothing(changes in prop::collection::vec(change(), 0..12), stamp in stamp()) {
        // What git refused is known to the next look as a fact.
        let changes: Vec<Change> = changes.into_iter().filter(|change| !matches!(change, Change::Blocked(_))).collect();
        let once = project(&PhaseStatus::default(), &changes, &stamp);
        prop_assert_eq!(project(&once, &[], &stamp), once);
    }
}

#[test]
fn lists_that_grow_for_ever_are_cut_at_the_old_end() {
    let schema = status_schema();
    let mut status = PhaseStatus { attempt: 1, state: PhaseState::Reviewing, ..PhaseStatus::default() };
    let world = super::bench::World::default();
    for round in 0..300 {
        let commit = format!("{round:040x}");
        let changes = [
            Change::BeginReview { commit: commit.clone(), tree: commit.clone(), base: commit.clone(), patch: commit },
            Change::Judged {
                verdict: Verdict::Fail,
                class: None,
                score: "9.99".into(),
                categories: Vec::new(),
                evidence: "sha256:00".into(),
            },
            Change::Used { uid: format!("d{round}"), remark: String::new() },
        ];
        status = project(&status, &changes, &super::bench::stamp(&world, 1000));
    }
    let mut found = Vec::new();
    misfits(&schema, &serde_json::to_value(&status).unwrap(), "status", &mut found);
    assert_eq!(found, [""; 0]);
    assert_eq!(status.history.last().unwrap().result, "p-r1-300");
    assert_eq!(status.used_decisions.last().unwrap(), "d299");
}

#[test]
fn decisions_that_are_gone_make_room_before_those_that_could_come_again() {
    let mut status =
        PhaseStatus { used_decisions: (0..200).map(|n| format!("d{n}")).collect(), ..PhaseStatus::default() };
    let mut stamp = super::bench::stamp(&super::bench::World::default(), 1000);
    stamp.decisions = vec!["d0".into(), "d200".into()];
    status = project(&status, &[Change::Used { uid: "d200".into(), remark: String::new() }], &stamp);
    assert_eq!(status.used_decisions, ["d0", "d200"]);
}
