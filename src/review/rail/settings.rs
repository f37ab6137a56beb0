//! Settings of tools that judge: lines that make a tool look away, or lower what it asks for.
//!
//! Line by line, by section, key and indentation, which is what TOML, INI, YAML and JSON have in common.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::{path::name, rules::pattern};

/// What a file of settings looks like.
pub(super) struct Settings {
    files: Regex,
    /// Every line is something that is looked away from.
    list: bool,
    /// Sections that matter; all unless set.
    sections: Option<Regex>,
    /// Keys under which a tool is told to look away.
    keys: Regex,
    /// Lines that do so whatever their key is.
    lines: Regex,
}

/// Options of pytest that leave tests out.
const PYTEST: &str = r"--deselect\b|--ignore(?:-glob)?(?:[=\s]|$)|--no-cov\b|\baddopts\b.*[\s\x22'=]-[km][\s\x22',=]";

static ALL: LazyLock<Vec<Settings>> = LazyLock::new(|| {
    let keys = || {
        pattern(concat!(
            r"(?i)^(?:(?:extend|per-file|report|force|force-|global|lint)[-_.])*(?:ignor(?:e|es|ed)(?:[-_](?:errors|missing[-_]imports|names|paths|patterns|rules|glob|decorators|init-module-imports))?|",
            r"per[-_]file[-_]ignores|excluded?|excludes|exclude[-_]?(?:lines|also|files|dirs|paths|rules|functions|use-default)|omit|disabled?|disable[-_](?:error[-_]code|all)|skips?|skipped|skip[-_](?:dirs|files|paths|covered|checks|check)|",
            r"allow(?:list|ed)?|nosec|suppress(?:ions?)?|ignorepatterns|skippedtests|whitelist|norecursedirs|passwithnotests|",
            r"testpathignorepatterns|coveragepathignorepatterns|modulepathignorepatterns|sonar\.(?:\w+\.)*(?:exclusions|multicriteria\S*))$"
        ))
    };
    let never = || pattern(r"[^\s\S]");
    let plain =
        |files: &str| Settings { files: pattern(files), list: false, sections: None, keys: keys(), lines: never() };
    vec![
        Settings {
            list: true,
            ..plain(
                r"^\.(?:eslint|semgrep|gitleaks|trivy|bandit|stylelint|htmlhint|checkov|snyk|nuclei|osv-scanner)ignore$|^\.secrets\.baseline$",
            )
        },
        Settings {
            sections: Some(pattern(
                r"^tool\.(?:ruff|flake8|pylint|bandit|mypy|pyright|basedpyright|coverage|pytest|pycodestyle|pydocstyle|vulture|pyre|pylama|semgrep|interrogate)\b",
            )),
            lines: pattern(PYTEST),
            ..plain(r"^pyproject\.toml$")
        },
        Settings {
            sections: Some(pattern(
                r"^(?:flake8|pycodestyle|pydocstyle|pylint|mypy|coverage|tool:pytest|pytest|bandit|pylama|isort)\b",
            )),
            lines: pattern(PYTEST),
            ..plain(r"^(?:setup\.cfg|tox\.ini)$")
        },
        Settings {
            keys: never(),
            lines: pattern(r#"=\s*"allow"|level\s*=\s*"allow"|^\s*(?:autotests|test)\s*=\s*false"#),
            ..plain(r"^Cargo\.toml$")
        },
        Settings {
            keys: pattern(
                r"(?i)^(?:testpathignorepatterns|coveragepathignorepatterns|modulepathignorepatterns|passwithnotests)$",
            ),
            lines: pattern(r#"--?passWithNoTests|--pass-with-no-tests|\|\|\s*(?:true|exit 0)\b|:\s*"off""#),
            ..plain(r"^package\.json$")
        },
        Settings { keys: pattern(r"^default-filter$"), ..plain(r"^nextest\.toml$") },
        // What is allowed there is a list of licenses.
        Settings { keys: pattern(r"^(?:ignore|skip|skip-tree)$"), ..plain(r"^(?:deny|audit)\.toml$") },
        // `-checks` leaves checks out.
        Settings { lines: pattern(r"^\s*-[\w.*,-]+"), ..plain(r"^\.clang-tidy$") },
        Settings {
            lines: pattern(&format!(
                r#"{PYTEST}|:\s*\[?\s*(?:"off"|'off'|off\b|0\b)|passWithNoTests\s*:\s*true|Enabled\s*:\s*false\b"#
            )),
            ..plain(concat!(
                r"^(?:\.?ruff\.toml|\.flake8|\.bandit|bandit\.ya?ml|\.?pylintrc(?:\.toml)?|\.?mypy\.ini|\.coveragerc|\.?pytest\.ini|\.pydocstyle|\.eslintrc(?:\.\w+)?|eslint\.config\.\w+|",
                r"biome\.jsonc?|\.golangci\.\w+|\.?clippy\.toml|\.hadolint\.ya?ml|\.gitleaks\.toml|gitleaks\.toml|\.rubocop\.yml|\.nycrc(?:\.\w+)?|\.c8rc(?:\.\w+)?|",
                r"jest\.config\.\w+|vitest\.config\.\w+|sonar-project\.properties|\.?codecov\.ya?ml|\.yamllint(?:\.ya?ml)?|\.shellcheckrc|pyrightconfig\.json|\.stylelintrc(?:\.\w+)?|\.trivy\.ya?ml|trivy\.ya?ml|",
                r"\.checkov\.ya?ml|tarpaulin\.toml|\.pre-commit-config\.yaml|simplecov|phpunit\.xml)$"
            ))
        },
    ]
});

static SECTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*\[+\s*(?P<name>[^\]]+?)\s*\]+\s*$"));
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^\s*(?:-\s+)?["']?(?P<name>[\w.$*/@<>\[\]{},-]+?(?::[\w/]+)?)["']?\s*(?:=|:(?:\s|$))"#)
});
static BAR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:fail[-_]under|cov-fail-under|minimum[-_]?coverage|branches|functions|lines|statements|target)\W{1,4}(?P<value>\d+(?:\.\d+)?)",
    )
});
static BAR_KEY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)fail[-_]under|coverageThreshold|thresholds?\b|minimum[-_]?coverage"));
/// What of a line takes nothing away.
const HARMLESS: [&str; 9] = ["false", "error", "warn", "warning", "deny", "forbid", "null", "none", "no"];

