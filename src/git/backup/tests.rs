//! On real repositories, and on archives that somebody has had in their hands.

use std::{path::Path, process::Command};

use rstest::rstest;
use tempfile::TempDir;

use super::*;

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(args)
        .env("GIT_DIR", dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(dir: &Path, reference: &str, words: &str) -> String {
    let tree = git(dir, &["mktree", "--missing"]);
    let commit = git(dir, &["commit-tree", &tree, "-m", words]);
    git(dir, &["update-ref", reference, &commit]);
    commit
}

/// A volume with `team/app`, which has all kinds of references, `team/empty` and `other/app`.
fn volume() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["team/app", "team/empty", "other/app"] {
        let dir = root.path().join(format!("{name}.git"));
        std::fs::create_dir_all(&dir).unwrap();
        git(&dir, &["init", "-q", "--bare", "-b", "main"]);
    }
    let app = root.path().join("team/app.git");
    commit(&app, "refs/heads/release/phase-1-v1", "release");
    let main = commit(&app, "refs/heads/main", "main");
    git(&app, &["tag", "-a", "-m", "passed", "phase-1-v1", &main]);
    git(&app, &["notes", "--ref=phasegate", "add", "-m", "score 9.91", &main]);
    commit(&app, "refs/phasegate/logs/u/1", "logs");
    commit(&app, "refs/phasegate/wip/u/1", "wip");
    commit(&app, "refs/upstream/heads/main", "theirs");
    let claim = git(&app, &["hash-object", "-w", "--stdin"]);
    git(&app, &["update-ref", "refs/phasegate/claims/phase-1", &claim]);
    commit(&root.path().join("other/app.git"), "refs/heads/main", "other");
    root
}

async fn backup(root: &Path, only: &[&str]) -> Result<Vec<u8>, BackupError> {
    let repositories = only.iter().map(ToString::to_string).collect();
    let mut out = Vec::new();
    take(BackupArgs { root: root.to_owned(), repositories }, &mut out).await?;
    Ok(out)
}

async fn restored(root: &Path, archive: &[u8], replace: bool, only: &[&str]) -> Result<(), BackupError> {
    let repositories = only.iter().map(ToString::to_string).collect();
    restore(RestoreArgs { root: root.to_owned(), replace, repositories }, archive).await
}

fn refs(root: &Path, name: &str) -> String {
    git(&root.join(format!("{name}.git")), &["for-each-ref", "--format=%(refname) %(objectname)"])
}

