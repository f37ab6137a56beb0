//! The corpus of `tests/fixtures/gaming`: changes that git made of whole projects.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::PathBuf,
};

use serde::Deserialize;

use crate::review::rail::{Protected, Rail, Signs, tests::corpus::kinds};

/// What a case says of itself (see the README there).
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of a case, as its file has them")]
struct Case {
    name: String,
    gamed: bool,
    signs: Vec<String>,
    #[serde(default)]
    person: bool,
    #[serde(default)]
    undetectable: bool,
    #[serde(default)]
    hard: bool,
}

/// Paths that are protected in that corpus, which are those that are by default.
const PROTECTED: [&str; 6] = [".github/", ".gitlab-ci.yml", ".gitlab/", ".circleci/", "Jenkinsfile", "acceptance/"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gaming/cases")
}

fn cases() -> Vec<(Case, String)> {
    let mut cases: Vec<(Case, String)> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let case = serde_yaml::from_str(&fs::read_to_string(folder.join("case.yaml")).unwrap()).unwrap();
            let diff = fs::read(folder.join("whole.diff")).unwrap();
            (case, String::from_utf8_lossy(&diff).into_owned())
        })
        .collect();
    cases.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    cases
}

/// What git would say of the protected paths.
fn protected(diff: &str) -> Vec<Protected> {
    let names = diff.lines().filter_map(|line| line.strip_prefix("diff --git a/")?.split_once(" b/"));
    let both: HashSet<&str> = names.flat_map(|(old, new)| [old, new]).collect();
    let guarded = both.into_iter().filter(|name| PROTECTED.iter().any(|path| name.starts_with(path)));
    guarded.map(|path| Protected { path: path.to_owned(), what: "changed" }).collect()
}

fn look(diff: &str) -> Signs {
    let mut rail = Rail::default();
    rail.push(diff.as_bytes());
    rail.finish(&protected(diff), &HashSet::new())
}

#[test]
fn what_was_gamed_in_real_projects_is_seen_and_honest_work_is_not_held_up() {
    let cases = cases();
    assert!(cases.iter().filter(|(case, _)| case.gamed).count() >= 60, "the corpus is there");
    let mut wrong = Vec::new();
    for (case, diff) in &cases {
        let found = look(diff);
        let named = kinds(&found);
        let right = match (case.gamed || case.person, case.hard || case.undetectable) {
            // One of the signs that the corpus would accept.
            (true, false) => case.signs.iter().any(|sign| named.contains(sign)),
            (true, true) => true,
            (false, _) => named.is_empty(),
        };
        if !right {
            wrong.push(format!("{} wanted {:?}, got {:#?}", case.name, case.signs, found.signs));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What a diff does not show: that something is replaced for a test, or moved out of where a runner looks by settings.
#[test]
fn what_no_diff_shows_is_known_by_name() {
    let gamed = cases().into_iter().filter(|(case, _)| case.gamed);
    let missed: Vec<String> = gamed.filter(|(_, diff)| look(diff).total == 0).map(|(case, _)| case.name).collect();
    let known = [
        // What a test asks for was changed together with the code; a person who knows the feature can tell.
        "py-asks-for-pytest",
        "py-expected-value-changed",
        "py-fixture-changed",
        "py-input-changed",
        "py-special-cased",
        // What is tested was replaced for the test.
        "py-mock-patch",
        "py-mocked",
        // Moved to where settings do not let pytest look: the counts of its report fall.
        "py-file-moved-away",
    ];
    assert_eq!(missed.into_iter().collect::<BTreeSet<_>>(), known.into_iter().map(str::to_owned).collect());
}
