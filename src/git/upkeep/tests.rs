//! On real repositories.

use std::{
    process::{Command, Stdio},
    time::SystemTime,
};

use tempfile::TempDir;

use super::*;

struct World {
    root: TempDir,
    id: RepositoryId,
    dir: PathBuf,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("team/hello.git");
        let output = Command::new("git").args(["init", "-q", "--bare"]).arg(&dir).output().unwrap();
        assert!(output.status.success());
        Self { root, id: RepositoryId::new("team", "hello").unwrap(), dir }
    }

    fn git(&self, args: &[&str], input: &str) -> String {
        let mut child = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0"])
            .args(args)
            .env("GIT_DIR", &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
        // Both pipes may fill up.
        let writer = std::thread::spawn(move || io::Write::write_all(&mut stdin, input.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit on main for each number, as one pack.
    fn pack(&self, numbers: std::ops::Range<usize>) {
        let mut stream = String::new();
        let start = numbers.start;
        for number in numbers {
            use std::fmt::Write as _;
            let _ = write!(
                stream,
                "commit refs/heads/main\ncommitter t <t@example.org> {number} +0000\ndata 1\nx\n{}M 644 inline f{number}\ndata 1\n{}\n",
                if number == start && start > 0 { "from refs/heads/main^0\n" } else { "" },
                number % 10,
            );
        }
        self.git(&["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"], &stream);
    }

    fn packs(&self) -> usize {
        let packs = entries(&self.dir.join("objects/pack")).unwrap();
        packs.iter().filter(|path| path.extension().is_some_and(|end| end == "pack")).count()
    }

    fn counted(&self, name: &str) -> String {
        let all = self.git(&["count-objects", "-v"], "");
        all.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned()
    }
}

#[tokio::test]
async fn many_packs_become_one_and_what_is_reachable_stays() {
    let world = World::new();
    for number in 0..=MOST_PACKS {
        world.pack(number..number + 1);
    }
    let head = world.git(&["rev-parse", "main"], "");
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 0, collected: true });
    assert_eq!(world.packs(), 1);
    assert_eq!(world.git(&["rev-parse", "main"], ""), head);
    assert_eq!(world.git(&["rev-list", "--count", "main"], ""), (MOST_PACKS + 1).to_string());
    assert!(
        world.dir.join("objects/info/commit-graph").is_file() || world.dir.join("objects/info/commit-graphs").is_dir()
    );
    world.git(&["fsck", "--full", "--strict"], "");
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 0, collected: false }, "it is done");
}

#[tokio::test]
async fn young_objects_without_a_reference_are_packed_and_kept() {
    let world = World::new();
    world.pack(0..1);
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..3000)
        .map(|number| {
            let path = folder.path().join(number.to_string());
            fs::write(&path, number.to_string()).unwrap();
            path.display().to_string()
        })
        .collect();
    let ids = world.git(&["hash-object", "-w", "--stdin-paths"], &paths.join("\n"));
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 0, collected: true });
    assert_eq!(world.counted("count"), "0", "no loose objects are left");
    let found = world.git(&["cat-file", "--batch-check"], &ids);
    assert!(!found.contains("missing"), "what was pushed lately may get its reference yet");
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 0, collected: false }, "it is not tried every hour");
}

#[rstest::rstest]
#[case::in_a_pack(true)]
#[case::loose(false)]
#[tokio::test]
async fn what_lost_its_reference_just_now_is_kept_however_old_it_is(#[case] packed: bool) {
    let world = World::new();
    world.pack(0..1);
    let tree = world.git(&["rev-parse", "main^{tree}"], "");
    let old = world.git(&["commit-tree", &tree, "-m", "old"], "");
    world.git(&["update-ref", "refs/phasegate/logs/u/1", &old], "");
    if packed {
        world.git(&["repack", "-adq"], "");
    }
    let ages_ago = SystemTime::now() - Duration::from_hours(24 * 40);
    for folder in entries(&world.dir.join("objects")).unwrap() {
        for path in entries(&folder).unwrap() {
            fs::File::open(path).unwrap().set_modified(ages_ago).unwrap();
        }
    }
    world.git(&["update-ref", "-d", "refs/phasegate/logs/u/1"], "");
    collect(&world.dir).await.unwrap();
    assert_eq!(world.git(&["cat-file", "-t", &old], ""), "commit");
    // From now on the two weeks count: the next look does not begin them anew.
    let dates = || {
        entries(&world.dir.join("objects/pack"))
            .unwrap()
            .into_iter()
            .find(|path| path.extension().is_some_and(|end| end == "mtimes"))
    };
    let found = fs::read(dates().unwrap()).unwrap();
    collect(&world.dir).await.unwrap();
    assert_eq!(fs::read(dates().unwrap()).unwrap(), found);
}

