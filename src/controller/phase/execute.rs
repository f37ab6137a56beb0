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
    api::{
        AgentTask, Phase,
        agent_task::TaskState,
        conflict::ConflictWith,
        evidence::GamingSign,
        phase::{PhaseState, PhaseTaskStatus, ReviewStatus},
    },
    controller::{Error, context::Context},
    git::{
        flow::Line,
        ops::{
            ArchiveRefs, ClaimReleaseAnswer, Commit, CommitAnswer, CommitId, GamingSigns, IntegrateAnswer,
            IntegrateBaseAnswer, MergeToBase, MergeToBaseAnswer, MergedBefore, Operation, PhaseKey, PreparePush,
            PreparePushAnswer, RevertAnswer, Works,
        },
    },
    machine::phase::{Action, Answer, PushFact, check_task_name},
    review::Gate,
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
        Action::Push => push(o, context).await,
        Action::Merge | Action::RollBack => merge(o, context).await,
        Action::StopTasks => stop_tasks(o, context).await,
        Action::Revert => revert(o, false, context).await,
        Action::GiveUpRollback => revert(o, true, context).await,
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
        && is_gone(context, holder).await?
    {
        // Its owner is gone: what it left is archived, never built upon.
        let archive = ArchiveRefs { owner_uid: holder.uid.clone(), refs: build::line(&o.phase.spec).owned()? };
        call(o, context, &archive).await?;
        answer = call(o, context, &operation).await?;
    }
    Ok(match answer {
        ClaimReleaseAnswer::Claimed { head, base, works } => {
            Answer::Claimed { head: head.into(), base: base.into(), works: named(works) }
        }
        ClaimReleaseAnswer::Adopted { commit, tag, score } => {
            let score = score.unwrap_or_default();
            Answer::Adopted { commit: commit.into(), tag: tag.short().to_owned(), score }
        }
        ClaimReleaseAnswer::RolledBack { commit, tag, rollback } => {
            Answer::WasRolledBack { merge: commit.into(), tag: tag.short().to_owned(), commit: rollback.into() }
        }
        ClaimReleaseAnswer::Conflict(conflict) => {
            let commit = operation.reapply.map(|reapply| reapply.rollback.into()).unwrap_or_default();
            Answer::Conflict { commit, paths: conflict.paths }
        }
        ClaimReleaseAnswer::NumberTaken { by } => {
            let who =
                by.map_or("a branch of unknown origin".to_owned(), |by| format!("Phase {}/{}", by.namespace, by.name));
            let (what, field) = match build::line(&o.phase.spec) {
                Line::Phase(_) => ("number", "spec.number"),
                Line::Hotfix(_) => ("name of the hotfix", "spec.hotfix"),
            };
            Answer::NumberTaken(format!(
                "the {what} is held in git by {who}; delete that Phase, or make this one anew with another {field}"
            ))
        }
        ClaimReleaseAnswer::TagTaken { tag } => Answer::TagTaken(tag.short().to_owned()),
    })
}

fn named(works: Works) -> Vec<(String, String)> {
    works.into_iter().map(|(work, commit)| (work, commit.into())).collect()
}

/// Whether the phase that holds a claim is gone. Asked of the API server: the cache leaves out what it cannot read.
async fn is_gone(context: &Context, holder: &PhaseKey) -> Result<bool, Error> {
    let api: Api<Phase> = Api::namespaced(context.client.clone(), &holder.namespace);
    let there = api.get_metadata_opt(&holder.name).await?;
    Ok(there.is_none_or(|there| there.metadata.uid.as_deref() != Some(&holder.uid)))
}

fn task_status<'a>(o: &'a Observed, name: &str) -> Option<&'a PhaseTaskStatus> {
    o.status.tasks.iter().find(|task| task.name == name)
}

