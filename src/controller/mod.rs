//! Reconcilers: watch, wake, observe (all reads), decide (pure), execute (idempotent writes),
//! status last (design §10).

pub mod agent_task;
pub mod config;
pub mod context;
pub mod decisions;
pub mod lease;
pub mod metrics;
pub mod operator;
pub mod phase;
pub mod pod;
pub mod repository;
pub mod review_result;
pub mod status;
pub mod wake;
pub mod watch;

pub use context::Context;

/// Why a reconciliation could not be done. A refusal of the gate is not an error, it is a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server could not be reached or refused.
    #[error("failed to talk to the API server: {0}")]
    Kubernetes(#[from] kube::Error),
    /// The git service could not be reached or refused.
    #[error(transparent)]
    Git(#[from] crate::git::client::ClientError),
    /// A name that the specs lead to is no name for git.
    #[error(transparent)]
    Name(#[from] crate::git::InvalidName),
    /// An object of an owner that is gone still has the name.
    #[error("{kind} {name} belongs to an object that was deleted; waiting until it is gone")]
    NameTaken {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object that is needed does not fit its kind: it was written around the schema, or by another version.
    #[error("{kind} {name} exists but does not fit its kind: {why}; mend or delete it")]
    Unreadable {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// What is to be stopped cannot be called back: its end is waited for.
    #[error("AgentTask {task} has begun to push to the upstream; waiting for its end")]
    PushUnderWay {
        /// Its name.
        task: String,
    },
    /// The reconciliation was given up.
    #[error("the reconciliation took too long")]
    TooLong,
}
