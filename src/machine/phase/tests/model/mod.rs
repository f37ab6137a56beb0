//! The production `decide`, `settle` and `project` in small worlds that crash, lag and interleave:
//! every order of events is tried (design §10, §12).

mod world;

use std::sync::Arc;

use stateright::{Checker as _, HasDiscoveries, Model, Property};
use world::{Acted, Config, Flight, Objects, Outside, Recorded, Wish, depart};

use super::bench::failed;
use crate::{
    api::{agent_task::FailureClass, phase::PhaseState, review_result::Verdict},
    machine::phase::{CheckWork, Order, OrderKind, PushFact, Waived, Work},
};

const PASSES: &str = "it passes";
const DECREASE: &str = "attempts never decrease";
const END: &str = "the end is the end";

/// A world at one moment, with what is remembered of its past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    outside: Outside,
    replicas: Vec<Replica>,
    base_moved: bool,
    ended: Option<PhaseState>,
    attempt_decreased: bool,
}

/// An operator: two caches that lag on their own, and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    phase: Recorded,
    objects: Arc<Objects>,
    flight: Option<Box<Flight>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Reconcile(usize),
    Execute(usize),
    Crash(usize),
    SeePhase(usize),
    SeeRest(usize),
    TaskEnds(String, bool),
    CheckEnds(String),
    Judged(String, Verdict),
    BaseMoves,
    GateEdited,
    TimePasses,
    Decided(Wish),
    VersionRaised,
    PushBegins(String),
    PushEnds(String, bool),
}

impl World {
    fn state(&self) -> PhaseState {
        self.outside.phase.status.state
    }

    fn objects(&mut self) -> &mut Objects {
        Arc::make_mut(&mut self.outside.objects)
    }

    /// The status write, as the API server takes it.
    fn write(&mut self, flight: &Flight, config: &Config) -> Option<Recorded> {
        if config.compare_and_swap && self.outside.phase != flight.from {
            return None;
        }
        let after = flight.arrive(config);
        self.attempt_decreased |= after.status.attempt < self.outside.phase.status.attempt;
        let state = after.status.state;
        let corrected = state == PhaseState::Passed && !self.outside.git.merged.is_empty();
        let ends = matches!(state, PhaseState::Passed | PhaseState::Failed) && !config.orders.contains(&Wish::Rollback);
        if ends && (self.ended.is_none() || corrected) {
            self.ended = Some(state);
        }
        if state == PhaseState::Escalated && self.outside.objects.timed_out {
            // A Retry starts the clock anew.
            self.objects().timed_out = false;
        }
        self.outside.phase = after.clone();
        Some(after)
    }

    /// Nobody is on the way, nothing is in motion, and looking again does nothing.
    fn is_quiet(&self, config: &Config) -> bool {
        let fresh = |replica: &Replica| {
            replica.flight.is_none() && replica.phase == self.outside.phase && replica.objects == self.outside.objects
        };
        let Outside { phase, objects, git: _ } = &self.outside;
        let moving = objects.tasks.values().any(|work| *work == Work::Active)
            || objects.checks.values().any(|work| *work == CheckWork::Active)
            || objects.pushes.values().any(|(_, push)| matches!(push, PushFact::Waiting | PushFact::Active))
            || objects.results.values().any(|result| result.verdict.is_none());
        if moving || !self.replicas.iter().all(fresh) {
            return false;
        }
        let Some(mut flight) = depart(config, phase, objects) else { return true };
        let mut after = self.outside.clone();
        while matches!(flight.act(config, &mut after), Acted::OneMore) {}
        after == self.outside && flight.arrive(config) == *phase
    }

