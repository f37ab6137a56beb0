//! The service process is killed with all its git processes, as when its container ends, in the midst of a push, a claim,
//! an integration and a merge with tag and note. Started again and asked again, all comes to the same end.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{flow::whole, support::*};
use crate::git::{client::GitClient, names::CommitId};

/// The variable that makes [`a_service_of_its_own`] one: the folder of its repositories.
const ROOT: &str = "PHASEGATE_TEST_SERVICE_ROOT";
/// The file below that folder's parent with the address.
const ADDRESS: &str = "address";
/// How many flows have to be cut short. The moments are spread over the time that one takes undisturbed; on a machine that is
/// quicker by then some are over before the kill, and do not count.
const CUT_SHORT: u32 = 12;
/// Most kills for that.
const KILLS: u32 = 20 * CUT_SHORT;

/// The process that the test below starts and kills: this program again, with this test alone. By itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_its_own() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = std::path::PathBuf::from(root);
    let (url, _) = serve(&root, 64).await;
    let address = root.with_file_name(ADDRESS);
    std::fs::write(address.with_extension("new"), url).unwrap();
    std::fs::rename(address.with_extension("new"), address).unwrap();
    std::future::pending::<()>().await;
}

/// A running process of the service; killed with all its children when dropped.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(root: &Path) -> Self {
        let address = root.with_file_name(ADDRESS);
        let _ = std::fs::remove_file(&address);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "git::server::tests::killed::a_service_of_its_own"]).env(ROOT, root);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut process, start) = (Self { child, url: String::new() }, Instant::now());
        while process.url.is_empty() {
            assert!(start.elapsed() < Duration::from_mins(1), "the service does not start");
            std::thread::sleep(Duration::from_millis(5));
            process.url = std::fs::read_to_string(&address).unwrap_or_default();
        }
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // All are stopped before any is killed: whoever loses its parent could not be found any more.
        let (mut stopped, mut quiet) = (Vec::new(), 0);
        while quiet < 2 {
            let fresh: Vec<u32> = family(self.child.id()).into_iter().filter(|pid| !stopped.contains(pid)).collect();
            signal("STOP", &fresh);
            quiet = if fresh.is_empty() { quiet + 1 } else { 0 };
            stopped.extend(fresh);
        }
        signal("KILL", &stopped);
        self.child.wait().unwrap();
    }
}

/// A process and all below it.
fn family(head: u32) -> Vec<u32> {
    let (mut found, mut at) = (vec![head], 0);
    while let Some(parent) = found.get(at) {
        found.extend(children(*parent));
        at += 1;
    }
    found
}

fn signal(name: &str, pids: &[u32]) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The second field of /proc/{pid}/stat after the program's name, which may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// An empty volume, and a way through a phase on a service over it.
struct Volume {
    folder: tempfile::TempDir,
    root: std::path::PathBuf,
}

impl Volume {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repositories");
        Self { folder, root }
    }

    async fn whole(&self, url: &str) -> Result<CommitId, String> {
        let token = self.folder.path().join("token");
        std::fs::write(&token, "operator\n").unwrap();
        let client = GitClient::new(url, token, Duration::from_secs(20)).unwrap();
        let remote = format!("{}/team/hello.git", url.replace("http://", "http://klein:pod-klein@"));
        whole(&client, &remote).await
    }
}

/// Splitmix64: the same moments at every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_at_any_moment_comes_to_the_same_end() {
    let undisturbed = Volume::new();
    let service = Process::start(&undisturbed.root);
    let start = Instant::now();
    let commit = undisturbed.whole(&service.url).await.unwrap();
    let time = start.elapsed();
    drop(service);
    let expected = (commit, refs(&undisturbed.root));

    let (mut seed, mut cut_short) = (42, 0);
    for round in 0..KILLS {
        let volume = Volume::new();
        let service = Process::start(&volume.root);
        let moment = time * u32::try_from(random(&mut seed) % 1000).unwrap() / 1000;
        let url = service.url.clone();
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(moment);
            drop(service);
        });
        cut_short += u32::from(volume.whole(&url).await.is_err());
        killer.await.unwrap();

        let service = Process::start(&volume.root);
        assert_eq!(unfinished(&volume.root), 0, "round {round}, killed after {moment:?}");
        let commit = volume.whole(&service.url).await.unwrap();
        assert_eq!((commit, refs(&volume.root)), expected, "round {round}, killed after {moment:?}");
        sound(&volume.root);
        if cut_short == CUT_SHORT {
            return;
        }
    }
    panic!("only {cut_short} of {KILLS} were cut short");
}
