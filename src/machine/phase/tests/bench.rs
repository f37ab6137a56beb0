//! A recorded status and a world around it. The snapshot is derived as the reconciler's `observe`
//! does it, so that a step can be followed by the next.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    api::{
        agent_task::FailureClass,
        common::Backoff,
        phase::{Blocked, BlockedReason, EscalationReason, PhaseState, PhaseStatus, PhaseTaskState, PhaseTaskStatus},
        review_result::Verdict,
    },
    machine::phase::{
        Action, Answer, Change, CheckFact, CheckWork, Dependants, Judgement, Order, OrderKind, Outcome, PushFact,
        ReviewFact, RollbackFact, Snapshot, Stamp, TaskFact, Work, base_check_task_name, check_task_name, decide,
        is_approved, planned, project, rollback_check_task_name, settle,
    },
};

/// Name of the phase.
pub(super) const NAME: &str = "p";

/// What is outside the status.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with one another")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) spec_tasks: Vec<String>,
    pub(super) depends_on: BTreeMap<String, Vec<String>>,
    pub(super) max_attempts: u32,
    pub(super) parallelism: usize,
    pub(super) max_dispatches: u32,
    pub(super) checks: Vec<String>,
    /// Those of them that need to know what the base has.
    pub(super) compared: Vec<String>,
    pub(super) reviewers: Vec<String>,
    pub(super) checks_failed: bool,
    pub(super) gate_hash: String,
    pub(super) approval_required: bool,
    pub(super) person_criteria: Vec<String>,
    pub(super) blocked: Vec<BlockedReason>,
    pub(super) suspended: bool,
    pub(super) timed_out: bool,
    pub(super) backoff_over: bool,
    pub(super) claim_refused: bool,
    pub(super) has_turn: bool,
    /// AgentTasks of developers, by name.
    pub(super) tasks: BTreeMap<String, Work>,
    /// AgentTasks of checks, by name.
    pub(super) check_tasks: BTreeMap<String, CheckWork>,
    /// ReviewResults, by name.
    pub(super) results: BTreeMap<String, Judgement>,
    /// Decisions, oldest first.
    pub(super) decisions: Vec<Order>,
    /// Whether the spec's version is another than the one that passed.
    pub(super) raised: bool,
    pub(super) dependants: Dependants,
    pub(super) dependency_rolled_back: Option<String>,
    /// Why the checks of a revert stand against it, once they have ended.
    pub(super) rollback_refused: Option<(EscalationReason, String)>,
    pub(super) push: PushFact,
}

impl Default for World {
    fn default() -> Self {
        Self {
            spec_tasks: vec!["a".into(), "b".into()],
            depends_on: BTreeMap::new(),
            max_attempts: 3,
            parallelism: 3,
            max_dispatches: 4,
            checks: vec!["test".into()],
            compared: Vec::new(),
            reviewers: Vec::new(),
            checks_failed: false,
            gate_hash: "g1".into(),
            approval_required: false,
            person_criteria: Vec::new(),
            blocked: Vec::new(),
            suspended: false,
            timed_out: false,
            backoff_over: false,
            claim_refused: false,
            has_turn: true,
            tasks: BTreeMap::new(),
            check_tasks: BTreeMap::new(),
            results: BTreeMap::new(),
            decisions: Vec::new(),
            raised: false,
            dependants: Dependants::default(),
            dependency_rolled_back: None,
            rollback_refused: None,
            push: PushFact::NotAsked,
        }
    }
}

