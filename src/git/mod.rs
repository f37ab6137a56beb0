//! Branches, merges and tags: `flow` is pure rules, the rest is the git service that executes them (design §8).

pub mod auth;
pub mod backup;
pub mod client;
pub(crate) mod command;
mod files;
pub mod flow;
mod hook;
mod http_backend;
pub mod kube_auth;
pub mod kube_people;
mod metrics;
pub mod names;
pub mod ops;
pub mod people;
mod request;
pub mod server;
pub mod store;
mod transfers;
mod upkeep;

pub use names::{CommitId, InvalidName, RefName, RepositoryId, Rev, TreeId};