    /// The Decision that a person would make now.
    fn order(&self, wish: Wish) -> Option<Order> {
        let status = &self.outside.phase.status;
        let reviewed = status.review.as_ref().map(|review| review.commit.clone());
        let (kind, fits, commit) = match wish {
            Wish::Retry => (OrderKind::Retry(1), status.state == PhaseState::Escalated, None),
            Wish::Abort => (OrderKind::Abort, true, None),
            Wish::Approve => (OrderKind::Approve(vec![]), status.state == PhaseState::AwaitingApproval, reviewed),
            Wish::Waive => (OrderKind::Waive(Waived::default()), true, None),
            Wish::Rollback => (OrderKind::Rollback, status.state == PhaseState::Passed, None),
            Wish::Reject => (OrderKind::Reject, status.state == PhaseState::AwaitingApproval, reviewed),
        };
        let attempt = u32::try_from(status.attempt).unwrap();
        let uid = format!("{wish:?}");
        let new = self.outside.objects.orders.iter().all(|order| order.uid != uid);
        (fits && new).then(|| Order { uid, kind, attempt, commit, user: "ada".into(), note: String::new() })
    }
}

impl Model for Config {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let outside = Outside::new();
        let replica = Replica { phase: outside.phase.clone(), objects: outside.objects.clone(), flight: None };
        let replicas = vec![replica; self.replicas];
        vec![World { outside, replicas, base_moved: false, ended: None, attempt_decreased: false }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (i, replica) in world.replicas.iter().enumerate() {
            if replica.flight.is_some() {
                steps.extend([Step::Execute(i), Step::Crash(i)]);
            } else {
                steps.push(Step::Reconcile(i));
                // A cache that moves during a reconciliation changes nothing in it.
                if replica.phase != world.outside.phase {
                    steps.push(Step::SeePhase(i));
                }
                if replica.objects != world.outside.objects {
                    steps.push(Step::SeeRest(i));
                }
            }
        }
        let Objects { tasks, checks, results, pushes, orders: _, gate, timed_out } = &*world.outside.objects;
        for (name, _) in tasks.iter().filter(|(_, work)| **work == Work::Active) {
            steps.push(Step::TaskEnds(name.clone(), true));
            if self.failing_agents {
                steps.push(Step::TaskEnds(name.clone(), false));
            }
        }
        let active = checks.iter().filter(|(_, work)| **work == CheckWork::Active);
        steps.extend(active.map(|(name, _)| Step::CheckEnds(name.clone())));
        for (name, _) in results.iter().filter(|(_, result)| result.verdict.is_none()) {
            steps.extend(self.verdicts.iter().map(|verdict| Step::Judged(name.clone(), *verdict)));
        }
        for (name, (_, push)) in pushes {
            match push {
                PushFact::Waiting => steps.push(Step::PushBegins(name.clone())),
                PushFact::Active => {
                    steps.extend([Step::PushEnds(name.clone(), true), Step::PushEnds(name.clone(), false)]);
                }
                PushFact::NotAsked
                | PushFact::Missing
                | PushFact::Recorded
                | PushFact::Pushed
                | PushFact::Moved
                | PushFact::Refused(_) => {}
            }
        }
        if self.base_moves && !world.base_moved {
            steps.push(Step::BaseMoves);
        }
        if self.gate_edit && *gate == 1 {
            steps.push(Step::GateEdited);
        }
        if self.timeout && !timed_out && world.state() == PhaseState::Developing {
            steps.push(Step::TimePasses);
        }
        let after_the_pass =
            matches!(world.state(), PhaseState::Passed | PhaseState::RollingBack | PhaseState::RolledBack);
        if self.orders.contains(&Wish::Rollback) && !world.outside.phase.raised && after_the_pass {
            steps.push(Step::VersionRaised);
        }
        steps.extend(self.orders.iter().filter(|wish| world.order(**wish).is_some()).map(|wish| Step::Decided(*wish)));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Reconcile(i) => {
                let replica = &mut world.replicas[i];
                replica.flight = Some(Box::new(depart(self, &replica.phase, &replica.objects)?));
            }
            Step::Execute(i) => {
                let mut flight = world.replicas[i].flight.take()?;
                match flight.act(self, &mut world.outside) {
                    Acted::OneMore => world.replicas[i].flight = Some(flight),
                    Acted::AllDone => {
                        if let Some(after) = world.write(&flight, self) {
                            // Its own last write is waited for before it acts again.
                            world.replicas[i].phase = after;
                        }
                    }
                    Acted::Failed => {}
                }
            }
            Step::Crash(i) => world.replicas[i].flight = None,
            Step::SeePhase(i) => world.replicas[i].phase = world.outside.phase.clone(),
            Step::SeeRest(i) => world.replicas[i].objects = world.outside.objects.clone(),
            Step::TaskEnds(name, well) => {
                let end = if well { Work::Submitted } else { failed(FailureClass::AgentError) };
                world.objects().tasks.insert(name, end);
            }
            Step::CheckEnds(name) => {
                world.objects().checks.insert(name, CheckWork::Ended);
            }
            Step::Judged(name, verdict) => world.objects().results.get_mut(&name)?.verdict = Some(verdict),
            Step::BaseMoves => {
                world.base_moved = true;
                world.outside.git.base += 1;
            }
            Step::GateEdited => world.objects().gate = 2,
            Step::VersionRaised => {
                world.outside.phase = Recorded::new((*world.outside.phase.status).clone(), true);
            }
            Step::PushBegins(name) => world.objects().pushes.get_mut(&name)?.1 = PushFact::Active,
            Step::PushEnds(name, well) => {
                let commit = world.outside.objects.pushes.get(&name)?.0.clone();
                if well {
                    world.outside.git.upstream.push(commit);
                }
                let end = if well { PushFact::Pushed } else { PushFact::Refused("protected".into()) };
                world.objects().pushes.get_mut(&name)?.1 = end;
            }
            Step::TimePasses => world.objects().timed_out = true,
            Step::Decided(wish) => {
                let order = world.order(wish)?;
                world.objects().orders.push(order);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what is merged passed the gate as exactly that", |_, world: &World| {
                let passed = |commit: &String| {
                    let results = world.outside.objects.results.values();
                    results.into_iter().any(|result| &result.commit == commit && result.verdict == Some(Verdict::Pass))
                };
                world.outside.git.merged.iter().all(passed)
            }),
            Property::always("what goes out passed the gate as exactly that, and once", |_, world: &World| {
                let upstream = &world.outside.git.upstream;
                let passed = |commit: &String| {
                    let results = world.outside.objects.results.values();
                    results.into_iter().any(|result| &result.commit == commit && result.verdict == Some(Verdict::Pass))
                };
                let once = |commit| upstream.iter().filter(|other| *other == commit).count() == 1;
                upstream.iter().all(|commit| passed(commit) && once(commit))
            }),
            Property::always("what goes out comes before the merge", |config: &Self, world: &World| {
                let Outside { git, .. } = &world.outside;
                !config.delivers || git.merged.iter().all(|commit| git.upstream.contains(commit))
            }),
            Property::always("what went out is merged here", |config: &Self, world: &World| {
                let Outside { git, .. } = &world.outside;
                git.upstream.iter().all(|commit| git.merged.contains(commit)) || !world.is_quiet(config)
            }),
            Property::always("one merge, and one more for each that was taken back", |_, world: &World| {
                world.outside.git.merged.len() <= 1 + world.outside.git.taken_back.len()
            }),
            Property::always("nothing is taken back twice, nor unchecked, nor without an order", |_, world: &World| {
                let taken_back = &world.outside.git.taken_back;
                let twice = taken_back.iter().any(|one| taken_back.iter().filter(|other| *other == one).count() > 1);
                let orders = world.outside.objects.orders.iter().filter(|order| order.kind == OrderKind::Rollback);
                !twice && !world.outside.git.unchecked && taken_back.len() <= orders.count()
            }),
            Property::always("an approval is waited for", |config: &Self, world: &World| {
                !config.approval
                    || world.outside.git.merged.is_empty()
                    || world.outside.objects.orders.iter().any(|order| matches!(order.kind, OrderKind::Approve(_)))
            }),
            Property::always(DECREASE, |_, world: &World| !world.attempt_decreased),
            Property::always("attempts never pass the limit", |config: &Self, world: &World| {
                let status = &world.outside.phase.status;
                let limit = i32::try_from(config.max_attempts).unwrap() + status.granted_attempts;
                let retries =
                    world.outside.objects.orders.iter().filter(|order| matches!(order.kind, OrderKind::Retry(_)));
                let anew = world.outside.git.taken_back.len() * config.max_attempts as usize;
                status.attempt <= limit && status.granted_attempts <= i32::try_from(retries.count() + anew).unwrap()
            }),
            Property::always("a task is integrated once per attempt", |_, world: &World| {
                let Some((_, work)) = &world.outside.git.release else { return true };
                work.iter().all(|name| {
                    let stem = name.rsplit_once('.').unwrap().0;
                    work.iter().filter(|other| other.rsplit_once('.').unwrap().0 == stem).count() == 1
                })
            }),
            Property::always("a verdict is recorded once", |_, world: &World| {
                let history = &world.outside.phase.status.history;
                history.iter().all(|one| history.iter().filter(|other| other.result == one.result).count() == 1)
            }),
            Property::always(END, |_, world: &World| world.ended.is_none_or(|ended| ended == world.state())),
            Property::always("a phase goes on, or waits for a person", |config: &Self, world: &World| {
                let rests = match world.state() {
                    PhaseState::Passed
                    | PhaseState::Failed
                    | PhaseState::Escalated
                    | PhaseState::RolledBack
                    | PhaseState::AwaitingApproval => true,
                    PhaseState::Pending
                    | PhaseState::Preparing
                    | PhaseState::Developing
                    | PhaseState::Reviewing
                    | PhaseState::Backoff
                    | PhaseState::RollingBack
                    | PhaseState::Merging => false,
                };
                rests || !world.is_quiet(config)
            }),
            Property::always("what is recorded is what git says", |config: &Self, world: &World| {
                let git = &world.outside.git;
                let stops = world.state() == PhaseState::Escalated && world.outside.phase.status.merge.is_some();
                let recorded = world.state() == PhaseState::Passed || stops;
                (git.merged.len() > git.taken_back.len()) == recorded || !world.is_quiet(config)
            }),
            Property::sometimes(PASSES, |_, world: &World| world.state() == PhaseState::Passed),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.outside.phase.status.attempt <= 3
    }
}

