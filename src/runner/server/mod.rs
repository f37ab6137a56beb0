//! The operator's side of the runner API (design §6): routes, and what each report must look like.
//!
//! `caller` proves who speaks, `record` writes the pods' own part of the status, `pace` keeps
//! heartbeats out of the API server, `review` is what a review must look like. Nothing here decides what a report means.

mod caller;
mod pace;
mod record;
mod refusal;
mod review;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::StatusCode,
    routing::{get, post},
};
use kube::{
    Client, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tracing::info;

use self::{
    caller::{Caller, Live},
    pace::Pace,
    record::{Change, record},
    refusal::{Refused, bad, refuse, unavailable},
};
use super::protocol::{
    Accepted, AssignedPhase, Assignment, DeliveryReport, MAX_ANSWERS, MAX_BODY, MAX_FINDINGS, MAX_HEADS, MAX_LINE,
    MAX_NOTE, MAX_REPORTS, MAX_STEPS, MAX_TEXT, PlanReport, ProgressReport, ResumedReport, SubmissionReport,
    UsageReport,
};
use crate::{
    api::{
        AgentTask, AgentTaskSpec, Phase,
        agent_task::{Delivery, PhaseLink, Plan, Progress, PushAnswer, Resumed, Role, Submission, Usage},
    },
    git::{
        CommitId,
        auth::TokenReviewer,
        client::GitClient,
        ops::{Commit, CommitAnswer},
    },
    text::cut,
};

pub use self::record::RUNNER_MANAGER;

/// Progress that is written at once, however soon: so many percent more than what is written.
const PROGRESS_STEP: i32 = 5;

/// What the API needs.
#[derive(Clone)]
pub struct RunnerApi {
    client: Client,
    phases: Store<Phase>,
    tokens: Arc<dyn TokenReviewer>,
    service_account: String,
    git: Option<GitClient>,
    pace: Arc<Pace>,
}

impl RunnerApi {
    /// `service_account` is the name that task pods run under, in every namespace.
    pub fn new(client: Client, phases: Store<Phase>, tokens: Arc<dyn TokenReviewer>, service_account: String) -> Self {
        Self { client, phases, tokens, service_account, git: None, pace: Arc::default() }
    }

    /// With the git service, which is asked whether a submitted commit is there and of this run.
    #[must_use]
    pub fn with_git(self, git: GitClient) -> Self {
        Self { git: Some(git), ..self }
    }
}

/// The routes, below `/runner/v1`.
pub fn router(state: RunnerApi) -> Router {
    let path = |resource: &str| format!("/runner/v1/namespaces/{{namespace}}/tasks/{{task}}/{resource}");
    Router::new()
        .route(&path("assignment"), get(assignment))
        .route(&path("resumed"), post(resumed))
        .route(&path("plan"), post(plan))
        .route(&path("progress"), post(progress))
        .route(&path("submission"), post(submission))
        .route(&path("review"), post(review::review))
        .route(&path("delivery"), post(delivery))
        .route(&path("usage"), post(usage))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

type Body<T> = Result<Json<T>, JsonRejection>;
type Recorded = Result<Json<Accepted>, Refused>;

async fn assignment(State(api): State<RunnerApi>, caller: Caller) -> Result<Json<Assignment>, Refused> {
    let live = caller.live(&api).await?;
    live.at_work()?;
    let Live { task, stamp, status, .. } = live;
    let created_at = task.creation_timestamp().map(|time| time.0).unwrap_or_default();
    let (name, uid, namespace) =
        (task.name_any(), task.uid().unwrap_or_default(), task.namespace().unwrap_or_default());
    let AgentTaskSpec {
        role,
        repository,
        phase,
        task,
        commit,
        branch,
        brief,
        conflict,
        check,
        base,
        review,
        upstream,
        push,
        ..
    } = task.spec;
    Ok(Json(Assignment {
        agent_task: name,
        uid,
        run: stamp.run,
        role,
        created_at,
        phase: phase.map(|link| assigned(&api, &namespace, link)),
        task,
        clone_path: format!("/{namespace}/{repository}.git"),
        repository,
        commit,
        branch,
        brief,
        conflict,
        merged: None,
        last_failure: status.last_failure,
        resume: status.resume,
        resumed: None,
        check,
        base,
        review,
        upstream,
        push,
    }))
}

fn assigned(api: &RunnerApi, namespace: &str, link: PhaseLink) -> AssignedPhase {
    let phase = api.phases.get(&ObjectRef::new(&link.name).within(namespace));
    let spec = phase.as_ref().map(|phase| &phase.spec);
    AssignedPhase {
        number: spec.and_then(|spec| spec.number),
        hotfix: spec.and_then(|spec| spec.hotfix.clone()).unwrap_or_default(),
        version: spec.map(|spec| spec.version.clone()).unwrap_or_default(),
        name: link.name,
        attempt: link.attempt,
    }
}

async fn resumed(State(api): State<RunnerApi>, caller: Caller, body: Body<ResumedReport>) -> Recorded {
    let Json(ResumedReport { from_run, commit }) = body?;
    let commit = CommitId::new(commit).map_err(|error| bad(format!("commit: {error}")))?;
    record(&api, &caller, |live, own| {
        live.at_work()?;
        live.has_role(Role::Developer)?;
        if !(1..live.stamp.run).contains(&from_run) {
            return Err(bad(format!("fromRun: a run before {} is taken, not {from_run}", live.stamp.run)));
        }
        let resumed = Resumed { stamp: live.stamp.clone(), from_run, commit: commit.to_string() };
        if own.resumed.as_ref() == Some(&resumed) {
            return Ok(Change::Known);
        }
        own.resumed = Some(resumed);
        Ok(Change::Write)
    })
    .await
}

async fn plan(State(api): State<RunnerApi>, caller: Caller, body: Body<PlanReport>) -> Recorded {
    let Json(PlanReport { steps }) = body?;
    if steps.is_empty() || steps.len() > MAX_STEPS {
        return Err(bad(format!("steps: 1 to {MAX_STEPS} are taken, not {}", steps.len())));
    }
    let steps: Vec<String> = steps.iter().map(|step| cut(step, MAX_LINE)).collect();
    record(&api, &caller, |live, own| {
        live.at_work()?;
        if own.plan.as_ref().is_some_and(|plan| plan.steps == steps) {
            return Ok(Change::Known);
        }
        if own.plan.is_some() && !api.pace.is_due(&live.stamp.pod_uid, "plan") {
            return Err(refuse(StatusCode::TOO_MANY_REQUESTS, "plans come too fast", "report again in two seconds"));
        }
        own.plan = Some(Plan { stamp: live.stamp.clone(), steps: steps.clone() });
        Ok(Change::Write)
    })
    .await
}

async fn progress(State(api): State<RunnerApi>, caller: Caller, body: Body<ProgressReport>) -> Recorded {
    let Json(ProgressReport { percent, message }) = body?;
    if !(0..=100).contains(&percent) {
        return Err(bad(format!("percent: 0 to 100, not {percent}")));
    }
    let message = cut(&message, MAX_LINE);
    record(&api, &caller, |live, own| {
        live.at_work()?;
        let before = own.progress.as_ref();
        if before.is_some_and(|before| before.percent == percent && before.message == message) {
            return Ok(Change::Known);
        }
        // Steps forward are few by their nature; all else waits its turn.
        let forward = before.is_none_or(|before| percent >= before.percent + PROGRESS_STEP);
        if !forward && !api.pace.is_due(&live.stamp.pod_uid, "progress") {
            return Ok(Change::TooSoon);
        }
        own.progress = Some(Progress { stamp: live.stamp.clone(), percent, message: message.clone() });
        Ok(Change::Write)
    })
    .await
}

async fn submission(State(api): State<RunnerApi>, caller: Caller, body: Body<SubmissionReport>) -> Recorded {
    let Json(SubmissionReport { commit, summary, answers }) = body?;
    let commit = CommitId::new(commit).map_err(|error| bad(format!("commit: {error}")))?;
    if answers.len() > MAX_ANSWERS {
        return Err(bad(format!("answers: at most {MAX_ANSWERS}, not {}", answers.len())));
    }
    let answers = answers.into_iter().map(|mut answer| {
        answer.note = cut(&answer.note, MAX_NOTE);
        answer.finding = cut(&answer.finding, 64);
        answer
    });
    let (answers, summary): (Vec<_>, _) = (answers.collect(), cut(&summary, MAX_TEXT));
    let live = caller.live(&api).await?;
    live.has_role(Role::Developer)?;
    if live.submitted().is_none() {
        of_this_run(&api, &live, &commit).await?;
    }
    record(&api, &caller, |live, own| {
        // The first of a run wins, so that a call whose answer was lost can be repeated.
        match live.submitted() {
            Some(first) if first == commit.as_str() => return Ok(Change::Known),
            Some(first) => return Err(refusal::submitted(first)),
            None => {}
        }
        live.may_submit()?;
        own.submission = Some(Submission {
            stamp: live.stamp.clone(),
            commit: commit.to_string(),
            summary: summary.clone(),
            answers: answers.clone(),
        });
        info!(namespace = live.task.namespace(), task = live.task.name_any(), %commit, correlation_id = live.task.spec.correlation_id, "submitted");
        Ok(Change::Write)
    })
    .await
}

async fn delivery(State(api): State<RunnerApi>, caller: Caller, body: Body<DeliveryReport>) -> Recorded {
    let Json(report) = body?;
    let DeliveryReport { commit, changed, refused, exit_code, timed_out, reports, message, heads, push } = report;
    let findings: usize = reports.iter().map(|report| report.findings.len()).sum();
    if reports.len() > MAX_REPORTS || findings > MAX_FINDINGS {
        return Err(bad(format!("reports: at most {MAX_REPORTS} with {MAX_FINDINGS} findings together")));
    }
    let live = caller.live(&api).await?;
    if let Some(commit) = &commit {
        let commit = CommitId::new(commit.as_str()).map_err(|error| bad(format!("commit: {error}")))?;
        of_this_run(&api, &live, &commit).await?;
    }
    let delivery = Delivery {
        stamp: live.stamp.clone(),
        commit,
        changed,
        refused,
        exit_code,
        timed_out,
        reports,
        message: cut(&message, MAX_TEXT),
        heads: heads.into_iter().filter(|(_, commit)| CommitId::new(commit.as_str()).is_ok()).take(MAX_HEADS).collect(),
        push: push.map(|push| PushAnswer { message: cut(&push.message, MAX_TEXT / 2), ..push }),
        external: None,
    };
    // Whatever the task's state: what a run leaves may arrive after its submission has ended the task.
    record(&api, &caller, |live, own| {
        if own.delivery.is_some() {
            return Ok(Change::Known);
        }
        own.delivery = Some(delivery.clone());
        info!(
            namespace = live.task.namespace(),
            task = live.task.name_any(),
            exit_code = delivery.exit_code,
            changed = delivery.changed,
            correlation_id = live.task.spec.correlation_id,
            "delivered"
        );
        Ok(Change::Write)
    })
    .await
}

async fn usage(State(api): State<RunnerApi>, caller: Caller, body: Body<UsageReport>) -> Recorded {
    let Json(UsageReport { input_tokens, output_tokens }) = body?;
    if input_tokens < 0 || output_tokens < 0 {
        return Err(bad("inputTokens and outputTokens must not be negative"));
    }
    record(&api, &caller, |live, own| {
        live.at_work()?;
        if own.usage.is_some() && !api.pace.is_due(&live.stamp.pod_uid, "usage") {
            return Ok(Change::TooSoon);
        }
        own.usage = Some(Usage { stamp: live.stamp.clone(), input_tokens, output_tokens });
        Ok(Change::Write)
    })
    .await
}

/// A commit must be on the git service before anything is told of it, and made by this run: the trailer says so, by
/// which its integration is found again.
async fn of_this_run(api: &RunnerApi, live: &Live, commit: &CommitId) -> Result<(), Refused> {
    let Some(git) = &api.git else { return Ok(()) };
    let task: &AgentTask = &live.task;
    let git = git.with_correlation(&task.spec.correlation_id);
    let question = Commit { rev: commit.clone().into() };
    let namespace = task.namespace().unwrap_or_default();
    let answer = git.call(&namespace, &task.spec.repository, &question).await;
    let facts = match answer.map_err(|error| unavailable(error.to_string()))? {
        CommitAnswer::Found(facts) => facts,
        CommitAnswer::Missing => {
            return Err(bad(format!("commit: {commit} is not on the git service; push it to the task's branch first")));
        }
    };
    let trailer = format!("Phasegate-Task: {}/{}", task.uid().unwrap_or_default(), live.stamp.run);
    let parents: Vec<&str> = facts.parents.iter().map(CommitId::as_str).collect();
    let starts = task.spec.commit.as_deref().is_none_or(|start| parents == [start]);
    if starts && facts.message.lines().any(|line| line == trailer) {
        return Ok(());
    }
    Err(bad(format!("commit: {commit} was not made by run {} of this task on its start commit", live.stamp.run)))
}
