//! The decision: total, one match over the states. What the end of a run means is in `ending`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    AFTERMATH, Action, Blocked, CACHE_GRACE, JobFact, MainFact, NODE_GRACE, Outcome, POD_GRACE, PodFact, REFUSED_WAIT,
    Record, Snapshot, after, ending, external, left, project::cut,
};
use crate::api::agent_task::{Role, TaskState};

/// Decides what to do about a task.
pub fn decide(s: &Snapshot) -> Outcome {
    if let Some(system) = &s.external {
        return external::decide(s, system);
    }
    let mut outcome = match s.record.state {
        TaskState::Pending => pending(s),
        TaskState::Starting | TaskState::Running => live(s),
        TaskState::Succeeded | TaskState::Failed => ended(s),
    };
    let strays = s.strays.iter().map(|name| Action::DeleteJob { name: name.clone() });
    outcome.actions.splice(0..0, strays);
    outcome
}

/// What is true when the Job could not be made, instead of what was decided: the task waits and
/// says why.
pub fn refused(s: &Snapshot, why: &str) -> Outcome {
    let message =
        cut(&format!("failed to make Job {}: {why}; tried again every {} s", s.next_job, REFUSED_WAIT.as_secs()));
    let record = Record { message, ..s.record.clone() };
    Outcome { actions: Vec::new(), record, wake: Some(REFUSED_WAIT), note: None }
}

/// Nothing but a record and when to look again.
pub(super) fn keep(record: Record, wake: Option<Duration>) -> Outcome {
    Outcome { actions: Vec::new(), record, wake, note: None }
}

fn pending(s: &Snapshot) -> Outcome {
    // From a pod that was given up too early: its branch is closed, and the work is there.
    if s.submitted && submits(s.role) {
        return ending::succeeded(s, &s.record, "submitted");
    }
    let not_before = s.record.not_before.as_ref();
    if let Some(wait) = not_before.and_then(|moment| left(s.now, moment.0)) {
        return keep(s.record.clone(), Some(wait));
    }
    if let Some(hold) = &s.hold {
        return keep(Record { message: cut(hold), ..s.record.clone() }, None);
    }
    let run = s.record.run + 1;
    let record = Record {
        state: TaskState::Starting,
        run,
        job: Some(s.next_job.clone()),
        pod: None,
        pod_uid: None,
        image_id: None,
        message: WAITS_FOR_POD.to_owned(),
        not_before: None,
        blocked_since: None,
        started_at: Some(Time(s.now)),
        ..s.record.clone()
    };
    Outcome { actions: vec![Action::CreateJob { run }], record, wake: Some(POD_GRACE), note: None }
}

const WAITS_FOR_POD: &str = "waits for its pod";
const PREPARES: &str = "its pod is being prepared";
const AT_WORK: &str = "at work";

/// A run is under way.
fn live(s: &Snapshot) -> Outcome {
    if s.submitted && submits(s.role) {
        return ending::succeeded(s, &s.record, "submitted");
    }
    let Some(job) = &s.job else {
        let started = s.record.started_at.as_ref().map_or(s.now, |moment| moment.0);
        return match left(s.now, after(started, CACHE_GRACE)) {
            Some(wait) => keep(s.record.clone(), Some(wait)),
            None => ending::lost(s, &s.record, "its Job is gone"),
        };
    };
    match &job.pod {
        Some(pod) => with_pod(s, pod),
        None => without_pod(s, job),
    }
}

fn submits(role: Role) -> bool {
    match role {
        Role::Developer | Role::Reviewer => true,
        Role::Check | Role::Sync => false,
    }
}

fn without_pod(s: &Snapshot, job: &JobFact) -> Outcome {
    if s.record.pod_uid.is_some() {
        return ending::lost(s, &s.record, "its pod was deleted");
    }
    if job.deleting {
        return ending::lost(s, &s.record, "its Job was deleted");
    }
    if job.finished {
        return ending::lost(s, &s.record, "its Job ended without a pod that could be seen");
    }
    let waits = |message: &str, wake| keep(Record { message: cut(message), ..s.record.clone() }, wake);
    if job.suspended {
        return waits(&format!("waits for a queue to release Job {}", job.name), None);
    }
    if let Some(wait) = left(s.now, after(job.created_at, POD_GRACE)) {
        return waits(WAITS_FOR_POD, Some(wait));
    }
    let why = "the quota of the namespace may be exhausted, or admission refuses the pod";
    waits(&format!("waits for its pod: {why}; see kubectl describe job {}", job.name), None)
}

