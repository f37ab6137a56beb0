//! `Decision`: one act of one person. Immutable, used once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One act of one person on one Phase.
///
/// The user name is proved and each type is authorised (the verb of that name on that Phase) by
/// the chart's ValidatingAdmissionPolicy.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "phasegate.dev",
    version = "v1alpha1",
    kind = "Decision",
    plural = "decisions",
    namespaced,
    derive = "PartialEq",
    doc = "One act of one person on one Phase: approve, reject, retry, waive, abort, roll back, suspend or resume. Immutable, used once.",
    category = "phasegate",
    printcolumn(name = "Type", json_path = ".spec.type", type_ = "string"),
    printcolumn(name = "Phase", json_path = ".spec.phase", type_ = "string"),
    printcolumn(name = "Attempt", json_path = ".spec.attempt", type_ = "integer"),
    printcolumn(name = "User", json_path = ".spec.user", type_ = "string"),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a Decision is immutable; make another"))]
#[x_kube(validation = Rule::new("self.type in ['Approve', 'Reject', 'Retry', 'Waive', 'Abort', 'Suspend', 'Resume', 'Rollback']").message("spec.type: Rerun and Answer are not implemented in this version"))]
#[x_kube(validation = Rule::new("self.type == 'Approve' || !has(self.answers)").message("spec.answers belongs to type Approve"))]
#[x_kube(validation = Rule::new("!(self.type in ['Approve', 'Reject']) || has(self.commit)").message("spec.commit is required: Approve and Reject speak of one commit"))]
#[x_kube(validation = Rule::new("self.type == 'Retry' || (!has(self.attempts))").message("spec.attempts belongs to type Retry"))]
#[x_kube(validation = Rule::new("self.type == 'Waive' || !(has(self.findings) || has(self.criteria) || has(self.until))").message("spec.findings, spec.criteria and spec.until belong to type Waive"))]
#[x_kube(validation = Rule::new("self.type in ['Waive', 'Rollback'] || !has(self.reason)").message("spec.reason belongs to types Waive and Rollback; say why in spec.note"))]
#[x_kube(validation = Rule::new("self.type != 'Waive' || has(self.findings) || has(self.criteria)").message("spec.findings, spec.criteria: a Waive names at least one finding or criterion"))]
#[x_kube(validation = Rule::new("!(self.type in ['Waive', 'Rollback']) || has(self.reason)").message("spec.reason is required: a Waive and a Rollback say why"))]
pub struct DecisionSpec {
    /// What is decided.
    #[serde(rename = "type")]
    pub kind: DecisionType,
    /// Name of the Phase, in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    pub phase: String,
    /// UID of that Phase: a Decision never speaks of a later Phase of the same name.
    #[serde(rename = "phaseUID")]
    #[schemars(length(min = 1, max = 64))]
    pub phase_uid: String,
    /// Attempt it speaks of.
    #[schemars(range(min = 0, max = 1000))]
    pub attempt: i32,
    /// Commit it speaks of: the reviewed commit (Approve, Reject), or a commit to gate (Retry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
    /// Who decides: must be the user who creates the object, as the API server knows them.
    #[schemars(length(min = 1, max = 256))]
    pub user: String,
    /// Answers for the criteria that a person judges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub answers: Vec<Answer>,
    /// Attempts to grant (Retry; 1 unless set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// Ids of the findings and gaming signs to accept (Waive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 64)))]
    pub findings: Vec<String>,
    /// Names of the success criteria that need not be met (Waive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    pub criteria: Vec<String>,
    /// Why they are accepted (Waive), or why the phase is taken back (Rollback).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub reason: String,
    /// Until when they are accepted (Waive); without end unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub note: String,
}

/// What a person can decide.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionType {
    /// Let it merge: approval, and answers for the Person criteria.
    Approve,
    /// Send it back to the developer with the note; spends an attempt.
    Reject,
    /// Grant further attempts to an escalated phase.
    Retry,
    /// Run one task again. Not implemented in this version.
    Rerun,
    /// Accept named findings, gaming signs or criteria; what was escalated for them is judged again.
    Waive,
    /// Start nothing, merge nothing.
    Suspend,
    /// Go on.
    Resume,
    /// Take a passed phase back out of the base branch.
    Rollback,
    /// Give the phase up.
    Abort,
    /// Answer an agent's question. Not implemented in this version.
    Answer,
}

/// A person's answer for one criterion.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Name of the criterion.
    #[schemars(length(min = 1, max = 40))]
    pub criterion: String,
    /// Whether it is met.
    pub met: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
}
