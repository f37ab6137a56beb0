//! What silences a tool, in a comment or in code. Comments count where the tool itself would read them.

use std::sync::LazyLock;

use regex::Regex;

use super::rules::{Family, pattern};

/// Words that tools look for right behind the begin of a comment.
const BEHIND: &str = concat!(
    r"(?i:(?:ruff|flake8)\s*:\s*noqa|noqa)\b|nosec\b|(?:type|pyright|pyre|mypy|basedpyright)\s*:\s*ignore|mypy\s*:\s*(?:ignore-errors|disable-error-code|allow-)|pyre-(?:ignore|fixme)\b|",
    r"pylint\s*:\s*(?:disable|skip-file)|(?i:pragma\s*:?\s*no\s*(?:cover|branch))|pragma\s*:\s*(?:allowlist|whitelist)\s+secret|",
    r"nolint\b|lint:(?:file-)?ignore\b|eslint-disable|tslint:disable|biome-ignore|oxlint-disable|deno-lint-ignore|stylelint-disable|jshint\s+ignore|@ts-(?:ignore|nocheck|expect-error)|@phpstan-ignore|",
    r"(?:istanbul|c8|v8)\s+ignore|rubocop\s*:\s*(?:disable|todo)|standard\s*:\s*disable|:nocov:|",
    r"cppcheck-suppress|(?:LCOV|GCOV|GCOVR)_EXCL|hadolint\s+(?:global\s+)?ignore|shellcheck\s+disable|yamllint\s+disable|",
    r"checkov:skip|tfsec:ignore|trivy:ignore|kics-scan\s+(?:ignore|disable)|tflint-ignore|semgrep-ignore|ReSharper\s+disable|swiftlint:disable|ktlint-disable|",
    r"credo:disable|sqlfluff:\s*noqa|vale\s+off|coverage:\s*(?:ignore|off)"
);

/// Words that tools look for anywhere in a comment.
const ANYWHERE: &str = r"\bNOSONAR\b|\bNOLINT(?:NEXTLINE|BEGIN)?\b|\bnosem(?:grep)?\b|\bgitleaks:allow\b|\blgtm\s*\[|\bcodeql\s*\[|\btrufflehog:ignore\b";

static IN_COMMENTS: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?:#|//|/\*|<!--|^\s*(?:--|;|%))[/!*\s]*(?:{BEHIND})|{ANYWHERE}")));

static RUST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"#!?\[\s*(?:allow|expect)\s*\(|#!?\[\s*cfg_attr\s*\(.*\b(?:allow|expect)\s*\(|#\[\s*no_coverage|\bcoverage\s*\(\s*off\b|\btarpaulin(?:_include|::skip)\b",
    )
});
static JVM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"@(?:file:)?(?:SuppressWarnings|SuppressFBWarnings|SuppressLint|Suppress)\b|@(?:\w+\.)*ExcludeFromJacoco\w*",
    )
});
static CSHARP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*#\s*pragma\s+warning\s+disable\b|\bSuppressMessage\s*\(|\[\s*ExcludeFromCodeCoverage\b|^\s*#\s*nullable\s+disable\b",
    )
});
static C: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"#\s*pragma\s+(?:GCC|clang)\s+diagnostic\s+ignored\b|#\s*pragma\s+warning\s*\(\s*(?:disable|suppress)\b|\bno_sanitize\b|\bNO_SANITIZE\b",
    )
});
static PYTHON: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*@(?:typing\.)?no_type_check\b"));

static BUILD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*//\s*(?:go:build|\+build)\b"));
static NAMES_NONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:-next-line|-line)?\s*(?:\*/|#|//|--|$)"));
/// A tool that judges, and that its failure is passed over.
static PASSED_OVER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:pytest|unittest|tox|nox|jest|vitest|mocha|playwright|cypress|rspec|minitest|ctest|phpunit|go\s+(?:test|vet)|cargo\s+(?:test|nextest|clippy|audit|deny)|mvn|gradlew?|dotnet\s+test|(?:npm|yarn|pnpm)\s+(?:run\s+)?(?:test|lint)|make\s+(?:test|lint|check)|ruff|flake8|pylint|mypy|pyright|bandit|eslint|tsc|golangci-lint|staticcheck|gosec|semgrep|gitleaks|hadolint|shellcheck|yamllint|trivy|rubocop|clang-tidy)\b[^#]*\|\|\s*(?:true|:|exit\s+0|echo)\b",
    )
});

/// A comment that silences a tool.
pub(super) struct Found {
    /// Byte where its words begin.
    pub(super) begin: usize,
    /// It names no rule.
    pub(super) wholly: bool,
}

/// Where in a comment a tool is silenced.
pub(super) fn in_comment(comment: &str) -> Option<Found> {
    let found = IN_COMMENTS.find(comment)?;
    let rest = comment.get(found.end()..).unwrap_or_default();
    Some(Found { begin: found.start(), wholly: NAMES_NONE.is_match(rest) })
}

/// Whether a comment says when a file of Go is built.
pub(super) fn constrains_build(comment: &str) -> bool {
    BUILD.is_match(comment)
}

/// Whether a tool is silenced in code.
pub(super) fn in_code(family: Family, code: &str) -> bool {
    let pattern: &Regex = match family {
        Family::Rust => &RUST,
        Family::Jvm => &JVM,
        Family::CSharp => &CSHARP,
        Family::C => &C,
        Family::Python => &PYTHON,
        Family::Script | Family::Other => &PASSED_OVER,
        Family::JavaScript | Family::Go | Family::Ruby | Family::Prose => return false,
    };
    pattern.is_match(code)
}
