//! Types that several kinds share: decimals, durations, references, checks and findings.
//! Serde and schema only: no behaviour beyond parsing and printing.

use std::{borrow::Cow, fmt, str::FromStr};

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// API group of every kind here.
pub const GROUP: &str = "phasegate.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";

/// A decimal with one digit after the point, from 0.0 to 10.0, held in tenths.
///
/// In YAML an integer or a quoted string: an unquoted 9.0 arrives as the integer 9, and an
/// unquoted 9.5 is refused by the schema. Quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u16);

impl Decimal {
    /// From tenths; values above 100 are cut to 100.
    pub const fn from_tenths(tenths: u16) -> Self {
        Self(if tenths > 100 { 100 } else { tenths })
    }

    /// In tenths, 0 to 100.
    pub const fn tenths(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a number from 0.0 to 10.0 with at most one digit after the point")]
pub struct ParseDecimalError(String);

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseDecimalError(text.to_owned());
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 2) || !digits(tenth, 1) {
            return Err(bad());
        }
        let tenths = whole.parse::<u16>().map_err(|_| bad())? * 10 + tenth.parse::<u16>().map_err(|_| bad())?;
        if tenths > 100 { Err(bad()) } else { Ok(Self(tenths)) }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(u16),
            String(String),
        }
        match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(n) => n.to_string().parse().map_err(serde::de::Error::custom),
            IntOrString::String(s) => s.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The pattern binds strings only; integers are bound by maximum and minimum.
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^(10(\\.0)?|[0-9](\\.[0-9])?)$",
            "minimum": 0,
            "maximum": 10,
            "maxLength": 4,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A span of time such as `90s`, `5m` or `1h30m`, held in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u32);

impl Duration {
    /// From whole seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds)
    }

    /// In whole seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

/// Why a text is not a [`Duration`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a duration such as 90s, 5m or 1h30m")]
pub struct ParseDurationError(String);

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseDurationError(text.to_owned());
        let (mut total, mut number) = (0_u32, None::<u32>);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
                number = Some(next.ok_or_else(bad)?);
                continue;
            }
            let unit = match c {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return Err(bad()),
            };
            let part = number.take().ok_or_else(bad)?.checked_mul(unit).ok_or_else(bad)?;
            total = total.checked_add(part).ok_or_else(bad)?;
        }
        if number.is_some() || text.is_empty() { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 % 3600 / 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.0 == 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$",
            "minLength": 2,
            "maxLength": 24,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Schema of a core/v1 fragment that is carried as it is: the API server that made the
/// `PodTemplate` has validated it already.
pub(crate) fn carried_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Like [`carried_object`], for lists.
pub(crate) fn carried_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// Labels, or labels to select by: the API server that made the `PodTemplate` has validated them.
pub(crate) fn carried_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// A reference to an object of the same namespace, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

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

/// How bad a finding is (design §7).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Costs nothing; worth knowing.
    Info,
    /// Costs 0.3, all Minors together at most 1.0.
    Minor,
    /// Costs 2.5: one alone misses a floor of 8.
    Major,
    /// Costs 6.0.
    Critical,
}

/// Format of a report file.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportFormat {
    /// JUnit XML: test results.
    JUnit,
    /// SARIF 2.1.0: findings of a static analyser.
    #[serde(rename = "SARIF")]
    Sarif,
    /// Cobertura XML: coverage. Not implemented in this version.
    Cobertura,
    /// LCOV: coverage. Not implemented in this version.
    #[serde(rename = "LCOV")]
    Lcov,
    /// Measurements with targets. Not implemented in this version.
    Metrics,
}

/// What a tool's own level means here, where its default meaning is wrong for this tool.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReportLevels {
    /// Severity of a SARIF `error` (Major unless set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Severity>,
    /// Severity of a SARIF `warning` (Minor unless set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Severity>,
    /// Severity of a SARIF `note` (Info unless set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Severity>,
}

