//! What is outside the operator: the API server's objects and the git repository, and what each
//! action of the machine does to them. Commits are named by what they hold, so that the same work
//! is the same commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::super::bench::{self, NAME};
use crate::{
    api::{
        agent_task::FailureClass,
        phase::{EscalationReason, PhaseState, PhaseStatus, PhaseTaskState},
        review_result::Verdict,
    },
    machine::phase::{
        Action, Answer, BASE_MERGE, Change, CheckWork, Judgement, Order, Outcome, PushFact, Snapshot, Work,
        agent_task_name, base_check_task_name, check_task_name, decide, project, push_task_name,
        rollback_check_task_name, settle,
    },
};

/// Which world is explored.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that can happen or not")]
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Operators that believe to be the leader.
    pub(super) replicas: usize,
    /// Whether the status is written by compare-and-swap.
    pub(super) compare_and_swap: bool,
    /// Attempts without grants.
    pub(super) max_attempts: u32,
    /// Whether agents can fail.
    pub(super) failing_agents: bool,
    /// Whether the first submission of a task conflicts.
    pub(super) conflict: bool,
    /// Whether a base branch that moved does not merge.
    pub(super) base_conflict: bool,
    /// Whether the base branch moves once.
    pub(super) base_moves: bool,
    /// Whether the gate is edited once.
    pub(super) gate_edit: bool,
    /// Whether the timeout of the phase passes once.
    pub(super) timeout: bool,
    /// Verdicts that a judgement can come to.
    pub(super) verdicts: Vec<Verdict>,
    /// Whether a person must approve.
    pub(super) approval: bool,
    /// Whether the check is compared with the base, and a reviewer looks after it.
    pub(super) reviewed: bool,
    /// Decisions that persons make, each at most once.
    pub(super) orders: Vec<Wish>,
    /// Whether the base branch without the phase fails its check.
    pub(super) needed: bool,
    /// Whether what passes goes to an upstream first.
    pub(super) delivers: bool,
}

/// A Decision that a person may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    Retry,
    Abort,
    Approve,
    Reject,
    Waive,
    Rollback,
}

/// A recorded status, compared and hashed as the API server would store it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) status: Arc<PhaseStatus>,
    stored: Arc<str>,
    /// Whether the spec's version is the second one: spec and status are one object, and seen together.
    pub(super) raised: bool,
    /// Of what is stored, taken once: states are hashed far more often than statuses are written.
    print: u64,
}

impl Recorded {
    pub(super) fn new(status: PhaseStatus, raised: bool) -> Self {
        let stored: Arc<str> = serde_json::to_string(&status).unwrap().into();
        let mut hasher = DefaultHasher::new();
        (&stored, raised).hash(&mut hasher);
        Self { status: Arc::new(status), stored, raised, print: hasher.finish() }
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print && self.raised == other.raised && self.stored == other.stored
    }
}

impl Eq for Recorded {}

impl Hash for Recorded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

/// Objects beside the phase, and its spec: what the caches of the rest hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Objects {
    pub(super) tasks: BTreeMap<String, Work>,
    pub(super) checks: BTreeMap<String, CheckWork>,
    pub(super) results: BTreeMap<String, ResultOf>,
    /// Pushes to the upstream, and the commits that they take there.
    pub(super) pushes: BTreeMap<String, (String, PushFact)>,
    pub(super) orders: Vec<Order>,
    pub(super) gate: u8,
    pub(super) timed_out: bool,
}

/// A ReviewResult.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ResultOf {
    pub(super) commit: String,
    pub(super) gate: String,
    pub(super) verdict: Option<Verdict>,
}

/// The repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Git {
    pub(super) base: u8,
    /// Base it contains, and submissions that are in.
    pub(super) release: Option<(u8, BTreeSet<String>)>,
    pub(super) merged: Vec<String>,
    /// The tags, by whether the version was raised.
    tags: BTreeMap<bool, String>,
    /// The release branch is that of the raised version.
    anew: bool,
    /// The revert beside the base branch.
    revert: Option<String>,
    /// The order is given up for good.
    given_up: bool,
    /// Merges that were taken back.
    pub(super) taken_back: Vec<String>,
    /// One of them without its check.
    pub(super) unchecked: bool,
    /// What the upstream has.
    pub(super) upstream: Vec<String>,
}

impl Git {
    fn head(&self) -> String {
        let (base, work) = self.release.clone().unwrap_or_default();
        format!("{base}:{}", work.into_iter().collect::<Vec<_>>().join("+"))
    }
}

/// A reconciliation under way: what it saw, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) from: Recorded,
    pub(super) seen: Arc<Objects>,
    snapshot: Snapshot,
    outcome: Outcome,
    changes: Vec<Change>,
    next: usize,
}

