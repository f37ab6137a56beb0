//! The operator as a process: watches, probes, the runner API and the API for outside systems on every replica, the
//! reconcilers on the one that leads.

use std::{collections::HashMap, fmt::Debug, future::Future, hash::Hash, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use futures::{StreamExt, channel::mpsc, future::join_all};
use kube::{
    Client, Resource, ResourceExt,
    runtime::{
        Controller,
        controller::{self, Action},
        events::{Recorder, Reporter},
        reflector::{ObjectRef, Store},
    },
};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch, time::Instant};
use tracing::{error, info, warn};

use super::{
    Error, agent_task,
    config::OperatorConfig,
    context::{Context, FIELD_MANAGER, OwnWrites, Stores},
    decisions::Trust,
    lease::{Candidate, acquire},
    metrics::Metrics,
    phase, repository, review_result,
    watch::{Queues, Receivers, start},
};
use crate::{
    ci::{self, CiApi},
    git::{client::GitClient, kube_auth::KubeTokens},
    keys::KeyFile,
    runner::server::{self, RunnerApi},
};

/// Longest time of one reconciliation: a hung request must not hold an object for ever.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time without a byte from the API server; longer than the pause between two bookmarks.
const READ_TIMEOUT: Duration = Duration::from_secs(290);
/// Longest time of a call of the git service.
const GIT_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time for requests under way when it ends.
const LAST_REQUESTS: Duration = Duration::from_secs(10);
/// Longest wait between two tries of an object whose reconciliation ends in errors.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Why the operator could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No configuration of a cluster was found.
    #[error("failed to find a cluster: {0}; run in a pod or set KUBECONFIG")]
    Config(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("failed to set up the client of the API server: {0}")]
    Client(#[from] kube::Error),
    /// The client of the git service cannot be made.
    #[error("failed to set up the client of the git service: {0}")]
    Git(#[from] crate::git::client::ClientError),
    /// An address cannot be listened on.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("failed to receive signals: {0}")]
    Signal(std::io::Error),
    /// Two metrics have the same name.
    #[error("failed to register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Another replica may write now.
    #[error("the Lease is lost; another replica leads now")]
    LeaseLost,
}

/// Runs the operator until it is told to end, or loses the Lease.
///
/// # Errors
/// If it cannot start, or has lost the Lease: the process must end then, and start anew.
pub async fn run(config: OperatorConfig) -> Result<(), OperatorError> {
    let client = client().await?;
    let git = GitClient::new(&config.git_url, &config.git_token_file, GIT_TIMEOUT)?;
    let queues = Arc::new(Queues::default());
    let metrics = Metrics::new()?;
    let (stores, watches) = start(&client, queues.clone(), &metrics);
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(config.pod_name.clone()) };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        own_writes: OwnWrites::default(),
        trust: Trust::default(),
        metrics,
        client,
        stores,
        git,
        config,
    });
    let (stop, stopped) = watch::channel(false);
    let watching = tokio::spawn(async move { drop(join_all(watches).await) });
    let probes = serve(context.config.metrics_listen, probes(context.clone()), stopped.clone()).await?;
    let routes = server::router(runner_api(&context)).merge(ci::router(ci_api(&context).await));
    let runner = serve(context.config.listen, routes, stopped.clone()).await?;
    tokio::spawn(on_signal(stop.clone())?);
    let result = lead(context, queues, stopped).await;
    // One that has lost the Lease was not told to end, and must not go on listening either: nobody would start it anew.
    stop.send_replace(true);
    watching.abort();
    if tokio::time::timeout(LAST_REQUESTS, async { tokio::join!(probes, runner) }).await.is_err() {
        warn!("requests under way are cut off");
    }
    result
}

async fn client() -> Result<Client, OperatorError> {
    let mut config = kube::Config::infer().await?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(Duration::from_secs(30));
    Ok(Client::try_from(config)?)
}

fn runner_api(context: &Context) -> RunnerApi {
    let tokens = Arc::new(KubeTokens::new(context.client.clone()));
    let account = context.config.task_service_account.clone();
    let phases = context.stores.phases.clone();
    RunnerApi::new(context.client.clone(), phases, tokens, account).with_git(context.git.clone())
}

async fn ci_api(context: &Context) -> CiApi {
    let Stores { tasks, phases, .. } = context.stores.clone();
    let keys = KeyFile::new(context.config.api_keys_file.clone());
    // What is wrong with the file is in the log from the start, and not only when somebody calls.
    drop(keys.keys().await);
    CiApi::new(context.client.clone(), (tasks, phases), keys, context.recorder.clone(), context.metrics.ci_requests())
}

fn on_signal(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>, OperatorError> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate()).map_err(OperatorError::Signal)?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).map_err(OperatorError::Signal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to end");
        stop.send_replace(true);
    })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone: the process ends too.
    let _ = stopped.wait_for(|stopped| *stopped).await.is_ok();
}

