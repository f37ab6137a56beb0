//! What checks and reviewers say of a commit: report files, findings, counts and measurements.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Quantity;

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
    /// Cobertura XML: coverage.
    Cobertura,
    /// LCOV tracefile: coverage of lines.
    #[serde(rename = "LCOV")]
    Lcov,
    /// Measurements with targets: OpenMetrics text, or JSON (an object of names to numbers).
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
#[x_kube(validation = Rule::new("self.format != 'Metrics' || (has(self.targets) && size(self.targets) > 0)").message("reports[].targets: a Metrics report needs at least one target; say which measurement must reach what"))]
#[x_kube(validation = Rule::new("!has(self.targets) || self.format in ['Cobertura', 'LCOV', 'Metrics']").message("reports[].targets belong to formats Cobertura, LCOV and Metrics"))]
#[x_kube(validation = Rule::new("!has(self.targets) || !(self.format in ['Cobertura', 'LCOV']) || self.targets.all(t, t.metric == 'lines' && has(t.atLeast))").message("reports[].targets of a coverage report: metric must be 'lines', with atLeast in percent"))]
#[x_kube(validation = Rule::new("!has(self.levels) || self.format == 'SARIF'").message("reports[].levels belong to format SARIF"))]
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
    /// What measurements must reach. Of a coverage report: metric `lines`, `atLeast` in percent (90 unless set).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["metric".into()]))]
    pub targets: Vec<Target>,
}

/// What one measurement must reach. Its score is 10 × achieved ÷ target, or 10 × target ÷ achieved
/// where less is better, at most 10.0 (design §7).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.atLeast) != has(self.atMost)").message("reports[].targets[]: set exactly one of atLeast and atMost"))]
pub struct Target {
    /// Name of the measurement; of OpenMetrics with its labels, such as `latency_seconds{quantile="0.95"}`.
    #[schemars(length(min = 1, max = 256))]
    pub metric: String,
    /// The measurement should be at least this, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Quantity>,
    /// The measurement should be at most this, 0 or above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Quantity>,
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
    /// What a reviewer quoted from that place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 600))]
    pub evidence: String,
    /// What a reviewer would do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 600))]
    pub recommendation: String,
    /// The base has it too: debt that is shown and not charged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
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
    /// Why it could not be read, or why it was not compared with the base.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 600))]
    pub message: String,
    /// Exact test counts (JUnit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Exact counts of the findings that are charged, by severity: those that the base does not have
    /// (SARIF; failed tests of JUnit are findings too, but are judged by the test counts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SeverityCounts>,
    /// Lines that can be covered, and those that are (Cobertura, LCOV).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What was measured for each target, in their order (Metrics).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub measurements: Vec<Measurement>,
    /// What the same report said of the base; none if that is not known, and then all counts as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseFacts>,
    /// At most 100 findings, those that are charged first, the most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub findings: Vec<Finding>,
    /// Whether findings were left out of the list. The counts are exact all the same.
    #[serde(default)]
    pub truncated: bool,
}

/// Lines that can be covered, and those that are.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LineCounts {
    /// Lines that ran.
    #[schemars(range(min = 0))]
    pub covered: i64,
    /// Lines that could run.
    #[schemars(range(min = 0))]
    pub total: i64,
}

/// Coverage of one commit (Cobertura, LCOV).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Every line of the report.
    pub all: LineCounts,
    /// Lines that the phase changed. None if it is not known what it changed; then all lines are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<LineCounts>,
    /// Percent to reach.
    pub target: Quantity,
}

/// One measurement and what it should be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// The target.
    pub target: Target,
    /// What was measured. None if the report does not have it, which counts as the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
}

/// What a report said of the base.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BaseFacts {
    /// The commit.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// AgentTask whose report it is.
    #[schemars(length(max = 253))]
    pub task: String,
    /// Its tests (JUnit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Exact counts of findings that both have: known debt, not charged (SARIF).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<SeverityCounts>,
    /// Its coverage (Cobertura, LCOV).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<LineCounts>,
}

/// A sign that a change weakens what judges it (design §7, "Gamed").
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GamingSign {
    /// Stable id, to be named in a Waive decision.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// What kind of sign.
    #[serde(rename = "type")]
    pub kind: GamingSignType,
    /// File, relative to the root of the repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub path: String,
    /// Line on the side that shows it, counted from 1; 0 if it has none.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub line: i32,
    /// The line of the diff that shows it, with its `+` or `-`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 300))]
    pub text: String,
    /// In words.
    #[schemars(length(max = 600))]
    pub message: String,
}

/// Kinds of signs that a change weakens what judges it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GamingSignType {
    /// A protected path was changed: gate and CI files, acceptance tests.
    ProtectedPathChanged,
    /// There are fewer tests than on the base.
    FewerTests,
    /// A test was skipped, or is expected to fail.
    TestSkipped,
    /// An assertion was deleted.
    AssertionDeleted,
    /// An assertion was made to hold always, or to say less.
    AssertionWeakened,
    /// A comment or setting silences a tool.
    SuppressionAdded,
}
