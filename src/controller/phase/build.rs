//! From specs to the objects and git operations of a phase. Plain functions: no client, no clock.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt, api::ObjectMeta};

use super::observe::Observed;
use crate::{
    api::{
        AgentTask, AgentTaskSpec, Phase, PhaseSpec, ReviewResult, ReviewResultSpec, ReviewResultStatus,
        agent_task::{
            AgentPod, Brief, BriefCheck, CheckOutcome, EvidenceRef, PhaseLink, Push, PushReference, ReviewBrief,
            ReviewCriterion, Role, TaskBase, TaskState,
        },
        check::Check,
        conflict::{ConflictWith, TaskConflict},
        evidence::GamingSign,
        phase::{Judge, PhaseTaskState, PhaseTaskStatus, ReviewStatus, RollbackStatus},
        repository::{Deliver, Upstream},
        review_result::{CheckEvidence, ReviewerEvidence},
    },
    controller::repository::sync::sync_spec,
    git::{
        flow::{self, Line, Passed},
        ops::{
            ClaimRelease, CommitId, Conflicts, ConflictsAnswer, Integrate, IntegrateBase, InvalidName, MergeToBase,
            PhaseKey, Reapply, RefName, Revert, Signature, TagSpec, TreeId,
        },
    },
    machine::phase::{
        BASE_MERGE, REWORK, agent_task_name, base_check_task_name, check_task_name, push_task_name,
        rollback_check_task_name,
    },
    review::{
        bounded_evidence, bounded_result, declared_reports,
        rubric::{Gate, GateReviewer},
    },
};

/// Findings in a rework brief.
const MAX_BRIEF_FINDINGS: usize = 100;

/// The line of names of a phase.
pub(super) fn line(spec: &PhaseSpec) -> Line {
    Line::of(spec)
}

/// Who signs what the operator commits, and when: from the record, so that a redo gives the same ids.
fn signature(seconds: i64) -> Signature {
    Signature { name: "phasegate".to_owned(), email: "operator@phasegate.dev".to_owned(), seconds: seconds.max(0) }
}

fn key(phase: &Phase) -> PhaseKey {
    PhaseKey {
        uid: phase.uid().unwrap_or_default(),
        namespace: phase.namespace().unwrap_or_default(),
        name: phase.name_any(),
    }
}

/// Names of the references that an operation needs.
struct Refs {
    line: Line,
    release: RefName,
    base: RefName,
    /// The upstream's copy of the base branch, if there is an upstream.
    upstream: Option<RefName>,
}

fn refs(o: &Observed) -> Result<Refs, InvalidName> {
    let line = line(&o.phase.spec);
    // Once claimed it keeps its name, also if spec.version is edited meanwhile; the tag has the new one.
    let release = match &o.status.release {
        Some(release) => RefName::branch(&release.branch)?,
        None => line.release_branch(&o.phase.spec.version)?,
    };
    let base = o.repository.as_ref().map_or("main", |repository| repository.spec.base_branch.as_str());
    let base = RefName::branch(base)?;
    let has_upstream = o.repository.as_ref().is_some_and(|repository| repository.spec.upstream.is_some());
    let upstream = if has_upstream { Some(flow::upstream_of(&base)?) } else { None };
    Ok(Refs { line, release, base, upstream })
}

/// The claim of the phase's number.
pub(super) fn claim(o: &Observed) -> Result<ClaimRelease, InvalidName> {
    let Refs { line, release, base, upstream } = refs(o)?;
    let (claim, tag) = (line.claim()?, line.completion_tag(&o.phase.spec.version)?);
    Ok(ClaimRelease { phase: key(&o.phase), release, base, upstream, claim, tag, reapply: reapply(o)? })
}