/// A report file that a check writes into the work tree.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.format in ['JUnit', 'SARIF']").message("reports[].format: Cobertura, LCOV and Metrics are not implemented in this version; use JUnit or SARIF"))]
#[x_kube(validation = Rule::new("!self.path.startsWith('/') && !self.path.split('/').exists(p, p == '..')").message("reports[].path must be relative to the work tree and must not contain '..'"))]
pub struct Report {
    /// Path below the work tree, such as `reports/junit.xml`.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
    /// Format of the file.
    pub format: ReportFormat,
    /// What the tool's levels mean, where the default meaning is wrong for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<ReportLevels>,
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

/// One tool run in a clean room at the exact commit under judgement.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.script) != has(self.command)").message("checks[]: set exactly one of script and command"))]
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
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvironmentVariable>,
    /// CPU and memory of the check's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "carried_object")]
    pub resources: Option<ResourceRequirements>,
    /// Longest run time; the check fails when it passes. At most 24 hours.
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

/// What a reviewer looks at and what a score must reach.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// What the review is to look at in particular.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    pub focus: Vec<String>,
    /// Weighted score that passes (seed: 9.0). A Phase may raise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing_score: Option<Decimal>,
    /// Categories that count. Those listed, or else those that the checks feed, with the seed's
    /// weights and the default floors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub categories: Vec<Category>,
}

/// A category of the score.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Category {
    /// Name, such as `security`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Share of the total, relative to the other categories' weights. The seed's for its five
    /// categories unless set; other categories must set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<i32>,
    /// Score below which the gate refuses whatever the total. The defaults of design §7 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Decimal>,
}

/// How failures are retried (seed: Error Handling).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts a phase has in all: the first and the reworks (seed: 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: Option<i32>,
    /// Wait between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Runs that one task may spend (default 4). Broken infrastructure spends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub max_runs_per_task: Option<i32>,
}

/// Exponential backoff with jitter: `initial`, doubled each time, at most `max`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// First wait (default 30s).
    #[serde(default = "Backoff::default_initial")]
    pub initial: Duration,
    /// Longest wait (default 10m).
    #[serde(default = "Backoff::default_max")]
    pub max: Duration,
}

impl Backoff {
    fn default_initial() -> Duration {
        Duration::from_secs(30)
    }

    fn default_max() -> Duration {
        Duration::from_secs(600)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Self::default_initial(), max: Self::default_max() }
    }
}

/// One thing that a tool or a reviewer found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable id: hash of rule, path, normalised text of the line, and occurrence. Survives moved lines.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// Rule of the tool, such as `B602`.
    #[schemars(length(max = 128))]
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// File, relative to the root of the repository.
    #[schemars(length(max = 512))]
    pub path: String,
    /// Line, counted from 1; 0 if it has none.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub line: i32,
    /// What is wrong, in the tool's words, cut to a length.
    #[schemars(length(max = 600))]
    pub message: String,
}

/// Findings by severity: exact, however long the list was.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SeverityCounts {
    /// Critical findings.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub critical: i32,
    /// Major findings.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub major: i32,
    /// Minor findings.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub minor: i32,
    /// Info findings.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub info: i32,
}

/// Test results by outcome.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TestCounts {
    /// Tests that passed.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub passed: i32,
    /// Tests that failed or ended in an error.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failed: i32,
    /// Tests that were skipped; they count neither way.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub skipped: i32,
}

/// Whether a declared report could be read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportState {
    /// Read in full; the facts are exact.
    Read,
    /// Not there: a failure of the check.
    Missing,
    /// There, but empty or without any content of its format: a failure of the check.
    Empty,
    /// Not of the declared format, over the size limit, or not a plain file: a failure of the check.
    Invalid,
}

/// The bounded facts of one report file.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReportFacts {
    /// Path as declared.
    #[schemars(length(max = 512))]
    pub path: String,
    /// Format as declared.
    pub format: ReportFormat,
    /// Whether it could be read.
    pub state: ReportState,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 600))]
    pub message: String,
    /// Exact test counts (JUnit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Exact counts of findings by severity (SARIF; failed tests of JUnit are findings too, but
    /// are judged by the test counts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SeverityCounts>,
    /// At most 100 findings, the most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub findings: Vec<Finding>,
    /// Whether findings were left out of the list. The counts are exact all the same.
    #[serde(default)]
    pub truncated: bool,
}

pub(crate) fn yes() -> bool {
    true
}