/// Serves until told to end; requests under way are finished.
async fn serve(
    address: std::net::SocketAddr,
    router: Router,
    stopped: watch::Receiver<bool>,
) -> Result<tokio::task::JoinHandle<()>, OperatorError> {
    let listener = TcpListener::bind(address).await.map_err(|source| OperatorError::Listen { address, source })?;
    info!(%address, "listening");
    Ok(tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(until(stopped)).await {
            error!(%error, "a listener ended");
        }
    }))
}

fn probes(context: Arc<Context>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// Ready once every cache holds its first list.
async fn ready(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match tokio::time::timeout(Duration::from_millis(500), context.stores.filled()).await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the caches are not filled yet: the API server cannot be read"),
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match context.metrics.render(&context.stores) {
        Ok(text) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4")], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "text/plain")], error.to_string().into_bytes())
        }
    }
}

/// Waits for the Lease, then reconciles until told to end.
async fn lead(context: Arc<Context>, queues: Arc<Queues>, stopped: watch::Receiver<bool>) -> Result<(), OperatorError> {
    let candidate = Candidate {
        namespace: context.config.namespace.clone(),
        lease: context.config.lease_name.clone(),
        identity: context.config.pod_name.clone(),
        duration: Duration::from_secs(context.config.lease_seconds.into()),
    };
    let leadership = tokio::select! {
        leadership = async {
            context.stores.filled().await;
            acquire(context.client.clone(), candidate).await
        } => leadership,
        () = until(stopped.clone()) => return Ok(()),
    };
    context.metrics.lead(true);
    let receivers = queues.open(&context.stores);
    if leadership.lead(reconcile_all(context, receivers, stopped)).await {
        Ok(())
    } else {
        Err(OperatorError::LeaseLost)
    }
}

async fn reconcile_all(context: Arc<Context>, receivers: Receivers, stopped: watch::Receiver<bool>) {
    let Receivers { repositories, phases, tasks, reviews } = receivers;
    let stores = context.stores.clone();
    tokio::join!(
        control(stores.repositories, repositories, repository::reconcile, context.clone(), stopped.clone()),
        control(stores.phases, phases, phase::reconcile, context.clone(), stopped.clone()),
        control(stores.tasks, tasks, agent_task::reconcile, context.clone(), stopped.clone()),
        control(stores.reviews, reviews, review_result::reconcile, context.clone(), stopped.clone()),
    );
}

/// Failures in a row per object, for growing pauses.
type Failures = std::sync::Mutex<HashMap<String, u32>>;

/// Runs one kind's reconciler over its queue. What runs when told to end is finished.
async fn control<K, Work>(
    store: Store<K>,
    queue: mpsc::UnboundedReceiver<ObjectRef<K>>,
    reconcile: fn(Arc<K>, Arc<Context>) -> Work,
    context: Arc<Context>,
    stopped: watch::Receiver<bool>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
    Work: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let kind = K::kind(&()).into_owned();
    let failures = Arc::new(Failures::default());
    let (counted, named) = (failures.clone(), kind.clone());
    let bounded = move |object: Arc<K>, context: Arc<Context>| {
        let (failures, kind) = (failures.clone(), kind.clone());
        async move {
            let started = Instant::now();
            let key = object.uid().unwrap_or_default();
            let result = tokio::time::timeout(RECONCILE_TIMEOUT, reconcile(object, context.clone())).await;
            context.metrics.reconciled(&kind, started.elapsed().as_secs_f64());
            let result = result.unwrap_or(Err(Error::TooLong));
            if result.is_ok() {
                lock(&failures).remove(&key);
            }
            result
        }
    };
    let on_error = move |object: Arc<K>, error: &Error, context: Arc<Context>| {
        context.metrics.failed(&named);
        let mut failures = lock(&counted);
        let count = failures.entry(object.uid().unwrap_or_default()).or_default();
        *count = count.saturating_add(1);
        let wait = Duration::from_millis(250).saturating_mul(1 << (*count).min(10)).min(MAX_RETRY);
        warn!(%error, kind = named, namespace = object.namespace(), name = object.name_any(), tries = *count, ?wait, "failed to reconcile");
        Action::requeue(wait)
    };
    let limit = controller::Config::default().concurrency(context.config.concurrency);
    Controller::for_shared_stream(futures::stream::pending(), store)
        .with_config(limit)
        .reconcile_on(queue)
        .graceful_shutdown_on(until(stopped))
        .run(bounded, on_error, context)
        .for_each(|result| async move {
            // Reconciler errors were logged with their object; the rest is a wake for one that is gone.
            if let Err(error) = result {
                tracing::debug!(%error, "nothing to reconcile");
            }
        })
        .await;
}

fn lock(failures: &Failures) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
    failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
