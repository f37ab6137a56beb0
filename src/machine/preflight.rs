//! What stands against the start of a phase: every reason at once, each with its remedy.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::phase::{Blocked, BlockedReason, PhaseSpec, PhaseState},
    git::flow::{self, Line},
    machine::phase::Dependants,
};

/// Another phase of the namespace, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its Repository.
    pub repository: String,
    /// Its number, or its name as a hotfix.
    pub line: Line,
    /// The tags that it makes or has made.
    pub tags: Vec<String>,
    /// What it depends on.
    pub depends_on: Vec<String>,
    /// Where it is.
    pub state: PhaseState,
    /// Whether it is being rolled back, or was and has not passed again.
    pub rolled_back: bool,
    /// Whether its work is on the base branch.
    pub merged: bool,
    /// Whether it was made before this one (creation time, then name).
    pub older: bool,
}

/// What is known of the Repository and the agent's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Whether the Repository exists.
    pub repository: RepositoryFact,
    /// The agents' profiles: the field of the Repository that names each, and how it stands.
    pub profiles: Vec<(String, ProfileFact)>,
    /// What the gate has against it.
    pub gate: Vec<Blocked>,
    /// Whether a person suspended the phase.
    pub suspended: bool,
}

/// What is known of the Repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryFact {
    /// It does not exist.
    Missing,
    /// It exists and its base branch does not, yet; why.
    NotReady(String),
    /// Its base branch stands.
    Ready,
}

/// What is known of an agent's PodTemplate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileFact {
    /// The Repository names none (or does not exist).
    Unnamed,
    /// It is named and does not exist.
    Missing(String),
    /// It cannot be taken over: its name, and what is wrong.
    Invalid(String, Vec<String>),
    /// It can be used.
    Usable,
}

/// Every reason why the phase cannot start. Empty means: go.
pub fn preflight(name: &str, spec: &PhaseSpec, neighbours: &[Neighbour], ground: &Ground) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    if ground.suspended {
        blocked.push(because(
            BlockedReason::Suspended,
            "suspended: set spec.suspend to false, or kubectl phasegate resume",
        ));
    }
    repository(spec, ground, &mut blocked);
    for (field, fact) in &ground.profiles {
        profile(spec, ground, field, fact, &mut blocked);
    }
    blocked.extend(ground.gate.iter().cloned());
    names(spec, neighbours, &mut blocked);
    if let Some(circle) = circle(&task_graph(spec)) {
        let message = format!("tasks depend on one another in a circle: {}; remove one dependsOn", circle.join(" → "));
        blocked.push(because(BlockedReason::TaskCycle, &message));
    }
    dependencies(name, spec, neighbours, &mut blocked);
    blocked
}

fn because(reason: BlockedReason, message: &str) -> Blocked {
    Blocked { reason, message: message.chars().take(1000).collect() }
}

fn repository(spec: &PhaseSpec, ground: &Ground, blocked: &mut Vec<Blocked>) {
    let name = &spec.repository_ref.name;
    match &ground.repository {
        RepositoryFact::Missing => {
            let message = format!(
                "Repository {name} does not exist in this namespace; create it or mend spec.repositoryRef.name"
            );
            blocked.push(because(BlockedReason::RepositoryMissing, &message));
        }
        RepositoryFact::NotReady(why) => {
            let message = if why.is_empty() {
                format!("Repository {name} is being prepared")
            } else {
                format!("Repository {name}: {why}")
            };
            blocked.push(because(BlockedReason::RepositoryNotReady, &message));
        }
        RepositoryFact::Ready => {}
    }
}

fn profile(spec: &PhaseSpec, ground: &Ground, field: &str, fact: &ProfileFact, blocked: &mut Vec<Blocked>) {
    match fact {
        ProfileFact::Unnamed if ground.repository == RepositoryFact::Missing => {}
        ProfileFact::Unnamed => {
            let message = format!(
                "Repository {} names no developer agent; set {field}.podTemplateRef.name",
                spec.repository_ref.name
            );
            blocked.push(because(BlockedReason::AgentMissing, &message));
        }
        ProfileFact::Missing(template) => {
            let message = format!(
                "PodTemplate {template} does not exist in this namespace; create it or mend {field}.podTemplateRef.name of the Repository"
            );
            blocked.push(because(BlockedReason::PodTemplateMissing, &message));
        }
        ProfileFact::Invalid(template, problems) => {
            blocked.extend(problems.iter().take(16).map(|problem| {
                because(BlockedReason::PodTemplateInvalid, &format!("PodTemplate {template}: {problem}"))
            }));
        }
        ProfileFact::Usable => {}
    }
}

/// What this phase is called by in git may be another's already: its branches and claim, or one of its tags, which a
/// hotfix and a phase that is a release have in common.
fn names(spec: &PhaseSpec, neighbours: &[Neighbour], blocked: &mut Vec<Blocked>) {
    let line = Line::of(spec);
    let rivals = neighbours.iter().filter(|other| {
        other.repository == spec.repository_ref.name
            && other.state != PhaseState::Failed
            && (other.older || other.merged)
    });
    let (same, others): (Vec<&Neighbour>, Vec<&Neighbour>) = rivals.partition(|other| other.line == line);
    if let Some(other) = same.into_iter().find(|other| other.older) {
        let name = match &line {
            Line::Phase(number) => format!("number {number}"),
            Line::Hotfix(name) => format!("hotfix {name}"),
        };
        let message = format!(
            "{name} of Repository {} belongs to Phase {}, which was made first; delete one of the two",
            spec.repository_ref.name, other.name
        );
        blocked.push(because(BlockedReason::NumberTaken, &message));
    }
    for tag in flow::tags(spec).unwrap_or_default() {
        if let Some(other) = others.iter().find(|other| other.tags.iter().any(|made| made == tag.short())) {
            let remedy = if other.merged { "raise spec.version" } else { "raise spec.version of one of the two" };
            let (tag, repository) = (tag.short(), &spec.repository_ref.name);
            let message = format!("tag {tag} of Repository {repository} is made by Phase {}; {remedy}", other.name);
            blocked.push(because(BlockedReason::TagPromised, &message));
        }
    }
}

