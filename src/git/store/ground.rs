//! What a phase builds upon: the base branch and, where there is an upstream, what its people have added since.
//!
//! The upstream never moves the base branch by itself (design §8): what came from there reaches it inside the merge of a
//! phase, reviewed together with the phase's own work. The merge of both that is made here is on no branch.

use super::{
    Repo, StoreError, commit,
    merge::{Joined, join},
    refs,
};
use crate::git::{
    flow,
    names::{CommitId, RefName, Rev},
    ops::{Conflict, Signature},
};

/// How the line of a commit begins with which the upstream came in.
const UPSTREAM: &str = "Phasegate-Upstream";

/// The line by which a commit says that the upstream came in with it: both sides in one, or the merge of a phase whose developer
/// joined what git could not.
pub(super) fn trailer(upstream: &CommitId) -> String {
    format!("{UPSTREAM}: {upstream}")
}

/// What a message says of the upstream that came in with its commit.
pub(super) fn upstream_in(message: &str) -> Option<&str> {
    commit::trailer(message, UPSTREAM)
}

/// What a phase is compared with, and merged on top of.
#[derive(Debug)]
pub(super) struct Ground {
    /// Head of the base branch.
    pub(super) base: CommitId,
    /// Head of the upstream's copy of it, if there is one.
    pub(super) upstream: Option<CommitId>,
    /// Both in one.
    pub(super) joined: Joint,
}

/// The base branch and the upstream in one commit.
#[derive(Debug)]
pub(super) enum Joint {
    /// The base branch itself, or the upstream where it holds all of the base branch, or a merge of the two.
    At(CommitId),
    /// Git cannot merge them: a phase has to.
    Apart(Conflict),
}

impl Ground {
    /// What a release branch has to hold.
    pub(super) fn sides(&self) -> Vec<&CommitId> {
        match &self.joined {
            Joint::At(joined) => vec![joined],
            Joint::Apart(_) => std::iter::once(&self.base).chain(&self.upstream).collect(),
        }
    }

    /// The commit that a release branch with this head is compared with; `None` if it does not hold all sides.
    pub(super) async fn beneath(&self, repo: &Repo, head: &CommitId) -> Result<Option<&CommitId>, StoreError> {
        for side in self.sides() {
            if !refs::is_ancestor(repo, side, head).await? {
                return Ok(None);
            }
        }
        Ok(Some(self.start()))
    }

    /// The joined commit, or the base branch where git cannot join.
    pub(super) fn start(&self) -> &CommitId {
        match &self.joined {
            Joint::At(joined) => joined,
            Joint::Apart(_) => &self.base,
        }
    }

    /// Keeps the upstream's copy where it is while a transaction moves the base branch.
    pub(super) fn pin(&self, upstream: Option<&RefName>, transaction: &mut refs::Transaction) {
        if let (Some(name), Some(commit)) = (upstream, &self.upstream) {
            transaction.verify(name, commit.as_str());
        }
    }
}

/// Reads both sides and joins them. The same two heads give the same commit.
pub(super) async fn ground(repo: &Repo, base: &RefName, upstream: Option<&RefName>) -> Result<Ground, StoreError> {
    let head = refs::require(repo, &Rev::Ref(base.clone())).await?;
    let theirs = match upstream {
        Some(upstream) => refs::find(repo, require_upstream(upstream)?).await?,
        None => None,
    };
    let joined = match &theirs {
        Some(theirs) if refs::is_ancestor(repo, theirs, &head).await? => Joint::At(head.clone()),
        // The line of the base branch is kept: what it went through is found there, and can be rolled back.
        Some(theirs) if commit::is_on_line(repo, &head, theirs).await? => Joint::At(theirs.clone()),
        Some(theirs) => merge(repo, base, &head, theirs).await?,
        None => Joint::At(head.clone()),
    };
    Ok(Ground { base: head, upstream: theirs, joined })
}

fn require_upstream(name: &RefName) -> Result<&RefName, StoreError> {
    if name.as_str().starts_with("refs/upstream/heads/") {
        return Ok(name);
    }
    Err(StoreError::invalid("upstream", format!("{name} must be under refs/upstream/heads/")))
}

async fn merge(repo: &Repo, name: &RefName, base: &CommitId, theirs: &CommitId) -> Result<Joint, StoreError> {
    let tree = match join(repo, base, theirs).await? {
        Joined::Tree(tree) => tree,
        Joined::Conflict(conflict) => return Ok(Joint::Apart(conflict)),
    };
    // The later of the two dates: from the commits, so that it is the same whenever it is made.
    let seconds = commit::read(repo, base).await?.seconds.max(commit::read(repo, theirs).await?.seconds);
    let author = Signature { name: "phasegate".to_owned(), email: "git@phasegate.dev".to_owned(), seconds };
    let message = commit::message(&flow::upstream_title(name), "", &trailer(theirs));
    let joined = commit::create(repo, &tree, &[base, theirs], &message, &author).await?;
    keep(repo, name, &joined).await?;
    Ok(Joint::At(joined))
}

/// A developer may be handed it to merge, before any branch holds it.
async fn keep(repo: &Repo, base: &RefName, joined: &CommitId) -> Result<(), StoreError> {
    let name = RefName::new(format!("refs/phasegate/ground/{}", base.short()))?;
    refs::put(repo, &name, joined).await
}
