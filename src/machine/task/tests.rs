//! One row per transition, in words. Every row is a fixed point after one step: deciding again
//! from what was done changes nothing.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

mod external;

/// Applies a change and gives the value back, so that a row is one expression.
trait With: Sized {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl With for Snapshot {}
impl With for PodFact {}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 - seconds)
}

fn new(role: Role) -> Snapshot {
    Snapshot {
        now: ago(0),
        uid: "uid".to_owned(),
        role,
        max_runs: 2,
        timeout: 600,
        start_deadline: Duration::from_mins(2),
        hold: None,
        record: Record::default(),
        next_job: "job-1".to_owned(),
        job: None,
        strays: Vec::new(),
        submitted: false,
        delivery: None,
        resumed: false,
        external: None,
    }
}

/// Run 1 was started 30 s ago; its Job has no pod yet.
fn started(role: Role) -> Snapshot {
    new(role).with(|s| {
        s.record = Record {
            state: TaskState::Starting,
            run: 1,
            job: Some("job-1".to_owned()),
            message: "waits for its pod".to_owned(),
            started_at: Some(Time(ago(30))),
            ..Record::default()
        };
        s.next_job = "job-2".to_owned();
        s.job = Some(JobFact {
            name: "job-1".to_owned(),
            created_at: ago(30),
            deleting: false,
            suspended: false,
            finished: false,
            pod: None,
        });
    })
}

fn job(s: &mut Snapshot) -> &mut JobFact {
    s.job.as_mut().unwrap()
}

fn pod(main: MainFact) -> PodFact {
    PodFact {
        name: "pod-1".to_owned(),
        uid: "pod-uid".to_owned(),
        finished: false,
        deadline_exceeded: false,
        overused: None,
        disrupted: None,
        gone_by: None,
        unschedulable: None,
        blocked: None,
        creating_since: None,
        failed_before: None,
        main,
        image_id: None,
    }
}

/// Run 1 is at work and its pod is pinned; the pod is now as given.
fn working(role: Role, pod: PodFact) -> Snapshot {
    started(role).with(|s| {
        s.record.state = TaskState::Running;
        s.record.message = "at work".to_owned();
        s.record.pod = Some(pod.name.clone());
        s.record.pod_uid = Some(pod.uid.clone());
        job(s).pod = Some(pod);
    })
}

fn ended(main: MainFact) -> PodFact {
    pod(main).with(|pod| pod.finished = true)
}

fn delivered(commit: Option<&str>) -> DeliveryFact {
    DeliveryFact { commit: commit.map(str::to_owned), changed: commit.is_some(), ..DeliveryFact::default() }
}

fn blocked() -> Blocked {
    Blocked {
        container: "agent".to_owned(),
        image: "klein:9".to_owned(),
        reason: "ErrImagePull".to_owned(),
        message: "not found".to_owned(),
    }
}

/// The outcome in a line: state, run, spent and infra runs, class, check outcome | actions | wake | message.
fn summary(outcome: &Outcome) -> String {
    let Record { state, run, spent_runs, infra_runs, failure_class, outcome: checked, message, .. } = &outcome.record;
    let mut words = vec![format!("{state:?} run {run} spent {spent_runs} infra {infra_runs}")];
    words.extend(failure_class.map(|class| format!("{class:?}")));
    words.extend(checked.map(|checked| format!("{checked:?}")));
    let actions = outcome.actions.iter().map(|action| match action {
        Action::CreateJob { run } => format!("create {run}"),
        Action::DeleteJob { name } => format!("delete {name}"),
    });
    let wake = outcome.wake.map_or("-".to_owned(), |wake| format!("{} s", wake.as_secs()));
    format!("{} | {} | {wake} | {message}", words.join(" "), actions.collect::<Vec<_>>().join(", "))
}

/// The world once the outcome is carried out.
fn apply(s: &Snapshot, outcome: &Outcome) -> Snapshot {
    let mut after = s.clone();
    after.record = outcome.record.clone();
    for action in &outcome.actions {
        match action {
            Action::CreateJob { run } => {
                let made = started(s.role).job.unwrap();
                after.job = Some(JobFact { name: s.next_job.clone(), created_at: s.now, ..made });
                after.next_job = format!("job-{}", run + 1);
                after.submitted = false;
                after.delivery = None;
            }
            Action::DeleteJob { name } => {
                after.strays.retain(|stray| stray != name);
                after.job = after.job.filter(|job| job.name != *name);
            }
        }
    }
    after
}

fn assert_settled(s: &Snapshot) {
    let outcome = decide(s);
    let after = apply(s, &outcome);
    let again = decide(&after);
    assert_eq!(again.record, outcome.record, "deciding again changes nothing");
    assert_eq!(again.actions, [], "deciding again does nothing");
    assert_eq!(again.note, None, "deciding again says nothing");
}

