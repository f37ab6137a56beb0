//! Snapshots of hostile work trees, with real git.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use rstest::rstest;

use super::*;
use crate::runner::{PodArgs, fixtures::assignment};

/// A pod's repository and work tree, with a start commit.
struct Pod {
    dir: tempfile::TempDir,
    repository: PodRepository,
}

impl Pod {
    /// The start commit holds what `fill` puts into the work tree.
    async fn new(fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repository = PodRepository::new(&args(), dir.path(), "/ns/r.git", Path::new("/nonexistent"));
        repository.init().await.unwrap();
        let pod = Self { dir, repository };
        fs::create_dir(pod.workspace()).unwrap();
        git(&pod.workspace(), &["init", "-q"]);
        fill(&pod.workspace());
        git(&pod.workspace(), &["add", "-A", "-f"]);
        git(&pod.workspace(), &["commit", "-q", "--allow-empty", "-m", "start"]);
        let refspec = format!("HEAD:{}", crate::runner::repository::START);
        git(&pod.workspace(), &["push", "-q", pod.repository.dir().to_str().unwrap(), &refspec]);
        pod
    }

    fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.workspace().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        put(&self.workspace(), path, text);
    }

    async fn snapshot_within(&self, limits: Limits) -> Result<Snapshot, SnapshotError> {
        let authorship = Authorship::of(&assignment(crate::api::agent_task::Role::Developer));
        snapshot(&self.repository, &self.workspace(), &authorship, limits).await
    }

    async fn snapshot(&self) -> Snapshot {
        self.snapshot_within(Limits::default()).await.unwrap()
    }

    /// `mode path` of every file of the snapshot.
    async fn listed(&self) -> Vec<String> {
        let commit = self.snapshot().await.commit;
        let text = git(self.repository.dir(), &["-c", "core.quotePath=false", "ls-tree", "-r", &commit]);
        text.lines()
            .map(|line| format!("{} {}", line.split(' ').next().unwrap(), line.split('\t').nth(1).unwrap()))
            .collect()
    }

    async fn content(&self, path: &str) -> String {
        let commit = self.snapshot().await.commit;
        git(self.repository.dir(), &["cat-file", "blob", &format!("{commit}:{path}")])
    }
}

fn args() -> PodArgs {
    PodArgs {
        namespace: "ns".into(),
        task: "t".into(),
        run: 1,
        pod_uid: String::new(),
        operator_url: String::new(),
        git_url: "http://localhost".into(),
        save_seconds: crate::runner::SAVE_SECONDS,
        correlation_id: String::new(),
    }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Git as an agent would use it.
fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=work"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn an_untouched_tree_is_unchanged_and_the_commit_is_the_same_each_time() {
    let pod = Pod::new(|root| {
        put(root, "a", "1");
        put(root, "b/c", "2");
        symlink("a", root.join("link")).unwrap();
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    })
    .await;
    let first = pod.snapshot().await;
    assert!(!first.changed);
    assert_eq!(pod.snapshot().await, first);
    pod.put("a", "2");
    let second = pod.snapshot().await;
    assert!(second.changed);
    assert_ne!(second.commit, first.commit);
    pod.put("a", "1");
    assert_eq!(pod.snapshot().await, first);
}

#[tokio::test]
async fn the_commit_has_the_start_as_its_parent_its_date_from_the_record_and_the_trailer() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    // The agent's own commits are not kept.
    pod.put("a", "2");
    git(&pod.workspace(), &["commit", "-qam", "mine"]);
    let commit = pod.snapshot().await.commit;
    let start = git(pod.repository.dir(), &["rev-parse", "refs/phasegate/start"]);
    let shown = git(pod.repository.dir(), &["log", "-1", "--format=%P%n%at %ct%n%an|%cn%n%B", &commit]);
    let expected = format!(
        "{}\n1772600767 1772600767\nphasegate agent|phasegate\nalicia-1: rework, attempt 2\n\nPhasegate-Task: 0f1e2d3c/2",
        start.trim()
    );
    assert_eq!(shown.trim(), expected);
}

