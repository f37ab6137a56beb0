//! What a person wants, turned into a Decision, or into words why it cannot be one now. Pure.
//!
//! The operator judges every Decision again when it acts on it: what is checked here spares the
//! person a Decision that would do nothing.

use std::fmt::Write as _;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::{
    args::Answer,
    next,
    reading::{self, Suspended},
    text::Look,
    waive,
};
use crate::api::{
    DecisionSpec, Phase, PhaseStatus, ReviewResult,
    decision::{self, DecisionType},
    phase::PhaseState,
};

/// Why a Decision is not written, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Approve { answers: Vec<Answer>, note: String },
    Reject { note: String },
    Retry { attempts: i32, commit: Option<String>, note: String },
    Waive { findings: Vec<String>, criteria: Vec<String>, reason: String, until: Option<Timestamp> },
    Abort { note: String },
    Rollback { reason: String },
    Suspend { note: String },
    Resume { note: String },
}

/// The Decision for a wish, or why there is none.
///
/// # Errors
/// When the operator would not act on it as things stand; the text names what to do instead.
pub(crate) fn decide(
    wish: &Wish,
    phase: &Phase,
    result: Option<&ReviewResult>,
    user: &str,
    look: &Look,
) -> Result<DecisionSpec, Refused> {
    let status = observed(phase)?;
    let name = reading::name(phase);
    let spec = DecisionSpec {
        kind: DecisionType::Approve,
        phase: name.to_owned(),
        phase_uid: phase.metadata.uid.clone().unwrap_or_default(),
        attempt: status.attempt,
        commit: None,
        user: user.to_owned(),
        answers: Vec::new(),
        attempts: None,
        findings: Vec::new(),
        criteria: Vec::new(),
        reason: String::new(),
        until: None,
        note: String::new(),
    };
    match wish {
        Wish::Approve { answers, note } => {
            let commit = reviewed(phase, status, result, look, "approve")?;
            let answers = answered(phase, result, answers, look)?;
            Ok(DecisionSpec { commit: Some(commit), answers, note: note.clone(), ..spec })
        }
        Wish::Reject { note } => {
            let commit = reviewed(phase, status, result, look, "reject")?;
            let note = said("--note", note, name, "what has to change")?;
            Ok(DecisionSpec { kind: DecisionType::Reject, commit: Some(commit), note, ..spec })
        }
        Wish::Retry { attempts, commit, note } => {
            if status.state != PhaseState::Escalated {
                return Err(unfit(phase, result, look, "only an escalated phase is retried"));
            }
            let commit = commit.as_deref().map(full_commit).transpose()?;
            Ok(DecisionSpec {
                kind: DecisionType::Retry,
                attempts: Some(*attempts),
                commit,
                note: note.clone(),
                ..spec
            })
        }
        Wish::Waive { findings, criteria, reason, until } => {
            unfinished(phase, result, look)?;
            let findings = waive::ids(phase, result, findings, look)?;
            let criteria = waive::criteria(phase, result, criteria)?;
            if findings.is_empty() && criteria.is_empty() {
                let report = look.command(&format!("report {name}"));
                return Err(Refused(format!(
                    "say what to waive: --finding ID or --criterion NAME; the ids are in {report}"
                )));
            }
            let reason = said("--reason", reason, name, "why it is accepted")?;
            Ok(DecisionSpec { kind: DecisionType::Waive, findings, criteria, reason, until: until.map(Time), ..spec })
        }
        Wish::Abort { note } => {
            unfinished(phase, result, look)?;
            let note = said("--note", note, name, "why it is given up")?;
            Ok(DecisionSpec { kind: DecisionType::Abort, note, ..spec })
        }
        Wish::Rollback { reason } => {
            if status.state != PhaseState::Passed {
                return Err(unfit(phase, result, look, "only a phase that passed is rolled back"));
            }
            let reason = said("--reason", reason, name, "why it is taken back")?;
            Ok(DecisionSpec { kind: DecisionType::Rollback, reason, ..spec })
        }
        Wish::Suspend { note } => {
            unfinished(phase, result, look)?;
            match reading::suspended(phase) {
                Suspended::No => Ok(DecisionSpec { kind: DecisionType::Suspend, note: note.clone(), ..spec }),
                Suspended::BySpec | Suspended::ByDecision => Err(Refused(format!("{name} is suspended already"))),
            }
        }
        Wish::Resume { note } => match reading::suspended(phase) {
            Suspended::ByDecision => Ok(DecisionSpec { kind: DecisionType::Resume, note: note.clone(), ..spec }),
            Suspended::BySpec => Err(Refused(format!(
                "{name} is suspended by its manifest, which a Decision does not overrule: set spec.suspend to false and apply it"
            ))),
            Suspended::No => Err(Refused(format!("{name} is not suspended"))),
        },
    }
}

