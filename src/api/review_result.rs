//! `ReviewResult`: the record of one judgement. The spec is the evidence, made once by the Phase
//! reconciler; the status is the judgement, a pure function of the spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    agent_task::{CheckOutcome, FindingAnswer, ReviewSubmission},
    common::Decimal,
    evidence::{Finding, GamingSign, ReportFacts, Severity, SeverityCounts},
    phase::{Judge, Waiver},
    repository::unobserved,
};

/// The record of one judgement: evidence in the spec, judgement in the status.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "phasegate.dev",
    version = "v1alpha1",
    kind = "ReviewResult",
    plural = "reviewresults",
    namespaced,
    status = "ReviewResultStatus",
    derive = "PartialEq",
    doc = "The record of one judgement: the evidence, the score computed from it, and the verdict. Made by the operator only.",
    shortname = "rr",
    category = "phasegate",
    printcolumn(name = "Phase", json_path = ".spec.phase", type_ = "string"),
    printcolumn(name = "Attempt", json_path = ".spec.attempt", type_ = "integer"),
    printcolumn(name = "Score", json_path = ".status.score", type_ = "string"),
    printcolumn(name = "Verdict", json_path = ".status.verdict", type_ = "string"),
    printcolumn(name = "Commit", json_path = ".spec.commit", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("the evidence of a ReviewResult is immutable"))]
pub struct ReviewResultSpec {
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 40))]
    pub repository: String,
    /// Name of the Phase.
    #[schemars(length(min = 1, max = 40))]
    pub phase: String,
    /// UID of that Phase.
    #[serde(rename = "phaseUID")]
    #[schemars(length(max = 64))]
    pub phase_uid: String,
    /// Attempt that is judged, counted from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// Number of the judgement within the attempt, counted from 1: the base may have moved.
    #[schemars(range(min = 1, max = 1000))]
    pub number: i32,
    /// The commit that is judged.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// Its tree: what would be on the base branch.
    #[schemars(length(max = 64))]
    pub tree: String,
    /// Head of the base branch, an ancestor of the commit.
    #[schemars(length(max = 64))]
    pub base: String,
    /// Hash of everything the judgement depends on but the code: checks, criteria, rubric, reviewers, waivers.
    #[schemars(length(max = 64))]
    pub gate_hash: String,
    /// What a score must reach.
    pub rubric: Rubric,
    /// What the checks said.
    #[schemars(length(max = 64))]
    pub checks: Vec<CheckEvidence>,
    /// What the reviewers said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reviews: Vec<ReviewerEvidence>,
    /// Signs that the change weakens what judges it; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub gaming_signs: Vec<GamingSign>,
    /// What must be true at the end of the phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub criteria: Vec<CriterionToJudge>,
    /// What persons have waived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub waivers: Vec<Waiver>,
    /// What the developer said of the findings of the previous judgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub answers: Vec<FindingAnswer>,
    /// Ids of the findings that were open after the previous judgement of this phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), inner(length(max = 64)))]
    pub previous_findings: Vec<String>,
}

/// What a score must reach: every default filled in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rubric {
    /// Weighted score that passes.
    pub passing_score: Decimal,
    /// Categories that count.
    #[schemars(length(min = 1, max = 16))]
    pub categories: Vec<RubricCategory>,
}

/// One category that counts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RubricCategory {
    /// Its name.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Its weight, relative to the others.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: i32,
    /// Score below which the gate refuses.
    pub floor: Decimal,
    /// Counted by the Phase alone: the total must pass without it too, so that an easy category
    /// cannot make up for the Repository's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
}

/// What one check said of the commit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CheckEvidence {
    /// Name of the check.
    #[schemars(length(max = 40))]
    pub name: String,
    /// AgentTask that ran it.
    #[schemars(length(max = 253))]
    pub task: String,
    /// Whether its failure alone fails the gate.
    pub blocking: bool,
    /// Categories it is evidence for.
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub categories: Vec<String>,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// Image it ran in, with the digest that the node resolved.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,
    /// Its exit code, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Facts of its declared reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reports: Vec<ReportFacts>,
}

/// What one reviewer said of the commit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewerEvidence {
    /// Name of the reviewer.
    #[schemars(length(max = 40))]
    pub name: String,
    /// AgentTask that ran it.
    #[schemars(length(max = 253))]
    pub task: String,
    /// Recorded and shown, not counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Categories it was asked to examine.
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub categories: Vec<String>,
    /// Its review. None if it submitted none, or was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSubmission>,
    /// Exact counts, by category, of findings that are charged and were left out of the list because all of them
    /// together would be too heavy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub left_out: Vec<CategoryCounts>,
    /// Why there is no review, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Findings of one category, by severity.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CategoryCounts {
    /// The category.
    #[schemars(length(max = 128))]
    pub category: String,
    /// How many, by severity.
    pub counts: SeverityCounts,
}

/// A success criterion, as it was when the commit was judged.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CriterionToJudge {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// What must be true.
    #[schemars(length(max = 1024))]
    pub description: String,
    /// Who judges it.
    pub judge: Judge,
    /// Checks that prove it (judge Checks).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 40)))]
    pub proven_by: Vec<String>,
}

