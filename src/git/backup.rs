//! Backup and restore of the git volume, as one stream: `phasegate backup` and `phasegate restore`.
//!
//! The stream is a tar archive of git bundles, so that each repository can be opened with git alone: first
//! `phasegate-backup.json`, then `NAMESPACE/NAME.bundle` for each repository, last `SHA256SUMS` as `sha256sum -c` reads it. What
//! lacks the last one was cut.
//!
//! A backup may be taken while the service runs. The references of a repository are read until they stand still, and what
//! they lead to is packed; a push meanwhile only adds objects, and `gc` removes none that was reachable in the last two weeks.
//! Each repository is thus as it was at one moment, different repositories at different ones: they know nothing of each other.

mod restore;
mod take;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{command::CommandError, names::RepositoryId};
pub use restore::restore;
pub use take::take;

/// Name of the first entry.
const ABOUT: &str = "phasegate-backup.json";
/// Name of the last entry.
const SUMS: &str = "SHA256SUMS";
/// The form of the stream; another one is refused.
const FORMAT: u32 = 1;
/// Folder of what is on its way, below the root. It is no namespace's name: the service does not look into it.
pub(super) const SCRATCH: &str = ".restore";

/// Settings of `phasegate backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Folder of the repositories.
    #[arg(long, env = "PHASEGATE_GIT_ROOT", default_value = "/var/lib/phasegate/git")]
    pub root: PathBuf,
    /// Repositories to take, as NAMESPACE/NAME; all unless named.
    #[arg(value_name = "NAMESPACE/NAME")]
    pub repositories: Vec<String>,
}

/// Settings of `phasegate restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// Folder of the repositories.
    #[arg(long, env = "PHASEGATE_GIT_ROOT", default_value = "/var/lib/phasegate/git")]
    pub root: PathBuf,
    /// Put a repository in the place of one that is there.
    #[arg(long)]
    pub replace: bool,
    /// Repositories to restore, as NAMESPACE/NAME; all of the backup unless named.
    #[arg(value_name = "NAMESPACE/NAME")]
    pub repositories: Vec<String>,
}

/// What a stream says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    format: u32,
    version: String,
    repositories: Vec<String>,
}

/// Why a backup could not be taken or restored. Nothing was put in place then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No such repository, or no name of one.
    #[error("{name}: {why}")]
    Repository {
        /// What was named.
        name: String,
        /// Why it does not do.
        why: String,
    },
    /// The archive is not whole, or none of ours.
    #[error("the backup cannot be used: {0}")]
    Archive(String),
    /// A file cannot be read or written.
    #[error("failed to {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The stream broke.
    #[error("failed to {what} the stream: {source}")]
    Stream {
        /// Read or write.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] CommandError),
}

fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.into();
    move |source| BackupError::Io { what, path, source }
}

/// `NAMESPACE/NAME` as a person writes it.
fn named(text: &str) -> Result<RepositoryId, BackupError> {
    let bad = |why: String| BackupError::Repository { name: text.to_owned(), why };
    let (namespace, name) =
        text.split_once('/').ok_or_else(|| bad("a repository is named NAMESPACE/NAME".to_owned()))?;
    RepositoryId::new(namespace, name).map_err(|error| bad(error.to_string()))
}

/// Name of a repository's entry.
fn entry(id: &RepositoryId) -> String {
    format!("{}/{}.bundle", id.namespace(), id.name())
}

/// Progress, for who waits at a terminal.
#[expect(clippy::print_stderr, reason = "the progress of a command line program; its output is the archive")]
fn say(words: &str) {
    eprintln!("{words}");
}
