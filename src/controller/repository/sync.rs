//! The mirror of an upstream: one Sync AgentTask after the other, each an interval after the one before (design §8).
//!
//! Reads from the cache, one pure decision, then the writes: the due AgentTask, and the end of those that are long over.

use std::time::Duration as StdDuration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams, Preconditions},
    runtime::reflector::ObjectRef,
};

use crate::{
    api::{
        AgentTask, AgentTaskSpec, Repository,
        agent_task::{AgentPod, PhaseLink, Push, Role, TaskState},
        common::Duration,
        repository::{SyncStatus, Upstream},
    },
    controller::{Error, context::Context},
};

/// Longest time of one mirror run.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1800);
/// Runs of one Sync task.
const SYNC_RUNS: i32 = 4;

/// What is known of the mirror, and what to do for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mirror {
    /// What is recorded.
    pub(super) record: SyncStatus,
    /// How it stands.
    pub(super) state: MirrorState,
    /// Name of the Sync AgentTask to make now.
    pub(super) due: Option<String>,
    /// Time until the next is due.
    pub(super) wait: Option<StdDuration>,
}

/// How the mirror stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MirrorState {
    /// A Sync is at work, or about to be.
    UnderWay,
    /// The last one ended well.
    Fresh {
        /// Head of the base branch there; none if it has no such branch.
        head: Option<String>,
    },
    /// The last one failed: why.
    Failed(String),
}

impl MirrorState {
    /// Status, reason and message of the condition.
    pub(super) fn told(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::UnderWay => ("Unknown", "Syncing", "looking at the upstream".to_owned()),
            Self::Fresh { head: Some(head) } => ("True", "Synced", format!("the upstream is at {head}")),
            Self::Fresh { head: None } => ("True", "Synced", "the upstream has no such branch".to_owned()),
            Self::Failed(why) => ("False", "SyncFailed", why.clone()),
        }
    }
}

/// What is seen of the recorded AgentTask.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TaskFact {
    state: TaskState,
    message: String,
    finished_at: Option<Timestamp>,
    head: Option<String>,
}

/// `None` without an upstream.
pub(super) fn observe(repository: &Repository, context: &Context, now: Timestamp) -> Option<Mirror> {
    let upstream = repository.spec.upstream.as_ref()?;
    let record = repository.status.as_ref().and_then(|status| status.sync.clone()).unwrap_or_default();
    let key = ObjectRef::new(&record.task).within(&repository.namespace().unwrap_or_default());
    let uid = repository.uid().unwrap_or_default();
    let task = context.stores.tasks.get(&key).filter(|task| task.owner_references().iter().any(|of| of.uid == uid));
    let fact = task.map(|task| {
        let status = task.status.clone().unwrap_or_default();
        TaskFact {
            state: status.state,
            message: status.message,
            finished_at: status.finished_at.map(|ended| ended.0),
            head: status.delivery.and_then(|delivery| delivery.heads.get(&repository.spec.base_branch).cloned()),
        }
    });
    let generation = repository.metadata.generation.unwrap_or_default();
    Some(decide(&repository.name_any(), generation, upstream.interval, record, fact.as_ref(), now))
}

