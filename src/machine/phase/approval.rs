//! What an approval is good for.

use crate::api::PhaseStatus;

/// Whether a person has approved what was reviewed: this very commit, or another of the same attempt and gate whose
/// changed files are the same, if they have answered what is asked of a person now. A move of the base branch elsewhere
/// thus asks nobody again (design §5: an approval holds while the patch is the same).
pub fn is_approved(status: &PhaseStatus, person_criteria: &[String]) -> bool {
    let reviewed = status.review.as_ref().filter(|review| !review.commit.is_empty());
    let (Some(approval), Some(review)) = (&status.approval, reviewed) else { return false };
    let same_patch = !review.patch.is_empty() && approval.patch == review.patch;
    approval.commit == review.commit
        || (same_patch && person_criteria.iter().all(|criterion| approval.criteria.contains(criterion)))
}