/// Names of the properties that do not hold, each with the shortest way there.
fn broken(config: Config) -> Vec<(&'static str, String)> {
    let checker = config.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discoveries().into_iter();
    let broken: Vec<_> = found
        .filter(|(name, _)| *name != PASSES)
        .map(|(name, path)| (name, format!("{:#?}", path.into_actions())))
        .collect();
    assert!(!broken.is_empty() || checker.discovery(PASSES).is_some(), "the world is too small to pass in");
    broken
}

/// One operator that can crash at any moment, one task, one check, two attempts.
fn small() -> Config {
    Config {
        replicas: 1,
        compare_and_swap: true,
        max_attempts: 2,
        failing_agents: false,
        conflict: false,
        base_conflict: false,
        base_moves: false,
        gate_edit: false,
        timeout: false,
        verdicts: vec![Verdict::Pass, Verdict::Fail],
        approval: false,
        reviewed: false,
        orders: vec![],
        needed: false,
        delivers: false,
    }
}

#[test]
fn failing_agents_and_every_verdict_hold_every_promise() {
    let verdicts = vec![Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
    let config = Config { failing_agents: true, base_moves: true, verdicts, orders: vec![Wish::Retry], ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn a_gate_that_is_edited_and_an_abort_hold_every_promise() {
    let config = Config { gate_edit: true, base_moves: true, orders: vec![Wish::Abort, Wish::Retry], ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn an_approval_that_is_waited_for_holds_every_promise() {
    let orders = vec![Wish::Approve, Wish::Reject];
    let config = Config { approval: true, base_moves: true, gate_edit: true, orders, ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn a_base_to_compare_with_reviewers_and_a_waiver_hold_every_promise() {
    let config = Config { reviewed: true, base_moves: true, orders: vec![Wish::Waive], ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn conflicts_and_timeouts_hold_every_promise() {
    let config = Config {
        conflict: true,
        timeout: true,
        failing_agents: true,
        max_attempts: 1,
        orders: vec![Wish::Retry],
        ..small()
    };
    assert_eq!(broken(config), []);
}

#[test]
fn a_base_branch_that_does_not_merge_after_an_approval_holds_every_promise() {
    let orders = vec![Wish::Approve, Wish::Abort];
    let config = Config { base_conflict: true, base_moves: true, conflict: true, approval: true, orders, ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn a_base_branch_that_does_not_merge_for_two_operators_holds_every_promise() {
    let verdicts = vec![Verdict::Pass];
    assert_eq!(broken(Config { base_conflict: true, base_moves: true, verdicts, ..two_operators() }), []);
}

#[test]
fn a_base_branch_that_does_not_merge_holds_every_promise() {
    let config = Config {
        base_conflict: true,
        base_moves: true,
        failing_agents: true,
        max_attempts: 1,
        orders: vec![Wish::Retry],
        ..small()
    };
    assert_eq!(broken(config), []);
}

#[test]
fn what_goes_out_to_an_upstream_first_holds_every_promise() {
    let config = Config { delivers: true, orders: vec![Wish::Retry], ..small() };
    assert_eq!(broken(config), []);
}

#[test]
fn what_goes_out_first_is_not_called_back() {
    let config = Config {
        delivers: true,
        approval: true,
        max_attempts: 1,
        verdicts: vec![Verdict::Pass],
        orders: vec![Wish::Approve, Wish::Retry],
        ..small()
    };
    assert_eq!(broken(config), []);
}

#[test]
fn what_two_operators_send_out_first_holds_every_promise() {
    assert_eq!(broken(Config { delivers: true, verdicts: vec![Verdict::Pass], ..two_operators() }), []);
}

/// A phase that passes at once, is taken back, and is delivered again once its version is raised.
fn rolled_back() -> Config {
    let orders = vec![Wish::Rollback];
    Config { max_attempts: 1, verdicts: vec![Verdict::Pass], orders, ..small() }
}

#[test]
fn a_rollback_and_what_comes_after_it_hold_every_promise() {
    assert_eq!(broken(Config { base_moves: true, gate_edit: true, ..rolled_back() }), []);
}

#[test]
fn a_rollback_that_is_refused_tried_again_and_given_up_holds_every_promise() {
    let orders = vec![Wish::Rollback, Wish::Retry, Wish::Abort];
    assert_eq!(broken(Config { needed: true, orders, ..rolled_back() }), []);
}

#[test]
fn a_rollback_by_two_operators_holds_every_promise() {
    assert_eq!(broken(Config { replicas: 2, ..rolled_back() }), []);
}

/// Two operators that both believe to be the leader, each with caches that lag on their own.
fn two_operators() -> Config {
    Config { replicas: 2, max_attempts: 1, ..small() }
}

#[test]
fn two_operators_hold_every_promise() {
    assert_eq!(broken(Config { base_moves: true, verdicts: vec![Verdict::Pass], ..two_operators() }), []);
}

#[test]
fn two_operators_and_an_abort_hold_every_promise() {
    let config = Config { verdicts: vec![Verdict::Pass], orders: vec![Wish::Abort], ..two_operators() };
    assert_eq!(broken(config), []);
}

#[test]
fn without_compare_and_swap_two_operators_break_a_promise() {
    let config = Config { compare_and_swap: false, max_attempts: 2, orders: vec![Wish::Abort], ..two_operators() };
    let names: Vec<&str> = broken(config).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| [DECREASE, END].contains(name)), "{names:?}");
}
