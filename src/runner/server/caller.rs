//! Who speaks: a token of ours, bound to the very pod that is pinned, of the live run (design §6, "Identity").

use std::time::Duration;

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, header, request::Parts},
};
use kube::{Api, ResourceExt};
use serde::Deserialize;

use super::{
    RunnerApi,
    refusal::{Refused, bad, refuse, unavailable},
};
use crate::{
    api::{
        AgentTask, AgentTaskStatus,
        agent_task::{ReviewSubmission, Role, RunStamp, TaskState},
    },
    git::auth::TASK_AUDIENCE,
};

/// How long the API server may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What a caller says of itself. Nothing is proved yet.
#[derive(Debug)]
pub(super) struct Caller {
    namespace: String,
    task: String,
    run: i32,
    token: String,
}

/// Which run speaks: a pod of an older run is not listened to.
#[derive(Deserialize)]
struct Speaker {
    run: i32,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path((namespace, task)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|error| bad(error.to_string()))?;
        let Query(Speaker { run }) =
            Query::from_request_parts(parts, state).await.map_err(|error| bad(format!("run: {error}")))?;
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).filter(|t| !t.is_empty());
        let token = token.ok_or_else(|| refuse(StatusCode::UNAUTHORIZED, "no bearer token", PROJECTED))?.to_owned();
        Ok(Self { namespace, task, run, token })
    }
}

const PROJECTED: &str = "send the pod's projected token";

/// The live run of the task that the caller speaks for.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) task: AgentTask,
    pub(super) status: AgentTaskStatus,
    pub(super) stamp: RunStamp,
}

impl Caller {
    /// Proves the caller, and reads its task: from the API server, not from a cache, since a pod must not be told
    /// yesterday's state.
    pub(super) async fn live(&self, api: &RunnerApi) -> Result<Live, Refused> {
        let reviewed = api.tokens.review(&self.token, TASK_AUDIENCE).await.map_err(unavailable)?;
        let identity = reviewed.ok_or_else(|| {
            refuse(StatusCode::UNAUTHORIZED, "the token is not good for audience phasegate", PROJECTED)
        })?;
        let expected = format!("system:serviceaccount:{}:{}", self.namespace, api.service_account);
        let (true, Some(pod_uid)) = (identity.username == expected, identity.pod_uid) else {
            let error = "the token is not one of a task pod of this namespace";
            return Err(refuse(StatusCode::FORBIDDEN, error, "call from the task's own pod"));
        };
        let task = self.read(api).await?;
        let status = task.status.clone().unwrap_or_default();
        self.is_live(&status, &pod_uid)?;
        Ok(Live { stamp: RunStamp { run: status.run, pod_uid }, task, status })
    }

    async fn read(&self, api: &RunnerApi) -> Result<AgentTask, Refused> {
        // The name becomes part of a URL.
        let named = crate::git::RepositoryId::new(&self.namespace, &self.task);
        named.map_err(|error| bad(error.to_string()))?;
        let objects: Api<AgentTask> = Api::namespaced(api.client.clone(), &self.namespace);
        match tokio::time::timeout(TIMEOUT, objects.get_opt(&self.task)).await {
            Ok(Ok(Some(task))) => Ok(task),
            Ok(Ok(None)) => {
                let error = format!("there is no AgentTask {} in {}", self.task, self.namespace);
                Err(refuse(StatusCode::NOT_FOUND, error, "end this pod: its task was deleted"))
            }
            Ok(Err(error)) => Err(unavailable(format!("failed to read the task: {error}"))),
            Err(_) => Err(unavailable("failed to read the task: the API server took too long")),
        }
    }

    fn is_live(&self, status: &AgentTaskStatus, pod_uid: &str) -> Result<(), Refused> {
        let end = "end this pod";
        let ended = matches!(status.state, TaskState::Succeeded | TaskState::Failed);
        match status.pod_uid.as_deref() {
            // The reconciler may be behind the pod: it asks again until its UID is pinned.
            None if !ended => return Err(unavailable("this pod is not pinned to its task yet")),
            Some(pinned) if pinned == pod_uid => {}
            Some(_) | None => {
                let error = "another pod speaks for this task, or it has ended";
                return Err(refuse(StatusCode::FORBIDDEN, error, end));
            }
        }
        if self.run == status.run {
            return Ok(());
        }
        let error = format!("run {} is not the live run, {}", self.run, status.run);
        Err(refuse(StatusCode::FORBIDDEN, error, end))
    }
}

impl Live {
    /// Plans and progress are of interest while the run is at work.
    pub(super) fn at_work(&self) -> Result<(), Refused> {
        match self.status.state {
            TaskState::Starting | TaskState::Running => Ok(()),
            TaskState::Pending | TaskState::Succeeded | TaskState::Failed => Err(self.over()),
        }
    }

    /// What is asked for is taken until the task has ended, also from a pod that was given up too early.
    pub(super) fn may_submit(&self) -> Result<(), Refused> {
        match self.status.state {
            TaskState::Pending | TaskState::Starting | TaskState::Running => Ok(()),
            TaskState::Succeeded | TaskState::Failed => Err(self.over()),
        }
    }

    /// Each role hands in its own kind of work.
    pub(super) fn has_role(&self, role: Role) -> Result<(), Refused> {
        let own = self.task.spec.role;
        if own == role {
            return Ok(());
        }
        let error = format!("this is the call of a {role:?}, and {} is a {own:?}", self.task.name_any());
        Err(refuse(StatusCode::FORBIDDEN, error, "hand in what the role is asked for"))
    }

    fn over(&self) -> Refused {
        let error = format!("run {} of {} is over", self.stamp.run, self.task.name_any());
        refuse(StatusCode::CONFLICT, error, "end this pod")
    }

    /// The commit this run has submitted.
    pub(super) fn submitted(&self) -> Option<&str> {
        let submission = self.status.submission.as_ref().filter(|submission| submission.stamp == self.stamp)?;
        Some(&submission.commit)
    }

    /// The review this run has submitted.
    pub(super) fn reviewed(&self) -> Option<&ReviewSubmission> {
        self.status.review.as_ref().filter(|review| review.stamp == self.stamp)
    }
}
