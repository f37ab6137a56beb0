//! Takes a merge back: the revert beside the base branch, and what says that it reached it.

use super::{
    Execute, Repo, StoreError, commit,
    ground::{self, Joint, ground},
    integrate::require_uid,
    merge::{Joined, join},
    notes, refs,
    release::require_phase,
};
use crate::git::{
    flow,
    names::{CommitId, RefName, Rev},
    ops::{Revert, RevertAnswer, Signature},
};

/// The line by which the base branch says that a merge was taken back.
pub(super) fn trailer(merge: &CommitId) -> String {
    format!("Phasegate-Rollback: {merge}")
}

/// The commit of the base branch that took a merge back, if there is one. Its gate note says that it is ours: commits of an
/// upstream's people may be on the line too, and can hold any words.
pub(super) async fn of(repo: &Repo, merge: &CommitId, base: &CommitId) -> Result<Option<CommitId>, StoreError> {
    let trailer = trailer(merge);
    let after = commit::line(repo, merge, base).await?;
    for found in after.into_iter().filter(|found| commit::has_trailer(&found.message, &trailer)) {
        if notes::is_noted(repo, &found.commit).await? {
            return Ok(Some(found.commit));
        }
    }
    Ok(None)
}

/// The tree of `onto` without what `merge` brought to its first parent.
///
/// That is the three-way merge of `onto` and the first parent's tree, with the tree of `merge` as their base. Git before
/// 2.40 has no `merge-tree --merge-base`, so that three commits which exist for nothing else have these trees: one
/// without a parent, and two on top of it.
pub(super) async fn undo(repo: &Repo, merge: &CommitId, onto: &CommitId) -> Result<Joined, StoreError> {
    let merged = commit::read(repo, merge).await?;
    let Some(before) = merged.parents.first() else {
        return Err(StoreError::invalid("merge", format!("{merge} has no parent; nothing comes before it")));
    };
    let before = commit::read(repo, before).await?;
    let here = commit::read(repo, onto).await?;
    let who =
        Signature { name: "phasegate".to_owned(), email: "git@phasegate.dev".to_owned(), seconds: merged.seconds };
    let common = commit::create(repo, &merged.tree, &[], "with it\n", &who).await?;
    let ours = commit::create(repo, &here.tree, &[&common], "now\n", &who).await?;
    let theirs = commit::create(repo, &before.tree, &[&common], "without it\n", &who).await?;
    Ok(match join(repo, &ours, &theirs).await? {
        Joined::Tree(tree) => Joined::Tree(tree),
        // Nobody knows the synthetic commit.
        Joined::Conflict(conflict) => Joined::Conflict(crate::git::ops::Conflict { head: onto.clone(), ..conflict }),
    })
}

/// Where a revert goes.
pub(super) fn require_bugfix(field: &'static str, branch: &RefName) -> Result<(), StoreError> {
    if branch.as_str().starts_with("refs/heads/bugfix/") {
        Ok(())
    } else {
        Err(StoreError::invalid(field, format!("{branch} must be a branch under bugfix/")))
    }
}

impl Execute for Revert {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<RevertAnswer, StoreError> {
        require_phase(&self.phase)?;
        refs::require_base(&self.base)?;
        require_bugfix("branch", &self.branch)?;
        require_uid("order", &self.order)?;
        let ground = ground(repo, &self.base, self.upstream.as_ref()).await?;
        refs::require(repo, &Rev::Commit(self.merge.clone())).await?;
        // Nothing else can be taken back as a whole.
        if !commit::is_on_line(repo, &self.merge, &ground.base).await? {
            return Ok(RevertAnswer::NotMerged);
        }
        if let Some(commit) = of(repo, &self.merge, &ground.base).await? {
            return Ok(RevertAnswer::Done { commit });
        }
        let merged = commit::read(repo, &self.merge).await?;
        if !self.give_up
            && let Some(upstream) = ground::upstream_in(&merged.message)
        {
            // Without it git would take their work away too, and believe for good that the base branch has it.
            return Ok(RevertAnswer::WithUpstream { upstream: CommitId::new(upstream)? });
        }
        let given_up = self.given_up()?;
        let before = refs::find(repo, &given_up).await?;
        if self.give_up || before.is_some() {
            let mut transaction = refs::Transaction::default();
            if before.is_none() {
                transaction.create(&given_up, self.merge.as_str());
            }
            self.put(repo, None, transaction).await?;
            return Ok(RevertAnswer::GivenUp);
        }
        let base = match ground.joined {
            Joint::At(joined) => joined,
            Joint::Apart(conflict) => return Ok(RevertAnswer::Conflict(conflict)),
        };
        let tree = match undo(repo, &self.merge, &base).await? {
            Joined::Tree(tree) => tree,
            Joined::Conflict(conflict) => return Ok(RevertAnswer::Conflict(conflict)),
        };
        let message = commit::message(&self.title, "", &trailer(&self.merge));
        let revert = commit::create(repo, &tree, &[&base], &message, &self.author).await?;
        self.put(repo, Some(&revert), refs::Transaction::default()).await?;
        Ok(RevertAnswer::Reverted { commit: revert, tree, base })
    }
}

impl Revert {
    /// Says that the order is given up. It outlives the branch: an operator whose view is old may come any time later.
    fn given_up(&self) -> Result<RefName, StoreError> {
        Ok(RefName::new(format!("refs/phasegate/given-up/{}", self.order))?)
    }

    /// Puts the branch at the revert, or removes it. What somebody else left there is archived, for nothing is lost.
    async fn put(
        &self,
        repo: &Repo,
        revert: Option<&CommitId>,
        mut transaction: refs::Transaction,
    ) -> Result<(), StoreError> {
        let there = refs::find(repo, &self.branch).await?;
        match &there {
            there if there.as_ref() == revert => return transaction.commit(repo).await,
            Some(there) if !self.is_earlier(repo, there).await? => {
                let short = there.as_str().get(..12).unwrap_or_default();
                let kept = RefName::new(format!("{}-{short}", flow::archived(&self.phase.uid, &self.branch)?))?;
                if refs::find(repo, &kept).await?.is_none() {
                    transaction.create(&kept, there.as_str());
                }
            }
            Some(_) | None => {}
        }
        match (revert, &there) {
            (Some(revert), _) => {
                transaction.update(&self.branch, revert.as_str(), there.as_ref().map(CommitId::as_str));
            }
            (None, Some(there)) => transaction.delete(&self.branch, there.as_str()),
            (None, None) => {}
        }
        transaction.commit(repo).await
    }

    /// Whether a commit is an earlier revert of this merge, onto a base branch that has moved since.
    async fn is_earlier(&self, repo: &Repo, there: &CommitId) -> Result<bool, StoreError> {
        Ok(commit::has_trailer(&commit::read(repo, there).await?.message, &trailer(&self.merge)))
    }
}
