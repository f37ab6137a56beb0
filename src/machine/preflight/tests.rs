//! Every reason against a start, and what stands in the way of a rollback.

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
    let others = [neighbour("p1", 1, &["p0"], PhaseState::Pending), neighbour("p0", 3, &["me"], PhaseState::Pending)];
    let blocked = preflight("me", &spec(r#"{"dependsOn":["p1"]}"#), &others, &ground());
    assert!(blocked[0].message.contains("me → p1 → p0 → me"), "{}", blocked[0].message);
}
