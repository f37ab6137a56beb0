//! The operator's side of the runner API: who speaks is proved by the pod's token, what is said is
//! bounded and stamped, and only the live run of a task is listened to (design §6).

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::reflector::{ObjectRef, Store},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};
use tracing::{info, warn};

use super::protocol::{
    Accepted, AssignedPhase, Assignment, DeliveryReport, ErrorBody, MAX_ANSWERS, MAX_BODY, MAX_HEADS, MAX_LINE,
    MAX_NOTE, MAX_REPORTS, MAX_STEPS, MAX_TEXT, PlanReport, ProgressReport, SubmissionReport, UsageReport, cut,
};
use crate::{
    api::{
        AgentTask, AgentTaskSpec, AgentTaskStatus, Phase,
        agent_task::{Delivery, PhaseLink, Plan, Progress, RunStamp, Submission, TaskState, Usage},
    },
    git::auth::{TASK_AUDIENCE, TokenReviewer},
};

/// Field manager of what pods report.
pub const RUNNER_MANAGER: &str = "phasegate-runner";
/// Seconds after which a pod that is not pinned yet asks again.
const RETRY_SECONDS: u64 = 1;
/// Shortest time between two progress writes of one task, unless it is a big step.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);
/// A step that is written at once, in percent.
const PROGRESS_STEP: i32 = 10;

/// What the API needs.
#[derive(Clone)]
pub struct RunnerApi {
    client: Client,
    tasks: Store<AgentTask>,
    phases: Store<Phase>,
    tokens: Arc<dyn TokenReviewer>,
    service_account: String,
    progress: Arc<Mutex<HashMap<String, Instant>>>,
}

impl RunnerApi {
    /// `service_account` is the name that task pods run under, in every namespace.
    pub fn new(
        client: Client,
        tasks: Store<AgentTask>,
        phases: Store<Phase>,
        tokens: Arc<dyn TokenReviewer>,
        service_account: String,
    ) -> Self {
        Self { client, tasks, phases, tokens, service_account, progress: Arc::default() }
    }
}

/// The routes, below `/runner/v1`.
pub fn router(state: RunnerApi) -> Router {
    let path = |resource: &str| format!("/runner/v1/namespaces/{{namespace}}/tasks/{{task}}/{resource}");
    Router::new()
        .route(&path("assignment"), get(assignment))
        .route(&path("plan"), post(plan))
        .route(&path("progress"), post(progress))
        .route(&path("submission"), post(submission))
        .route(&path("delivery"), post(delivery))
        .route(&path("usage"), post(usage))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

/// A refused call: status, what is wrong, what to do.
struct Refused(StatusCode, ErrorBody);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, body) = self;
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_SECONDS.into());
        }
        response
    }
}

fn refuse(status: StatusCode, error: impl Into<String>, remedy: &str) -> Refused {
    Refused(status, ErrorBody { error: error.into(), remedy: remedy.to_owned(), commit: None })
}

fn bad(error: impl Into<String>) -> Refused {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, error, "mend the named field and call again")
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        refuse(rejection.status(), rejection.body_text(), "send the JSON that the call takes")
    }
}

type Names = Path<(String, String)>;

/// Which run speaks: a pod of an older run is not listened to.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Speaker {
    run: i32,
}

/// The live run of the task that the caller speaks for.
struct Live {
    task: AgentTask,
    status: AgentTaskStatus,
    stamp: RunStamp,
}

/// Proves the caller: a token of ours, bound to the very pod that is pinned, of a run that is not over.
async fn live(
    api: &RunnerApi,
    headers: &HeaderMap,
    namespace: &str,
    task: &str,
    speaker: Speaker,
) -> Result<Live, Refused> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| refuse(StatusCode::UNAUTHORIZED, "no bearer token", "send the pod's projected token"))?;
    let identity = api
        .tokens
        .review(token, TASK_AUDIENCE)
        .await
        .map_err(|error| refuse(StatusCode::SERVICE_UNAVAILABLE, error, "ask again"))?
        .ok_or_else(|| {
            refuse(
                StatusCode::UNAUTHORIZED,
                "the token is not good for audience phasegate",
                "send the pod's projected token",
            )
        })?;
    let expected = format!("system:serviceaccount:{namespace}:{}", api.service_account);
    let (true, Some(pod_uid)) = (identity.username == expected, identity.pod_uid) else {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "the token is not one of a task pod of this namespace",
            "call from the task's own pod",
        ));
    };
    let task = find(api, namespace, task).await?;
    let status = task.status.clone().unwrap_or_default();
    let ended = matches!(status.state, TaskState::Succeeded | TaskState::Failed);
    match &status.pod_uid {
        Some(pinned) if *pinned == pod_uid => {}
        // The caches may be behind the pod: it asks again until its UID is pinned.
        None if !ended => {
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "this pod is not pinned to its task yet", "ask again"));
        }
        Some(_) | None => {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "another pod speaks for this task, or it has ended",
                "end this pod",
            ));
        }
    }
    if speaker.run != status.run {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            format!("run {} is over, run {} is live", speaker.run, status.run),
            "end this pod",
        ));
    }
    let stamp = RunStamp { run: status.run, pod_uid };
    Ok(Live { task, status, stamp })
}