/// The settings that a file of this path has.
pub(super) fn of(path: &str) -> Option<&'static Settings> {
    ALL.iter().find(|settings| settings.files.is_match(name(path)))
}

/// What a line of settings comes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Setting {
    /// What a tool is told to look away from.
    pub(super) away: Vec<String>,
    /// What a tool is asked for.
    pub(super) asked: Vec<String>,
    /// What must be reached, in thousandths.
    pub(super) bar: Option<u64>,
    /// It is about which tests run.
    pub(super) tests: bool,
}

/// Reads one side of a file of settings.
pub(super) struct Reader {
    settings: &'static Settings,
    in_section: bool,
    all_of_section: bool,
    bars: bool,
    /// Keys that are open: their indentation, and whether they tell a tool to look away.
    open: Vec<(usize, Tells)>,
}

/// What a key tells a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tells {
    #[default]
    Nothing,
    Away,
    Asked,
}

static ASKS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:(?:extend|lint)[-_.])?(?:select|enable|testpaths|python_(?:files|classes|functions)|testmatch|testregex|files-to-test)$",
    )
});
static TESTS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)--deselect|--ignore(?:-glob)?(?:[=\s]|$)|(?:^|[\s\x22'=])-[km](?:[\s\x22',=]|$)|passwithnotests|pass-with-no-tests|testpath|norecursedirs|modulepathignore|\btestmatch|\btestregex|python_(?:files|classes|functions)|autotests|default-filter|^\s*test\s*=\s*false",
    )
});

impl Reader {
    pub(super) fn new(settings: &'static Settings) -> Self {
        let in_section = settings.sections.is_none();
        Self { settings, in_section, all_of_section: false, bars: false, open: Vec::new() }
    }

