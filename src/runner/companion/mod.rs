//! `companion`: the sidecar (design §6). It is the agent's MCP server, the only one that commits and pushes, and it
//! delivers once the main container has ended, however that ended.
//!
//! `tools` is what agents call, `http` the way to them, `submit` the one way a commit is handed in, `review` what a
//! reviewer files and submits, `save` keeps work in progress, `deliver` is the end of a run, `evidence` and `output` read what the main container left:
//! hostile, all of it.

mod deliver;
mod evidence;
mod http;
mod output;
pub(super) mod review;
mod save;
mod submit;
mod tools;

#[cfg(test)]
mod tests;

use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
    time::Instant,
};

use self::review::Filed;
use super::{
    Places, PodArgs,
    client::{CallError, RunnerClient},
    prepare::ASSIGNMENT,
    protocol::Assignment,
    repository::PodRepository,
    snapshot::{Authorship, Limits},
    step::Record,
};

/// Address of MCP and of the kubelet's probe. MCP answers to this pod alone.
const LISTEN: &str = "0.0.0.0:4000";
/// How long a delivery may be tried: the pod's 60 seconds, less what `step` may need and less the logs.
const DELIVER: Duration = Duration::from_secs(38);

/// Why the companion ended badly.
#[derive(Debug, thiserror::Error)]
pub enum CompanionError {
    /// `prepare` did not leave the assignment.
    #[error(
        "failed to read the assignment from {path}: {source}; prepare must have ended well before the companion starts"
    )]
    Assignment {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was filed before cannot be read.
    #[error("failed to read the findings that were filed from {path}: {source}; end the pod, and the run starts again")]
    Filed {
        /// Where they are.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is taken.
    #[error("failed to listen on {LISTEN}: {0}; no other container of the pod may use port 4000")]
    Listen(io::Error),
    /// No signals.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
    /// The operator.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// One pod's companion.
#[derive(Debug)]
pub(super) struct Companion {
    assignment: Assignment,
    client: RunnerClient,
    repository: PodRepository,
    places: Places,
    limits: Limits,
    /// Between two saves of the work in progress.
    period: Duration,
    /// The commit that was submitted. Held while one is being submitted, so that there is one at a time.
    submitted: Mutex<Option<String>>,
    /// What a reviewer has filed. Held while something is filed or submitted.
    review: Mutex<Filed>,
}

impl Companion {
    /// Knows its task from what `prepare` left on the git volume.
    pub(super) fn new(args: &PodArgs, places: &Places) -> Result<Self, CompanionError> {
        let path = places.git.join(ASSIGNMENT);
        let read = std::fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        let assignment: Assignment = read.map_err(|source| CompanionError::Assignment { path, source })?;
        let filed = Filed::read(&places.git);
        let filed = filed.map_err(|source| CompanionError::Filed { path: places.git.join(review::REVIEW), source })?;
        Ok(Self {
            client: RunnerClient::new(args, &places.token)?,
            repository: PodRepository::new(args, &places.git, &assignment.clone_path, &places.token),
            places: places.clone(),
            limits: Limits::default(),
            period: Duration::from_secs(args.save_seconds.into()),
            submitted: Mutex::new(None),
            review: Mutex::new(filed),
            assignment,
        })
    }

    fn authorship(&self) -> Authorship {
        Authorship::of(&self.assignment)
    }

    /// Serves MCP on this listener until `ended`, and a review that is being submitted then. Nothing is delivered.
    pub(super) async fn serve_tools(self: Arc<Self>, listener: TcpListener, ended: impl Future<Output = ()>) -> Ended {
        let server = tokio::spawn(http::serve(Arc::clone(&self), listener));
        ended.await;
        drop(self.review.lock().await);
        server.abort();
        // The port is free for the next one only once this is gone.
        drop(server.await);
        Ended { record: output::record(&self.places.out), tail: output::tail(&self.places.out) }
    }

    /// A reference of this run in the task's own corner: `wip` or `logs`.
    fn corner(&self, kind: &str) -> String {
        format!("refs/phasegate/{kind}/{}/{}", self.assignment.uid, self.assignment.run)
    }
}

/// How the main container ended, by what it left.
#[derive(Debug)]
pub(super) struct Ended {
    /// What `step` recorded.
    pub(super) record: Option<Record>,
    /// Last lines of the output.
    pub(super) tail: String,
}

/// Serves until SIGTERM, which comes when the main container has ended; then delivers.
pub async fn run(args: &PodArgs, places: &Places) -> Result<(), CompanionError> {
    let mut term = signal(SignalKind::terminate()).map_err(CompanionError::Signals)?;
    let companion = Arc::new(Companion::new(args, places)?);
    let listener = TcpListener::bind(LISTEN).await.map_err(CompanionError::Listen)?;
    let ended = async move {
        term.recv().await;
    };
    serve(companion, listener, ended).await
}

/// Serves on this listener until `ended`, then delivers.
pub(super) async fn serve(
    companion: Arc<Companion>,
    listener: TcpListener,
    ended: impl Future<Output = ()>,
) -> Result<(), CompanionError> {
    let server = tokio::spawn(http::serve(Arc::clone(&companion), listener));
    tracing::info!(role = ?companion.assignment.role, "companion serves");
    tokio::pin!(ended);
    // A save that is under way when the main container ends is given up: what is delivered has more.
    tokio::select! {
        () = &mut ended => {}
        () = save::save_again_and_again(&companion) => ended.await,
    }
    tracing::info!("the main container has ended");
    let delivered = deliver::deliver(&companion, Instant::now() + DELIVER).await;
    server.abort();
    // Also of a run that could not be delivered: its logs say most.
    deliver::logs(&companion).await;
    Ok(delivered?)
}