fn with_pod(s: &Snapshot, pod: &PodFact) -> Outcome {
    let record = Record {
        pod: Some(pod.name.clone()),
        pod_uid: Some(pod.uid.clone()),
        image_id: pod.image_id.clone().or_else(|| s.record.image_id.clone()),
        ..s.record.clone()
    };
    if let Some(outcome) = ending::of_pod(s, &record, pod) {
        return outcome;
    }
    let (gone, wake) = overdue(s, pod);
    if gone {
        return ending::lost(s, &record, "its node does not answer: the pod was deleted and does not end");
    }
    let record = Record { blocked_since: None, ..record };
    match &pod.main {
        MainFact::Waiting => starting(s, record, pod, wake),
        // Also while an ended run delivers: that takes moments, and a write of its own would say little.
        MainFact::Running
        | MainFact::Exited(_)
        | MainFact::OutOfMemory(_)
        | MainFact::NotStarted(_)
        | MainFact::Unknown => keep(Record { state: TaskState::Running, message: AT_WORK.to_owned(), ..record }, wake),
    }
}

/// Whether a pod that is being deleted should have been gone long ago, and when to look again.
fn overdue(s: &Snapshot, pod: &PodFact) -> (bool, Option<Duration>) {
    let Some(gone_by) = pod.gone_by else { return (false, None) };
    let wait = left(s.now, after(gone_by, NODE_GRACE));
    (wait.is_none(), wait)
}

fn starting(s: &Snapshot, record: Record, pod: &PodFact, wake: Option<Duration>) -> Outcome {
    if let Some(blocked) = &pod.blocked {
        return start_blocked(s, record, blocked, wake);
    }
    let message = match (&pod.unschedulable, pod.creating_since) {
        (Some(why), _) => (format!("waits for a node: {why}"), wake),
        (None, Some(since)) => match left(s.now, after(since, s.start_deadline)) {
            Some(wait) => (PREPARES.to_owned(), Some(wake.map_or(wait, |wake| wake.min(wait)))),
            None => (stuck(&pod.name), wake),
        },
        (None, None) => (PREPARES.to_owned(), wake),
    };
    keep(Record { message: cut(&message.0), ..record }, message.1)
}

fn stuck(pod: &str) -> String {
    let why = "a large image, or a volume whose ConfigMap, Secret or claim does not exist";
    format!("its pod has a node but nothing of it starts ({why}); see kubectl describe pod {pod}")
}

fn start_blocked(s: &Snapshot, record: Record, blocked: &Blocked, wake: Option<Duration>) -> Outcome {
    let since = s.record.blocked_since.clone().unwrap_or(Time(s.now));
    let Some(wait) = left(s.now, after(since.0, s.start_deadline)) else {
        return ending::never_started(s, &record, &ending::say_blocked(blocked));
    };
    let message = cut(&format!("cannot start: {}", ending::say_blocked(blocked)));
    let wake = wake.map_or(wait, |wake| wake.min(wait));
    keep(Record { message, blocked_since: Some(since), ..record }, Some(wake))
}

/// The task has ended. A pod that goes on (an agent that works on after its submission) is stopped
/// after a while.
fn ended(s: &Snapshot) -> Outcome {
    let Some(job) = s.job.as_ref().filter(|job| !job.finished && !job.deleting) else {
        return keep(s.record.clone(), None);
    };
    let finished = s.record.finished_at.as_ref().map_or(s.now, |moment| moment.0);
    match left(s.now, after(finished, AFTERMATH)) {
        Some(wait) => keep(s.record.clone(), Some(wait)),
        None => Outcome { actions: vec![Action::DeleteJob { name: job.name.clone() }], ..keep(s.record.clone(), None) },
    }
}
