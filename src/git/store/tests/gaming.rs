//! Signs of gaming in real diffs of real commits.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use rstest::rstest;

use super::support::*;
use crate::{
    api::evidence::GamingSignType,
    git::{names::CommitId, ops::*, store::StoreError},
    review::rail::tests::corpus::{Case, Change, clean, gamed},
};

const GAMED_TEST: &str = "@pytest.mark.skip\ndef test_a():\n    assert f() == 1\n";
const TEST: &str = "def test_a():\n    assert f() == 1\n";

fn asked(from: &CommitId, to: &CommitId, protected: &[&str]) -> GamingSigns {
    let protected_paths = protected.iter().map(|&path| path.to_owned()).collect();
    GamingSigns { from: from.clone().into(), to: to.clone().into(), protected_paths, accepted: Vec::new() }
}

fn kinds(answer: &GamingSignsAnswer) -> Vec<String> {
    let mut kinds: Vec<String> = answer.signs.iter().map(|sign| format!("{:?}", sign.kind)).collect();
    kinds.sort();
    kinds
}

fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A commit for `git fast-import` with these files and no others.
fn import(stream: &mut String, branch: &str, files: &[(&str, String)]) {
    let _ = write!(
        stream,
        "commit refs/heads/{branch}\ncommitter t <t@example.org> 1700000000 +0000\ndata 1\nx\ndeleteall\n"
    );
    for (path, content) in files {
        let _ = write!(stream, "M 100644 inline {}\ndata {}\n{content}\n", quoted(path), content.len());
    }
}

fn fast_import(world: &World, stream: &str) {
    let mut git = Command::new("git")
        .args(["fast-import", "--quiet"])
        .env("GIT_DIR", world.store.repo(&world.id).dir())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    git.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(git.wait().unwrap().success());
}

fn side<'a>(case: &'a Case, path: fn(&'a Change) -> Option<&'a str>, without: char) -> Vec<(&'a str, String)> {
    case.files.iter().filter_map(|change| Some((path(change)?, change.content(without)))).collect()
}

/// Both sides of every case as commits, made by one process: the branches `{name}-{n}-old` and `-new`.
fn commits(world: &World, name: &str, cases: &[Case]) {
    let mut stream = String::new();
    for (index, case) in cases.iter().enumerate() {
        import(&mut stream, &format!("{name}-{index}-old"), &side(case, |change| change.old, '+'));
        import(&mut stream, &format!("{name}-{index}-new"), &side(case, |change| change.new, '-'));
    }
    fast_import(world, &stream);
}

