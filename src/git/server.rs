//! The git service: smart HTTP for git clients, typed operations for the operator, health and metrics.
//!
//! Routes, statuses and words only. Who may do what is `auth`, what is done is `store` and `http_backend`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    auth::{Authenticator, Denied, Grant},
    client::CORRELATION_HEADER,
    command::CommandError,
    hook,
    http_backend::{Backend, Endpoint},
    kube_auth::{KubeTasks, KubeTokens},
    kube_people::KubePeople,
    metrics::Metrics,
    names::RepositoryId,
    ops::{self, ErrorBody, ErrorCode, Operation},
    people::People,
    request,
    store::{Execute, Store, StoreError},
    transfers::{Full, Transfers},
    upkeep,
};
use crate::keys::KeyFile;

/// Most bytes of a typed operation's request.
const MAX_OPERATION: usize = 1 << 20;

/// Longest wait for a transfer's turn.
const TRANSFER_WAIT: Duration = Duration::from_mins(1);

/// Settings of `phasegate git`.
#[derive(Debug, Clone, Args)]
pub struct GitArgs {
    /// Address to listen on.
    #[arg(long, env = "PHASEGATE_GIT_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Folder of the repositories; this process must be the only one that uses it.
    #[arg(long, env = "PHASEGATE_GIT_ROOT", default_value = "/var/lib/phasegate/git")]
    pub root: PathBuf,
    /// User that may call the typed operations, as system:serviceaccount:NAMESPACE:NAME; several with commas.
    #[arg(long, env = "PHASEGATE_GIT_OPERATOR_SERVICE_ACCOUNT", value_delimiter = ',', required = true)]
    pub operator_service_account: Vec<String>,
    /// Name of the service account of task pods, the same in every namespace.
    #[arg(long, env = "PHASEGATE_TASK_SERVICE_ACCOUNT", default_value = "phasegate-task")]
    pub task_service_account: String,
    /// Largest push, in MiB.
    #[arg(long, env = "PHASEGATE_GIT_MAX_PUSH_MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub max_push_mib: u64,
    /// Most transfers at once, of which one caller gets a quarter; others wait.
    #[arg(long, env = "PHASEGATE_GIT_MAX_TRANSFERS", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_transfers: u16,
    /// File of API keys, which people and outside systems may show instead of a Kubernetes token.
    #[arg(long, env = "PHASEGATE_API_KEYS_FILE")]
    pub api_keys_file: Option<PathBuf>,
}

/// Why the service could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No client for the API server.
    #[error("failed to set up the Kubernetes client: {0}")]
    Kubernetes(#[source] Box<kube::Error>),
    /// The volume cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hook cannot be written.
    #[error("failed to write the pre-receive hook below {path}: {source}; the git volume must be writable")]
    Hook {
        /// The volume.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Two metrics of one name.
    #[error("failed to register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The address cannot be used, or the listener broke.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs the service until SIGTERM or SIGINT, then finishes the requests it has begun.
pub async fn serve(args: GitArgs) -> Result<(), ServeError> {
    let client = kube::Client::try_default().await.map_err(|error| ServeError::Kubernetes(Box::new(error)))?;
    let tasks = KubeTasks::new(client.clone());
    let auth = Authenticator::new(
        KubeTokens::new(client.clone()),
        KubeTasks::new(client.clone()),
        args.operator_service_account.clone(),
        &args.task_service_account,
    )
    .with_people(People::new(KubePeople::new(client), KeyFile::new(args.api_keys_file.clone())));
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|source| ServeError::Listen { address: args.listen, source })?;
    tracing::info!(address = %args.listen, root = %args.root.display(), "git service starts");
    let metrics = Metrics::new()?;
    let app = routes(&args, auth, metrics.clone()).await?;
    // After the volume was opened: what a killed process left there is gone by then.
    let stop = CancellationToken::new();
    let upkeep = tokio::spawn(upkeep::run(args.root.clone(), tasks, metrics, stop.clone()));
    // Git waits for the end of each answer before it asks again: none may lie in a buffer until the other end confirms the first half.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "failed to turn off the delay of small packets");
        }
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(shutdown()).await;
    stop.cancel();
    drop(upkeep.await);
    served.map_err(|source| ServeError::Listen { address: args.listen, source })?;
    tracing::info!("git service ended");
    Ok(())
}