/// The next step: to wait for the one at work, or for the interval, or to look again.
fn decide(
    repository: &str,
    generation: i64,
    interval: Duration,
    before: SyncStatus,
    task: Option<&TaskFact>,
    now: Timestamp,
) -> Mirror {
    let begin = |before: SyncStatus| {
        let number = before.number + 1;
        let task = format!("{repository}-sync-{number}");
        let record = SyncStatus { task: task.clone(), number, generation, finished_at: None, head: before.head };
        Mirror { record, state: MirrorState::UnderWay, due: Some(task), wait: None }
    };
    let state = match task {
        _ if before.number == 0 => return begin(before),
        Some(TaskFact { state: TaskState::Pending | TaskState::Starting | TaskState::Running, .. }) => {
            return Mirror { record: before, state: MirrorState::UnderWay, due: None, wait: None };
        }
        Some(TaskFact { state: TaskState::Failed, message, .. }) => MirrorState::Failed(message.clone()),
        Some(TaskFact { state: TaskState::Succeeded, head, .. }) => MirrorState::Fresh { head: head.clone() },
        // It was made, and the cache is behind; or it was deleted. Making it again is safe.
        None if before.finished_at.is_none() => {
            let due = Some(before.task.clone());
            return Mirror { record: before, state: MirrorState::UnderWay, due, wait: None };
        }
        None => MirrorState::Fresh { head: before.head.clone() },
    };
    let ended = before.finished_at.as_ref().map(|ended| ended.0).or_else(|| task.and_then(|task| task.finished_at));
    let ended = ended.unwrap_or(now);
    let head = match &state {
        MirrorState::Fresh { head } => head.clone(),
        MirrorState::Failed(_) | MirrorState::UnderWay => before.head.clone(),
    };
    let ended = Timestamp::from_second(ended.as_second()).unwrap_or(ended);
    let record = SyncStatus { finished_at: Some(Time(ended)), head, ..before };
    let next = ended + SignedDuration::from_secs(i64::from(interval.as_secs()));
    if record.generation != generation || next <= now {
        // What is known of the last look stays until the next has ended.
        return Mirror { state, ..begin(record) };
    }
    let left = u64::try_from(next.duration_since(now).as_secs()).unwrap_or(0);
    Mirror { record, state, due: None, wait: Some(StdDuration::from_secs(left + 1)) }
}

