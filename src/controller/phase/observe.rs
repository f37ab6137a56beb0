//! All reads of a phase's reconciliation: from caches only, turned into facts. Time enters here.

pub(super) mod evidence;
mod profiles;
mod push;
mod rollback;

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};

use super::orders::{decisions, orders, suspended_by_person, too_many};
use crate::{
    api::{
        AgentTask, Phase, PhaseStatus, Repository, ReviewResult,
        agent_task::{AgentPod, FindingAnswer, TaskState},
        common::{Backoff, Duration},
        phase::{
            Blocked, BlockedReason, CategoryRecord, Judge, JudgementRecord, PhaseState, PhaseTaskState,
            PhaseTaskStatus, Waiver,
        },
        review_result::{CategoryScore, CriterionState, JudgedFinding, Verdict},
    },
    controller::context::Context,
    git::flow::{self, Line},
    machine::{
        phase::{
            CheckFact, CheckWork, Judgement, REWORK, ReviewFact, Snapshot, Stamp, TaskFact, Work, check_task_name,
            is_approved, planned,
        },
        preflight::{Ground, Neighbour, RepositoryFact, dependants, dependency_rolled_back, preflight},
        turn,
    },
    review::{
        rubric::{Gate, gate},
        score,
    },
};

/// Attempts unless set (seed: Maximum Retries).
const MAX_ATTEMPTS: i32 = 3;
/// Runs of a task unless set; also how often a conflict hands it out anew.
const MAX_RUNS: i32 = 4;
/// Longest time of one run unless set.
const TASK_TIMEOUT: Duration = Duration::from_secs(3600);

/// Everything one reconciliation works with.
pub(super) struct Observed {
    pub(super) phase: Arc<Phase>,
    pub(super) status: PhaseStatus,
    pub(super) repository: Option<Arc<Repository>>,
    pub(super) gate: Option<Gate>,
    pub(super) profile: Option<AgentPod>,
    pub(super) limits: Limits,
    pub(super) base: evidence::Base,
    pub(super) snapshot: Snapshot,
    pub(super) stamp: Stamp,
    pub(super) last_review: Option<Arc<ReviewResult>>,
    /// What the developer said of the findings of the last judgement.
    pub(super) answers: Vec<FindingAnswer>,
}

/// Effective limits: the Phase's, or the Repository's, or the defaults.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_attempts: i32,
    pub(super) max_runs: i32,
    pub(super) backoff: Backoff,
    pub(super) task_timeout: Duration,
}