/// What was rolled back comes back, if the record knows which tasks it holds: without one they are done anew.
fn reapply(o: &Observed) -> Result<Option<Reapply>, InvalidName> {
    let rollback = o.status.rollback.as_ref().filter(|_| o.status.attempt > 0);
    let Some((rollback, reverted)) = rollback.and_then(|rollback| Some((rollback, rollback.reverted.as_ref()?))) else {
        return Ok(None);
    };
    let seconds = o.status.state_since.as_ref().map_or(0, |since| since.0.as_second());
    Ok(Some(Reapply {
        rollback: CommitId::new(reverted.as_str())?,
        title: flow::reapply_title(&rollback.tag),
        author: signature(seconds),
    }))
}

/// What the Sync has to push: the merge to the base branch with its tags, or beside it for a person to merge.
pub(super) fn push(
    o: &Observed,
    upstream: &Upstream,
    merge: &MergeToBase,
    commit: &CommitId,
    tags: &BTreeMap<RefName, String>,
) -> Result<Push, InvalidName> {
    let to = |name: &RefName, object: &str| PushReference { name: name.to_string(), object: object.to_owned() };
    let references = match upstream.deliver {
        Deliver::Push => {
            let tags = tags.iter().map(|(name, object)| to(name, object));
            std::iter::once(to(&merge.base, commit.as_str())).chain(tags).collect()
        }
        Deliver::Branch | Deliver::None => vec![to(&merge.release, commit.as_str())],
    };
    let from = flow::push_refs(&o.phase.uid().unwrap_or_default())?.to_string();
    Ok(Push { from, base: merge.base.to_string(), references })
}

/// The Sync AgentTask that does so.
pub(super) fn push_task(o: &Observed, upstream: &Upstream, push: Push, commit: &str, image: &str) -> AgentTask {
    let given_up = o.status.push.as_ref().map_or(0, |push| push.given_up);
    let name = push_task_name(&o.phase.name_any(), given_up, commit);
    let repository = &o.phase.spec.repository_ref.name;
    let correlation = o.status.correlation_id.clone();
    let spec = sync_spec(repository, upstream, image, Some(link(o)), Some(push), correlation);
    AgentTask { metadata: metadata(o, name), spec, status: None }
}

/// The revert of the phase's merge; or that there is none any more.
pub(super) fn revert(o: &Observed, rollback: &RollbackStatus, give_up: bool) -> Result<Revert, InvalidName> {
    let Refs { line, release: _, base, upstream } = refs(o)?;
    Ok(Revert {
        phase: key(&o.phase),
        merge: CommitId::new(rollback.merge.as_str())?,
        base,
        upstream,
        branch: line.rollback_branch(&RefName::tag(&rollback.tag)?)?,
        order: rollback.decision_uid.clone(),
        give_up,
        title: flow::rollback_title(&rollback.tag, false),
        author: signature(rolled_back_at(o)),
    })
}

/// When the rollback entered its state: a redo before the status is written gives the same ids.
fn rolled_back_at(o: &Observed) -> i64 {
    o.status.state_since.as_ref().map_or(0, |since| since.0.as_second())
}

/// The merge of the checked revert.
pub(super) fn roll_back(o: &Observed, rollback: &RollbackStatus) -> Result<MergeToBase, InvalidName> {
    let Refs { line, release: _, base, upstream } = refs(o)?;
    let blocking = o.gate.iter().flat_map(|gate| &gate.checks).filter(|check| check.blocking);
    let checks: Vec<&str> = blocking.map(|check| check.name.as_str()).collect();
    let note = format!(
        "Phase: {}/{}\nRolled-back: {} {}\nBy: {}\nReason: {}\nChecks: {}\n",
        o.phase.namespace().unwrap_or_default(),
        o.phase.name_any(),
        rollback.tag,
        rollback.merge,
        rollback.user,
        rollback.reason.split_whitespace().collect::<Vec<_>>().join(" "),
        if checks.is_empty() { "none".to_owned() } else { format!("{} passed", checks.join(", ")) },
    );
    Ok(MergeToBase {
        phase: key(&o.phase),
        release: line.rollback_branch(&RefName::tag(&rollback.tag)?)?,
        rolls_back: Some(CommitId::new(rollback.merge.as_str())?),
        pushed: None,
        head: CommitId::new(rollback.commit.as_str())?,
        tree: TreeId::new(rollback.tree.as_str())?,
        base,
        expected_base: CommitId::new(rollback.base.as_str())?,
        upstream,
        tags: Vec::new(),
        title: flow::rollback_title(&rollback.tag, true),
        body: rollback.reason.clone(),
        note,
        author: signature(rolled_back_at(o)),
    })
}

