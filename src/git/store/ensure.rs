//! Brings a repository into being, and clears a volume after a crash.

use std::{fs, path::Path, time::Duration};

use super::{Execute, Repo, StoreError, commit, refs};
use crate::git::{
    command::Git,
    files, flow,
    names::{RefName, RepositoryId},
    ops::{EnsureRepository, EnsureRepositoryAnswer, Signature},
};

/// Name of a repository that is being made.
const UNFINISHED: &str = ".unfinished-";
/// Age at which a lock file is nobody's: git holds them for seconds.
const STALE: Duration = Duration::from_mins(5);

impl Execute for EnsureRepository {
    const WRITES: bool = true;
    const NEEDS_REPOSITORY: bool = false;

    async fn execute(self, repo: &Repo) -> Result<EnsureRepositoryAnswer, StoreError> {
        refs::require_base(&self.base)?;
        if repo.exists() {
            clear_stale_locks(repo).await?;
        } else {
            create(repo).await?;
        }
        point_head(repo, &self.base).await?;
        if let Some(base) = refs::find(repo, &self.base).await? {
            return Ok(EnsureRepositoryAnswer::Ready { base });
        }
        let base = if self.upstream {
            match refs::find(repo, &flow::upstream_of(&self.base)?).await? {
                Some(base) => base,
                None => return Ok(EnsureRepositoryAnswer::AwaitingUpstream),
            }
        } else {
            first_commit(repo).await?
        };
        let mut transaction = refs::Transaction::default();
        transaction.create(&self.base, base.as_str());
        transaction.commit(repo).await?;
        Ok(EnsureRepositoryAnswer::Ready { base })
    }
}

/// The same in every repository: no files, no parent, a fixed date.
async fn first_commit(repo: &Repo) -> Result<crate::git::names::CommitId, StoreError> {
    let tree = commit::empty_tree(repo).await?;
    let author =
        Signature { name: "phasegate".to_owned(), email: "git@phasegate.dev".to_owned(), seconds: 946_684_800 };
    commit::create(repo, &tree, &[], "Start of the base branch\n", &author).await
}

/// Makes it beside its place and renames it, so that a half-made one is never seen.
async fn create(repo: &Repo) -> Result<(), StoreError> {
    let parent = repo.dir.parent().unwrap_or(&repo.dir);
    let unfinished = parent.join(format!("{UNFINISHED}{}", repo.id.name()));
    tokio::fs::create_dir_all(parent).await.map_err(StoreError::io("create", parent))?;
    if unfinished.exists() {
        tokio::fs::remove_dir_all(&unfinished).await.map_err(StoreError::io("remove", &unfinished))?;
    }
    Git::init(&unfinished).await?;
    files::settle(&unfinished).await.map_err(StoreError::io("write to the disk", &unfinished))?;
    tokio::fs::rename(&unfinished, &repo.dir).await.map_err(StoreError::io("rename", &unfinished))?;
    tracing::info!(repository = %repo.id, "created the repository");
    Ok(())
}

/// Clones check out the base branch.
async fn point_head(repo: &Repo, base: &RefName) -> Result<(), StoreError> {
    let now = Git::new(&repo.dir, "symbolic-ref").args(["--quiet", "HEAD"]).answer().await?.text();
    if now != base.as_str() {
        Git::new(&repo.dir, "symbolic-ref").args(["HEAD", base.as_str()]).run().await?;
    }
    Ok(())
}

/// Removes half-made repositories, lock files and unfinished packs below `root`; the number of things removed. Only right
/// while no git process works there.
pub(super) fn sweep(root: &Path) -> Result<usize, StoreError> {
    let mut cleared = 0;
    // Others, such as lost+found, are not ours to open.
    let namespaces = folders(root)?.into_iter().filter(|path| path.file_name().is_some_and(is_namespace));
    for namespace in namespaces {
        for repository in folders(&namespace)? {
            let name = repository.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                fs::remove_dir_all(&repository).map_err(StoreError::io("remove", &repository))?;
                cleared += 1;
            } else {
                cleared += sweep_locks(&repository, Duration::ZERO)?;
            }
        }
    }
    Ok(cleared)
}

fn is_namespace(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| RepositoryId::new(name, "any").is_ok())
}

/// Removes lock files that no living git process can hold: one that was killed alone, by the kernel for memory say, leaves
/// its own while the service goes on.
pub(super) async fn clear_stale_locks(repo: &Repo) -> Result<(), StoreError> {
    let dir = repo.dir.clone();
    let cleared = tokio::task::spawn_blocking(move || sweep_locks(&dir, STALE)).await;
    let cleared = cleared.map_err(|error| StoreError::io("sweep", &repo.dir)(std::io::Error::other(error)))??;
    if cleared > 0 {
        tracing::warn!(repository = %repo.id, cleared, "removed lock files of a git process that was killed");
    }
    Ok(())
}

/// Lock files at the top and below `refs`, and what `gc` and receiving leave in `objects`, of at least this age.
fn sweep_locks(repository: &Path, age: Duration) -> Result<usize, StoreError> {
    let mut cleared = 0;
    let mut pending =
        vec![(repository.to_owned(), false), (repository.join("refs"), true), (repository.join("objects"), false)];
    while let Some((folder, deep)) = pending.pop() {
        for path in entries(&folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let lock = name.strip_suffix(".lock").is_some();
            let left = lock || (age.is_zero() && (name == "gc.pid" || name.starts_with("tmp_objdir-")));
            if left && files::is_older(&path, age) {
                files::remove(&path).map_err(StoreError::io("remove", &path))?;
                cleared += 1;
            } else if deep && path.is_dir() {
                pending.push((path, true));
            }
        }
    }
    Ok(cleared)
}

fn folders(parent: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    Ok(entries(parent)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect())
}

fn entries(parent: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    files::entries(parent).map_err(StoreError::io("read", parent))
}