/// Reads everything the decision depends on.
pub(super) fn observe(phase: Arc<Phase>, context: &Context, decisions_trusted: bool, now: Timestamp) -> Observed {
    let task_names: Vec<String> = phase.spec.tasks.iter().map(|task| task.name.clone()).collect();
    let mut status = phase.status.clone().unwrap_or_default();
    status.tasks = planned(&status, &task_names);
    let namespace = phase.namespace().unwrap_or_default();
    let repository =
        context.stores.repositories.get(&ObjectRef::new(&phase.spec.repository_ref.name).within(&namespace));
    let profiles = profiles::profiles(repository.as_deref(), &namespace, context);
    let waivers: Vec<Waiver> = status.waivers.iter().filter(|waiver| holds(waiver, now)).cloned().collect();
    let judged_by =
        repository.as_ref().map(|repository| gate(&repository.spec, &phase.spec, &waivers, &profiles.reviewers));
    let (gate, gate_problems) = match judged_by {
        Some(Ok(gate)) => (Some(gate), Vec::new()),
        Some(Err(problems)) => (None, problems),
        None => (None, Vec::new()),
    };
    let limits = limits(&phase, repository.as_deref());
    let mine = decisions(&phase, context);
    let suspended = phase.spec.suspend || suspended_by_person(&mine, decisions_trusted, &status);
    let neighbours = neighbours(&phase, &namespace, context);
    let ground = Ground {
        repository: repository_fact(repository.as_deref()),
        profiles: profiles.facts,
        gate: gate_problems,
        suspended,
    };
    let claim_refused = claim_refused(&phase, &status, &neighbours);
    let mut blocked = blocked(&phase, &status, &neighbours, &ground, claim_refused);
    blocked.extend(too_many(&mine, &status).filter(|_| !is_over(status.state)));
    let last_review = last_review(&phase, &status, context);
    let answers = answers(&phase, &status, context);
    let gate_hash = gate.as_ref().map(|gate| gate.hash.clone()).unwrap_or_default();
    let person_criteria = person_criteria(&phase, &status, &waivers, context);
    let base = evidence::Base::of(&phase, &status, gate.as_ref(), context, now);
    let approval_required = phase.spec.approval.as_ref().is_some_and(|approval| approval.required);
    let limit = limits.max_attempts.saturating_add(status.granted_attempts);
    let dependants = dependants(&phase.name_any(), &neighbours);
    let snapshot = Snapshot {
        state: status.state,
        attempt: unsigned(status.attempt),
        limit: unsigned(limit),
        blocked: !blocked.is_empty(),
        suspended,
        timed_out: timed_out(&phase, &status, suspended, now),
        backoff_over: status.backoff_until.as_ref().is_none_or(|until| until.0 <= now),
        claim_refused,
        orders: if decisions_trusted { orders(&mine, &status) } else { Vec::new() },
        tasks: status.tasks.iter().map(|task| task_fact(task, &phase, &status, context)).collect(),
        base_checks: base.checks(),
        parallelism: repository.as_ref().map_or(1, |repository| unsigned(repository.spec.parallelism)) as usize,
        max_dispatches: unsigned(limits.max_runs),
        has_turn: has_turn(&phase, &namespace, context),
        gate_hash: gate_hash.clone(),
        review: review_fact(&phase, &status, gate.as_ref(), &base, context),
        approval_required,
        person_criteria: person_criteria.clone(),
        approved: is_approved(&status, &person_criteria),
        escalation: status.escalation.as_ref().map(|escalation| (escalation.reason, escalation.from)),
        passed_once: passed_once(&status),
        rollback: rollback::fact(&phase, &status, gate.as_ref(), context),
        raised: rollback::is_raised(&phase, &status),
        push: push::fact(&phase, &status, repository.as_deref(), context),
        dependants: dependants.clone(),
        dependency_rolled_back: dependency_rolled_back(&phase.spec.depends_on, &neighbours),
    };
    let stamp = Stamp {
        now: Timestamp::from_second(now.as_second()).unwrap_or(now),
        generation: phase.metadata.generation.unwrap_or_default(),
        name: phase.name_any(),
        uid: phase.uid().unwrap_or_default(),
        tasks: task_names,
        release_branch: super::build::line(&phase.spec)
            .release_branch(&phase.spec.version)
            .map(|name| name.short().to_owned())
            .unwrap_or_default(),
        max_attempts: unsigned(limits.max_attempts),
        backoff: limits.backoff.clone(),
        gate_hash,
        blocked,
        suspended,
        decisions: mine.iter().filter_map(|decision| decision.uid()).collect(),
        asked_of_person: asked(approval_required, &person_criteria),
        dependants_at_work: dependants.at_work,
    };
    let profile = profiles.developer;
    Observed { phase, status, repository, gate, profile, limits, base, snapshot, stamp, last_review, answers }
}

pub(super) fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn limits(phase: &Phase, repository: Option<&Repository>) -> Limits {
    let of_phase = phase.spec.retry.as_ref();
    let of_repository = repository.and_then(|repository| repository.spec.retry.as_ref());
    let pick = |field: fn(&crate::api::Retry) -> Option<i32>| {
        of_phase.and_then(field).or_else(|| of_repository.and_then(field))
    };
    let backoff = of_phase.and_then(|retry| retry.backoff.clone());
    Limits {
        max_attempts: pick(|retry| retry.max_attempts).unwrap_or(MAX_ATTEMPTS),
        max_runs: pick(|retry| retry.max_runs_per_task).unwrap_or(MAX_RUNS),
        backoff: backoff.or_else(|| of_repository.and_then(|retry| retry.backoff.clone())).unwrap_or_default(),
        task_timeout: TASK_TIMEOUT,
    }
}