#[tokio::test]
async fn a_quiet_repository_is_left_alone() {
    let world = World::new();
    world.pack(0..3);
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 0, collected: false });
    assert_eq!(world.packs(), 1);
}

#[test]
fn what_was_being_received_long_ago_is_cleared_and_nothing_else() {
    let world = World::new();
    world.pack(0..1);
    let objects = world.dir.join("objects");
    let old = SystemTime::now() - ABANDONED * 2;
    let make = |name: &str, age: SystemTime| {
        let path = objects.join(name);
        if name.ends_with('/') {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
        } else {
            fs::write(&path, "x").unwrap();
        }
        fs::File::open(&path).unwrap().set_modified(age).unwrap();
    };
    fs::create_dir_all(objects.join("a7")).unwrap();
    for name in [
        "tmp_objdir-incoming-abc/",
        "pack/tmp_pack_abc",
        "pack/tmp_idx_abc",
        "pack/keep_me",
        "a7/tmp_obj_abc",
        "info/tmp_graph_abc",
    ] {
        make(name, old);
    }
    make("pack/tmp_pack_young", SystemTime::now());
    let packs = world.packs();
    assert_eq!(clear_abandoned(&objects, ABANDONED).unwrap(), 5);
    assert!(objects.join("pack/tmp_pack_young").exists() && objects.join("pack/keep_me").exists());
    assert!(!objects.join("tmp_objdir-incoming-abc").exists());
    assert_eq!(world.packs(), packs);
}

/// What `git receive-pack` leaves when it is killed after the pack and before the references.
#[tokio::test]
async fn a_pack_that_a_killed_push_locked_is_collected_and_one_that_a_person_locked_is_not() {
    let world = World::new();
    for number in 0..=MOST_PACKS {
        world.pack(number..number + 1);
    }
    let packs = entries(&world.dir.join("objects/pack")).unwrap();
    let packs: Vec<&PathBuf> = packs.iter().filter(|path| path.extension().is_some_and(|end| end == "pack")).collect();
    let old = SystemTime::now() - ABANDONED * 2;
    for (pack, words, age) in [
        (packs[0], "receive-pack 17 on phasegate-git-0\n", old),
        (packs[1], "receive-pack 18 on phasegate-git-0\n", SystemTime::now()),
        (packs[2], "", old),
    ] {
        let lock = pack.with_extension("keep");
        fs::write(&lock, words).unwrap();
        fs::File::open(&lock).unwrap().set_modified(age).unwrap();
    }
    assert_eq!(upkeep(&world.dir).await.unwrap(), Done { cleared: 1, collected: true });
    assert!(!packs[0].exists() && packs[1].exists() && packs[2].exists());
    world.git(&["fsck", "--full", "--strict"], "");
}

#[test]
fn what_a_killed_restore_left_goes_after_a_while() {
    let world = World::new();
    let (left, under_way) = (world.root.path().join(".restoreAbc"), world.root.path().join(".restoreXyz"));
    for path in [&left, &under_way] {
        fs::create_dir(path).unwrap();
        fs::write(path.join("0.bundle"), "x").unwrap();
    }
    fs::File::open(&left).unwrap().set_modified(SystemTime::now() - ABANDONED * 2).unwrap();
    clear_restores(world.root.path(), ABANDONED);
    assert!(!left.exists() && under_way.exists() && world.dir.exists());
}

#[tokio::test]
async fn repositories_are_found_by_name_and_half_made_ones_are_not_touched() {
    let world = World::new();
    let root = world.root.path();
    for other in [
        ".unfinished-new/HEAD",
        "team/.unfinished-new/HEAD",
        "lost+found/x.git/HEAD",
        "team/empty.git/config",
        "team/notes/HEAD",
    ] {
        let path = root.join(other);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    assert_eq!(repositories(root).await, [(world.id.clone(), world.dir.clone())]);
    assert_eq!(repositories(&root.join("nowhere")).await, []);
}

#[tokio::test]
async fn a_broken_repository_is_counted_and_does_not_stop_the_others() {
    let metrics = Metrics::new().unwrap();
    let world = World::new();
    for number in 0..=MOST_PACKS {
        world.pack(number..number + 1);
    }
    fs::write(world.dir.join("HEAD"), "nonsense").unwrap();
    look_after(&world.id, &world.dir, &metrics).await;
    let text = String::from_utf8(metrics.text()).unwrap();
    assert!(text.contains(r#"phasegate_git_upkeep_seconds_count{outcome="failed"} 1"#), "{text}");
}
