//! Work in progress, saved while the agent works: what a lost node takes with it is the work of one period.
//!
//! The tree is read while it is written to, by the same walk as at the end: it follows no link and is bounded in files,
//! bytes and time. A tree that cannot be taken now is tried again a period later; its fault is reported at the end, when
//! the agent has had the chance to mend it. Reading must not slow the agent down: the pause after a save is a multiple
//! of the time it took.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{
        repository::TransferError,
        snapshot::{Limits, SnapshotError, saved},
    },
    Companion,
};
use crate::api::agent_task::Role;

/// Longest time to take the work tree for a save.
const TAKE: Duration = Duration::from_secs(25);
/// Longest time to push it.
const PUSH: Duration = Duration::from_mins(1);
/// At most one part in so many of the companion's time goes into saves.
const SHARE: u32 = 10;

/// Why something was not saved. The next period tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("failed to push the saved work: {0}")]
    Push(#[from] TransferError),
}

/// Saves a developer's work again and again. It ends only by being dropped.
pub(super) async fn save_again_and_again(companion: &Companion) {
    match companion.assignment.role {
        Role::Developer => {}
        Role::Check | Role::Reviewer | Role::Sync => return,
    }
    let mut last = None;
    let mut pause = companion.period;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        if companion.submitted.try_lock().is_ok_and(|submitted| submitted.is_some()) {
            return;
        }
        match companion.save(last.as_deref()).await {
            Ok(Some(commit)) => {
                tracing::info!(commit, "saved the work in progress");
                last = Some(commit);
            }
            Ok(None) => {}
            Err(error) => tracing::info!(%error, "the work in progress is not saved this time"),
        }
        pause = companion.period.max(begun.elapsed() * SHARE);
    }
}

impl Companion {
    /// Saves the work tree as it is; `Some` with its commit if it differs from the start commit and from `last`.
    pub(super) async fn save(&self, last: Option<&str>) -> Result<Option<String>, SaveError> {
        let limits = Limits { time: TAKE, ..self.limits };
        let snapshot = saved(&self.repository, &self.places.workspace, &self.authorship(), limits).await?;
        // A tree that was taken back to the start is saved only over one that was not.
        if Some(snapshot.commit.as_str()) == last || (!snapshot.changed && last.is_none()) {
            return Ok(None);
        }
        self.repository.push(&[format!("{}:{}", snapshot.commit, self.corner("wip"))], PUSH).await?;
        Ok(Some(snapshot.commit))
    }
}