#[rstest]
#[case::a_new_task_starts_its_first_run(
    new(Role::Developer),
    "Starting run 1 spent 0 infra 0 | create 1 | 10 s | waits for its pod"
)]
#[case::a_suspended_phase_starts_nothing(new(Role::Developer).with(|s| s.hold = Some("suspended".into())),
    "Pending run 0 spent 0 infra 0 |  | - | suspended")]
#[case::a_failed_run_waits_out_its_backoff(new(Role::Developer).with(|s| s.record.not_before = Some(Time(ago(-7)))),
    "Pending run 0 spent 0 infra 0 |  | 7 s | ")]
#[case::after_the_backoff_the_next_run_starts(
    new(Role::Developer).with(|s| { s.record = Record { run: 1, spent_runs: 1, not_before: Some(Time(ago(0))), failure_class: Some(FailureClass::AgentError), ..Record::default() }; s.next_job = "job-2".into(); }),
    "Starting run 2 spent 1 infra 0 AgentError | create 2 | 10 s | waits for its pod")]
#[case::a_job_of_a_run_that_is_not_live_is_deleted(started(Role::Developer).with(|s| s.strays = vec!["job-0".into()]),
    "Starting run 1 spent 0 infra 0 | delete job-0 | - | waits for its pod: the quota of the namespace may be exhausted, or admission refuses the pod; see kubectl describe job job-1")]
#[case::a_late_submission_of_a_run_that_was_given_up_counts(
    new(Role::Developer).with(|s| { s.record = Record { run: 1, infra_runs: 1, failure_class: Some(FailureClass::Infra), not_before: Some(Time(ago(-7))), ..Record::default() }; s.submitted = true; }),
    "Succeeded run 1 spent 0 infra 1 |  | - | submitted")]
#[case::a_finished_task_stays_finished(new(Role::Check).with(|s| { s.record.state = TaskState::Succeeded; s.record.run = 1; }),
    "Succeeded run 1 spent 0 infra 0 |  | - | ")]
fn a_task_that_is_not_at_work(#[case] s: Snapshot, #[case] expected: &str) {
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[rstest]
#[case::a_job_that_the_cache_has_not_seen_yet_is_waited_for(started(Role::Developer).with(|s| s.job = None),
    "Starting run 1 spent 0 infra 0 |  | 30 s | waits for its pod")]
#[case::a_job_that_stays_away_is_lost(started(Role::Developer).with(|s| { s.job = None; s.record.started_at = Some(Time(ago(60))); }),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its Job is gone")]
#[case::a_young_job_waits_for_its_pod(started(Role::Developer).with(|s| job(s).created_at = ago(4)),
    "Starting run 1 spent 0 infra 0 |  | 6 s | waits for its pod")]
#[case::a_queue_holds_the_job_back(started(Role::Developer).with(|s| job(s).suspended = true),
    "Starting run 1 spent 0 infra 0 |  | - | waits for a queue to release Job job-1")]
#[case::a_job_without_a_pod_names_the_quota(
    started(Role::Developer),
    "Starting run 1 spent 0 infra 0 |  | - | waits for its pod: the quota of the namespace may be exhausted, or admission refuses the pod; see kubectl describe job job-1"
)]
#[case::a_job_that_was_deleted_is_lost(started(Role::Developer).with(|s| job(s).deleting = true),
    "Pending run 1 spent 0 infra 1 Infra |  | 4 s | run 1 ended (Infra): its Job was deleted")]
#[case::a_job_that_ended_without_a_pod_is_lost(started(Role::Developer).with(|s| job(s).finished = true),
    "Pending run 1 spent 0 infra 1 Infra |  | 4 s | run 1 ended (Infra): its Job ended without a pod that could be seen")]
#[case::a_pod_that_was_deleted_is_lost(working(Role::Developer, pod(MainFact::Running)).with(|s| job(s).pod = None),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its pod was deleted")]
#[case::a_pod_is_pinned_when_it_is_seen(started(Role::Developer).with(|s| job(s).pod = Some(pod(MainFact::Waiting))),
    "Starting run 1 spent 0 infra 0 |  | - | its pod is being prepared")]
#[case::a_pod_without_a_node_says_so(started(Role::Developer).with(|s| job(s).pod = Some(pod(MainFact::Waiting).with(|p| p.unschedulable = Some("0/1 nodes: Insufficient cpu".into())))),
    "Starting run 1 spent 0 infra 0 |  | - | waits for a node: 0/1 nodes: Insufficient cpu")]
