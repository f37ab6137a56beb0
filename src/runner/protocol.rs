//! What pods and operator say to each other (design §6): typed JSON, in one place for both ends.
//!
//! `GET …/assignment`, and `POST` for `resumed`, `plan`, `progress`, `submission`, `review`, `delivery` and `usage`, all below
//! `/runner/v1/namespaces/{namespace}/tasks/{task}/` with `?run=N`. `Authorization: Bearer` with the token of
//! the pod says which pod speaks. No behaviour beyond names and limits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{
    agent_task::{
        Brief, CriterionOpinion, Examined, FindingAnswer, Push, PushAnswer, Resume, ReviewBrief, Role, TaskBase,
    },
    check::Check,
    common::Decimal,
    conflict::TaskConflict,
    evidence::{Finding, ReportFacts},
    repository::Upstream,
};

/// Most steps of a plan.
pub const MAX_STEPS: usize = 50;
/// Most characters of one step, and of a progress message.
pub const MAX_LINE: usize = 512;
/// Most characters of a summary, and of what a delivery says.
pub const MAX_TEXT: usize = 4096;
/// Most answers of a submission.
pub const MAX_ANSWERS: usize = 100;
/// Most characters of the note of an answer.
pub const MAX_NOTE: usize = 1024;
/// Most categories that a review examines.
pub const MAX_CATEGORIES: usize = 16;
/// Most success criteria that a review judges.
pub const MAX_CRITERIA: usize = 32;
/// Most characters of what was examined, and of the evidence for a criterion.
pub const MAX_EVIDENCE: usize = 1024;
/// Most characters of each text of a finding: message, quote, recommendation.
pub const MAX_FINDING_TEXT: usize = 600;
/// Most characters of a path.
pub const MAX_PATH: usize = 512;
/// Most bytes of the findings of one review, as JSON: a kibibyte each.
pub const MAX_REVIEW_BYTES: usize = 100 << 10;
/// Most heads of a mirrored upstream.
pub const MAX_HEADS: usize = 1000;
/// Most reports of a delivery.
pub const MAX_REPORTS: usize = 8;
/// Most findings of a delivery, all reports together.
pub const MAX_FINDINGS: usize = 100;
/// Most bytes of a request: a hundred findings of a kibibyte, or a thousand heads, and room. What is larger would not
/// fit into an object either.
pub const MAX_BODY: usize = 512 << 10;

/// Path of one resource of a task, for the client; the server has it as a pattern.
pub fn path(namespace: &str, task: &str, resource: &str, run: i32) -> String {
    format!("/runner/v1/namespaces/{namespace}/tasks/{task}/{resource}?run={run}")
}

/// Everything a pod needs to know of its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Name of the AgentTask.
    pub agent_task: String,
    /// Its UID.
    pub uid: String,
    /// The run this pod is.
    pub run: i32,
    /// What kind of work it is.
    pub role: Role,
    /// When the AgentTask was made: the date of its commits, so that a redo gives the same ones.
    pub created_at: Timestamp,
    /// The phase; none for a Sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AssignedPhase>,
    /// Name within the phase: a task, `rework`, or a check.
    pub task: String,
    /// Name of the Repository.
    pub repository: String,
    /// Path of the repository below the git service's address.
    pub clone_path: String,
    /// Commit the work tree starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The one branch this task may push, without `refs/heads/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What the agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// The merge to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<TaskConflict>,
    /// What the work tree starts with then. Known once `prepare` has merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// How the last run of this task failed, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_failure: String,
    /// Saved work of earlier runs that this one may take up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The run whose saved work is in the work tree. Known once `prepare` has found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<i32>,
    /// The check to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The base that the commit is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<TaskBase>,
    /// What to review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewBrief>,
    /// Where to mirror from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// What to push there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
}

/// What git could merge of both sides, with conflict markers where it could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Merged {
    /// Its tree: a work tree that still is it has nothing resolved.
    pub tree: String,
    /// Whether git could not merge it all.
    pub conflicts: bool,
    /// Files with markers of ours; at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marked: Vec<String>,
}

/// The phase of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPhase {
    /// Name of the Phase.
    pub name: String,
    /// The attempt, counted from 1.
    pub attempt: i32,
    /// Its number; none for a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// Its name as a hotfix; empty for a phase with a number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hotfix: String,
    /// The version it completes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// `POST …/resumed`: the run began with saved work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumedReport {
    /// Run that saved it.
    pub from_run: i32,
    /// The commit it was saved as.
    pub commit: String,
}

/// `POST …/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// Steps, in order.
    pub steps: Vec<String>,
}

/// `POST …/progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressReport {
    /// 0 to 100.
    pub percent: i32,
    /// In words.
    #[serde(default)]
    pub message: String,
}

/// `POST …/submission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionReport {
    /// The commit, pushed to the task's branch before.
    pub commit: String,
    /// What was done.
    #[serde(default)]
    pub summary: String,
    /// Answer for each open finding.
    #[serde(default)]
    pub answers: Vec<FindingAnswer>,
}

/// `POST …/review`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewReport {
    /// What was examined, per category.
    pub examined: Vec<Examined>,
    /// Findings whose places and quotes the companion has found at the commit.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Success criteria, as the reviewer sees them.
    #[serde(default)]
    pub criteria: Vec<CriterionOpinion>,
    /// The number the reviewer would give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_score: Option<Decimal>,
    /// The review in a few sentences.
    #[serde(default)]
    pub summary: String,
}

/// `POST …/delivery`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryReport {
    /// Snapshot of the work tree on the task's branch, if it changed and the run may submit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the work tree differs from the start commit.
    #[serde(default)]
    pub changed: bool,
    /// Whether the work tree is such that it cannot be taken; `message` begins with the reason.
    #[serde(default)]
    pub refused: bool,
    /// Exit code as `step` recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether `step` ended the command on its timeout.
    #[serde(default)]
    pub timed_out: bool,
    /// Facts of every declared report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<ReportFacts>,
    /// Last lines of the output, or what went wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Heads that were mirrored: branch to commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heads: BTreeMap<String, String>,
    /// What the upstream said to what was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushAnswer>,
}

/// `POST …/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageReport {
    /// Input tokens so far.
    pub input_tokens: i64,
    /// Output tokens so far.
    pub output_tokens: i64,
}

/// What a report was worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Whether it was written down. Progress that comes too fast is taken and not written.
    pub recorded: bool,
}

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// The commit that was submitted first (409 to a submission).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Another review was submitted first (409 to a review).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reviewed: bool,
}
