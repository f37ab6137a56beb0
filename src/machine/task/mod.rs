//! The machine of an AgentTask: Pending → Starting → Running → Succeeded or Failed, one Job per
//! run (design §5, §6).
//!
//! - A submission (of work, or of a review) wins as soon as it is seen, whatever the exit code that follows.
//! - Otherwise the pod's end decides: the kubelet's word about the main container, together with
//!   what the companion delivered. A pod that ended without a delivery was failed by the cluster.
//! - A check's work is its outcome: however it ended, once it started it has one.
//! - A check that an outside system runs has no Job: it waits for the answer until its timeout.
//! - A run that never started (an image that cannot be pulled, a bad container configuration) is
//!   tried once more; the second in a row ends the task, since only a person can mend it.
//!
//! Facts and records are here, `decide` is the decision, `ending` what the end of a run means,
//! `project` the status. Nothing here reads a clock: `Snapshot::now` is a fact.

mod decide;
mod ending;
mod external;
mod project;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use crate::api::agent_task::{CheckOutcome, FailureClass, Resume, Role, TaskState};

pub use decide::{decide, refused};
pub use project::{Status, project};

/// First wait after a run that failed; doubled with each further one.
pub const BACKOFF_INITIAL: Duration = Duration::from_secs(5);
/// Longest wait between runs.
pub const BACKOFF_MAX: Duration = Duration::from_mins(5);
/// Runs in a row that the cluster may fail before the task ends (seed: Circuit Breaker).
pub const CIRCUIT_RUNS: i32 = 10;
/// Runs in a row that may fail to start before the task ends.
pub const START_RUNS: i32 = 2;
/// How long a Job that was just made may be missing from the cache.
pub(crate) const CACHE_GRACE: Duration = Duration::from_mins(1);
/// How long a Job may be without a pod before the status says so.
pub(crate) const POD_GRACE: Duration = Duration::from_secs(10);
/// How long a pod may outlive its deletion before its node counts as lost.
pub(crate) const NODE_GRACE: Duration = Duration::from_secs(30);
/// How long the pod of a task that has ended may go on, before its Job is deleted.
pub(crate) const AFTERMATH: Duration = Duration::from_mins(2);
/// Wait before a Job that was refused is made again.
pub(crate) const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// All that is known when a task is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The time.
    pub now: Timestamp,
    /// UID of the task.
    pub uid: String,
    /// What kind of work it is.
    pub role: Role,
    /// Runs it may spend.
    pub max_runs: i32,
    /// Longest time of one run, in seconds.
    pub timeout: u32,
    /// How long a container may wait for an image or a valid configuration.
    pub start_deadline: Duration,
    /// Why nothing may start now, in words.
    pub hold: Option<String>,
    /// What the status says.
    pub record: Record,
    /// Name of the Job of the run after the recorded one.
    pub next_job: String,
    /// Job of the recorded run; none if the cache has none.
    pub job: Option<JobFact>,
    /// Jobs of this task that belong to no live run and have not ended.
    pub strays: Vec<String>,
    /// Whether the pinned pod of the recorded run has submitted what its role is asked for: work, or a review.
    pub submitted: bool,
    /// What the pinned pod of the recorded run delivered.
    pub delivery: Option<DeliveryFact>,
    /// Whether the recorded run began with saved work.
    pub resumed: bool,
    /// The outside system that runs this check; none for work of our own pods.
    pub external: Option<External>,
}

/// A check that an outside system runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Its name, for people.
    pub system: String,
    /// What it answered.
    pub answer: Option<Answer>,
}

/// What an outside system says of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Passed or Failed.
    pub outcome: CheckOutcome,
    /// Exit code, if it has one.
    pub exit_code: Option<i32>,
    /// In its words.
    pub message: String,
    /// Where it shows its run.
    pub url: String,
}

/// What the reconciler records of a task: its part of the status, conditions aside (design §4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "described at AgentTaskStatus")]
pub struct Record {
    pub state: TaskState,
    pub run: i32,
    pub spent_runs: i32,
    pub infra_runs: i32,
    pub start_failures: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CheckOutcome>,
    #[serde(rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_failure: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// The Job of the recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFact {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether a queueing system holds it back.
    pub suspended: bool,
    /// Whether the Job controller says that it is over.
    pub finished: bool,
    /// Its pod: the pinned one, or, before one is pinned, its only or oldest one.
    pub pod: Option<PodFact>,
}

/// A pod that the Job of the recorded run controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is over: its phase is Succeeded or Failed.
    pub finished: bool,
    /// Whether it passed its own deadline.
    pub deadline_exceeded: bool,
    /// It was evicted for what it used itself, in words.
    pub overused: Option<String>,
    /// The cluster or a person ended it before the main container had ended, in words.
    pub disrupted: Option<String>,
    /// When it is to be gone, if it is being deleted.
    pub gone_by: Option<Timestamp>,
    /// Why no node takes it, in words.
    pub unschedulable: Option<String>,
    /// A container that waits for an image or a valid configuration.
    pub blocked: Option<Blocked>,
    /// When it was given to a node, if none of its containers has started yet.
    pub creating_since: Option<Timestamp>,
    /// Why it failed before the main container started, in words.
    pub failed_before: Option<String>,
    /// The main container.
    pub main: MainFact,
    /// Image of the main container, with the digest that the node resolved; none before it was pulled.
    pub image_id: Option<String>,
}

/// A container that cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Name of the container.
    pub container: String,
    /// Its image.
    pub image: String,
    /// The kubelet's reason, such as `ImagePullBackOff`.
    pub reason: String,
    /// The kubelet's message.
    pub message: String,
}

/// The main container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MainFact {
    /// It has not started.
    Waiting,
    /// It runs.
    Running,
    /// It ended by itself or was killed; with the exit code.
    Exited(i32),
    /// It was killed for its use of memory; with the exit code, which can be 0.
    OutOfMemory(i32),
    /// The runtime could not start it, in words.
    NotStarted(String),
    /// The kubelet lost sight of it.
    Unknown,
}

/// What the companion (or the mirroring) delivered.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFact {
    /// The commit, if there is one to submit.
    pub commit: Option<String>,
    /// Whether the work tree differs from the start commit.
    pub changed: bool,
    /// Whether the work tree cannot be taken as it is.
    pub refused: bool,
    /// Whether `step` ended its child on the timeout.
    pub timed_out: bool,
    /// Whether heads were mirrored.
    pub heads: bool,
    /// The last lines of the output, or what went wrong.
    pub message: String,
}

/// What to do, and what is true then. The actions come first, the record is written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In order. Each can be repeated.
    pub actions: Vec<Action>,
    /// The record from now on.
    pub record: Record,
    /// Look again after this long, even if nothing happens.
    pub wake: Option<Duration>,
    /// What went wrong and is worth an Event, once the record is written.
    pub note: Option<Note>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the Job of this run.
    CreateJob {
        /// The run.
        run: i32,
    },
    /// Delete a Job of this task and its pod.
    DeleteJob {
        /// Its name.
        name: String,
    },
}

/// Something that went wrong and is worth an Event. What goes well is in the status alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// The time that is left until `moment`; none once it has come.
fn left(now: Timestamp, moment: Timestamp) -> Option<Duration> {
    Duration::try_from(moment.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// The moment `wait` after `start`.
fn after(start: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| start.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