/// The AgentTask of a check on the revert. Nothing is compared with the base and no protected path is restored from it:
/// all of the tree comes from the base branch's own past, and its tests are those that belong to it.
pub(super) fn rollback_check_task(o: &Observed, rollback: &RollbackStatus, check: &Check) -> AgentTask {
    let name = rollback_check_task_name(&o.phase.name_any(), o.status.attempt, rollback.number, &check.name);
    check_at(o, name, rollback.commit.clone(), None, check)
}

/// The branch a task works on.
fn branch(o: &Observed, line: &Line, task: &str) -> Result<RefName, InvalidName> {
    if task == REWORK {
        // The rework of attempt n mends the findings of review n-1.
        line.bugfix_branch(u32::try_from(o.status.attempt - 1).unwrap_or(0))
    } else if task == BASE_MERGE {
        line.base_merge_branch(u32::try_from(o.status.attempt).unwrap_or(0))
    } else {
        line.feature_branch(task)
    }
}

/// A submitted commit, and whose it is.
pub(super) struct Source {
    pub(super) commit: String,
    /// The commit of the base branch that its developer was given to merge. A person who pushed has merged it in git, or
    /// has not.
    pub(super) resolves: Option<String>,
    /// `metadata.uid` of the AgentTask; a commit that a person pushed stands for itself.
    pub(super) uid: String,
    pub(super) run: u32,
    /// When, from the record, so that a redo gives the same ids.
    pub(super) seconds: i64,
}

/// The integration of a submitted commit.
pub(super) fn integrate(o: &Observed, task: &PhaseTaskStatus, source: Source) -> Result<Integrate, InvalidName> {
    let Refs { line, release, base, upstream } = refs(o)?;
    let branch = branch(o, &line, &task.name)?;
    let spec = o.phase.spec.tasks.iter().find(|spec| spec.name == task.name);
    let description = match spec {
        Some(spec) => spec.description.as_str(),
        None if task.name == BASE_MERGE => "merge the base branch",
        None => "address the findings of the review",
    };
    Ok(Integrate {
        release,
        base,
        upstream,
        expected_head: None,
        source: CommitId::new(source.commit)?,
        kind: flow::merge_kind(&branch),
        resolves: source.resolves.map(CommitId::new).transpose()?,
        task_uid: source.uid,
        run: source.run,
        phase_uid: o.phase.uid().unwrap_or_default(),
        work: task.agent_task.clone(),
        title: flow::integration_title(&branch, description),
        body: String::new(),
        author: signature(source.seconds),
    })
}

/// The base branch into the release branch.
pub(super) fn integrate_base(o: &Observed) -> Result<IntegrateBase, InvalidName> {
    let Refs { line: _, release, base, upstream } = refs(o)?;
    let seconds = o.status.turn_since.as_ref().map_or(0, |since| since.0.as_second());
    Ok(IntegrateBase {
        title: flow::base_title(&base, &release),
        release,
        base,
        upstream,
        expected_head: None,
        phase_uid: o.phase.uid().unwrap_or_default(),
        author: signature(seconds),
    })
}