/// Names below a folder, two deep.
fn names(root: &Path) -> Vec<String> {
    let list = |folder: &Path| -> Vec<String> {
        let found = std::fs::read_dir(folder).unwrap();
        found.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    let below = |folder: String| {
        let inner = list(&root.join(&folder));
        inner.into_iter().map(move |name| format!("{folder}/{name}"))
    };
    let mut all: Vec<String> = list(root).into_iter().flat_map(below).collect();
    all.sort();
    all
}

#[tokio::test]
async fn what_is_restored_is_what_was_there_reference_by_reference() {
    let (before, after) = (volume(), tempfile::tempdir().unwrap());
    let archive = backup(before.path(), &[]).await.unwrap();
    restored(after.path(), &archive, false, &[]).await.unwrap();
    assert_eq!(names(after.path()), ["other/app.git", "team/app.git"], "and nothing is left of the work");
    for name in ["team/app", "other/app"] {
        assert_eq!(refs(after.path(), name), refs(before.path(), name));
        git(&after.path().join(format!("{name}.git")), &["fsck", "--strict"]);
    }
    assert_eq!(git(&after.path().join("team/app.git"), &["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[tokio::test]
async fn one_repository_is_taken_and_restored_alone() {
    let (before, after) = (volume(), tempfile::tempdir().unwrap());
    let one = backup(before.path(), &["other/app"]).await.unwrap();
    restored(after.path(), &one, false, &[]).await.unwrap();
    assert_eq!(names(after.path()), ["other/app.git"]);
    let all = backup(before.path(), &[]).await.unwrap();
    restored(after.path(), &all, false, &["team/app"]).await.unwrap();
    assert_eq!(names(after.path()), ["other/app.git", "team/app.git"]);
    let missing = restored(after.path(), &all, false, &["team/none"]).await.unwrap_err().to_string();
    assert_eq!(missing, "team/none: it is not in this backup");
    let missing = backup(before.path(), &["team/none"]).await.unwrap_err().to_string();
    assert!(missing.starts_with("team/none: there is no such repository below "), "{missing}");
    let no_name = backup(before.path(), &["../etc"]).await.unwrap_err().to_string();
    assert!(no_name.starts_with("../etc: "), "{no_name}");
}

#[tokio::test]
async fn what_is_there_is_replaced_only_if_asked_for() {
    let root = volume();
    let archive = backup(root.path(), &[]).await.unwrap();
    let (then, before) = (refs(root.path(), "team/app"), names(root.path()));
    commit(&root.path().join("team/app.git"), "refs/heads/main", "later");
    let later = refs(root.path(), "team/app");
    let error = restored(root.path(), &archive, false, &[]).await.unwrap_err().to_string();
    assert!(error.contains("it is there already") && error.contains("--replace"), "{error}");
    assert_eq!((refs(root.path(), "team/app"), names(root.path())), (later, before.clone()));
    restored(root.path(), &archive, true, &["team/app"]).await.unwrap();
    assert_eq!((refs(root.path(), "team/app"), names(root.path())), (then, before));
}

#[tokio::test]
async fn a_backup_while_pushes_and_gc_run_is_whole() {
    let root = volume();
    let app = root.path().join("team/app.git");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy = std::thread::spawn({
        let (app, stop) = (app.clone(), stop.clone());
        move || {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let name = format!("refs/heads/feature/{}", number % 7);
                let tip = commit(&app, &name, &format!("push {number}"));
                if number % 5 == 4 {
                    git(&app, &["update-ref", "-d", &name, &tip]);
                    git(&app, &["gc", "-q", "--cruft", "--prune=2.weeks.ago"]);
                }
                number += 1;
            }
        }
    });
    for _ in 0..5 {
        let archive = backup(root.path(), &["team/app"]).await.unwrap();
        let after = tempfile::tempdir().unwrap();
        restored(after.path(), &archive, false, &[]).await.unwrap();
        git(&after.path().join("team/app.git"), &["fsck", "--strict"]);
        let before = refs(root.path(), "team/app");
        let untouched =
            |refs: &str| refs.lines().filter(|line| !line.contains("feature/")).collect::<Vec<_>>().join("\n");
        assert_eq!(untouched(&refs(after.path(), "team/app")), untouched(&before));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().unwrap();
}

/// A merge moves its branch, its tag and its note in one transaction, and people push meanwhile.
#[tokio::test]
async fn references_that_move_together_are_taken_together_and_none_is_left_out() {
    const MANY: usize = 200;
    let root = volume();
    let app = root.path().join("team/app.git");
    let tips = ["one", "two"].map(|words| commit(&app, "refs/heads/main", words));
    let move_all = move |app: &Path, tip: &str| {
        let lines: Vec<String> =
            (0..MANY).map(|number| format!("update refs/heads/feature/{number} {tip}\n")).collect();
        let file = app.join("step");
        std::fs::write(&file, lines.concat()).unwrap();
        let input = std::fs::File::open(file).unwrap();
        let args = ["--git-dir", &app.to_string_lossy(), "update-ref", "--stdin"];
        assert!(Command::new("git").args(args).stdin(input).status().unwrap().success());
    };
    move_all(&app, &tips[0]);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy = std::thread::spawn({
        let (app, stop) = (app.clone(), stop.clone());
        move || {
            for tip in tips.iter().cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                move_all(&app, tip);
                std::thread::sleep(std::time::Duration::from_millis(40));
            }
        }
    });
    let mut taken: Vec<Vec<String>> = Vec::new();
    for _ in 0..10 {
        let archive = backup(root.path(), &["team/app"]).await.unwrap();
        let after = tempfile::tempdir().unwrap();
        restored(after.path(), &archive, false, &[]).await.unwrap();
        let refs = refs(after.path(), "team/app");
        taken.push(
            refs.lines().filter_map(|line| line.strip_prefix("refs/heads/feature/")).map(str::to_owned).collect(),
        );
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().unwrap();
    for moved in &taken {
        let mut tips: Vec<&str> = moved.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(tips.len(), MANY, "none is left out");
        tips.dedup();
        assert_eq!(tips.len(), 1, "and all are of one moment");
    }
}

#[tokio::test]
async fn a_repository_that_is_named_twice_is_taken_once() {
    let (before, after) = (volume(), tempfile::tempdir().unwrap());
    let archive = backup(before.path(), &["other/app", "other/app"]).await.unwrap();
    restored(after.path(), &archive, false, &[]).await.unwrap();
    assert_eq!(names(after.path()), ["other/app.git"]);
}

#[rstest]
#[case::new(false)]
#[case::replaced(true)]
#[tokio::test]
async fn what_was_put_before_one_that_fails_is_taken_back(#[case] replaces: bool) {
    let (root, after) = (volume(), tempfile::tempdir().unwrap());
    let archive = backup(root.path(), &[]).await.unwrap();
    // Where the folder of a namespace has to be.
    std::fs::write(after.path().join("team"), "no folder").unwrap();
    let theirs = replaces.then(|| {
        let dir = after.path().join("other/app.git");
        std::fs::create_dir_all(&dir).unwrap();
        git(&dir, &["init", "-q", "--bare"]);
        commit(&dir, "refs/heads/main", "since then")
    });
    let error = restored(after.path(), &archive, true, &[]).await.unwrap_err().to_string();
    assert!(error.contains("/team"), "{error}");
    let there = after.path().join("other/app.git");
    assert_eq!(there.exists().then(|| git(&there, &["rev-parse", "main"])), theirs);
}

/// An archive of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        // As they are: `append_data` refuses what a hostile one would write.
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

const WHO: &[u8] = br#"{"format": 1, "version": "0", "repositories": ["team/app"]}"#;

#[rstest]
#[case::no_archive(b"hello".to_vec(), "no tar archive")]
#[case::nothing(Vec::new(), "ends too early")]
#[case::of_something_else(archive(&[("etc/passwd", b"x")]), "it begins with etc/passwd, not with phasegate-backup.json")]
#[case::no_description(archive(&[(ABOUT, b"{}")]), "phasegate-backup.json: missing field")]
#[case::of_the_future(archive(&[(ABOUT, br#"{"format": 2, "version": "9", "repositories": []}"#)]), "this version reads format 1")]
#[case::cut_before_its_end(archive(&[(ABOUT, WHO), ("team/app.bundle", b"x")]), "ends too early")]
#[case::out_of_the_volume(archive(&[(ABOUT, WHO), ("../../etc/app.bundle", b"x")]), "../../etc/app.bundle does not belong there")]
#[case::not_announced(archive(&[(ABOUT, WHO), ("team/other.bundle", b"x")]), "team/other.bundle does not belong there")]
#[case::twice(archive(&[(ABOUT, WHO), ("team/app.bundle", b"x"), ("team/app.bundle", b"y")]), "does not belong there")]
#[case::more_after_its_end(archive(&[(ABOUT, WHO), (SUMS, b""), ("team/app.bundle", b"x")]), "does not belong there")]
#[case::damaged(archive(&[(ABOUT, WHO), ("team/app.bundle", b"x"), (SUMS, b"00  team/app.bundle\n")]), "the file is damaged")]
#[case::one_is_missing(archive(&[(ABOUT, WHO), (SUMS, b"00  team/app.bundle\n")]), "team/app.bundle of SHA256SUMS is missing")]
#[case::no_bundle(
    archive(&[(ABOUT, WHO), ("team/app.bundle", b"x"), (SUMS, b"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  team/app.bundle\n")]),
    "git fetch"
)]
#[tokio::test]
async fn what_is_no_whole_backup_changes_nothing(#[case] stream: Vec<u8>, #[case] says: &str) {
    let root = volume();
    let (before, there) = (refs(root.path(), "team/app"), names(root.path()));
    let error = restored(root.path(), &stream, true, &[]).await.unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
    assert_eq!((refs(root.path(), "team/app"), names(root.path())), (before, there));
}

#[tokio::test]
async fn a_stream_that_breaks_anywhere_changes_nothing() {
    let (before, after) = (volume(), tempfile::tempdir().unwrap());
    let archive = backup(before.path(), &[]).await.unwrap();
    // The two empty blocks at the end are no content.
    let content = archive.len() - 1024;
    for length in (0..content).step_by(700) {
        restored(after.path(), &archive[..length], false, &[]).await.unwrap_err();
        assert!(names(after.path()).is_empty(), "{length} of {content} bytes");
    }
}