#[case::a_pod_of_which_nothing_starts_says_so(started(Role::Developer).with(|s| job(s).pod = Some(pod(MainFact::Waiting).with(|p| p.creating_since = Some(ago(120))))),
    "Starting run 1 spent 0 infra 0 |  | - | its pod has a node but nothing of it starts (a large image, or a volume whose ConfigMap, Secret or claim does not exist); see kubectl describe pod pod-1")]
#[case::a_pod_that_failed_before_its_work_is_lost(started(Role::Check).with(|s| job(s).pod = Some(ended(MainFact::Waiting).with(|p| p.failed_before = Some("container prepare: exit code 1".into())))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): container prepare: exit code 1")]
#[case::a_pod_that_works_is_running(started(Role::Developer).with(|s| job(s).pod = Some(pod(MainFact::Running))),
    "Running run 1 spent 0 infra 0 |  | - | at work")]
#[case::a_pod_that_is_being_deleted_may_still_deliver(working(Role::Developer, pod(MainFact::Running).with(|p| p.gone_by = Some(ago(0)))),
    "Running run 1 spent 0 infra 0 |  | 30 s | at work")]
#[case::a_pod_that_outlives_its_deletion_is_lost(working(Role::Developer, pod(MainFact::Running).with(|p| p.gone_by = Some(ago(30)))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its node does not answer: the pod was deleted and does not end")]
#[case::work_that_ended_waits_for_its_delivery(
    working(Role::Developer, pod(MainFact::Exited(0))),
    "Running run 1 spent 0 infra 0 |  | - | at work"
)]
#[case::a_run_at_work_changes_nothing(
    working(Role::Developer, pod(MainFact::Running)),
    "Running run 1 spent 0 infra 0 |  | - | at work"
)]
fn a_run_under_way(#[case] s: Snapshot, #[case] expected: &str) {
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[rstest]
#[case::is_noticed(
    0,
    None,
    0,
    "Starting run 1 spent 0 infra 0 |  | 120 s | cannot start: container agent, image klein:9: ErrImagePull: not found"
)]
#[case::is_waited_for(
    0,
    Some(100),
    0,
    "Starting run 1 spent 0 infra 0 |  | 20 s | cannot start: container agent, image klein:9: ErrImagePull: not found"
)]
#[case::ends_the_run(
    0,
    Some(120),
    0,
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): it never started: container agent, image klein:9: ErrImagePull: not found"
)]
#[case::the_second_time_ends_the_task(
    1,
    Some(120),
    1,
    "Failed run 1 spent 0 infra 2 Infra | delete job-1 | 120 s | Infra: it never started: container agent, image klein:9: ErrImagePull: not found (2 runs in a row; mend the image or the container's configuration)"
)]
#[case::after_a_lost_run_is_tried_again(
    0,
    Some(120),
    3,
    "Pending run 1 spent 0 infra 4 Infra | delete job-1 | 35 s | run 1 ended (Infra): it never started: container agent, image klein:9: ErrImagePull: not found"
)]
fn an_image_that_cannot_be_pulled(
    #[case] start_failures: i32,
    #[case] since: Option<i64>,
    #[case] infra: i32,
    #[case] expected: &str,
) {
    let s = working(Role::Developer, pod(MainFact::Waiting).with(|pod| pod.blocked = Some(blocked()))).with(|s| {
        s.record.state = TaskState::Starting;
        s.record.start_failures = start_failures;
        s.record.infra_runs = infra;
        s.record.blocked_since = since.map(|since| Time(ago(since)));
    });
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[test]
fn an_image_that_comes_after_all_is_forgiven() {
    let s = working(Role::Developer, pod(MainFact::Running)).with(|s| s.record.blocked_since = Some(Time(ago(119))));
    assert_eq!(decide(&s).record.blocked_since, None);
    assert_settled(&s);
}

#[test]
fn a_check_that_never_started_twice_says_nothing_about_the_code() {
    let s = working(Role::Check, pod(MainFact::Waiting).with(|pod| pod.blocked = Some(blocked()))).with(|s| {
        s.record.start_failures = 1;
        s.record.blocked_since = Some(Time(ago(120)));
    });
    let outcome = decide(&s);
    assert_eq!(outcome.record.state, TaskState::Failed);
    assert_eq!(outcome.record.outcome, Some(CheckOutcome::NotStarted));
    assert_eq!(outcome.record.failure_class, Some(FailureClass::Inconclusive));
    assert_settled(&s);
}

#[rstest]
#[case::a_submission_wins_at_once(working(Role::Developer, pod(MainFact::Running)).with(|s| s.submitted = true),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | submitted")]
#[case::a_submission_wins_over_a_bad_end(working(Role::Developer, ended(MainFact::OutOfMemory(137))).with(|s| s.submitted = true),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | submitted")]
#[case::a_submission_wins_over_a_lost_pod(working(Role::Developer, pod(MainFact::Running)).with(|s| { s.submitted = true; s.job = None; }),
    "Succeeded run 1 spent 0 infra 0 |  | - | submitted")]