/// The merge of the reviewed tree.
pub(super) fn merge(o: &Observed, review: &ReviewStatus, seconds: i64) -> Result<MergeToBase, InvalidName> {
    let Refs { line, release, base, upstream } = refs(o)?;
    let spec = &o.phase.spec;
    let passed = Passed {
        review: &review.result,
        score: &o.status.summary.score,
        commit: &review.commit,
        tree: &review.tree,
        evidence: &review.evidence_digest,
    };
    let message = flow::tag_message(&line, &spec.version, &o.phase.name_any(), &passed);
    let names = flow::tags(spec)?;
    let approved = o.status.approval.as_ref().map(|approval| format!("Approved-by: {}\n", approval.user));
    let note = format!(
        "Phase: {}/{}\n{}Gate: {}\nAttempt: {}\n{}",
        o.phase.namespace().unwrap_or_default(),
        o.phase.name_any(),
        passed.trailers(),
        review.gate_hash,
        o.status.attempt,
        approved.unwrap_or_default(),
    );
    Ok(MergeToBase {
        phase: key(&o.phase),
        release,
        rolls_back: None,
        pushed: None,
        head: CommitId::new(&*review.commit)?,
        tree: TreeId::new(&*review.tree)?,
        base,
        expected_base: CommitId::new(&*review.base)?,
        upstream,
        tags: names.into_iter().map(|name| TagSpec { name, message: message.clone() }).collect(),
        title: flow::completion_title(&line, &spec.version, &spec.objective),
        body: String::new(),
        note,
        author: signature(seconds),
    })
}

/// The phase as controller and owner of what it makes.
fn owner(phase: &Phase) -> Vec<OwnerReference> {
    phase.controller_owner_ref(&()).into_iter().collect()
}

fn metadata(o: &Observed, name: String) -> ObjectMeta {
    let labels = [("app.kubernetes.io/managed-by", "phasegate"), ("phasegate.dev/phase", &*o.phase.name_any())];
    ObjectMeta {
        name: Some(name),
        namespace: o.phase.namespace(),
        owner_references: Some(owner(&o.phase)),
        labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        ..ObjectMeta::default()
    }
}

fn link(o: &Observed) -> PhaseLink {
    PhaseLink { name: o.phase.name_any(), uid: o.phase.uid().unwrap_or_default(), attempt: o.status.attempt }
}

/// The AgentTask of a developer's task, as it will be handed out.
pub(super) fn developer_task(
    o: &Observed,
    task: &PhaseTaskStatus,
    gate: &Gate,
    profile: &AgentPod,
    conflict: Option<TaskConflict>,
) -> Result<AgentTask, InvalidName> {
    let branch = branch(o, &line(&o.phase.spec), &task.name)?;
    let spec = o.phase.spec.tasks.iter().find(|spec| spec.name == task.name);
    // A task that waits is handed out for the next time; one at work was handed out already.
    let dispatch = match task.state {
        PhaseTaskState::Waiting => task.dispatch + 1,
        PhaseTaskState::Working | PhaseTaskState::Integrated | PhaseTaskState::Failed => task.dispatch,
    };
    let name = agent_task_name(&o.phase.name_any(), &task.name, o.status.attempt, dispatch);
    // A dot is in no task's name, so that this is no other task's branch.
    let branch = if dispatch > 1 { format!("{}.{dispatch}", branch.short()) } else { branch.short().to_owned() };
    let task_spec = AgentTaskSpec {
        role: Role::Developer,
        repository: o.phase.spec.repository_ref.name.clone(),
        phase: Some(link(o)),
        task: task.name.clone(),
        commit: o.status.release.as_ref().map(|release| release.head.clone()),
        branch: Some(branch),
        brief: Some(brief(o, task, gate)),
        conflict,
        check: None,
        base: None,
        review: None,
        upstream: None,
        push: None,
        pod: profile.clone(),
        timeout: spec.and_then(|spec| spec.timeout).unwrap_or(o.limits.task_timeout),
        max_runs: o.limits.max_runs,
        correlation_id: o.status.correlation_id.clone(),
    };
    Ok(AgentTask { metadata: metadata(o, name), spec: task_spec, status: None })
}

