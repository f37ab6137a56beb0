//! `Phase`: what to do next, and what must be true at the end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    agent_task::FailureClass,
    check::Check,
    common::{Decimal, Duration, LocalReference, Retry, Review},
    repository::unobserved,
    review_result::Verdict,
};

/// What to build next, and what must be true at the end.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "phasegate.dev",
    version = "v1alpha1",
    kind = "Phase",
    plural = "phases",
    namespaced,
    status = "PhaseStatus",
    derive = "PartialEq",
    doc = "A gated unit of delivery: agents do the tasks, the gate scores the result, and only what passes is merged and tagged.",
    shortname = "ph",
    category = "phasegate",
    printcolumn(name = "State", json_path = ".status.state", type_ = "string"),
    printcolumn(name = "Attempt", json_path = ".status.summary.attempt", type_ = "string"),
    printcolumn(name = "Score", json_path = ".status.summary.score", type_ = "string"),
    printcolumn(name = "Tasks", json_path = ".status.summary.tasks", type_ = "string"),
    printcolumn(name = "Waiting-for", json_path = ".status.summary.waitingFor", type_ = "string"),
    printcolumn(name = "Tag", json_path = ".status.merge.tag", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: at most 40 characters, lower-case letters, digits and '-'"),
    validation = Rule::new("!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, d == self.metadata.name)").message("spec.dependsOn: a phase cannot depend on itself"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.number) != has(self.hotfix)").message("set exactly one of spec.number and spec.hotfix"))]
#[x_kube(validation = Rule::new("self.repositoryRef == oldSelf.repositoryRef").message("spec.repositoryRef is immutable; make a new Phase"))]
#[x_kube(validation = Rule::new("has(self.number) == has(oldSelf.number) && (!has(self.number) || self.number == oldSelf.number)").message("spec.number is immutable; make a new Phase"))]
#[x_kube(validation = Rule::new("has(self.hotfix) == has(oldSelf.hotfix) && (!has(self.hotfix) || self.hotfix == oldSelf.hotfix)").message("spec.hotfix is immutable; make a new Phase"))]
#[x_kube(validation = Rule::new("self.tasks.all(t, !has(t.dependsOn) || t.dependsOn.all(d, self.tasks.exists(o, o.name == d)))").message("spec.tasks[].dependsOn names a task that is not in spec.tasks"))]
#[x_kube(validation = Rule::new("self.tasks.all(t, t.name != 'rework' && t.name != 'base-merge')").message("spec.tasks[].name: 'rework' and 'base-merge' are names of tasks that mend findings and merge the base branch; choose another"))]
pub struct PhaseSpec {
    /// The Repository, in the same namespace.
    pub repository_ref: LocalReference,
    /// Number of the phase: `phase-{N}` in branches and tags. Either this or `hotfix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9999))]
    pub number: Option<i32>,
    /// Name of a hotfix, instead of a number: what cannot wait for the next phase. It goes through the same gate on the
    /// branch `hotfix/{name}`, is not held up by phases that wait for their review, and its tag is `release-v{version}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub hotfix: Option<String>,
    /// Version that the phase makes: `v{version}` in branches and tags.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[0-9A-Za-z]([0-9A-Za-z+-]*(\.[0-9A-Za-z+-]+)*)?$"))]
    pub version: String,
    /// What the phase is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub objective: String,
    /// Phases of the same namespace that must have passed before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub depends_on: Vec<String>,
    /// The work.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tasks: Vec<PhaseTask>,
    /// Checks beside those of the Repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<Check>,
    /// What must be true at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub success_criteria: Vec<SuccessCriterion>,
    /// Further focus and higher bars for the review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// How failures are retried; the Repository's unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether a person must approve the merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How long the phase should take, for people. No alert is raised in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_duration: Option<Duration>,
    /// How long the phase may take: it is escalated when it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Further tags for the merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Start nothing and merge nothing. Running pods end.
    #[serde(default)]
    pub suspend: bool,
}

/// One task of a phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.by != 'Person'").message("spec.tasks[].by: Person is not implemented in this version; use Agent"))]
pub struct PhaseTask {
    /// Name, unique within the phase: `feature/phase-{N}-{name}`; of a hotfix `feature/hotfix-{hotfix}/{name}`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What to do.
    #[schemars(length(min = 1, max = 4096))]
    pub description: String,
    /// How to do it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16384))]
    pub instructions: String,
    /// Tasks of this phase that must be integrated first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    pub depends_on: Vec<String>,
    /// Longest time of one run (default 1h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Who does it.
    #[serde(default)]
    pub by: Performer,
}

/// Who does a task.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Performer {
    /// The Repository's developer agent.
    #[default]
    Agent,
    /// A person pushes a branch. Not implemented in this version.
    Person,
}

