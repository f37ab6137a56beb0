//! New against base, with the real git service: what a run on the base kept, and what a phase changed.

use serde_json::json;

use super::Pod;
use crate::{
    api::{
        agent_task::{EvidenceRef, Role, TaskBase},
        evidence::{LineCounts, ReportFacts, ReportState, SeverityCounts},
    },
    runner::world::{World, git},
};

const LOGS: &str = "refs/phasegate/logs/base-uid/3";

/// A phase that changed files (none: removed), with what the run on the base kept.
struct Changed<'a> {
    base: &'a [(&'a str, &'a str)],
    head: &'a [(&'a str, Option<&'a str>)],
    protected: &'a [&'a str],
    kept: &'a [(&'a str, String)],
    /// Whether the git service lets the task read what was kept.
    granted: bool,
}

impl Changed<'_> {
    async fn world(&self) -> World {
        let world = World::new(Role::Check).await;
        let seed = world.dir().join("seed");
        let bare = world.bare().to_str().unwrap().to_owned();
        let commit = |name: &str| {
            git(&seed, &["add", "-A"]);
            git(&seed, &["commit", "-q", "--allow-empty", "-m", name]);
            git(&seed, &["push", "-q", "-f", &bare, &format!("HEAD:refs/heads/{name}")]);
            git(&seed, &["rev-parse", "HEAD"]).trim().to_owned()
        };
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(seed.join(path).parent().unwrap()).unwrap();
            std::fs::write(seed.join(path), text).unwrap();
        };
        self.base.iter().for_each(|(path, text)| write(path, text));
        let start = commit("main");
        for (path, text) in self.head {
            match text {
                Some(text) => write(path, text),
                None => std::fs::remove_file(seed.join(path)).unwrap(),
            }
        }
        let head = commit("release/phase-1-v1.0.0");
        self.keep(&world);
        let mut assignment = world.assignment();
        assignment.commit = Some(head);
        let evidence = EvidenceRef { task: "alicia-1-base-lint".to_owned(), uid: "base-uid".to_owned(), run: 3 };
        let protected_paths = self.protected.iter().map(|path| (*path).to_owned()).collect();
        assignment.base = Some(TaskBase { commit: start, evidence: Some(evidence), protected_paths });
        assignment.check.as_mut().unwrap().reports = serde_json::from_value(json!([
            {"path": "reports/lint.sarif", "format": "SARIF"},
            {"path": "reports/cov.lcov", "format": "LCOV"},
            {"path": "reports/junit.xml", "format": "JUnit"},
        ]))
        .unwrap();
        *world.operator.assignment.lock().unwrap() = Some(assignment);
        world.facts.lock().unwrap().base_run = Some(("base-uid".to_owned(), 3)).filter(|_| self.granted);
        world
    }

    /// As the companion of the base's run left it.
    fn keep(&self, world: &World) {
        let kept = world.dir().join("kept");
        std::fs::create_dir_all(kept.join("reports")).unwrap();
        git(&kept, &["init", "-q"]);
        std::fs::write(kept.join("output.log"), "linted\n").unwrap();
        for (name, text) in self.kept {
            std::fs::write(kept.join("reports").join(name), text).unwrap();
        }
        git(&kept, &["add", "-A"]);
        git(&kept, &["commit", "-qm", "kept"]);
        git(&kept, &["push", "-q", world.bare().to_str().unwrap(), &format!("HEAD:{LOGS}")]);
    }
}

/// The facts of a check that wrote these reports.
async fn facts(world: World, reports: &[(&str, String)]) -> Vec<ReportFacts> {
    let pod = Pod::of(world).await;
    for (path, text) in reports {
        pod.world.write(path, text);
    }
    pod.world.ended(0, "");
    pod.end().await.operator.delivery().reports
}

fn sarif(places: &[(&str, u32)]) -> String {
    let result = |(path, line): &(&str, u32)| {
        json!({"ruleId": "R1", "level": "error", "message": {"text": "bad"}, "locations": [{"physicalLocation":
            {"artifactLocation": {"uri": path}, "region": {"startLine": line}}}]})
    };
    json!({"runs": [{"results": places.iter().map(result).collect::<Vec<_>>()}]}).to_string()
}

