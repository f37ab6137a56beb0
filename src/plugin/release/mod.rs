//! `prepare-release`: what a release of a repository holds, from the records of its phases (seed: Release Management).
//! PURE: objects in, a plan out. Nothing is tagged, merged or delivered by it: a phase's tags come with its merge.

mod markdown;
mod record;
#[cfg(test)]
mod tests;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use self::record::{merged_at, phase_of};
use super::{decide::Refused, reading};
use crate::{
    api::{
        Decision, Phase, Repository,
        phase::{MergeStatus, PhaseState},
        repository::Deliver,
    },
    git::flow::{self, Line},
};

pub(crate) use markdown::markdown;

/// What a release holds, and what stands in its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleasePlan {
    /// Name of the Repository.
    pub repository: String,
    /// Name of the Phase that makes the release.
    pub phase: String,
    /// Its version.
    pub version: String,
    /// Whether the phase has passed, so that its tags are there.
    pub passed: bool,
    /// The release before it, after which the changes begin; none: they begin with the first phase.
    pub since: Option<Since>,
    /// The tags of the phase.
    pub tags: Vec<PlannedTag>,
    /// The phases in it, in the order of their merges.
    pub phases: Vec<ReleasedPhase>,
    /// Phases that were merged since, and taken back out.
    pub rolled_back: Vec<RolledBackPhase>,
    /// What stands in its way or ought to be known, in words.
    pub open: Vec<String>,
    /// What leaves the cluster, in words.
    pub delivery: String,
}

/// The release before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Since {
    /// `release-v{version}`.
    pub tag: String,
    /// The Phase that made it.
    pub phase: String,
    /// Its merge commit.
    pub commit: String,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedTag {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub state: TagState,
    /// The commit that it names; none before the merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The Phase that has it, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Whether a tag is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum TagState {
    /// It is, on the phase's merge commit.
    Exists,
    /// The merge will make it.
    Planned,
    /// It is there, on something else.
    Taken,
}

/// A phase in the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleasedPhase {
    /// Name of the Phase.
    pub name: String,
    /// `phase 3` or `hotfix login`.
    pub title: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub objective: String,
    /// Its merge; none while it has not passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// The score that let it merge; empty if there is none.
    pub score: String,
    /// Attempts that it took so far.
    pub attempts: i32,
    /// It was on the base branch already when this Phase was made.
    pub adopted: bool,
    /// What was done.
    pub tasks: Vec<Task>,
    /// Who approved the merge; none if nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// What was accepted in spite of the gate.
    pub waivers: Vec<Waived>,
    /// What else persons decided, oldest first.
    pub decisions: Vec<Act>,
}

/// A merge on the base branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Merge {
    /// The commit.
    pub commit: String,
    /// When, as far as the record says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    /// Its name.
    pub name: String,
    /// What it did.
    pub description: String,
}

/// A waiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waived {
    /// Who.
    pub user: String,
    /// Criteria by name, findings and signs by id.
    pub what: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A Decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Act {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who.
    pub user: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why.
    pub note: String,
}

/// A phase that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolledBackPhase {
    /// Name of the Phase.
    pub name: String,
    /// Its tag, which stays.
    pub tag: String,
    /// Why.
    pub reason: String,
}

/// Plans the release that a phase makes, from the phases and Decisions of its namespace.
///
/// # Errors
/// When the phase can make none: its version is no tag, or it was given up.
pub(crate) fn prepare_release(
    phase: &Phase,
    namespace: &[Phase],
    decisions: &[Decision],
    repository: Option<&Repository>,
) -> Result<ReleasePlan, Refused> {
    let name = reading::name(phase);
    if reading::state(phase) == PhaseState::Failed {
        return Err(Refused(format!("{name} was given up: it will not be released; name a phase that can pass")));
    }
    let same = |other: &&Phase| other.spec.repository_ref.name == phase.spec.repository_ref.name;
    let others: Vec<&Phase> = namespace.iter().filter(same).filter(|other| reading::name(other) != name).collect();
    let until = merge_of(phase).and_then(|_| merged_at(phase));
    let mut before: Vec<(&Phase, &MergeStatus)> =
        others.iter().filter_map(|other| merge_of(other).map(|merge| (*other, merge))).collect();
    before.retain(|(other, _)| until.is_none() || merged_at(other) <= until);
    before.sort_by_key(|(other, _)| (merged_at(other), reading::name(other).to_owned()));
    let last = before.iter().rposition(|(other, _)| is_release(other));
    let since = last.map(|at| since(before[at].0, before[at].1));
    let changed = before.split_off(last.map_or(0, |at| at + 1));
    let included: Vec<&Phase> = changed.into_iter().map(|(other, _)| other).chain([phase]).collect();
    let tags = tags(phase, &others)?;
    Ok(ReleasePlan {
        repository: phase.spec.repository_ref.name.clone(),
        phase: name.to_owned(),
        version: phase.spec.version.clone(),
        passed: merge_of(phase).is_some(),
        open: open(phase, &others, &tags),
        rolled_back: others.iter().chain([&phase]).filter_map(|other| rolled_back(other)).collect(),
        since,
        tags,
        phases: included.into_iter().map(|phase| phase_of(phase, decisions)).collect(),
        delivery: delivery(repository),
    })
}

