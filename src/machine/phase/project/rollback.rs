//! What is recorded of a rollback.

use super::{Stamp, cut, drop_push, enter};
use crate::{
    api::phase::{PhaseState, PhaseStatus, RollbackStatus},
    text,
};

/// A person wants the phase back out. Only what was merged can be.
pub(super) fn begin(status: &mut PhaseStatus, uid: &str, user: &str, reason: &str, stamp: &Stamp) {
    let Some(merge) = status.merge.clone() else { return };
    drop_push(status);
    status.rollback = Some(RollbackStatus {
        decision_uid: uid.to_owned(),
        user: text::cut(user, 256),
        reason: text::cut(reason, 2048),
        merge: merge.commit,
        tag: merge.tag,
        ..RollbackStatus::default()
    });
    enter(status, PhaseState::RollingBack, stamp);
}

/// The next revert, to be checked by the gate as it is now.
pub(super) fn begin_revert(status: &mut PhaseStatus, commit: &str, tree: &str, base: &str, stamp: &Stamp) {
    let Some(rollback) = &mut status.rollback else { return };
    rollback.number = rollback.number.saturating_add(1);
    commit.clone_into(&mut rollback.commit);
    tree.clone_into(&mut rollback.tree);
    base.clone_into(&mut rollback.base);
    rollback.gate_hash.clone_from(&stamp.gate_hash);
}

/// The number stays, so that the checks of the next revert get names of their own.
pub(super) fn drop_revert(status: &mut PhaseStatus) {
    drop_push(status);
    if let Some(rollback) = &mut status.rollback {
        rollback.commit = String::new();
    }
}

/// The base branch holds the rollback: the phase is merged no more.
pub(super) fn done(status: &mut PhaseStatus, commit: &str, stamp: &Stamp) {
    if let Some(rollback) = &mut status.rollback {
        rollback.reverted = Some(commit.to_owned());
    }
    status.merge = None;
    enter(status, PhaseState::RolledBack, stamp);
}

/// The base branch holds a rollback that this record knows nothing of.
pub(super) fn found(status: &mut PhaseStatus, merge: &str, tag: &str, commit: &str, stamp: &Stamp) {
    let (merge, tag) = (merge.to_owned(), tag.to_owned());
    status.rollback = Some(RollbackStatus { merge, tag, ..RollbackStatus::default() });
    done(status, commit, stamp);
}

/// Nothing of what let it pass counts any more, but what was done stays done: the new release branch starts with it.
pub(super) fn begin_anew(status: &mut PhaseStatus) {
    status.release = None;
    status.review = None;
    status.approval = None;
    status.adopted = false;
    status.summary.score = String::new();
    status.granted_attempts = status.granted_attempts.max(status.attempt);
    if let Some(rollback) = &status.rollback {
        status.note = cut(&rollback.reason);
    }
}
