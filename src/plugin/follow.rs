//! What to print when a phase has changed, and when there is nothing left to wait for. Pure: two
//! looks at a phase in, lines out.

use std::collections::BTreeMap;

use super::{
    reading,
    text::{Look, Tone, plain, short},
};
use crate::api::{
    Phase, PhaseStatus, ReviewResult, ReviewResultStatus,
    evidence::Severity,
    phase::{Blocked, BlockedReason, JudgementRecord, PhaseState, PhaseTaskState},
    review_result::{JudgedFinding, ReasonType, Verdict},
};

/// Findings named under a refusal; the rest is in the report.
const SHOWN_FINDINGS: usize = 5;

/// ReviewResults by name.
pub(crate) type Results = BTreeMap<String, ReviewResult>;

/// Judgements in `now` that `before` did not have.
pub(crate) fn new_judgements<'a>(before: Option<&Phase>, now: &'a Phase) -> &'a [JudgementRecord] {
    let history = now.status.as_ref().map_or(&[][..], |status| status.history.as_slice());
    let known = before.and_then(|before| before.status.as_ref()?.history.last());
    // Counted from the end: the history keeps only the newest records.
    let start = known.and_then(|known| history.iter().rposition(|record| record.result == known.result));
    history.get(start.map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// The lines that tell what happened between two looks at a phase; `before` is none at the first.
/// `width` is the longest name that is watched, in characters.
pub(crate) fn lines(before: Option<&Phase>, now: &Phase, results: &Results, width: usize, look: &Look) -> Vec<String> {
    let Some(status) = &now.status else { return Vec::new() };
    if status.observed_generation < 0 {
        return Vec::new();
    }
    let mut told = Vec::new();
    for record in new_judgements(before, now) {
        told.extend(judged(status, record, results.get(&record.result), look));
    }
    let past = before.and_then(|before| before.status.as_ref());
    told.extend(worked(past, status));
    told.extend(reviewed(past, status));
    told.extend(moved(past, now, status, look));
    let name = reading::name(now);
    told.iter()
        .flat_map(|entry| entry.iter().enumerate())
        .map(
            |(line, text)| if line == 0 { format!("{name:<width$}  {text}") } else { format!("{:width$}  {text}", "") },
        )
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// One thing that happened: a line, and lines below it.
type Entry = Vec<String>;

fn judged(status: &PhaseStatus, record: &JudgementRecord, result: Option<&ReviewResult>, look: &Look) -> Option<Entry> {
    let attempt = format!("attempt {}  ", reading::attempt_of(status, record.attempt));
    let last = status.history.last().is_some_and(|last| last.result == record.result);
    match record.verdict {
        // Told with what follows from it: merged, or waits for a person.
        Verdict::Pass
            if last
                && matches!(status.state, PhaseState::Passed | PhaseState::AwaitingApproval | PhaseState::Merging) =>
        {
            None
        }
        Verdict::Pass => Some(vec![format!("{attempt}{} passes the gate", record.score)]),
        Verdict::Inconclusive => {
            let word = look.paint(Tone::Waits, "INCONCLUSIVE");
            Some(vec![format!("{attempt}{word}: {}", why_refused(result).join("; "))])
        }
        Verdict::Fail => {
            let word = look.paint(Tone::Bad, "REFUSED");
            let mut entry =
                vec![format!("{attempt}{}{word}: {}", against_passing(record, result), why_refused(result).join("; "))];
            entry.extend(dearest(result));
            let then = what_follows(status, record);
            let line = entry.pop().unwrap_or_default();
            entry.push(format!("{line}  {}", look.paint(Tone::Quiet, then)));
            Some(entry)
        }
    }
}

/// What became of a refusal: a person, another judgement of the same attempt after a waiver, or the next attempt.
fn what_follows(status: &PhaseStatus, record: &JudgementRecord) -> &'static str {
    let later = status.history.iter().rev().take_while(|other| other.result != record.result);
    let again = || later.clone().any(|later| later.attempt == record.attempt);
    let waived = status.state == PhaseState::Reviewing && status.attempt == record.attempt;
    if waived || again() {
        "→ judged again"
    } else if status.state == PhaseState::Escalated && later.clone().next().is_none() {
        "→ no attempt is left or helps: a person decides"
    } else {
        "→ sent back to Klein"
    }
}

/// `9.01 ≥ 9.0, `: the total against what passes.
fn against_passing(record: &JudgementRecord, result: Option<&ReviewResult>) -> String {
    let total = result.and_then(|result| result.status.as_ref()?.score_thousandths);
    match (total, result) {
        (Some(total), Some(result)) => {
            let passing = result.spec.rubric.passing_score;
            let sign = if total >= i32::from(passing.tenths()) * 100 { "≥" } else { "<" };
            format!("{} {sign} {passing}, ", record.score)
        }
        _ if record.score.is_empty() => "no score, ".to_owned(),
        _ => format!("{}, ", record.score),
    }
}

/// Why a judgement was no pass: signs of gaming, then floors in their short form, then the rest.
fn why_refused(result: Option<&ReviewResult>) -> Vec<String> {
    let Some(status) = result.and_then(|result| result.status.as_ref()) else {
        return vec!["its ReviewResult is gone".to_owned()];
    };
    let (gamed, others): (Vec<_>, Vec<_>) = status.reasons.iter().partition(|reason| reason.kind == ReasonType::Gamed);
    let mut why: Vec<String> = gamed.iter().map(|reason| plain(&reason.message)).collect();
    why.extend(below_floor(status));
    // The total is on the line already, and the floors are said shorter.
    let told = [ReasonType::BelowFloor, ReasonType::BelowPassingScore, ReasonType::Passed];
    why.extend(others.iter().filter(|reason| !told.contains(&reason.kind)).map(|reason| plain(&reason.message)));
    if why.is_empty() {
        why.extend(status.reasons.iter().map(|reason| plain(&reason.message)));
    }
    why
}

/// `security 4.0 is below its floor 9.0`, for each category that is.
pub(crate) fn below_floor(status: &ReviewResultStatus) -> Vec<String> {
    let below = status.categories.iter().filter_map(|category| {
        let score = category.score.filter(|score| *score < category.floor)?;
        Some(format!("{} {score} is below its floor {}", plain(&category.name), category.floor))
    });
    below.collect()
}

/// The findings that cost most.
fn dearest(result: Option<&ReviewResult>) -> Vec<String> {
    let status = result.and_then(|result| result.status.as_ref());
    let findings: Vec<&JudgedFinding> = status.into_iter().flat_map(reading::charged).collect();
    let grave = findings.iter().filter(|finding| finding.severity() >= Severity::Major).count();
    let shown = if grave == 0 { findings.len().min(3) } else { grave.min(SHOWN_FINDINGS) };
    let mut lines: Vec<_> = findings.iter().take(shown).map(|judged| finding_line(judged)).collect();
    if findings.len() > shown {
        lines.push(format!("and {} more", findings.len() - shown));
    }
    lines
}

/// `gateway.py:41 B602 Critical: subprocess call with shell=True`.
pub(crate) fn finding_line(judged: &JudgedFinding) -> String {
    let finding = &judged.finding;
    format!("{} {} {:?}: {}", place(judged), plain(&finding.rule), finding.severity, plain(&finding.message))
}

/// `gateway.py:41`, or the path alone.
pub(crate) fn place(judged: &JudgedFinding) -> String {
    place_of(&judged.finding.path, judged.finding.line)
}

/// The same of a path and a line.
pub(crate) fn place_of(path: &str, line: i32) -> String {
    let path = if path.is_empty() { "(no file)".to_owned() } else { plain(path) };
    if line > 0 { format!("{path}:{line}") } else { path }
}

/// Tasks that started, ended or failed.
fn worked(past: Option<&PhaseStatus>, status: &PhaseStatus) -> Vec<Entry> {
    let was = |agent_task: &str| {
        past.and_then(|past| past.tasks.iter().find(|task| task.agent_task == agent_task)).map(|task| task.state)
    };
    let attempt = format!("attempt {}  ", reading::attempt_of(status, status.attempt));
    let all = status.tasks.len();
    let integrated =
        |past: &PhaseStatus| past.tasks.iter().filter(|task| task.state == PhaseTaskState::Integrated).count();
    let mut done = past.filter(|past| past.attempt == status.attempt).map_or(0, integrated);
    let changed = status.tasks.iter().filter(|task| was(&task.agent_task) != Some(task.state));
    // At the first look, work that is done already is old news.
    let news = changed.filter(|task| past.is_some() || task.state == PhaseTaskState::Working);
    let (mut started, mut entries) = (Vec::new(), Vec::new());
    for task in news {
        match task.state {
            PhaseTaskState::Waiting => {}
            PhaseTaskState::Working => started.push(task.name.as_str()),
            PhaseTaskState::Integrated => {
                let commit = task.commit.as_deref().map(|commit| format!(" as {}", short(commit))).unwrap_or_default();
                done += 1;
                let of_all = if status.attempt > 1 { String::new() } else { format!(" ({done}/{all})") };
                entries.push(vec![format!("{attempt}{} integrated{commit}{of_all}", task.name)]);
            }
            PhaseTaskState::Failed => {
                entries.push(vec![format!("{attempt}{} failed: {}", task.name, plain(&task.message))]);
            }
        }
    }
    if !started.is_empty() {
        entries.push(vec![format!("{attempt}at work: {}", started.join(", "))]);
    }
    entries
}

/// A review that began: the commit to judge is known only once the base branch is integrated.
fn reviewed(past: Option<&PhaseStatus>, status: &PhaseStatus) -> Option<Entry> {
    let commit = |status: &PhaseStatus| status.review.as_ref().map(|review| review.commit.clone());
    let now = commit(status).filter(|commit| !commit.is_empty() && status.state == PhaseState::Reviewing)?;
    let known = past.and_then(commit).is_some_and(|before| before == now);
    let attempt = reading::attempt_of(status, status.attempt);
    (!known).then(|| vec![format!("attempt {attempt}  checks run on {}", short(&now))])
}

/// The state, if it is another than before.
fn moved(past: Option<&PhaseStatus>, phase: &Phase, status: &PhaseStatus, look: &Look) -> Option<Entry> {
    let same_state = past.is_some_and(|past| past.state == status.state && past.observed_generation >= 0);
    // Why it waits, not how far the others are meanwhile, nor what no longer stands in the way.
    let news = |past: &PhaseStatus| {
        let known = |blocked: &Blocked| past.blocked_by.iter().any(|before| before.reason == blocked.reason);
        !status.blocked_by.iter().all(known)
    };
    if same_state && !past.is_some_and(news) {
        return None;
    }
    let attempt = format!("attempt {}  ", reading::attempt_of(status, status.attempt));
    if let Some(blocked) = status.blocked_by.first() {
        let more = match status.blocked_by.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: {})", look.command(&format!("why {}", reading::name(phase)))),
        };
        return Some(vec![format!("waits: {}{more}", plain(&blocked.message))]);
    }
    let line = match status.state {
        PhaseState::Pending
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::Merging => return None,
        PhaseState::RollingBack => {
            let by =
                status.rollback.as_ref().map(|back| format!(", by {}: {}", plain(&back.user), plain(&back.reason)));
            format!("rolls back{}", by.unwrap_or_default())
        }
        PhaseState::RolledBack => {
            let what = status.rollback.as_ref().map(|back| {
                format!(
                    "  taken back by {}, tag {} stays",
                    short(back.reverted.as_deref().unwrap_or_default()),
                    back.tag
                )
            });
            format!("{}{}", look.paint(Tone::Waits, "ROLLED BACK"), what.unwrap_or_default())
        }
        PhaseState::Preparing => "starts".to_owned(),
        PhaseState::AwaitingApproval => {
            let word = look.paint(Tone::Waits, "WAITS");
            format!("{attempt}{} passes the gate, {word} for {}", status.summary.score, waiting_for(status))
        }
        PhaseState::Passed => return Some(vec![passed(status, &attempt, look)]),
        PhaseState::Escalated => {
            let word = look.paint(Tone::Bad, "ESCALATED");
            match &status.escalation {
                Some(escalation) => {
                    format!("{attempt}{word} {:?}: {}", escalation.reason, plain(&escalation.message))
                }
                None => format!("{attempt}{word}"),
            }
        }
        PhaseState::Failed => format!("{attempt}{}", look.paint(Tone::Bad, "GIVEN UP")),
    };
    Some(vec![line])
}

