//! `AgentTask`: one piece of work with an immutable spec. Each of its runs is one Job.

use k8s_openapi::{
    api::core::v1::{Affinity, EnvFromSource, EnvVar, ResourceRequirements, Toleration, Volume, VolumeMount},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{
    check::Check,
    common::{Decimal, Duration, LocalReference, carried_labels, carried_list, carried_object},
    conflict::TaskConflict,
    evidence::{Finding, ReportFacts},
    repository::{Upstream, unobserved},
};

/// One piece of work for an agent or a tool. A rework or a conflict is a new AgentTask.
///
/// The operator makes them; a policy of the chart refuses hand-made ones.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "phasegate.dev",
    version = "v1alpha1",
    kind = "AgentTask",
    plural = "agenttasks",
    namespaced,
    status = "AgentTaskStatus",
    derive = "PartialEq",
    doc = "One piece of work for an agent or a tool, done by one Job per run. Made by the operator only.",
    shortname = "agt",
    category = "phasegate",
    printcolumn(name = "Role", json_path = ".spec.role", type_ = "string"),
    printcolumn(name = "State", json_path = ".status.state", type_ = "string"),
    printcolumn(name = "Run", json_path = ".status.run", type_ = "integer"),
    printcolumn(name = "Phase", json_path = ".spec.phase.name", type_ = "string"),
    printcolumn(name = "Progress", json_path = ".status.progress.percent", type_ = "integer"),
    printcolumn(name = "Message", json_path = ".status.message", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("the spec of an AgentTask is immutable"))]
pub struct AgentTaskSpec {
    /// What kind of work it is.
    pub role: Role,
    /// Name of the Repository, in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    pub repository: String,
    /// Phase it belongs to; none for a Sync that only mirrors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseLink>,
    /// Name within its phase: a task of the Phase, `rework`, or the name of a check.
    #[schemars(length(min = 1, max = 64))]
    pub task: String,
    /// Commit the work tree starts from; none for a Sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// The one branch that this task may push (Developer), without `refs/heads/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub branch: Option<String>,
    /// What the agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// The merge that it has to make (role Developer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<TaskConflict>,
    /// The check to run (role Check).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The base the commit is compared with (roles Check and Reviewer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<TaskBase>,
    /// What to review (role Reviewer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewBrief>,
    /// Where to mirror from (role Sync).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// What to push there then (role Sync).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
    /// Shape of the main container and the pod.
    pub pod: AgentPod,
    /// Longest time of one run.
    pub timeout: Duration,
    /// Runs it may spend. Broken infrastructure spends none.
    #[schemars(range(min = 1, max = 20))]
    pub max_runs: i32,
    /// Correlation id of the phase's attempt, in every log line and request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub correlation_id: String,
}

/// What kind of work a task is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An agent writes code (Klein).
    Developer,
    /// One tool judges a commit (CodeReviewAgent).
    Check,
    /// An agent reviews a commit.
    Reviewer,
    /// Mirrors the upstream, and pushes to it what is to go out.
    Sync,
}

/// The Phase a task belongs to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PhaseLink {
    /// Name of the Phase.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Attempt the task belongs to, counted from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
}

/// The base that a commit is compared with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TaskBase {
    /// The commit of the base branch, an ancestor of the task's commit.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// The run of the same check on the base: its reports are what is known. None: all counts as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRef>,
    /// Paths that the work tree has as the base has them, as git pathspecs (role Check).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub protected_paths: Vec<String>,
}

/// What a Sync pushes to the upstream: all of it or nothing, and never by force.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Push {
    /// Folder of references under which the git service has it: `refs/phasegate/push/{phase UID}`.
    #[schemars(length(min = 1, max = 200))]
    pub from: String,
    /// The upstream's base branch, such as `refs/heads/main`: nothing is pushed once it holds what this does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 250))]
    pub base: String,
    /// The references to write, the branch first.
    #[schemars(length(min = 1, max = 11))]
    pub references: Vec<PushReference>,
}