async fn shutdown() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => drop(term.recv().await),
            Err(error) => {
                tracing::warn!(%error, "failed to watch for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = term => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("finishing requests");
}

/// What every request needs.
struct Service {
    store: Store,
    auth: Authenticator,
    backend: Backend,
    transfers: Transfers,
    metrics: Metrics,
}

type Shared = Arc<Service>;

/// The routes over an opened volume. Separate from [`serve`] so that callers can bring their own authenticator.
pub async fn app(args: &GitArgs, auth: Authenticator) -> Result<Router, ServeError> {
    routes(args, auth, Metrics::new()?).await
}

async fn routes(args: &GitArgs, auth: Authenticator, counts: Metrics) -> Result<Router, ServeError> {
    let store = Store::open(&args.root).await?;
    let hooks = hook::install(&args.root).map_err(|source| ServeError::Hook { path: args.root.clone(), source })?;
    let backend = Backend { root: args.root.clone(), hooks, max_push: args.max_push_mib << 20 };
    let transfers = Transfers::new(args.max_transfers.into());
    let service = Arc::new(Service { store, auth, backend, transfers, metrics: counts });
    Ok(Router::new()
        .route("/ops/v1/{namespace}/{repository}/{operation}", post(operation))
        .layer(DefaultBodyLimit::max(MAX_OPERATION))
        .fallback(transfer)
        .layer(middleware::from_fn(trace))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(service))
}

/// One span per request, with the caller's correlation id.
async fn trace(request: Request, next: Next) -> Response {
    let header = request.headers().get(CORRELATION_HEADER).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let correlation: String =
        header.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(64).collect();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", correlation_id = correlation, %method, path);
    let start = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status = response.status().as_u16(), millis, "request"));
    response
}

async fn ready(State(service): State<Shared>) -> Response {
    match tokio::fs::metadata(service.store.root()).await {
        Ok(_) => "ok".into_response(),
        Err(error) => {
            let words = format!("failed to see the git volume {}: {error}", service.store.root().display());
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
    }
}

async fn metrics(State(service): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], service.metrics.text()).into_response()
}

/// A typed operation.
async fn operation(
    State(service): State<Shared>,
    Path((namespace, repository, name)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(denied) = service.auth.operator(&headers).await {
        return refuse(&denied);
    }
    let id = match RepositoryId::new(&namespace, &repository) {
        Ok(id) => id,
        Err(error) => return failure(StatusCode::BAD_REQUEST, ErrorCode::Invalid, error.to_string()),
    };
    // A task of its own: a caller that leaves must not stop a write halfway.
    let span = tracing::Span::current();
    let work = tokio::spawn(async move { dispatch(&service, &id, &name, &body).await }.instrument(span));
    work.await.unwrap_or_else(|error| {
        failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Internal,
            format!("failed to finish the operation: {error}"),
        )
    })
}

/// Finds the operation by its name.
macro_rules! by_name {
    ($service:expr, $id:expr, $name:expr, $body:expr, [$($operation:ident),* $(,)?]) => {
        match $name {
            $(<ops::$operation as Operation>::NAME => run::<ops::$operation>($service, $id, $body).await,)*
            other => failure(StatusCode::NOT_FOUND, ErrorCode::Invalid, format!("there is no operation {other:?}")),
        }
    };
}

async fn dispatch(service: &Service, id: &RepositoryId, name: &str, body: &[u8]) -> Response {
    by_name!(
        service,
        id,
        name,
        body,
        [
            EnsureRepository,
            ClaimRelease,
            Integrate,
            IntegrateBase,
            MergeToBase,
            PreparePush,
            Revert,
            Claims,
            ArchiveRefs,
            Heads,
            Commit,
            ChangedFiles,
            Diff,
            GamingSigns,
            Conflicts,
            Log,
        ]
    )
}

async fn run<O: Execute>(service: &Service, id: &RepositoryId, body: &[u8]) -> Response {
    let operation: O = match serde_json::from_slice(body) {
        Ok(operation) => operation,
        Err(error) => {
            let words = format!("failed to read the request of {}: {error}", O::NAME);
            return failure(StatusCode::BAD_REQUEST, ErrorCode::Invalid, words);
        }
    };
    let start = Instant::now();
    let answer = service.store.execute(id, operation).await;
    let outcome = if answer.is_ok() { "answered" } else { "error" };
    service.metrics.operations.with_label_values(&[O::NAME, outcome]).observe(start.elapsed().as_secs_f64());
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => {
            let (status, code) = kind(&error);
            tracing::warn!(repository = %id, operation = O::NAME, %error, "operation failed");
            failure(status, code, error.to_string())
        }
    }
}