fn repository_fact(repository: Option<&Repository>) -> RepositoryFact {
    let Some(repository) = repository else { return RepositoryFact::Missing };
    let status = repository.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if ready { RepositoryFact::Ready } else { RepositoryFact::NotReady(status.message) }
}

/// Reasons against the start, and while it runs only those against going on.
fn blocked(
    phase: &Phase,
    status: &PhaseStatus,
    neighbours: &[Neighbour],
    ground: &Ground,
    claim_refused: bool,
) -> Vec<Blocked> {
    let all = preflight(&phase.name_any(), &phase.spec, neighbours, ground);
    match status.state {
        PhaseState::Pending => all,
        PhaseState::Preparing => {
            let recorded =
                status.blocked_by.iter().filter(|known| claim_refused && known.reason == BlockedReason::NumberTaken);
            all.into_iter().chain(recorded.cloned()).collect()
        }
        PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::AwaitingApproval
        | PhaseState::Merging => all.into_iter().filter(|reason| stops_work(reason.reason)).collect(),
        PhaseState::RollingBack => all.into_iter().filter(|reason| stops_rollback(reason.reason)).collect(),
        PhaseState::RolledBack if rollback::is_raised(phase, status) => all,
        PhaseState::RolledBack | PhaseState::Passed | PhaseState::Escalated | PhaseState::Failed => Vec::new(),
    }
}

/// Whether a reason also stops the way out: no agent works there, and what the phase asks of its own work is no matter.
fn stops_rollback(reason: BlockedReason) -> bool {
    match reason {
        BlockedReason::AgentMissing | BlockedReason::PodTemplateMissing | BlockedReason::PodTemplateInvalid => false,
        BlockedReason::Suspended
        | BlockedReason::DependencyNotPassed
        | BlockedReason::DependencyMissing
        | BlockedReason::DependencyCycle
        | BlockedReason::TaskCycle
        | BlockedReason::RepositoryMissing
        | BlockedReason::RepositoryNotReady
        | BlockedReason::CheckImageMissing
        | BlockedReason::CheckNameTaken
        | BlockedReason::CheckUnknown
        | BlockedReason::CriterionUnprovable
        | BlockedReason::NoEvidencePossible
        | BlockedReason::WeakensGate
        | BlockedReason::NumberTaken
        | BlockedReason::TagPromised
        | BlockedReason::WeightMissing
        | BlockedReason::TooManyDecisions
        | BlockedReason::OperationFailed => stops_work(reason),
    }
}

/// Whether nothing that a person decides changes anything any more.
fn is_over(state: PhaseState) -> bool {
    matches!(state, PhaseState::Passed | PhaseState::Failed)
}

/// Whether a reason also stops a phase that has started. A dependency that once passed does not count again.
fn stops_work(reason: BlockedReason) -> bool {
    match reason {
        BlockedReason::DependencyNotPassed
        | BlockedReason::DependencyMissing
        | BlockedReason::DependencyCycle
        | BlockedReason::RepositoryNotReady
        | BlockedReason::NumberTaken
        | BlockedReason::TagPromised
        | BlockedReason::OperationFailed => false,
        BlockedReason::Suspended
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
        | BlockedReason::WeightMissing
        | BlockedReason::TooManyDecisions => true,
    }
}

/// Asking again is of use once the spec changed or the other phase of this number or name is gone.
fn claim_refused(phase: &Phase, status: &PhaseStatus, neighbours: &[Neighbour]) -> bool {
    let line = Line::of(&phase.spec);
    let has_name = |other: &Neighbour| other.repository == phase.spec.repository_ref.name && other.line == line;
    neighbours.iter().any(has_name)
        && status.state == PhaseState::Preparing
        && Some(status.observed_generation) == phase.metadata.generation
        && status.blocked_by.iter().any(|known| known.reason == BlockedReason::NumberTaken)
}