#[case::changed_files_and_exit_code_0_are_a_submission(working(Role::Developer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(delivered(Some("c1")))),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | ended well; its work is c1")]
#[case::a_delivery_is_enough_before_the_pod_is_over(working(Role::Developer, pod(MainFact::Exited(0))).with(|s| s.delivery = Some(delivered(Some("c1")))),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | ended well; its work is c1")]
#[case::a_delivery_alone_waits_for_the_word_of_the_kubelet(working(Role::Developer, pod(MainFact::Running)).with(|s| s.delivery = Some(delivered(Some("c1")))),
    "Running run 1 spent 0 infra 0 |  | - | at work")]
#[case::exit_code_0_without_work_is_no_change(working(Role::Developer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(delivered(None))),
    "Pending run 1 spent 1 infra 0 NoChange |  | 4 s | run 1 ended (NoChange): it ended well, but changed nothing")]
#[case::work_that_could_not_be_delivered_costs_nothing(working(Role::Developer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(DeliveryFact { changed: true, message: "push refused".into(), ..DeliveryFact::default() })),
    "Pending run 1 spent 0 infra 1 Infra |  | 4 s | run 1 ended (Infra): its work could not be delivered: push refused")]
#[case::a_tree_that_cannot_be_taken_spends_a_run(working(Role::Developer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(DeliveryFact { changed: true, refused: true, message: "huge has 9 bytes, more than 8; remove it".into(), ..DeliveryFact::default() })),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): its work tree cannot be taken: huge has 9 bytes, more than 8; remove it")]
#[case::a_bad_exit_code_spends_a_run(working(Role::Developer, ended(MainFact::Exited(7))).with(|s| s.delivery = Some(DeliveryFact { message: "no key\n".into(), ..DeliveryFact::default() })),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it ended with exit code 7: no key")]
#[case::of_a_long_output_the_last_words_are_told(working(Role::Developer, ended(MainFact::Exited(7))).with(|s| s.delivery = Some(DeliveryFact { message: format!("{}the reason", "x".repeat(5000)), ..DeliveryFact::default() })),
    &format!("Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it ended with exit code 7: …{}the reason", "x".repeat(600 - 11)))]
#[case::the_last_run_ends_the_task(working(Role::Developer, ended(MainFact::Exited(7))).with(|s| { s.delivery = Some(delivered(None)); s.record.spent_runs = 1; }),
    "Failed run 1 spent 2 infra 0 AgentError |  | 120 s | AgentError: run 2 of 2: it ended with exit code 7")]
#[case::out_of_memory_is_an_error_even_with_exit_code_0(working(Role::Developer, ended(MainFact::OutOfMemory(0))).with(|s| s.delivery = Some(delivered(Some("c1")))),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it used more memory than its limit and was killed (OOMKilled)")]
#[case::a_timeout_is_told_apart(working(Role::Developer, ended(MainFact::Exited(124))).with(|s| s.delivery = Some(DeliveryFact { timed_out: true, ..DeliveryFact::default() })),
    "Pending run 1 spent 1 infra 0 Timeout |  | 4 s | run 1 ended (Timeout): it took longer than its timeout of 600 s")]
#[case::a_full_disk_spends_a_run(working(Role::Developer, ended(MainFact::Exited(137)).with(|p| p.overused = Some("evicted: disk".into()))),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): evicted: disk")]
#[case::a_pod_without_a_delivery_costs_nothing(
    working(Role::Developer, ended(MainFact::Exited(1))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its pod ended (exit code 1) without a delivery"
)]
#[case::a_preempted_pod_costs_nothing(working(Role::Developer, ended(MainFact::Exited(143)).with(|p| p.disrupted = Some("PreemptionByScheduler".into()))).with(|s| s.delivery = Some(delivered(None))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): PreemptionByScheduler")]
#[case::a_lost_node_costs_nothing(
    working(Role::Developer, ended(MainFact::Unknown)),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its node lost sight of its main container"
)]
#[case::the_circuit_opens_after_ten_lost_runs(working(Role::Developer, ended(MainFact::Unknown)).with(|s| s.record.infra_runs = 9),
    "Failed run 1 spent 0 infra 10 Infra | delete job-1 | 120 s | Infra: its node lost sight of its main container (10 runs in a row were failed by the cluster; see to it)")]