async fn ensure_task(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(task), Some(gate), Some(profile)) = (task_status(o, name), &o.gate, &o.profile) else {
        return Ok(Answer::Done);
    };
    let conflict = match build::conflicts(o, task)? {
        Some(operation) => Some(build::conflict(task, call(o, context, &operation).await?)),
        None => None,
    };
    create(context, &o.phase, &build::developer_task(o, task, gate, profile, conflict)?).await
}

async fn ensure_check(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let Some(gate) = &o.gate else { return Ok(Answer::Done) };
    let check = gate.checks.iter().find(|check| check.name == name);
    if let (PhaseState::RollingBack, Some(check), Some(rollback)) = (o.status.state, check, &o.status.rollback) {
        return create(context, &o.phase, &build::rollback_check_task(o, rollback, check)).await;
    }
    let Some(review) = &o.status.review else { return Ok(Answer::Done) };
    match check {
        Some(check) => {
            let known = o.base.evidence(check);
            create(context, &o.phase, &build::check_task(o, review, check, known)).await
        }
        None => Ok(Answer::Done),
    }
}

async fn ensure_base_check(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let (Some(base), Some(gate)) = (&o.base.commit, &o.gate) else { return Ok(Answer::Done) };
    match gate.checks.iter().find(|check| check.name == name) {
        Some(check) => {
            let task = build::base_check_task(o, base, check);
            match task_of(&o.phase, &task.name_any(), context).filter(|there| is_ended(there)) {
                // Asked for although it ended: its reports were removed from git. Once it is gone it is made anew.
                Some(old) => delete(&old, None, context).await.map(|()| Answer::Done),
                None => create(context, &o.phase, &task).await,
            }
        }
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
        gaming_signs: gaming_signs(o, review, gate, context).await?,
    };
    create(context, &o.phase, &build::review_result(o, review, gate, gathered)).await
}

