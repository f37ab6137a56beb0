//! Keeps repositories small and quick: one `git gc` at a time, when it is worth it, by the service's own clock.
//!
//! Git's own `gc --auto` would run behind a push, in as many repositories at once as are pushed to. Here a repository is looked at
//! every hour. Pushes and operations are never held up: `gc` keeps what is reachable or younger than two weeks, and a git process
//! whose pack goes away under it looks for the packs anew by itself. What a killed transfer left behind is cleared as well, and
//! so are reports and saved work that are old ([`prune`]).

mod prune;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::RngExt;
use tokio_util::sync::CancellationToken;

pub(super) use prune::TasksAtWork;

use super::{
    backup,
    command::{CommandError, Git},
    files, flow,
    metrics::Metrics,
    names::RepositoryId,
};

/// Pause between two looks at all repositories, on average.
const PAUSE: Duration = Duration::from_hours(1);
/// Pause before the first look: a service that is restarted every hour looks too.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// Longest time of one `git gc`: one that was cut short would begin anew, and never end.
const LONGEST: Duration = Duration::from_hours(6);
/// Loose objects from which on it is worth it.
const MOST_LOOSE: usize = 2000;
/// Packs from which on it is worth it.
const MOST_PACKS: usize = 20;
/// Age at which what a transfer was receiving is nobody's: none takes so long.
const ABANDONED: Duration = Duration::from_hours(6);
/// Objects are spread over this many folders.
const FANOUT: usize = 256;

/// Looks after all repositories below `root` until told to end.
pub(super) async fn run(root: PathBuf, tasks: impl TasksAtWork, metrics: Metrics, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Replicas of other releases on the same disks should not all begin at once.
        let due = pause.mul_f64(rand::rng().random_range(0.5..1.5));
        pause = PAUSE;
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => return,
        }
        clear_restores(&root, ABANDONED);
        for (id, dir) in repositories(&root).await {
            tokio::select! {
                // Git is told to end, and leaves nothing half done.
                () = stop.cancelled() => return,
                () = async {
                    drop_old(&id, &dir, &tasks, &metrics).await;
                    look_after(&id, &dir, &metrics).await;
                } => {}
            }
        }
    }
}

/// What a restore was building when it was killed.
fn clear_restores(root: &Path, age: Duration) {
    let is_scratch = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(backup::SCRATCH))
            && files::is_older(path, age)
    };
    for path in told(entries(root)).into_iter().filter(is_scratch) {
        match fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed what an unfinished restore left"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "failed to remove what a restore left"),
        }
    }
}

/// One repository: what runs left long ago goes.
async fn drop_old(id: &RepositoryId, dir: &Path, tasks: &impl TasksAtWork, metrics: &Metrics) {
    let now = jiff::Timestamp::now().as_second();
    match prune::prune(id.namespace(), dir, tasks, now).await {
        Ok(0) => {}
        Ok(pruned) => {
            tracing::info!(repository = %id, pruned, days = flow::KEPT_DAYS, "removed old reports and saved work");
            metrics.pruned.inc_by(u64::try_from(pruned).unwrap_or(u64::MAX));
        }
        Err(error) => tracing::warn!(repository = %id, %error, "failed to remove old reports; tried again in an hour"),
    }
}

/// One repository: clears, and collects if it is worth it.
pub(super) async fn look_after(id: &RepositoryId, dir: &Path, metrics: &Metrics) {
    let started = Instant::now();
    let outcome = match upkeep(dir).await {
        Ok(Done { cleared, collected }) => {
            if cleared > 0 {
                tracing::info!(repository = %id, cleared, "removed what unfinished pushes left");
            }
            if !collected {
                return;
            }
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(repository = %id, millis, "collected garbage");
            "ok"
        }
        Err(error) => {
            tracing::warn!(repository = %id, %error, "failed to look after the repository; tried again in an hour");
            "failed"
        }
    };
    metrics.upkeep.with_label_values(&[outcome]).observe(started.elapsed().as_secs_f64());
}

/// What was done to a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Abandoned files and folders that were removed.
    pub(super) cleared: usize,
    /// Whether `git gc` ran.
    pub(super) collected: bool,
}

/// Why a repository could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpkeepError {
    #[error("failed to look at {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Git(#[from] CommandError),
}

async fn upkeep(dir: &Path) -> Result<Done, UpkeepError> {
    let look = |objects: &Path| Ok((clear_abandoned(objects, ABANDONED)?, is_worth_it(objects)?));
    let (cleared, collected) = at_objects(dir, look).await?;
    if collected {
        collect(dir).await?;
    }
    Ok(Done { cleared, collected })
}