#[case::an_ended_task_stays_ended(working(Role::Developer, ended(MainFact::Exited(0))).with(|s| { s.record.state = TaskState::Succeeded; job(s).finished = true; }),
    "Succeeded run 1 spent 0 infra 0 |  | - | at work")]
fn the_end_of_a_developers_run(#[case] s: Snapshot, #[case] expected: &str) {
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[rstest]
#[case::a_review_wins_at_once(working(Role::Reviewer, pod(MainFact::Running)).with(|s| s.submitted = true),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | submitted")]
#[case::a_review_wins_over_a_bad_end(working(Role::Reviewer, ended(MainFact::Exited(1))).with(|s| { s.submitted = true; s.delivery = Some(delivered(None)); }),
    "Succeeded run 1 spent 0 infra 0 |  | 120 s | submitted")]
#[case::a_late_review_of_a_run_that_was_given_up_counts(
    new(Role::Reviewer).with(|s| { s.record = Record { run: 1, infra_runs: 1, failure_class: Some(FailureClass::Infra), not_before: Some(Time(ago(-7))), ..Record::default() }; s.submitted = true; }),
    "Succeeded run 1 spent 0 infra 1 |  | - | submitted")]
#[case::an_end_without_a_review_spends_a_run(working(Role::Reviewer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(delivered(None))),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it ended without submit_review")]
#[case::a_changed_tree_is_no_review(working(Role::Reviewer, ended(MainFact::Exited(0))).with(|s| s.delivery = Some(DeliveryFact { message: "looks good\n".into(), ..delivered(Some("c")) })),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it ended without submit_review: looks good")]
#[case::the_last_run_without_a_review_ends_the_task(working(Role::Reviewer, ended(MainFact::Exited(0))).with(|s| { s.delivery = Some(delivered(None)); s.record.spent_runs = 1; }),
    "Failed run 1 spent 2 infra 0 AgentError |  | 120 s | AgentError: run 2 of 2: it ended without submit_review")]
#[case::a_bad_exit_code_spends_a_run(working(Role::Reviewer, ended(MainFact::Exited(7))).with(|s| s.delivery = Some(delivered(None))),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it ended with exit code 7")]
#[case::a_timeout_is_told_apart(working(Role::Reviewer, ended(MainFact::Exited(124))).with(|s| s.delivery = Some(DeliveryFact { timed_out: true, ..DeliveryFact::default() })),
    "Pending run 1 spent 1 infra 0 Timeout |  | 4 s | run 1 ended (Timeout): it took longer than its timeout of 600 s")]
#[case::out_of_memory_is_an_error(working(Role::Reviewer, ended(MainFact::OutOfMemory(0))).with(|s| s.delivery = Some(delivered(None))),
    "Pending run 1 spent 1 infra 0 AgentError |  | 4 s | run 1 ended (AgentError): it used more memory than its limit and was killed (OOMKilled)")]
