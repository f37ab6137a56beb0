//! Branches, merges and tags: `flow` is pure rules, the rest is the git service that executes them (design §8).

pub mod client;
mod command;
pub mod flow;
pub mod names;
pub mod ops;
pub mod store;

pub use names::{CommitId, InvalidName, RefName, RepositoryId, Rev, TreeId};