fn neighbours(phase: &Phase, namespace: &str, context: &Context) -> Vec<Neighbour> {
    let others = context.stores.phases.state_filter(|other| {
        other.namespace().as_deref() == Some(namespace)
            && other.uid() != phase.uid()
            && other.name_any() != phase.name_any()
    });
    let age = |of: &Phase| (of.creation_timestamp(), of.name_any());
    let mut facts: Vec<Neighbour> = others
        .iter()
        .map(|other| Neighbour {
            name: other.name_any(),
            repository: other.spec.repository_ref.name.clone(),
            line: Line::of(&other.spec),
            tags: tags(other),
            depends_on: other.spec.depends_on.clone(),
            state: other.status.as_ref().map(|status| status.state).unwrap_or_default(),
            merged: other.status.as_ref().is_some_and(|status| status.merge.is_some()),
            rolled_back: other.status.as_ref().is_some_and(|status| status.rollback.is_some()),
            older: age(other) < age(phase),
        })
        .collect();
    facts.sort_by(|a, b| a.name.cmp(&b.name));
    facts
}

/// The tags that a phase makes or has made. Those of a version that was rolled back stay.
fn tags(phase: &Phase) -> Vec<String> {
    let promised = flow::tags(&phase.spec).unwrap_or_default().into_iter().map(|tag| tag.short().to_owned());
    let status = phase.status.as_ref();
    let merged = status.and_then(|status| status.merge.as_ref()).map(|merge| merge.tag.clone());
    let taken_back = status.and_then(|status| status.rollback.as_ref()).map(|rollback| rollback.tag.clone());
    promised.chain(merged).chain(taken_back).collect()
}

fn has_turn(phase: &Phase, namespace: &str, context: &Context) -> bool {
    let others = context.stores.phases.state_filter(|other| {
        // One that is being deleted goes on no more, and may stay for as long as its pods do.
        other.namespace().as_deref() == Some(namespace)
            && other.spec.repository_ref == phase.spec.repository_ref
            && other.metadata.deletion_timestamp.is_none()
    });
    let place = |of: &Arc<Phase>| turn::place(&of.name_any(), of.spec.hotfix.is_some(), of.status.as_ref()?);
    turn::holder(others.iter().filter_map(place)).is_some_and(|name| name == phase.name_any())
}

fn timed_out(phase: &Phase, status: &PhaseStatus, suspended: bool, now: Timestamp) -> bool {
    let (Some(timeout), Some(started)) = (phase.spec.timeout, &status.started_at) else { return false };
    !suspended && status.suspended_at.is_none() && started.0 + span(timeout) <= now
}

/// A duration of the API as one of the clock.
pub(super) fn span(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(i64::from(duration.as_secs()))
}

/// The AgentTask of this name, if this very phase made it.
pub(super) fn task_of(phase: &Phase, name: &str, context: &Context) -> Option<Arc<AgentTask>> {
    let namespace = phase.namespace().unwrap_or_default();
    context.stores.tasks.get(&ObjectRef::new(name).within(&namespace)).filter(|task| owned_by(task.as_ref(), phase))
}

