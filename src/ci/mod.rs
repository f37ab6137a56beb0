//! How outside systems (a hosted CI) say how a check ended: `/ci/v1`, by a key of role `ci` (docs/external-checks.md).
//!
//! `GET …/namespaces/{namespace}/checks` lists the checks that wait; `POST …/checks/{task}` takes the answer for one,
//! as a form with its reports. Every replica serves it: the API server holds all state. `caller` proves who speaks,
//! `waiting` is what is listed, `form` reads an answer, `record` writes it. What an answer is worth is decided by the
//! task's machine and by `review`, like that of any check.

mod caller;
mod form;
mod pace;
mod record;
mod refusal;
mod waiting;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Multipart, Query, Request, State, multipart::MultipartRejection},
    http::Method,
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use kube::{
    Client,
    runtime::{events::Recorder, reflector::Store},
};
use prometheus::IntCounterVec;
use tokio::sync::Semaphore;

use crate::{
    api::{
        AgentTask, Phase,
        agent_task::{RunStamp, TaskState},
        check::ExternalCheck,
    },
    keys::KeyFile,
};

use self::{
    caller::Caller,
    pace::Pace,
    record::Recorded,
    refusal::{Refused, bad, refuse, unavailable},
    waiting::{Filter, Waiting},
};

/// Most bytes of one answer, its reports together.
pub const MAX_BODY: usize = 64 << 20;
/// Longest time for an answer to arrive.
const ARRIVAL: Duration = Duration::from_secs(120);
/// Answers that are read at the same time: each holds one report in memory.
const UPLOADS: usize = 4;
/// How long an answer waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// The stamp of an answer from outside. No pod has an empty UID, so no pod's word can be taken for one.
pub fn stamp() -> RunStamp {
    RunStamp { run: 1, pod_uid: String::new() }
}

/// What people call the system that runs a check.
pub fn system(external: &ExternalCheck) -> &str {
    if external.system.is_empty() { "the outside system" } else { &external.system }
}

/// What the API needs.
#[derive(Clone)]
pub struct CiApi {
    client: Client,
    tasks: Store<AgentTask>,
    phases: Store<Phase>,
    keys: Arc<KeyFile>,
    recorder: Recorder,
    requests: IntCounterVec,
    pace: Arc<Pace>,
    uploads: Arc<Semaphore>,
}

impl CiApi {
    /// `tasks` and `phases` are caches; `requests` counts by call and status code.
    pub fn new(
        client: Client,
        (tasks, phases): (Store<AgentTask>, Store<Phase>),
        keys: KeyFile,
        recorder: Recorder,
        requests: IntCounterVec,
    ) -> Self {
        let (pace, uploads) = (Arc::default(), Arc::new(Semaphore::new(UPLOADS)));
        Self { client, tasks, phases, keys: Arc::new(keys), recorder, requests, pace, uploads }
    }
}

/// The routes, below `/ci/v1`.
pub fn router(api: CiApi) -> Router {
    Router::new()
        .route("/ci/v1/namespaces/{namespace}/checks", get(list))
        .route("/ci/v1/namespaces/{namespace}/checks/{task}", post(answer))
        .route_layer(middleware::from_fn_with_state(api.clone(), count))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

async fn count(State(api): State<CiApi>, request: Request, next: Next) -> Response {
    let call = if request.method() == Method::POST { "answer" } else { "list" };
    let response = next.run(request).await;
    api.requests.with_label_values(&[call, response.status().as_str()]).inc();
    response
}

/// Answer to a list.
#[derive(Debug, serde::Serialize)]
struct List {
    /// Those that wait, the longest first.
    checks: Vec<Waiting>,
    /// Whether there are more than are listed.
    truncated: bool,
}

async fn list(
    State(api): State<CiApi>,
    caller: Caller,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List>, Refused> {
    let Query(filter) = filter.map_err(|error| bad(format!("query: {}", error.body_text())))?;
    let of_namespace = api.tasks.state_filter(|task| {
        task.metadata.namespace.as_deref() == Some(&caller.namespace)
            && task.status.as_ref().is_some_and(|status| status.state == TaskState::Running)
            && caller.key.repositories.has(&task.spec.repository)
    });
    let phase = |name: &str| api.phases.get(&kube::runtime::reflector::ObjectRef::new(name).within(&caller.namespace));
    let waiting = of_namespace.iter().filter_map(|task| {
        let phase = phase(&task.spec.phase.as_ref()?.name)?;
        waiting::of(task, &phase).filter(|waiting| filter.takes(waiting))
    });
    let mut checks: Vec<Waiting> = waiting.collect();
    checks.sort_by(|a, b| (a.since, &a.task).cmp(&(b.since, &b.task)));
    let truncated = checks.len() > waiting::MAX_LISTED;
    checks.truncate(waiting::MAX_LISTED);
    Ok(Json(List { checks, truncated }))
}

async fn answer(
    State(api): State<CiApi>,
    caller: Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<Recorded>, Refused> {
    let result = take(&api, &caller, form).await;
    match &result {
        Ok(Json(recorded)) => tracing::info!(
            key = caller.key.name,
            namespace = caller.namespace,
            task = caller.task,
            commit = recorded.commit,
            outcome = ?recorded.outcome,
            again = recorded.again,
            "an external check is answered"
        ),
        Err(Refused { status, body }) => tracing::warn!(
            key = caller.key.name,
            namespace = caller.namespace,
            task = caller.task,
            status = status.as_u16(),
            "an answer to an external check is refused: {}",
            body.error
        ),
    }
    result
}

async fn take(
    api: &CiApi,
    caller: &Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<Recorded>, Refused> {
    let form = form.map_err(|_| {
        let error = "the answer must be a form (multipart/form-data)";
        refuse(
            axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error,
            "send it with curl -F, as in docs/external-checks.md",
        )
    })?;
    let task = record::read(api, caller).await?;
    let check = record::check_of(&task, caller)?;
    let turn = tokio::time::timeout(TURN, api.uploads.acquire()).await;
    let _turn = turn.ok().and_then(Result::ok).ok_or_else(|| unavailable("too many answers arrive at once"))?;
    let commit = task.spec.commit.as_deref().unwrap_or_default();
    let answer = tokio::time::timeout(ARRIVAL, form::read(form, check, commit)).await.map_err(|_| {
        let error = format!("the answer did not arrive within {} s", ARRIVAL.as_secs());
        refuse(axum::http::StatusCode::REQUEST_TIMEOUT, error, "send it again, with smaller reports")
    })??;
    record::record(api, caller, answer).await.map(Json)
}
