//! The two ends of a release branch: its claim, and the merge to the base branch.

use std::collections::BTreeMap;

use super::{
    Execute, Repo, StoreError, commit,
    ground::{self, Ground, Joint, ground},
    integrate::{require_uid, works},
    merge::Joined,
    notes, refs, rollback,
};
use crate::git::{
    command::Git,
    flow,
    names::{CommitId, RefName, RepositoryId, Rev},
    ops::{
        ClaimRelease, ClaimReleaseAnswer, Claims, ClaimsAnswer, CommitFacts, MergeToBase, MergeToBaseAnswer,
        MergedBefore, PhaseKey, PreparePush, PreparePushAnswer, TagSpec, Works,
    },
};

/// Where claims are.
pub(super) const CLAIMS: &str = "refs/phasegate/claims";
/// Most tags of one merge.
const MAX_TAGS: usize = 10;

impl Execute for ClaimRelease {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<ClaimReleaseAnswer, StoreError> {
        require_phase(&self.phase)?;
        refs::require_base(&self.base)?;
        refs::require_release(&self.release)?;
        require_tag(&self.tag)?;
        if !self.claim.as_str().starts_with(&format!("{CLAIMS}/")) {
            return Err(StoreError::invalid("claim", format!("{} must be under {CLAIMS}/", self.claim)));
        }
        let ground = ground(repo, &self.base, self.upstream.as_ref()).await?;
        let base = &ground.base;
        if let Some(commit) = refs::find(repo, &self.tag).await? {
            let ours = refs::is_ancestor(repo, &commit, base).await?
                && notes::is_of(repo, &commit, &self.phase, &self.release).await?;
            let (tag, taken_back) = (self.tag.clone(), rollback::of(repo, &commit, base).await?);
            return Ok(match (ours, taken_back) {
                (true, None) => {
                    let score = notes::score(repo, &commit).await?;
                    ClaimReleaseAnswer::Adopted { commit, tag, score }
                }
                // The version was set back to one before the last that was taken back: to start from there would lose what came
                // between.
                (true, Some(rollback)) if self.reapplies_later(repo, &rollback).await? => {
                    ClaimReleaseAnswer::TagTaken { tag }
                }
                (true, Some(rollback)) => ClaimReleaseAnswer::RolledBack { commit, tag, rollback },
                (false, _) => ClaimReleaseAnswer::TagTaken { tag },
            });
        }
        let claims = refs::raw(repo, &[&self.claim]).await?;
        let holder = holders(repo, &claims).await?.remove(&self.claim);
        let head = refs::find(repo, &self.release).await?;
        let mut transaction = refs::Transaction::default();
        match (&holder, &head) {
            (Some(holder), _) if holder.uid != self.phase.uid => {
                return Ok(ClaimReleaseAnswer::NumberTaken { by: Some(holder.clone()) });
            }
            (None, _) if claims.contains_key(&self.claim) => return Ok(ClaimReleaseAnswer::NumberTaken { by: None }),
            (None, Some(head)) if !is_archived(repo, &self.release, head).await? => {
                return Ok(ClaimReleaseAnswer::NumberTaken { by: None });
            }
            (None, _) => transaction.create(&self.claim, &write_claim(repo, &self.phase).await?),
            (Some(_), Some(head)) if !self.starts_anew(repo, base, head).await? => {
                let works = works(&commit::line(repo, base, head).await?, &self.phase.uid);
                let base = contained(repo, ground.start(), head).await?;
                return Ok(ClaimReleaseAnswer::Claimed { head: head.clone(), base, works });
            }
            (Some(_), Some(_) | None) => {}
        }
        let base = ground.start().clone();
        let start = match self.start(repo, &base).await? {
            Ok(start) => start,
            Err(refusal) => return Ok(refusal),
        };
        transaction.update(&self.release, start.as_str(), head.as_ref().map(CommitId::as_str));
        transaction.commit(repo).await?;
        Ok(ClaimReleaseAnswer::Claimed { head: start, base, works: Works::new() })
    }
}