#[case::a_pod_without_a_delivery_costs_nothing(
    working(Role::Reviewer, ended(MainFact::Exited(0))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): its pod ended (exit code 0) without a delivery"
)]
#[case::a_command_that_cannot_run_never_started(
    working(Role::Reviewer, ended(MainFact::NotStarted("StartError".into()))),
    "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): it never started: container agent: StartError"
)]
fn the_end_of_a_reviewers_run(#[case] s: Snapshot, #[case] expected: &str) {
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[rstest]
#[case::exit_code_0_passed(
    MainFact::Exited(0),
    DeliveryFact::default(),
    "Succeeded run 1 spent 0 infra 0 Passed |  | 120 s | passed"
)]
#[case::a_bad_exit_code_failed(
    MainFact::Exited(2),
    DeliveryFact::default(),
    "Succeeded run 1 spent 0 infra 0 Failed |  | 120 s | it ended with exit code 2"
)]
#[case::out_of_memory_failed(
    MainFact::OutOfMemory(0),
    DeliveryFact::default(),
    "Succeeded run 1 spent 0 infra 0 Failed |  | 120 s | it used more memory than its limit and was killed (OOMKilled)"
)]
#[case::its_own_timeout_failed(MainFact::Exited(0), DeliveryFact { timed_out: true, ..DeliveryFact::default() }, "Succeeded run 1 spent 0 infra 0 Failed |  | 120 s | it took longer than its timeout of 600 s")]
#[case::a_commit_from_a_check_means_nothing(MainFact::Exited(1), DeliveryFact { commit: Some("c".into()), ..DeliveryFact::default() }, "Succeeded run 1 spent 0 infra 0 Failed |  | 120 s | it ended with exit code 1")]
#[case::a_command_that_cannot_run_never_started(MainFact::NotStarted("StartError".into()), DeliveryFact::default(), "Pending run 1 spent 0 infra 1 Infra | delete job-1 | 4 s | run 1 ended (Infra): it never started: container agent: StartError")]
fn the_end_of_a_checks_run(#[case] main: MainFact, #[case] delivery: DeliveryFact, #[case] expected: &str) {
    let s = working(Role::Check, ended(main)).with(|s| s.delivery = Some(delivery));
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[rstest]
#[case::mirrored(MainFact::Exited(0), true, "Succeeded run 1 spent 0 infra 0 |  | 120 s | mirrored")]
#[case::an_empty_upstream(
    MainFact::Exited(0),
    false,
    "Pending run 1 spent 0 infra 1 Infra |  | 4 s | run 1 ended (Infra): no heads were mirrored"
)]
#[case::an_upstream_that_does_not_answer(
    MainFact::Exited(1),
    false,
    "Pending run 1 spent 0 infra 1 Infra |  | 4 s | run 1 ended (Infra): it ended with exit code 1"
)]
fn the_end_of_a_syncs_run(#[case] main: MainFact, #[case] heads: bool, #[case] expected: &str) {
    let s =
        working(Role::Sync, ended(main)).with(|s| s.delivery = Some(DeliveryFact { heads, ..DeliveryFact::default() }));
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[test]
fn an_upstream_that_refuses_a_sync_is_not_asked_again_by_it() {
    let s = working(Role::Sync, ended(MainFact::Exited(1))).with(|s| {
        let message = "the upstream refuses the credentials of Secret mirror".to_owned();
        s.delivery = Some(DeliveryFact { refused: true, message, ..DeliveryFact::default() });
    });
    let record = decide(&s).record;
    assert_eq!((record.state, record.failure_class), (TaskState::Failed, Some(FailureClass::AgentError)));
    assert!(record.message.contains("credentials of Secret mirror"), "{}", record.message);
    assert_settled(&s);
}

#[test]
fn the_next_run_is_told_of_a_spent_one_and_not_of_what_the_cluster_did() {
    let s = working(Role::Developer, ended(MainFact::Exited(7))).with(|s| s.delivery = Some(delivered(None)));
    let spent = decide(&s).record;
    assert_eq!(spent.last_failure, "run 1 ended (AgentError): it ended with exit code 7");
    let next = decide(&apply(&s, &decide(&s)).with(|s| s.record.not_before = None)).record;
    assert_eq!((next.run, &next.last_failure, next.message.as_str()), (2, &spent.last_failure, "waits for its pod"));
    let lost = working(Role::Developer, ended(MainFact::Unknown)).with(|s| s.record.last_failure = "earlier".into());
    assert_eq!(decide(&lost).record.last_failure, "earlier");
}

const REFUSED: fn() -> DeliveryFact = || DeliveryFact { changed: true, refused: true, ..DeliveryFact::default() };
const LATE: fn() -> DeliveryFact = || DeliveryFact { changed: true, timed_out: true, ..DeliveryFact::default() };

/// Run 3 of a developer ended; `before`: since when saved work was continued, `resumed`: whether run 3 began with some.
#[rstest]
#[case::a_lost_run_is_continued(MainFact::Unknown, None, None, false, Some(3))]
#[case::one_that_was_lost_before_it_saved_leaves_what_was_there(MainFact::Unknown, None, Some(1), false, Some(1))]
#[case::so_does_one_that_continued(MainFact::Unknown, None, Some(2), true, Some(2))]
#[case::no_delivery_is_a_loss(MainFact::Exited(1), None, Some(2), true, Some(2))]
#[case::a_timeout_is_continued_however_often(MainFact::Exited(124), Some(LATE()), Some(1), true, Some(1))]
#[case::an_error_is_continued(MainFact::Exited(7), Some(delivered(Some("c"))), None, false, Some(3))]
#[case::and_memory_that_ran_out(MainFact::OutOfMemory(137), Some(delivered(Some("c"))), None, false, Some(3))]
#[case::an_error_without_saved_work_leaves_its_own_alone(
    MainFact::Exited(7),
    Some(delivered(Some("c"))),
    Some(1),
    false,
    Some(3)
)]
#[case::an_error_on_saved_work_starts_afresh(MainFact::Exited(7), Some(delivered(Some("c"))), Some(1), true, None)]
#[case::no_change_starts_afresh(MainFact::Exited(0), Some(delivered(None)), Some(1), true, None)]
#[case::a_tree_that_was_refused_starts_afresh(MainFact::Exited(0), Some(REFUSED()), None, false, None)]
#[case::whatever_ended_it(MainFact::Exited(124), Some(DeliveryFact { timed_out: true, ..REFUSED() }), Some(1), true, None)]
#[case::work_that_could_not_be_pushed_may_be_saved(MainFact::Exited(0), Some(DeliveryFact { changed: true, ..delivered(None) }), None, false, Some(3))]
fn the_next_run_continues_what_was_saved_where_that_is_good(
    #[case] main: MainFact,
    #[case] delivery: Option<DeliveryFact>,
    #[case] before: Option<i32>,
    #[case] resumed: bool,
    #[case] since: Option<i32>,
) {
    let resume = |since| Resume { since, why: "run 2 ended".to_owned() };
    let s = working(Role::Developer, ended(main)).with(|s| {
        s.record.run = 3;
        s.record.resume = before.map(resume);
        (s.delivery, s.resumed, s.max_runs) = (delivery, resumed, 9);
    });
    let outcome = decide(&s);
    assert_eq!(outcome.record.state, TaskState::Pending);
    assert_eq!(outcome.record.resume.as_ref().map(|resume| resume.since), since);
    assert!(outcome.record.resume.iter().all(|resume| resume.why == outcome.record.message));
    assert_settled(&s);
    let next = decide(&apply(&s, &outcome).with(|s| s.record.not_before = None)).record;
    assert_eq!((next.run, &next.resume), (4, &outcome.record.resume), "the run that follows is told");
}