/// The corpus of the rail, as git itself shows its changes.
#[tokio::test]
async fn what_is_gamed_is_seen_in_gits_own_diffs_and_what_is_not_is_not() {
    let world = World::new().await;
    let (gamed, clean) = (gamed(), clean());
    commits(&world, "gamed", &gamed);
    commits(&world, "clean", &clean);
    let mut wrong = Vec::new();
    let all = gamed.iter().enumerate().map(|case| ("gamed", case));
    for (name, (index, case)) in all.chain(clean.iter().enumerate().map(|case| ("clean", case))) {
        let rev = |side: &str| branch(&format!("{name}-{index}-{side}")).into();
        let operation =
            GamingSigns { from: rev("old"), to: rev("new"), protected_paths: Vec::new(), accepted: Vec::new() };
        let answer = world.call(operation).await;
        if kinds(&answer) != case.signs {
            wrong.push(format!("{}\n  wanted {:?}\n  got {:#?}", case.title, case.signs, answer.signs));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[rstest]
#[case::a_folder(&[".github/"], &[".github/ci.yml"])]
#[case::a_file(&["Jenkinsfile"], &["Jenkinsfile"])]
#[case::a_pattern(&["*.yml"], &[".github/ci.yml"])]
#[case::anywhere(&[":(glob)**/ci.yml"], &[".github/ci.yml"])]
#[case::all_but(&[".", ":(exclude)src"], &[".github/ci.yml", "Jenkinsfile"])]
#[case::in_any_case(&[":(icase)JENKINSFILE"], &["Jenkinsfile"])]
#[case::nothing_of_it(&["acceptance/"], &[])]
#[case::nothing_protected(&[], &[])]
#[tokio::test]
async fn a_protected_path_that_differs_is_a_sign(#[case] protected: &[&str], #[case] want: &[&str]) {
    let world = World::new().await;
    let base = world.commit(&world.head(&branch("main")), "x", &[("Jenkinsfile", Some("test"))]);
    let files = [(".github/ci.yml", Some("a: b")), ("Jenkinsfile", None), ("src/a.py", Some("x = 1"))];
    let to = world.commit(&base, "y", &files);
    let answer = world.call(asked(&base, &to, protected)).await;
    let paths: Vec<&str> = answer.signs.iter().map(|sign| sign.path.as_str()).collect();
    assert_eq!(paths, want);
    assert!(answer.signs.iter().all(|sign| sign.kind == GamingSignType::ProtectedPathChanged), "{answer:?}");
    let said = answer.signs.iter().find(|sign| sign.path == "Jenkinsfile").map(|sign| sign.message.as_str());
    assert!(said.is_none_or(|said| said.contains("was removed")), "{said:?}");
}

#[rstest]
#[case::no_such_magic(":(nothere)x")]
#[case::not_closed(":(glob")]
#[case::from_the_root("/ci")]
#[case::outside("../ci")]
#[case::attributes(":(attr:x)y")]
#[tokio::test]
async fn a_pathspec_that_git_does_not_know_is_refused_in_its_words(#[case] pathspec: &str) {
    let world = World::new().await;
    let main = world.head(&branch("main"));
    let to = world.commit(&main, "x", &[("a", Some("1"))]);
    let error = world.fail(asked(&main, &to, &[pathspec])).await;
    assert!(matches!(error, StoreError::Invalid { field: "protectedPaths", .. }), "{error}");
    let words = error.to_string();
    assert!(
        words.contains(pathspec.trim_start_matches(":(glob"))
            && words.contains("mend spec.protectedPaths of the Repository"),
        "{words}"
    );
}

#[rstest]
#[case::blanks("tests/test_a b.py")]
#[case::quotes("tests/test_\"a\".py")]
#[case::not_ascii("tests/test_ü.py")]
#[case::a_backslash("tests/test_\\a.py")]
#[case::a_tabulator("tests/test_\ta.py")]
#[case::a_line_end("tests/test_\na.py")]
#[case::like_a_side("tests/a b/test_a.py")]
#[case::like_an_option("--help/test_a.py")]
#[case::like_a_head("tests/+++ b/test_a.py")]
#[case::a_terminal("tests/test_\u{1b}[2J.py")]
#[tokio::test]
async fn a_name_hides_nothing(#[case] path: &str) {
    let world = World::new().await;
    let (old, new) = (vec![(path, TEST.to_owned())], vec![(path, GAMED_TEST.to_owned())]);
    let mut stream = String::new();
    import(&mut stream, "old", &old);
    import(&mut stream, "new", &new);
    fast_import(&world, &stream);
    let (from, to) = (world.head(&branch("old")), world.head(&branch("new")));
    let answer = world.call(asked(&from, &to, &["tests/", "--help/"])).await;
    assert_eq!(kinds(&answer), ["ProtectedPathChanged", "TestSkipped"]);
    for sign in &answer.signs {
        let shown: String = path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        assert_eq!(sign.path, shown);
    }
    // And a file that is gone.
    let gone = world.commit(&from, "x", &[("other.py", Some("x = 1\n"))]);
    let tree = world.git(&["rev-parse", &format!("{}^{{tree}}", world.head(&branch("main")))]);
    let empty = CommitId::new(world.git(&["commit-tree", &tree, "-p", gone.as_str(), "-m", "x"])).unwrap();
    assert_eq!(kinds(&world.call(asked(&from, &empty, &[])).await), ["FewerTests"]);
}

/// What a work tree says of its files is not believed.
#[tokio::test]
async fn attributes_of_the_repository_hide_nothing() {
    let world = World::new().await;
    let attributes = Some("*.py binary -diff -text diff=none\n");
    let base = world.commit(
        &world.head(&branch("main")),
        "x",
        &[(".gitattributes", attributes), ("tests/test_a.py", Some(TEST))],
    );
    world.move_ref(&branch("main"), &base);
    let to = world.commit(&base, "y", &[("tests/test_a.py", Some(GAMED_TEST))]);
    assert_eq!(kinds(&world.call(asked(&base, &to, &[])).await), ["TestSkipped"]);
}

#[tokio::test]
async fn a_test_that_becomes_a_link_is_gone() {
    let world = World::new().await;
    let base = world.commit(&world.head(&branch("main")), "x", &[("tests/test_a.py", Some(TEST))]);
    let to = world.link(&base, "tests/test_a.py", "/dev/null");
    assert_eq!(kinds(&world.call(asked(&base, &to, &[])).await), ["FewerTests"]);
}

#[tokio::test]
async fn a_diff_of_any_size_is_answered() {
    let world = World::new().await;
    let base = world.commit(&world.head(&branch("main")), "x", &[("tests/test_a.py", Some(TEST))]);
    let heavy = "value = 'a line of a rather usual length, as they are in such files'\n".repeat(200_000);
    let files = [
        ("data/heavy.json", Some(heavy.as_str())),
        ("src/heavy.py", Some(heavy.as_str())),
        ("tests/test_a.py", Some(GAMED_TEST)),
    ];
    let to = world.commit(&base, "y", &files);
    let answer = world.call(asked(&base, &to, &[])).await;
    assert_eq!((kinds(&answer), answer.total, answer.truncated), (vec!["TestSkipped".to_owned()], 1, false));
}

#[tokio::test]
async fn nothing_that_differs_is_no_sign_and_a_commit_that_is_not_there_is_named() {
    let world = World::new().await;
    let main = world.head(&branch("main"));
    let answer = world.call(asked(&main, &main, &["."])).await;
    assert_eq!(answer, GamingSignsAnswer { signs: Vec::new(), total: 0, truncated: false });
    let missing = CommitId::new("0123456789012345678901234567890123456789").unwrap();
    let error = world.fail(asked(&main, &missing, &[])).await;
    assert!(matches!(&error, StoreError::NotFound { what, .. } if what == missing.as_str()), "{error}");
}
