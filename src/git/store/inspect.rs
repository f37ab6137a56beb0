//! Reads: heads, commits, diffs. Nothing here changes anything.

use super::{Execute, Repo, StoreError, commit, refs};
use crate::git::{
    command::Git,
    names::{CommitId, RefName},
    ops::{
        Change, ChangedFile, ChangedFiles, ChangedFilesAnswer, Commit, CommitAnswer, Diff, DiffAnswer, Heads,
        HeadsAnswer, Log, LogAnswer,
    },
};

/// Most references of one answer.
const MAX_HEADS: usize = 10_000;
/// Most files of one answer.
const MAX_FILES: usize = 5_000;
/// Most bytes of a diff.
const MAX_DIFF: usize = 4 << 20;
/// Most commits of one answer.
const MAX_LOG: usize = 1_000;

impl Execute for Heads {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<HeadsAnswer, StoreError> {
        let git = Git::new(&repo.dir, "for-each-ref")
            .arg("--format=%(refname) %(objecttype) %(objectname) %(*objecttype) %(*objectname)")
            .arg(format!("--count={MAX_HEADS}"))
            .arg(self.prefix.as_str());
        let answer = git.run().await?.text();
        Ok(HeadsAnswer { refs: answer.lines().filter_map(head).collect() })
    }
}

/// One line of `for-each-ref`, peeled; nothing if it is no commit.
fn head(line: &str) -> Option<(RefName, CommitId)> {
    let words: Vec<&str> = line.split(' ').collect();
    let (["commit", id, ..] | ["tag", _, "commit", id]) = words.get(1..)? else { return None };
    Some((RefName::new(words[0]).ok()?, CommitId::new(*id).ok()?))
}

impl Execute for Commit {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<CommitAnswer, StoreError> {
        match refs::resolve(repo, self.rev.as_str()).await? {
            Some(found) => Ok(CommitAnswer::Found(commit::read(repo, &found).await?)),
            None => Ok(CommitAnswer::Missing),
        }
    }
}

impl Execute for ChangedFiles {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<ChangedFilesAnswer, StoreError> {
        let (from, to) = (refs::require(repo, &self.from).await?, refs::require(repo, &self.to).await?);
        let git = Git::new(&repo.dir, "diff-tree").args(["-r", "-z", "--no-renames", "--name-status"]);
        let answer = git.args([from.as_str(), to.as_str()]).answer().await?;
        if answer.code != 0 && !answer.truncated {
            return Err(answer.failed().into());
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        let fields: Vec<&str> = text.split_terminator('\0').collect();
        let mut files: Vec<ChangedFile> = fields.chunks_exact(2).take(MAX_FILES + 1).map(changed).collect();
        let truncated = answer.truncated || files.len() > MAX_FILES;
        files.truncate(MAX_FILES);
        Ok(ChangedFilesAnswer { files, truncated })
    }
}

/// A letter and a path.
fn changed(pair: &[&str]) -> ChangedFile {
    let change = match pair[0] {
        "A" => Change::Added,
        "D" => Change::Deleted,
        _ => Change::Modified,
    };
    ChangedFile { path: pair[1].to_owned(), change }
}

impl Execute for Diff {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<DiffAnswer, StoreError> {
        let (from, to) = (refs::require(repo, &self.from).await?, refs::require(repo, &self.to).await?);
        let git = Git::new(&repo.dir, "diff-tree")
            .args(["-r", "-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv"])
            .args([from.as_str(), to.as_str()])
            .limit(self.max_bytes.min(MAX_DIFF));
        let answer = git.answer().await?;
        if answer.code != 0 && !answer.truncated {
            return Err(answer.failed().into());
        }
        Ok(DiffAnswer { text: String::from_utf8_lossy(&answer.stdout).into_owned(), truncated: answer.truncated })
    }
}

impl Execute for Log {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<LogAnswer, StoreError> {
        let to = refs::require(repo, &self.to).await?;
        let mut args = vec![to.to_string()];
        if let Some(from) = &self.from {
            args.push(format!("^{}", refs::require(repo, from).await?));
        }
        if self.first_parent {
            args.push("--first-parent".to_owned());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(LogAnswer { commits: commit::walk(repo, &args, self.limit.min(MAX_LOG)).await? })
    }
}