/// The facts of a decision, as the reconciler's `observe` derives them.
pub(super) fn snapshot(status: &PhaseStatus, world: &World) -> Snapshot {
    let over = matches!(status.state, PhaseState::Passed | PhaseState::Escalated | PhaseState::Failed)
        || (status.state == PhaseState::RolledBack && !world.raised);
    let used: BTreeSet<&String> = status.used_decisions.iter().collect();
    let plan = planned(status, &world.spec_tasks);
    let review = status.review.as_ref().filter(|review| !review.commit.is_empty());
    Snapshot {
        state: status.state,
        attempt: u32::try_from(status.attempt).unwrap(),
        limit: world.max_attempts + u32::try_from(status.granted_attempts).unwrap(),
        blocked: !over && (!world.blocked.is_empty() || world.suspended || world.claim_refused),
        suspended: world.suspended,
        timed_out: world.timed_out && !world.suspended && status.started_at.is_some(),
        backoff_over: world.backoff_over,
        claim_refused: world.claim_refused,
        orders: world.decisions.iter().filter(|order| !used.contains(&order.uid)).cloned().collect(),
        tasks: plan.iter().map(|task| task_fact(task, &plan, world)).collect(),
        base_checks: world.compared.iter().map(|check| base_fact(status, check, world)).collect(),
        parallelism: world.parallelism,
        max_dispatches: world.max_dispatches,
        has_turn: world.has_turn && status.turn_since.is_some(),
        gate_hash: world.gate_hash.clone(),
        review: review.map(|review| ReviewFact {
            commit: review.commit.clone(),
            gate_hash: review.gate_hash.clone(),
            failed_before: status.history.iter().any(|judged| {
                judged.result != review.result
                    && (&judged.tree, &judged.gate_hash) == (&review.tree, &review.gate_hash)
                    && judged.verdict == Verdict::Fail
            }),
            checks: world
                .checks
                .iter()
                .map(|check| CheckFact {
                    waits_for_base: world.compared.contains(check)
                        && base_fact(status, check, world).work != CheckWork::Ended,
                    ..check_fact(status.attempt, review.number, check, world)
                })
                .collect(),
            checks_failed: world.checks_failed,
            reviewers: world
                .reviewers
                .iter()
                .map(|who| check_fact(status.attempt, review.number, who, world))
                .collect(),
            judgement: world.results.get(&review.result).cloned().unwrap_or(Judgement::Missing),
        }),
        approval_required: world.approval_required,
        person_criteria: world.person_criteria.clone(),
        approved: is_approved(status, &world.person_criteria),
        escalation: status.escalation.as_ref().map(|escalation| (escalation.reason, escalation.from)),
        push: world.push.clone(),
        passed_once: status.history.iter().any(|judged| judged.verdict == Verdict::Pass),
        rollback: status.rollback.as_ref().map(|rollback| RollbackFact {
            merge: rollback.merge.clone(),
            commit: Some(rollback.commit.clone()).filter(|commit| !commit.is_empty()),
            gate_hash: rollback.gate_hash.clone(),
            checks: world
                .checks
                .iter()
                .map(|check| rollback_fact(status.attempt, rollback.number, check, world))
                .collect(),
            refused: world.rollback_refused.clone(),
        }),
        raised: world.raised && status.rollback.is_some(),
        dependants: world.dependants.clone(),
        dependency_rolled_back: world.dependency_rolled_back.clone(),
    }
}

fn rollback_fact(attempt: i32, number: i32, check: &str, world: &World) -> CheckFact {
    let name = rollback_check_task_name(NAME, attempt, number, check);
    let work = world.check_tasks.get(&name).copied().unwrap_or(CheckWork::Missing);
    CheckFact { name: check.to_owned(), work, waits_for_base: false }
}

fn check_fact(attempt: i32, number: i32, check: &str, world: &World) -> CheckFact {
    let name = check_task_name(NAME, attempt, number, check);
    let work = world.check_tasks.get(&name).copied().unwrap_or(CheckWork::Missing);
    CheckFact { name: check.to_owned(), work, waits_for_base: false }
}