/// From the API server, not from the cache: a pod must not be told yesterday's state.
async fn find(api: &RunnerApi, namespace: &str, name: &str) -> Result<AgentTask, Refused> {
    let known = ObjectRef::new(name).within(namespace);
    if api.tasks.get(&known).is_none() {
        return Err(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("there is no AgentTask {name} in {namespace} yet"),
            "ask again",
        ));
    }
    let objects: Api<AgentTask> = Api::namespaced(api.client.clone(), namespace);
    let read = tokio::time::timeout(Duration::from_secs(10), objects.get(name)).await;
    match read {
        Ok(Ok(task)) => Ok(task),
        Ok(Err(error)) => Err(unavailable(&error.to_string())),
        Err(_) => Err(unavailable("the API server took too long")),
    }
}

fn unavailable(error: &str) -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, error, "ask again")
}

async fn assignment(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
) -> Result<Json<Assignment>, Refused> {
    let Live { task, status: _, stamp } = live(&api, &headers, &namespace, &task, speaker).await?;
    let created_at = task.creation_timestamp().map(|time| time.0).unwrap_or_default();
    let (name, uid) = (task.name_any(), task.uid().unwrap_or_default());
    let AgentTaskSpec { role, repository, phase, task, commit, branch, brief, check, upstream, .. } = task.spec;
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
        check,
        upstream,
    }))
}

fn assigned(api: &RunnerApi, namespace: &str, link: PhaseLink) -> AssignedPhase {
    let phase = api.phases.get(&ObjectRef::new(&link.name).within(namespace));
    let spec = phase.as_ref().map(|phase| &phase.spec);
    AssignedPhase {
        number: spec.and_then(|spec| spec.number),
        version: spec.map(|spec| spec.version.clone()).unwrap_or_default(),
        name: link.name,
        attempt: link.attempt,
    }
}

async fn plan(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
    body: Result<Json<PlanReport>, JsonRejection>,
) -> Result<Json<Accepted>, Refused> {
    let live = live(&api, &headers, &namespace, &task, speaker).await?;
    let Json(PlanReport { steps }) = body?;
    if steps.is_empty() || steps.len() > MAX_STEPS {
        return Err(bad(format!("steps: 1 to {MAX_STEPS} are taken, not {}", steps.len())));
    }
    let plan = Plan { stamp: live.stamp.clone(), steps: steps.iter().map(|step| cut(step, MAX_LINE)).collect() };
    write(&api, &live, |own| own.plan = Some(plan)).await
}

async fn progress(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
    body: Result<Json<ProgressReport>, JsonRejection>,
) -> Result<Json<Accepted>, Refused> {
    let live = live(&api, &headers, &namespace, &task, speaker).await?;
    let Json(ProgressReport { percent, message }) = body?;
    if !(0..=100).contains(&percent) {
        return Err(bad(format!("percent: 0 to 100, not {percent}")));
    }
    let before =
        live.status.progress.as_ref().filter(|progress| progress.stamp == live.stamp).map(|progress| progress.percent);
    let big = percent == 100 || before.is_none_or(|before| (percent - before).abs() >= PROGRESS_STEP);
    if !big && !is_due(&api, &live).await {
        // Heartbeats stay out of the API: the next one that is due says the same and more.
        return Ok(Json(Accepted { recorded: false }));
    }
    let progress = Progress { stamp: live.stamp.clone(), percent, message: cut(&message, MAX_LINE) };
    write(&api, &live, |own| own.progress = Some(progress)).await
}

async fn is_due(api: &RunnerApi, live: &Live) -> bool {
    let mut written = api.progress.lock().await;
    written.retain(|_, at| at.elapsed() < PROGRESS_PAUSE);
    let due = !written.contains_key(&live.stamp.pod_uid);
    if due {
        written.insert(live.stamp.pod_uid.clone(), Instant::now());
    }
    due
}

