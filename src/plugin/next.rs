//! Which command comes next for a phase, and what helps against each reason for a stop. Pure.

use std::fmt::Write as _;

use super::{
    reading::{self, Suspended},
    text::Look,
    waive::short_id,
};
use crate::{
    api::{
        Phase, ReviewResult,
        phase::{EscalationReason, PhaseState, PhaseStatus, PhaseTaskState, PhaseTaskStatus},
    },
    git::flow::{self, Line},
    machine::phase::{BASE_MERGE, RetryLeads, retry_leads},
};

/// Ids that one command line names.
const MAX_IDS: usize = 10;

/// Commands that move the phase on, the likeliest first, each with what it does.
pub(crate) fn commands(phase: &Phase, result: Option<&ReviewResult>, look: &Look) -> Vec<(String, &'static str)> {
    let name = reading::name(phase);
    let one = |words: String, what| (look.command(&words), what);
    let suspended = reading::suspended(phase);
    if suspended == Suspended::ByDecision {
        return vec![one(format!("resume {name}"), "let it go on")];
    }
    match reading::state(phase) {
        PhaseState::AwaitingApproval => vec![
            one(approve(phase, result), "let it merge"),
            one(format!("report {name}"), "read the review first"),
            one(format!("reject {name} --note 'what has to change'"), "send it back"),
        ],
        PhaseState::Escalated if escalation(phase).is_some_and(is_for_waiving) => {
            let waive = waive(phase, result).map(|words| one(words, "accept it as it is"));
            let mut commands = vec![one(format!("report {name}"), "read both sides and the lines of the diff first")];
            commands.extend(waive);
            commands.push(one(format!("retry {name} --note 'what to do differently'"), "send it back once more"));
            commands.push(one(format!("abort {name} --note 'why'"), "give it up"));
            commands
        }
        PhaseState::Escalated if retried(phase) == TO_THE_ROLLBACK => vec![
            one(format!("retry {name}"), TO_THE_ROLLBACK),
            one(format!("abort {name} --note 'why'"), "keep the phase as it passed"),
        ],
        PhaseState::RolledBack => vec![one(format!("report {name}"), "read its last review")],
        PhaseState::Escalated => vec![
            one(format!("retry {name} --note 'what to do differently'"), retried(phase)),
            one(format!("report {name}"), "read the last review"),
            one(format!("abort {name} --note 'why'"), "give it up"),
        ],
        PhaseState::Passed => vec![one(format!("report {name}"), "read its review")],
        PhaseState::Failed => Vec::new(),
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::RollingBack
        | PhaseState::Merging => match suspended {
            Suspended::BySpec => Vec::new(),
            Suspended::No | Suspended::ByDecision => vec![one(format!("watch {name}"), "see what happens")],
        },
    }
}

/// The task with the commit that no developer could merge into the release branch, if one is why the phase is parked.
pub(crate) fn to_merge(status: &PhaseStatus) -> Option<(&PhaseTaskStatus, &str)> {
    let stopped = status.escalation.as_ref()?.reason == EscalationReason::Conflict;
    let mut failed = status.tasks.iter().filter(|task| stopped && task.state == PhaseTaskState::Failed);
    failed.find_map(|task| Some((task, task.conflict.as_deref()?)))
}

/// How a person merges what no developer could, step by step; nothing if that is not what the phase waits for.
pub(crate) fn by_hand(phase: &Phase, look: &Look) -> Vec<String> {
    let steps = || {
        let status = phase.status.as_ref()?;
        let release = &status.release.as_ref()?.branch;
        let (task, commit) = to_merge(status)?;
        let merge = if task.name == BASE_MERGE {
            // What the base branch and an upstream come to may be on no branch.
            let name = flow::to_merge(phase.metadata.uid.as_deref()?).ok()?;
            format!("kubectl phasegate git fetch origin {name} && git merge FETCH_HEAD")
        } else {
            format!("git merge {commit}")
        };
        let fix = Line::of(&phase.spec).fix_branch("by-hand").ok()?;
        let (repository, fix) = (&phase.spec.repository_ref.name, fix.short());
        Some(vec![
            format!("{} && cd {repository}", look.command(&format!("clone {repository}"))),
            format!("git switch -c by-hand origin/{release} && {merge}  # mend what conflicts, and commit"),
            format!("kubectl phasegate git push origin HEAD:{fix}"),
            look.command(&format!("retry {} --commit \"$(git rev-parse HEAD)\"", reading::name(phase))),
        ])
    };
    steps().unwrap_or_default()
}