/// What must be true at the end of a phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.judge != 'Checks' || (has(self.provenBy) && size(self.provenBy) > 0)").message("spec.successCriteria[].provenBy: name the checks that prove it, or set judge to Person"))]
pub struct SuccessCriterion {
    /// Name, unique within the phase.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What must be true.
    #[schemars(length(min = 1, max = 1024))]
    pub description: String,
    /// Who judges it.
    pub judge: Judge,
    /// Checks that prove it: met when all of them passed (judge Checks).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    pub proven_by: Vec<String>,
}

/// Who judges a criterion.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judge {
    /// The checks named in `provenBy`.
    Checks,
    /// The reviewing agents. What they cannot verify a person is asked.
    Reviewer,
    /// A person, in an Approve decision.
    Person,
}

/// Whether a person must approve the merge.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Wait for an Approve decision before the merge.
    #[serde(default = "super::common::yes")]
    pub required: bool,
}

/// Further tags for the merge (seed: Tag Management).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Tag the merge `release-v{version}` too.
    #[serde(default)]
    pub tag: bool,
    /// Tag it `milestone-{milestone}-v{version}` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub milestone: Option<String>,
}

/// State of a phase (design §5).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseState {
    /// Something must happen first; `blockedBy` names all of it.
    #[default]
    Pending,
    /// Claims its release branch.
    Preparing,
    /// Agents work.
    Developing,
    /// Checks run on the exact commit.
    Reviewing,
    /// Waits before the next attempt.
    Backoff,
    /// Waits for a person.
    AwaitingApproval,
    /// The operator merges and tags.
    Merging,
    /// Merged and tagged.
    Passed,
    /// Parked until a person decides.
    Escalated,
    /// Given up by a person.
    Failed,
    /// Passed, and a person wants it back out: the revert is checked, then merged.
    RollingBack,
    /// Taken back out. It goes on once `spec.version` is raised.
    RolledBack,
}

/// Why a phase is escalated.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EscalationReason {
    /// Every attempt was refused (seed: Escalation).
    AttemptsExhausted,
    /// The phase took longer than its timeout.
    PhaseTimeout,
    /// A check could not be started, twice.
    Inconclusive,
    /// The same findings twice running, or a rework that changed nothing.
    NoProgress,
    /// A commit does not merge, and handing it out anew did not help.
    Conflict,
    /// The tag of the phase exists already and names something else.
    TagTaken,
    /// A task spent all its runs.
    TaskFailed,
    /// The change weakens what judges it.
    Gamed,
    /// The developer disputes a finding, and it was found again.
    Disputed,
    /// The phase's budget is spent.
    BudgetExceeded,
    /// A phase that it depends on was rolled back.
    DependencyRolledBack,
    /// The base branch without the phase does not pass its blocking checks.
    RollbackFailed,
    /// The upstream does not take what passed: its own words are in the message.
    PushRejected,
}

/// Why a phase cannot start or go on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockedReason {
    /// Suspended by spec or by a person.
    Suspended,
    /// A phase it depends on has not passed.
    DependencyNotPassed,
    /// A phase it depends on does not exist.
    DependencyMissing,
    /// Phases depend on one another in a circle.
    DependencyCycle,
    /// Tasks depend on one another in a circle.
    TaskCycle,
    /// The Repository does not exist.
    RepositoryMissing,
    /// The Repository's upstream has not been mirrored yet.
    RepositoryNotReady,
    /// The Repository names no developer agent.
    AgentMissing,
    /// The PodTemplate does not exist.
    PodTemplateMissing,
    /// The PodTemplate has something that is not taken over, or lacks something.
    PodTemplateInvalid,
    /// A check has no image.
    CheckImageMissing,
    /// A check of the Phase has the name of one of the Repository.
    CheckNameTaken,
    /// A criterion is proven by a check that does not exist.
    CheckUnknown,
    /// Nothing can prove a criterion.
    CriterionUnprovable,
    /// Neither a check nor a reviewer feeds a category that counts.
    NoEvidencePossible,
    /// The Phase lowers a bar of the Repository.
    WeakensGate,
    /// Another phase has this number, or this name of a hotfix.
    NumberTaken,
    /// Another phase makes a tag of the same name.
    TagPromised,
    /// A category has no weight and is none of the seed's.
    WeightMissing,
    /// More Decisions speak of the phase than can be remembered as used.
    TooManyDecisions,
    /// The API server or the git service did not do what was asked; it is tried again.
    OperationFailed,
}

