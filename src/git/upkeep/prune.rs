//! Reports, transcripts and saved work go once they are old: `refs/phasegate/logs/…` and `refs/phasegate/wip/…` (design §6).
//! So does what was prepared for an upstream and never got there (`refs/phasegate/push/…`); it is made anew when it is needed.

use std::{collections::BTreeSet, path::Path};

use futures::future::BoxFuture;

use crate::git::{
    command::{CommandError, Git},
    flow,
    names::{CommitId, RefName},
};

/// Most references that go in one transaction.
const BATCH: usize = 100;
const DAY: i64 = 24 * 60 * 60;

/// Tells which tasks are not over.
pub(in crate::git) trait TasksAtWork: Send + Sync + 'static {
    /// UIDs of the tasks of a namespace that have not ended, and of those whose reports they are compared with.
    fn at_work<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<BTreeSet<String>, String>>;
}

/// What a run left in git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    name: RefName,
    commit: CommitId,
    /// UID of the AgentTask, or of the phase that was to be pushed.
    task: String,
    /// Date of the commit, in seconds since 1970-01-01 UTC.
    seconds: i64,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub(in crate::git) enum PruneError {
    #[error(transparent)]
    Git(#[from] CommandError),
    #[error("{0}")]
    Tasks(String),
}

/// Removes what is older than [`flow::KEPT_DAYS`] and of no task that is at work; how many references that were. What moves
/// meanwhile stays.
pub(super) async fn prune(
    namespace: &str,
    dir: &Path,
    tasks: &impl TasksAtWork,
    now: i64,
) -> Result<usize, PruneError> {
    let old: Vec<Left> = list(dir).await?.into_iter().filter(|left| is_old(left, now)).collect();
    if old.is_empty() {
        return Ok(0);
    }
    // Asked after the list was made: a task that begins now leans on nothing so old.
    let at_work = tasks.at_work(namespace).await.map_err(PruneError::Tasks)?;
    let mut pruned = 0;
    for batch in old.into_iter().filter(|left| !at_work.contains(&left.task)).collect::<Vec<_>>().chunks(BATCH) {
        let words = batch.iter().flat_map(|left| ["delete ", left.name.as_str(), " ", left.commit.as_str(), "\n"]);
        let lines: String = words.collect();
        match Git::new(dir, "update-ref").args(["--no-deref", "--stdin"]).input(lines).run().await {
            Ok(_) => pruned += batch.len(),
            // One of them has moved, say. The next look takes the others.
            Err(error) => tracing::warn!(dir = %dir.display(), %error, "failed to remove some old references"),
        }
    }
    Ok(pruned)
}

fn is_old(left: &Left, now: i64) -> bool {
    now.saturating_sub(left.seconds) > flow::KEPT_DAYS * DAY
}

async fn list(dir: &Path) -> Result<Vec<Left>, CommandError> {
    let format = "--format=%(refname) %(objectname) %(creatordate:unix)";
    let folders = ["logs", "wip", "push"].map(|folder| format!("refs/phasegate/{folder}"));
    let git = Git::new(dir, "for-each-ref").arg(format).args(folders);
    Ok(git.run().await?.text().lines().filter_map(read).collect())
}

/// `refs/phasegate/{logs,wip,push}/{task or phase}/…`, commit or tag, date. What has no date stays.
fn read(line: &str) -> Option<Left> {
    let mut fields = line.split(' ');
    let (name, commit, seconds) = (fields.next()?, fields.next()?, fields.next()?);
    let task = name.strip_prefix("refs/phasegate/")?.split('/').nth(1)?.to_owned();
    Some(Left {
        name: RefName::new(name).ok()?,
        commit: CommitId::new(commit).ok()?,
        task,
        seconds: seconds.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rstest::rstest;

    use super::*;

    struct Tasks(Result<Vec<&'static str>, String>);

    impl TasksAtWork for Tasks {
        fn at_work<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<BTreeSet<String>, String>> {
            assert_eq!(namespace, "team");
            let answer = self.0.clone().map(|uids| uids.into_iter().map(str::to_owned).collect());
            async move { answer }.boxed()
        }
    }

    const NOW: i64 = 2_000_000_000;

    /// A repository with these references, each at a commit so many days old.
    async fn repository(left: &[(&str, i64)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        Git::new(root.path(), "init").args(["-q", "--bare"]).run().await.unwrap();
        let tree = Git::new(root.path(), "mktree").run().await.unwrap().text();
        for (name, days) in left {
            let date = format!("@{} +0000", NOW - days * DAY);
            let mut git = Git::new(root.path(), "commit-tree").arg(&tree).args(["-m", name]);
            for who in ["AUTHOR", "COMMITTER"] {
                git = git.env(&format!("GIT_{who}_NAME"), "t").env(&format!("GIT_{who}_EMAIL"), "t@example.org");
                git = git.env(&format!("GIT_{who}_DATE"), &date);
            }
            let commit = git.run().await.unwrap().text();
            Git::new(root.path(), "update-ref").args([*name, &commit]).run().await.unwrap();
        }
        root
    }

    async fn names(root: &tempfile::TempDir) -> Vec<String> {
        let listed = Git::new(root.path(), "for-each-ref").arg("--format=%(refname)").run().await.unwrap();
        listed.text().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn what_is_old_goes_unless_its_task_is_at_work() {
        let root = repository(&[
            ("refs/heads/main", 400),
            ("refs/phasegate/archive/u/heads/x", 400),
            ("refs/phasegate/logs/old/1", 31),
            ("refs/phasegate/push/phase/head", 31),
            ("refs/phasegate/logs/young/1", 29),
            ("refs/phasegate/logs/working/1", 31),
            ("refs/phasegate/wip/old/1", 31),
            ("refs/phasegate/wip/working/2", 31),
        ])
        .await;
        let pruned = prune("team", root.path(), &Tasks(Ok(vec!["working"])), NOW).await.unwrap();
        let stay = [
            "refs/heads/main",
            "refs/phasegate/archive/u/heads/x",
            "refs/phasegate/logs/working/1",
            "refs/phasegate/logs/young/1",
            "refs/phasegate/wip/working/2",
        ];
        assert_eq!((pruned, names(&root).await), (3, stay.map(str::to_owned).to_vec()));
    }

    #[tokio::test]
    async fn nothing_goes_while_nobody_says_who_is_at_work() {
        let root = repository(&[("refs/phasegate/logs/old/1", 31)]).await;
        let error = prune("team", root.path(), &Tasks(Err("away".into())), NOW).await.unwrap_err().to_string();
        assert_eq!((error.as_str(), names(&root).await.len()), ("away", 1));
    }

    #[tokio::test]
    async fn without_anything_old_nobody_is_asked() {
        let root = repository(&[("refs/phasegate/logs/young/1", 30)]).await;
        assert_eq!(prune("team", root.path(), &Tasks(Err("asked".into())), NOW).await.unwrap(), 0);
    }

    #[rstest]
    #[case::new(0, false)]
    #[case::of_the_thirtieth_day(30 * DAY, false)]
    #[case::a_second_later(30 * DAY + 1, true)]
    // A clock that was wrong once is no reason to lose work.
    #[case::of_the_future(-400 * DAY, false)]
    #[case::before_all_time(i64::MAX, true)]
    fn old_is_what_is_older_than_thirty_days(#[case] age: i64, #[case] old: bool) {
        let mut left = read(&format!("refs/phasegate/logs/u/1 {} 0", "1".repeat(40))).unwrap();
        left.seconds = NOW - age;
        assert_eq!(is_old(&left, NOW), old);
    }

    #[rstest]
    #[case::a_blob("refs/phasegate/logs/u/1 1111111111111111111111111111111111111111 ")]
    #[case::no_task("refs/phasegate/logs 1111111111111111111111111111111111111111 5")]
    #[case::elsewhere("refs/heads/main 1111111111111111111111111111111111111111 5")]
    fn what_is_no_runs_work_is_left_alone(#[case] line: &str) {
        assert_eq!(read(line), None);
    }
}
