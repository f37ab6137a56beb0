//! What stands against the start of a phase: every reason at once, each with its remedy.

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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(json: &str) -> PhaseSpec {
        let mut value = serde_json::json!({
            "repositoryRef": {"name": "r"}, "number": 2, "version": "1.0.0",
            "tasks": [{"name": "a", "description": "A"}],
        });
        let more: serde_json::Value = serde_json::from_str(json).unwrap();
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_passed_on_top_goes_first_and_what_is_at_work_on_top_stops() {
        let stopped = Neighbour { merged: true, ..neighbour("e", 5, &["a"], PhaseState::Escalated) };
        let neighbours = [
            neighbour("b", 2, &["a"], PhaseState::Passed),
            neighbour("c", 3, &["b"], PhaseState::Passed),
            neighbour("d", 4, &["a"], PhaseState::Reviewing),
            stopped,
            neighbour("f", 6, &["a"], PhaseState::Escalated),
            neighbour("g", 7, &["a"], PhaseState::Pending),
            neighbour("h", 8, &["a"], PhaseState::RolledBack),
            neighbour("i", 9, &["a"], PhaseState::RollingBack),
            neighbour("x", 10, &[], PhaseState::Passed),
        ];
        let found = dependants("a", &neighbours);
        assert_eq!(found.passed, ["b", "c", "e"]);
        assert_eq!(found.at_work, ["d", "i"]);
        assert_eq!(dependants("x", &neighbours), Dependants::default());
    }

    #[rstest]
    #[case::being_taken_back(PhaseState::RollingBack, true, Some("a"))]
    #[case::delivered_again_and_not_passed_yet(PhaseState::Developing, true, Some("a"))]
    #[case::never_taken_back(PhaseState::Developing, false, None)]
    #[case::passed_again(PhaseState::Passed, false, None)]
    fn a_dependency_that_was_taken_back(
        #[case] state: PhaseState,
        #[case] rolled_back: bool,
        #[case] expected: Option<&str>,
    ) {
        let other = Neighbour { rolled_back, ..neighbour("a", 1, &[], state) };
        assert_eq!(dependency_rolled_back(&["a".to_owned()], std::slice::from_ref(&other)).as_deref(), expected);
        assert_eq!(dependency_rolled_back(&["b".to_owned()], &[other]), None);
    }

    fn neighbour(name: &str, number: u32, depends_on: &[&str], state: PhaseState) -> Neighbour {
        let depends_on = depends_on.iter().map(|s| (*s).to_owned()).collect();
        Neighbour {
            name: name.into(),
            repository: "r".into(),
            line: Line::Phase(number),
            tags: Vec::new(),
            depends_on,
            state,
            rolled_back: false,
            merged: state == PhaseState::Passed,
            older: true,
        }
    }

    fn profile(fact: ProfileFact) -> Vec<(String, ProfileFact)> {
        vec![("spec.agents.developer".into(), fact)]
    }

    fn ground() -> Ground {
        let profiles = profile(ProfileFact::Usable);
        Ground { repository: RepositoryFact::Ready, profiles, gate: vec![], suspended: false }
    }

    #[rstest]
    #[case::free("{}", vec![], ground(), vec![])]
    #[case::dependency_passed(r#"{"dependsOn":["p1"]}"#, vec![neighbour("p1", 1, &[], PhaseState::Passed)], ground(), vec![])]
    #[case::dependency_works(r#"{"dependsOn":["p1"]}"#, vec![neighbour("p1", 1, &[], PhaseState::Developing)], ground(), vec![BlockedReason::DependencyNotPassed])]
    #[case::dependency_missing(r#"{"dependsOn":["p9"]}"#, vec![], ground(), vec![BlockedReason::DependencyMissing])]
    #[case::cycle(r#"{"dependsOn":["p1"]}"#, vec![neighbour("p1", 1, &["me"], PhaseState::Pending)], ground(), vec![BlockedReason::DependencyCycle, BlockedReason::DependencyNotPassed])]
    #[case::task_cycle(r#"{"tasks":[{"name":"a","description":"A","dependsOn":["b"]},{"name":"b","description":"B","dependsOn":["a"]}]}"#, vec![], ground(), vec![BlockedReason::TaskCycle])]
    #[case::number_taken("{}", vec![neighbour("other", 2, &[], PhaseState::Pending)], ground(), vec![BlockedReason::NumberTaken])]
    #[case::number_of_a_failed_phase("{}", vec![neighbour("other", 2, &[], PhaseState::Failed)], ground(), vec![])]
    #[case::no_repository("{}", vec![], Ground { repository: RepositoryFact::Missing, profiles: profile(ProfileFact::Unnamed), ..ground() }, vec![BlockedReason::RepositoryMissing])]
    #[case::not_ready("{}", vec![], Ground { repository: RepositoryFact::NotReady(String::new()), ..ground() }, vec![BlockedReason::RepositoryNotReady])]
    #[case::no_agent("{}", vec![], Ground { profiles: profile(ProfileFact::Unnamed), ..ground() }, vec![BlockedReason::AgentMissing])]
    #[case::no_template("{}", vec![], Ground { profiles: profile(ProfileFact::Missing("klein".into())), ..ground() }, vec![BlockedReason::PodTemplateMissing])]
    #[case::bad_template("{}", vec![], Ground { profiles: profile(ProfileFact::Invalid("klein".into(), vec!["no command".into()])), ..ground() }, vec![BlockedReason::PodTemplateInvalid])]
    #[case::suspended("{}", vec![], Ground { suspended: true, ..ground() }, vec![BlockedReason::Suspended])]
    fn every_reason_is_named(
        #[case] json: &str,
        #[case] neighbours: Vec<Neighbour>,
        #[case] ground: Ground,
        #[case] expected: Vec<BlockedReason>,
    ) {
        let blocked = preflight("me", &spec(json), &neighbours, &ground);
        assert_eq!(blocked.iter().map(|b| b.reason).collect::<Vec<_>>(), expected, "{blocked:?}");
        assert!(blocked.iter().all(|b| !b.message.is_empty()));
    }

    fn hotfix(name: &str, version: &str) -> Neighbour {
        let tags = vec![format!("release-v{version}")];
        Neighbour { line: Line::Hotfix(name.into()), tags, ..neighbour("fix", 0, &[], PhaseState::Developing) }
    }

    const RELEASE: &str = r#"{"release":{"tag":true}}"#;
    const LOGIN: &str = r#"{"number":null,"hotfix":"login"}"#;

    #[rstest]
    #[case::another_hotfix(LOGIN, hotfix("logout", "2.0.0"), None)]
    #[case::the_same_hotfix(
        LOGIN, hotfix("login", "2.0.0"),
        Some((BlockedReason::NumberTaken, "hotfix login of Repository r belongs to Phase fix, which was made first; delete one of the two"))
    )]
    #[case::the_same_hotfix_and_version(
        LOGIN, hotfix("login", "1.0.0"),
        Some((BlockedReason::NumberTaken, "hotfix login of Repository r belongs to Phase fix, which was made first; delete one of the two"))
    )]
    #[case::a_hotfix_of_another_repository(LOGIN, Neighbour { repository: "s".into(), ..hotfix("login", "1.0.0") }, None)]
    #[case::a_hotfix_that_was_given_up(LOGIN, Neighbour { state: PhaseState::Failed, ..hotfix("login", "1.0.0") }, None)]
    #[case::two_hotfixes_of_one_version(
        LOGIN, hotfix("logout", "1.0.0"),
        Some((BlockedReason::TagPromised, "tag release-v1.0.0 of Repository r is made by Phase fix; raise spec.version of one of the two"))
    )]
    #[case::a_release_and_a_hotfix_of_one_version(
        RELEASE, hotfix("login", "1.0.0"),
        Some((BlockedReason::TagPromised, "tag release-v1.0.0 of Repository r is made by Phase fix; raise spec.version of one of the two"))
    )]
    #[case::a_phase_that_is_no_release("{}", hotfix("login", "1.0.0"), None)]
    #[case::a_younger_hotfix(RELEASE, Neighbour { older: false, ..hotfix("login", "1.0.0") }, None)]
    #[case::a_younger_hotfix_that_has_passed(
        RELEASE, Neighbour { older: false, merged: true, ..hotfix("login", "1.0.0") },
        Some((BlockedReason::TagPromised, "tag release-v1.0.0 of Repository r is made by Phase fix; raise spec.version"))
    )]
    fn names_of_another_phase_are_not_taken(
        #[case] json: &str,
        #[case] other: Neighbour,
        #[case] expected: Option<(BlockedReason, &str)>,
    ) {
        let blocked = preflight("me", &spec(json), &[other], &ground());
        let told: Vec<_> = blocked.iter().map(|blocked| (blocked.reason, &*blocked.message)).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_cycle_further_away_does_not_block_a_phase_that_does_not_lead_into_it() {
        let others = [neighbour("a", 8, &["b"], PhaseState::Pending), neighbour("b", 9, &["a"], PhaseState::Pending)];
        assert_eq!(preflight("me", &spec("{}"), &others, &ground()), vec![]);
    }

    #[test]
    fn a_circle_is_shown_as_people_would_draw_it() {
        let others =
            [neighbour("p1", 1, &["p0"], PhaseState::Pending), neighbour("p0", 3, &["me"], PhaseState::Pending)];
        let blocked = preflight("me", &spec(r#"{"dependsOn":["p1"]}"#), &others, &ground());
        assert!(blocked[0].message.contains("me → p1 → p0 → me"), "{}", blocked[0].message);
    }
}
