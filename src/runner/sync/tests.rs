//! Upstreams behind git's own server, and behind real ones that want credentials.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use rstest::rstest;

use super::*;
use crate::runner::world::{World, git};

mod credentials;

/// An upstream behind git's own server.
struct Upstream {
    daemon: Child,
    url: String,
}

impl Upstream {
    fn of(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Not by `git daemon`, which starts it and would be ended in its place.
        let programs = Command::new("git").arg("--exec-path").output().unwrap().stdout;
        let program = Path::new(String::from_utf8(programs).unwrap().trim()).join("git-daemon");
        let daemon = Command::new(program)
            .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .args([&format!("--port={port}"), &format!("--base-path={}", folder.display())])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "git daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { daemon, url: format!("git://127.0.0.1:{port}/upstream") }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    git(folder, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// A work tree of the upstream's people, where [`Upstream`] serves it from.
fn work_tree(world: &World) -> PathBuf {
    let folder = world.dir().join("upstream");
    std::fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "-q"]);
    folder
}

fn point(world: &World, url: &str) {
    let mut assignment = world.operator.assignment.lock().unwrap();
    assignment.as_mut().unwrap().upstream.as_mut().unwrap().url = url.to_owned();
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_tags_of_the_upstream_are_mirrored_and_followed() {
    let world = World::new(Role::Sync).await;
    let ours = world.head("refs/heads/main");
    let folder = work_tree(&world);
    let first = commit(&folder, "first");
    git(&folder, &["tag", "-a", "v1", "-m", "one"]);
    git(&folder, &["branch", "topic/a"]);
    let upstream = Upstream::of(world.dir());
    point(&world, &upstream.url);
    sync(&world.args, &world.places).await.unwrap();
    let expected = BTreeMap::from([("main".to_owned(), first.clone()), ("topic/a".to_owned(), first.clone())]);
    assert_eq!(world.operator.delivery().heads, expected);
    assert_eq!(world.head("refs/upstream/heads/main"), first);
    assert_eq!(world.head("refs/upstream/tags/v1"), git(&folder, &["rev-parse", "v1"]).trim());
    assert_eq!(world.head("refs/heads/main"), ours, "the upstream never overwrites ours");
    // It moves, and was rewritten.
    git(&folder, &["commit", "-q", "--amend", "--allow-empty", "-m", "second"]);
    let second = git(&folder, &["rev-parse", "HEAD"]).trim().to_owned();
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.head("refs/upstream/heads/main"), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_has_forgotten_is_forgotten_and_its_name_can_become_a_folder() {
    let world = World::new(Role::Sync).await;
    let folder = work_tree(&world);
    commit(&folder, "first");
    git(&folder, &["branch", "topic"]);
    git(&folder, &["tag", "v1"]);
    let upstream = Upstream::of(world.dir());
    point(&world, &upstream.url);
    sync(&world.args, &world.places).await.unwrap();
    let (ours, topic) = (world.head("refs/heads/main"), world.head("refs/upstream/heads/topic"));
    git(&folder, &["branch", "-D", "topic"]);
    git(&folder, &["tag", "-d", "v1"]);
    git(&folder, &["branch", "topic/next"]);
    git(&folder, &["tag", "v1/final"]);
    sync(&world.args, &world.places).await.unwrap();
    let mirrored = world.refs("refs/upstream");
    assert_eq!(mirrored, ["refs/upstream/heads/main", "refs/upstream/heads/topic/next", "refs/upstream/tags/v1/final"]);
    assert_eq!(world.head("refs/upstream/heads/topic/next"), topic);
    assert_eq!(world.head("refs/heads/main"), ours, "and what is ours is not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_took_long_does_not_take_back_what_a_later_one_saw() {
    let world = World::new(Role::Sync).await;
    let folder = work_tree(&world);
    commit(&folder, "first");
    let upstream = Upstream::of(world.dir());
    point(&world, &upstream.url);
    sync(&world.args, &world.places).await.unwrap();
    let slow = PodRepository::new(&world.args, &world.dir().join("slow"), "/team/alicia.git", &world.places.token);
    std::fs::create_dir(world.dir().join("slow")).unwrap();
    slow.init().await.unwrap();
    slow.fetch_mirror(TRANSFER).await.unwrap();
    let before = slow.mirror().await.unwrap();
    let spec = serde_json::from_value(serde_json::json!({"url": upstream.url})).unwrap();
    let remote = Remote::open(&spec, &world.places.upstream, slow.folder()).await.unwrap();
    commit(&folder, "second");
    git(&folder, &["branch", "topic"]);
    slow.fetch_upstream(&remote, TRANSFER).await.unwrap();
    // Meanwhile its people go on, and another looks.
    commit(&folder, "third");
    git(&folder, &["branch", "-D", "topic"]);
    world.operator.forget();
    sync(&world.args, &world.places).await.unwrap();
    let (seen, head) = (world.refs("refs/upstream"), world.head("refs/upstream/heads/main"));
    let error = slow.push_mirror(&before, TRANSFER).await.unwrap_err();
    assert!(is_stale(&error), "{error}");
    assert_eq!((world.refs("refs/upstream"), world.head("refs/upstream/heads/main")), (seen, head));
}

#[rstest]
#[case::a_file("file:///etc")]
#[case::a_path("/etc")]
#[case::a_command("ext::sh -c touch% /tmp/never")]
#[case::an_option("--upload-pack=touch /tmp/never")]
#[tokio::test(flavor = "multi_thread")]
async fn only_protocols_of_the_network_are_spoken(#[case] url: &str) {
    let world = World::new(Role::Sync).await;
    point(&world, url);
    let error = sync(&world.args, &world.places).await.unwrap_err().to_string();
    let delivery = world.operator.delivery();
    assert!(delivery.heads.is_empty() && delivery.exit_code == Some(1));
    assert!(!delivery.message.is_empty() && error.contains(&delivery.message), "{error}");
    assert!(error.contains("not allowed") || error.contains("blocked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_told_where_people_look() {
    let world = World::new(Role::Sync).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    point(&world, &format!("git://127.0.0.1:{port}/upstream"));
    assert!(sync(&world.args, &world.places).await.is_err());
    assert!(world.operator.delivery().message.contains("unable to connect"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_role_mirrors_nothing() {
    let world = World::new(Role::Developer).await;
    assert!(matches!(sync(&world.args, &world.places).await, Err(SyncError::NoUpstream)));
    assert!(world.operator.calls().is_empty());
}
