//! `why`: where a phase is and for what reason, in plain words. Pure.

use super::{
    follow::{below_floor, place, place_of},
    next, reading,
    reading::Suspended,
    text::{Look, Tone, count, plain, short},
};
use crate::api::{
    Phase, PhaseStatus, ReviewResult,
    evidence::{GamingSign, SeverityCounts},
    phase::{EscalationReason, PhaseState, PhaseTaskState},
    review_result::{CategoryScore, CriterionState, JudgedFinding, ReviewResultStatus, Uncharged, Verdict},
};

/// Findings listed; the report has them all.
const SHOWN_FINDINGS: usize = 20;

/// The whole answer. `result` is the last judged ReviewResult, if there is one.
pub(crate) fn why(phase: &Phase, result: Option<&ReviewResult>, look: &Look) -> String {
    let mut paragraphs = vec![headline(phase, look)];
    if let Some(status) = &phase.status {
        paragraphs.extend(stops(status, look));
        paragraphs.extend(tasks(status));
    }
    if let Some(result) = result {
        paragraphs.extend(judgement(result, look));
        paragraphs.extend(signs(result, look));
        paragraphs.extend(criteria(result));
        paragraphs.extend(findings(result, look));
        paragraphs.extend(disputes(result));
        paragraphs.extend(recommendations(result));
    }
    paragraphs.extend(coming(phase, result, look));
    let mut text = paragraphs.join("\n\n");
    text.push('\n');
    text
}

/// Where it is, in a sentence or two.
pub(crate) fn headline(phase: &Phase, look: &Look) -> String {
    let name = look.paint(Tone::Strong, reading::name(phase));
    let Some(status) = phase.status.as_ref().filter(|status| status.observed_generation >= 0) else {
        return format!(
            "{name} has not been looked at yet: the operator is starting, is not running, or does not watch this namespace."
        );
    };
    let mut line = format!("{name} {}", sentence(status, look));
    match reading::suspended(phase) {
        Suspended::No => {}
        Suspended::BySpec => line.push_str(" It is suspended by spec.suspend in its manifest."),
        Suspended::ByDecision => line.push_str(" It is suspended by a person."),
    }
    line
}

/// What a phase does, in one sentence.
fn sentence(status: &PhaseStatus, look: &Look) -> String {
    let attempt = reading::attempt_of(status, status.attempt).replace('/', " of ");
    let (done, all) = reading::tasks_done(status);
    match status.state {
        PhaseState::Pending if status.blocked_by.is_empty() => "is about to start.".to_owned(),
        PhaseState::Pending => "has not started.".to_owned(),
        PhaseState::Preparing => "claims its release branch.".to_owned(),
        PhaseState::Developing if status.attempt > 1 => {
            format!("is in attempt {attempt}: Klein mends what the last review found.")
        }
        PhaseState::Developing => {
            format!("is in attempt {attempt}: Klein works, {done} of {} integrated.", count(all, "task"))
        }
        PhaseState::Reviewing => {
            let commit =
                status.review.as_ref().map_or_else(|| "its release branch".to_owned(), |review| short(&review.commit));
            format!("is in attempt {attempt}: the checks run on {commit}.")
        }
        PhaseState::Backoff => {
            let until = status.backoff_until.as_ref().map(|until| format!(" at {:.0}", until.0)).unwrap_or_default();
            format!("was sent back; the next of its attempts (now {attempt}) starts{until}.")
        }
        PhaseState::AwaitingApproval => {
            format!("passed its gate with {} in attempt {attempt} and waits for a person.", status.summary.score)
        }
        PhaseState::Merging => format!("passed its gate with {} and is being merged.", status.summary.score),
        PhaseState::Passed if status.adopted => {
            format!("{}: its tag and gate note were on the base branch already.", look.paint(Tone::Good, "passed"))
        }
        PhaseState::Passed => {
            let merge =
                status.merge.as_ref().map(|merge| format!(": merged as {}, tag {}", short(&merge.commit), merge.tag));
            format!("{} in attempt {attempt}{}.", look.paint(Tone::Good, "passed"), merge.unwrap_or_default())
        }
        PhaseState::Escalated => {
            format!("{} in attempt {attempt}: a person has to decide.", look.paint(Tone::Bad, "is parked"))
        }
        PhaseState::RollingBack => {
            let by = status.rollback.as_ref().map(|back| format!(" by {}: {}", plain(&back.user), plain(&back.reason)));
            format!("is being rolled back{}.", by.unwrap_or_default())
        }
        PhaseState::RolledBack => {
            let what = status.rollback.as_ref().map(|back| {
                format!(
                    " as {}; the tag {} stays. Raise spec.version to deliver it again: it starts with what was taken away",
                    short(back.reverted.as_deref().unwrap_or_default()),
                    back.tag
                )
            });
            format!("{}{}.", look.paint(Tone::Waits, "was rolled back"), what.unwrap_or_default())
        }
        PhaseState::Failed => look.paint(Tone::Bad, "was given up by a person."),
    }
}