/// One reason why a phase cannot start or go on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// What kind of reason.
    pub reason: BlockedReason,
    /// What is wrong and what to do about it.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What is known of a phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PhaseStatus {
    /// Generation this status speaks of; -1 before the first look.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,
    /// Where the phase is.
    #[serde(default)]
    pub state: PhaseState,
    /// Current attempt, counted from 1; 0 before the first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// Attempts that Decisions granted beyond `retry.maxAttempts`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub granted_attempts: i32,
    /// Ready-made strings for printer columns.
    #[serde(default)]
    pub summary: PhaseSummary,
    /// Everything that keeps the phase from starting or going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub blocked_by: Vec<Blocked>,
    /// The release branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseBranch>,
    /// Tasks of the current attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tasks: Vec<PhaseTaskStatus>,
    /// The judgement under way, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewStatus>,
    /// The approval that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// What a person said that the next rework is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub note: String,
    /// What goes out to the upstream before the base branch moves, if the Repository delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushStatus>,
    /// The merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<MergeStatus>,
    /// Why it is escalated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Passed, because the tag and its gate note were on the base branch already.
    #[serde(default)]
    pub adopted: bool,
    /// The rollback: ordered, under way or done. Gone once the phase has passed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackStatus>,
    /// When the phase left Pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was suspended; the clock of `timeout` stands still meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<Time>,
    /// When the state last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Time>,
    /// End of the current backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_until: Option<Time>,
    /// When it asked for the turn of its base branch; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_since: Option<Time>,
    /// One line per judgement, oldest first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub history: Vec<JudgementRecord>,
    /// What persons have waived, oldest first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub waivers: Vec<Waiver>,
    /// UIDs of the Decisions that were acted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 64)))]
    pub used_decisions: Vec<String>,
    /// Correlation id of the current attempt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub correlation_id: String,
    /// Ready, Reconciling, Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl Default for PhaseStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            state: PhaseState::Pending,
            attempt: 0,
            granted_attempts: 0,
            summary: PhaseSummary::default(),
            blocked_by: Vec::new(),
            release: None,
            tasks: Vec::new(),
            review: None,
            approval: None,
            note: String::new(),
            push: None,
            merge: None,
            escalation: None,
            adopted: false,
            rollback: None,
            started_at: None,
            suspended_at: None,
            state_since: None,
            backoff_until: None,
            turn_since: None,
            history: Vec::new(),
            waivers: Vec::new(),
            used_decisions: Vec::new(),
            correlation_id: String::new(),
            conditions: Vec::new(),
        }
    }
}

/// Ready-made strings for printer columns.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSummary {
    /// Such as `1/3`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub attempt: String,
    /// Such as `9.01`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub score: String,
    /// Such as `3/5`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub tasks: String,
    /// What it waits for, such as `you: approval, criterion documentation`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub waiting_for: String,
}

/// The release branch of a phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBranch {
    /// `release/phase-{N}-v{version}`, or `hotfix/{name}`.
    #[schemars(length(max = 200))]
    pub branch: String,
    /// Head of the base branch it was claimed from, or that was last integrated.
    #[schemars(length(max = 64))]
    pub base: String,
    /// Its head.
    #[schemars(length(max = 64))]
    pub head: String,
}

/// A task of the current attempt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTaskStatus {
    /// Name of the task, or `rework`.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Its AgentTask; empty while it waits, and for a commit that a person pushed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub agent_task: String,
    /// Where it is.
    pub state: PhaseTaskState,
    /// Times it was handed out, counted from 1: a conflict or a person's Retry hands it out anew.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub dispatch: i32,
    /// The commit that was submitted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub submitted: Option<String>,
    /// The commit that does not merge into the release branch: whoever does the task next is given both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub conflict: Option<String>,
    /// The commit on the release branch that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// What it waits for or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Where a task of a phase is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PhaseTaskState {
    /// Not started.
    #[default]
    Waiting,
    /// At work.
    Working,
    /// Submitted and integrated into the release branch.
    Integrated,
    /// No run is left.
    Failed,
}

