//! What people read, compared with golden files under `snapshots/`.

use std::fmt::Write as _;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Answer,
    decide::{Wish, decide, took_effect},
    fixtures::{
        awaiting, bare, blocked, conflicted, developing, disputed, escalated, gamed, mended, passed, phase, queued,
        refused, reviewing, rich, sent_back, suspended, task_failed, unjudged,
    },
    follow::{self, Results, Settled},
    next, report, table,
    text::Look,
    why,
};
use crate::api::{
    Phase,
    decision::DecisionType,
    evidence::GamingSignType,
    phase::{BlockedReason, EscalationReason, PhaseState},
    review_result::{CriterionState, ReasonType, Uncharged},
};

fn look() -> Look {
    Look::default()
}

fn later() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn results() -> Results {
    [refused(), mended()].into_iter().map(|result| (result.metadata.name.clone().unwrap(), result)).collect()
}

fn told(before: Option<&Phase>, now: &Phase) -> String {
    follow::lines(before, now, &results(), 8, &look()).join("\n")
}

#[test]
fn why_explains_every_lost_tenth_of_a_refusal() {
    insta::assert_snapshot!("why_sent_back", why::why(&phase(1, &sent_back()), Some(&refused()), &look()));
}

#[test]
fn why_names_the_command_that_a_waiting_phase_waits_for() {
    let look = Look { flags: "-n alicia".to_owned(), ..look() };
    insta::assert_snapshot!("why_awaiting", why::why(&phase(5, &awaiting()), None, &look));
}

#[test]
fn why_says_what_helps_against_an_escalation() {
    insta::assert_snapshot!("why_escalated", why::why(&phase(1, &escalated()), None, &look()));
}

#[test]
fn why_shows_how_to_merge_by_hand_what_no_developer_could() {
    insta::assert_snapshot!("why_conflict", why::why(&phase(1, &conflicted()), None, &look()));
}

#[test]
fn why_shows_no_way_to_merge_by_hand_where_none_is_needed() {
    let mut status = conflicted();
    status["escalation"]["from"] = "RollingBack".into();
    status["tasks"].as_array_mut().unwrap().pop();
    let said = why::why(&phase(1, &status), None, &look());
    assert!(said.contains("Conflict: ") && !said.contains("y hand"), "{said}");
}

#[test]
fn why_says_of_a_failed_task_that_a_retry_hands_it_out_again() {
    insta::assert_snapshot!("why_task_failed", why::why(&phase(1, &task_failed()), None, &look()));
}

#[test]
fn why_says_what_a_retry_leads_to() {
    let mut text = String::new();
    for (reason, from) in [
        ("TagTaken", "Preparing"),
        ("TaskFailed", "Developing"),
        ("PhaseTimeout", "Developing"),
        ("Inconclusive", "Reviewing"),
        ("AttemptsExhausted", "Reviewing"),
        ("NoProgress", "Reviewing"),
        ("PhaseTimeout", "Backoff"),
        ("AttemptsExhausted", "AwaitingApproval"),
        ("TagTaken", "Merging"),
    ] {
        let mut status = escalated();
        status["escalation"] = json!({ "reason": reason, "from": from, "message": "why" });
        let (_, what) = next::commands(&phase(1, &status), None, &look()).remove(0);
        let _ = writeln!(text, "{reason} in {from}: {what}");
    }
    insta::assert_snapshot!("retry_leads", text);
}

#[test]
fn why_shows_signs_of_gaming_and_how_to_accept_them() {
    insta::assert_snapshot!("why_gamed", why::why(&phase(1, &gamed()), Some(&rich()), &look()));
}

#[test]
fn why_shows_both_sides_of_a_dispute_and_how_to_end_it() {
    insta::assert_snapshot!("why_disputed", why::why(&phase(1, &disputed()), Some(&rich()), &look()));
}

#[test]
fn a_command_that_needs_the_review_is_left_out_without_it() {
    for status in [gamed(), disputed()] {
        let commands = next::commands(&phase(1, &status), None, &look());
        assert!(commands.iter().all(|(command, _)| !command.contains("waive")), "{commands:?}");
        assert_eq!(commands.len(), 3);
    }
}