/// The judgement.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewResultStatus {
    /// Generation this status speaks of; -1 before the judgement.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,
    /// Decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Weighted score, such as `9.01`; cut, never rounded up. None when a category has no evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub score: Option<String>,
    /// The same in thousandths, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub score_thousandths: Option<i32>,
    /// Digest of the spec, `sha256:…`, which the tags and the gate note of the merge name. To compute it again:
    /// `kubectl get reviewresult NAME -o json | jq -cSj .spec | sha256sum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub evidence_digest: Option<String>,
    /// Score and evidence per category.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub categories: Vec<CategoryScore>,
    /// Why the verdict is what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub reasons: Vec<VerdictReason>,
    /// Criteria, judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub criteria: Vec<CriterionJudgement>,
    /// Exact counts, by severity, of the findings that are charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SeverityCounts>,
    /// Exact counts, by severity, of the findings that the base has too: not charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<SeverityCounts>,
    /// Reviewers' own numbers beside ours: a measure of the reviewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reviewers: Vec<ReviewerScore>,
    /// Signs that the change weakens what judges it, those in the diff and those in the counts of tests; at most 200,
    /// those that are not waived first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub gaming_signs: Vec<JudgedSign>,
    /// Open findings, the dearest first, then those that cost nothing; at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub findings: Vec<JudgedFinding>,
    /// Ids of findings of the previous judgement that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), inner(length(max = 64)))]
    pub resolved: Vec<String>,
    /// What to do about it (seed: Recommendation).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub recommendations: Vec<String>,
    /// Ready: the record is finished, whatever the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl Default for ReviewResultStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            verdict: None,
            score: None,
            score_thousandths: None,
            evidence_digest: None,
            categories: Vec::new(),
            reasons: Vec::new(),
            criteria: Vec::new(),
            counts: None,
            known: None,
            reviewers: Vec::new(),
            gaming_signs: Vec::new(),
            findings: Vec::new(),
            resolved: Vec::new(),
            recommendations: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

/// Decision of the gate.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// May merge, once what a person must say is said.
    Pass,
    /// Sent back.
    Fail,
    /// Could not be judged: evidence is missing.
    Inconclusive,
}

/// Score of one category.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CategoryScore {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Its weight.
    pub weight: i32,
    /// Its floor.
    pub floor: Decimal,
    /// Counted by the Phase alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    /// Its score: the minimum over its evidence. None without evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Decimal>,
    /// What each piece of evidence scored and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub evidence: Vec<EvidenceScore>,
}

/// What one piece of evidence scored.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceScore {
    /// Check, and report if any, such as `lint reports/ruff.sarif`.
    #[schemars(length(max = 600))]
    pub source: String,
    /// Its score.
    pub score: Decimal,
    /// Every lost tenth, in words.
    #[schemars(length(max = 300))]
    pub why: String,
}

/// One typed reason of a verdict.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VerdictReason {
    /// What kind of reason.
    #[serde(rename = "type")]
    pub kind: ReasonType,
    /// In words.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Kinds of reasons.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonType {
    /// The change weakens what judges it.
    Gamed,
    /// A blocking check failed.
    BlockingCheckFailed,
    /// A check never started.
    CheckNotStarted,
    /// A reviewer submitted no review.
    ReviewMissing,
    /// A category that must count has no evidence.
    NoEvidence,
    /// A success criterion is not met.
    CriterionUnmet,
    /// A category is below its floor.
    BelowFloor,
    /// The total is below the passing score.
    BelowPassingScore,
    /// Everything asked for is there.
    Passed,
}

/// A success criterion, judged.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CriterionJudgement {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Whether it is met.
    pub state: CriterionState,
    /// Why.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Whether a criterion is met.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CriterionState {
    /// It is.
    Met,
    /// It is not.
    Unmet,
    /// A person has to say.
    AwaitsPerson,
    /// A person has said that it need not be met.
    Waived,
}

/// What a reviewer would give, beside what its findings come to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewerScore {
    /// Name of the reviewer.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Recorded and shown, not counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// The number it would give: never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Decimal>,
    /// What its findings alone come to: the lowest of its categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<Decimal>,
}

/// Why a finding costs nothing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uncharged {
    /// The base has it too: known debt.
    Known,
    /// A person waived it.
    Waived,
    /// Only a shadow reviewer reported it.
    Shadow,
}

/// A sign that the change weakens what judges it, and whether a person accepts it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JudgedSign {
    /// A person accepts it: it refuses nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// The sign.
    pub sign: GamingSign,
}

/// A finding with its place in the history of the phase.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JudgedFinding {
    /// Check or reviewer that reported it, the first by name if several did.
    #[schemars(length(max = 40))]
    pub check: String,
    /// Every check and reviewer that reported it, if more than one did: they agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub reported_by: Vec<String>,
    /// Why it costs nothing; none if it is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncharged: Option<Uncharged>,
    /// What the developer said against it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub dispute: String,
    /// Categories it cost.
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub categories: Vec<String>,
    /// Whether the previous judgement had it too.
    pub persisting: bool,
    /// The finding.
    pub finding: Finding,
}

impl JudgedFinding {
    /// Severity of the finding.
    pub const fn severity(&self) -> Severity {
        self.finding.severity
    }
}