impl ClaimRelease {
    /// Whether the release branch is to start with what a later rollback took away.
    async fn reapplies_later(&self, repo: &Repo, rollback: &CommitId) -> Result<bool, StoreError> {
        match &self.reapply {
            Some(reapply) if reapply.rollback != *rollback => {
                refs::is_ancestor(repo, rollback, &reapply.rollback).await
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Whether the branch is what the phase left before it was rolled back (a hotfix has one name for all versions): all
    /// of it is on the base branch, so that nothing is lost.
    async fn starts_anew(&self, repo: &Repo, base: &CommitId, head: &CommitId) -> Result<bool, StoreError> {
        match &self.reapply {
            Some(reapply) => {
                Ok(!refs::is_ancestor(repo, &reapply.rollback, head).await?
                    && refs::is_ancestor(repo, head, base).await?)
            }
            None => Ok(false),
        }
    }

    /// Where the release branch starts: at the base branch, or after a rollback with what that took away.
    async fn start(&self, repo: &Repo, base: &CommitId) -> Result<Result<CommitId, ClaimReleaseAnswer>, StoreError> {
        let Some(reapply) = &self.reapply else { return Ok(Ok(base.clone())) };
        if !refs::is_ancestor(repo, &reapply.rollback, base).await? {
            return Err(StoreError::invalid("reapply.rollback", format!("{} does not hold it", self.base)));
        }
        let tree = match rollback::undo(repo, &reapply.rollback, base).await? {
            Joined::Tree(tree) => tree,
            Joined::Conflict(conflict) => return Ok(Err(ClaimReleaseAnswer::Conflict(conflict))),
        };
        let message = commit::message(&reapply.title, "", &format!("Phasegate-Reapply: {}", reapply.rollback));
        Ok(Ok(commit::create(repo, &tree, &[base], &message, &reapply.author).await?))
    }
}

/// Whether a branch is what a crash left of an archiving: its commit is in somebody's archive under its name.
async fn is_archived(repo: &Repo, branch: &RefName, head: &CommitId) -> Result<bool, StoreError> {
    let archive = refs::list(repo, &[&RefName::new("refs/phasegate/archive")?]).await?;
    let suffix = branch.as_str().trim_start_matches("refs");
    Ok(archive.iter().any(|(name, object)| object == head.as_str() && name.as_str().contains(suffix)))
}

impl Execute for Claims {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<ClaimsAnswer, StoreError> {
        let held = refs::list(repo, &[&RefName::new(CLAIMS)?]).await?;
        Ok(ClaimsAnswer { claims: holders(repo, &held).await? })
    }
}

impl Execute for MergeToBase {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<MergeToBaseAnswer, StoreError> {
        let Planned { commit, is_there: _, moves: base, tags } = match self.plan(repo).await? {
            Ok(planned) => planned,
            Err(refusal) => return Ok(refusal),
        };
        // A crash leaves the first of them. The note is first, since it says whose the merge is: without it a rollback on the
        // base branch would be nobody's. A note of a merge that never comes harms nobody.
        let mut moves = refs::Transaction::default();
        notes::add(repo, &mut moves, &commit, &self.note, &self.phase, &self.release, &self.author).await?;
        moves.then(&base);
        for (name, object) in tags.iter().filter_map(|(name, object)| Some((name, object.as_ref()?))) {
            moves.create(name, object);
        }
        let (push, to_merge) = (flow::push_refs(&self.phase.uid)?, flow::to_merge(&self.phase.uid)?);
        for (name, object) in refs::list(repo, &[&push, &to_merge]).await? {
            moves.delete(&name, &object);
        }
        moves.commit(repo).await?;
        Ok(MergeToBaseAnswer::Merged { commit, tags: tags.into_iter().map(|(name, _)| name).collect() })
    }
}

impl Execute for PreparePush {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<PreparePushAnswer, StoreError> {
        let Planned { commit, is_there, moves: _, tags } = match self.merge.plan(repo).await? {
            Ok(planned) => planned,
            Err(merge) => return Ok(PreparePushAnswer::Settled { merge }),
        };
        if is_there {
            let tags = tags.into_iter().map(|(name, _)| name).collect();
            return Ok(PreparePushAnswer::Settled { merge: MergeToBaseAnswer::Merged { commit, tags } });
        }
        let folder = flow::push_refs(&self.merge.phase.uid)?;
        let below = |name: &str| RefName::new(format!("{folder}/{name}"));
        let tags: BTreeMap<RefName, String> =
            tags.into_iter().filter_map(|(name, object)| Some((name, object?))).collect();
        let mut due = BTreeMap::from([(below("head")?, commit.to_string())]);
        for (name, object) in &tags {
            due.insert(below(&format!("tags/{}", name.short()))?, object.clone());
        }
        let mut there = refs::list(repo, &[&folder]).await?;
        let mut transaction = refs::Transaction::default();
        for (name, object) in due {
            match there.remove(&name) {
                Some(before) if before == object => {}
                before => transaction.update(&name, &object, before.as_deref()),
            }
        }
        // Of an earlier merge, which the upstream did not take.
        for (name, object) in there {
            transaction.delete(&name, &object);
        }
        transaction.commit(repo).await?;
        Ok(PreparePushAnswer::Prepared { commit, tags })
    }
}

/// What a merge to the base branch comes to. Its objects are made, no reference has moved.
struct Planned {
    /// The merge commit.
    commit: CommitId,
    /// The base branch or the upstream holds it already.
    is_there: bool,
    /// The move of the base branch, if it is still to be made.
    moves: refs::Transaction,
    /// The tags; those still to be made with their objects.
    tags: Vec<(RefName, Option<String>)>,
}

impl MergeToBase {
    async fn plan(&self, repo: &Repo) -> Result<Result<Planned, MergeToBaseAnswer>, StoreError> {
        require_phase(&self.phase)?;
        refs::require_base(&self.base)?;
        let wanted = self.require_ends()?;
        let ground = ground(repo, &self.base, self.upstream.as_ref()).await?;
        refs::require(repo, &Rev::Commit(self.head.clone())).await?;
        let trailer = match &self.rolls_back {
            Some(merge) => rollback::trailer(merge),
            None => phase_trailer(&self.phase.uid),
        };
        let mut moves = refs::Transaction::default();
        let mut is_there = true;
        let commit = if let Some(commit) = self.done(repo, &ground.base, &trailer).await? {
            commit
        } else if let Some(commit) = self.taken(repo, &ground.base, &trailer).await? {
            moves.update(&self.base, commit.as_str(), Some(ground.base.as_str()));
            commit
        } else if let Some(commit) = self.seen_upstream(repo, &ground, &trailer).await? {
            moves.update(&self.base, commit.as_str(), Some(ground.base.as_str()));
            commit
        } else {
            is_there = false;
            match self.start(repo, &ground, &trailer, &mut moves).await? {
                Ok(commit) => commit,
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
        Ok(self.due_tags(repo, &commit, wanted).await?.map(|tags| Planned { commit, is_there, moves, tags }))
    }

    /// The tags of a merge, those still to be made with their objects. What went out before an edit of the spec has the tags of
    /// then, as they went out.
    async fn due_tags(
        &self,
        repo: &Repo,
        commit: &CommitId,
        wanted: Vec<&TagSpec>,
    ) -> Result<Result<Vec<(RefName, Option<String>)>, MergeToBaseAnswer>, StoreError> {
        let prepared = if self.pushed.as_ref() == Some(commit) { self.prepared_tags(repo).await? } else { Vec::new() };
        let goes_on = !prepared.is_empty();
        let unmade = wanted.into_iter().filter(|tag| prepared.iter().all(|(name, _)| *name != tag.name));
        let unmade: Vec<&TagSpec> = unmade.collect();
        let mut tags = Vec::new();
        for (name, object) in prepared {
            match refs::find(repo, &name).await? {
                Some(found) if found == *commit => tags.push((name, None)),
                Some(_) => return Ok(Err(MergeToBaseAnswer::TagTaken { tag: name })),
                None => tags.push((name, Some(object))),
            }
        }
        for tag in unmade {
            match refs::find(repo, &tag.name).await? {
                Some(found) if found == *commit => tags.push((tag.name.clone(), None)),
                // A crash may have left less of what was prepared than was made: the rest is found, and nothing else is made.
                _ if goes_on => {}
                Some(_) => return Ok(Err(MergeToBaseAnswer::TagTaken { tag: tag.name.clone() })),
                None => tags.push((tag.name.clone(), Some(self.write_tag(repo, tag, commit).await?))),
            }
        }
        Ok(Ok(tags))
    }

    /// What the upstream has taken, if the base branch can go on to it: the merge of this head that was made for it.
    async fn taken(&self, repo: &Repo, base: &CommitId, trailer: &str) -> Result<Option<CommitId>, StoreError> {
        let Some(commit) = &self.pushed else { return Ok(None) };
        let facts = commit::read(repo, commit).await?;
        let is_it = facts.tree == self.tree && is_merge_of(&facts, &self.head, trailer);
        Ok((is_it && commit::is_on_line(repo, base, commit).await?).then(|| commit.clone()))
    }

    /// The tags that were made for the upstream, by name, as they went out.
    async fn prepared_tags(&self, repo: &Repo) -> Result<Vec<(RefName, String)>, StoreError> {
        let folder = format!("{}/tags/", flow::push_refs(&self.phase.uid)?);
        let found = refs::list(repo, &[&RefName::new(folder.trim_end_matches('/'))?]).await?;
        let tag = |(name, object): (RefName, String)| {
            let short = name.as_str().strip_prefix(&folder)?;
            Some((RefName::tag(short).ok()?, object))
        };
        Ok(found.into_iter().filter_map(tag).collect())
    }

    /// A phase comes from its release branch and is tagged; a rollback comes from a bugfix branch, and the tag stays
    /// where it is.
    fn require_ends(&self) -> Result<Vec<&TagSpec>, StoreError> {
        if self.rolls_back.is_none() {
            refs::require_release(&self.release)?;
            return require_tags(&self.tags);
        }
        rollback::require_bugfix("release", &self.release)?;
        if self.tags.is_empty() { Ok(Vec::new()) } else { Err(StoreError::invalid("tags", "a rollback has none")) }
    }

    /// The merge of this very head that is on the base branch already, or for a rollback another that took the merge back.
    async fn done(&self, repo: &Repo, base: &CommitId, trailer: &str) -> Result<Option<CommitId>, StoreError> {
        if let Some(merge) = &self.rolls_back
            && let Some(commit) = rollback::of(repo, merge, base).await?
        {
            return Ok(Some(commit));
        }
        let after = commit::line(repo, &self.head, base).await?;
        Ok(after.into_iter().find(|found| is_merge_of(found, &self.head, trailer)).map(|found| found.commit))
    }

    /// The same merge on the upstream, to which it was pushed before a crash: the base branch follows it.
    async fn seen_upstream(&self, repo: &Repo, ground: &Ground, trailer: &str) -> Result<Option<CommitId>, StoreError> {
        let Some(upstream) = &ground.upstream else { return Ok(None) };
        let Some(commit) = self.done(repo, upstream, trailer).await? else { return Ok(None) };
        let is_it = commit::read(repo, &commit).await?.tree == self.tree;
        Ok((is_it && commit::is_on_line(repo, &ground.base, &commit).await?).then_some(commit))
    }

    /// Checks every precondition, makes the merge commit and puts the move of the base branch first into the
    /// transaction: a crash in its midst leaves the merge, which a redo finds and completes.
    async fn start(
        &self,
        repo: &Repo,
        ground: &Ground,
        trailer: &str,
        transaction: &mut refs::Transaction,
    ) -> Result<Result<CommitId, MergeToBaseAnswer>, StoreError> {
        let base = &ground.base;
        let is_reviewed = match &ground.joined {
            Joint::At(joined) => *joined == self.expected_base,
            Joint::Apart(_) => *base == self.expected_base && ground.beneath(repo, &self.head).await?.is_some(),
        };
        if !is_reviewed {
            return Ok(Err(MergeToBaseAnswer::BaseMoved { base: base.clone() }));
        }
        if let Some(reason) = self.not_reviewed(repo).await? {
            return Ok(Err(MergeToBaseAnswer::NotReviewed { reason }));
        }
        let trailer = match (&ground.joined, &ground.upstream) {
            (Joint::Apart(_), Some(theirs)) => format!("{trailer}\n{}", ground::trailer(theirs)),
            (Joint::Apart(_) | Joint::At(_), _) => trailer.to_owned(),
        };
        let message = commit::message(&self.title, &self.body, &trailer);
        let parents = [&self.expected_base, &self.head];
        let commit = commit::create(repo, &self.tree, &parents, &message, &self.author).await?;
        transaction.update(&self.base, commit.as_str(), Some(base.as_str()));
        transaction.verify(&self.release, self.head.as_str());
        ground.pin(self.upstream.as_ref(), transaction);
        Ok(Ok(commit))
    }

    /// Why the reviewed commit is not what would reach the base branch, if so.
    async fn not_reviewed(&self, repo: &Repo) -> Result<Option<String>, StoreError> {
        let release = refs::find(repo, &self.release).await?;
        if release.as_ref() != Some(&self.head) {
            let at = release.map_or_else(|| "gone".to_owned(), |commit| format!("at {commit}"));
            return Ok(Some(format!("{} is {at}, not at the reviewed commit {}", self.release.short(), self.head)));
        }
        let tree = commit::read(repo, &self.head).await?.tree;
        if tree != self.tree {
            return Ok(Some(format!("the tree of {} is {tree}, not the reviewed {}", self.head, self.tree)));
        }
        let base = &self.expected_base;
        if !refs::is_ancestor(repo, base, &self.head).await? {
            return Ok(Some(format!("{} does not contain {base}, the head of {}", self.head, self.base.short())));
        }
        Ok(None)
    }

    async fn write_tag(&self, repo: &Repo, tag: &TagSpec, commit: &CommitId) -> Result<String, StoreError> {
        let text = tag.message.replace(['\0', '\r'], "");
        let object = format!(
            "object {commit}\ntype commit\ntag {}\ntagger {}\n\n{}\n",
            tag.name.short(),
            commit::ident(&self.author),
            commit::cut(&text, 16 << 10).trim_end()
        );
        Ok(Git::new(&repo.dir, "mktag").input(object).run().await?.text())
    }
}

/// The merge of this release branch, as it stands, that this phase made: whoever asks for more work on it has an older
/// record than the repository.
pub(super) async fn merged_before(
    repo: &Repo,
    phase_uid: &str,
    release: &RefName,
    head: &CommitId,
    base: &CommitId,
) -> Result<Option<MergedBefore>, StoreError> {
    if head == base {
        return Ok(None);
    }
    let trailer = phase_trailer(phase_uid);
    let after = commit::line(repo, head, base).await?;
    let Some(merge) = after.into_iter().find(|found| is_merge_of(found, head, &trailer)) else { return Ok(None) };
    let git = Git::new(&repo.dir, "for-each-ref").args(["--format=%(refname)", "--points-at", merge.commit.as_str()]);
    let tags = git.arg("refs/tags").run().await?.text();
    let tags: Vec<RefName> = tags.lines().map(RefName::new).collect::<Result<_, _>>()?;
    let tag = tags.iter().find(|tag| flow::completes(tag, release)).or(tags.first()).cloned();
    let score = notes::score(repo, &merge.commit).await?;
    let rollback = rollback::of(repo, &merge.commit, base).await?;
    Ok(Some(MergedBefore { commit: merge.commit, tag, score, rollback }))
}

/// The line by which the base branch says which phase a merge is of.
fn phase_trailer(uid: &str) -> String {
    format!("Phasegate-Phase: {uid}")
}

fn is_merge_of(found: &CommitFacts, head: &CommitId, trailer: &str) -> bool {
    found.parents.get(1) == Some(head) && commit::has_trailer(&found.message, trailer)
}

/// The newest common commit of the base branch and a release branch.
async fn contained(repo: &Repo, base: &CommitId, head: &CommitId) -> Result<CommitId, StoreError> {
    let answer = Git::new(&repo.dir, "merge-base").args([base.as_str(), head.as_str()]).run().await?.text();
    Ok(CommitId::new(answer.lines().next().unwrap_or_default())?)
}

/// A claim is a blob with the phase's key.
async fn write_claim(repo: &Repo, phase: &PhaseKey) -> Result<String, StoreError> {
    let text = serde_json::to_string(phase).map_err(|error| StoreError::invalid("phase", error.to_string()))?;
    Ok(Git::new(&repo.dir, "hash-object").args(["-w", "--stdin"]).input(text).run().await?.text())
}

/// Reads claims in one go; one that cannot be read is left out, and still holds its number.
pub(super) async fn holders(
    repo: &Repo,
    held: &BTreeMap<RefName, String>,
) -> Result<BTreeMap<RefName, PhaseKey>, StoreError> {
    let mut found = BTreeMap::new();
    for (name, blob) in held {
        let answer = Git::new(&repo.dir, "cat-file").args(["blob", blob]).limit(4096).run().await?;
        if let Ok(phase) = serde_json::from_slice(&answer.stdout) {
            found.insert(name.clone(), phase);
        }
    }
    Ok(found)
}

pub(super) fn require_phase(phase: &PhaseKey) -> Result<(), StoreError> {
    require_uid("phase.uid", &phase.uid)?;
    RepositoryId::new(&phase.namespace, &phase.name)
        .map(drop)
        .map_err(|error| StoreError::invalid("phase", error.to_string()))
}

fn require_tag(tag: &RefName) -> Result<(), StoreError> {
    if tag.as_str().starts_with("refs/tags/") {
        Ok(())
    } else {
        Err(StoreError::invalid("tag", format!("{tag} must be under refs/tags/")))
    }
}

/// At least one tag, each name once.
fn require_tags(tags: &[TagSpec]) -> Result<Vec<&TagSpec>, StoreError> {
    if !(1..=MAX_TAGS).contains(&tags.len()) {
        return Err(StoreError::invalid("tags", format!("there must be 1 to {MAX_TAGS}")));
    }
    let mut kept: Vec<&TagSpec> = Vec::new();
    for tag in tags {
        require_tag(&tag.name)?;
        if kept.iter().all(|other| other.name != tag.name) {
            kept.push(tag);
        }
    }
    Ok(kept)
}
