//! Reconcilers: watch, wake, observe (all reads), decide (pure), execute (idempotent writes),
//! status last (design §10).

pub mod config;
pub mod context;
pub mod pod;
pub mod status;

pub use context::Context;

/// Why a reconciliation could not be done. A refusal of the gate is not an error, it is a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server could not be reached or refused.
    #[error("failed to talk to the API server: {0}")]
    Kubernetes(#[from] kube::Error),
}