fn passed(status: &PhaseStatus, attempt: &str, look: &Look) -> String {
    let word = look.paint(Tone::Good, "PASSED");
    if status.adopted {
        return format!("{word}  its tag and gate note were on the base branch already");
    }
    let merge = status.merge.as_ref().map(|merge| format!("  merged {}, tag {}", short(&merge.commit), merge.tag));
    format!("{attempt}{} {word}{}", status.summary.score, merge.unwrap_or_default())
}

/// What a phase waits for, in the operator's words.
pub(crate) fn waiting_for(status: &PhaseStatus) -> String {
    if status.summary.waiting_for.is_empty() { "a person".to_owned() } else { plain(&status.summary.waiting_for) }
}

/// Whether anything can still happen to a phase by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Settled {
    /// Something will happen.
    No,
    /// It waits for what only a person can mend; right after an `apply` that may pass by itself.
    Blocked,
    /// Finished, or waits for a person's decision.
    Yes,
}

/// Whether the phase `name` is settled among all phases of its namespace.
pub(crate) fn settled(name: &str, phases: &BTreeMap<String, Phase>) -> Settled {
    settled_below(name, phases, phases.len())
}

/// `depth` bounds the walk where phases depend on one another in a circle.
fn settled_below(name: &str, phases: &BTreeMap<String, Phase>, depth: usize) -> Settled {
    let Some(phase) = phases.get(name) else { return Settled::Blocked };
    let Some(status) = phase.status.as_ref().filter(|status| status.observed_generation >= 0) else {
        return Settled::No;
    };
    match status.state {
        PhaseState::Passed
        | PhaseState::Failed
        | PhaseState::Escalated
        | PhaseState::RolledBack
        | PhaseState::AwaitingApproval => Settled::Yes,
        _ if reading::suspended(phase) != reading::Suspended::No => Settled::Blocked,
        PhaseState::Pending => {
            let by_person = status.blocked_by.iter().any(|blocked| needs_person(blocked.reason));
            let by_phase = phase.spec.depends_on.iter().any(|dependency| {
                let passed = phases.get(dependency).is_some_and(|phase| reading::state(phase) == PhaseState::Passed);
                !passed && depth > 0 && settled_below(dependency, phases, depth - 1) != Settled::No
            });
            if by_person || by_phase { Settled::Blocked } else { Settled::No }
        }
        PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::RollingBack
        | PhaseState::Backoff
        | PhaseState::Merging => Settled::No,
    }
}

/// Whether a reason for not starting goes away only when a person changes something.
const fn needs_person(reason: BlockedReason) -> bool {
    match reason {
        BlockedReason::DependencyNotPassed | BlockedReason::RepositoryNotReady | BlockedReason::OperationFailed => {
            false
        }
        BlockedReason::Suspended
        | BlockedReason::DependencyMissing
        | BlockedReason::DependencyCycle
        | BlockedReason::TaskCycle
        | BlockedReason::RepositoryMissing
        | BlockedReason::AgentMissing
        | BlockedReason::PodTemplateMissing
        | BlockedReason::PodTemplateInvalid
        | BlockedReason::CheckImageMissing
        | BlockedReason::CheckNameTaken
        | BlockedReason::CheckUnknown
        | BlockedReason::CriterionUnprovable
        | BlockedReason::NoEvidencePossible
        | BlockedReason::WeakensGate
        | BlockedReason::NumberTaken
        | BlockedReason::TagPromised
        | BlockedReason::WeightMissing
        | BlockedReason::TooManyDecisions => true,
    }
}