/// How far a reconciliation is.
pub(super) enum Acted {
    /// There may be another action.
    OneMore,
    /// The status is to be written.
    AllDone,
    /// Nothing is written; it begins anew.
    Failed,
}

/// Everything that survives a crash of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outside {
    pub(super) phase: Recorded,
    pub(super) objects: Arc<Objects>,
    pub(super) git: Git,
}

impl Outside {
    pub(super) fn new() -> Self {
        let objects = Objects {
            tasks: BTreeMap::new(),
            checks: BTreeMap::new(),
            results: BTreeMap::new(),
            pushes: BTreeMap::new(),
            orders: Vec::new(),
            gate: 1,
            timed_out: false,
        };
        Self { phase: Recorded::new(PhaseStatus::default(), false), objects: Arc::new(objects), git: Git::default() }
    }
}

/// The facts as a replica with these caches sees them.
fn facts(config: &Config, recorded: &Recorded, seen: &Objects) -> bench::World {
    let phase = &recorded.status;
    let judgement = |result: &ResultOf| match result.verdict {
        None => Judgement::Pending,
        Some(verdict) => Judgement::Judged {
            verdict,
            class: (verdict == Verdict::Fail).then_some(FailureClass::ReviewFailed),
            score: String::new(),
            reasons: String::new(),
            categories: Vec::new(),
            evidence: String::new(),
            same_findings: false,
            disputed: None,
        },
    };
    // As `observe` does it: a result of another commit is not this review's.
    let reviewed = phase.review.as_ref().map_or("", |review| review.commit.as_str());
    let results = seen.results.iter().filter(|(_, result)| result.commit == reviewed);
    let pushed = phase.push.as_ref().and_then(|push| seen.pushes.get(&push.task)).map(|(_, push)| push.clone());
    let goes_out = config.delivers && phase.state == PhaseState::Merging;
    let recorded_push = phase.push.as_ref().is_some_and(|push| !push.task.is_empty());
    let unseen = if recorded_push { PushFact::Recorded } else { PushFact::Missing };
    let push = if goes_out { pushed.unwrap_or(unseen) } else { PushFact::NotAsked };
    bench::World {
        spec_tasks: vec!["a".into()],
        max_attempts: config.max_attempts,
        max_dispatches: 2,
        gate_hash: gate(phase, seen),
        compared: if config.reviewed { vec!["test".into()] } else { Vec::new() },
        reviewers: if config.reviewed { vec!["eyes".into()] } else { Vec::new() },
        approval_required: config.approval,
        timed_out: seen.timed_out,
        backoff_over: true,
        tasks: seen.tasks.clone(),
        check_tasks: seen.checks.clone(),
        results: results.map(|(name, result)| (name.clone(), judgement(result))).collect(),
        decisions: seen.orders.clone(),
        raised: recorded.raised,
        push,
        rollback_refused: config.needed.then(|| (EscalationReason::RollbackFailed, "it is needed".into())),
        ..bench::World::default()
    }
}

/// The gate's hash: an edit of the spec and a waiver make it another.
fn gate(phase: &PhaseStatus, seen: &Objects) -> String {
    format!("g{}w{}", seen.gate, phase.waivers.len())
}

/// Observe and decide. Nothing if there is nothing to do.
pub(super) fn depart(config: &Config, phase: &Recorded, seen: &Arc<Objects>) -> Option<Flight> {
    let world = facts(config, phase, seen);
    let snapshot = bench::snapshot(&phase.status, &world);
    let outcome = decide(&snapshot);
    let changes = outcome.changes.clone();
    let flight = Flight { from: phase.clone(), seen: seen.clone(), snapshot, outcome, changes, next: 0 };
    let idle = flight.outcome.actions.is_empty() && flight.arrive(config) == *phase;
    (!idle).then_some(flight)
}

impl Hash for Flight {
    /// Snapshot and outcome follow from what was seen.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.from.hash(state);
        self.seen.hash(state);
        self.changes.len().hash(state);
        self.changes.last().hash(state);
        self.next.hash(state);
    }
}

impl Flight {
    /// Does the next action.
    pub(super) fn act(&mut self, config: &Config, outside: &mut Outside) -> Acted {
        let Some(action) = self.outcome.actions.get(self.next).cloned() else { return Acted::AllDone };
        if action == Action::StopTasks && self.is_push_under_way(&outside.objects) {
            return Acted::Failed;
        }
        let answer = self.perform(config, &action, outside);
        self.changes.extend(settle(&self.snapshot, &action, answer));
        self.next += 1;
        Acted::OneMore
    }

    /// Whether the recorded push has begun, as the API server says: then it is not stopped.
    fn is_push_under_way(&self, objects: &Objects) -> bool {
        let recorded = self.from.status.push.as_ref();
        recorded.is_some_and(|push| objects.pushes.get(&push.task).is_some_and(|(_, push)| *push == PushFact::Active))
    }