fn base_fact(status: &PhaseStatus, check: &str, world: &World) -> CheckFact {
    let base = status.release.as_ref().map(|release| release.base.clone()).unwrap_or_default();
    let name = base_check_task_name(NAME, &base, check);
    let work = world.check_tasks.get(&name).copied().unwrap_or(CheckWork::Missing);
    CheckFact { name: check.to_owned(), work, waits_for_base: false }
}

fn task_fact(task: &PhaseTaskStatus, plan: &[PhaseTaskStatus], world: &World) -> TaskFact {
    let pushed = task.submitted.is_some() && task.agent_task.is_empty();
    let seen = world.tasks.get(&task.agent_task).cloned().unwrap_or(Work::Missing);
    let is_in =
        |name: &String| plan.iter().any(|other| &other.name == name && other.state == PhaseTaskState::Integrated);
    TaskFact {
        name: task.name.clone(),
        state: task.state,
        ready: world.depends_on.get(&task.name).is_none_or(|wanted| wanted.iter().all(is_in)),
        dispatch: u32::try_from(task.dispatch).unwrap(),
        pushed,
        work: if pushed { Work::Submitted } else { seen },
    }
}

/// What the reconciler stamps onto the status, at this second.
pub(super) fn stamp(world: &World, second: i64) -> Stamp {
    let reason = |reason: &BlockedReason| Blocked { reason: *reason, message: format!("{reason:?}") };
    let pause = world.suspended.then_some(BlockedReason::Suspended);
    let taken = world.claim_refused.then_some(BlockedReason::NumberTaken);
    Stamp {
        now: Timestamp::from_second(second).unwrap(),
        generation: 1,
        name: NAME.into(),
        uid: "0123456789".into(),
        tasks: world.spec_tasks.clone(),
        release_branch: "release/phase-1-v1".into(),
        max_attempts: world.max_attempts,
        backoff: Backoff::default(),
        gate_hash: world.gate_hash.clone(),
        blocked: pause.iter().chain(&taken).chain(&world.blocked).map(reason).collect(),
        suspended: world.suspended,
        decisions: world.decisions.iter().map(|order| order.uid.clone()).collect(),
        asked_of_person: vec!["approval".into()],
        dependants_at_work: world.dependants.at_work.clone(),
    }
}

/// A phase on the bench: status, world, and a clock that only the test moves.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    pub(super) status: PhaseStatus,
    pub(super) world: World,
    pub(super) second: i64,
}

impl Bench {
    /// A phase whose status was never written.
    pub(super) fn new() -> Self {
        Self { status: PhaseStatus::default(), world: World::default(), second: 1000 }
    }

    /// A phase in Developing, attempt 1, with both tasks waiting.
    pub(super) fn developing() -> Self {
        let mut bench = Self::new();
        bench.step(&[]);
        bench.step(&[(Action::Claim, claimed())]);
        bench
    }

    /// The same with both tasks at work.
    pub(super) fn working() -> Self {
        let mut bench = Self::developing();
        bench.step(&[]);
        bench.see("p.a.1.1", Work::Active).see("p.b.1.1", Work::Active)
    }

    /// A phase in Reviewing, attempt 1, that has not begun its review.
    pub(super) fn integrated() -> Self {
        let mut bench = Self::working().see("p.a.1.1", Work::Submitted).see("p.b.1.1", Work::Submitted);
        bench.step(&[(integrate("a"), is_in("a")), (integrate("b"), is_in("b"))]);
        bench.step(&[]);
        bench
    }

    /// A phase in Reviewing with a commit under judgement.
    pub(super) fn reviewing() -> Self {
        let mut bench = Self::integrated();
        bench.step(&[(Action::IntegrateBase, base_in("c1"))]);
        bench
    }

    /// The same with a verdict recorded in the ReviewResult.
    pub(super) fn judged(verdict: Verdict, class: Option<FailureClass>) -> Self {
        let mut bench = Self::reviewing();
        bench.judge(verdict, class, false);
        bench
    }