#[rstest]
#[case::a_check(Role::Check)]
#[case::a_reviewer(Role::Reviewer)]
#[case::a_mirroring(Role::Sync)]
fn only_a_developer_has_work_to_continue(#[case] role: Role) {
    let outcome = decide(&working(role, ended(MainFact::Unknown)));
    assert_eq!((outcome.record.state, outcome.record.resume), (TaskState::Pending, None));
}

#[test]
fn a_task_that_has_ended_has_nothing_to_continue() {
    let s = working(Role::Developer, pod(MainFact::Running)).with(|s| {
        s.record.resume = Some(Resume { since: 1, why: String::new() });
        s.submitted = true;
    });
    assert_eq!(decide(&s).record.resume, None);
}

#[test]
fn the_image_of_the_run_is_recorded_kept_and_forgotten_with_the_next_run() {
    let id = || Some("klein@sha256:0f".to_owned());
    let seen = working(Role::Check, pod(MainFact::Running).with(|pod| pod.image_id = id()));
    assert_eq!(decide(&seen).record.image_id, id());
    assert_settled(&seen);
    let unseen = working(Role::Check, ended(MainFact::Exited(0))).with(|s| {
        s.record.image_id = id();
        s.delivery = Some(DeliveryFact::default());
    });
    assert_eq!(decide(&unseen).record.image_id, id());
    let next = new(Role::Check).with(|s| s.record = Record { run: 1, image_id: id(), ..Record::default() });
    assert_eq!(decide(&next).record.image_id, None);
}

#[test]
fn a_submission_counts_for_agents_only() {
    let s = working(Role::Check, pod(MainFact::Running)).with(|s| s.submitted = true);
    assert_eq!(decide(&s).record.state, TaskState::Running);
}

#[test]
fn a_full_disk_fails_a_check() {
    let s = working(Role::Check, ended(MainFact::Running).with(|pod| pod.overused = Some("evicted: disk".into())));
    let outcome = decide(&s);
    assert_eq!((outcome.record.state, outcome.record.outcome), (TaskState::Succeeded, Some(CheckOutcome::Failed)));
    assert_settled(&s);
}