/// The merge that is on the base branch.
fn merge_of(phase: &Phase) -> Option<&MergeStatus> {
    phase.status.as_ref()?.merge.as_ref()
}

/// Whether a release tag comes with its merge.
fn is_release(phase: &Phase) -> bool {
    let asked = phase.spec.release.as_ref().is_some_and(|release| release.tag);
    asked || phase.spec.hotfix.is_some()
}

fn since(phase: &Phase, merge: &MergeStatus) -> Since {
    Since {
        // A hotfix is completed by its release tag, whatever version its spec has by now.
        tag: if phase.spec.hotfix.is_some() { merge.tag.clone() } else { format!("release-v{}", phase.spec.version) },
        phase: reading::name(phase).to_owned(),
        commit: merge.commit.clone(),
    }
}

fn rolled_back(phase: &Phase) -> Option<RolledBackPhase> {
    let rollback = phase.status.as_ref().filter(|status| status.merge.is_none())?.rollback.as_ref()?;
    Some(RolledBackPhase {
        name: reading::name(phase).to_owned(),
        tag: rollback.tag.clone(),
        reason: rollback.reason.clone(),
    })
}

/// The tags of the phase, as its merge makes them.
fn tags(phase: &Phase, others: &[&Phase]) -> Result<Vec<PlannedTag>, Refused> {
    let names = flow::tags(&phase.spec)
        .map_err(|error| Refused(format!("{} makes no release: {error}", reading::name(phase))))?;
    let merge = merge_of(phase);
    Ok(names
        .into_iter()
        .map(|tag| {
            let name = tag.short().to_owned();
            if let Some(merge) = merge {
                return PlannedTag { name, state: TagState::Exists, commit: Some(merge.commit.clone()), by: None };
            }
            if let Some((by, commit)) = others.iter().chain([&phase]).find_map(|other| holder(other, &name)) {
                return PlannedTag { name, state: TagState::Taken, commit: Some(commit), by: Some(by) };
            }
            PlannedTag { name, state: TagState::Planned, commit: None, by: None }
        })
        .collect())
}

/// The phase and the commit that have this tag. Tags of what was rolled back stay.
fn holder(phase: &Phase, tag: &str) -> Option<(String, String)> {
    let by = || reading::name(phase).to_owned();
    if let Some(rollback) = phase.status.as_ref().and_then(|status| status.rollback.as_ref())
        && rollback.tag == tag
    {
        return Some((by(), rollback.merge.clone()));
    }
    let merge = merge_of(phase)?;
    let also = flow::tags(&phase.spec).unwrap_or_default();
    let has = merge.tag == tag || also.iter().any(|other| other.short() == tag);
    has.then(|| (by(), merge.commit.clone()))
}

/// What stands in the way, and what may be a mistake.
fn open(phase: &Phase, others: &[&Phase], tags: &[PlannedTag]) -> Vec<String> {
    let name = reading::name(phase);
    let mut open = Vec::new();
    if merge_of(phase).is_none() {
        let waiting = phase.status.as_ref().map(|status| status.summary.waiting_for.as_str()).unwrap_or_default();
        let waiting = if waiting.is_empty() { String::new() } else { format!(", waiting for {waiting}") };
        open.push(format!("{name} has not passed: it is {:?}{waiting}", reading::state(phase)));
    }
    if !is_release(phase) {
        open.push(format!(
            "{name} makes no release tag: set spec.release.tag to true before it passes to get release-v{}",
            phase.spec.version
        ));
    }
    for tag in tags.iter().filter(|tag| tag.state == TagState::Taken) {
        let by = tag.by.as_deref().unwrap_or_default();
        open.push(format!("tag {} is there already, by {by}: raise spec.version", tag.name));
    }
    for other in
        phase.spec.depends_on.iter().filter_map(|wanted| others.iter().find(|other| reading::name(other) == wanted))
    {
        if merge_of(other).is_none() {
            open.push(format!("{}, which it depends on, is {:?}", reading::name(other), reading::state(other)));
        }
    }
    for other in others.iter().filter(|other| reading::state(other) == PhaseState::RollingBack) {
        open.push(format!("{} is being rolled back", reading::name(other)));
    }
    open
}

fn delivery(repository: Option<&Repository>) -> String {
    match repository
        .and_then(|repository| repository.spec.upstream.as_ref())
        .map(|upstream| (upstream.deliver, &upstream.url))
    {
        None => "nothing leaves the cluster: the Repository has no upstream".to_owned(),
        Some((Deliver::None, _)) => {
            "nothing leaves the cluster: spec.upstream.deliver of the Repository is None".to_owned()
        }
        Some((Deliver::Branch, url)) => {
            format!("the release branch goes to {url} before the merge, for a person to merge there")
        }
        Some((Deliver::Push, url)) => format!("the base branch and the tags go to {url} before ours move"),
    }
}

/// `phase 3`, `hotfix login`.
fn title(phase: &Phase) -> String {
    Line::of(&phase.spec).title()
}
