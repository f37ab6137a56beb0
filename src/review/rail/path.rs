//! Paths: as git writes them, and what a path alone says of a file.

use std::{path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    super::quoting::escaped,
    rules::{Family, pattern},
    settings::{self, Settings},
};

/// Undoes git's quoting of a name: `"a\tb"`, octal bytes included. A name without quotes is as it is, but for the
/// tabulator that git puts after names with spaces.
pub(super) fn unquoted(text: &[u8]) -> String {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return String::from_utf8_lossy(text.strip_suffix(b"\t").unwrap_or(text)).into_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = quoted.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => bytes.extend(escaped(&mut rest)),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path of a `---` or `+++` line, without `a/` or `b/`; none for `/dev/null`.
pub(super) fn with_side(text: &[u8]) -> Option<String> {
    if text == b"/dev/null" {
        return None;
    }
    without_side(&unquoted(text))
}

fn without_side(name: &str) -> Option<String> {
    name.strip_prefix("a/").or_else(|| name.strip_prefix("b/")).map(str::to_owned)
}

/// The one path of `a/x b/x`; none if the two differ (a rename says its names elsewhere).
pub(super) fn same_twice(text: &[u8]) -> Option<String> {
    if text.starts_with(b"\"") {
        return without_side(&unquoted(text));
    }
    let (old, new) = text.split_at_checked(text.len() / 2)?;
    let (old, new) = (old.strip_prefix(b"a/")?, new.strip_prefix(b" b/")?);
    (old == new).then(|| String::from_utf8_lossy(old).into_owned())
}

/// What a path says of a file.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// The language.
    pub(super) family: Family,
    /// It is about tests: what it asserts and skips counts.
    pub(super) test: bool,
    /// Test runners find tests in such a file.
    pub(super) collected: bool,
    /// They do so for its name.
    pub(super) named: bool,
    /// It sets up a tool that judges.
    pub(super) settings: Option<&'static Settings>,
}

impl Kind {
    /// Whether anything in such a file can be a sign.
    pub(super) fn matters(&self) -> bool {
        self.test || self.settings.is_some() || self.family != Family::Prose
    }
}

static TEST_FOLDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:^|/)(?:tests?|__tests__|specs?|e2e|androidtest|(?:unit|integration|functional|acceptance)[-_]?tests?|[^/]+[-._]tests?)/",
    )
});
static PYTHON_TESTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:^|/)(?:test_[^/]*|[^/]*_test|tests)\.py$"));
static TEST_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:^|/)(?:test_[^/]*|[^/]*[-_.](?:test|tests|spec|cy|unittest)\.\w+|(?:Test|Tests|IT)[A-Z_][^/]*|",
        r"[^/]*[a-z0-9](?:Test|Tests|Spec|Specs|IT|TestCase)\.\w+|conftest\.py|tests\.(?:py|rs)|[^/]*\.(?:bats|feature))$"
    ))
});
/// What lies in folders of tests and is no test.
static DATA: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\.(?:json|ya?ml|toml|xml|csv|tsv|txt|md|rst|html?|png|jpe?g|gif|svg|snap|golden|sql|lock|pem|crt|key|sarif|bin|zip|gz)$",
    )
});

/// What this path says.
pub(super) fn kind(path: &str) -> Kind {
    let family = Family::of(path);
    let named = TEST_NAME.is_match(path) && !DATA.is_match(path);
    let tests = family.rules().is_some() || matches!(extension(path).as_str(), "sh" | "bash" | "bats");
    let test = named || (tests && TEST_FOLDER.is_match(path));
    let collected = match family {
        Family::Python => PYTHON_TESTS.is_match(path),
        Family::Go => path.ends_with("_test.go"),
        Family::Rust
        | Family::JavaScript
        | Family::Jvm
        | Family::Ruby
        | Family::C
        | Family::CSharp
        | Family::Script
        | Family::Other
        | Family::Prose => test,
    };
    let named = match family {
        Family::Python | Family::Go => collected,
        // Its tests are marked one by one.
        Family::Rust => false,
        Family::JavaScript
        | Family::Jvm
        | Family::Ruby
        | Family::C
        | Family::CSharp
        | Family::Script
        | Family::Other
        | Family::Prose => named || path.contains("__tests__/"),
    };
    Kind { family, test, collected, named, settings: settings::of(path) }
}

/// The last part of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What follows the last dot of a name, in lower case.
pub(super) fn extension(path: &str) -> String {
    Path::new(path).extension().and_then(|ext| ext.to_str()).unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tests/test_a.py", true, true)]
    #[case("tests/helpers.py", true, false)]
    #[case("pkg/conftest.py", true, false)]
    #[case("pkg/a_test.py", true, true)]
    #[case("src/testing.py", false, false)]
    #[case("src/contest.py", false, false)]
    #[case("src/latest.js", false, false)]
    #[case("src/a.test.tsx", true, true)]
    #[case("src/__tests__/a.js", true, true)]
    #[case("cypress/login.cy.js", true, true)]
    #[case("a/b_test.go", true, true)]
    #[case("test/b.go", true, false)]
    #[case("src/main/java/Latest.java", false, false)]
    #[case("src/test/java/x/AppTest.java", true, true)]
    #[case("app/AppIT.kt", true, true)]
    #[case("spec/a_spec.rb", true, true)]
    #[case("My.App.Tests/A.cs", true, true)]
    #[case("tests/api.rs", true, true)]
    #[case("src/lib.rs", false, false)]
    #[case("tests/data/golden.json", false, false)]
    #[case("tests/README.md", false, false)]
    #[case("tests/run.sh", true, true)]
    #[case("test/login.bats", true, true)]
    fn a_path_says_whether_it_is_a_test(#[case] path: &str, #[case] test: bool, #[case] collected: bool) {
        let kind = kind(path);
        assert_eq!((kind.test, kind.collected), (test, collected));
    }
}