/// One reference of the upstream to write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PushReference {
    /// Its full name, such as `refs/heads/main`.
    #[schemars(length(min = 1, max = 250))]
    pub name: String,
    /// The commit or tag object.
    #[schemars(length(min = 1, max = 64))]
    pub object: String,
}

/// What the upstream said to a push.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PushAnswer {
    /// What came of it.
    pub outcome: PushOutcome,
    /// In the upstream's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// What came of a push.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The upstream has it.
    Pushed,
    /// The upstream's branch holds what this does not: it comes in first.
    Moved,
    /// The upstream does not want it.
    Refused,
}

/// A finished run whose reports are kept in git, at `refs/phasegate/logs/{uid}/{run}`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceRef {
    /// Name of the AgentTask.
    #[schemars(length(max = 253))]
    pub task: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The run.
    #[schemars(range(min = 1))]
    pub run: i32,
}

/// What a reviewer is asked (seed: CodeReviewAgent).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewBrief {
    /// Categories to examine.
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub categories: Vec<String>,
    /// Success criteria that it judges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub criteria: Vec<ReviewCriterion>,
    /// Findings of the previous judgement, to be looked at again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub previous: Vec<Finding>,
    /// What the developer said of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub answers: Vec<FindingAnswer>,
}

/// A success criterion, as a reviewer sees it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewCriterion {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// What must be true.
    #[schemars(length(max = 1024))]
    pub description: String,
}

/// What an agent is told: becomes `task.md`, `task.json` and `findings.json` in its pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// Objective of the phase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub objective: String,
    /// What to do.
    #[schemars(length(max = 4096))]
    pub description: String,
    /// How to do it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16384))]
    pub instructions: String,
    /// What must be true at the end of the phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub criteria: Vec<String>,
    /// What the review looks at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub focus: Vec<String>,
    /// The checks that will be run, for self-testing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub checks: Vec<BriefCheck>,
    /// Open findings of the last review, the dearest first (rework).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub findings: Vec<Finding>,
    /// Why the last attempt was refused, or what a person said (rework).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub reasons: Vec<String>,
}

/// One check, as an agent sees it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BriefCheck {
    /// Name of the check.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Its script, or its command in one line.
    #[schemars(length(max = 16384))]
    pub script: String,
}

/// The part of a PodTemplate that is taken over (design §6).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentPod {
    /// Image of the main container.
    #[schemars(length(max = 512))]
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub image_pull_policy: Option<String>,
    /// Secrets for pulling images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalReference>,
    /// Command of the main container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 16384)))]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Working directory; the work tree unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub working_dir: Option<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "carried_list")]
    pub env: Vec<EnvVar>,
    /// Environment from ConfigMaps and Secrets of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "carried_list")]
    pub env_from: Vec<EnvFromSource>,
    /// CPU and memory of the main container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "carried_object")]
    pub resources: Option<ResourceRequirements>,
    /// Volumes: configMap, secret, emptyDir, projected (without tokens), persistentVolumeClaim, ephemeral.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "carried_list")]
    pub volumes: Vec<Volume>,
    /// Mounts of the main container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "carried_list")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Labels that queueing systems read (`kueue.x-k8s.io/…`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "carried_labels")]
    pub labels: BTreeMap<String, String>,
    /// Node labels the pod needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "carried_labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "carried_list")]
    pub tolerations: Vec<Toleration>,
    /// Affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "carried_object")]
    pub affinity: Option<Affinity>,
    /// Priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
    /// Runtime class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub runtime_class_name: Option<String>,
}

/// State of a task.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// No run has started, or it waits for the next.
    #[default]
    Pending,
    /// Its run's Job exists; the pod has not started its main container.
    Starting,
    /// Its run is at work.
    Running,
    /// It ended with what was asked for: a submission, a check's outcome, a mirrored upstream.
    Succeeded,
    /// It ended without, and no run is left.
    Failed,
}

