//! From the status to the record and back: which fields are the reconciler's, and the conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::Record;
use crate::{
    api::agent_task::{AgentTaskStatus, TaskState},
    machine::conditions::{Health, conditions},
};

/// Longest message, in characters; the schema allows 1024.
pub(super) const MAX_MESSAGE: usize = 1000;

/// All that the reconciler writes: its fields of the status and no others (design §4).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Generation this status speaks of.
    pub observed_generation: i64,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// Ready, Reconciling, Stalled.
    pub conditions: Vec<Condition>,
}

impl Status {
    /// The reconciler's part of a status. Every field is named here, so that a new one gets a writer.
    pub fn of(status: &AgentTaskStatus) -> Self {
        let AgentTaskStatus {
            observed_generation,
            state,
            run,
            spent_runs,
            infra_runs,
            start_failures,
            job,
            pod,
            pod_uid,
            failure_class,
            outcome,
            image_id,
            exit_code,
            message,
            last_failure,
            resume,
            not_before,
            blocked_since,
            started_at,
            finished_at,
            conditions,
            resumed: _,
            plan: _,
            progress: _,
            submission: _,
            delivery: _,
            review: _,
            usage: _,
        } = status.clone();
        let record = Record {
            state,
            run,
            spent_runs,
            infra_runs,
            start_failures,
            job,
            pod,
            pod_uid,
            failure_class,
            outcome,
            image_id,
            exit_code,
            message,
            last_failure,
            resume,
            not_before,
            blocked_since,
            started_at,
            finished_at,
        };
        Self { observed_generation, record, conditions }
    }
}

/// The status that says what the record says.
pub fn project(before: &Status, record: Record, generation: i64, now: Timestamp) -> Status {
    let health = match record.state {
        TaskState::Pending | TaskState::Starting | TaskState::Running => Health::Working,
        TaskState::Succeeded => Health::Done,
        TaskState::Failed => Health::NeedsPerson,
    };
    let reason = match (record.state, record.failure_class) {
        (TaskState::Failed, Some(class)) => format!("{class:?}"),
        (state, _) => format!("{state:?}"),
    };
    let conditions = conditions(&before.conditions, health, &reason, &record.message, generation, now);
    Status { observed_generation: generation, record, conditions }
}

/// A text cut to what a message may be.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}
