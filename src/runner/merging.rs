//! The merge that git could not make: what the work tree of its developer starts with, and whether it is made.
//!
//! `prepare` merges in the pod's own repository, where nothing of the work tree has a say; the agent gets the result as a
//! change of the start commit, and both sides as branches of its repository. The companion refuses a work tree in which
//! the markers of that merge are left.

use std::{collections::BTreeSet, path::Path};

use super::{
    prepare::PrepareError,
    protocol::Merged,
    repository::{MERGED, PodRepository, START},
};
use crate::{
    api::conflict::{ConflictWith, TaskConflict},
    git::command::CommandError,
};

/// What is integrated: a branch of the agent's repository, and the name in conflict markers.
pub(super) const INTEGRATED: &str = "integrated";
/// Most files with markers that are remembered.
const MAX_MARKED: usize = 1000;

/// The other side, likewise.
pub(super) const fn other(with: ConflictWith) -> &'static str {
    match with {
        ConflictWith::OwnWork => "own-work",
        ConflictWith::BaseBranch => "base-branch",
    }
}

/// Merges both sides, which the repository has, and keeps the result at [`MERGED`].
pub(super) async fn merge(repository: &PodRepository, conflict: &TaskConflict) -> Result<Merged, PrepareError> {
    let other = other(conflict.with);
    repository.git(&["update-ref", &format!("refs/heads/{INTEGRATED}"), START]).run().await?;
    // What both had before is in the markers, too: it says what each side meant.
    let merge = ["-c", "merge.conflictStyle=diff3", "merge-tree", "--write-tree", "--allow-unrelated-histories"];
    let answer = repository.git(&[&merge[..], &[INTEGRATED, other]].concat()).answer().await?;
    let conflicts = match answer.code {
        0 => false,
        1 if !answer.truncated => true,
        _ => return Err(answer.failed().into()),
    };
    let tree = answer.text().lines().next().unwrap_or_default().to_owned();
    let author = ["-c", "user.name=phasegate", "-c", "user.email=git@phasegate.dev"];
    let commit = [&author[..], &["commit-tree", &tree, "-p", START, "-m", "both sides"]].concat();
    let commit = repository.git(&commit).run().await?.text();
    repository.git(&["update-ref", MERGED, &commit]).run().await?;
    let mut marked = marked(repository, MERGED).await?;
    for side in [INTEGRATED, other] {
        let already = self::marked(repository, &format!("refs/heads/{side}")).await?;
        marked.retain(|path| !already.contains(path));
    }
    Ok(Merged { tree, conflicts, marked: marked.into_iter().take(MAX_MARKED).collect() })
}

/// Files of a commit with a line that begins or ends a conflict of ours.
async fn marked(repository: &PodRepository, commit: &str) -> Result<BTreeSet<String>, CommandError> {
    let names = format!("{INTEGRATED}|{}|{}", other(ConflictWith::OwnWork), other(ConflictWith::BaseBranch));
    let pattern = format!("^(<<<<<<<|>>>>>>>) ({names})(:|[[:space:]]|$)");
    let answer = repository.git(&["grep", "-I", "-l", "-z", "-E", "-e", &pattern, commit]).answer().await?;
    if answer.code > 1 || (answer.code < 0 && !answer.truncated) {
        return Err(answer.failed());
    }
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let paths = text.split_terminator('\0').filter_map(|found| found.strip_prefix(commit)?.strip_prefix(':'));
    Ok(paths.map(str::to_owned).collect())
}

/// Files that git could not merge and in which markers are left.
pub(super) async fn unresolved(
    repository: &PodRepository,
    merged: &Merged,
    commit: &str,
) -> Result<Vec<String>, CommandError> {
    if merged.marked.is_empty() {
        return Ok(Vec::new());
    }
    let left = marked(repository, commit).await?;
    Ok(merged.marked.iter().filter(|path| left.contains(*path)).cloned().collect())
}

/// Whether a commit is the merge as it was given, although git could not make it all.
pub(super) async fn is_untouched(
    repository: &PodRepository,
    merged: &Merged,
    commit: &str,
) -> Result<bool, CommandError> {
    let tree = repository.git(&["rev-parse", &format!("{commit}^{{tree}}")]).run().await?.text();
    Ok(merged.conflicts && tree == merged.tree)
}

/// Both sides as branches of the agent's repository.
pub(super) async fn show_sides(
    repository: &PodRepository,
    workspace: &Path,
    conflict: &TaskConflict,
) -> Result<(), PrepareError> {
    let branch = |name: &str| format!("+refs/heads/{name}:refs/heads/{name}");
    let (ours, theirs) = (branch(INTEGRATED), branch(other(conflict.with)));
    let source = repository.dir().to_string_lossy();
    super::prepare::in_work_tree(
        workspace,
        &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &source, &ours, &theirs],
    )
    .await
}