/// A judgement under way, or the last one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewStatus {
    /// Number within the attempt, counted from 1.
    pub number: i32,
    /// The commit under judgement.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// Its tree.
    #[schemars(length(max = 64))]
    pub tree: String,
    /// Head of the base branch, an ancestor of the commit.
    #[schemars(length(max = 64))]
    pub base: String,
    /// What the phase changes: SHA-256 over path, mode and content of each changed file, before and after.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub patch: String,
    /// Hash of everything the judgement depends on but the code.
    #[schemars(length(max = 64))]
    pub gate_hash: String,
    /// The ReviewResult `{phase}-r{attempt}-{number}`.
    #[schemars(length(max = 253))]
    pub result: String,
    /// Its verdict, once there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Digest of the evidence it was judged by, `sha256:…`: that of the ReviewResult.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub evidence_digest: String,
}

/// An approval: it holds for one commit, and for another of the same attempt and gate whose changed files are the same, as
/// after a move of the base branch elsewhere.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// UID of the Decision.
    #[serde(rename = "decisionUID")]
    #[schemars(length(max = 64))]
    pub decision_uid: String,
    /// Who approved.
    #[schemars(length(max = 256))]
    pub user: String,
    /// The commit it speaks of.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// Names of the criteria that were answered for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 40)))]
    pub criteria: Vec<String>,
    /// What that commit changes, as `status.review.patch` says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub patch: String,
}

/// The merge of a passed phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MergeStatus {
    /// Merge commit on the base branch.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// `phase-{N}-v{version}`; of a hotfix `release-v{version}`.
    #[schemars(length(max = 200))]
    pub tag: String,
    /// When it was recorded; of an adopted phase, when it was found. A rollback that is given up does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A push to the upstream.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PushStatus {
    /// Pushes that came to nothing: what was to go out changed, or a person wants another try.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub given_up: i32,
    /// Name of the Sync AgentTask that pushes; empty before it is made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub task: String,
    /// The commit that goes out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub commit: String,
}

/// How a passed phase is taken back.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RollbackStatus {
    /// UID of the Decision; empty if git alone says that it was rolled back.
    #[serde(rename = "decisionUID", default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub decision_uid: String,
    /// Who ordered it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub user: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub reason: String,
    /// The merge commit that is taken back.
    #[schemars(length(max = 64))]
    pub merge: String,
    /// Its tag, which stays.
    #[schemars(length(max = 200))]
    pub tag: String,
    /// Reverts made so far: a base branch or a gate that moved asks for another.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number: i32,
    /// The revert under check; empty before it is made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub commit: String,
    /// Its tree.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub tree: String,
    /// Head of the base branch, its parent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub base: String,
    /// Hash of the gate whose checks run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub gate_hash: String,
    /// The commit on the base branch that took the phase back, once there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reverted: Option<String>,
}

/// Why a phase is escalated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Escalation {
    /// What kind of reason.
    pub reason: EscalationReason,
    /// State it was in.
    pub from: PhaseState,
    /// What happened and what a person can do.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// One judgement, in a line.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JudgementRecord {
    /// Attempt.
    pub attempt: i32,
    /// The ReviewResult.
    #[schemars(length(max = 253))]
    pub result: String,
    /// The tree that was judged.
    #[schemars(length(max = 64))]
    pub tree: String,
    /// Hash of the gate it was judged by.
    #[schemars(length(max = 64))]
    pub gate_hash: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Score, such as `9.01`; empty if there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 8))]
    pub score: String,
    /// Score of each category that had evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub categories: Vec<CategoryRecord>,
    /// Failure class, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
}

/// Score of one category of one judgement.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct CategoryRecord {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Its score.
    pub score: Decimal,
}

/// What a person accepts in spite of the gate, in a Waive decision. Part of the gate's hash.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// UID of the Decision.
    #[serde(rename = "decisionUID")]
    #[schemars(length(max = 64))]
    pub decision_uid: String,
    /// Who waived.
    #[schemars(length(max = 256))]
    pub user: String,
    /// Ids of the findings and gaming signs that are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 64)))]
    pub findings: Vec<String>,
    /// Names of the success criteria that need not be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    pub criteria: Vec<String>,
    /// Why.
    #[schemars(length(max = 2048))]
    pub reason: String,
    /// The waiver holds until then; without end unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}