async fn submission(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
    body: Result<Json<SubmissionReport>, JsonRejection>,
) -> Result<Json<Accepted>, Refused> {
    let live = live(&api, &headers, &namespace, &task, speaker).await?;
    let Json(SubmissionReport { commit, summary, answers }) = body?;
    // The first of a run wins, so that a call whose answer was lost can be repeated.
    if let Some(first) = live.status.submission.clone().filter(|first| first.stamp == live.stamp) {
        let error = "this run has submitted already; the first submission counts".to_owned();
        let remedy = "end the run".to_owned();
        return if first.commit == commit {
            Ok(Json(Accepted { recorded: true }))
        } else {
            Err(Refused(StatusCode::CONFLICT, ErrorBody { error, remedy, commit: Some(first.commit) }))
        };
    }
    if crate::git::CommitId::new(commit.as_str()).is_err() {
        return Err(bad("commit: 40 lower-case hexadecimal digits"));
    }
    if answers.len() > MAX_ANSWERS {
        return Err(bad(format!("answers: at most {MAX_ANSWERS}, not {}", answers.len())));
    }
    let answers = answers.into_iter().map(|mut answer| {
        answer.note = cut(&answer.note, MAX_NOTE);
        answer.finding = cut(&answer.finding, 64);
        answer
    });
    let submission =
        Submission { stamp: live.stamp.clone(), commit, summary: cut(&summary, MAX_TEXT), answers: answers.collect() };
    info!(namespace, task, commit = submission.commit, correlation_id = live.task.spec.correlation_id, "submitted");
    write(&api, &live, |own| own.submission = Some(submission)).await
}

async fn delivery(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
    body: Result<Json<DeliveryReport>, JsonRejection>,
) -> Result<Json<Accepted>, Refused> {
    let live = live(&api, &headers, &namespace, &task, speaker).await?;
    let Json(report) = body?;
    let DeliveryReport { commit, changed, exit_code, timed_out, reports, message, heads } = report;
    if reports.len() > MAX_REPORTS || reports.iter().any(|report| report.findings.len() > 100) {
        return Err(bad("reports: at most 8 of at most 100 findings"));
    }
    let delivery = Delivery {
        stamp: live.stamp.clone(),
        commit,
        changed,
        exit_code,
        timed_out,
        reports,
        message: cut(&message, MAX_TEXT),
        heads: heads.into_iter().take(MAX_HEADS).collect(),
    };
    write(&api, &live, |own| own.delivery = Some(delivery)).await
}

async fn usage(
    State(api): State<RunnerApi>,
    Path((namespace, task)): Names,
    Query(speaker): Query<Speaker>,
    headers: HeaderMap,
    body: Result<Json<UsageReport>, JsonRejection>,
) -> Result<Json<Accepted>, Refused> {
    let live = live(&api, &headers, &namespace, &task, speaker).await?;
    let Json(UsageReport { input_tokens, output_tokens }) = body?;
    let usage =
        Usage { stamp: live.stamp.clone(), input_tokens: input_tokens.max(0), output_tokens: output_tokens.max(0) };
    write(&api, &live, |own| own.usage = Some(usage)).await
}

/// The fields of the status that pods own.
#[derive(Clone, Default)]
struct Own {
    plan: Option<Plan>,
    progress: Option<Progress>,
    submission: Option<Submission>,
    delivery: Option<Delivery>,
    usage: Option<Usage>,
}

/// Applies the pods' own fields; compare-and-swap, so that two calls never undo each other.
async fn write(api: &RunnerApi, live: &Live, change: impl FnOnce(&mut Own)) -> Result<Json<Accepted>, Refused> {
    let AgentTaskStatus { plan, progress, submission, delivery, usage, .. } = live.status.clone();
    let mut own = Own { plan, progress, submission, delivery, usage };
    change(&mut own);
    let Own { plan, progress, submission, delivery, usage } = own;
    let mut status = json!({});
    let fields = [
        ("plan", json!(plan)),
        ("progress", json!(progress)),
        ("submission", json!(submission)),
        ("delivery", json!(delivery)),
        ("usage", json!(usage)),
    ];
    if let Some(object) = status.as_object_mut() {
        let set = fields.into_iter().filter(|(_, value)| !value.is_null());
        object.extend(set.map(|(name, value)| (name.to_owned(), value)));
    }
    let body = json!({
        "apiVersion": "phasegate.dev/v1alpha1",
        "kind": "AgentTask",
        "metadata": {
            "name": live.task.name_any(),
            "uid": live.task.uid(),
            "resourceVersion": live.task.resource_version(),
        },
        "status": status,
    });
    let objects: Api<AgentTask> = Api::namespaced(api.client.clone(), &live.task.namespace().unwrap_or_default());
    let (name, parameters, patch) =
        (live.task.name_any(), PatchParams::apply(RUNNER_MANAGER).force(), Patch::Apply(body));
    let call = objects.patch_status(&name, &parameters, &patch);
    match tokio::time::timeout(Duration::from_secs(10), call).await {
        Ok(Ok(_)) => Ok(Json(Accepted { recorded: true })),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 409 => Err(unavailable("the task has moved meanwhile")),
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 422 => Err(bad(refusal.message.clone())),
        Ok(Err(error)) => {
            warn!(%error, task = name, "failed to record what a pod said");
            Err(unavailable(&error.to_string()))
        }
        Err(_) => Err(unavailable("the API server took too long")),
    }
}
