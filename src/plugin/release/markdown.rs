//! A release plan for people. Texts of others stay on their line.

use std::fmt::Write as _;

use super::{ReleasePlan, ReleasedPhase, TagState};
use crate::plugin::text::{count, plain, short};

/// The plan as Markdown: it ends with what can be taken over as release notes.
pub(crate) fn markdown(plan: &ReleasePlan) -> String {
    let ReleasePlan { repository, phase, version, passed, since, tags, phases, rolled_back, open, delivery } = plan;
    let mut text = format!("# Release {version} of {repository}\n\n");
    let what = if *passed { "was made" } else { "will be made" };
    let _ = writeln!(text, "A plan: nothing is changed by it. The release {what} by the merge of {phase}; {delivery}.");
    if !open.is_empty() {
        text.push_str("\n## To be looked at\n\n");
        for line in open {
            let _ = writeln!(text, "- {}", inline(line));
        }
    }
    text.push_str("\n## Tags\n\n| tag | on | |\n| --- | --- | --- |\n");
    for tag in tags {
        let on = tag.commit.as_deref().map_or_else(|| "the merge".to_owned(), short);
        let state = match tag.state {
            TagState::Exists => "exists".to_owned(),
            TagState::Planned => "comes with the merge".to_owned(),
            TagState::Taken => format!("taken by {}", tag.by.as_deref().unwrap_or_default()),
        };
        let _ = writeln!(text, "| {} | {on} | {state} |", tag.name);
    }
    let begin = since.as_ref().map_or_else(
        || "Everything since the first phase".to_owned(),
        |since| format!("Since {} ({}, {})", since.tag, since.phase, short(&since.commit)),
    );
    let _ = write!(text, "\n## Changes\n\n{begin}: {}.\n", count(phases.len(), "phase"));
    for phase in phases.iter().rev() {
        text.push_str(&section(phase));
    }
    if !rolled_back.is_empty() {
        text.push_str("\n### Taken back\n\n");
        for phase in rolled_back {
            let why = inline(&phase.reason);
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let _ = writeln!(text, "- {}, tag {} stays{why}", phase.name, phase.tag);
        }
    }
    text
}

/// One phase: what it is for, what was done, and how it passed.
fn section(phase: &ReleasedPhase) -> String {
    let mut text = format!("\n### {} {} ({})\n\n", capital(&phase.title), phase.version, phase.name);
    if !phase.objective.trim().is_empty() {
        let _ = write!(text, "{}\n\n", inline(&phase.objective));
    }
    for task in &phase.tasks {
        let _ = writeln!(text, "- {}: {}", task.name, inline(&task.description));
    }
    let _ = write!(text, "\n{}\n", passed(phase));
    if !(phase.waivers.is_empty() && phase.decisions.is_empty()) {
        text.push('\n');
    }
    for waiver in &phase.waivers {
        let _ = writeln!(
            text,
            "- {} waived {}: {}",
            inline(&waiver.user),
            inline(&waiver.what.join(", ")),
            inline(&waiver.reason)
        );
    }
    for act in &phase.decisions {
        let note = if act.note.trim().is_empty() { String::new() } else { format!(": {}", inline(&act.note)) };
        let _ = writeln!(text, "- {} by {}{note}", act.kind, inline(&act.user));
    }
    text
}

fn passed(phase: &ReleasedPhase) -> String {
    let score = if phase.score.is_empty() { String::new() } else { format!(" with {}", inline(&phase.score)) };
    let Some(merge) = &phase.merge else { return "Not merged yet.".to_owned() };
    let at = merge.at.map(|at| format!(" on {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
    let attempts = u32::try_from(phase.attempts).map_or(0, |attempts| attempts as usize);
    let spent =
        if phase.adopted { "in an earlier life".to_owned() } else { format!("in {}", count(attempts, "attempt")) };
    let approved =
        phase.approved_by.as_deref().map(|user| format!(", approved by {}", inline(user))).unwrap_or_default();
    format!("Passed{score} {spent}, merged as {}{at}{approved}.", short(&merge.commit))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn inline(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
