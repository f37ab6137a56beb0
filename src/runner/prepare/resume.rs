//! The work that an earlier run of the same task saved, brought into the work tree.
//!
//! The start commit stays where it is: what was saved is a change of the work tree, as if the agent had just made it, so
//! that the submission is still one commit on the start commit.

use std::path::Path;

use super::{LONGEST, PrepareError, Resumed, in_work_tree};
use crate::runner::{
    protocol::Assignment,
    repository::{PodRepository, RESUMED, START},
};

/// Finds and fetches the newest work that this run may take up. None if no run has saved any.
pub(super) async fn fetch(
    repository: &PodRepository,
    assignment: &Assignment,
) -> Result<Option<Resumed>, PrepareError> {
    let Some(resume) = &assignment.resume else { return Ok(None) };
    let found = repository.saved_runs(&assignment.uid, LONGEST).await;
    let found = found.map_err(|source| PrepareError::Saved { source })?;
    let allowed = resume.since..assignment.run;
    let Some(run) = found.into_iter().filter(|run| allowed.contains(run)).max() else { return Ok(None) };
    let fetched = repository.fetch_saved(&assignment.uid, run, LONGEST).await;
    fetched.map_err(|source| PrepareError::Saved { source })?;
    let ids = [RESUMED.to_owned(), format!("{RESUMED}^@"), START.to_owned()];
    let ids = repository.git(&["rev-parse", &ids[0], &ids[1], &ids[2]]).run().await?.text();
    let ids: Vec<&str> = ids.split_ascii_whitespace().collect();
    match ids[..] {
        [commit, parent, start] if parent == start => Ok(Some(Resumed { run, commit: commit.to_owned() })),
        // Nothing that we saved: its changes would be taken for work on a commit that they were not made on.
        _ => {
            tracing::warn!(run, "what is kept as saved work is not on the start commit, and is left alone");
            Ok(None)
        }
    }
}

/// Brings the tree of a reference, what was saved or a merge, into a work tree that is at the start commit. The index is
/// the start commit's again at the end, so that the agent sees it as changes.
pub(super) async fn check_out(
    repository: &PodRepository,
    workspace: &Path,
    reference: &str,
) -> Result<(), PrepareError> {
    let source = repository.dir().to_string_lossy();
    let refspec = format!("{reference}:{reference}");
    let steps: [&[&str]; 4] = [
        &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &source, &refspec],
        &["read-tree", "--reset", "-u", reference],
        &["update-ref", "-d", reference],
        &["reset", "--quiet", "--mixed"],
    ];
    for step in steps {
        in_work_tree(workspace, step).await?;
    }
    Ok(())
}
