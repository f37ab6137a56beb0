//! `Repository`: where code lives and how it is judged. Platform teams own it by RBAC.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::common::{Duration, LocalReference, Retry, Review};

/// Where code lives and how it is judged.
///
/// Phases add checks and raise bars; they never lower one.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "phasegate.dev",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    namespaced,
    status = "RepositoryStatus",
    derive = "PartialEq",
    doc = "Where code lives and how it is judged: base branch, upstream, agents, checks and gate.",
    shortname = "repo",
    category = "phasegate",
    printcolumn(name = "Ready", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, type_ = "string"),
    printcolumn(name = "Base", json_path = ".spec.baseBranch", type_ = "string"),
    printcolumn(name = "Head", json_path = ".status.head", type_ = "string"),
    printcolumn(name = "Message", json_path = ".status.message", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: at most 40 characters, lower-case letters, digits and '-'"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.baseBranch == oldSelf.baseBranch").message("spec.baseBranch is immutable; make a new Repository"))]
#[x_kube(validation = Rule::new("!has(self.budget)").message("spec.budget is not implemented in this version; remove it"))]
#[x_kube(validation = Rule::new("!has(self.notify)").message("spec.notify is not implemented in this version; remove it"))]
pub struct RepositorySpec {
    /// Branch that only passed phases reach.
    #[serde(default = "RepositorySpec::default_base_branch")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"))]
    pub base_branch: String,
    /// Where the code comes from. Without it the base branch starts with one empty commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// Who does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Agents>,
    /// Image for checks that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Checks that every phase must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<Check>,
    /// What a review looks at and what a score must reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Paths that only a person may change, as git pathspecs; CI configuration and acceptance tests unless
    /// set. Checks see them as the base branch has them, and a phase that changes one is escalated as Gamed.
    #[serde(default = "RepositorySpec::default_protected_paths")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub protected_paths: Vec<String>,
    /// How failures are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Developer tasks of one phase that run at the same time.
    #[serde(default = "RepositorySpec::default_parallelism")]
    #[schemars(range(min = 1, max = 50))]
    pub parallelism: i32,
    /// Limit on what agents may cost. Not implemented in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Where to send notifications. Not implemented in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
}

impl RepositorySpec {
    fn default_base_branch() -> String {
        "main".to_owned()
    }

    fn default_protected_paths() -> Vec<String> {
        [".github/", ".gitlab-ci.yml", ".gitlab/", ".circleci/", "Jenkinsfile", "acceptance/"]
            .map(str::to_owned)
            .to_vec()
    }

    fn default_parallelism() -> i32 {
        3
    }
}

/// The git server the code comes from, and may go to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.credentialsSecretRef) || self.url.startsWith('https://') || self.url.startsWith('ssh://')").message("spec.upstream.credentialsSecretRef: credentials do not go over http or git; use https or ssh in spec.upstream.url"))]
#[x_kube(validation = Rule::new("has(self.credentialsSecretRef) || !self.url.startsWith('ssh://')").message("spec.upstream.url: ssh needs a key; name the Secret that holds it in spec.upstream.credentialsSecretRef"))]
#[x_kube(validation = Rule::new("self.deliver == 'None' || has(self.credentialsSecretRef)").message("spec.upstream.deliver: Branch and Push need spec.upstream.credentialsSecretRef"))]
#[x_kube(validation = Rule::new("duration(self.interval) >= duration('30s') && duration(self.interval) <= duration('24h')").message("spec.upstream.interval: from 30s to 24h"))]
pub struct Upstream {
    /// Address, such as `https://git.example.com/team/app.git` or `ssh://git@git.example.com/team/app.git`. No password in it.
    #[schemars(
        length(min = 1, max = 1024),
        regex(
            pattern = r"^((https?|git)://|ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?)[A-Za-z0-9][A-Za-z0-9.:_-]*/[^@\s]*$"
        )
    )]
    pub url: String,
    /// Secret of this namespace with the credentials. Its key `host` names the host (and the port, if it is not the usual
    /// one) that they may go to. For https: `password` and `username`, or `bearerToken`, and `ca.crt` if the server's
    /// certificate needs it. For ssh: `ssh-privatekey` and `known_hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// How often it is looked at.
    #[serde(default = "Upstream::default_interval")]
    pub interval: Duration,
    /// What leaves the cluster when a phase passes.
    #[serde(default)]
    pub deliver: Deliver,
}

impl Upstream {
    fn default_interval() -> Duration {
        Duration::from_secs(300)
    }
}

/// What leaves the cluster when a phase passes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deliver {
    /// Nothing.
    #[default]
    None,
    /// The phase's release branch with the merge on top, for a person to merge.
    Branch,
    /// The base branch and the phase's tags, before ours move: the upstream may refuse.
    Push,
}

/// Which pods do the work.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.reviewer) || !has(self.reviewers)").message("spec.agents: set reviewer or reviewers, not both; a single reviewer can be an entry of reviewers"))]
pub struct Agents {
    /// The developer (Klein).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer: Option<AgentProfile>,
    /// The one reviewer, of every category that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<AgentProfile>,
    /// Several reviewers instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub reviewers: Vec<Reviewer>,
}

/// One of several reviewers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Reviewer {
    /// Name, unique among the reviewers and checks.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A core/v1 `PodTemplate` of this namespace with a container `agent` that has a `command`.
    pub pod_template_ref: LocalReference,
    /// Categories it reviews; every one that counts unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub categories: Vec<String>,
    /// What this reviewer looks at beside the focus of the review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    pub focus: Vec<String>,
    /// Its findings are recorded and shown, and count for nothing: a way to try a reviewer.
    #[serde(default)]
    pub shadow: bool,
    /// Longest time of one run (default 1h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// An agent's pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AgentProfile {
    /// A core/v1 `PodTemplate` of this namespace with a container `agent` that has a `command`.
    pub pod_template_ref: LocalReference,
}

/// Limit on what agents may cost.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Tokens that one phase may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens_per_phase: Option<i64>,
}

/// Where notifications go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// Address that receives a POST.
    #[schemars(length(min = 1, max = 1024))]
    pub url: String,
}

/// What is known of a Repository.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// Generation this status speaks of; -1 before the first look.
    #[serde(default = "super::repository::unobserved")]
    pub observed_generation: i64,
    /// Head of the base branch, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub head: Option<String>,
    /// The mirroring of the upstream: the run under way, or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// What the Repository waits for or lacks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Ready, Reconciling, Stalled; `UpstreamSynced` if there is an upstream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What is known of the upstream.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Name of the AgentTask that mirrors, or did last.
    #[schemars(length(max = 253))]
    pub task: String,
    /// Times it was mirrored or tried to.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number: i64,
    /// Generation of the Repository that the task was made for.
    #[serde(default)]
    pub generation: i64,
    /// When it ended; none while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Head of the base branch there, as it was last seen; none if there is no such branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub head: Option<String>,
}

impl Default for RepositoryStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            head: None,
            sync: None,
            message: String::new(),
            conditions: Vec::new(),
        }
    }
}

/// `observedGeneration` before the first look.
pub(crate) fn unobserved() -> i64 {
    -1
}