#[tokio::test]
async fn added_changed_removed_and_renamed_files_are_taken_as_they_are() {
    let pod = Pod::new(|root| {
        for name in ["keep", "change", "remove", "folder/move"] {
            put(root, name, name);
        }
    })
    .await;
    pod.put("change", "changed");
    fs::remove_file(pod.at("remove")).unwrap();
    fs::rename(pod.at("folder"), pod.at("elsewhere")).unwrap();
    pod.put("new/run.sh", "#!/bin/sh\n");
    fs::set_permissions(pod.at("new/run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("../keep", pod.at("new/link")).unwrap();
    let expected = ["100644 change", "100644 elsewhere/move", "100644 keep", "120000 new/link", "100755 new/run.sh"];
    assert_eq!(pod.listed().await, expected);
    assert_eq!(pod.content("change").await, "changed");
    assert_eq!(pod.content("new/link").await, "../keep");
}

#[tokio::test]
async fn what_is_ignored_stays_out_unless_the_start_commit_has_it() {
    let pod = Pod::new(|root| {
        put(root, ".gitignore", "*.log\n/build/\n!keep.log\ntracked/\n");
        put(root, "old.log", "1");
        put(root, "tracked/file", "1");
    })
    .await;
    for name in ["new.log", "keep.log", "build/out", "deep/build/out", "tracked/new", "a/.gitignore", "a/x.tmp", "a/y"]
    {
        pod.put(name, "new");
    }
    pod.put("a/.gitignore", "*.tmp\n");
    pod.put("old.log", "2");
    pod.put("tracked/file", "2");
    let expected = [
        "100644 .gitignore",
        "100644 a/.gitignore",
        "100644 a/y",
        "100644 deep/build/out",
        "100644 keep.log",
        "100644 old.log",
        "100644 tracked/file",
    ];
    assert_eq!(pod.listed().await, expected);
    assert_eq!(pod.content("old.log").await, "2");
}

#[tokio::test]
async fn strange_names_are_taken() {
    let pod = Pod::new(|_| {}).await;
    let names = ["a b", "-rf", "\"q\"", "back\\slash", "new\nline", "ümläut", ":!x", "#comment", "!not", "tab\t", "*"];
    for name in names {
        pod.put(name, name);
    }
    pod.put("leading/ space /x", "1");
    let commit = pod.snapshot().await.commit;
    let mut listed: Vec<String> = git(pod.repository.dir(), &["ls-tree", "-r", "-z", "--name-only", &commit])
        .split_terminator('\0')
        .map(str::to_owned)
        .collect();
    listed.sort();
    let mut expected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    expected.push("leading/ space /x".into());
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn names_that_are_not_utf_8_are_taken() {
    use std::os::unix::ffi::OsStrExt as _;
    let pod = Pod::new(|_| {}).await;
    fs::write(pod.workspace().join(std::ffi::OsStr::from_bytes(b"latin-\xe9")), "1").unwrap();
    let commit = pod.snapshot().await.commit;
    assert!(git(pod.repository.dir(), &["ls-tree", "-r", &commit]).contains("\"latin-\\351\""));
}

#[tokio::test]
async fn nothing_that_the_work_tree_configures_is_executed() {
    let pod = Pod::new(|root| put(root, "a.txt", "1\r\n")).await;
    let proof = pod.dir.path().join("executed");
    let script = pod.at("evil.sh");
    pod.put("evil.sh", &format!("#!/bin/sh\ntouch {}\ncat\n", proof.display()));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    for (key, value) in [
        ("core.fsmonitor", script),
        ("core.hooksPath", "hooks"),
        ("core.sshCommand", script),
        ("filter.evil.clean", script),
        ("filter.evil.smudge", script),
        ("filter.evil.process", script),
        ("core.autocrlf", "true"),
        ("core.worktree", "/etc"),
        ("core.excludesFile", "/etc/passwd"),
        ("commit.gpgSign", "true"),
        ("gpg.program", script),
    ] {
        git(&pod.workspace(), &["config", key, value]);
    }
    for hook in ["pre-commit", "post-commit", "post-index-change", "reference-transaction", "post-checkout"] {
        pod.put(&format!("hooks/{hook}"), &format!("#!/bin/sh\ntouch {}\n", proof.display()));
        fs::set_permissions(pod.at(&format!("hooks/{hook}")), fs::Permissions::from_mode(0o755)).unwrap();
        pod.put(&format!(".git/hooks/{hook}"), &format!("#!/bin/sh\ntouch {}\n", proof.display()));
    }
    pod.put(".gitattributes", "* filter=evil text=auto eol=lf ident working-tree-encoding=UTF-16\n");
    pod.put("new.txt", "$Id$\r\n");
    assert!(pod.snapshot().await.changed);
    assert!(!proof.exists(), "something of the work tree was executed");
    // The bytes of the file, whatever attributes say.
    assert_eq!(pod.content("new.txt").await, "$Id$\r\n");
    assert_eq!(pod.content("a.txt").await, "1\r\n");
}

#[tokio::test]
async fn repositories_within_the_work_tree_become_plain_folders() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    fs::create_dir(pod.at("inner")).unwrap();
    git(&pod.at("inner"), &["init", "-q"]);
    pod.put("inner/file", "2");
    git(&pod.at("inner"), &["add", "-A"]);
    git(&pod.at("inner"), &["commit", "-qm", "inner"]);
    pod.put("worktree/.git", "gitdir: /etc\n");
    pod.put("worktree/file", "3");
    pod.put("bare/HEAD", "ref: refs/heads/main\n");
    pod.put("bare/objects/x", "");
    pod.put("bare/refs/x", "");
    let expected = [
        "100644 a",
        "100644 bare/HEAD",
        "100644 bare/objects/x",
        "100644 bare/refs/x",
        "100644 inner/file",
        "100644 worktree/file",
    ];
    assert_eq!(pod.listed().await, expected);
}

#[rstest]
#[case(".git")]
#[case(".GIT")]
#[case(".Git ")]
#[case(".git..")]
#[case("git~1")]
#[tokio::test]
async fn no_spelling_of_dot_git_is_taken(#[case] name: &str) {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    pod.put(&format!("sub/{name}/config"), "[core]\n");
    pod.put("sub/.github/x", "1");
    pod.put("sub/.gitignore", "");
    assert_eq!(pod.listed().await, ["100644 a", "100644 sub/.github/x", "100644 sub/.gitignore"]);
}

#[tokio::test]
async fn links_are_taken_as_links_and_never_followed() {
    let pod = Pod::new(|root| put(root, "a/x", "1")).await;
    let secret = pod.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("token"), "secret").unwrap();
    symlink(secret.join("token"), pod.at("to-file")).unwrap();
    symlink(&secret, pod.at("to-folder")).unwrap();
    symlink("/", pod.at("to-root")).unwrap();
    symlink("nowhere", pod.at("dangling")).unwrap();
    fs::remove_dir_all(pod.at("a")).unwrap();
    symlink(&secret, pod.at("a")).unwrap();
    let expected = ["120000 a", "120000 dangling", "120000 to-file", "120000 to-folder", "120000 to-root"];
    assert_eq!(pod.listed().await, expected);
    let objects = git(pod.repository.dir(), &["cat-file", "--batch-all-objects", "--batch"]);
    assert!(!objects.contains("blob 6\nsecret\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_swapped_for_a_link_while_it_is_read_gives_nothing_away() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    let secret = pod.dir.path().join("token");
    fs::write(&secret, "secret-content").unwrap();
    let (target, stop) = (pod.at("swap"), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = std::sync::Arc::clone(&stop);
    let swapping = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = fs::remove_file(&target);
            let _ = fs::write(&target, "honest");
            let _ = fs::remove_file(&target);
            let _ = symlink(&secret, &target);
        }
    });
    for _ in 0..20 {
        // It may fail for a file that moves; it must not succeed with the wrong content.
        let _ = pod.snapshot_within(Limits::default()).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().unwrap();
    let objects = git(pod.repository.dir(), &["cat-file", "--batch-all-objects", "--batch"]);
    assert!(!objects.contains("secret-content"));
}

#[tokio::test]
async fn pipes_and_sockets_are_passed_over_without_waiting() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    rustix::fs::mknodat(rustix::fs::CWD, pod.at("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(pod.at("socket")).unwrap();
    assert_eq!(pod.listed().await, ["100644 a"]);
}

fn pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
}

#[rstest]
#[case::a_pipe(|at: &Path| pipe(at), &[])]
#[case::a_link_to_a_pipe(|at: &Path| { pipe(&at.with_file_name("x")); symlink("x", at).unwrap() }, &[".gitignore"])]
#[case::a_link_to_rules(|at: &Path| { fs::write(at.with_file_name("x"), "y\n").unwrap(); symlink("x", at).unwrap() }, &[".gitignore", "x"])]
#[case::a_folder(|at: &Path| fs::create_dir(at).unwrap(), &[])]
#[case::a_device_by_a_link(|at: &Path| symlink("/dev/zero", at).unwrap(), &[".gitignore"])]
#[tokio::test]
async fn rules_that_are_no_plain_file_say_nothing_and_are_not_waited_for(
    #[case] make: fn(&Path),
    #[case] taken: &[&str],
    #[values("", "a/b/")] folder: &str,
) {
    let pod = Pod::new(|_| {}).await;
    pod.put(&format!("{folder}y"), "1");
    make(&pod.at(&format!("{folder}.gitignore")));
    let listed = tokio::time::timeout(Duration::from_secs(20), pod.listed()).await.expect("it hangs");
    let names: Vec<String> = listed.iter().map(|entry| entry[7..].to_owned()).collect();
    let mut expected: Vec<String> = taken.iter().chain(&["y"]).map(|name| format!("{folder}{name}")).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn rules_that_are_too_long_are_refused_before_git_reads_them() {
    let pod = Pod::new(|_| {}).await;
    fs::File::create(pod.at(".gitignore")).unwrap().set_len(1 << 40).unwrap();
    let refused = async |limits| pod.snapshot_within(limits).await.unwrap_err().to_string();
    let words = "and the .gitignore files above it have more than";
    assert_eq!(refused(Limits::default()).await, format!(".gitignore {words} 1048576 bytes together; shorten them"));
    // Together, along one way down; what is beside it does not count.
    for folder in ["", "a/", "a/b/", "c/"] {
        pod.put(&format!("{folder}.gitignore"), "0123456789");
    }
    let limits = |ignore_bytes| Limits { ignore_bytes, ..Limits::default() };
    assert_eq!(refused(limits(29)).await, format!("a/b/.gitignore {words} 29 bytes together; shorten them"));
    assert!(pod.snapshot_within(limits(30)).await.unwrap().changed);
}

#[tokio::test]
async fn rules_that_take_git_for_ever_are_refused_in_time() {
    let pod = Pod::new(|_| {}).await;
    pod.put(".gitignore", &format!("{}b\n", "**/".repeat(60)));
    pod.put(&format!("{}a", "a/".repeat(80)), "1");
    let limits = Limits { time: Duration::from_secs(1), ..Limits::default() };
    let started = std::time::Instant::now();
    let error = pod.snapshot_within(limits).await.unwrap_err();
    assert!(matches!(error, SnapshotError::TooSlow(1)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[rstest]
#[case::names_anywhere(&[("", "x.log\nbuild\n")])]
#[case::anchored(&[("", "/x.log\n/a/build\n")])]
#[case::anchored_by_a_slash_within(&[("", "a/x.log\n")])]
#[case::folders_only(&[("", "build/\nx.log/\nlink/\n")])]
#[case::stars(&[("", "*.log\na/*/x.log\n*/b\n")])]
#[case::stars_over_folders(&[("", "**/x.log\n")])]
#[case::all_within(&[("", "a/**\n")])]
#[case::folders_between(&[("", "a/**/x.log\n")])]
#[case::stars_that_are_not_alone(&[("", "a/b**/x.log\nbu**ld\n")])]
#[case::question_marks_and_classes(&[("", "?.log\n[b-d]\n[!a]uild\n[[:upper:]]\n")])]
#[case::a_class_that_does_not_end(&[("", "[b\nx[.log\n")])]
#[case::braces_are_letters(&[("", "{x,y}.log\n")])]
#[case::negation(&[("", "*.log\n!x.log\n")])]
#[case::negation_below_what_is_ignored(&[("", "a/\n!a/x.log\n")])]
#[case::negation_within_all(&[("", "a/*\n!a/b\n")])]
#[case::a_folder_overrules_those_above(&[("", "*.log\n"), ("a/", "!x.log\n"), ("a/b/", "x.log\n")])]
#[case::anchored_in_a_folder(&[("a/", "/x.log\nb/build\n")])]
#[case::rules_in_an_ignored_folder(&[("", "a/\n"), ("a/", "!*\n")])]
#[case::escapes(&[("", "\\!x\n\\#x\nx\\*\n\\x.log\nend\\\n")])]
#[case::comments_and_empty_lines(&[("", "#x\n\n   \n!\n/\n")])]
#[case::trailing_spaces(&[("", "x.log  \nspace\\ \ntab\t\n")])]
#[case::line_ends(&[("", "x.log\r\n\r\nbuild")])]
#[case::a_byte_order_mark(&[("", "\u{feff}x.log\n")])]
#[case::letters_beyond_ascii(&[("", "ü*\n[ä-ü]\n")])]
#[case::two_slashes(&[("", "a//x.log\n//x.log\nb//\n")])]
#[case::everything_but(&[("", "*\n!*/\n!*.log\n")])]
#[tokio::test]
async fn what_is_ignored_is_what_git_ignores_in_the_work_tree(#[case] rules: &[(&str, &str)]) {
    let pod = Pod::new(|_| {}).await;
    for folder in ["", "a/", "a/b/", "a/b/c/", "B/", "d/", "bu/ild/"] {
        for name in ["x.log", "y.log", "build", "X", "!x", "#x", "x*", "end\\", "space ", "tab\t", "ü", "{x,y}.log"] {
            pod.put(&format!("{folder}{name}"), "1");
        }
    }
    pod.put("a/d/build/in", "1");
    symlink("a", pod.at("link")).unwrap();
    for (folder, text) in rules {
        pod.put(&format!("{folder}.gitignore"), text);
    }
    let lines = |text: String| -> std::collections::BTreeSet<String> {
        text.split_terminator('\0').map(str::to_owned).collect()
    };
    let expected = lines(git(&pod.workspace(), &["ls-files", "-z", "--others", "--exclude-standard"]));
    let commit = pod.snapshot().await.commit;
    assert_eq!(lines(git(pod.repository.dir(), &["ls-tree", "-r", "-z", "--name-only", &commit])), expected);
}

#[tokio::test]
async fn nothing_is_left_of_the_shadow() {
    let pod = Pod::new(|root| put(root, "a/b/c", "1")).await;
    pod.snapshot().await;
    let names = fs::read_dir(pod.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["repository.git", "workspace"]);
}

#[tokio::test]
async fn a_submodule_of_the_start_commit_stays_as_it_was() {
    let pod = Pod::new(|root| {
        put(root, "a", "1");
        git(root, &["commit", "-q", "--allow-empty", "-m", "x"]);
        let head = git(root, &["rev-parse", "HEAD"]);
        git(root, &["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", head.trim())]);
        fs::create_dir(root.join("sub")).unwrap();
    })
    .await;
    assert!(!pod.snapshot().await.changed);
    pod.put("sub/file", "not taken");
    assert_eq!(pod.listed().await, ["100644 a", "160000 sub"]);
}

#[tokio::test]
async fn too_much_is_refused_with_the_name_and_the_remedy() {
    let pod = Pod::new(|root| put(root, "large", &"x".repeat(2000))).await;
    let limits = Limits { files: 5, depth: 3, file_bytes: 1000, new_bytes: 1500, ..Limits::default() };
    assert!(!pod.snapshot_within(limits).await.unwrap().changed, "what was there before is no matter");
    let refused = async |pod: &Pod| pod.snapshot_within(limits).await.unwrap_err().to_string();
    pod.put("larger", &"x".repeat(1001));
    assert!(refused(&pod).await.starts_with("larger has 1001 bytes"));
    pod.put("larger", &"x".repeat(900));
    pod.put("larger2", &"x".repeat(900));
    assert!(refused(&pod).await.contains("more than 1500 bytes together"));
    fs::remove_file(pod.at("larger2")).unwrap();
    for index in 0..5 {
        pod.put(&format!("file{index}"), "");
    }
    assert!(refused(&pod).await.contains("more than 5 files"));
    pod.put("a/b/c/d/e", "");
    assert!(refused(&pod).await.contains("a/b/c/d is more than 3 levels deep"));
    fs::write(pod.at(".gitignore"), "/a/\n/file?\n").unwrap();
    assert!(pod.snapshot_within(limits).await.unwrap().changed, "what is ignored is no matter");
}

#[tokio::test]
async fn a_huge_sparse_file_is_refused_before_it_is_read() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    fs::File::create(pod.at("huge")).unwrap().set_len(1 << 40).unwrap();
    let error = pod.snapshot_within(Limits::default()).await.unwrap_err();
    assert!(matches!(error, SnapshotError::TooLarge { bytes, .. } if bytes == 1 << 40), "{error}");
}

#[tokio::test]
async fn after_a_refused_snapshot_the_next_one_works() {
    let pod = Pod::new(|root| put(root, "a", "1")).await;
    pod.put("b", "2");
    assert!(pod.snapshot_within(Limits { files: 1, ..Limits::default() }).await.is_err());
    assert_eq!(pod.listed().await, ["100644 a", "100644 b"]);
}
