//! The ready-made strings of the status: what printer columns show.

use super::project::Stamp;
use crate::{
    api::phase::{PhaseState, PhaseStatus, PhaseTaskState},
    text,
};

/// Such as `1/3`; empty before the first attempt.
pub(super) fn attempt(status: &PhaseStatus, limit: i32) -> String {
    if status.attempt == 0 { String::new() } else { text::cut(&format!("{}/{limit}", status.attempt), 16) }
}

/// Such as `3/5`: tasks of the spec that are integrated. A rework does not unmake them.
pub(super) fn tasks(status: &PhaseStatus, stamp: &Stamp) -> String {
    let integrated = |name: &&String| {
        status.tasks.iter().any(|task| &task.name == *name && task.state == PhaseTaskState::Integrated)
    };
    format!("{}/{}", stamp.tasks.iter().filter(integrated).count(), stamp.tasks.len())
}

/// What it waits for; never empty where it waits.
pub(super) fn waiting_for(status: &PhaseStatus, stamp: &Stamp) -> String {
    if let Some(first) = status.blocked_by.first() {
        let more = status.blocked_by.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return text::cut(&format!("{}{rest}", first.message), 500);
    }
    match status.state {
        PhaseState::Pending | PhaseState::Passed | PhaseState::Failed => String::new(),
        PhaseState::Preparing => "the release branch".to_owned(),
        PhaseState::Developing => developer(status),
        PhaseState::Reviewing => match &status.review {
            Some(review) if !review.commit.is_empty() => "checks".to_owned(),
            Some(_) | None => "its turn on the base branch".to_owned(),
        },
        PhaseState::Backoff => {
            status.backoff_until.as_ref().map_or_else(String::new, |until| format!("backoff until {}", until.0))
        }
        PhaseState::AwaitingApproval => text::cut(&format!("you: {}", stamp.asked_of_person.join(", ")), 500),
        PhaseState::Merging => "the merge".to_owned(),
        PhaseState::RollingBack if !stamp.dependants_at_work.is_empty() => {
            text::cut(&format!("{} to stop", stamp.dependants_at_work.join(", ")), 500)
        }
        PhaseState::RollingBack => match &status.rollback {
            Some(rollback) if !rollback.commit.is_empty() => "checks of the base branch without it".to_owned(),
            Some(_) | None => "its turn on the base branch".to_owned(),
        },
        PhaseState::RolledBack => "you: a raised spec.version".to_owned(),
        PhaseState::Escalated => {
            let why =
                status.escalation.as_ref().map_or_else(String::new, |escalation| format!("{:?}", escalation.reason));
            format!("you: {why}")
        }
    }
}

fn developer(status: &PhaseStatus) -> String {
    let names = |state| {
        let of_state = status.tasks.iter().filter(move |task| task.state == state);
        of_state.map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (working, waiting) = (names(PhaseTaskState::Working), names(PhaseTaskState::Waiting));
    match (working.is_empty(), waiting.is_empty()) {
        (false, _) => text::cut(&format!("developer: {working}"), 500),
        (true, false) => text::cut(&format!("a developer for {waiting}"), 500),
        (true, true) => "the review".to_owned(),
    }
}

/// Cut to what the API takes, at a character.
pub(super) fn cut(text: &str) -> String {
    text::cut(text, 1000)
}
