//! The Repository reconciler: makes the git repository, mirrors the upstream in once, and says
//! whether phases can start.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
    runtime::{controller::Action, reflector::ObjectRef},
};
use tracing::info;

use super::{
    Error,
    context::{Context, FIELD_MANAGER},
    status::{Written, write_status},
};
use crate::{
    api::{
        AgentTask, AgentTaskSpec, Repository, RepositoryStatus,
        agent_task::{AgentPod, Role, TaskState},
        common::Duration,
        repository::Upstream,
    },
    git::ops::{EnsureRepository, EnsureRepositoryAnswer, RefName},
    machine::conditions::{Health, conditions},
};

/// Longest time of one mirror run.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1800);
/// Runs of one Sync task.
const SYNC_RUNS: i32 = 4;

/// Where a Repository stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Its base branch stands at this commit.
    Ready(String),
    /// The upstream is being mirrored.
    Syncing(String),
    /// The upstream could not be mirrored: why.
    SyncFailed(String, String),
    /// The upstream was mirrored and has no such branch.
    BranchMissing(String),
}

/// Brings one Repository a step further.
///
/// # Errors
/// If the API server or the git service cannot be reached or refuses.
pub async fn reconcile(repository: Arc<Repository>, context: Arc<Context>) -> Result<Action, Error> {
    if repository.metadata.deletion_timestamp.is_some() || context.own_writes.is_stale(repository.as_ref()) {
        return Ok(Action::await_change());
    }
    let operation = EnsureRepository {
        base: RefName::branch(&repository.spec.base_branch)?,
        upstream: repository.spec.upstream.is_some(),
    };
    let namespace = repository.namespace().unwrap_or_default();
    let standing = match context.git.call(&namespace, &repository.name_any(), &operation).await? {
        EnsureRepositoryAnswer::Ready { base } => Standing::Ready(base.into()),
        EnsureRepositoryAnswer::AwaitingUpstream => sync(&repository, &context).await?,
    };
    let before = repository.status.clone().unwrap_or_default();
    let after = project(&repository, &before, standing, Timestamp::now());
    if repository.status.as_ref() != Some(&after)
        && write_status(&context, repository.as_ref(), FIELD_MANAGER, &after).await? == Written::Stored
        && before.message != after.message
    {
        info!(repository = repository.name_any(), namespace, message = after.message, "repository");
    }
    Ok(Action::await_change())
}

/// The Sync task of this generation: an edit of the spec tries again.
async fn sync(repository: &Repository, context: &Context) -> Result<Standing, Error> {
    let generation = repository.metadata.generation.unwrap_or_default();
    let name = format!("{}-sync-{generation}", repository.name_any());
    let namespace = repository.namespace().unwrap_or_default();
    let known = context.stores.tasks.get(&ObjectRef::new(&name).within(&namespace));
    let Some(task) = known else {
        if let Some(upstream) = &repository.spec.upstream {
            create(context, repository, sync_task(repository, upstream, &name, context)).await?;
        }
        return Ok(Standing::Syncing(name));
    };
    let status = task.status.clone().unwrap_or_default();
    Ok(match status.state {
        TaskState::Pending | TaskState::Starting | TaskState::Running => Standing::Syncing(name),
        TaskState::Failed => Standing::SyncFailed(name, status.message),
        TaskState::Succeeded => Standing::BranchMissing(name),
    })
}

async fn create(context: &Context, repository: &Repository, task: AgentTask) -> Result<(), Error> {
    let api: Api<AgentTask> = Api::namespaced(context.client.clone(), &repository.namespace().unwrap_or_default());
    match api.create(&PostParams::default(), &task).await {
        Ok(_) => Ok(()),
        // Already there: the cache has not seen it yet.
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sync_task(repository: &Repository, upstream: &Upstream, name: &str, context: &Context) -> AgentTask {
    let owner: Vec<OwnerReference> = repository.controller_owner_ref(&()).into_iter().collect();
    let labels = [("app.kubernetes.io/managed-by", "phasegate")];
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: repository.namespace(),
        owner_references: Some(owner),
        labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        ..ObjectMeta::default()
    };
    let pod = AgentPod { image: context.config.runner_image.clone(), ..AgentPod::default() };
    let spec = AgentTaskSpec {
        role: Role::Sync,
        repository: repository.name_any(),
        phase: None,
        task: "sync".to_owned(),
        commit: None,
        branch: None,
        brief: None,
        conflict: None,
        check: None,
        base: None,
        review: None,
        upstream: Some(upstream.clone()),
        pod,
        timeout: SYNC_TIMEOUT,
        max_runs: SYNC_RUNS,
        correlation_id: repository.uid().unwrap_or_default(),
    };
    AgentTask { metadata, spec, status: None }
}

fn project(repository: &Repository, before: &RepositoryStatus, standing: Standing, now: Timestamp) -> RepositoryStatus {
    let generation = repository.metadata.generation.unwrap_or_default();
    let base = &repository.spec.base_branch;
    let (health, reason, message, head, task) = match standing {
        Standing::Ready(head) => (Health::Done, "Ready", String::new(), Some(head), before.sync_task.clone()),
        Standing::Syncing(task) => (Health::Working, "Syncing", "mirroring the upstream".to_owned(), None, Some(task)),
        Standing::SyncFailed(task, why) => {
            let message = format!(
                "failed to mirror the upstream: {why}; mend spec.upstream.url or the upstream itself, then edit the spec to try again"
            );
            (Health::NeedsPerson, "SyncFailed", message, None, Some(task))
        }
        Standing::BranchMissing(task) => {
            let message = format!(
                "the upstream has no branch {base}; push it there, or make a Repository with another spec.baseBranch"
            );
            (Health::NeedsPerson, "BranchMissing", message, None, Some(task))
        }
    };
    let message: String = message.chars().take(1000).collect();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    RepositoryStatus {
        observed_generation: generation,
        head,
        sync_task: task,
        conditions: conditions(&before.conditions, health, reason, &message, generation, now),
        message,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn repository() -> Repository {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "r", "namespace": "n", "generation": 2}, "spec": {},
        }))
        .unwrap()
    }

    #[rstest]
    #[case(Standing::Ready("c0ffee".into()), ["True", "False", "False"], "")]
    #[case(Standing::Syncing("r-sync-2".into()), ["Unknown", "True", "False"], "mirroring")]
    #[case(Standing::SyncFailed("r-sync-2".into(), "no route".into()), ["False", "False", "True"], "no route")]
    #[case(Standing::BranchMissing("r-sync-2".into()), ["False", "False", "True"], "no branch main")]
    fn a_standing_is_told_by_conditions_and_again_the_same(
        #[case] standing: Standing,
        #[case] conditions: [&str; 3],
        #[case] says: &str,
    ) {
        let (first, later) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-01T00:01:00Z".parse().unwrap());
        let status = project(&repository(), &RepositoryStatus::default(), standing.clone(), first);
        assert_eq!(status.conditions.iter().map(|c| c.status.as_str()).collect::<Vec<_>>(), conditions);
        assert!(status.message.contains(says), "{}", status.message);
        assert_eq!(project(&repository(), &status, standing, later), status, "looking again changes nothing");
    }
}
