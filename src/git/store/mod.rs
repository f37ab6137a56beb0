//! Bare repositories on a volume and everything that is done to them, through the git program.
//!
//! Reads and writes of the typed operations are here; who may ask for them is not (`auth`), nor how they arrive
//! (`server`). A write holds the repository's lock, reads first, builds objects nobody sees yet, and ends with one
//! reference transaction that names the old values. References of git's file store do not survive a crash as one
//! transaction, so that every operation also completes what an earlier one began.

mod archive;
mod commit;
mod conflicts;
mod ensure;
mod gaming;
mod ground;
mod inspect;
mod integrate;
mod merge;
mod notes;
mod refs;
mod release;
mod rollback;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{
    command::CommandError,
    names::{InvalidName, RepositoryId},
    ops::Operation,
};

/// Why an operation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Git failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Something that was named does not exist.
    #[error("failed to find {what} in {repository}; {remedy}")]
    NotFound {
        /// What.
        what: String,
        /// Where.
        repository: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The request breaks a rule.
    #[error("invalid {field}: {rule}")]
    Invalid {
        /// Field of the request.
        field: &'static str,
        /// The rule it breaks.
        rule: String,
    },
    /// References moved while the operation ran; doing it again looks at the new ones.
    #[error("failed to move references, which were locked or moved at the same time: {message}; try again")]
    Busy {
        /// Git's words.
        message: String,
    },
    /// The volume failed.
    #[error("failed to {action} {path}: {source}; check the git volume")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Git said something unexpected.
    #[error("failed to understand git {command}: {got:?}")]
    Unexpected {
        /// The git command.
        command: &'static str,
        /// What it said, cut.
        got: String,
    },
}

impl From<InvalidName> for StoreError {
    fn from(error: InvalidName) -> Self {
        Self::Invalid { field: "name", rule: error.to_string() }
    }
}

impl StoreError {
    fn invalid(field: &'static str, rule: impl Into<String>) -> Self {
        Self::Invalid { field, rule: rule.into() }
    }

    fn unexpected(command: &'static str, got: &str) -> Self {
        Self::Unexpected { command, got: got.chars().take(200).collect() }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// An operation that the store can carry out.
pub trait Execute: Operation {
    /// Whether it needs the repository for itself.
    const WRITES: bool;
    /// Whether the repository must exist before.
    const NEEDS_REPOSITORY: bool = true;

    /// Carries it out.
    fn execute(self, repo: &Repo) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// All repositories of one volume. One process owns the volume.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    writers: Mutex<HashMap<RepositoryId, Arc<AsyncMutex<()>>>>,
}

/// One repository of the store; it may not exist yet.
#[derive(Debug, Clone)]
pub struct Repo {
    id: RepositoryId,
    dir: PathBuf,
}

impl Repo {
    /// Where it is on the volume.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has been created.
    pub fn exists(&self) -> bool {
        self.dir.join("HEAD").is_file()
    }

    fn not_found(&self, what: impl Into<String>, remedy: &'static str) -> StoreError {
        StoreError::NotFound { what: what.into(), repository: self.id.to_string(), remedy }
    }
}

impl Store {
    /// Opens the volume at `root` and clears what a killed process left: half-made repositories and git's lock files.
    /// Must run before anything else touches the volume.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        tokio::fs::create_dir_all(root).await.map_err(StoreError::io("create", root))?;
        let root = root.to_owned();
        let swept = root.clone();
        let cleared = tokio::task::spawn_blocking(move || ensure::sweep(&swept))
            .await
            .unwrap_or_else(|error| Err(StoreError::io("sweep", &root)(std::io::Error::other(error))))?;
        if cleared > 0 {
            tracing::info!(cleared, "removed what a killed git process left behind");
        }
        Ok(Self { root, writers: Mutex::default() })
    }

    /// The volume.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place of a repository.
    pub fn repo(&self, id: &RepositoryId) -> Repo {
        let dir = self.root.join(id.namespace()).join(format!("{}.git", id.name()));
        Repo { id: id.clone(), dir }
    }

    /// Carries out one operation; writers of one repository take turns.
    pub async fn execute<O: Execute>(&self, id: &RepositoryId, operation: O) -> Result<O::Answer, StoreError> {
        let repo = self.repo(id);
        let _turn = if O::WRITES { Some(self.turn(id).await) } else { None };
        if O::NEEDS_REPOSITORY && !repo.exists() {
            return Err(repo.not_found("the repository", "its Repository object must be reconciled first"));
        }
        operation.execute(&repo).await
    }

    async fn turn(&self, id: &RepositoryId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(writers.entry(id.clone()).or_default())
        };
        lock.lock_owned().await
    }
}