/// Escalation and everything in the way.
fn stops(status: &PhaseStatus, look: &Look) -> Vec<String> {
    let mut paragraphs = Vec::new();
    if let Some(escalation) = &status.escalation {
        let reason = look.paint(Tone::Bad, &format!("{:?}", escalation.reason));
        // A rollback, or what comes after one, is not merged by hand: the message says what helps.
        let elsewhere = escalation.reason == EscalationReason::Conflict && next::to_merge(status).is_none();
        let remedy = next::remedy(escalation.reason);
        let helps = if elsewhere { String::new() } else { format!("\nWhat helps: {remedy}.") };
        paragraphs.push(format!("{reason}: {}{helps}", plain(&escalation.message)));
    }
    if !status.blocked_by.is_empty() {
        let lines =
            status.blocked_by.iter().map(|blocked| format!("  {:?}: {}", blocked.reason, plain(&blocked.message)));
        paragraphs.push(block("In the way:", lines));
    }
    paragraphs
}

/// Tasks that are not done; nothing once all are.
fn tasks(status: &PhaseStatus) -> Option<String> {
    let open = status.tasks.iter().filter(|task| task.state != PhaseTaskState::Integrated).map(|task| {
        let message = if task.message.is_empty() { String::new() } else { format!(": {}", plain(&task.message)) };
        format!("  {} {}{message}", task.name, format!("{:?}", task.state).to_lowercase())
    });
    let lines: Vec<_> = open.collect();
    (!lines.is_empty()).then(|| block("Open tasks:", lines))
}

/// The score, category by category, with every lost tenth.
fn judgement(result: &ReviewResult, look: &Look) -> Option<String> {
    let status = result.status.as_ref()?;
    let verdict = match status.verdict? {
        Verdict::Pass => look.paint(Tone::Good, "passed"),
        Verdict::Fail => look.paint(Tone::Bad, "refused"),
        Verdict::Inconclusive => look.paint(Tone::Waits, "could not be judged"),
    };
    let score = status.score.as_deref().map_or_else(|| "no score".to_owned(), |score| format!("score {score}"));
    let passing = result.spec.rubric.passing_score;
    let title = format!(
        "Review of attempt {} ({}, commit {}): {verdict}, {score} (passes at {passing}).",
        result.spec.attempt,
        result.metadata.name.as_deref().unwrap_or_default(),
        short(&result.spec.commit),
    );
    let why = status.reasons.iter().map(|reason| format!("  {}", plain(&reason.message)));
    let width = status.categories.iter().map(|category| category.name.chars().count()).max().unwrap_or(0);
    let scores = status.categories.iter().flat_map(|category| score_lines(category, width, look));
    Some(block(&title, why.chain(scores)))
}

/// A category, and below it each piece of evidence that cost something.
fn score_lines(category: &CategoryScore, width: usize, look: &Look) -> Vec<String> {
    let score = category.score.map_or_else(|| "none".to_owned(), |score| score.to_string());
    let low = category.score.is_some_and(|score| score < category.floor);
    let note = match category.score {
        None => look.paint(Tone::Bad, "  no evidence"),
        Some(_) if low => look.paint(Tone::Bad, "  below its floor"),
        Some(_) => String::new(),
    };
    let name = plain(&category.name);
    let mut lines =
        vec![format!("  {name:<width$}  {score:>4}  weight {:>2}, floor {}{note}", category.weight, category.floor)];
    let costly = category.evidence.iter().filter(|evidence| evidence.score.tenths() < 100);
    lines.extend(
        costly
            .map(|evidence| format!("      {} {}: {}", plain(&evidence.source), evidence.score, plain(&evidence.why))),
    );
    lines
}

fn criteria(result: &ReviewResult) -> Option<String> {
    let lines: Vec<_> = reading::open_criteria(result)
        .map(|(name, state, message)| match state {
            CriterionState::AwaitsPerson => format!("  {}: a person has to say. {}", plain(name), plain(message)),
            CriterionState::Unmet | CriterionState::Met | CriterionState::Waived => {
                format!("  {}: not met. {}", plain(name), plain(message))
            }
        })
        .collect();
    (!lines.is_empty()).then(|| block("Open criteria:", lines))
}

fn findings(result: &ReviewResult, look: &Look) -> Option<String> {
    let status = result.status.as_ref()?;
    let open: Vec<&JudgedFinding> = reading::charged(status).collect();
    let lines = open.iter().take(SHOWN_FINDINGS).map(|judged| {
        let finding = &judged.finding;
        let again = if judged.persisting { " (again)" } else { "" };
        let agree = match judged.reported_by.len() {
            0 | 1 => String::new(),
            agree => format!(" ({agree} agree)"),
        };
        format!(
            "  {:?}  {}  {} {}{again}{agree}",
            finding.severity,
            place(judged),
            plain(&finding.rule),
            plain(&finding.message)
        )
    });
    let mut lines: Vec<_> = lines.collect();
    if open.len() > SHOWN_FINDINGS {
        let rest = open.len() - SHOWN_FINDINGS;
        lines.push(format!("  and {rest} more: {}", look.command(&format!("report {}", result.spec.phase))));
    }
    lines.extend(spared(status));
    let title = if open.is_empty() { "Findings:".to_owned() } else { format!("Open findings ({}):", totals(status)) };
    (!lines.is_empty()).then(|| block(&title, lines))
}