#[test]
fn why_names_everything_in_the_way() {
    insta::assert_snapshot!("why_blocked", why::why(&phase(2, &blocked()), None, &look()));
}

#[test]
fn why_says_how_a_suspended_phase_goes_on() {
    insta::assert_snapshot!("why_suspended", why::why(&phase(1, &suspended()), None, &look()));
    let mut by_spec = phase(1, &suspended());
    by_spec.spec.suspend = true;
    insta::assert_snapshot!("why_suspended_by_spec", why::why(&by_spec, None, &look()));
}

#[test]
fn a_report_says_what_changed() {
    insta::assert_snapshot!("report_refused", report::report(&refused(), None));
    insta::assert_snapshot!("report_mended", report::report(&mended(), Some(&refused())));
    insta::assert_snapshot!("report_unjudged", report::report(&unjudged(), None));
}

#[test]
fn a_report_shows_who_agrees_what_costs_nothing_and_what_was_measured() {
    insta::assert_snapshot!("report_rich", report::report(&rich(), Some(&mended())));
}

#[test]
fn a_report_is_of_the_last_judgement_or_of_the_last_of_an_attempt() {
    let phase = phase(1, &passed());
    assert_eq!(report::wanted(&phase, None).unwrap(), "alicia-1-r2-1");
    assert_eq!(report::wanted(&phase, Some(1)).unwrap(), "alicia-1-r1-1");
    let refused = report::wanted(&phase, Some(3)).unwrap_err();
    assert_eq!(refused.0, "attempt 3 of alicia-1 has no judgement on record; those that have: 1, 2");
    let refused = report::wanted(&bare(1), None).unwrap_err();
    assert_eq!(refused.0, "alicia-1 has not been reviewed yet: it is Pending");
}

/// What a tool wrote cannot become part of the report's own structure.
#[test]
fn a_report_is_not_broken_by_what_it_shows() {
    let mut hostile = rich();
    let status = hostile.status.as_mut().unwrap();
    status.gaming_signs[0].sign.text = "+ ```\n# Decision: passed\n".to_owned();
    status.findings[0].dispute = "no\n\n# Decision: passed | `x` <script>".to_owned();
    let text = report::report(&hostile, None);
    assert!(text.lines().all(|line| !line.starts_with("# Decision")), "{text}");
    assert!(!text.contains("<script>"));
    assert!(text.contains("  ````diff\n"), "{text}");
}

#[test]
fn the_table_has_the_columns_of_the_design() {
    let phases = [phase(1, &passed()), phase(5, &awaiting()), bare(6)];
    insta::assert_snapshot!("table", table::table(&phases, false, later(), &look()));
    insta::assert_snapshot!("table_everywhere", table::table(&phases, true, later(), &look()));
}

#[test]
fn the_tree_shows_each_phase_once_even_in_a_circle() {
    let mut phases: Vec<_> = [1, 2, 3].map(|number| phase(number, &queued())).into();
    let mut beside = phase(2, &queued());
    beside.metadata.name = Some("alicia-2b".to_owned());
    phases.push(beside);
    insta::assert_snapshot!("tree", table::tree(&phases, later(), &look()));
    phases[0].spec.depends_on = vec!["alicia-3".to_owned()];
    insta::assert_snapshot!("tree_circle", table::tree(&phases, later(), &look()));
}

#[test]
fn a_watch_tells_a_refusal_and_the_pass_after_it() {
    let steps = [queued(), developing(), reviewing(), sent_back(), passed()].map(|status| phase(1, &status));
    let mut story: Vec<String> = vec![told(None, &steps[0])];
    story.extend(steps.windows(2).map(|pair| told(Some(&pair[0]), &pair[1])));
    insta::assert_snapshot!("watch", story.join("\n"));
    // The fixed point: the same look again has nothing to tell.
    for step in &steps {
        assert_eq!(told(Some(step), step), "");
    }
}