/// What is asked of git about a task whose work did not merge: both sides, as they are now. The base branch may have moved on
/// since it was found not to merge. With an upstream it is what was found: the base branch or theirs, or both in one.
pub(super) fn conflicts(o: &Observed, task: &PhaseTaskStatus) -> Result<Option<Conflicts>, InvalidName> {
    let (Some(commit), Some(release)) = (&task.conflict, &o.status.release) else { return Ok(None) };
    let Refs { base, upstream, .. } = refs(o)?;
    let moves = task.name == BASE_MERGE && upstream.is_none();
    let theirs = if moves { base.into() } else { CommitId::new(commit.as_str())?.into() };
    Ok(Some(Conflicts {
        ours: CommitId::new(release.head.as_str())?.into(),
        theirs,
        max_files: Conflicts::MAX_FILES,
        max_bytes: Conflicts::MAX_BYTES,
    }))
}

/// The same as the task has it.
pub(super) fn conflict(task: &PhaseTaskStatus, answer: ConflictsAnswer) -> TaskConflict {
    let with = if task.name == BASE_MERGE { ConflictWith::BaseBranch } else { ConflictWith::OwnWork };
    let ConflictsAnswer { ours: _, theirs, files, total } = answer;
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    TaskConflict { with, commit: theirs.into(), files, total }
}