/// Signs in what the phase changed. Those that are waived are asked for too: the record shows them.
async fn gaming_signs(
    o: &Observed,
    review: &ReviewStatus,
    gate: &Gate,
    context: &Context,
) -> Result<Vec<GamingSign>, Error> {
    let operation = GamingSigns {
        from: CommitId::new(review.base.as_str())?.into(),
        to: CommitId::new(review.commit.as_str())?.into(),
        protected_paths: gate.protected_paths.clone(),
        accepted: gate.waivers.iter().flat_map(|waiver| waiver.findings.clone()).collect(),
    };
    Ok(call(o, context, &operation).await?.signs)
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
            // Not in the cache, but there: the cache is behind, or leaves out what it cannot read.
            let there = api.get(&object.name_any()).await.map_err(|error| unreadable::<K>(error, object))?;
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

fn unreadable<K: Resource<DynamicType = ()>>(error: kube::Error, object: &K) -> Error {
    if let kube::Error::SerdeError(why) = &error {
        return Error::Unreadable { kind: K::kind(&()).into_owned(), name: object.name_any(), why: why.to_string() };
    }
    error.into()
}

async fn integrate(o: &Observed, name: &str, context: &Context) -> Result<Answer, Error> {
    let Some(task) = task_status(o, name) else { return Ok(Answer::Done) };
    let source = if let (Some(pushed), true) = (&task.submitted, task.agent_task.is_empty()) {
        // A person's commit: there is no AgentTask; the commit stands for itself.
        let since = o.status.state_since.as_ref().map_or(0, |since| since.0.as_second());
        build::Source {
            commit: pushed.clone(),
            resolves: None,
            uid: pushed.clone(),
            run: u32::try_from(o.status.attempt).unwrap_or(0),
            seconds: since,
        }
    } else {
        let Some(found) = task_of(&o.phase, &task.agent_task, context) else { return Ok(Answer::Done) };
        let Some((commit, run)) = submitted_commit(&found) else { return Ok(Answer::Done) };
        let since = found.creation_timestamp().map_or(0, |time| time.0.as_second());
        let base = found.spec.conflict.as_ref().filter(|conflict| conflict.with == ConflictWith::BaseBranch);
        build::Source {
            commit,
            resolves: base.map(|conflict| conflict.commit.clone()),
            uid: found.uid().unwrap_or_default(),
            run: u32::try_from(run).unwrap_or(0),
            seconds: since,
        }
    };
    let commit = source.commit.clone();
    let rev = CommitId::new(commit.as_str())?;
    if matches!(call(o, context, &Commit { rev: rev.into() }).await?, CommitAnswer::Missing) {
        return Ok(Answer::CommitMissing(commit));
    }
    let operation = build::integrate(o, task, source)?;
    Ok(match call(o, context, &operation).await? {
        IntegrateAnswer::Integrated { commit, head, tree: _, works } => {
            Answer::Integrated { commit: commit.into(), head: head.into(), works: named(works) }
        }
        IntegrateAnswer::Conflict(conflict) => Answer::Conflict { commit, paths: conflict.paths },
        IntegrateAnswer::Stale { head } => Answer::Stale { head: head.into() },
        IntegrateAnswer::Merged(merged) => merged_before(merged),
    })
}

async fn integrate_base(o: &Observed, context: &Context) -> Result<Answer, Error> {
    Ok(match call(o, context, &build::integrate_base(o)?).await? {
        IntegrateBaseAnswer::UpToDate { head, tree, base, patch }
        | IntegrateBaseAnswer::Integrated { head, tree, base, patch } => {
            Answer::BaseIntegrated { head: head.into(), tree: tree.into(), base: base.into(), patch }
        }
        IntegrateBaseAnswer::Conflict { base, conflict } => {
            Answer::Conflict { commit: base.into(), paths: conflict.paths }
        }
        IntegrateBaseAnswer::Stale { head } => Answer::Stale { head: head.into() },
        IntegrateBaseAnswer::Merged(merged) => merged_before(merged),
    })
}

/// The repository knows more than the record, as after the restore of an older backup of the API server.
fn merged_before(merged: MergedBefore) -> Answer {
    let MergedBefore { commit, tag, score, rollback } = merged;
    let tag = tag.map(|tag| tag.short().to_owned()).unwrap_or_default();
    match rollback {
        None => Answer::Adopted { commit: commit.into(), tag, score: score.unwrap_or_default() },
        Some(rollback) => Answer::WasRolledBack { merge: commit.into(), tag, commit: rollback.into() },
    }
}

async fn merge(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let Some(mut operation) = merge_operation(o)? else { return Ok(Answer::Done) };
    if o.snapshot.push == PushFact::Pushed {
        let pushed = o.status.push.as_ref().map(|push| CommitId::new(push.commit.as_str()));
        operation.pushed = pushed.transpose()?;
    }
    let answer = call(o, context, &operation).await?;
    merge_answer(o, &operation, answer, context).await
}

/// The merge of what was reviewed, or of the revert that was checked.
fn merge_operation(o: &Observed) -> Result<Option<MergeToBase>, Error> {
    if let (PhaseState::RollingBack, Some(rollback)) = (o.status.state, &o.status.rollback) {
        return Ok(Some(build::roll_back(o, rollback)?));
    }
    let Some(review) = o.status.review.as_ref() else { return Ok(None) };
    // Date of the record that lets it merge, so that a redo makes the same commit.
    let seconds =
        o.last_review.as_ref().and_then(|review| review.creation_timestamp()).map_or(0, |time| time.0.as_second());
    Ok(Some(build::merge(o, review, seconds)?))
}

async fn merge_answer(
    o: &Observed,
    operation: &MergeToBase,
    answer: MergeToBaseAnswer,
    context: &Context,
) -> Result<Answer, Error> {
    Ok(match answer {
        MergeToBaseAnswer::Merged { commit, tags: _ } if operation.rolls_back.is_some() => {
            Answer::RolledBack { commit: commit.into() }
        }
        MergeToBaseAnswer::Merged { commit, tags } => {
            // What went out before an edit of the spec has the tags of then.
            let own = operation.tags.first().map(|tag| &tag.name).filter(|own| tags.contains(own)).or(tags.first());
            let tag = own.map(|tag| tag.short().to_owned()).unwrap_or_default();
            Answer::Merged { commit: commit.into(), tag }
        }
        MergeToBaseAnswer::BaseMoved { base: _ } => Answer::BaseMoved,
        MergeToBaseAnswer::TagTaken { tag } if operation.rolls_back.is_some() => {
            Answer::TagTaken(tag.short().to_owned())
        }
        MergeToBaseAnswer::TagTaken { tag } => taken_by(o, context, tag.short()).await?,
        MergeToBaseAnswer::NotReviewed { reason } => Answer::NotReviewed(reason),
    })
}

/// Makes the merge beside the base branch and the Sync that pushes it. What the upstream has already is merged here.
async fn push(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let upstream = o.repository.as_ref().and_then(|repository| repository.spec.upstream.as_ref());
    let (Some(operation), Some(upstream)) = (merge_operation(o)?, upstream) else { return Ok(Answer::Done) };
    match call(o, context, &PreparePush { merge: operation.clone() }).await? {
        PreparePushAnswer::Settled { merge: MergeToBaseAnswer::Merged { .. } } => merge(o, context).await,
        PreparePushAnswer::Settled { merge } => merge_answer(o, &operation, merge, context).await,
        PreparePushAnswer::Prepared { commit, tags } => {
            let push = build::push(o, upstream, &operation, &commit, &tags)?;
            let task = build::push_task(o, upstream, push, commit.as_str(), &context.config.runner_image);
            // It is recorded before it exists: a push that nobody knew of could not be waited for.
            if o.status.push.as_ref().is_some_and(|push| push.task == task.name_any()) {
                create(context, &o.phase, &task).await?;
            }
            Ok(Answer::Pushing { task: task.name_any(), commit: commit.into() })
        }
    }
}

/// Whose tag is in the way: another operator may have merged this very phase in the same moment.
async fn taken_by(o: &Observed, context: &Context, tag: &str) -> Result<Answer, Error> {
    Ok(match call(o, context, &build::claim(o)?).await? {
        ClaimReleaseAnswer::Adopted { commit, tag, score: _ } => {
            Answer::Merged { commit: commit.into(), tag: tag.short().to_owned() }
        }
        ClaimReleaseAnswer::Claimed { .. }
        | ClaimReleaseAnswer::RolledBack { .. }
        | ClaimReleaseAnswer::Conflict(_)
        | ClaimReleaseAnswer::NumberTaken { .. }
        | ClaimReleaseAnswer::TagTaken { .. } => Answer::TagTaken(tag.to_owned()),
    })
}

async fn revert(o: &Observed, give_up: bool, context: &Context) -> Result<Answer, Error> {
    let Some(rollback) = &o.status.rollback else { return Ok(Answer::Done) };
    Ok(match call(o, context, &build::revert(o, rollback, give_up)?).await? {
        RevertAnswer::Reverted { commit, tree, base } => {
            Answer::Reverted { commit: commit.into(), tree: tree.into(), base: base.into() }
        }
        RevertAnswer::Done { commit } => Answer::RolledBack { commit: commit.into() },
        RevertAnswer::Conflict(conflict) => Answer::Conflict { commit: rollback.merge.clone(), paths: conflict.paths },
        RevertAnswer::NotMerged => Answer::NotMerged,
        RevertAnswer::WithUpstream { upstream } => Answer::WithUpstream { upstream: upstream.into() },
        RevertAnswer::GivenUp => Answer::Done,
    })
}

/// Deletes the AgentTasks that are still at work; their Jobs and pods go with them.
async fn stop_tasks(o: &Observed, context: &Context) -> Result<Answer, Error> {
    let uid = o.phase.uid().unwrap_or_default();
    let at_work = context.stores.tasks.state_filter(|task| {
        let ours = task.spec.phase.as_ref().is_some_and(|link| link.uid == uid);
        ours && !is_ended(task)
    });
    for task in at_work {
        if o.status.push.as_ref().is_none_or(|push| push.task != task.name_any()) {
            delete(&task, None, context).await?;
        }
    }
    stop_push(o, context).await?;
    Ok(Answer::Done)
}

/// Deletes the Sync that was to push, unless it has begun: then the upstream may have it, and that is waited for. Asked of the
/// API server, since the cache may be behind.
async fn stop_push(o: &Observed, context: &Context) -> Result<(), Error> {
    let Some(name) = o.status.push.as_ref().map(|push| &push.task).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    let api: Api<AgentTask> = Api::namespaced(context.client.clone(), &o.phase.namespace().unwrap_or_default());
    let Some(task) = api.get_opt(name).await? else { return Ok(()) };
    let status = task.status.clone().unwrap_or_default();
    if is_ended(&task) {
        return Ok(());
    }
    if status.state != TaskState::Pending || status.run > 0 {
        return Err(Error::PushUnderWay { task: name.clone() });
    }
    delete(&task, task.resource_version(), context).await
}

/// Deletes this very AgentTask, as it is if a resource version is named. One that is gone or another by now is fine, one that has
/// moved since is not.
async fn delete(task: &AgentTask, resource_version: Option<String>, context: &Context) -> Result<(), Error> {
    let api: Api<AgentTask> = Api::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    let moved = resource_version.is_some();
    let preconditions = Some(Preconditions { uid: task.uid(), resource_version });
    let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
    match api.delete(&task.name_any(), &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(refusal)) if refusal.code == 404 || (refusal.code == 409 && !moved) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_ended(task: &AgentTask) -> bool {
    task.status.as_ref().is_some_and(|status| matches!(status.state, TaskState::Succeeded | TaskState::Failed))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use http::{Method, Request, Response};
    use kube::{
        Client,
        client::Body,
        runtime::events::{Recorder, Reporter},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        controller::{
            config::OperatorConfig,
            context::{OwnWrites, Stores},
            decisions::Trust,
            metrics::Metrics,
            phase::observe::observe,
        },
        git::{
            client::GitClient,
            ops::{ConflictsAnswer, MergeKind, RefName, Rev},
        },
    };

    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        config: OperatorConfig,
    }

    /// An operator whose caches are empty and whose API server holds one object.
    fn operator(there: Value) -> Context {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                let name = there["metadata"]["name"].as_str().unwrap_or("nothing");
                let (code, body) = match *request.method() {
                    Method::POST => (409, failure(409, "AlreadyExists")),
                    _ if request.uri().path().ends_with(&format!("/{name}")) => (200, there.clone()),
                    _ => (404, failure(404, "NotFound")),
                };
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                send.send_response(Response::builder().status(code).body(body).unwrap());
            }
        });
        let client = Client::new(service, "default");
        let Defaults { config } = clap::Parser::parse_from(["operator"]);
        Context {
            client: client.clone(),
            stores: Stores::empty(),
            config,
            recorder: Recorder::new(client, Reporter { controller: "phasegate".into(), instance: None }),
            own_writes: OwnWrites::default(),
            git: GitClient::new("http://127.0.0.1:1", "/nowhere", Duration::from_secs(1)).unwrap(),
            trust: Trust::default(),
            metrics: Metrics::new().unwrap(),
        }
    }

    fn failure(code: u16, reason: &str) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason})
    }

    fn phase(uid: &str) -> Arc<Phase> {
        let phase = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "metadata": {"name": "p", "namespace": "n", "uid": uid},
            "spec": {"repositoryRef": {"name": "r"}, "number": 1, "version": "1", "tasks": [{"name": "t", "description": "d"}]},
        });
        Arc::new(serde_json::from_value(phase).unwrap())
    }

    fn task(role: &str) -> Value {
        json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
            "metadata": {"name": "p-t-1-1", "namespace": "n", "uid": "t", "ownerReferences": [
                {"apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "name": "p", "uid": "phase", "controller": true}
            ]},
            "spec": {"role": role, "repository": "r", "task": "t", "pod": {"image": "i"}, "timeout": "1h", "maxRuns": 1},
        })
    }

    #[tokio::test]
    async fn a_task_that_is_there_is_made_once_whether_the_cache_has_it_or_not() {
        let made: AgentTask = serde_json::from_value(task("Developer")).unwrap();
        let answer = create(&operator(task("Developer")), &phase("phase"), &made).await.unwrap();
        assert_eq!(answer, Answer::Done);
        let error = create(&operator(task("Developer")), &phase("another"), &made).await.unwrap_err().to_string();
        assert_eq!(error, "AgentTask p-t-1-1 belongs to an object that was deleted; waiting until it is gone");
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_read_is_waited_for_by_its_name() {
        let made: AgentTask = serde_json::from_value(task("Developer")).unwrap();
        let error = create(&operator(task("Pilot")), &phase("phase"), &made).await.unwrap_err().to_string();
        assert!(error.starts_with("AgentTask p-t-1-1 exists but does not fit its kind: "), "{error}");
        assert!(error.contains("Pilot") && error.ends_with("; mend or delete it"), "{error}");
    }

    #[tokio::test]
    async fn a_phase_that_the_cache_does_not_have_is_gone_only_if_the_api_server_says_so() {
        let there = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "p", "namespace": "n", "uid": "phase"},
        });
        let context = operator(there);
        let holder = |name: &str, uid: &str| PhaseKey { uid: uid.into(), namespace: "n".into(), name: name.into() };
        assert!(!is_gone(&context, &holder("p", "phase")).await.unwrap());
        assert!(is_gone(&context, &holder("p", "an earlier one")).await.unwrap());
        assert!(is_gone(&context, &holder("q", "phase")).await.unwrap());
    }

    /// A cache that holds one object.
    fn cache<K>(object: K) -> kube::runtime::reflector::Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let (cache, mut writer) = kube::runtime::reflector::store();
        writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(object));
        cache
    }

    #[tokio::test]
    async fn a_run_on_the_base_is_made_anew_once_its_reports_are_gone() {
        let now: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let check =
            json!({"name": "test", "image": "i", "script": "make", "reports": [{"format": "JUnit", "path": "r.xml"}]});
        let repository = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "r", "namespace": "n"},
            "spec": {"checks": [check]},
        });
        let mut phase = (*phase("phase")).clone();
        let release = json!({"branch": "release/phase-1-v1", "base": commit("b"), "head": commit("a")});
        let status = json!({"state": "Developing", "attempt": 1, "release": release});
        phase.status = Some(serde_json::from_value(status).unwrap());
        let phase = Arc::new(phase);
        let mut context = operator(Value::Null);
        context.stores.repositories = cache(serde_json::from_value(repository).unwrap());
        let o = observe(phase.clone(), &context, true, now);
        assert_eq!(missing_on_base(&o), ["test"], "it has not run");
        let check = o.gate.as_ref().unwrap().checks[0].clone();
        let run = build::base_check_task(&o, commit("b").as_str(), &check);
        for (finished, expected) in [("2026-02-28T00:00:00Z", &[][..]), ("2026-01-01T00:00:00Z", &["test"][..])] {
            let mut run = run.clone();
            run.metadata.uid = Some("run".to_owned());
            let status = json!({"state": "Succeeded", "run": 1, "finishedAt": finished});
            run.status = Some(serde_json::from_value(status).unwrap());
            context.stores.tasks = cache(run);
            assert_eq!(missing_on_base(&observe(phase.clone(), &context, true, now)), expected, "finished {finished}");
        }
        // The API server of this test has nothing of that name: what was deleted meanwhile is fine.
        let o = observe(phase, &context, true, now);
        assert_eq!(ensure_base_check(&o, "test", &context).await.unwrap(), Answer::Done);
    }

    /// Checks that are to run on the base.
    fn missing_on_base(o: &Observed) -> Vec<String> {
        let missing =
            o.snapshot.base_checks.iter().filter(|check| check.work == crate::machine::phase::CheckWork::Missing);
        missing.map(|check| check.name.clone()).collect()
    }

    #[rstest::rstest]
    #[case::not_begun(json!({}), None)]
    #[case::over(json!({"state": "Succeeded", "run": 1}), None)]
    #[case::lost_and_to_be_run_again(json!({"state": "Pending", "run": 1}), Some("has begun to push to the upstream"))]
    #[case::starting(json!({"state": "Starting", "run": 1}), Some("has begun to push to the upstream"))]
    #[case::at_work(json!({"state": "Running", "run": 1}), Some("has begun to push to the upstream"))]
    #[tokio::test]
    async fn a_push_that_the_upstream_may_have_is_not_stopped_whatever_the_cache_shows(
        #[case] status: Value,
        #[case] refused: Option<&str>,
    ) {
        let mut there = task("Sync");
        there["status"] = status;
        let mut phase = (*phase("phase")).clone();
        let status = json!({"state": "Merging", "push": {"task": "p-t-1-1", "commit": commit("a")}});
        phase.status = Some(serde_json::from_value(status).unwrap());
        let context = operator(there);
        let o = observe(Arc::new(phase), &context, true, jiff::Timestamp::UNIX_EPOCH);
        let stopped = stop_tasks(&o, &context).await.map_err(|error| error.to_string());
        match refused {
            None => assert_eq!(stopped, Ok(Answer::Done)),
            Some(words) => assert!(stopped.as_ref().is_err_and(|error| error.contains(words)), "{stopped:?}"),
        }
    }

    /// Of the same character, as long as one is.
    fn commit(of: &str) -> CommitId {
        CommitId::new(of.repeat(40)).unwrap()
    }

    #[tokio::test]
    async fn the_base_branch_is_merged_as_it_is_by_now_and_joins_as_its_developer_was_given_it() {
        let mut phase = (*phase("u")).clone();
        let status = json!({
            "state": "Developing", "attempt": 2,
            "release": {"branch": "release/phase-1-v1", "base": commit("b"), "head": commit("a")},
            "tasks": [
                {"name": "t", "state": "Waiting", "dispatch": 1, "conflict": commit("d")},
                {"name": "base-merge", "state": "Working", "agentTask": "p.base-merge.2.1", "dispatch": 1, "conflict": commit("c")},
            ],
        });
        phase.status = Some(serde_json::from_value(status).unwrap());
        let o = observe(Arc::new(phase), &operator(Value::Null), true, jiff::Timestamp::UNIX_EPOCH);
        let (own, merge) = (task_status(&o, "t").unwrap(), task_status(&o, "base-merge").unwrap());

        let asked = |task| build::conflicts(&o, task).unwrap().unwrap();
        let main: Rev = RefName::branch("main").unwrap().into();
        assert_eq!((asked(merge).ours, asked(merge).theirs), (commit("a").into(), main));
        assert_eq!(asked(own).theirs, commit("d").into(), "work is merged as it was submitted");
        let answer = ConflictsAnswer { ours: commit("a"), theirs: commit("e"), files: Vec::new(), total: 1 };
        let given = build::conflict(merge, answer);
        assert_eq!((given.with, given.commit), (ConflictWith::BaseBranch, commit("e").into()));

        let source = build::Source {
            commit: commit("f").into(),
            resolves: Some(commit("e").into()),
            uid: "t".to_owned(),
            run: 1,
            seconds: 1,
        };
        let integrate = build::integrate(&o, merge, source).unwrap();
        assert_eq!((integrate.resolves, integrate.source), (Some(commit("e")), commit("f")));
        assert_eq!((integrate.kind, &*integrate.work), (MergeKind::Merge, "p.base-merge.2.1"));
        assert_eq!(integrate.title, "Merge bugfix/phase-1-base-2: merge the base branch");
    }
}