#[test]
fn a_watch_that_starts_late_tells_the_judgements_so_far() {
    insta::assert_snapshot!("watch_late", told(None, &phase(1, &passed())));
    insta::assert_snapshot!("watch_waits", told(None, &phase(5, &awaiting())));
    insta::assert_snapshot!("watch_escalated", told(None, &phase(1, &escalated())));
}

#[test]
fn a_refusal_that_was_waived_is_judged_again_and_was_not_sent_back() {
    let mut waived = gamed();
    waived["state"] = "Reviewing".into();
    let mut passed = waived.clone();
    let mut again = passed["history"].as_array().unwrap().last().unwrap().clone();
    again["result"] = "alicia-1-r3-2".into();
    again["verdict"] = "Pass".into();
    passed["history"].as_array_mut().unwrap().push(again);
    passed["state"] = "Passed".into();
    for status in [&waived, &passed] {
        let told = told(None, &phase(1, status));
        let refused = told.lines().rfind(|line| line.contains("→")).unwrap_or_default();
        assert!(refused.contains("→ judged again"), "{told}");
    }
    assert!(told(None, &phase(1, &gamed())).contains("→ no attempt is left or helps"));
}

#[test]
fn a_watch_and_a_list_tell_what_only_a_person_can_settle() {
    let mut refused = rich();
    let status = refused.status.as_mut().unwrap();
    status.reasons[0].kind = ReasonType::Gamed;
    status.reasons[0].message = "AssertionDeleted tests/test_bus.py:12: an assertion is gone".to_owned();
    let results: Results = [("alicia-1-r3-1".to_owned(), refused)].into();
    let told: Vec<String> = [gamed(), disputed()]
        .iter()
        .map(|status| follow::lines(None, &phase(1, status), &results, 8, &look()).join("\n"))
        .collect();
    insta::assert_snapshot!("watch_gamed_and_disputed", told.join("\n\n"));
    let phases = [phase(1, &gamed()), phase(2, &disputed())];
    insta::assert_snapshot!("table_gamed_and_disputed", table::table(&phases, false, later(), &look()));
}

#[test]
fn a_watch_ends_when_nothing_more_happens_by_itself() {
    let settled = |first: &Value, second: &Value, name: &str| {
        let all = [("alicia-1".to_owned(), phase(1, first)), ("alicia-2".to_owned(), phase(2, second))];
        follow::settled(name, &all.into())
    };
    assert_eq!(settled(&passed(), &queued(), "alicia-1"), Settled::Yes);
    assert_eq!(settled(&passed(), &queued(), "alicia-2"), Settled::No);
    assert_eq!(settled(&developing(), &queued(), "alicia-2"), Settled::No);
    assert_eq!(settled(&escalated(), &queued(), "alicia-2"), Settled::Blocked);
    assert_eq!(settled(&developing(), &blocked(), "alicia-2"), Settled::Blocked);
    assert_eq!(settled(&suspended(), &queued(), "alicia-1"), Settled::Blocked);
    assert_eq!(settled(&json!({}), &queued(), "alicia-1"), Settled::No, "not looked at yet");
    assert_eq!(settled(&passed(), &awaiting(), "alicia-2"), Settled::Yes);
    assert_eq!(settled(&passed(), &awaiting(), "alicia-9"), Settled::Blocked, "a phase that is not there");
}

#[test]
fn no_partial_object_breaks_a_rendering() {
    let states = [
        "Pending",
        "Preparing",
        "Developing",
        "Reviewing",
        "Backoff",
        "AwaitingApproval",
        "Merging",
        "Passed",
        "Escalated",
        "Failed",
    ];
    for state in states {
        for generation in [-1, 1] {
            let mut phase = phase(1, &json!({ "observedGeneration": generation, "state": state }));
            phase.metadata = kube::api::ObjectMeta::default();
            for result in [None, Some(unjudged()), Some(refused()), Some(rich())] {
                assert!(!why::why(&phase, result.as_ref(), &look()).is_empty(), "{state}");
            }
            follow::lines(None, &phase, &Results::new(), 0, &look());
            assert!(table::table(std::slice::from_ref(&phase), true, later(), &look()).contains(state));
            assert!(table::tree(std::slice::from_ref(&phase), later(), &look()).contains(state));
        }
    }
}

