//! The work tree as one commit (design §6, "Who commits"), made while hostile processes may still
//! write to it.
//!
//! The tree is read by our own walk, which follows no link, and handed to `git fast-import`: so no
//! hook, filter, attribute, index or configuration of the work tree has a say, a repository in a
//! subfolder cannot become a gitlink, and nothing outside the tree gets in. What counts as ignored
//! is asked of git, which sees copies of the `.gitignore` files and never the tree itself. Where the
//! commit goes is the caller's affair.

mod ignore;
mod import;
mod start;
mod walk;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{protocol::Assignment, repository::PodRepository};
use crate::git::command::CommandError;

/// The reference of the newest snapshot, in the pod's own repository.
const SNAPSHOT: &str = "refs/phasegate/snapshot";

/// The reference of the newest save, apart from the other: a save may be under way when something is submitted.
const SAVED: &str = "refs/phasegate/saved";

/// What a work tree may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files and links that are not ignored.
    pub files: usize,
    /// Folders within folders.
    pub depth: usize,
    /// Bytes of one new or grown file.
    pub file_bytes: u64,
    /// Bytes of all new or grown files together.
    pub new_bytes: u64,
    /// Bytes of all `.gitignore` files from the root to any one folder.
    pub ignore_bytes: u64,
    /// Longest time of the walk over it.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 200_000,
            depth: 100,
            file_bytes: 100 << 20,
            new_bytes: 512 << 20,
            ignore_bytes: 1 << 20,
            time: Duration::from_secs(60),
        }
    }
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The work tree cannot be read.
    #[error(
        "failed to read {path} in the work tree: {source}; make it readable for user 65532, or ignore it in .gitignore"
    )]
    Read {
        /// Path in the work tree.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file was written to while it was read.
    #[error("{path} changed while it was read; stop what writes to it, and submit again")]
    Moving {
        /// Path in the work tree.
        path: String,
    },
    /// Too many files.
    #[error("the work tree holds more than {0} files; ignore what is generated in .gitignore")]
    TooMany(usize),
    /// Too deep.
    #[error("folder {path} is more than {most} levels deep; remove it, or ignore it in .gitignore")]
    TooDeep {
        /// Path in the work tree.
        path: String,
        /// The limit.
        most: usize,
    },
    /// A file is too large.
    #[error("{path} has {bytes} bytes, more than {most}; remove it, or ignore it in .gitignore")]
    TooLarge {
        /// Path in the work tree.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// The changes are too large together.
    #[error("the new and grown files have more than {0} bytes together; ignore what is generated in .gitignore")]
    TooMuch(u64),
    /// There are too many rules about what is ignored.
    #[error("{path} and the .gitignore files above it have more than {most} bytes together; shorten them")]
    TooManyRules {
        /// Path of the last of them in the work tree.
        path: String,
        /// The limit.
        most: u64,
    },
    /// It takes too long.
    #[error(
        "the work tree could not be read within {0} s; ignore what is generated in .gitignore, with few and short patterns"
    )]
    TooSlow(u64),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] CommandError),
    /// Git ended early.
    #[error("failed to hand the work tree to git {command}: {message}")]
    Ended {
        /// The git command.
        command: &'static str,
        /// Its words.
        message: String,
    },
}

impl SnapshotError {
    /// Whether the work tree is at fault, and with it whoever works on it, rather than what we take it with.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Read { source, .. } => {
                let fault = rustix::io::Errno::from_io_error(source);
                !matches!(fault, Some(rustix::io::Errno::IO | rustix::io::Errno::NOMEM | rustix::io::Errno::NFILE))
            }
            Self::Moving { .. }
            | Self::TooMany(_)
            | Self::TooDeep { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch(_)
            | Self::TooManyRules { .. }
            | Self::TooSlow(_) => true,
            Self::Git(_) | Self::Ended { .. } => false,
        }
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit, in the pod's own repository.
    pub commit: String,
    /// Whether its tree differs from the start commit's.
    pub changed: bool,
}

/// Who commits what, from the record: the same tree gives the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorship {
    /// Seconds since 1970-01-01 UTC.
    seconds: i64,
    message: String,
}

impl Authorship {
    pub(super) fn of(assignment: &Assignment) -> Self {
        let title = match &assignment.phase {
            Some(phase) => format!("{}: {}, attempt {}", phase.name, assignment.task, phase.attempt),
            None => assignment.task.clone(),
        };
        let message = format!("{title}\n\nPhasegate-Task: {}/{}\n", assignment.uid, assignment.run);
        Self { seconds: assignment.created_at.as_second().max(0), message }
    }
}

/// Makes a commit of the work tree on the start commit. No branch moves.
pub(super) async fn snapshot(
    repository: &PodRepository,
    workspace: &Path,
    authorship: &Authorship,
    limits: Limits,
) -> Result<Snapshot, SnapshotError> {
    take(repository, SNAPSHOT, workspace, authorship, limits).await
}

/// The same beside a snapshot that may be under way: both read, neither moves what the other made.
pub(super) async fn saved(
    repository: &PodRepository,
    workspace: &Path,
    authorship: &Authorship,
    limits: Limits,
) -> Result<Snapshot, SnapshotError> {
    take(repository, SAVED, workspace, authorship, limits).await
}

async fn take(
    repository: &PodRepository,
    reference: &str,
    workspace: &Path,
    authorship: &Authorship,
    limits: Limits,
) -> Result<Snapshot, SnapshotError> {
    let start = start::Start::read(repository).await?;
    let import = import::Import::start(repository, reference, authorship, Some(&start.commit))?;
    // A walk is no future: dropped, it would go on reading beside what follows.
    let given_up = GivenUp::default();
    let ignore = ignore::Ignore::start(repository, limits, Arc::clone(&given_up.0))?;
    let start_tree = start.tree.clone();
    let workspace: PathBuf = workspace.to_owned();
    let walked = tokio::task::spawn_blocking(move || walk::walk(&workspace, &start, ignore, import, limits));
    let ended =
        |error: tokio::task::JoinError| SnapshotError::Ended { command: "fast-import", message: error.to_string() };
    walked.await.map_err(ended)??;
    let answer = repository.git(&["rev-parse", reference, &format!("{reference}^{{tree}}")]).run().await?;
    let text = answer.text();
    let (commit, tree) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Snapshot { commit: commit.to_owned(), changed: tree != start_tree })
}

/// Set when it is dropped.
#[derive(Debug, Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes a commit without parents of a few files, such as logs. No limits: the caller has them.
pub(super) async fn files(
    repository: &PodRepository,
    reference: &str,
    authorship: &Authorship,
    files: Vec<(String, Vec<u8>)>,
) -> Result<(), SnapshotError> {
    let mut import = import::Import::start(repository, reference, authorship, None)?;
    let written = tokio::task::spawn_blocking(move || {
        for (path, bytes) in files {
            import.bytes(path.as_bytes(), "100644", &bytes)?;
        }
        import.finish()
    });
    let ended =
        |error: tokio::task::JoinError| SnapshotError::Ended { command: "fast-import", message: error.to_string() };
    written.await.map_err(ended)?
}