/// What is shown though it costs nothing, counted.
fn spared(status: &ReviewResultStatus) -> Option<String> {
    let known = status.known.filter(|known| *known != SeverityCounts::default());
    let known = known.map(|known| format!("{} known from the base", named_counts(known)));
    let counted = |why, words: &str| match reading::spared(status, why).len() {
        0 => None,
        n => Some(format!("{n} {words}")),
    };
    let waived = counted(Uncharged::Waived, "waived");
    let shadow = counted(Uncharged::Shadow, "by shadow reviewers alone");
    let all: Vec<String> = known.into_iter().chain(waived).chain(shadow).collect();
    (!all.is_empty()).then(|| format!("  not charged: {}", all.join("; ")))
}

/// Signs that the change weakens what judges it, each with the line of the diff that shows it.
fn signs(result: &ReviewResult, look: &Look) -> Option<String> {
    let status = result.status.as_ref()?;
    let lines: Vec<String> = reading::open_signs(status).take(SHOWN_FINDINGS).flat_map(sign_lines).collect();
    let title = look.paint(Tone::Bad, "Signs that the change weakens what judges it:");
    (!lines.is_empty()).then(|| block(&title, lines))
}

fn sign_lines(sign: &GamingSign) -> Vec<String> {
    let GamingSign { id: _, kind, path, line, text, message } = sign;
    let place = if path.is_empty() { String::new() } else { format!("{}  ", place_of(path, *line)) };
    let mut lines = vec![format!("  {kind:?}  {place}{}", plain(message))];
    lines.extend((!text.is_empty()).then(|| format!("      {}", plain(text))));
    lines
}

/// What the developer disputes and was found again: both sides.
fn disputes(result: &ReviewResult) -> Option<String> {
    let status = result.status.as_ref()?;
    let lines: Vec<String> = reading::disputed(status)
        .take(SHOWN_FINDINGS)
        .flat_map(|judged| {
            let finding = &judged.finding;
            let who = if judged.reported_by.is_empty() { judged.check.clone() } else { judged.reported_by.join(", ") };
            [
                format!("  {}  {}", place(judged), plain(&finding.rule)),
                format!("      {} says: {}", plain(&who), plain(&finding.message)),
                format!("      the developer says: {}", plain(&judged.dispute)),
            ]
        })
        .collect();
    (!lines.is_empty()).then(|| block("Disputed and found again:", lines))
}

/// `1 Critical, 3 Minor`: exact, also where the list is cut.
pub(crate) fn totals(status: &ReviewResultStatus) -> String {
    status.counts.map_or_else(|| count(reading::charged(status).count(), "finding"), named_counts)
}

/// Counts with the names of their severities.
pub(crate) fn named_counts(counts: SeverityCounts) -> String {
    let named =
        [(counts.critical, "Critical"), (counts.major, "Major"), (counts.minor, "Minor"), (counts.info, "Info")];
    let some: Vec<_> = named.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

fn recommendations(result: &ReviewResult) -> Option<String> {
    let status = result.status.as_ref()?;
    let lines: Vec<_> = status.recommendations.iter().map(|text| format!("  - {}", plain(text))).collect();
    // A result without a word of advice still says what has to rise.
    let lines = if lines.is_empty() {
        below_floor(status).into_iter().map(|text| format!("  - {text}: mend the findings that cost it")).collect()
    } else {
        lines
    };
    (!lines.is_empty()).then(|| block("Recommendations:", lines))
}

/// What it waits for and which commands come next.
fn coming(phase: &Phase, result: Option<&ReviewResult>, look: &Look) -> Option<String> {
    let waiting =
        phase.status.as_ref().map(|status| status.summary.waiting_for.as_str()).filter(|text| !text.is_empty());
    let mut lines: Vec<_> = waiting.map(|text| format!("Waits for {}", plain(text))).into_iter().collect();
    let commands = next::commands(phase, result, look);
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (at, (command, what)) in commands.iter().enumerate() {
        let word = if at == 0 { "Next:" } else { "  or:" };
        lines.push(format!("{word} {command:<width$}  {}", look.paint(Tone::Quiet, &format!("# {what}"))));
    }
    let by_hand = next::by_hand(phase, look);
    if !by_hand.is_empty() {
        lines.push("By hand, one after the other:".to_owned());
        lines.extend(by_hand.into_iter().map(|step| format!("  {step}")));
    }
    if reading::suspended(phase) == Suspended::BySpec {
        lines.push("Next: set spec.suspend to false in the manifest and apply it".to_owned());
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn block(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    std::iter::once(title.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}