fn yes(criterion: &str) -> Answer {
    Answer { criterion: criterion.to_owned(), met: true }
}

fn waive(findings: &[&str], criteria: &[&str], reason: &str) -> Wish {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Wish::Waive { findings: owned(findings), criteria: owned(criteria), reason: reason.to_owned(), until: None }
}

#[test]
fn a_waiver_names_full_ids_the_attempt_and_the_reason() {
    let wish = waive(&["c56e56", "0123456789ab", "c56e564319c44f6a3832e228b53cd313"], &["mqtt"], "it is right");
    let spec = decide(&wish, &phase(1, &gamed()), Some(&rich()), "ada", &look()).unwrap();
    assert_eq!((spec.kind, spec.attempt, spec.user.as_str()), (DecisionType::Waive, 3, "ada"));
    assert_eq!(spec.findings, ["c56e564319c44f6a3832e228b53cd313", "0123456789abcdef"]);
    assert_eq!((spec.criteria, spec.reason.as_str(), spec.commit), (vec!["mqtt".to_owned()], "it is right", None));
}

#[test]
fn each_refusal_of_a_waiver_names_what_to_do() {
    let mut twins = rich();
    let status = twins.status.as_mut().unwrap();
    let mut twin = status.findings[0].clone();
    twin.finding.id = "c56e5600".to_owned();
    status.findings.push(twin);
    let cases: Vec<(&str, Wish, Value, Option<crate::api::ReviewResult>)> = vec![
        ("nothing named", waive(&[], &[], "x"), gamed(), Some(rich())),
        ("no reason", waive(&["c56e56"], &[], " "), gamed(), Some(rich())),
        ("an unknown id", waive(&["ffffffff"], &[], "x"), gamed(), Some(rich())),
        ("too few characters", waive(&["c56"], &[], "x"), gamed(), Some(rich())),
        ("two that begin alike", waive(&["c56e56"], &[], "x"), gamed(), Some(twins)),
        ("known debt", waive(&["debt0"], &[], "x"), gamed(), Some(rich())),
        ("waived already", waive(&["aaaabbbb"], &[], "x"), gamed(), Some(rich())),
        ("a sign that is waived already", waive(&["skip-sign"], &[], "x"), gamed(), Some(rich())),
        ("said by a shadow reviewer", waive(&["shadow"], &[], "x"), gamed(), Some(rich())),
        ("before the first review", waive(&["c56e56"], &[], "x"), developing(), None),
        ("an unknown criterion", waive(&[], &["docs"], "x"), gamed(), Some(rich())),
        ("a criterion that is waived already", waive(&[], &["documentation"], "x"), gamed(), Some(rich())),
        ("what is merged", waive(&["c56e56"], &[], "x"), passed(), Some(rich())),
    ];
    let mut text = String::new();
    for (what, wish, status, result) in cases {
        let refused = decide(&wish, &phase(1, &status), result.as_ref(), "ada", &look()).unwrap_err();
        let _ = write!(text, "# {what}\n{refused}\n\n");
    }
    insta::assert_snapshot!("refusals_of_waivers", text);
}

#[test]
fn a_waiver_that_is_over_already_is_refused() {
    assert!(super::waive::still_ahead(later(), "2026-01-01T00:00:00Z".parse().unwrap()).is_ok());
    let refused = super::waive::still_ahead(later(), later()).unwrap_err();
    assert!(refused.0.starts_with("--until 2026-01-01T00:01:00Z is over already"), "{refused}");
}

#[test]
fn a_criterion_is_a_persons_if_it_is_not_waived_or_if_no_reviewer_could_verify_it() {
    let asked = |state: &str, judge: &str| {
        let mut result = serde_json::to_value(refused()).unwrap();
        result["spec"]["criteria"][0]["judge"] = json!(judge);
        result["status"]["criteria"][0]["state"] = json!(state);
        let result = serde_json::from_value(result).unwrap();
        !super::reading::person_criteria(&phase(1, &awaiting()), Some(&result)).is_empty()
    };
    assert!(asked("AwaitsPerson", "Person") && asked("AwaitsPerson", "Reviewer"));
    assert!(!asked("Waived", "Person") && !asked("Waived", "Reviewer"));
    assert!(!asked("Met", "Reviewer") && !asked("Unmet", "Checks"));
}