    /// The next line.
    pub(super) fn line(&mut self, raw: &str) -> Setting {
        let bare = without_comment(raw);
        if bare.trim().is_empty() {
            return Setting::default();
        }
        if self.settings.list {
            return Setting { away: vec![bare.trim().to_owned()], ..Setting::default() };
        }
        if let Some(section) = SECTION.captures(bare).filter(|_| !bare.contains('"') || !bare.contains(',')) {
            self.enter(section.name("name").map_or("", |name| name.as_str()));
            return Setting::default();
        }
        let tells = self.tells(bare);
        let words = |when: Tells| match subjects(bare) {
            _ if tells != when => Vec::new(),
            // `autotests = false` names nothing but itself.
            none if none.is_empty() && self.settings.lines.is_match(bare) => vec![bare.trim().to_owned()],
            words => words,
        };
        Setting {
            away: words(Tells::Away),
            asked: words(Tells::Asked),
            bar: self.bar(bare),
            tests: TESTS.is_match(bare),
        }
    }

    fn enter(&mut self, section: &str) {
        self.open.clear();
        self.in_section = self.settings.sections.as_ref().is_none_or(|sections| sections.is_match(section));
        self.all_of_section = self.in_section && section.ends_with("per-file-ignores");
        self.bars = false;
    }

    fn tells(&mut self, bare: &str) -> Tells {
        let indent = bare.len() - bare.trim_start().len();
        if let Some(found) = KEY.captures(bare) {
            while self.open.last().is_some_and(|(open, _)| indent <= *open) {
                self.open.pop();
            }
            let key = found.name("name").map_or("", |key| key.as_str());
            let tells = if self.settings.keys.is_match(key) {
                Tells::Away
            } else if ASKS.is_match(key) {
                Tells::Asked
            } else {
                self.open.last().map_or(Tells::Nothing, |(_, tells)| *tells)
            };
            self.open.push((indent, tells));
        } else {
            // A list may stand as far left as its key.
            while self.open.len() > 1 && self.open.last().is_some_and(|(open, _)| indent < *open) {
                self.open.pop();
            }
        }
        if !self.in_section {
            Tells::Nothing
        } else if self.all_of_section || self.settings.lines.is_match(bare) {
            Tells::Away
        } else {
            self.open.last().map_or(Tells::Nothing, |(_, tells)| *tells)
        }
    }

    /// What must be reached, by this line.
    fn bar(&mut self, bare: &str) -> Option<u64> {
        self.bars |= BAR_KEY.is_match(bare);
        let value = BAR.captures(bare).filter(|_| self.bars)?.name("value")?.as_str();
        let (whole, part) = value.split_once('.').unwrap_or((value, ""));
        let part: String = part.chars().chain("000".chars()).take(3).collect();
        Some(whole.parse::<u64>().ok()?.saturating_mul(1000).saturating_add(part.parse().ok()?))
    }
}

/// Comments of all these formats.
fn without_comment(raw: &str) -> &str {
    let trimmed = raw.trim_start();
    if trimmed.starts_with(['#', ';']) || trimmed.starts_with("//") {
        return "";
    }
    let cut = [" #", " ;", " //"].iter().filter_map(|mark| raw.find(mark)).min();
    cut.map_or(raw, |cut| &raw[..cut])
}