#[rstest]
#[case::is_given_time(119, "Succeeded run 1 spent 0 infra 0 |  | 1 s | ")]
#[case::is_stopped(120, "Succeeded run 1 spent 0 infra 0 | delete job-1 | - | ")]
fn an_agent_that_works_on_after_its_submission(#[case] since: i64, #[case] expected: &str) {
    let s = working(Role::Developer, pod(MainFact::Running)).with(|s| {
        s.record.state = TaskState::Succeeded;
        s.record.message = String::new();
        s.record.finished_at = Some(Time(ago(since)));
    });
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[test]
fn only_what_goes_wrong_is_an_event() {
    let note = |role, code| {
        let delivery = Some(delivered(Some("c")));
        decide(&working(role, ended(MainFact::Exited(code))).with(|s| s.delivery = delivery)).note
    };
    assert_eq!(note(Role::Developer, 0), None);
    assert_eq!(note(Role::Check, 0), None);
    assert_eq!(note(Role::Developer, 1).map(|note| note.reason).as_deref(), Some("AgentError"));
    assert_eq!(note(Role::Check, 1).map(|note| note.reason).as_deref(), Some("CheckFailed"));
}

#[test]
fn a_job_that_is_refused_leaves_the_task_pending_with_the_reason() {
    let s = new(Role::Developer);
    let outcome = refused(&s, "exceeded quota: jobs");
    assert_eq!(
        summary(&outcome),
        "Pending run 0 spent 0 infra 0 |  | 30 s | failed to make Job job-1: exceeded quota: jobs; tried again every 30 s"
    );
    let after = Snapshot { record: outcome.record.clone(), ..s };
    assert_eq!(refused(&after, "exceeded quota: jobs").record, outcome.record, "refused again, nothing changes");
}

#[test]
fn a_status_that_says_the_same_is_the_same() {
    let s = working(Role::Developer, pod(MainFact::Running));
    let before = project(&Status::of(&crate::api::AgentTaskStatus::default()), s.record.clone(), 1, ago(10));
    assert_eq!(project(&before, decide(&s).record, 1, ago(0)), before);
}

fn any_main() -> impl Strategy<Value = MainFact> {
    prop_oneof![
        Just(MainFact::Waiting),
        Just(MainFact::Running),
        (0..3_i32).prop_map(MainFact::Exited),
        (0..2_i32).prop_map(MainFact::OutOfMemory),
        Just(MainFact::NotStarted("StartError".to_owned())),
        Just(MainFact::Unknown),
    ]
}

prop_compose! {
    fn any_pod()(main in any_main(), flags in any::<[bool; 8]>(), gone in prop::option::of(-60_i64..60), creating in prop::option::of(0_i64..300)) -> PodFact {
        let [finished, deadline_exceeded, overused, disrupted, unschedulable, is_blocked, failed_before, _] = flags;
        PodFact {
            finished, deadline_exceeded,
            overused: overused.then(|| "overused".to_owned()),
            disrupted: disrupted.then(|| "disrupted".to_owned()),
            gone_by: gone.map(ago),
            unschedulable: unschedulable.then(|| "no node".to_owned()),
            blocked: is_blocked.then(blocked),
            creating_since: creating.map(ago),
            failed_before: failed_before.then(|| "prepare".to_owned()),
            ..pod(main)
        }
    }
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Developer, Role::Check, Role::Reviewer, Role::Sync])
}

fn any_state() -> impl Strategy<Value = TaskState> {
    use TaskState::{Failed, Pending, Running, Starting, Succeeded};
    prop::sample::select(vec![Pending, Starting, Running, Succeeded, Failed])
}

prop_compose! {
    fn any_snapshot()(
        role in any_role(), state in any_state(), pod in prop::option::of(any_pod()), flags in any::<[bool; 8]>(),
        spent in 0..2_i32, infra in 0..10_i32, starts in 0..2_i32, since in prop::option::of(0_i64..200), delivery in any::<Option<[bool; 5]>>(),
    ) -> Snapshot {
        let [has_job, deleting, suspended, finished, submitted, hold, stray, pinned] = flags;
        let mut s = started(role);
        s.record = Record { state, spent_runs: spent, infra_runs: infra, start_failures: starts, blocked_since: since.map(|since| Time(ago(since))), ..s.record };
        s.record.pod_uid = pinned.then(|| "pod-uid".to_owned());
        s.hold = hold.then(|| "suspended".to_owned());
        s.strays = if stray { vec!["job-0".to_owned()] } else { Vec::new() };
        s.submitted = submitted;
        s.delivery = delivery.map(|[commit, changed, refused, timed_out, heads]| DeliveryFact {
            commit: commit.then(|| "c".to_owned()), changed, refused, timed_out, heads, message: String::new(),
        });
        s.job = s.job.filter(|_| has_job).map(|job| JobFact { deleting, suspended, finished, pod, ..job });
        s
    }
}

proptest! {
    #[test]
    fn every_decision_settles_and_none_spends_beyond_the_limit(s in any_snapshot()) {
        let outcome = decide(&s);
        prop_assert!(outcome.record.spent_runs <= s.max_runs);
        prop_assert!(outcome.record.run >= s.record.run, "runs never decrease");
        prop_assert!(outcome.record.run <= s.record.run + 1, "one run at a time");
        prop_assert!(outcome.record.infra_runs <= CIRCUIT_RUNS);
        let ended = matches!(s.record.state, TaskState::Succeeded | TaskState::Failed);
        prop_assert!(!ended || outcome.record == s.record, "an end is final");
        let creates = outcome.actions.iter().any(|action| matches!(action, Action::CreateJob { .. }));
        prop_assert_eq!(creates, outcome.record.run > s.record.run, "one Job per run");
        prop_assert!(!creates || s.hold.is_none(), "nothing starts while the phase is held");
        // An outcome that gives up a run leads to Pending, from where only time leads on.
        assert_settled(&s);
    }
}