/// Why a run, a task or an attempt failed. What follows from each is one table, `machine::policy`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The cluster failed it: node lost, eviction, quota, our own containers.
    Infra,
    /// The model's provider asked to slow down.
    RateLimited,
    /// The agent ended with an error, or was OOM-killed.
    AgentError,
    /// The run passed its timeout.
    Timeout,
    /// The agent showed no sign of life.
    Stalled,
    /// The agent ended well without changing anything or submitting.
    NoChange,
    /// Its commit does not merge with the release branch.
    Conflict,
    /// A blocking check failed.
    GateFailed,
    /// The score is below the passing score or a floor.
    ReviewFailed,
    /// A success criterion is not met.
    CriteriaUnmet,
    /// A check never started, twice.
    Inconclusive,
    /// The change weakens what judges it.
    Gamed,
    /// The phase's budget is spent.
    BudgetExceeded,
}

/// How a finished check ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckOutcome {
    /// Exit code 0.
    Passed,
    /// It started and ended badly: non-zero, OOM, own timeout, disk.
    Failed,
    /// It never started.
    NotStarted,
}

/// What is known of a task. Two writers with a field manager each: the reconciler owns `state` to
/// `conditions`, the runner API owns `resumed`, `plan`, `progress`, `submission`, `delivery`, `review` and `usage`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentTaskStatus {
    /// Generation this status speaks of; -1 before the first look.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,
    /// Where the task is.
    #[serde(default)]
    pub state: TaskState,
    /// Number of the current or last run, counted from 1; 0 before the first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub run: i32,
    /// Runs that counted against `maxRuns`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub spent_runs: i32,
    /// Runs in a row that never started or were lost to the infrastructure.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub infra_runs: i32,
    /// Runs in a row that never started: an image or a container configuration was at fault.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub start_failures: i32,
    /// Job of the current or last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub job: Option<String>,
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// UID of the one pod whose word counts.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub pod_uid: Option<String>,
    /// Why the last run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
    /// How the check ended (role Check).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CheckOutcome>,
    /// Image that the main container ran, with the digest that the node resolved.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,
    /// Exit code of the main container of the last finished run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What happened or what the task waits for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// How the last run that was spent failed, in words. The next run is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub last_failure: String,
    /// Saved work that the next run takes up; none: it starts from the commit (role Developer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The next run starts no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Since when the current run cannot start because of an image or a container configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Time>,
    /// When the current run's Job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The saved work that the current run began with (role Developer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// What the agent means to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// How far the agent is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The commit the agent submitted. The first of a run wins and closes the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<Submission>,
    /// What the companion delivered at the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The review that was submitted (role Reviewer). The first of a run wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSubmission>,
    /// What the run used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Default for AgentTaskStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            state: TaskState::Pending,
            run: 0,
            spent_runs: 0,
            infra_runs: 0,
            start_failures: 0,
            job: None,
            pod: None,
            pod_uid: None,
            failure_class: None,
            outcome: None,
            image_id: None,
            exit_code: None,
            message: String::new(),
            last_failure: String::new(),
            resume: None,
            not_before: None,
            blocked_since: None,
            started_at: None,
            finished_at: None,
            conditions: Vec::new(),
            resumed: None,
            plan: None,
            progress: None,
            submission: None,
            delivery: None,
            review: None,
            usage: None,
        }
    }
}

/// Which run a report of the runner speaks of; ignored unless it is the live one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RunStamp {
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: i32,
    /// UID of its pod; empty for the answer of an outside system, which has none.
    #[serde(rename = "podUID")]
    #[schemars(length(max = 64))]
    pub pod_uid: String,
}

/// Work of earlier runs that is kept at `refs/phasegate/wip/{uid}/{run}`, and may be continued.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// The newest work that this run or a later one saved is taken up, if any of them did.
    #[schemars(range(min = 1))]
    pub since: i32,
    /// How the last run ended, in words.
    #[schemars(length(max = 1024))]
    pub why: String,
}

