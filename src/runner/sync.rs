//! `sync`: mirrors an upstream into `refs/upstream/*` of the git service (design §8). The only pod
//! whose main container holds the pod's token, since it is ours.

use std::{collections::BTreeMap, time::Duration};

use tracing::info;

use super::{
    Places, PodArgs,
    client::{CallError, RunnerClient},
    protocol::{DeliveryReport, MAX_HEADS},
    repository::{PodRepository, TransferError},
};
use crate::{api::agent_task::Role, git::command::CommandError};

/// How long to wait for the operator.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest time of all tries of one transfer.
const TRANSFER: Duration = Duration::from_secs(900);

/// Why the upstream could not be mirrored.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The operator could not be talked to.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Git could not do it here.
    #[error(transparent)]
    Git(#[from] CommandError),
    /// The git service did not take it.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The task is no Sync.
    #[error("this task is no Sync with an upstream")]
    NoUpstream,
}

/// Mirrors the upstream once and reports its heads.
///
/// # Errors
/// If the upstream or the git service cannot be reached, or the operator refuses; it is the
/// delivery's message too, where people look.
pub async fn sync(args: &PodArgs, places: &Places) -> Result<(), SyncError> {
    let client = RunnerClient::new(args, &places.token)?;
    let assignment = client.assignment(PATIENCE).await?;
    let upstream = assignment.upstream.as_ref().filter(|_| assignment.role == Role::Sync);
    let url = upstream.map(|upstream| upstream.url.clone()).ok_or(SyncError::NoUpstream)?;
    let repository = PodRepository::new(args, &places.git, &assignment.clone_path, &places.token);
    let mirrored = mirror(&repository, &url).await;
    let report = match &mirrored {
        Ok(heads) => {
            DeliveryReport { heads: heads.clone(), exit_code: Some(0), changed: true, ..DeliveryReport::default() }
        }
        Err(error) => DeliveryReport { message: error.to_string(), exit_code: Some(1), ..DeliveryReport::default() },
    };
    client.deliver(&report, PATIENCE).await?;
    mirrored.map(|heads| info!(heads = heads.len(), "mirrored"))
}

async fn mirror(repository: &PodRepository, url: &str) -> Result<BTreeMap<String, String>, SyncError> {
    repository.init().await?;
    info!(url, "fetching the upstream");
    repository.fetch_upstream(url, TRANSFER).await?;
    info!("pushing to the git service");
    let specs = ["refs/upstream/heads/*:refs/upstream/heads/*", "refs/upstream/tags/*:refs/upstream/tags/*"];
    repository.push(&specs.map(str::to_owned), TRANSFER).await?;
    let format = "--format=%(refname:lstrip=3) %(objectname)";
    let heads = repository.git(&["for-each-ref", format, "refs/upstream/heads"]).run().await?;
    let text = heads.text();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.take(MAX_HEADS).map(|(name, commit)| (name.to_owned(), commit.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        path::Path,
        process::{Child, Command, Stdio},
        time::Instant,
    };

    use rstest::rstest;

    use super::*;
    use crate::runner::world::{World, git};

    /// An upstream behind git's own server.
    struct Upstream {
        daemon: Child,
        url: String,
    }

    impl Upstream {
        fn of(folder: &Path) -> Self {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let daemon = Command::new("git")
                .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
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

    fn point(world: &World, url: &str) {
        let mut assignment = world.operator.assignment.lock().unwrap();
        assignment.as_mut().unwrap().upstream.as_mut().unwrap().url = url.to_owned();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn heads_and_tags_of_the_upstream_are_mirrored_and_followed() {
        let world = World::new(Role::Sync).await;
        let ours = world.head("refs/heads/main");
        let folder = world.dir().join("upstream");
        std::fs::create_dir(&folder).unwrap();
        git(&folder, &["init", "-q"]);
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

    #[rstest]
    #[case::a_file("file:///etc")]
    #[case::a_path("/etc")]
    #[case::a_command("ext::sh -c touch% /tmp/never")]
    #[case::ssh("ssh://localhost/x")]
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
}