    /// A phase in Merging.
    pub(super) fn merging() -> Self {
        let mut bench = Self::judged(Verdict::Pass, None);
        bench.step(&[]);
        bench
    }

    /// A phase that waits for an approval of `c1`.
    pub(super) fn awaiting() -> Self {
        let mut bench = Self::reviewing().with(|world| world.approval_required = true);
        bench.judge(Verdict::Pass, None, false);
        bench.step(&[]);
        bench
    }

    /// A phase in Backoff after its first attempt.
    pub(super) fn backoff() -> Self {
        let mut bench = Self::judged(Verdict::Fail, Some(FailureClass::ReviewFailed));
        bench.step(&[]);
        bench
    }

    /// A phase whose only attempt was refused.
    pub(super) fn exhausted() -> Self {
        let mut bench =
            Self::judged(Verdict::Fail, Some(FailureClass::ReviewFailed)).with(|world| world.max_attempts = 1);
        bench.step(&[]);
        bench
    }

    /// The verdict of the review under way.
    pub(super) fn judge(&mut self, verdict: Verdict, class: Option<FailureClass>, same_findings: bool) {
        let judged = Judgement::Judged {
            verdict,
            class,
            score: "9.01".into(),
            reasons: "why".into(),
            categories: Vec::new(),
            evidence: "sha256:5e".into(),
            same_findings,
            disputed: None,
        };
        self.world.results.insert(self.status.review.as_ref().unwrap().result.clone(), judged);
    }

    /// The same with other facts.
    pub(super) fn with(mut self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self.world);
        self
    }

    /// The same with this AgentTask in the cache.
    pub(super) fn see(mut self, task: &str, work: Work) -> Self {
        self.world.tasks.insert(task.into(), work);
        self
    }

    /// The same with a Decision; it speaks of the current attempt.
    pub(super) fn order(mut self, kind: OrderKind, commit: Option<&str>) -> Self {
        self.world.decisions.push(Order {
            uid: format!("d{}", self.world.decisions.len()),
            kind,
            attempt: u32::try_from(self.status.attempt).unwrap(),
            commit: commit.map(Into::into),
            user: "ada".into(),
            note: String::new(),
        });
        self
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        snapshot(&self.status, &self.world)
    }

    pub(super) fn decide(&self) -> Outcome {
        decide(&self.snapshot())
    }

    /// One reconciliation. Actions not named are answered with Done.
    pub(super) fn step(&mut self, answers: &[(Action, Answer)]) -> Vec<String> {
        let snapshot = self.snapshot();
        let outcome = decide(&snapshot);
        let mut changes = outcome.changes.clone();
        for action in &outcome.actions {
            let answer = answers.iter().find(|(of, _)| of == action).map_or(Answer::Done, |(_, answer)| answer.clone());
            changes.extend(settle(&snapshot, action, answer));
        }
        self.status = project(&self.status, &changes, &stamp(&self.world, self.second));
        self.second += 60;
        outcome.actions.iter().map(name).chain(changes.iter().map(told)).collect()
    }

    /// The actions that come next.
    pub(super) fn next(&self) -> Vec<String> {
        self.decide().actions.iter().map(name).collect()
    }

    /// Steps until nothing changes any more, without answers.
    pub(super) fn settled(mut self) -> Self {
        for _ in 0..10 {
            let before = self.status.clone();
            self.step(&[]);
            if self.status == before {
                return self;
            }
        }
        panic!("no fixed point: {:?}", self.status)
    }

    pub(super) fn task(&self, name: &str) -> &PhaseTaskStatus {
        self.status.tasks.iter().find(|task| task.name == name).unwrap()
    }

    pub(super) fn reason(&self) -> Option<EscalationReason> {
        self.status.escalation.as_ref().map(|escalation| escalation.reason)
    }
}

fn name(action: &Action) -> String {
    format!("{action:?}").replace('"', "")
}

