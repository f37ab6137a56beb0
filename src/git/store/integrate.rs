//! Brings work, or the base branch, into a release branch.

use sha2::{Digest, Sha256};

use super::{
    Execute, Repo, StoreError, commit,
    ground::{self, Ground, ground},
    merge::{Joined, join},
    refs, release,
};
use crate::git::{
    command::Git,
    flow,
    names::{CommitId, RefName, Rev, TreeId},
    ops::{CommitFacts, Conflict, Integrate, IntegrateAnswer, IntegrateBase, IntegrateBaseAnswer, MergeKind, Works},
};

/// Trailer by which work is found though the record of its run is lost.
const WORK: &str = "Phasegate-Work";

impl Execute for Integrate {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<IntegrateAnswer, StoreError> {
        refs::require_release(&self.release)?;
        require_uid("taskUid", &self.task_uid)?;
        require_uid("phaseUid", &self.phase_uid)?;
        require_work(&self.work)?;
        let head = refs::require(repo, &Rev::Ref(self.release.clone())).await?;
        let base = refs::require(repo, &Rev::Ref(self.base.clone())).await?;
        let run = format!("Phasegate-Task: {}/{}", self.task_uid, self.run);
        let work = format!("{WORK}: {}/{}", self.phase_uid, self.work);
        let done = commit::line(repo, &base, &head).await?;
        if done.is_empty()
            && let Some(merged) = release::merged_before(repo, &self.phase_uid, &self.release, &head, &base).await?
        {
            return Ok(IntegrateAnswer::Merged(merged));
        }
        let is_it = |message: &str| {
            commit::has_trailer(message, &run) || (!self.work.is_empty() && commit::has_trailer(message, &work))
        };
        let mut works = works(&done, &self.phase_uid);
        if let Some(done) = done.into_iter().find(|commit| is_it(&commit.message)) {
            let tree = commit::read(repo, &head).await?.tree;
            return Ok(IntegrateAnswer::Integrated { commit: done.commit, head, tree, works });
        }
        if self.expected_head.as_ref().is_some_and(|expected| *expected != head) {
            return Ok(IntegrateAnswer::Stale { head });
        }
        let source = refs::require(repo, &Rev::Commit(self.source.clone())).await?;
        if let Some(resolves) = &self.resolves
            && !self.is_due(repo, resolves).await?
        {
            // An upstream may rewrite its history. What was merged is no part of the base branch any more.
            let messages = vec![format!("{} does not hold {resolves} any more", self.base)];
            return Ok(IntegrateAnswer::Conflict(Conflict { head, paths: Vec::new(), messages }));
        }
        let tree = match join(repo, &head, &source).await? {
            Joined::Tree(tree) => tree,
            Joined::Conflict(conflict) => return Ok(IntegrateAnswer::Conflict(conflict)),
        };
        let resolved = self.resolved(repo, &source).await?;
        let parents = match (&resolved, self.kind) {
            (Some(resolved), _) => vec![&head, *resolved],
            (None, MergeKind::Squash) => vec![&head],
            (None, MergeKind::Merge) => vec![&head, &source],
        };
        let mut trailers = if self.work.is_empty() { run } else { format!("{run}\n{work}") };
        if let Some(resolved) = &resolved {
            trailers = format!("{trailers}\nPhasegate-Base: {resolved}");
        }
        let message = commit::message(&self.title, &self.body, &trailers);
        let commit = commit::create(repo, &tree, &parents, &message, &self.author).await?;
        advance(repo, &self.release, &commit, &head).await?;
        if !self.work.is_empty() {
            works.insert(self.work, commit.clone());
        }
        Ok(IntegrateAnswer::Integrated { head: commit.clone(), commit, tree, works })
    }
}

