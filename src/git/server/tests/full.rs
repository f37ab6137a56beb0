//! A volume without space left.

use std::{path::Path, process::Command};

use super::{flow, support::*};
use crate::git::ops::*;

const BRANCH: &str = "HEAD:refs/heads/feature/phase-1-a";

/// A file system of 16 MiB, gone when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mounted() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=16m", "phasegate-test"];
        assert!(Command::new("mount").args(mount).arg(folder.path()).status().unwrap().success());
        Self(folder)
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves less than a page.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let full = std::io::copy(&mut std::io::repeat(7), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn root_of(small: &Small) -> &Path {
    small.0.path()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a small file system: needs root"]
async fn a_full_volume_refuses_writes_in_words_serves_reads_and_recovers() {
    let small = Small::mounted();
    let served = served_at(root_of(&small).join("repositories")).await;
    let client = served.client("operator");
    let work = served.work("klein").await;
    work.noise(1 << 20);
    work.commit("noise").await;
    let before = served.refs();
    small.fill();

    let (passed, said) = work.push(BRANCH).await;
    assert!(!passed && said.contains("No space left on device"), "{said}");
    let error = client.call("team", "hello", &flow::claim()).await.unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    ok(git(&work.dir, &["clone", "--quiet", &served.remote("check"), "read"]).await);
    assert_eq!(served.refs(), before);
    served.sound();
    assert_eq!(served.unfinished(), 0);

    std::fs::remove_file(small.filler()).unwrap();
    let (passed, said) = work.push(BRANCH).await;
    assert!(passed, "{said}");
    let claimed = client.call("team", "hello", &flow::claim()).await.unwrap();
    assert!(matches!(claimed, ClaimReleaseAnswer::Claimed { .. }), "{claimed:?}");
    served.sound();
}