fn brief(o: &Observed, task: &PhaseTaskStatus, gate: &Gate) -> Brief {
    let spec = o.phase.spec.tasks.iter().find(|spec| spec.name == task.name);
    let judged = o.last_review.as_ref().filter(|_| task.name == REWORK).and_then(|review| review.status.as_ref());
    let open = |judged: &ReviewResultStatus| {
        let charged = judged.findings.iter().filter(|open| open.uncharged.is_none());
        charged.take(MAX_BRIEF_FINDINGS).map(|open| open.finding.clone()).collect()
    };
    let findings = judged.map(open);
    let reasons = judged.map(|judged| judged.reasons.iter().map(|reason| reason.message.clone()).collect::<Vec<_>>());
    let said = [o.status.note.clone(), task.message.clone()].into_iter().filter(|text| !text.is_empty());
    let said = said.map(|text| text.chars().take(1000).collect());
    Brief {
        objective: o.phase.spec.objective.clone(),
        description: match spec {
            Some(spec) => spec.description.clone(),
            None if task.name == BASE_MERGE => {
                "Merge the base branch: it changed what this phase changed, too, and git cannot tell which holds. Keep what both are for."
                    .to_owned()
            }
            None => "Address the findings of the last review. Answer each as fixed or disputed.".to_owned(),
        },
        instructions: spec.map(|spec| spec.instructions.clone()).unwrap_or_default(),
        criteria: criteria_lines(gate),
        focus: gate.focus.clone(),
        checks: gate.checks.iter().map(brief_check).collect(),
        findings: findings.unwrap_or_default(),
        reasons: reasons.unwrap_or_default().into_iter().chain(said).take(64).collect(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(1000).collect()
}

fn brief_check(check: &Check) -> BriefCheck {
    let command = || match &check.external {
        Some(external) => {
            format!("# run by {}", if external.system.is_empty() { "an outside system" } else { &external.system })
        }
        None => check.command.clone().unwrap_or_default().join(" "),
    };
    BriefCheck { name: check.name.clone(), script: check.script.clone().unwrap_or_else(command) }
}

/// The AgentTask of a check of the review under way.
pub(super) fn check_task(o: &Observed, review: &ReviewStatus, check: &Check, known: Option<EvidenceRef>) -> AgentTask {
    let name = check_task_name(&o.phase.name_any(), o.status.attempt, review.number, &check.name);
    let base = TaskBase { commit: review.base.clone(), evidence: known, protected_paths: protected(o) };
    check_at(o, name, review.commit.clone(), Some(base), check)
}

/// The AgentTask of a check on the base.
pub(super) fn base_check_task(o: &Observed, base: &str, check: &Check) -> AgentTask {
    check_at(o, base_check_task_name(&o.phase.name_any(), base, &check.name), base.to_owned(), None, check)
}

fn protected(o: &Observed) -> Vec<String> {
    o.gate.as_ref().map(|gate| gate.protected_paths.clone()).unwrap_or_default()
}

fn check_at(o: &Observed, name: String, commit: String, base: Option<TaskBase>, check: &Check) -> AgentTask {
    let pod = AgentPod {
        image: check.image.clone().unwrap_or_default(),
        resources: check.resources.clone(),
        ..AgentPod::default()
    };
    let spec = AgentTaskSpec {
        role: Role::Check,
        repository: o.phase.spec.repository_ref.name.clone(),
        phase: Some(link(o)),
        task: check.name.clone(),
        commit: Some(commit),
        branch: None,
        brief: None,
        conflict: None,
        check: Some(check.clone()),
        base,
        review: None,
        upstream: None,
        push: None,
        pod,
        timeout: check.timeout,
        // A check that started and ended badly has failed; only starting is tried again.
        max_runs: 2,
        correlation_id: o.status.correlation_id.clone(),
    };
    AgentTask { metadata: metadata(o, name), spec, status: None }
}

/// The AgentTask of a reviewer of the review under way; none while its PodTemplate is not there.
pub(super) fn reviewer_task(o: &Observed, review: &ReviewStatus, reviewer: &GateReviewer) -> Option<AgentTask> {
    let pod = reviewer.pod.clone()?;
    let gate = o.gate.as_ref()?;
    let judged = o.last_review.as_ref().and_then(|review| review.status.as_ref());
    let open = judged.iter().flat_map(|judged| &judged.findings).filter(|open| open.uncharged.is_none());
    let own = open.filter(|open| reviewer.categories.contains(&open.finding.rule));
    let asked = gate.criteria.iter().filter(|criterion| criterion.judge == Judge::Reviewer);
    let brief = ReviewBrief {
        categories: reviewer.categories.clone(),
        criteria: asked
            .map(|criterion| ReviewCriterion {
                name: criterion.name.clone(),
                description: criterion.description.clone(),
            })
            .collect(),
        previous: own.take(MAX_BRIEF_FINDINGS).map(|open| open.finding.clone()).collect(),
        answers: o.answers.clone(),
    };
    let spec = AgentTaskSpec {
        role: Role::Reviewer,
        repository: o.phase.spec.repository_ref.name.clone(),
        phase: Some(link(o)),
        task: reviewer.name.clone(),
        commit: Some(review.commit.clone()),
        branch: None,
        brief: Some(Brief {
            objective: o.phase.spec.objective.clone(),
            description: "Review what the phase changed, and file what is wrong with it.".to_owned(),
            instructions: String::new(),
            criteria: criteria_lines(gate),
            focus: reviewer.focus.iter().take(64).cloned().collect(),
            checks: Vec::new(),
            findings: Vec::new(),
            reasons: Vec::new(),
        }),
        conflict: None,
        check: None,
        base: Some(TaskBase { commit: review.base.clone(), evidence: None, protected_paths: Vec::new() }),
        review: Some(brief),
        upstream: None,
        push: None,
        pod,
        timeout: reviewer.timeout.unwrap_or(o.limits.task_timeout),
        max_runs: o.limits.max_runs,
        correlation_id: o.status.correlation_id.clone(),
    };
    let name = check_task_name(&o.phase.name_any(), o.status.attempt, review.number, &reviewer.name);
    Some(AgentTask { metadata: metadata(o, name), spec, status: None })
}

fn criteria_lines(gate: &Gate) -> Vec<String> {
    gate.criteria.iter().map(|criterion| cut(&format!("{}: {}", criterion.name, criterion.description))).collect()
}

/// What a judgement is made of, beside the gate: the ended AgentTasks in the gate's order, and the signs in the diff.
pub(super) struct Gathered {
    pub(super) checks: Vec<Option<Arc<AgentTask>>>,
    pub(super) reviewers: Vec<Option<Arc<AgentTask>>>,
    pub(super) gaming_signs: Vec<GamingSign>,
}

/// The ReviewResult with the whole evidence.
pub(super) fn review_result(o: &Observed, review: &ReviewStatus, gate: &Gate, gathered: Gathered) -> ReviewResult {
    let Gathered { checks, reviewers, gaming_signs } = gathered;
    let checks = gate.checks.iter().zip(&checks).map(|(check, task)| evidence(check, task.as_deref()));
    let checks = bounded_evidence(checks.collect());
    let reviews = gate.reviewers.iter().zip(&reviewers).map(|(reviewer, task)| reviewed(reviewer, task.as_deref()));
    let previous = o.last_review.as_ref().and_then(|review| review.status.as_ref());
    let charged = |judged: &ReviewResultStatus| {
        let charged = judged.findings.iter().filter(|open| open.uncharged.is_none());
        charged.map(|open| open.finding.id.clone()).collect()
    };
    let previous = previous.map(charged);
    let spec = ReviewResultSpec {
        repository: o.phase.spec.repository_ref.name.clone(),
        phase: o.phase.name_any(),
        phase_uid: o.phase.uid().unwrap_or_default(),
        attempt: o.status.attempt,
        number: review.number,
        commit: review.commit.clone(),
        tree: review.tree.clone(),
        base: review.base.clone(),
        gate_hash: gate.hash.clone(),
        rubric: gate.rubric.clone(),
        checks,
        reviews: reviews.collect(),
        gaming_signs,
        criteria: gate.criteria.clone(),
        waivers: gate.waivers.clone(),
        answers: o.answers.clone(),
        previous_findings: previous.unwrap_or_default(),
    };
    ReviewResult { metadata: metadata(o, review.result.clone()), spec: bounded_result(spec), status: None }
}

/// What a reviewer said, or why it said nothing.
fn reviewed(reviewer: &GateReviewer, task: Option<&AgentTask>) -> ReviewerEvidence {
    let status = task.and_then(|task| task.status.as_ref());
    let review = status.and_then(|status| status.review.clone().filter(|review| review.stamp.run == status.run));
    let message = match (&review, status) {
        (Some(_), _) => String::new(),
        (None, Some(status)) => cut(&status.message),
        (None, None) => "not started: the checks rule out a pass".to_owned(),
    };
    ReviewerEvidence {
        name: reviewer.name.clone(),
        task: task.map(ResourceExt::name_any).unwrap_or_default(),
        shadow: reviewer.shadow,
        categories: reviewer.categories.clone(),
        review,
        left_out: Vec::new(),
        message,
    }
}

/// What a check said, from its AgentTask.
pub(super) fn evidence(check: &Check, task: Option<&AgentTask>) -> CheckEvidence {
    let status = task.and_then(|task| task.status.as_ref());
    // Without a recorded outcome nothing can be said: that is never a pass.
    let outcome = status
        .filter(|status| status.state == TaskState::Succeeded)
        .and_then(|status| status.outcome)
        .unwrap_or(CheckOutcome::NotStarted);
    let live = status.and_then(|status| status.delivery.as_ref().filter(|delivery| delivery.stamp.run == status.run));
    CheckEvidence {
        name: check.name.clone(),
        task: task.map(ResourceExt::name_any).unwrap_or_default(),
        blocking: check.blocking,
        categories: check.categories.clone(),
        outcome,
        image_id: status.and_then(|status| status.image_id.clone()),
        exit_code: status.and_then(|status| status.exit_code),
        message: status.map(|status| status.message.clone()).unwrap_or_default(),
        // A declared report that was not delivered is missing, which is a failure of the check.
        reports: declared_reports(&check.reports, live.map_or(&[], |delivery| &delivery.reports)),
    }
}
