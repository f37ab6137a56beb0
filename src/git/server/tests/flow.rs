//! The whole way of one phase: claim, a task's push, integration, merge with tag and note.

use super::support::*;
use crate::git::{client::GitClient, ops::*};

pub(super) fn phase() -> PhaseKey {
    PhaseKey { uid: "uid-1".to_owned(), namespace: "team".to_owned(), name: "hello-1".to_owned() }
}

pub(super) fn author() -> Signature {
    Signature { name: "Klein".to_owned(), email: "klein@example.org".to_owned(), seconds: 1_700_000_000 }
}

fn base() -> RefName {
    RefName::branch("main").unwrap()
}

pub(super) fn release() -> RefName {
    RefName::branch("release/phase-1-v1.0.0").unwrap()
}

pub(super) fn tag() -> RefName {
    RefName::tag("phase-1-v1.0.0").unwrap()
}

pub(super) fn ensure() -> EnsureRepository {
    EnsureRepository { base: base(), upstream: false }
}

pub(super) fn claim() -> ClaimRelease {
    ClaimRelease {
        phase: phase(),
        release: release(),
        base: base(),
        upstream: None,
        claim: RefName::new("refs/phasegate/claims/phase-1").unwrap(),
        tag: tag(),
        reapply: None,
    }
}

/// Of a task's commit into the release branch, which is at `start`.
pub(super) fn integrate(source: CommitId, start: &CommitId) -> Integrate {
    Integrate {
        release: release(),
        base: base(),
        upstream: None,
        expected_head: Some(start.clone()),
        source,
        resolves: None,
        kind: MergeKind::Squash,
        task_uid: "uid-klein".to_owned(),
        run: 1,
        phase_uid: phase().uid,
        work: "hello-1.a.1.1".to_owned(),
        title: "phase-1-a: work".to_owned(),
        body: String::new(),
        author: author(),
    }
}

/// Of the release branch's reviewed head into the base branch, which is at `start`.
pub(super) fn merge(head: CommitId, tree: TreeId, start: CommitId) -> MergeToBase {
    MergeToBase {
        phase: phase(),
        release: release(),
        rolls_back: None,
        pushed: None,
        head,
        tree,
        base: base(),
        expected_base: start,
        upstream: None,
        tags: vec![TagSpec { name: tag(), message: "phase 1 v1.0.0".to_owned() }],
        title: "Merge phase 1 v1.0.0".to_owned(),
        body: String::new(),
        note: "score 9.91".to_owned(),
        author: author(),
    }
}

/// Goes the whole way, or what is left of it; the merge commit, or the first thing that failed.
pub(super) async fn whole(client: &GitClient, remote: &str) -> Result<CommitId, String> {
    let failed = |error: crate::git::client::ClientError| error.to_string();
    client.call("team", "hello", &ensure()).await.map_err(failed)?;
    let claimed = client.call("team", "hello", &claim()).await.map_err(failed)?;
    if let ClaimReleaseAnswer::Adopted { commit, .. } = claimed {
        return Ok(commit);
    }
    let ClaimReleaseAnswer::Claimed { base: start, .. } = claimed else { return Err(format!("{claimed:?}")) };
    let source = push(remote).await?;
    let integrated = client.call("team", "hello", &integrate(source, &start)).await.map_err(failed)?;
    let IntegrateAnswer::Integrated { head, tree, .. } = integrated else { return Err(format!("{integrated:?}")) };
    let merged = client.call("team", "hello", &merge(head, tree, start)).await.map_err(failed)?;
    let MergeToBaseAnswer::Merged { commit, .. } = merged else { return Err(format!("{merged:?}")) };
    Ok(commit)
}

/// A task's work, the same at every call, on its branch and as its reports.
async fn push(remote: &str) -> Result<CommitId, String> {
    let folder = tempfile::tempdir().unwrap();
    let work = Work { dir: folder.path().to_owned() };
    let run = async |args: &[&str]| {
        let output = work.git(args).await;
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    run(&["clone", "--quiet", "--branch", "main", remote, "."]).await?;
    work.noise(1 << 20);
    work.commit("work").await;
    run(&["push", "--quiet", "origin", "HEAD:refs/phasegate/logs/uid-klein/1"]).await?;
    run(&["push", "--quiet", "origin", "HEAD:refs/heads/feature/phase-1-a"]).await?;
    Ok(work.head().await)
}
