//! Checks: one tool each, run in a clean room at the exact commit under judgement.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    common::{Duration, carried_object, yes},
    evidence::Report,
};

/// One environment variable of a check.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Its value, as it is: nothing is expanded.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A helper process beside a check, reachable on localhost, such as an MQTT broker.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name of its container.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its image; the check's own image unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Port on localhost that must accept a connection before the check starts.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Command instead of the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvironmentVariable>,
}

/// Whether a check can fail: true unless all it does is to print, to set options, and to hide failures.
///
/// A script that `sh` is told as an argument counts like one in `script`; of another command the program counts. A
/// declared report that is missing fails its check, so a check with reports can always fail.
const CAN_FAIL: &str = r#"has(self.external) || (has(self.reports) && size(self.reports) > 0) || !(has(self.script) ? self.script : has(self.command) ? (self.command[0].matches('(^|/)(ba|da|a|k|z)?sh$') ? self.command[size(self.command) - 1] : self.command[0]) : 'none').matches(r'''^[\s;&]*(((\\\n|[^\n;])+\|\| *)?((/\S+/)?(true|:|echo|printf|cd|pwd|set|export)( ([^\n;&|"']|"[^"]*"|'[^']*')*)?|exit( +0)?|#.*)([\s;&]+|$))*($|exit( +0)? *[\n;&])''')"#;

/// Whether the last command decides, and always succeeds: after `set +e`, or in a script that a shell gets without `-e`.
const LAST_DECIDES: &str = r"has(self.external) || (has(self.reports) && size(self.reports) > 0) || !(has(self.script) ? (self.script.matches('(^|[\\n;])[ \\t]*set [+]e') ? self.script : '') : has(self.command) && size(self.command) == 3 && self.command[0].matches('(^|/)(ba|da|a|k|z)?sh$') && self.command[1] == '-c' ? self.command[2] : '').matches(r'[\n;][ \t]*(?:true|:|exit[ \t]+0|echo[^\n;&|]*)[\s;]*$') || (has(self.script) ? self.script : self.command[2]).matches(r'(?:^|[\n;|&{(])[ \t]*(?:exit[ \t]+[^0\s]|set[ \t]+-|exec[ \t])')";

/// One tool run in a clean room at the exact commit under judgement.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.script), has(self.command), has(self.external)].filter(set, set).size() == 1").message("checks[]: set exactly one of script, command and external"))]
#[x_kube(validation = Rule::new(CAN_FAIL).message("checks[]: this check cannot fail: all it does is to print, to set options, or to hide failures behind '|| true'; run something that can fail, or declare the reports that it writes"))]
#[x_kube(validation = Rule::new(LAST_DECIDES).message("checks[]: this check cannot fail: without 'set -e' the last command decides, and it always succeeds; remove it, or declare the reports that the check writes"))]
#[x_kube(validation = Rule::new("!has(self.external) || !(has(self.image) || has(self.env) || has(self.resources) || has(self.services))").message("checks[]: image, env, resources and services do not belong to an external check, which runs elsewhere"))]
pub struct Check {
    /// Name, unique among the checks of the Repository and the Phase.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Image the check runs in; `spec.image` of the Repository unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Shell script, run by `sh -eu` in the work tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub script: Option<String>,
    /// Command and arguments instead of a script, run in the work tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,
    /// Run by an outside system instead, which posts outcome and reports for the exact commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalCheck>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvironmentVariable>,
    /// CPU and memory of the check's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "carried_object")]
    pub resources: Option<ResourceRequirements>,
    /// Longest run time; the check fails when it passes. At most 24 hours. An external check that has
    /// not answered by then is inconclusive.
    #[serde(default = "Check::default_timeout")]
    pub timeout: Duration,
    /// Whether a failure alone fails the gate. A failed non-blocking check without reports is one
    /// Minor; with reports it is judged by them alone.
    #[serde(default = "yes")]
    pub blocking: bool,
    /// Categories the check is evidence for.
    #[serde(default = "Check::default_categories")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub categories: Vec<String>,
    /// Helper processes beside the check, on localhost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub services: Vec<Service>,
    /// Report files it writes. A declared report that is missing is a failure of the check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reports: Vec<Report>,
}

impl Check {
    fn default_timeout() -> Duration {
        Duration::from_secs(600)
    }

    fn default_categories() -> Vec<String> {
        vec!["functionality".to_owned()]
    }
}

/// A check that an outside system runs, such as a hosted CI (docs/external-checks.md).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalCheck {
    /// Name of the system, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub system: String,
}
