//! The writes of a phase's reconciliation. Each can be repeated: names are deterministic, git
//! operations find their own work.

use std::fmt::Debug;

use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    build,
    observe::{Observed, submitted_commit, task_of},
};
use crate::{
    api::{AgentTask, Phase, agent_task::TaskState, phase::PhaseTaskStatus},
    controller::{Error, context::Context},
    git::ops::{
        ArchiveRefs, ClaimReleaseAnswer, Commit, CommitAnswer, CommitId, IntegrateAnswer, IntegrateBaseAnswer,
        MergeToBaseAnswer, Operation,
    },
    machine::phase::{Action, Answer, check_task_name},
};

/// Does one action and says what it came to.
pub(super) async fn execute(o: &Observed, action: &Action, context: &Context) -> Result<Answer, Error> {
    match action {
        Action::Claim => claim(o, context).await,
        Action::EnsureTask(name) => ensure_task(o, name, context).await,
        Action::Integrate(name) => integrate(o, name, context).await,
        Action::IntegrateBase => integrate_base(o, context).await,
        Action::EnsureCheck(name) => ensure_check(o, name, context).await,
        Action::EnsureBaseCheck(name) => ensure_base_check(o, name, context).await,
        Action::EnsureReviewer(name) => ensure_reviewer(o, name, context).await,
        Action::EnsureResult => ensure_result(o, context).await,
        Action::Merge => merge(o, context).await,
        Action::StopTasks => stop_tasks(o, context).await,
    }
}

async fn call<O: Operation>(o: &Observed, context: &Context, operation: &O) -> Result<O::Answer, Error> {
    let namespace = o.phase.namespace().unwrap_or_default();
    let client = context.git.with_correlation(&o.status.correlation_id);
    Ok(client.call(&namespace, &o.phase.spec.repository_ref.name, operation).await?)
}

async fn claim(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let operation = build::claim(o)?;
    let mut answer = call(o, context, &operation).await?;
    if let ClaimReleaseAnswer::NumberTaken { by: Some(holder) } = &answer
        && is_gone(context, &holder.namespace, &holder.uid)
    {
        // Its owner is gone: what it left is archived, never built upon.
        let archive = ArchiveRefs { owner_uid: holder.uid.clone(), refs: build::line(&o.phase.spec).owned()? };
        call(o, context, &archive).await?;
        answer = call(o, context, &operation).await?;
    }
    Ok(match answer {
        ClaimReleaseAnswer::Claimed { head, base } => Answer::Claimed { head: head.into(), base: base.into() },
        ClaimReleaseAnswer::Adopted { commit, tag } => {
            Answer::Adopted { commit: commit.into(), tag: tag.short().to_owned() }
        }
        ClaimReleaseAnswer::NumberTaken { by } => {
            let who =
                by.map_or("a branch of unknown origin".to_owned(), |by| format!("Phase {}/{}", by.namespace, by.name));
            Answer::NumberTaken(format!(
                "the number is held in git by {who}; delete that Phase, or make this one anew with another spec.number"
            ))
        }
        ClaimReleaseAnswer::TagTaken { tag } => Answer::TagTaken(tag.short().to_owned()),
    })
}

fn is_gone(context: &Context, namespace: &str, uid: &str) -> bool {
    let alive = |phase: &Phase| phase.namespace().as_deref() == Some(namespace) && phase.uid().as_deref() == Some(uid);
    context.stores.phases.find(alive).is_none()
}

fn task_status<'a>(o: &'a Observed, name: &str) -> Option<&'a PhaseTaskStatus> {
    o.status.tasks.iter().find(|task| task.name == name)
}

async fn ensure_task(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(task), Some(gate), Some(profile)) = (task_status(o, name), &o.gate, &o.profile) else {
        return Ok(Answer::Done);
    };
    create(context, &o.phase, &build::developer_task(o, task, gate, profile)?).await
}

async fn ensure_check(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(review), Some(gate)) = (&o.status.review, &o.gate) else { return Ok(Answer::Done) };
    match gate.checks.iter().find(|check| check.name == name) {
        Some(check) => {
            let known = o.base.evidence(check, &o.phase, context);
            create(context, &o.phase, &build::check_task(o, review, check, known)).await
        }
        None => Ok(Answer::Done),
    }
}

async fn ensure_base_check(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(base), Some(gate)) = (&o.base.commit, &o.gate) else { return Ok(Answer::Done) };
    match gate.checks.iter().find(|check| check.name == name) {
        Some(check) => create(context, &o.phase, &build::base_check_task(o, base, check)).await,
        None => Ok(Answer::Done),
    }
}

async fn ensure_reviewer(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(review), Some(gate)) = (&o.status.review, &o.gate) else { return Ok(Answer::Done) };
    let reviewer = gate.reviewers.iter().find(|reviewer| reviewer.name == name);
    match reviewer.and_then(|reviewer| build::reviewer_task(o, review, reviewer)) {
        Some(task) => create(context, &o.phase, &task).await,
        None => Ok(Answer::Done),
    }
}

async fn ensure_result(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let (Some(review), Some(gate)) = (&o.status.review, &o.gate) else { return Ok(Answer::Done) };
    let found = |name: &str| {
        task_of(&o.phase, &check_task_name(&o.phase.name_any(), o.status.attempt, review.number, name), context)
    };
    let gathered = build::Gathered {
        checks: gate.checks.iter().map(|check| found(&check.name)).collect(),
        reviewers: gate.reviewers.iter().map(|reviewer| found(&reviewer.name)).collect(),
        gaming_signs: Vec::new(),
    };
    create(context, &o.phase, &build::review_result(o, review, gate, gathered)).await
}