fn lcov(file: &str, lines: &[(u32, u32)]) -> String {
    let lines = lines.iter().map(|(line, hits)| format!("DA:{line},{hits}\n"));
    format!("SF:{file}\n{}end_of_record\n", lines.collect::<String>())
}

fn junit(tests: usize) -> String {
    format!(
        "<testsuite>{}</testsuite>",
        (0..tests).map(|n| format!("<testcase name='{n}'/>")).collect::<Vec<_>>().concat()
    )
}

const OLD: &str = "import os\n\ndef greet(name):\n    os.system('say ' + name)\n    return name\n\ndef bye():\n    pass\n\
    # Lines that stay, so that the file is the same one.\nONE = 'a line of some length'\nTWO = 'another line of some length'\n\
    THREE = 'a third line, longer than the others'\n";
const NEW: &str = "import os\n\nTIMES = 2\n\ndef greet(name):\n    for _ in range(TIMES):\n        os.system('say ' + name)\n    \
    return name\n\ndef bye():\n    pass\n\ndef shout(name):\n    os.system('shout ' + name)\n\
    # Lines that stay, so that the file is the same one.\nONE = 'a line of some length'\nTWO = 'another line of some length'\n\
    THREE = 'a third line, longer than the others'\n";

fn a_renamed_file<'a>(kept: &'a [(&'a str, String)], granted: bool) -> Changed<'a> {
    Changed {
        base: &[("src/old.py", OLD)],
        head: &[("src/old.py", None), ("src/new.py", Some(NEW))],
        protected: &[],
        kept,
        granted,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_base_has_is_known_and_what_the_phase_changed_is_judged() {
    let kept = [
        ("0-reports-lint.sarif", sarif(&[("src/old.py", 4)])),
        ("1-reports-cov.lcov", lcov("src/old.py", &[(1, 1), (4, 0), (5, 1)])),
        ("2-reports-junit.xml", junit(5)),
    ];
    let world = a_renamed_file(&kept, true).world().await;
    let base = world.assignment().base.unwrap().commit;
    let reports = [
        ("reports/lint.sarif", sarif(&[("src/new.py", 7), ("src/new.py", 14)])),
        ("reports/cov.lcov", lcov("src/new.py", &[(1, 1), (3, 1), (6, 1), (7, 0), (8, 1), (11, 0), (14, 0)])),
        ("reports/junit.xml", junit(4)),
    ];
    let facts = facts(world, &reports).await;
    let lint = &facts[0];
    assert_eq!(lint.message, "");
    assert_eq!(lint.counts, Some(SeverityCounts { major: 1, ..SeverityCounts::default() }));
    let listed: Vec<(i32, bool)> = lint.findings.iter().map(|finding| (finding.line, finding.known)).collect();
    assert_eq!(listed, [(14, false), (7, true)], "renamed, moved and indented, it is the same finding");
    let known = lint.base.clone().unwrap();
    assert_eq!((known.commit, known.task.as_str()), (base, "alicia-1-base-lint"));
    assert_eq!(known.known, Some(SeverityCounts { major: 1, ..SeverityCounts::default() }));
    // Of the lines that can be covered 3, 6, 7 and 14 are new or changed.
    let coverage = facts[1].coverage.unwrap();
    assert_eq!(coverage.changed, Some(LineCounts { covered: 2, total: 4 }));
    assert_eq!(facts[1].base.clone().unwrap().coverage, Some(LineCounts { covered: 2, total: 3 }));
    let tests = (facts[2].tests.unwrap().passed, facts[2].base.clone().unwrap().tests.unwrap().passed);
    assert_eq!(tests, (4, 5), "fewer tests can be told");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_what_the_base_has_all_counts_as_new_and_says_why() {
    for (granted, kept) in [(false, vec![("0-reports-lint.sarif", sarif(&[("src/old.py", 4)]))]), (true, vec![])] {
        let world = a_renamed_file(&kept, granted).world().await;
        let reports = [
            ("reports/lint.sarif", sarif(&[("src/new.py", 7)])),
            ("reports/cov.lcov", lcov("src/new.py", &[(7, 1), (8, 1)])),
        ];
        let facts = facts(world, &reports).await;
        assert_eq!((facts[0].counts.unwrap().major, &facts[0].base, facts[0].findings[0].known), (1, &None, false));
        assert!(
            facts[0].message.starts_with("not compared with the base: task alicia-1-base-lint wrote no such"),
            "{:?}",
            facts[0].message
        );
        assert_eq!(
            facts[1].coverage.unwrap().changed,
            Some(LineCounts { covered: 1, total: 1 }),
            "what changed is known all the same"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_the_base_that_says_nothing_is_no_report_of_it() {
    let kept = [("0-reports-lint.sarif", "broken".to_owned())];
    let facts = facts(a_renamed_file(&kept, true).world().await, &[("reports/lint.sarif", sarif(&[]))]).await;
    assert_eq!((facts[0].state, &facts[0].base), (ReportState::Read, &None));
    assert!(facts[0].message.contains("says nothing: not SARIF"), "{:?}", facts[0].message);
    assert_eq!(facts[1].state, ReportState::Missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_runs_with_the_protected_files_of_the_base_and_they_are_no_change() {
    let changed = Changed {
        base: &[("gate/check.py", "one\ntwo\n"), ("src/a.py", "one\n")],
        head: &[("gate/check.py", Some("one\nchanged\nmore\n")), ("src/a.py", Some("one\ntwo\n"))],
        protected: &["gate/"],
        kept: &[],
        granted: false,
    };
    let world = changed.world().await;
    let both = [lcov("gate/check.py", &[(1, 1), (2, 0), (3, 0)]), lcov("src/a.py", &[(1, 1), (2, 1)])].concat();
    let pod = Pod::of(world).await;
    let restored = std::fs::read_to_string(pod.world.places.workspace.join("gate/check.py")).unwrap();
    assert_eq!(restored, "one\ntwo\n");
    pod.world.write("reports/cov.lcov", &both);
    pod.world.ended(0, "");
    let facts = pod.end().await.operator.delivery().reports;
    assert_eq!(facts[1].coverage.unwrap().changed, Some(LineCounts { covered: 1, total: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nothing_measures_is_not_covered() {
    let changed = Changed {
        base: &[("src/a.py", "one\n")],
        head: &[
            ("src/new.py", Some("import os\n\n# what for\nos.getcwd()\n")),
            ("tests/test_new.py", Some("import os\n")),
            ("docs/new.md", Some("word\n")),
        ],
        protected: &[],
        kept: &[],
        granted: false,
    };
    let facts = facts(changed.world().await, &[("reports/cov.lcov", lcov("src/a.py", &[(1, 1)]))]).await;
    assert_eq!(facts[1].coverage.unwrap().changed, Some(LineCounts { covered: 0, total: 2 }));
}

/// Names that are special to git, to shells or to diffs; and a link, whose text is not that of its target.
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_names() {
    let names = ["src/a b.py", "src/ä.py", "src/\"q\".py", "src/-x.py", "src/:(top).py", "src/back\ttab.py"];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "one\nbad\n")).collect();
    let head: Vec<(&str, Option<&str>)> = names.iter().map(|name| (*name, Some("zero\none\nbad\n"))).collect();
    let places = |line: u32| names.map(|name| (name, line));
    let kept = [("0-reports-lint.sarif", sarif(&places(2)))];
    let changed = Changed { base: &files, head: &head, protected: &[], kept: &kept, granted: true };
    let covered = names.iter().map(|name| lcov(name, &[(1, 1), (2, 0), (3, 0)])).collect::<String>();
    let reports = [("reports/lint.sarif", sarif(&places(3))), ("reports/cov.lcov", covered)];
    let facts = facts(changed.world().await, &reports).await;
    // A name with a tab in it is no place of a finding, since reports must not move cursors; known it is all the same.
    // Nor is it one of a measured file, so that its line counts as not covered.
    assert_eq!(facts[0].base.clone().unwrap().known.unwrap().major, 6, "{:?}", facts[0].findings);
    assert_eq!(facts[0].counts, Some(SeverityCounts::default()));
    assert_eq!(facts[1].coverage.unwrap().changed, Some(LineCounts { covered: 5, total: 6 }));
}