/// Makes the due Sync, and removes all but the two newest.
pub(super) async fn execute(repository: &Repository, mirror: &Mirror, context: &Context) -> Result<(), Error> {
    let (Some(name), Some(upstream)) = (&mirror.due, &repository.spec.upstream) else { return Ok(()) };
    let namespace = repository.namespace().unwrap_or_default();
    let api: Api<AgentTask> = Api::namespaced(context.client.clone(), &namespace);
    let owner = repository.controller_owner_ref(&()).into_iter().collect();
    let task = sync_task(repository, upstream, name, owner, context);
    match api.create(&PostParams::default(), &task).await {
        Ok(_) => {}
        // Already there: the cache has not seen it yet.
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => {}
        Err(error) => return Err(error.into()),
    }
    let kept = [name.clone(), format!("{}-sync-{}", repository.name_any(), mirror.record.number - 1)];
    let uid = repository.uid().unwrap_or_default();
    let over = context.stores.tasks.state_filter(|task| {
        let ours = task.owner_references().iter().any(|owner| owner.uid == uid);
        ours && task.spec.role == Role::Sync && !kept.contains(&task.name_any())
    });
    for task in over {
        let preconditions = Some(Preconditions { uid: task.uid(), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        match api.delete(&task.name_any(), &parameters).await {
            Ok(_) => {}
            Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A Sync that only mirrors.
fn sync_task(
    repository: &Repository,
    upstream: &Upstream,
    name: &str,
    owner: Vec<OwnerReference>,
    context: &Context,
) -> AgentTask {
    let labels = [("app.kubernetes.io/managed-by", "phasegate")];
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: repository.namespace(),
        owner_references: Some(owner),
        labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        ..ObjectMeta::default()
    };
    let image = &context.config.runner_image;
    let uid = repository.uid().unwrap_or_default();
    AgentTask { metadata, spec: sync_spec(&repository.name_any(), upstream, image, None, None, uid), status: None }
}

/// The spec of a Sync: it mirrors the upstream, then pushes what is to go out, if anything.
pub(in crate::controller) fn sync_spec(
    repository: &str,
    upstream: &Upstream,
    image: &str,
    phase: Option<PhaseLink>,
    push: Option<Push>,
    correlation_id: String,
) -> AgentTaskSpec {
    AgentTaskSpec {
        role: Role::Sync,
        repository: repository.to_owned(),
        phase,
        task: if push.is_some() { "push" } else { "sync" }.to_owned(),
        commit: None,
        branch: None,
        brief: None,
        conflict: None,
        check: None,
        base: None,
        review: None,
        upstream: Some(upstream.clone()),
        push,
        pod: AgentPod { image: image.to_owned(), ..AgentPod::default() },
        timeout: SYNC_TIMEOUT,
        max_runs: SYNC_RUNS,
        correlation_id,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T00:{time}Z").parse().unwrap()
    }

    fn record(number: i64, ended: Option<&str>) -> SyncStatus {
        let task = if number == 0 { String::new() } else { format!("r-sync-{number}") };
        let head = (number > 0).then(|| "old".to_owned());
        SyncStatus { task, number, generation: 1, finished_at: ended.map(|time| Time(at(time))), head }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a column of the table, which other rows leave empty")]
    fn task(state: TaskState) -> Option<TaskFact> {
        let finished_at = matches!(state, TaskState::Succeeded | TaskState::Failed).then(|| at("02:00"));
        Some(TaskFact { state, message: "no route".into(), finished_at, head: Some("new".into()) })
    }

    fn fresh(head: &str) -> MirrorState {
        MirrorState::Fresh { head: Some(head.to_owned()) }
    }

    #[rstest]
    #[case::the_first(record(0, None), None, 1, MirrorState::UnderWay, Some("r-sync-1"), None)]
    #[case::at_work(record(1, None), task(TaskState::Running), 1, MirrorState::UnderWay, None, None)]
    #[case::at_work_though_the_spec_was_edited(
        record(1, None),
        task(TaskState::Running),
        2,
        MirrorState::UnderWay,
        None,
        None
    )]
    #[case::not_in_the_cache_yet(record(2, None), None, 1, MirrorState::UnderWay, Some("r-sync-2"), None)]
    #[case::just_ended(record(1, None), task(TaskState::Succeeded), 1, fresh("new"), None, Some(121))]
    #[case::recorded(record(1, Some("02:00")), task(TaskState::Succeeded), 1, fresh("new"), None, Some(121))]
    #[case::failed(record(1, None), task(TaskState::Failed), 1, MirrorState::Failed("no route".into()), None, Some(121))]
    #[case::deleted_after_its_end(record(1, Some("02:00")), None, 1, fresh("old"), None, Some(121))]
    #[case::the_interval_is_over(
        record(1, Some("00:00")),
        task(TaskState::Succeeded),
        1,
        fresh("new"),
        Some("r-sync-2"),
        None
    )]
    #[case::failed_long_ago(record(1, Some("00:00")), task(TaskState::Failed), 1, MirrorState::Failed("no route".into()), Some("r-sync-2"), None)]
    #[case::the_spec_was_edited(record(1, Some("02:00")), task(TaskState::Failed), 2, MirrorState::Failed("no route".into()), Some("r-sync-2"), None)]
    fn an_upstream_is_looked_at_once_an_interval(
        #[case] before: SyncStatus,
        #[case] task: Option<TaskFact>,
        #[case] generation: i64,
        #[case] state: MirrorState,
        #[case] due: Option<&str>,
        #[case] wait: Option<u64>,
    ) {
        let mirror = decide("r", generation, Duration::from_secs(180), before, task.as_ref(), at("03:00"));
        assert_eq!((mirror.state, mirror.due.as_deref()), (state, due));
        assert_eq!(mirror.wait.map(|wait| wait.as_secs()), wait);
        // What was made is waited for, whether the cache has it or not.
        if let Some(due) = due {
            let again = decide("r", generation, Duration::from_secs(180), mirror.record.clone(), None, at("03:01"));
            assert_eq!((again.due.as_deref(), again.record), (Some(due), mirror.record));
        }
    }
}