fn kind(error: &StoreError) -> (StatusCode, ErrorCode) {
    match error {
        StoreError::Invalid { .. } => (StatusCode::BAD_REQUEST, ErrorCode::Invalid),
        StoreError::NotFound { .. } => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
        StoreError::Busy { .. } | StoreError::Command(CommandError::Timeout { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy)
        }
        StoreError::Command(_) | StoreError::Io { .. } | StoreError::Unexpected { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal)
        }
    }
}

fn failure(status: StatusCode, code: ErrorCode, message: String) -> Response {
    (status, axum::Json(ErrorBody { code, message })).into_response()
}

/// An operator's refusal, as JSON.
fn refuse(denied: &Denied) -> Response {
    let code = match denied {
        Denied::Unauthenticated(_) => ErrorCode::Unauthenticated,
        Denied::Forbidden(_) => ErrorCode::Forbidden,
        Denied::NotFound(_) => ErrorCode::NotFound,
        Denied::NotYet(_) | Denied::Unavailable(_) => ErrorCode::Busy,
    };
    failure(status_of(denied), code, denied.to_string())
}

fn status_of(denied: &Denied) -> StatusCode {
    match denied {
        Denied::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Denied::Forbidden(_) => StatusCode::FORBIDDEN,
        Denied::NotFound(_) => StatusCode::NOT_FOUND,
        Denied::NotYet(_) | Denied::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A git client's request: `/{namespace}/{repository}.git/…`.
async fn transfer(State(service): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((id, endpoint)) = target(&parts) else {
        return words(StatusCode::NOT_FOUND, "no such page; repositories are at /{namespace}/{repository}.git");
    };
    let response = match service.auth.transfer(&parts.headers, &id, endpoint.writes()).await {
        Ok(grant) => authorised(&service, &id, endpoint, &grant, &parts, body).await,
        Err(denied) => turned_away(&denied),
    };
    let status = response.status();
    service.metrics.transfers.with_label_values(&[endpoint.name(), status.as_str()]).inc();
    response
}

fn target(parts: &axum::http::request::Parts) -> Option<(RepositoryId, Endpoint)> {
    let mut path = parts.uri.path().strip_prefix('/')?.splitn(3, '/');
    let (namespace, repository, rest) = (path.next()?, path.next()?.strip_suffix(".git")?, path.next()?);
    let id = RepositoryId::new(namespace, repository).ok()?;
    Some((id, Endpoint::of(parts.method.as_str(), rest, parts.uri.query())?))
}

async fn authorised(
    service: &Service,
    id: &RepositoryId,
    endpoint: Endpoint,
    grant: &Grant,
    parts: &axum::http::request::Parts,
    body: Body,
) -> Response {
    if !service.store.repo(id).exists() {
        return words(StatusCode::NOT_FOUND, &format!("repository {id} does not exist yet"));
    }
    if endpoint.writes() && grant.push.is_empty() {
        return words(StatusCode::FORBIDDEN, &format!("{} may not push", grant.caller));
    }
    let permit = match service.transfers.wait(&format!("{}/{}", id.namespace(), grant.caller), TRANSFER_WAIT).await {
        Ok(permit) => permit,
        Err(full) => {
            let words = match full {
                Full::OfCaller(most) => {
                    format!("{} has {most} transfers under way, as many as one may have; try again", grant.caller)
                }
                Full::OfAll => "too many transfers are under way; try again".to_owned(),
            };
            return turned_away(&Denied::Unavailable(words));
        }
    };
    let body = match request::accept(endpoint, parts, body, service.backend.max_push).await {
        Ok(body) => body,
        Err(refused) => {
            tracing::info!(repository = %id, caller = grant.caller, words = refused.words, "request refused");
            return words(refused.status, &refused.words);
        }
    };
    match service.backend.serve(endpoint, id, grant, parts, body, permit).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(repository = %id, caller = grant.caller, %error, "transfer failed");
            words(StatusCode::BAD_GATEWAY, &format!("failed to run git: {error}"))
        }
    }
}

/// A git client's refusal, in words that git shows.
fn turned_away(denied: &Denied) -> Response {
    tracing::info!(%denied, "turned away");
    let mut response = words(status_of(denied), &denied.to_string());
    let headers = response.headers_mut();
    match denied {
        Denied::Unauthenticated(_) => {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"phasegate\""));
        }
        Denied::NotYet(_) | Denied::Unavailable(_) => {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        Denied::Forbidden(_) | Denied::NotFound(_) => {}
    }
    response
}

fn words(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

#[cfg(test)]
pub(crate) mod tests;