const TO_THE_ROLLBACK: &str = "make the revert and check it again";

/// What a Retry does to this phase.
fn retried(phase: &Phase) -> &'static str {
    let escalation = phase.status.as_ref().and_then(|status| status.escalation.as_ref());
    let leads = escalation.map_or(RetryLeads::ToAnAttempt, |stop| retry_leads(stop.reason, stop.from));
    match leads {
        RetryLeads::ToTheClaim => "try to start again",
        RetryLeads::ToTheTasks => "hand out again what failed; no attempt is spent",
        RetryLeads::ToTheReview => "review the same work again; no attempt is spent",
        RetryLeads::ToTheMerge => "try the merge again",
        RetryLeads::ToTheRollback => TO_THE_ROLLBACK,
        RetryLeads::ToAnAttempt => "start one more attempt",
    }
}

fn escalation(phase: &Phase) -> Option<EscalationReason> {
    phase.status.as_ref()?.escalation.as_ref().map(|escalation| escalation.reason)
}

/// Whether a person may find that the change is right and the gate is wrong.
const fn is_for_waiving(reason: EscalationReason) -> bool {
    match reason {
        EscalationReason::Gamed | EscalationReason::Disputed => true,
        EscalationReason::AttemptsExhausted
        | EscalationReason::PhaseTimeout
        | EscalationReason::Inconclusive
        | EscalationReason::NoProgress
        | EscalationReason::Conflict
        | EscalationReason::TagTaken
        | EscalationReason::TaskFailed
        | EscalationReason::DependencyRolledBack
        | EscalationReason::RollbackFailed
        | EscalationReason::PushRejected
        | EscalationReason::BudgetExceeded => false,
    }
}

/// The waive command for what the phase is parked for; none if the last review does not name it.
fn waive(phase: &Phase, result: Option<&ReviewResult>) -> Option<String> {
    let status = result?.status.as_ref()?;
    let ids: Vec<&str> = if escalation(phase)? == EscalationReason::Gamed {
        reading::open_signs(status).map(|sign| sign.id.as_str()).collect()
    } else {
        reading::disputed(status).map(|judged| judged.finding.id.as_str()).collect()
    };
    let mut words = format!("waive {}", reading::name(phase));
    for id in ids.iter().take(MAX_IDS) {
        let _ = write!(words, " --finding {}", short_id(id));
    }
    (!ids.is_empty()).then(|| format!("{words} --reason 'why it is right'"))
}

/// The approve command with an answer for every criterion that a person judges.
pub(crate) fn approve(phase: &Phase, result: Option<&ReviewResult>) -> String {
    let mut words = format!("approve {}", reading::name(phase));
    for criterion in reading::person_criteria(phase, result) {
        let _ = write!(words, " --answer {}=yes", criterion.name);
    }
    words
}

/// What a person can do about an escalation.
pub(crate) const fn remedy(reason: EscalationReason) -> &'static str {
    match reason {
        EscalationReason::AttemptsExhausted => {
            "read the findings; say in the retry's note what to do differently, or push a fix and retry with its commit"
        }
        EscalationReason::PhaseTimeout => "see which task took so long; raise spec.timeout, then retry",
        EscalationReason::Inconclusive => {
            "see why the check could not be started (its image, the cluster's room) or was not answered, mend that, then retry"
        }
        EscalationReason::NoProgress => {
            "the developer does not get any further by itself: say in the retry's note how, or push a fix and retry with its commit"
        }
        EscalationReason::Conflict => {
            "merge by hand as shown below, push that to a bugfix branch and retry with its commit; or retry without one"
        }
        EscalationReason::TagTaken => "remove the tag or raise spec.version, then retry",
        EscalationReason::DependencyRolledBack => {
            "wait until the phase it depends on has passed again, then retry; or abort it"
        }
        EscalationReason::RollbackFailed => {
            "see what needs the phase; mend or roll back that first, then retry; or abort the rollback, which keeps the phase"
        }
        EscalationReason::PushRejected => {
            "allow the push at the upstream, or set spec.upstream.deliver of the Repository to Branch or None; then retry"
        }
        EscalationReason::BudgetExceeded => "raise the budget, then retry",
        EscalationReason::TaskFailed => "read the task's message and its pod's log, mend the cause, then retry",
        EscalationReason::Disputed => {
            "read both sides in the report; waive the finding if the developer is right, else retry with a note"
        }
        EscalationReason::Gamed => {
            "look at what the change does to tests, suppressions and gate files; waive what is right, else retry with a note, or abort"
        }
    }
}