    /// The status to write. Time stands still: it only grows, and the machine never compares it.
    pub(super) fn arrive(&self, config: &Config) -> Recorded {
        let stamp = bench::stamp(&facts(config, &self.from, &self.seen), 1000);
        Recorded::new(project(&self.from.status, &self.changes, &stamp), self.from.raised)
    }

    fn perform(&self, config: &Config, action: &Action, outside: &mut Outside) -> Answer {
        let status = &self.from.status;
        let objects = Arc::make_mut(&mut outside.objects);
        let git = &mut outside.git;
        match action {
            Action::Claim => claim(git, status, self.from.raised),
            Action::EnsureTask(name) => {
                let task = status.tasks.iter().find(|task| &task.name == name).unwrap();
                let dispatch = task.dispatch + i32::from(task.state == PhaseTaskState::Waiting);
                let name = agent_task_name(NAME, name, status.attempt, dispatch);
                objects.tasks.entry(name).or_insert(Work::Active);
                Answer::Done
            }
            Action::Integrate(name) => {
                let task = status.tasks.iter().find(|task| &task.name == name).unwrap();
                let merged = task.conflict.as_ref().filter(|_| name == BASE_MERGE);
                integrate(config, git, &task.agent_task, merged.map(|base| base.parse().unwrap()))
            }
            Action::IntegrateBase => {
                let base = git.base;
                let contained = &mut git.release.as_mut().unwrap().0;
                if config.base_conflict && *contained != base {
                    return Answer::Conflict { commit: base.to_string(), paths: vec!["x".to_owned()] };
                }
                *contained = base;
                Answer::BaseIntegrated {
                    head: git.head(),
                    tree: git.head(),
                    base: base.to_string(),
                    patch: String::new(),
                }
            }
            Action::EnsureBaseCheck(name) => {
                let base = &status.release.as_ref().unwrap().base;
                objects.checks.entry(base_check_task_name(NAME, base, name)).or_insert(CheckWork::Active);
                Answer::Done
            }
            Action::EnsureCheck(name) if status.state == PhaseState::RollingBack => {
                let number = status.rollback.as_ref().unwrap().number;
                let name = rollback_check_task_name(NAME, status.attempt, number, name);
                objects.checks.entry(name).or_insert(CheckWork::Active);
                Answer::Done
            }
            Action::EnsureCheck(name) | Action::EnsureReviewer(name) => {
                let number = status.review.as_ref().unwrap().number;
                let name = check_task_name(NAME, status.attempt, number, name);
                objects.checks.entry(name).or_insert(CheckWork::Active);
                Answer::Done
            }
            Action::EnsureResult => {
                let review = status.review.as_ref().unwrap();
                let gate = gate(status, &self.seen);
                let result = ResultOf { commit: review.commit.clone(), gate, verdict: None };
                objects.results.entry(review.result.clone()).or_insert(result);
                Answer::Done
            }
            Action::Push => push(git, &mut objects.pushes, status, self.from.raised),
            Action::Merge => merge(git, status, self.from.raised),
            Action::Revert => revert(git, status),
            Action::RollBack => {
                let number = status.rollback.as_ref().unwrap().number;
                let check = rollback_check_task_name(NAME, status.attempt, number, "test");
                let checked = objects.checks.get(&check) == Some(&CheckWork::Ended) && !config.needed;
                roll_back(git, status, checked)
            }
            Action::GiveUpRollback => is_taken_back(git, status).unwrap_or_else(|| {
                git.revert = None;
                git.given_up = true;
                Answer::Done
            }),
            Action::StopTasks => {
                // Only what the cache shows is stopped.
                let stop = |name: &String, active: bool, seen: bool| !(active && seen) || name.is_empty();
                let seen = &self.seen;
                objects.tasks.retain(|name, work| stop(name, *work == Work::Active, seen.tasks.contains_key(name)));
                let stops = |push: &PushFact| matches!(push, PushFact::Waiting | PushFact::Active);
                // The recorded one is asked for.
                let recorded = status.push.as_ref().map(|push| push.task.clone()).unwrap_or_default();
                let known = |name: &String| *name == recorded || seen.pushes.contains_key(name);
                objects.pushes.retain(|name, (_, push)| stop(name, stops(push), known(name)));
                objects
                    .checks
                    .retain(|name, work| stop(name, *work == CheckWork::Active, seen.checks.contains_key(name)));
                Answer::Done
            }
        }
    }
}

fn tag(raised: bool) -> String {
    format!("t{}", 1 + u8::from(raised))
}