/// A change in a word or two; messages are left out.
fn told(change: &Change) -> String {
    match change {
        Change::Escalate { reason, message } => {
            assert!(!message.is_empty());
            format!("Escalate({reason:?})")
        }
        Change::TaskAnew { task, .. } => format!("TaskAnew({task})"),
        Change::TaskFailed { task, .. } => format!("TaskFailed({task})"),
        Change::TaskIntegrated { task, .. } => format!("TaskIntegrated({task})"),
        Change::BaseConflict { base, .. } => format!("BaseConflict({base})"),
        Change::WorkFound { work, .. } => format!("WorkFound({work})"),
        Change::TaskPushed { task, commit } => format!("TaskPushed({task}, {commit})"),
        Change::Judged { verdict, .. } => format!("Judged({verdict:?})"),
        Change::Used { remark, .. } => format!("Used({remark})"),
        Change::Release { head, .. } => format!("Release({head})"),
        Change::BeginReview { commit, .. } => format!("BeginReview({commit})"),
        Change::BeginAttempt { pushed } => format!("BeginAttempt({})", pushed.as_deref().unwrap_or("")),
        Change::Approved { commit, .. } => format!("Approved({commit})"),
        Change::Merged { commit, .. } => format!("Merged({commit})"),
        Change::Waived { what, .. } => format!("Waived({})", what.findings.join(" ")),
        Change::Blocked(reasons) => format!("Blocked({:?})", reasons[0].reason),
        Change::BeginRollback { user, .. } => format!("BeginRollback({user})"),
        Change::BeginRevert { commit, .. } => format!("BeginRevert({commit})"),
        Change::RolledBack { commit } => format!("RolledBack({commit})"),
        Change::WasRolledBack { commit, .. } => format!("WasRolledBack({commit})"),
        Change::EndRollback { .. } => "EndRollback".to_owned(),
        Change::Pushing { commit, .. } => format!("Pushing({commit})"),
        Change::DropRevert
        | Change::DropPush
        | Change::BeginAnew
        | Change::Scored(_)
        | Change::Enter(_)
        | Change::RestartClock
        | Change::TaskWorking(_)
        | Change::DropReview
        | Change::Note(_)
        | Change::Grant(_) => format!("{change:?}").replace('"', ""),
    }
}

pub(super) fn claimed() -> Answer {
    Answer::Claimed { head: "c0".into(), base: "b0".into(), works: vec![] }
}

pub(super) fn integrate(task: &str) -> Action {
    Action::Integrate(task.into())
}

pub(super) fn is_in(task: &str) -> Answer {
    Answer::Integrated { commit: format!("i-{task}"), head: format!("i-{task}"), works: vec![] }
}

/// Git cannot join the submission `s1`.
pub(super) fn conflict(paths: &[&str]) -> Answer {
    Answer::Conflict { commit: "s1".into(), paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

pub(super) fn base_in(commit: &str) -> Answer {
    changing(commit, &format!("p-{commit}"))
}

/// The base branch is in, and the release branch changes this.
pub(super) fn changing(commit: &str, patch: &str) -> Answer {
    Answer::BaseIntegrated { head: commit.into(), tree: format!("t-{commit}"), base: "b0".into(), patch: patch.into() }
}

pub(super) fn merged() -> Answer {
    Answer::Merged { commit: "m1".into(), tag: "phase-1-v1".into() }
}

pub(super) fn failed(class: FailureClass) -> Work {
    Work::Failed { class, message: "said why".into() }
}

/// One row of a table: what a step does, the state it leads to, and the actions that come next.
pub(super) fn row(
    mut bench: Bench,
    answers: &[(Action, Answer)],
    told: &[&str],
    then: PhaseState,
    next: &[&str],
) -> Bench {
    let got = bench.step(answers);
    assert_eq!(got, told, "what is done and recorded");
    assert_eq!(bench.status.state, then, "where it leads");
    assert_eq!(bench.next(), next, "what comes next");
    bench
}