/// Whether a Decision did what was wished, once the operator has used it: one that came too late is
/// used up without effect.
///
/// # Errors
/// When the phase as it is now shows no effect of it.
pub(crate) fn took_effect(wish: &Wish, uid: &str, before: &Phase, phase: &Phase) -> Result<(), Refused> {
    let state = reading::state(phase);
    let approved = phase.status.iter().filter_map(|status| status.approval.as_ref()).any(|by| by.decision_uid == uid);
    let done = match wish {
        Wish::Approve { answers, .. } if answers.iter().all(|answer| answer.met) => approved,
        Wish::Approve { .. } | Wish::Reject { .. } => state != PhaseState::AwaitingApproval,
        Wish::Retry { .. } => state != PhaseState::Escalated,
        Wish::Waive { .. } => {
            phase.status.iter().flat_map(|status| &status.waivers).any(|waiver| waiver.decision_uid == uid)
        }
        // A rollback that is given up leaves what passed as it is.
        Wish::Abort { .. } => state == PhaseState::Failed || (state == PhaseState::Passed && rolls_back(before)),
        Wish::Rollback { .. } => {
            phase.status.iter().filter_map(|status| status.rollback.as_ref()).any(|back| back.decision_uid == uid)
        }
        Wish::Suspend { .. } => reading::suspended(phase) != Suspended::No,
        Wish::Resume { .. } => reading::suspended(phase) == Suspended::No,
    };
    if done {
        return Ok(());
    }
    let name = reading::name(phase);
    Err(Refused(format!(
        "the operator saw it and it had no effect: {name} is {state:?} now. Why: kubectl describe phase {name}"
    )))
}

fn rolls_back(phase: &Phase) -> bool {
    phase.status.as_ref().is_some_and(|status| status.rollback.is_some())
}

fn observed(phase: &Phase) -> Result<&PhaseStatus, Refused> {
    phase.status.as_ref().filter(|status| status.observed_generation >= 0).ok_or_else(|| {
        Refused(format!(
            "the operator has not looked at {} yet: see that it runs and watches this namespace (kubectl get pods -A -l app.kubernetes.io/part-of=phasegate)",
            reading::name(phase)
        ))
    })
}

/// The commit that was reviewed and that a person is asked about.
fn reviewed(
    phase: &Phase,
    status: &PhaseStatus,
    result: Option<&ReviewResult>,
    look: &Look,
    verb: &str,
) -> Result<String, Refused> {
    if status.state != PhaseState::AwaitingApproval {
        return Err(unfit(phase, result, look, &format!("there is nothing to {verb}")));
    }
    let commit = status.review.as_ref().map(|review| review.commit.clone()).filter(|commit| !commit.is_empty());
    commit.ok_or_else(|| Refused(format!("{} names no reviewed commit: try again in a moment", reading::name(phase))))
}

/// One answer for each criterion that a person judges, and no others.
fn answered(
    phase: &Phase,
    result: Option<&ReviewResult>,
    answers: &[Answer],
    look: &Look,
) -> Result<Vec<decision::Answer>, Refused> {
    let asked = reading::person_criteria(phase, result);
    if let Some(answer) = answers.iter().find(|answer| !asked.iter().any(|known| known.name == answer.criterion)) {
        let names: Vec<_> = asked.iter().map(|criterion| criterion.name.as_str()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Refused(format!("{} is no criterion that a person judges here: {known}", answer.criterion)));
    }
    for (at, answer) in answers.iter().enumerate() {
        if answers[..at].iter().any(|earlier| earlier.criterion == answer.criterion) {
            return Err(Refused(format!("{} is answered twice: give one answer for each criterion", answer.criterion)));
        }
    }
    let open: Vec<_> =
        asked.iter().filter(|known| !answers.iter().any(|answer| answer.criterion == known.name)).collect();
    if !open.is_empty() {
        let mut text = format!("{} asks a person, and has no answer for:\n", reading::name(phase));
        for criterion in &open {
            let _ = writeln!(text, "  {}: {}", criterion.name, criterion.description);
        }
        let command = look.command(&with_answers(phase, answers, &open));
        return Err(Refused(format!("{text}If all of it is so: {command}")));
    }
    let answer = |answer: &Answer| decision::Answer {
        criterion: answer.criterion.clone(),
        met: answer.met,
        note: String::new(),
    };
    Ok(answers.iter().map(answer).collect())
}

/// The approve command with the answers that were given and yes for the open ones.
fn with_answers(phase: &Phase, given: &[Answer], open: &[&reading::PersonCriterion]) -> String {
    let said = given.iter().map(|answer| (answer.criterion.as_str(), if answer.met { "yes" } else { "no" }));
    let missing = open.iter().map(|criterion| (criterion.name.as_str(), "yes"));
    let mut words = format!("approve {}", reading::name(phase));
    for (criterion, answer) in said.chain(missing) {
        let _ = write!(words, " --answer {criterion}={answer}");
    }
    words
}

fn said(flag: &str, text: &str, name: &str, what: &str) -> Result<String, Refused> {
    if text.trim().is_empty() {
        return Err(Refused(format!("say {what}: {flag} '…' must not be empty (phase {name})")));
    }
    Ok(text.to_owned())
}

/// Only a full commit id is unmistakable.
fn full_commit(commit: &str) -> Result<String, Refused> {
    let hex = commit.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && commit.len() == 40 {
        return Ok(commit.to_owned());
    }
    Err(Refused(format!("--commit takes the full id of a commit, not {commit:?}: see git rev-parse {commit}")))
}

fn unfinished(phase: &Phase, result: Option<&ReviewResult>, look: &Look) -> Result<(), Refused> {
    match reading::state(phase) {
        PhaseState::Passed | PhaseState::Failed => Err(unfit(phase, result, look, "it is finished")),
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Merging
        | PhaseState::RollingBack
        | PhaseState::RolledBack
        | PhaseState::Escalated => Ok(()),
    }
}

/// `alicia-5 is Escalated: there is nothing to approve. Next: …`.
fn unfit(phase: &Phase, result: Option<&ReviewResult>, look: &Look, why: &str) -> Refused {
    let name = reading::name(phase);
    let next = next::commands(phase, result, look).into_iter().next();
    let next = next.map(|(command, what)| format!("\nNext: {command}  # {what}")).unwrap_or_default();
    Refused(format!("{name} is {:?}: {why}{next}", reading::state(phase)))
}
