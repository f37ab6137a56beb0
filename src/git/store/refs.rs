//! Reads references and moves them: one transaction, every old value named.

use std::collections::BTreeMap;

use super::{Repo, StoreError, ensure};
use crate::git::{
    command::Git,
    flow,
    names::{CommitId, RefName, Rev},
};

/// References to move together. They are written in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Transaction(String);

impl Transaction {
    /// It must not exist yet.
    pub(super) fn create(&mut self, name: &RefName, new: &str) {
        self.line(&["create", name.as_str(), new]);
    }

    /// It must be at `old`; without one it must not exist.
    pub(super) fn update(&mut self, name: &RefName, new: &str, old: Option<&str>) {
        match old {
            Some(old) => self.line(&["update", name.as_str(), new, old]),
            None => self.create(name, new),
        }
    }

    /// It must be at `old`, and goes away.
    pub(super) fn delete(&mut self, name: &RefName, old: &str) {
        self.line(&["delete", name.as_str(), old]);
    }

    /// It must be at `old`, and stays.
    pub(super) fn verify(&mut self, name: &RefName, old: &str) {
        self.line(&["verify", name.as_str(), old]);
    }

    /// What another one does comes after this.
    pub(super) fn then(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    fn line(&mut self, words: &[&str]) {
        self.0.push_str(&words.join(" "));
        self.0.push('\n');
    }

    /// Writes all or nothing. [`StoreError::Busy`] if a reference is not where it was named, or is locked.
    pub(super) async fn commit(self, repo: &Repo) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let answer = Git::new(&repo.dir, "update-ref").args(["--no-deref", "--stdin"]).input(self.0).answer().await?;
        if answer.code == 0 {
            return Ok(());
        }
        if answer.stderr.contains("cannot lock ref") {
            ensure::clear_stale_locks(repo).await?;
            return Err(StoreError::Busy { message: answer.stderr.trim().to_owned() });
        }
        Err(answer.failed().into())
    }
}

/// The commit behind a rev; `None` for what does not exist or is no commit.
pub(super) async fn resolve(repo: &Repo, rev: &str) -> Result<Option<CommitId>, StoreError> {
    let input = format!("{rev}^{{commit}}\n");
    let answer = Git::new(&repo.dir, "cat-file").arg("--batch-check").input(input).run().await?.text();
    match answer.split(' ').collect::<Vec<_>>()[..] {
        [id, "commit", _] => Ok(Some(CommitId::new(id)?)),
        [_, "missing"] => Ok(None),
        _ => Err(StoreError::unexpected("cat-file", &answer)),
    }
}

/// Moves a reference that nobody else writes, or makes it; nothing is done if it is there already.
pub(super) async fn put(repo: &Repo, name: &RefName, commit: &CommitId) -> Result<(), StoreError> {
    let before = find(repo, name).await?;
    if before.as_ref() == Some(commit) {
        return Ok(());
    }
    let mut transaction = Transaction::default();
    transaction.update(name, commit.as_str(), before.as_ref().map(CommitId::as_str));
    transaction.commit(repo).await
}

/// The commit at a reference, if it exists.
pub(super) async fn find(repo: &Repo, name: &RefName) -> Result<Option<CommitId>, StoreError> {
    resolve(repo, name.as_str()).await
}

/// The commit behind a rev, or an error that names it.
pub(super) async fn require(repo: &Repo, rev: &Rev) -> Result<CommitId, StoreError> {
    let found = resolve(repo, rev.as_str()).await?;
    found.ok_or_else(|| repo.not_found(rev.to_string(), "it was never pushed, or was archived"))
}

/// Object ids at exact reference names, not peeled; names that do not exist are left out.
pub(super) async fn raw(repo: &Repo, names: &[&RefName]) -> Result<BTreeMap<RefName, String>, StoreError> {
    let mut found = list(repo, names).await?;
    found.retain(|name, _| names.contains(&name));
    Ok(found)
}

/// Object ids, not peeled, of all references at or below some names.
pub(super) async fn list(repo: &Repo, names: &[&RefName]) -> Result<BTreeMap<RefName, String>, StoreError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let git = Git::new(&repo.dir, "for-each-ref").arg("--format=%(objectname) %(refname)");
    let answer = git.args(names.iter().map(|name| name.as_str())).run().await?.text();
    let pairs = answer.lines().filter_map(|line| line.split_once(' '));
    // A name we would not accept (from an upstream) is nobody's business here.
    Ok(pairs.filter_map(|(id, name)| Some((RefName::new(name).ok()?, id.to_owned()))).collect())
}

/// Whether `old` is `new` or one of its ancestors.
pub(super) async fn is_ancestor(repo: &Repo, old: &CommitId, new: &CommitId) -> Result<bool, StoreError> {
    let git = Git::new(&repo.dir, "merge-base").args(["--is-ancestor", old.as_str(), new.as_str()]);
    let answer = git.answer().await?;
    match answer.code {
        0 => Ok(true),
        1 => Ok(false),
        _ => Err(answer.failed().into()),
    }
}

/// The base branch is a branch and none of the flow's own.
pub(super) fn require_base(base: &RefName) -> Result<(), StoreError> {
    if base.as_str().starts_with("refs/heads/") && !flow::is_flow_branch(base) {
        Ok(())
    } else {
        Err(StoreError::invalid(
            "base",
            format!("{base} must be a branch outside feature/, bugfix/, hotfix/ and release/"),
        ))
    }
}

/// Where work comes together: a release or hotfix branch.
pub(super) fn require_release(release: &RefName) -> Result<(), StoreError> {
    let short = release.as_str().strip_prefix("refs/heads/").unwrap_or_default();
    if short.starts_with("release/") || short.starts_with("hotfix/") {
        Ok(())
    } else {
        Err(StoreError::invalid("release", format!("{release} must be a branch under release/ or hotfix/")))
    }
}
