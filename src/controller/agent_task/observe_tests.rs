//! From objects to the snapshot: whose word counts.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

fn task(status: &Value) -> AgentTask {
    serde_json::from_value(json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
        "metadata": {"name": "p-1-t", "namespace": "n", "uid": "0f1e2d3c-x"},
        "spec": {"role": "Developer", "repository": "r", "task": "t", "timeout": "1h", "maxRuns": 4,
            "phase": {"name": "p", "uid": "phase-uid", "attempt": 1}, "pod": {"image": "i"}},
        "status": status,
    }))
    .unwrap()
}

fn phase(uid: &str, suspend: bool, status: &Value) -> Phase {
    serde_json::from_value(json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "metadata": {"name": "p", "namespace": "n", "uid": uid},
        "spec": {"repositoryRef": {"name": "r"}, "number": 1, "version": "1.0.0", "suspend": suspend,
            "tasks": [{"name": "t", "description": "d"}]},
        "status": status,
    }))
    .unwrap()
}

fn job(name: &str, run: i32, finished: bool) -> Job {
    let conditions = if finished { json!([{"type": "Complete", "status": "True"}]) } else { json!([]) };
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "labels": {"phasegate.dev/run": run.to_string()}},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn running() -> Value {
    json!({"state": "Running", "run": 2, "job": "job-2", "podUID": "pod-2"})
}

/// The configuration without a flag.
#[derive(clap::Parser)]
struct Defaults {
    #[command(flatten)]
    config: OperatorConfig,
}

fn observed_with(task: &AgentTask, jobs: &[Job], pods: &[Pod], phase: Option<&Phase>) -> Snapshot {
    let Defaults { config } = clap::Parser::parse_from(["operator"]);
    snapshot(task, &World { jobs: jobs.iter().collect(), pods: pods.iter().collect(), phase }, &config, now())
}

fn observed(task: &AgentTask, jobs: &[Job], phase: Option<&Phase>) -> Snapshot {
    observed_with(task, jobs, &[], phase)
}

#[rstest]
#[case::of_the_task_pods_counts("phasegate-task", true)]
#[case::of_anybody_else_is_not_pinned("default", false)]
fn a_pod_that_runs_as_the_service_account(#[case] account: &str, #[case] counts: bool) {
    let status = json!({"state": "Starting", "run": 2, "job": "job-2"});
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "pod", "uid": "pod", "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "job-2", "uid": "job-2", "controller": true}
        ]},
        "spec": {"containers": [], "serviceAccountName": account},
    }));
    let snapshot = observed_with(&task(&status), &[job("job-2", 2, false)], &[pod.unwrap()], None);
    let pinned = crate::machine::task::decide(&snapshot).record.pod_uid;
    assert_eq!(pinned.as_deref(), counts.then_some("pod"));
}

#[rstest]
#[case::of_the_live_run_counts(2, "pod-2", true)]
#[case::of_an_older_run_is_ignored(1, "pod-2", false)]
#[case::of_another_pod_is_ignored(2, "pod-1", false)]
fn a_word(#[case] run: i32, #[case] pod_uid: &str, #[case] counts: bool) {
    let stamp = json!({"run": run, "podUID": pod_uid});
    let mut status = running();
    status["submission"] = json!({"stamp": stamp, "commit": "c"});
    status["delivery"] = json!({"stamp": stamp, "exitCode": 0});
    let snapshot = observed(&task(&status), &[], None);
    assert_eq!((snapshot.submitted, snapshot.delivery.is_some()), (counts, counts));
}

#[rstest]
#[case::a_review_is_what_a_reviewer_submits("Reviewer", "review", 2, true)]
#[case::a_commit_is_not("Reviewer", "submission", 2, false)]
#[case::a_review_of_an_older_run_is_ignored("Reviewer", "review", 1, false)]
#[case::a_developer_submits_no_review("Developer", "review", 2, false)]
fn what_is_asked_for(#[case] role: &str, #[case] field: &str, #[case] run: i32, #[case] counts: bool) {
    let mut status = running();
    let stamp = json!({"run": run, "podUID": "pod-2"});
    status[field] = json!({"stamp": stamp, "commit": "c", "examined": []});
    let mut task = task(&status);
    task.spec.role = serde_json::from_value(json!(role)).unwrap();
    assert_eq!(observed(&task, &[], None).submitted, counts);
}

#[test]
fn the_job_of_the_recorded_run_is_the_one_that_counts() {
    let jobs = [job("job-1", 1, true), job("job-2", 2, false)];
    let snapshot = observed(&task(&running()), &jobs, None);
    assert_eq!(snapshot.job.map(|job| job.name).as_deref(), Some("job-2"));
    assert_eq!(snapshot.next_job, "p-1-t-0f1e2d3c-3");
    assert_eq!(snapshot.strays, Vec::<String>::new());
}

#[rstest]
#[case::of_a_given_up_run_is_a_stray("Running", 1, false, true)]
#[case::that_is_over_is_none("Running", 1, true, false)]
#[case::of_the_live_run_is_none("Running", 2, false, false)]
#[case::of_a_run_never_decided_is_a_stray("Running", 3, false, true)]
#[case::of_the_next_run_may_precede_the_record("Pending", 3, false, false)]
#[case::of_the_last_run_may_end_in_peace("Pending", 2, false, false)]
#[case::after_the_end_is_a_stray("Succeeded", 3, false, true)]
fn a_job(#[case] state: &str, #[case] run: i32, #[case] finished: bool, #[case] stray: bool) {
    let mut status = running();
    status["state"] = json!(state);
    let snapshot = observed(&task(&status), &[job("some", run, finished)], None);
    assert_eq!(!snapshot.strays.is_empty(), stray);
}

#[rstest]
#[case::works(Some(phase("phase-uid", false, &json!({}))), None)]
#[case::is_suspended_by_its_spec(Some(phase("phase-uid", true, &json!({}))), Some("waits: Phase p is suspended"))]
#[case::is_suspended_by_a_person(
    Some(phase("phase-uid", false, &json!({"blockedBy": [{"reason": "Suspended", "message": "by a person"}]}))),
    Some("waits: Phase p is suspended")
)]
#[case::is_gone(None, Some("its Phase p is gone"))]
#[case::is_another_of_the_same_name(Some(phase("other", false, &json!({}))), Some("its Phase p is gone"))]
fn a_phase_that(#[case] phase: Option<Phase>, #[case] hold: Option<&str>) {
    assert_eq!(observed(&task(&json!({})), &[], phase.as_ref()).hold.as_deref(), hold);
}
