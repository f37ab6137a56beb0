//! The one writer of the pods' own part of a task's status: server-side apply under a field manager of its own, as
//! compare-and-swap, so that two calls never undo each other.

use axum::Json;
use kube::ResourceExt;
use serde::Serialize;

use super::{
    super::protocol::Accepted,
    RunnerApi,
    caller::{Caller, Live, TIMEOUT},
    refusal::{Refused, bad, unavailable},
};
use crate::{
    api::agent_task::{Delivery, Plan, Progress, Resumed, ReviewSubmission, RunStamp, Submission, Usage},
    controller::status::apply,
};

/// Field manager of what pods report.
pub const RUNNER_MANAGER: &str = "phasegate-runner";
/// How often a write is tried when the task moves meanwhile: the reconciler writes a few times per run.
const MAX_TRIES: usize = 8;

/// The fields of the status that pods own. What is of another run is not kept.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Own {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resumed: Option<Resumed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<Plan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) submission: Option<Submission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivery: Option<Delivery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) review: Option<ReviewSubmission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
}

impl Own {
    fn of(live: &Live) -> Self {
        let status = live.status.clone();
        let ours = |stamp: &RunStamp| *stamp == live.stamp;
        Self {
            resumed: status.resumed.filter(|resumed| ours(&resumed.stamp)),
            plan: status.plan.filter(|plan| ours(&plan.stamp)),
            progress: status.progress.filter(|progress| ours(&progress.stamp)),
            submission: status.submission.filter(|submission| ours(&submission.stamp)),
            delivery: status.delivery.filter(|delivery| ours(&delivery.stamp)),
            review: status.review.filter(|review| ours(&review.stamp)),
            usage: status.usage.filter(|usage| ours(&usage.stamp)),
        }
    }
}

/// What follows from a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is to be written.
    Write,
    /// It is written already.
    Known,
    /// It is not written: another was, a moment ago.
    TooSoon,
}

/// Records a report. `change` is asked again if the task moved between reading and writing.
pub(super) async fn record(
    api: &RunnerApi,
    caller: &Caller,
    change: impl Fn(&Live, &mut Own) -> Result<Change, Refused>,
) -> Result<Json<Accepted>, Refused> {
    for _ in 0..MAX_TRIES {
        let live = caller.live(api).await?;
        let mut own = Own::of(&live);
        match change(&live, &mut own)? {
            Change::Write => {}
            Change::Known => return Ok(Json(Accepted { recorded: true })),
            Change::TooSoon => return Ok(Json(Accepted { recorded: false })),
        }
        if write(api, &live, &own).await? {
            return Ok(Json(Accepted { recorded: true }));
        }
    }
    Err(unavailable("the task moves faster than its pod can report"))
}

/// Whether it was written; not if the task has moved.
async fn write(api: &RunnerApi, live: &Live, own: &Own) -> Result<bool, Refused> {
    match tokio::time::timeout(TIMEOUT, apply(&api.client, &live.task, RUNNER_MANAGER, own)).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 409 => Ok(false),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 422 => Err(bad(refusal.message.clone())),
        Ok(Err(error)) => {
            let (namespace, task) = (live.task.namespace(), live.task.name_any());
            tracing::warn!(%error, namespace, task, "failed to record what a pod said");
            Err(unavailable(format!("failed to write the task: {error}")))
        }
        Err(_) => Err(unavailable("failed to write the task: the API server took too long")),
    }
}