/// What a line names, beside its key.
fn subjects(bare: &str) -> Vec<String> {
    let value = KEY.find(bare).map_or(bare, |key| &bare[key.end()..]);
    let quoted_key = KEY.captures(bare).and_then(|key| key.name("name")).map_or("", |key| key.as_str());
    let split = |c: char| c.is_whitespace() || "\"'[](){},=".contains(c);
    let words: BTreeSet<&str> = value.split(split).filter(|word| word.chars().any(char::is_alphanumeric)).collect();
    let told = words.into_iter().filter(|word| !HARMLESS.contains(&word.to_ascii_lowercase().as_str()));
    // "no-eval": "off" speaks of no-eval.
    let switch = |word: &str| matches!(word.to_ascii_lowercase().as_str(), "off" | "0" | "allow" | "true" | "yes");
    told.map(|word| if switch(word) { format!("{quoted_key}={word}") } else { word.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn away(path: &str, text: &str) -> Vec<String> {
        let mut reader = Reader::new(of(path).expect("settings"));
        text.lines().flat_map(|line| reader.line(line).away).collect()
    }

    #[rstest]
    #[case("pyproject.toml", "[tool.ruff.lint]\nignore = [\"E501\", 'S602']", &["E501", "S602"])]
    #[case("pyproject.toml", "[tool.ruff.lint]\nignore = [\n  \"E501\",  # long\n]\nselect = [\"A\"]", &["E501"])]
    #[case("pyproject.toml", "[tool.ruff.lint.per-file-ignores]\n\"tests/*\" = [\"S101\"]", &["S101"])]
    #[case("pyproject.toml", "[tool.coverage.run]\nomit = [\"a.py\"]", &["a.py"])]
    #[case("pyproject.toml", "[tool.setuptools.packages.find]\nexclude = [\"a\"]", &[])]
    #[case("pyproject.toml", "[[tool.mypy.overrides]]\nmodule = \"x\"\nignore_errors = true", &["ignore_errors=true"])]
    #[case("pyproject.toml", "[tool.pytest.ini_options]\naddopts = \"--deselect tests/a.py\"", &["--deselect", "tests/a.py"])]
    #[case("setup.cfg", "[flake8]\nignore =\n    E501,\n    W503\nmax-line-length = 88", &["E501", "W503"])]
    #[case("setup.cfg", "[flake8]\nper-file-ignores =\n    a.py: S101\n", &["S101"])]
    #[case("setup.cfg", "[metadata]\nname = x", &[])]
    #[case(".flake8", "[flake8]\nextend-ignore = E203", &["E203"])]
    #[case(".coveragerc", "[report]\nexclude_lines =\n    raise\n", &["raise"])]
    #[case(".bandit", "skips: [B602]", &["B602"])]
    #[case(".hadolint.yaml", "ignored:\n- DL3008\ntrustedRegistries:\n- docker.io", &["DL3008"])]
    #[case(".golangci.yml", "linters:\n  enable:\n    - errcheck\n  disable:\n    - gosec\n", &["gosec"])]
    #[case(".eslintrc.json", "{\n  \"rules\": {\n    \"no-eval\": \"off\",\n    \"semi\": \"error\"\n  }\n}", &["no-eval=off"])]
    #[case("Cargo.toml", "[lints.clippy]\nunwrap_used = \"allow\"\npanic = \"deny\"", &["unwrap_used=allow"])]
    #[case("Cargo.toml", "[package]\nexclude = [\"x\"]", &[])]
    #[case("deny.toml", "[licenses]\nallow = [\"MIT\"]\n[advisories]\nignore = [\"RUSTSEC-2020-0001\"]", &["RUSTSEC-2020-0001"])]
    #[case(".config/nextest.toml", "[profile.default]\ndefault-filter = 'not test(refund)'", &["not", "test", "refund"])]
    #[case("pytest.ini", "[pytest]\naddopts = -k 'not slow'", &["-k", "not", "slow"])]
    #[case(".eslintignore", "# all\nsrc/legacy\n", &["src/legacy"])]
    #[case("package.json", "{\n  \"scripts\": {\n    \"test\": \"jest || true\"\n  }\n}", &["jest", "test=true", "||"])]
    fn settings_say_what_they_look_away_from(#[case] path: &str, #[case] text: &str, #[case] want: &[&str]) {
        let found: BTreeSet<String> = away(path, text).into_iter().filter(|word| word != "||").collect();
        let want: BTreeSet<String> = want.iter().map(|word| (*word).to_owned()).filter(|word| word != "||").collect();
        assert_eq!(found, want);
    }

    #[test]
    fn bars_are_numbers_behind_their_keys() {
        let bar = |path: &str, line: &str| Reader::new(of(path).expect("settings")).line(line).bar;
        assert_eq!(bar(".coveragerc", "fail_under = 87.5"), Some(87_500));
        assert_eq!(bar("pyproject.toml", "addopts = \"--cov-fail-under=90\""), Some(90_000));
        assert_eq!(bar(".coveragerc", "precision = 2"), None);
    }
}
