//! The one way a commit is handed in: snapshot, push, report. The first of a run wins.

use std::time::Duration;

use super::{
    super::{
        client::CallError,
        merging,
        protocol::{MAX_TEXT, SubmissionReport},
        repository::TransferError,
        snapshot::{Limits, Snapshot, SnapshotError, snapshot},
    },
    Companion,
};
use crate::{
    api::agent_task::{FindingAnswer, FindingAnswerKind},
    git::command::CommandError,
    text::cut,
};

/// Longest time to push, and to report, while the agent waits.
const LONGEST: Duration = Duration::from_mins(1);
/// Longest time to take the work tree. A delivery waits for it, and must be done within the pod's grace period.
const TAKE: Duration = Duration::from_secs(25);

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubmitError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("failed to push the work: {0}")]
    Push(#[from] TransferError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the work tree is the same as at the start; do the work, then submit")]
    Unchanged,
    #[error(
        "conflict markers are left in {}; resolve each (git grep -n '<<<<<<< integrated' shows them), then submit",
        named(.0)
    )]
    Unresolved(Vec<String>),
    #[error(transparent)]
    Git(#[from] CommandError),
    #[error("this task has no branch to submit to")]
    NoBranch,
}

/// What was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submitted {
    pub(super) commit: String,
    /// It was submitted before; this call changed nothing.
    pub(super) before: bool,
}

impl Companion {
    /// Submits the work tree as it is.
    pub(super) async fn submit(&self, summary: &str, answers: Vec<FindingAnswer>) -> Result<Submitted, SubmitError> {
        let mut submitted = self.submitted.lock().await;
        if let Some(first) = submitted.as_ref() {
            return Ok(Submitted { commit: first.clone(), before: true });
        }
        let snapshot = self.snapshot(TAKE).await?;
        let disputed = |answer: &FindingAnswer| answer.answer == FindingAnswerKind::Disputed;
        self.is_resolved(&snapshot).await?;
        // A rework may consist of words alone: every finding is wrong. And a conflict may end in favour of what is
        // integrated.
        let words_alone = !answers.is_empty() && answers.iter().all(disputed);
        if !snapshot.changed && !words_alone && self.assignment.merged.is_none() {
            return Err(SubmitError::Unchanged);
        }
        let pushed = self.push_branch(&snapshot.commit, LONGEST).await;
        let report = SubmissionReport { commit: snapshot.commit.clone(), summary: cut(summary, MAX_TEXT), answers };
        let counts = match pushed {
            Ok(()) => self.client.submit(&report, LONGEST).await?,
            // Closed by an earlier submission that this process does not remember: the operator does. It is asked in no
            // other case: what is not in the repository must not become a submission.
            Err(error) if !error.to_string().contains("has submitted its work") => return Err(error),
            Err(error) => match self.client.submit(&report, LONGEST).await {
                Ok(first) if first != snapshot.commit => first,
                Ok(_) | Err(_) => return Err(error),
            },
        };
        *submitted = Some(counts.clone());
        tracing::info!(commit = counts, "submitted");
        Ok(Submitted { before: counts != snapshot.commit, commit: counts })
    }

    pub(super) async fn snapshot(&self, longest: Duration) -> Result<Snapshot, SnapshotError> {
        let limits = Limits { time: longest, ..self.limits };
        snapshot(&self.repository, &self.places.workspace, &self.authorship(), limits).await
    }

    /// Refuses a work tree in which a merge is not made.
    pub(super) async fn is_resolved(&self, snapshot: &Snapshot) -> Result<(), SubmitError> {
        let Some(merged) = &self.assignment.merged else { return Ok(()) };
        let left = merging::unresolved(&self.repository, merged, &snapshot.commit).await?;
        if left.is_empty() { Ok(()) } else { Err(SubmitError::Unresolved(left)) }
    }

    /// Whether there is anything to submit without being told to: a merge that nobody touched is no work.
    pub(super) async fn has_work(&self, snapshot: &Snapshot) -> Result<bool, SubmitError> {
        let Some(merged) = &self.assignment.merged else { return Ok(snapshot.changed) };
        Ok(snapshot.changed && !merging::is_untouched(&self.repository, merged, &snapshot.commit).await?)
    }

    /// Pushes a commit to the task's branch.
    pub(super) async fn push_branch(&self, commit: &str, longest: Duration) -> Result<(), SubmitError> {
        let branch = self.assignment.branch.as_deref().ok_or(SubmitError::NoBranch)?;
        Ok(self.repository.push(&[format!("{commit}:refs/heads/{branch}")], longest).await?)
    }
}

fn named(paths: &[String]) -> String {
    let some = paths.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > 10 { format!("{some} and {} more files", paths.len() - 10) } else { some }
}