fn approve(answers: &[Answer]) -> Wish {
    Wish::Approve { answers: answers.to_vec(), note: String::new() }
}

#[test]
fn an_approval_speaks_of_the_reviewed_commit_and_this_attempt() {
    let spec = decide(&approve(&[yes("documentation")]), &phase(5, &awaiting()), None, "ada", &look()).unwrap();
    assert_eq!(spec.kind, DecisionType::Approve);
    assert_eq!((spec.phase.as_str(), spec.phase_uid.as_str(), spec.attempt), ("alicia-5", "uid-5", 1));
    assert_eq!(spec.commit.as_deref(), Some("5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081"));
    assert_eq!(spec.user, "ada");
    assert_eq!(spec.answers.len(), 1);
}

#[test]
fn each_refusal_names_what_to_do() {
    let cases: Vec<(&str, Wish, Value)> = vec![
        ("an open criterion", approve(&[]), awaiting()),
        ("an unknown criterion", approve(&[yes("docs")]), awaiting()),
        ("an answer given twice", approve(&[yes("documentation"), yes("documentation")]), awaiting()),
        ("approve while at work", approve(&[]), developing()),
        ("approve what is escalated", approve(&[]), escalated()),
        ("approve before the first look", approve(&[]), json!({})),
        ("reject without a note", Wish::Reject { note: " ".to_owned() }, awaiting()),
        ("reject what is merged", Wish::Reject { note: "x".to_owned() }, passed()),
        ("retry what is at work", Wish::Retry { attempts: 1, commit: None, note: String::new() }, developing()),
        (
            "retry with a short commit",
            Wish::Retry { attempts: 1, commit: Some("3f2c1ab".to_owned()), note: String::new() },
            escalated(),
        ),
        ("abort what is merged", Wish::Abort { note: "x".to_owned() }, passed()),
        ("suspend twice", Wish::Suspend { note: String::new() }, suspended()),
        ("resume what is at work", Wish::Resume { note: String::new() }, developing()),
    ];
    let mut text = String::new();
    for (what, wish, status) in cases {
        let refused = decide(&wish, &phase(5, &status), None, "ada", &look()).unwrap_err();
        let _ = write!(text, "# {what}\n{refused}\n\n");
    }
    insta::assert_snapshot!("refusals", text);
}

#[test]
fn what_fits_the_state_becomes_a_decision() {
    let note = || "because".to_owned();
    let commit = "5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081".to_owned();
    for (wish, status, kind) in [
        (Wish::Reject { note: note() }, awaiting(), DecisionType::Reject),
        (Wish::Retry { attempts: 2, commit: Some(commit), note: note() }, escalated(), DecisionType::Retry),
        (Wish::Abort { note: note() }, escalated(), DecisionType::Abort),
        (Wish::Suspend { note: note() }, developing(), DecisionType::Suspend),
        (Wish::Resume { note: note() }, suspended(), DecisionType::Resume),
    ] {
        let spec = decide(&wish, &phase(1, &status), None, "ada", &look()).unwrap();
        assert_eq!((spec.kind, spec.note), (kind, note()));
    }
}