impl Integrate {
    /// Whether what the source resolves is still a part of what the phase builds upon.
    async fn is_due(&self, repo: &Repo, resolves: &CommitId) -> Result<bool, StoreError> {
        let ground = ground(repo, &self.base, self.upstream.as_ref()).await?;
        if is_beneath(repo, &ground, resolves).await? {
            return Ok(true);
        }
        if refs::resolve(repo, resolves.as_str()).await?.is_none() {
            return Ok(false);
        }
        // An earlier ground is on no branch. What it joined is still beneath, while the upstream went on.
        let earlier = commit::read(repo, resolves).await?;
        if ground::upstream_in(&earlier.message).is_none() || earlier.parents.len() != 2 {
            return Ok(false);
        }
        for joined in &earlier.parents {
            if !is_beneath(repo, &ground, joined).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The commit of the base branch that the source merges, unless it is in the source's history: then it comes with that.
    async fn resolved(&self, repo: &Repo, source: &CommitId) -> Result<Option<&CommitId>, StoreError> {
        let Some(resolves) = &self.resolves else { return Ok(None) };
        Ok((!refs::is_ancestor(repo, resolves, source).await?).then_some(resolves))
    }
}

/// Whether a side of the ground holds a commit.
async fn is_beneath(repo: &Repo, ground: &Ground, commit: &CommitId) -> Result<bool, StoreError> {
    for side in ground.sides() {
        if holds(repo, side, commit).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a branch with this head holds a commit; not if the commit itself is gone.
async fn holds(repo: &Repo, head: &CommitId, commit: &CommitId) -> Result<bool, StoreError> {
    Ok(refs::resolve(repo, commit.as_str()).await?.is_some() && refs::is_ancestor(repo, commit, head).await?)
}

impl Execute for IntegrateBase {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<IntegrateBaseAnswer, StoreError> {
        refs::require_release(&self.release)?;
        require_uid("phaseUid", &self.phase_uid)?;
        let mut head = refs::require(repo, &Rev::Ref(self.release.clone())).await?;
        let ground = ground(repo, &self.base, self.upstream.as_ref()).await?;
        if let Some(base) = ground.beneath(repo, &head).await? {
            let (base, tree) = (base.clone(), commit::read(repo, &head).await?.tree);
            let patch = patch(repo, &base, &tree).await?;
            return Ok(IntegrateBaseAnswer::UpToDate { head, tree, base, patch });
        }
        if let Some(merged) = release::merged_before(repo, &self.phase_uid, &self.release, &head, &ground.base).await? {
            return Ok(IntegrateBaseAnswer::Merged(merged));
        }
        if self.expected_head.as_ref().is_some_and(|expected| *expected != head) {
            return Ok(IntegrateBaseAnswer::Stale { head });
        }
        for side in ground.sides() {
            if refs::is_ancestor(repo, side, &head).await? {
                continue;
            }
            let tree = match join(repo, &head, side).await? {
                Joined::Tree(tree) => tree,
                Joined::Conflict(conflict) => {
                    // A person who merges by hand fetches it from there.
                    refs::put(repo, &flow::to_merge(&self.phase_uid)?, side).await?;
                    return Ok(IntegrateBaseAnswer::Conflict { base: side.clone(), conflict });
                }
            };
            let message = commit::message(&self.title, "", &format!("Phasegate-Base: {side}"));
            let commit = commit::create(repo, &tree, &[&head, side], &message, &self.author).await?;
            advance(repo, &self.release, &commit, &head).await?;
            head = commit;
        }
        let (base, tree) = (ground.start().clone(), commit::read(repo, &head).await?.tree);
        let patch = patch(repo, &base, &tree).await?;
        Ok(IntegrateBaseAnswer::Integrated { head, tree, base, patch })
    }
}

/// What of a phase these commits of a release branch brought in.
pub(super) fn works(line: &[CommitFacts], phase_uid: &str) -> Works {
    let head = format!("{WORK}: {phase_uid}/");
    let work = |commit: &CommitFacts| {
        let work = commit::trailers(&commit.message).find_map(|line| line.strip_prefix(&head))?;
        Some((work.to_owned(), commit.commit.clone()))
    };
    line.iter().filter_map(work).collect()
}

/// What differs from the base, file by file. Lines are not looked at: where the base branch changed the same file, a
/// person who approved it has not seen what it became.
async fn patch(repo: &Repo, base: &CommitId, tree: &TreeId) -> Result<String, StoreError> {
    let mut digest = Sha256::new();
    let git = Git::new(&repo.dir, "diff-tree")
        .args(["-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none"])
        .args([base.as_str(), tree.as_str()]);
    git.stream(&mut |piece| digest.update(piece)).await?;
    Ok(hex::encode(digest.finalize()))
}

async fn advance(repo: &Repo, branch: &RefName, new: &CommitId, old: &CommitId) -> Result<(), StoreError> {
    let mut transaction = refs::Transaction::default();
    transaction.update(branch, new.as_str(), Some(old.as_str()));
    transaction.commit(repo).await
}

/// A UID goes into trailers and reference names: letters, digits and dashes only.
pub(super) fn require_uid(field: &'static str, uid: &str) -> Result<(), StoreError> {
    let fits = (1..=64).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(()) } else { Err(StoreError::invalid(field, "it must be 1 to 64 letters, digits and dashes")) }
}

/// The name of an object, since it goes into a trailer; or nothing.
fn require_work(work: &str) -> Result<(), StoreError> {
    let fits = work.len() <= 253 && work.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if fits { Ok(()) } else { Err(StoreError::invalid("work", "it must be the name of an AgentTask, or empty")) }
}