fn claim(git: &mut Git, status: &PhaseStatus, raised: bool) -> Answer {
    if let Some(merge) = git.tags.get(&raised).cloned() {
        let tag = tag(raised);
        return if git.taken_back.contains(&merge) {
            Answer::WasRolledBack { commit: format!("r{merge}"), merge, tag }
        } else {
            Answer::Adopted { commit: merge, tag, score: String::new() }
        };
    }
    let base = git.base;
    let reverted = status.rollback.as_ref().is_some_and(|rollback| rollback.reverted.is_some());
    // Once claimed the branch keeps its name, also if the version is edited.
    if raised && reverted && status.release.is_none() && !git.anew {
        let work = git.release.take().unwrap().1;
        git.release = Some((base, work));
        git.anew = true;
    }
    let claimed = git.release.get_or_insert((base, BTreeSet::new())).0;
    Answer::Claimed { head: git.head(), base: claimed.to_string(), works: works(git) }
}

fn works(git: &Git) -> Vec<(String, String)> {
    let work = git.release.iter().flat_map(|(_, work)| work);
    work.map(|submission| (submission.clone(), submission.clone())).collect()
}

/// With the base that it merges, if it does.
fn integrate(config: &Config, git: &mut Git, submission: &str, merged: Option<u8>) -> Answer {
    let (contained, work) = git.release.as_mut().unwrap();
    if config.conflict && submission.ends_with(".1.1") {
        return bench::conflict(&["x"]);
    }
    if work.insert(submission.to_owned()) {
        *contained = merged.unwrap_or(*contained);
    }
    Answer::Integrated { commit: submission.to_owned(), head: git.head(), works: works(git) }
}

/// As the service answers: done before, whoever did it.
fn is_taken_back(git: &Git, status: &PhaseStatus) -> Option<Answer> {
    let merge = &status.rollback.as_ref().unwrap().merge;
    git.taken_back.contains(merge).then(|| Answer::RolledBack { commit: format!("r{merge}") })
}

fn revert(git: &mut Git, status: &PhaseStatus) -> Answer {
    if let Some(done) = is_taken_back(git, status) {
        return done;
    }
    if git.given_up {
        return Answer::Done;
    }
    let commit = format!("{}-{}", git.base, status.rollback.as_ref().unwrap().merge);
    git.revert = Some(commit.clone());
    Answer::Reverted { tree: commit.clone(), commit, base: git.base.to_string() }
}

fn roll_back(git: &mut Git, status: &PhaseStatus, checked: bool) -> Answer {
    if let Some(done) = is_taken_back(git, status) {
        return done;
    }
    let rollback = status.rollback.as_ref().unwrap();
    if git.base.to_string() != rollback.base {
        return Answer::BaseMoved;
    }
    if git.revert.as_ref() != Some(&rollback.commit) {
        return Answer::NotReviewed("elsewhere".into());
    }
    git.taken_back.push(rollback.merge.clone());
    git.unchecked |= !checked;
    git.base += 1;
    Answer::RolledBack { commit: format!("r{}", rollback.merge) }
}

/// The merge is made beside the base branch, unless the upstream has it.
fn push(
    git: &mut Git,
    pushes: &mut BTreeMap<String, (String, PushFact)>,
    status: &PhaseStatus,
    raised: bool,
) -> Answer {
    let commit = status.review.as_ref().unwrap().commit.clone();
    if git.upstream.contains(&commit) {
        return merge(git, status, raised);
    }
    let settled = merge(&mut git.clone(), status, raised);
    if git.merged.contains(&commit) || !matches!(settled, Answer::Merged { .. }) {
        return settled;
    }
    let given_up = status.push.as_ref().map_or(0, |push| push.given_up);
    let task = push_task_name(NAME, given_up, &commit);
    // It is recorded before it exists.
    if status.push.as_ref().is_some_and(|push| push.task == task) {
        pushes.entry(task.clone()).or_insert((commit.clone(), PushFact::Waiting));
    }
    Answer::Pushing { task, commit }
}

fn merge(git: &mut Git, status: &PhaseStatus, raised: bool) -> Answer {
    let review = status.review.as_ref().unwrap();
    let done = Answer::Merged { commit: review.commit.clone(), tag: tag(raised) };
    if git.merged.contains(&review.commit) {
        return done;
    }
    if git.base.to_string() != review.base {
        return Answer::BaseMoved;
    }
    if git.head() != review.commit {
        return Answer::NotReviewed("elsewhere".into());
    }
    if let Some(commit) = git.tags.get(&raised) {
        // The tag is there; whose it is, the claim says.
        return if git.taken_back.contains(commit) {
            Answer::TagTaken(tag(raised))
        } else {
            Answer::Merged { commit: commit.clone(), tag: tag(raised) }
        };
    }
    git.merged.push(review.commit.clone());
    git.tags.insert(raised, review.commit.clone());
    git.base += 1;
    done
}