#[test]
fn a_decision_that_came_too_late_is_told_from_one_that_worked() {
    let mut approved = passed();
    approved["approval"] = json!({ "decisionUID": "mine", "user": "ada", "commit": "c" });
    let no = || vec![Answer { met: false, ..yes("documentation") }];
    let note = || "because".to_owned();
    let retry = || Wish::Retry { attempts: 1, commit: None, note: note() };
    let failed = json!({ "observedGeneration": 1, "state": "Failed" });
    let waiver = json!({ "decisionUID": "mine", "user": "ada", "findings": ["f1"], "reason": "r" });
    let mut accepted = reviewing();
    accepted["waivers"] = json!([waiver]);
    for (what, wish, now, effect) in [
        ("approved by it", approve(&[yes("documentation")]), &approved, true),
        ("passed without it", approve(&[yes("documentation")]), &passed(), false),
        ("a no sends back", approve(&no()), &sent_back(), true),
        ("a no that changed nothing", approve(&no()), &awaiting(), false),
        ("rejected", Wish::Reject { note: note() }, &sent_back(), true),
        ("not rejected", Wish::Reject { note: note() }, &awaiting(), false),
        ("retried", retry(), &developing(), true),
        ("not retried", retry(), &escalated(), false),
        ("waived", waive(&["f1"], &[], "r"), &accepted, true),
        ("not waived", waive(&["f1"], &[], "r"), &reviewing(), false),
        ("aborted", Wish::Abort { note: note() }, &failed, true),
        ("not aborted", Wish::Abort { note: note() }, &passed(), false),
        ("suspended", Wish::Suspend { note: note() }, &suspended(), true),
        ("not suspended", Wish::Suspend { note: note() }, &developing(), false),
        ("resumed", Wish::Resume { note: note() }, &developing(), true),
        ("not resumed", Wish::Resume { note: note() }, &suspended(), false),
    ] {
        assert_eq!(took_effect(&wish, "mine", &phase(1, now), &phase(1, now)).is_ok(), effect, "{what}");
    }
}

#[test]
fn a_suspension_in_the_manifest_is_not_resumed_by_a_decision() {
    let mut phase = phase(1, &suspended());
    phase.spec.suspend = true;
    let refused = decide(&Wish::Resume { note: String::new() }, &phase, None, "ada", &look()).unwrap_err();
    assert!(refused.0.contains("spec.suspend"), "{refused}");
}

/// The words of an enum of the API, from its schema.
fn names<T: schemars::JsonSchema>() -> Vec<String> {
    let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    let one_of = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let described = one_of.iter().filter_map(|one| one["const"].as_str());
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    described.chain(plain).map(str::to_owned).collect()
}

#[test]
fn every_escalation_has_a_remedy_of_its_own() {
    let all = names::<EscalationReason>();
    let reasons = all.iter().map(|name| serde_json::from_value::<EscalationReason>(json!(name)).unwrap());
    let remedies: std::collections::BTreeSet<_> = reasons.map(next::remedy).collect();
    assert_eq!(remedies.len(), all.len());
    assert!(all.len() > 5, "{all:?}");
}

#[test]
fn the_documentation_names_every_reason_and_state() {
    let troubleshooting = include_str!("../../docs/troubleshooting.md");
    let reference = include_str!("../../docs/reference.md");
    let reasons = names::<BlockedReason>().into_iter().chain(names::<EscalationReason>());
    for (page, word) in reasons
        .map(|word| (troubleshooting, word))
        .chain(names::<PhaseState>().into_iter().map(|word| (reference, word)))
    {
        assert!(page.contains(&format!("| {word} |")), "{word} is not explained");
    }
}

#[test]
fn the_documentation_of_the_gate_explains_every_reason_sign_and_what_costs_nothing() {
    let page = include_str!("../../docs/gate.md");
    let words = names::<ReasonType>().into_iter().chain(names::<GamingSignType>()).chain(names::<Uncharged>());
    for word in words.chain(names::<CriterionState>()) {
        assert!(page.contains(&format!("| {word} |")), "{word} is not explained");
    }
}

#[test]
fn the_documentation_of_decisions_has_every_command_that_makes_one() {
    let page = include_str!("../../docs/decisions.md");
    let reference = include_str!("../../docs/reference.md");
    for verb in ["approve", "reject", "retry", "waive", "abort", "suspend", "resume"] {
        assert!(page.contains(&format!("| `{verb} PHASE")), "{verb} is not explained");
        assert!(reference.contains(&format!("`{verb}`")), "{verb} is not listed");
    }
}

#[test]
fn the_documentation_of_the_gate_has_the_weights_and_floors_that_hold() {
    let page = include_str!("../../docs/gate.md");
    for (name, weight, floor) in crate::review::rubric::SEED_CATEGORIES {
        assert!(page.contains(&format!("| {name} | {weight} | {floor} |")), "{name}");
    }
}