/// Works at a repository's objects, on a thread that may wait for the disk.
async fn at_objects<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce(&Path) -> Result<T, UpkeepError> + Send + 'static,
) -> Result<T, UpkeepError> {
    let objects = dir.join("objects");
    let done = tokio::task::spawn_blocking(move || work(&objects)).await;
    done.unwrap_or_else(|error| Err(UpkeepError::Io { path: dir.to_owned(), source: io::Error::other(error) }))
}

/// Packs what is reachable, drops what has been unreachable for two weeks (`gc.pruneExpire`), and writes the commit graph.
pub(super) async fn collect(dir: &Path) -> Result<(), UpkeepError> {
    at_objects(dir, freshen).await?;
    // What is unreachable and young goes into a pack of its own: left loose it would call for the next gc at once.
    let gc = Git::new(dir, "gc").args(["--quiet", "--cruft"]).timeout(LONGEST);
    // It writes the commit graph too.
    gc.run().await?;
    Ok(())
}

/// Git counts the two weeks from when an object, or the pack that holds it, was written: one that was reachable for months and
/// lost its reference a minute ago would be dropped at once, while a backup or a merge still reads it. So all but what was
/// found unreachable before, which has its own dates, counts as written now.
fn freshen(objects: &Path) -> Result<(), UpkeepError> {
    let now = std::time::SystemTime::now();
    let loose = (0..FANOUT).map(|first| objects.join(format!("{first:02x}")));
    for folder in std::iter::once(objects.join("pack")).chain(loose) {
        for path in entries(&folder)? {
            let is_pack = path.extension().is_some_and(|end| end == "pack");
            if path.extension().is_some() && (!is_pack || path.with_extension("mtimes").exists()) {
                continue;
            }
            match fs::File::open(&path).and_then(|file| file.set_modified(now)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(UpkeepError::Io { path, source: error });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Loose objects are counted in one folder of the 256, as `git gc --auto` does: ids are spread evenly.
fn is_worth_it(objects: &Path) -> Result<bool, UpkeepError> {
    let loose = entries(&objects.join("17"))?.len() * FANOUT;
    let packs = entries(&objects.join("pack"))?;
    let packs = packs.iter().filter(|path| path.extension().is_some_and(|end| end == "pack")).count();
    Ok(loose > MOST_LOOSE || packs > MOST_PACKS)
}

/// Removes what a push or a fetch was writing when it was killed, of at least this age.
fn clear_abandoned(objects: &Path, age: Duration) -> Result<usize, UpkeepError> {
    let mut cleared = 0;
    let spread = (0..FANOUT).map(|first| objects.join(format!("{first:02x}")));
    for folder in [objects.to_owned(), objects.join("pack"), objects.join("info")].into_iter().chain(spread) {
        for path in entries(&folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if is_unfinished(&name) && files::is_older(&path, age) || is_forgotten(&path, &name, age) {
                files::remove(&path).map_err(|source| UpkeepError::Io { path, source })?;
                cleared += 1;
            }
        }
    }
    Ok(cleared)
}

/// Names of what is written before it gets its own.
fn is_unfinished(name: &str) -> bool {
    let starts = ["tmp_objdir-", "tmp_pack_", "tmp_idx_", "tmp_obj_", "tmp_graph_", "incoming-"];
    starts.iter().any(|start| name.starts_with(start))
}

/// A push locks its pack until its references are moved (git-index-pack(1), `--keep`). One that was killed leaves the lock, and
/// `gc` never touches the pack. A lock that somebody made by hand says something else, or nothing.
fn is_forgotten(path: &Path, name: &str, age: Duration) -> bool {
    let is_lock = name.starts_with("pack-") && path.extension().is_some_and(|end| end == "keep");
    let by_transfer = |words: String| ["receive-pack ", "fetch-pack "].iter().any(|program| words.starts_with(program));
    is_lock && files::is_older(path, age) && fs::read_to_string(path).is_ok_and(by_transfer)
}

/// Every repository, by name.
pub(super) async fn repositories(root: &Path) -> Vec<(RepositoryId, PathBuf)> {
    let root = root.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for namespace in told(entries(&root)) {
            for dir in told(entries(&namespace)) {
                let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
                let id = name(&namespace)
                    .zip(name(&dir))
                    .and_then(|(namespace, name)| RepositoryId::new(&namespace, name.strip_suffix(".git")?).ok());
                found.extend(id.filter(|_| dir.join("HEAD").is_file()).map(|id| (id, dir)));
            }
        }
        found.sort_by_key(|(id, _)| id.to_string());
        found
    });
    found.await.unwrap_or_default()
}

/// A folder that cannot be read is told of, and the others are looked after.
fn told(found: Result<Vec<PathBuf>, UpkeepError>) -> Vec<PathBuf> {
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to look for repositories");
        Vec::new()
    })
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, UpkeepError> {
    files::entries(folder).map_err(|source| UpkeepError::Io { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
