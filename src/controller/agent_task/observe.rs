//! All reads of a reconciliation: caches only.

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};

use super::{external, facts};
use crate::{
    api::{
        AgentTask, AgentTaskStatus, Phase,
        agent_task::{PhaseLink, Role, TaskState},
        phase::BlockedReason,
    },
    controller::{
        config::OperatorConfig,
        context::Context,
        pod::{job_name, run_of},
    },
    machine::task::{Snapshot, Status},
};

/// Everything that the decision about a task depends on.
pub(super) fn observe(task: &AgentTask, context: &Context, now: Timestamp) -> Snapshot {
    let uid = task.uid().unwrap_or_default();
    let jobs = context.stores.jobs.state_filter(|job| facts::is_controlled_by(job, &uid));
    let job_uids: Vec<String> = jobs.iter().filter_map(|job| job.uid()).collect();
    let pods = context.stores.pods.state_filter(|pod| job_uids.iter().any(|uid| facts::is_controlled_by(pod, uid)));
    let phase = task.spec.phase.as_ref().and_then(|link| {
        let reference = ObjectRef::<Phase>::new(&link.name).within(&task.namespace().unwrap_or_default());
        context.stores.phases.get(&reference)
    });
    let world = World {
        jobs: jobs.iter().map(AsRef::as_ref).collect(),
        pods: pods.iter().map(AsRef::as_ref).collect(),
        phase: phase.as_deref(),
    };
    snapshot(task, &world, &context.config, now)
}

/// The objects a task depends on.
struct World<'a> {
    jobs: Vec<&'a Job>,
    pods: Vec<&'a Pod>,
    phase: Option<&'a Phase>,
}

fn snapshot(task: &AgentTask, world: &World<'_>, config: &OperatorConfig, now: Timestamp) -> Snapshot {
    let uid = task.uid().unwrap_or_default();
    let unobserved = AgentTaskStatus::default();
    let status = task.status.as_ref().unwrap_or(&unobserved);
    let record = Status::of(status).record;
    let live = |stamp: &crate::api::agent_task::RunStamp| {
        stamp.run == record.run && Some(&stamp.pod_uid) == record.pod_uid.as_ref()
    };
    let job = record.job.as_ref().and_then(|name| world.jobs.iter().find(|job| job.name_any() == *name));
    let fact = job.map(|job| {
        let job_uid = job.uid().unwrap_or_default();
        let (account, pinned) = (&config.task_service_account, record.pod_uid.as_deref());
        let pod = facts::pick_pod(world.pods.iter().copied(), &job_uid, account, pinned);
        facts::job_fact(job, pod, now)
    });
    Snapshot {
        now,
        role: task.spec.role,
        max_runs: task.spec.max_runs,
        timeout: task.spec.timeout.as_secs(),
        start_deadline: std::time::Duration::from_secs(config.start_deadline_seconds.into()),
        hold: hold(task.spec.phase.as_ref(), world.phase, task.spec.push.is_some() && record.run > 0),
        next_job: job_name(&task.name_any(), &uid, record.run + 1),
        job: fact,
        strays: world
            .jobs
            .iter()
            .filter(|job| is_stray(job, record.state, record.run))
            .map(|job| job.name_any())
            .collect(),
        submitted: match task.spec.role {
            Role::Reviewer => status.review.as_ref().is_some_and(|review| live(&review.stamp)),
            Role::Developer | Role::Check | Role::Sync => {
                status.submission.as_ref().is_some_and(|submission| live(&submission.stamp))
            }
        },
        delivery: status.delivery.as_ref().filter(|delivery| live(&delivery.stamp)).map(facts::delivery_fact),
        resumed: status.resumed.as_ref().is_some_and(|resumed| live(&resumed.stamp)),
        external: external::fact(&task.spec, status),
        uid,
        record,
    }
}

/// Why nothing of this task may start now. What `may_be_out` at the upstream is not held: its next run looks whether it is, and
/// all wait for that.
fn hold(link: Option<&PhaseLink>, phase: Option<&Phase>, may_be_out: bool) -> Option<String> {
    let link = link?;
    let Some(phase) = phase.filter(|phase| phase.meta().uid.as_ref() == Some(&link.uid)) else {
        return Some(format!("its Phase {} is gone", link.name));
    };
    let suspended = phase.spec.suspend
        || phase.status.as_ref().is_some_and(|status| {
            status.suspended_at.is_some()
                || status.blocked_by.iter().any(|blocked| blocked.reason == BlockedReason::Suspended)
        });
    (suspended && !may_be_out).then(|| format!("waits: Phase {} is suspended", link.name))
}

/// Whether a Job of this task works on although its run is not live: a run that was given up, or
/// one that was made by a replica that had lost its lease. The Job of the next run may be there
/// before the record says so.
fn is_stray(job: &Job, state: TaskState, recorded: i32) -> bool {
    let expected = match state {
        TaskState::Pending => recorded..=recorded + 1,
        TaskState::Starting | TaskState::Running | TaskState::Succeeded | TaskState::Failed => recorded..=recorded,
    };
    let works = !facts::is_finished(job) && job.metadata.deletion_timestamp.is_none();
    works && run_of(&job.metadata).is_none_or(|run| !expected.contains(&run))
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