fn owned_by(object: &impl Resource, phase: &Phase) -> bool {
    let uid = phase.uid().unwrap_or_default();
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn task_fact(task: &PhaseTaskStatus, phase: &Phase, status: &PhaseStatus, context: &Context) -> TaskFact {
    let integrated = |name: &String| {
        status.tasks.iter().any(|other| &other.name == name && other.state == PhaseTaskState::Integrated)
    };
    let depends_on = phase.spec.tasks.iter().find(|spec| spec.name == task.name).map(|spec| spec.depends_on.as_slice());
    TaskFact {
        name: task.name.clone(),
        state: task.state,
        ready: depends_on.unwrap_or_default().iter().all(integrated),
        dispatch: unsigned(task.dispatch),
        pushed: is_pushed(task),
        work: work(task, phase, context),
    }
}

/// Whether a person's commit stands for the task.
fn is_pushed(task: &PhaseTaskStatus) -> bool {
    task.submitted.is_some() && task.agent_task.is_empty()
}

fn work(task: &PhaseTaskStatus, phase: &Phase, context: &Context) -> Work {
    if is_pushed(task) {
        return Work::Submitted;
    }
    let Some(found) = task_of(phase, &task.agent_task, context) else { return Work::Missing };
    let status = found.status.clone().unwrap_or_default();
    match status.state {
        TaskState::Pending | TaskState::Starting | TaskState::Running => Work::Active,
        TaskState::Succeeded if submitted_commit(&found).is_some() => Work::Submitted,
        TaskState::Succeeded | TaskState::Failed => Work::Failed {
            class: status.failure_class.unwrap_or(crate::api::agent_task::FailureClass::NoChange),
            message: status.message,
        },
    }
}

/// The commit that a finished developer task stands for: what it submitted, or what was delivered.
pub(super) fn submitted_commit(task: &AgentTask) -> Option<(String, i32)> {
    let status = task.status.as_ref()?;
    let submitted = status.submission.as_ref().map(|submission| (submission.commit.clone(), submission.stamp.run));
    submitted.or_else(|| {
        let delivery = status.delivery.as_ref()?;
        Some((delivery.commit.clone()?, delivery.stamp.run))
    })
}

/// What the rework of this attempt says of the findings it was given.
fn answers(phase: &Phase, status: &PhaseStatus, context: &Context) -> Vec<FindingAnswer> {
    let rework = status.tasks.iter().find(|task| task.name == REWORK);
    let task = rework.and_then(|rework| task_of(phase, &rework.agent_task, context));
    let submission = task.as_ref().and_then(|task| task.status.as_ref()?.submission.as_ref());
    submission.map(|submission| submission.answers.clone()).unwrap_or_default()
}

fn review_fact(
    phase: &Phase,
    status: &PhaseStatus,
    gate: Option<&Gate>,
    base: &evidence::Base,
    context: &Context,
) -> Option<ReviewFact> {
    let review = status.review.as_ref().filter(|review| !review.commit.is_empty())?;
    let found =
        |name: &str| task_of(phase, &check_task_name(&phase.name_any(), status.attempt, review.number, name), context);
    let fact = |name: &str, waits_for_base: bool| CheckFact {
        name: name.to_owned(),
        work: found(name).map_or(CheckWork::Missing, |task| evidence::work(&task)),
        waits_for_base,
    };
    let checks = gate.iter().flat_map(|gate| &gate.checks);
    let reviewers = gate.iter().flat_map(|gate| &gate.reviewers);
    let judgement = judgement(phase, status, &review.result, &review.commit, context);
    // Once there is a judgement nobody asks any more, and the evidence is large.
    let checks_failed = judgement == Judgement::Missing
        && checks.clone().any(|check| {
            let ended = found(&check.name).filter(|task| evidence::work(task) == CheckWork::Ended);
            ended.is_some_and(|task| score::rules_out_pass(&super::build::evidence(check, Some(&task))))
        });
    let checks = checks.map(|check| fact(&check.name, base.is_waited_for(check))).collect();
    let reviewers = reviewers.map(|reviewer| fact(&reviewer.name, false)).collect();
    let failed_before = status.history.iter().any(|judged| {
        judged.result != review.result
            && judged.tree == review.tree
            && judged.gate_hash == review.gate_hash
            && judged.verdict == Verdict::Fail
    });
    Some(ReviewFact {
        commit: review.commit.clone(),
        gate_hash: review.gate_hash.clone(),
        failed_before,
        checks,
        checks_failed,
        reviewers,
        judgement,
    })
}

/// The ReviewResult of this name, if this very phase made it.
fn result_of(phase: &Phase, name: &str, context: &Context) -> Option<Arc<ReviewResult>> {
    let namespace = phase.namespace().unwrap_or_default();
    context
        .stores
        .reviews
        .get(&ObjectRef::new(name).within(&namespace))
        .filter(|result| owned_by(result.as_ref(), phase))
}

fn judgement(phase: &Phase, status: &PhaseStatus, name: &str, commit: &str, context: &Context) -> Judgement {
    let Some(result) = result_of(phase, name, context).filter(|result| result.spec.commit == commit) else {
        return Judgement::Missing;
    };
    let Some(judged) = result.status.as_ref() else { return Judgement::Pending };
    let Some(verdict) = judged.verdict else { return Judgement::Pending };
    let reasons = judged.reasons.iter().take(4).map(|reason| reason.message.as_str()).collect::<Vec<_>>().join("; ");
    let refused = |record: &&JudgementRecord| record.attempt < status.attempt && record.verdict == Verdict::Fail;
    let mut before =
        status.history.iter().filter(refused).filter_map(|record| result_of(phase, &record.result, context));
    let same_findings = before.any(|before| {
        let earlier = before.status.as_ref().map(|status| status.findings.as_slice()).unwrap_or_default();
        let now = charged(&judged.findings);
        !now.is_empty() && charged(earlier) == now
    });
    let record =
        |category: &CategoryScore| Some(CategoryRecord { name: category.name.clone(), score: category.score? });
    Judgement::Judged {
        verdict,
        class: score::failure_class(judged),
        score: judged.score.clone().unwrap_or_default(),
        reasons,
        categories: judged.categories.iter().filter_map(record).collect(),
        evidence: judged.evidence_digest.clone().unwrap_or_default(),
        same_findings,
        disputed: disputed(&judged.findings),
    }
}

/// Ids of the findings that are charged, in order.
fn charged(findings: &[JudgedFinding]) -> Vec<&str> {
    let charged = findings.iter().filter(|judged| judged.uncharged.is_none());
    let mut ids: Vec<&str> = charged.map(|judged| judged.finding.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// What the developer disputes and was found again, with both sides.
fn disputed(findings: &[JudgedFinding]) -> Option<String> {
    let again = findings.iter().filter(|judged| judged.uncharged.is_none() && !judged.dispute.is_empty());
    let words = |judged: &JudgedFinding| {
        let JudgedFinding { check, dispute, finding, .. } = judged;
        let place = format!("{}:{}", finding.path, finding.line);
        format!("{} {place} {}: {check} says: {}; the developer: {dispute}", finding.id, finding.rule, finding.message)
    };
    let again: Vec<String> = again.map(words).collect();
    (!again.is_empty()).then(|| {
        format!(
            "the developer disputes what was found again: {}; Waive what is wrong, or Retry with a note",
            again.join("; ")
        )
    })
}

/// The last ReviewResult that was judged: what a rework has to mend.
fn last_review(phase: &Phase, status: &PhaseStatus, context: &Context) -> Option<Arc<ReviewResult>> {
    let record = status.history.last()?;
    result_of(phase, &record.result, context)
}

/// Whether a judgement ever let the phase merge.
pub(super) fn passed_once(status: &PhaseStatus) -> bool {
    status.history.iter().any(|judged| judged.verdict == Verdict::Pass)
}

/// Criteria that a person has to answer: those that are a person's by the spec, and those that the reviewers could not
/// verify at the reviewed commit; without those that are waived.
fn person_criteria(phase: &Phase, status: &PhaseStatus, waivers: &[Waiver], context: &Context) -> Vec<String> {
    let review = status.review.as_ref().filter(|review| !review.commit.is_empty());
    let result = review.and_then(|review| {
        result_of(phase, &review.result, context).filter(|result| result.spec.commit == review.commit)
    });
    let judged = result.as_ref().and_then(|result| result.status.as_ref());
    let open = |name: &String| {
        let mut criteria = judged.iter().flat_map(|judged| &judged.criteria);
        criteria.any(|criterion| &criterion.name == name && criterion.state == CriterionState::AwaitsPerson)
    };
    let asked = phase.spec.success_criteria.iter().filter(|criterion| match criterion.judge {
        Judge::Person => true,
        Judge::Reviewer => open(&criterion.name),
        Judge::Checks => false,
    });
    let waived = |name: &String| waivers.iter().any(|waiver| waiver.criteria.contains(name));
    asked.map(|criterion| criterion.name.clone()).filter(|name| !waived(name)).collect()
}

/// Whether a waiver holds at this time.
fn holds(waiver: &Waiver, now: Timestamp) -> bool {
    waiver.until.as_ref().is_none_or(|until| now < until.0)
}

fn asked(approval_required: bool, criteria: &[String]) -> Vec<String> {
    let approval = approval_required.then(|| "approval".to_owned());
    approval.into_iter().chain(criteria.iter().map(|name| format!("criterion {name}"))).collect()
}