fn dependencies(name: &str, spec: &PhaseSpec, neighbours: &[Neighbour], blocked: &mut Vec<Blocked>) {
    let mut graph: BTreeMap<&str, Vec<&str>> = neighbours
        .iter()
        .map(|other| (other.name.as_str(), other.depends_on.iter().map(String::as_str).collect()))
        .collect();
    graph.insert(name, spec.depends_on.iter().map(String::as_str).collect());
    if let Some(circle) = circle(&reachable(name, &graph)) {
        let message = format!("phases depend on one another in a circle: {}; remove one dependsOn", circle.join(" → "));
        blocked.push(because(BlockedReason::DependencyCycle, &message));
    }
    for wanted in &spec.depends_on {
        match neighbours.iter().find(|other| &other.name == wanted) {
            None => {
                let message =
                    format!("Phase {wanted} does not exist in this namespace; create it or mend spec.dependsOn");
                blocked.push(because(BlockedReason::DependencyMissing, &message));
            }
            Some(other) if other.state != PhaseState::Passed => {
                blocked
                    .push(because(BlockedReason::DependencyNotPassed, &format!("Phase {wanted} ({:?})", other.state)));
            }
            Some(_) => {}
        }
    }
}

/// The phases that stand in the way of a rollback: those that passed on top of this one, also through others, and those
/// that build upon it now.
pub fn dependants(name: &str, neighbours: &[Neighbour]) -> Dependants {
    let mut reached = BTreeSet::from([name]);
    loop {
        let above = |other: &&Neighbour| {
            !reached.contains(other.name.as_str()) && other.depends_on.iter().any(|on| reached.contains(on.as_str()))
        };
        let next: Vec<&str> = neighbours.iter().filter(above).map(|other| other.name.as_str()).collect();
        if next.is_empty() {
            break;
        }
        reached.extend(next);
    }
    let mut found = Dependants::default();
    reached.remove(name);
    for other in neighbours.iter().filter(|other| reached.contains(other.name.as_str())) {
        match other.state {
            PhaseState::Passed => found.passed.push(other.name.clone()),
            // It stopped on its way out, and is still in.
            PhaseState::Escalated if other.merged => found.passed.push(other.name.clone()),
            PhaseState::RollingBack => found.at_work.push(other.name.clone()),
            PhaseState::Developing
            | PhaseState::Reviewing
            | PhaseState::Backoff
            | PhaseState::AwaitingApproval
            | PhaseState::Merging
                if other.depends_on.iter().any(|on| on == name) =>
            {
                found.at_work.push(other.name.clone());
            }
            PhaseState::Developing
            | PhaseState::Reviewing
            | PhaseState::Backoff
            | PhaseState::AwaitingApproval
            | PhaseState::Merging
            | PhaseState::Pending
            | PhaseState::Preparing
            | PhaseState::Escalated
            | PhaseState::RolledBack
            | PhaseState::Failed => {}
        }
    }
    found
}

/// A phase that this one depends on, was taken back and has not passed again.
pub fn dependency_rolled_back(depends_on: &[String], neighbours: &[Neighbour]) -> Option<String> {
    let gone =
        |other: &&Neighbour| depends_on.contains(&other.name) && other.rolled_back && other.state != PhaseState::Passed;
    neighbours.iter().find(gone).map(|other| other.name.clone())
}

fn task_graph(spec: &PhaseSpec) -> BTreeMap<&str, Vec<&str>> {
    spec.tasks.iter().map(|task| (task.name.as_str(), task.depends_on.iter().map(String::as_str).collect())).collect()
}

/// The part of the graph that `from` leads to.
fn reachable<'a>(from: &'a str, graph: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut found = BTreeMap::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        if found.contains_key(node) {
            continue;
        }
        let next = graph.get(node).cloned().unwrap_or_default();
        open.extend(next.iter().copied());
        found.insert(node, next);
    }
    found
}

/// A circle of the graph, first node repeated at the end, if it has one. Deterministic.
fn circle(graph: &BTreeMap<&str, Vec<&str>>) -> Option<Vec<String>> {
    // Leaves are removed until none is left; what remains leads into a circle.
    let mut rest: BTreeSet<&str> = graph.keys().copied().collect();
    loop {
        let leaf = rest.iter().copied().find(|node| !graph[node].iter().any(|next| rest.contains(next)));
        match leaf {
            Some(leaf) => rest.remove(leaf),
            None => break,
        };
    }
    let mut node = *rest.first()?;
    let mut path: Vec<&str> = Vec::new();
    while !path.contains(&node) {
        path.push(node);
        node = graph[node].iter().copied().find(|next| rest.contains(next))?;
    }
    let start = path.iter().position(|seen| *seen == node)?;
    let mut found: Vec<String> = path[start..].iter().map(|seen| (*seen).to_owned()).collect();
    found.push(node.to_owned());
    Some(found)
}