/// Creates an object of this phase. If it is there already and this phase's, that is the same.
async fn create<K>(context: &Context, phase: &Phase, object: &K) -> Result<Answer, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &phase.namespace().unwrap_or_default());
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(Answer::Done),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 && refusal.reason == "AlreadyExists" => {
            let there = api.get(&object.name_any()).await?;
            let uid = phase.uid().unwrap_or_default();
            if there.owner_references().iter().any(|owner| owner.uid == uid) {
                return Ok(Answer::Done);
            }
            // Of a phase of the same name that was deleted: it goes soon, and then there is room.
            Err(Error::NameTaken { kind: K::kind(&()).into_owned(), name: object.name_any() })
        }
        Err(error) => Err(error.into()),
    }
}

async fn integrate(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let Some(task) = task_status(o, name) else { return Ok(Answer::Done) };
    let (source, stamp, seconds) = if let (Some(pushed), true) = (&task.submitted, task.agent_task.is_empty()) {
        // A person's commit: there is no AgentTask; the commit stands for itself.
        let since = o.status.state_since.as_ref().map_or(0, |since| since.0.as_second());
        (pushed.clone(), (pushed.clone(), u32::try_from(o.status.attempt).unwrap_or(0)), since)
    } else {
        let Some(found) = task_of(&o.phase, &task.agent_task, context) else { return Ok(Answer::Done) };
        let Some((commit, run)) = submitted_commit(&found) else { return Ok(Answer::Done) };
        let since = found.creation_timestamp().map_or(0, |time| time.0.as_second());
        (commit, (found.uid().unwrap_or_default(), u32::try_from(run).unwrap_or(0)), since)
    };
    let rev = CommitId::new(source.as_str())?;
    if matches!(call(o, context, &Commit { rev: rev.into() }).await?, CommitAnswer::Missing) {
        return Ok(Answer::CommitMissing(source));
    }
    let operation = build::integrate(o, task, &source, stamp, seconds)?;
    Ok(match call(o, context, &operation).await? {
        IntegrateAnswer::Integrated { commit, head, tree: _ } => {
            Answer::Integrated { commit: commit.into(), head: head.into() }
        }
        IntegrateAnswer::Conflict(conflict) => Answer::Conflict(conflict.paths),
        IntegrateAnswer::Stale { head } => Answer::Stale { head: head.into() },
    })
}

async fn integrate_base(o: &Observed, context: &Context) -> Result<Answer, Error> {
    Ok(match call(o, context, &build::integrate_base(o)?).await? {
        IntegrateBaseAnswer::UpToDate { head, tree, base } | IntegrateBaseAnswer::Integrated { head, tree, base } => {
            Answer::BaseIntegrated { head: head.into(), tree: tree.into(), base: base.into() }
        }
        IntegrateBaseAnswer::Conflict(conflict) => Answer::Conflict(conflict.paths),
        IntegrateBaseAnswer::Stale { head } => Answer::Stale { head: head.into() },
    })
}

async fn merge(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let Some(review) = o.status.review.as_ref() else { return Ok(Answer::Done) };
    // Date of the record that lets it merge, so that a redo makes the same commit.
    let seconds =
        o.last_review.as_ref().and_then(|review| review.creation_timestamp()).map_or(0, |time| time.0.as_second());
    let operation = build::merge(o, review, seconds)?;
    let tag = operation.tags.first().map(|tag| tag.name.short().to_owned()).unwrap_or_default();
    Ok(match call(o, context, &operation).await? {
        MergeToBaseAnswer::Merged { commit, tags: _ } => Answer::Merged { commit: commit.into(), tag },
        MergeToBaseAnswer::BaseMoved { base: _ } => Answer::BaseMoved,
        MergeToBaseAnswer::TagTaken { tag } => taken_by(o, context, tag.short()).await?,
        MergeToBaseAnswer::NotReviewed { reason } => Answer::NotReviewed(reason),
    })
}

/// Whose tag is in the way: another operator may have merged this very phase in the same moment.
async fn taken_by(o: &Observed, context: &Context, tag: &str) -> Result<Answer, Error> {
    Ok(match call(o, context, &build::claim(o)?).await? {
        ClaimReleaseAnswer::Adopted { commit, tag } => {
            Answer::Merged { commit: commit.into(), tag: tag.short().to_owned() }
        }
        ClaimReleaseAnswer::Claimed { .. }
        | ClaimReleaseAnswer::NumberTaken { .. }
        | ClaimReleaseAnswer::TagTaken { .. } => Answer::TagTaken(tag.to_owned()),
    })
}

/// Deletes the AgentTasks that are still at work; their Jobs and pods go with them.
async fn stop_tasks(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let uid = o.phase.uid().unwrap_or_default();
    let at_work = context.stores.tasks.state_filter(|task| {
        let ours = task.spec.phase.as_ref().is_some_and(|link| link.uid == uid);
        ours && !is_ended(task)
    });
    let api: Api<AgentTask> = Api::namespaced(context.client.clone(), &o.phase.namespace().unwrap_or_default());
    for task in at_work {
        let preconditions = Some(Preconditions { uid: task.uid(), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        match api.delete(&task.name_any(), &parameters).await {
            Ok(_) => {}
            Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Answer::Done)
}

fn is_ended(task: &AgentTask) -> bool {
    task.status.as_ref().is_some_and(|status| matches!(status.state, TaskState::Succeeded | TaskState::Failed))
}