/// The saved work that a run began with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// Run that began with it.
    pub stamp: RunStamp,
    /// Run that saved it.
    #[schemars(range(min = 1))]
    pub from_run: i32,
    /// The commit it was saved as, on the task's start commit.
    #[schemars(length(max = 64))]
    pub commit: String,
}

/// What an agent means to do (seed: Plan Implementation).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// Steps, in order.
    #[schemars(length(max = 50), inner(length(max = 512)))]
    pub steps: Vec<String>,
}

/// How far an agent is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
}

/// The commit an agent submitted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// The commit, on the task's branch.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// What was done, in the agent's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub summary: String,
    /// Answer for each open finding (rework).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub answers: Vec<FindingAnswer>,
}

/// What the developer says of one finding.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FindingAnswer {
    /// Id of the finding.
    #[schemars(length(min = 1, max = 64))]
    pub finding: String,
    /// Fixed or disputed.
    pub answer: FindingAnswerKind,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
}

/// What the developer says of a finding.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingAnswerKind {
    /// It was right and is mended.
    Fixed,
    /// It is wrong, and why is in the note.
    Disputed,
}

/// What the companion delivered once the main container had ended, however it ended.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// Snapshot of the work tree on the task's branch, if it changed and the run may submit it (Developer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// Whether the work tree differs from the start commit.
    #[serde(default)]
    pub changed: bool,
    /// Whether the work tree is such that it cannot be taken (too large, too deep, unreadable, written to meanwhile);
    /// `message` begins with the reason. Of a Sync: whether the upstream refuses it, so that trying again is of no use.
    #[serde(default)]
    pub refused: bool,
    /// Exit code as `step` recorded it. The kubelet's word counts; this one explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether `step` ended the child on its timeout.
    #[serde(default)]
    pub timed_out: bool,
    /// Facts of every declared report (Check).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reports: Vec<ReportFacts>,
    /// Last lines of the output, or what went wrong while delivering.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Heads that were mirrored: branch to commit (Sync). At most 1000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "mirrored_heads")]
    pub heads: BTreeMap<String, String>,
    /// What the upstream said to what was pushed (Sync).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushAnswer>,
    /// What an outside system answered (a check with `external`). Exit code, reports and message are its own then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAnswer>,
}

/// How a check ended, as an outside system says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAnswer {
    /// Passed or Failed.
    pub outcome: CheckOutcome,
    /// Name of the API key that said so.
    #[schemars(length(max = 63))]
    pub key: String,
    /// Where the outside system shows its run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub url: String,
}

fn mirrored_heads(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 1000,
        "additionalProperties": { "type": "string", "maxLength": 64 },
    })
}

/// A review, as a reviewing agent submitted it. Every finding's place and quote exist at the commit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewSubmission {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// Per category what was examined. A category that is not named was not reviewed.
    #[schemars(length(max = 16))]
    pub examined: Vec<Examined>,
    /// Findings, the most severe first; at most 100. The rule of each is its category.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub findings: Vec<Finding>,
    /// Success criteria, as the reviewer sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub criteria: Vec<CriterionOpinion>,
    /// The number the reviewer would give: shown beside ours, never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_score: Option<Decimal>,
    /// The review in a few sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub summary: String,
}

/// What a reviewer examined for one category.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    /// The category.
    #[schemars(length(max = 40))]
    pub category: String,
    /// What was looked at, in words.
    #[schemars(length(min = 1, max = 1024))]
    pub what: String,
}

/// What a reviewer says of a success criterion.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CriterionOpinion {
    /// Name of the criterion.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Whether it is met.
    pub opinion: Opinion,
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub evidence: String,
}

/// What a reviewer can say of a success criterion.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opinion {
    /// It is met.
    Met,
    /// It is not.
    Unmet,
    /// It cannot be verified from here: a person is asked.
    Unverifiable,
}

/// What a run used.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Run it belongs to.
    pub stamp: RunStamp,
    /// Input tokens.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub input_tokens: i64,
    /// Output tokens.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub output_tokens: i64,
}
