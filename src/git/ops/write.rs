//! Operations that change a repository, each safe to repeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CommitId, PhaseKey, RefName, Signature, TreeId};

/// Creates the repository if it is missing, and its base branch. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnsureRepository {
    /// The base branch.
    pub base: RefName,
    /// There is an upstream: the base branch starts at `refs/upstream/heads/…`, not at an empty commit.
    #[serde(default)]
    pub upstream: bool,
}

/// Answer to [`EnsureRepository`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum EnsureRepositoryAnswer {
    /// The base branch is there.
    Ready {
        /// Its head.
        base: CommitId,
    },
    /// The repository is there and waits for the first sync to push `refs/upstream/heads/…`.
    AwaitingUpstream,
}

/// Claims a phase's number and starts its release branch at the base branch, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRelease {
    /// The phase that claims.
    pub phase: PhaseKey,
    /// Its release branch, `refs/heads/release/phase-{N}-v{version}`.
    pub release: RefName,
    /// The base branch.
    pub base: RefName,
    /// The upstream's copy of the base branch, `refs/upstream/heads/…`: what its people added since comes in with it.
    #[serde(default)]
    pub upstream: Option<RefName>,
    /// The claim, `refs/phasegate/claims/phase-{N}`.
    pub claim: RefName,
    /// The tag that completes the phase, `refs/tags/phase-{N}-v{version}`.
    pub tag: RefName,
    /// The phase was rolled back: its new release branch starts with what that took away.
    #[serde(default)]
    pub reapply: Option<Reapply>,
}

/// The start of a release branch after a rollback: the revert of the revert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reapply {
    /// The commit on the base branch that took the phase back.
    pub rollback: CommitId,
    /// First line of the message.
    pub title: String,
    /// Author and date.
    pub author: Signature,
}

/// Answer to [`ClaimRelease`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum ClaimReleaseAnswer {
    /// The claim is this phase's, now or from before.
    Claimed {
        /// Head of the release branch.
        head: CommitId,
        /// The newest commit of the base branch, or of the upstream, that the release branch contains.
        base: CommitId,
        /// What of this phase the release branch holds already.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        works: Works,
    },
    /// The tag and its gate note for this namespace and name are on the base branch already.
    Adopted {
        /// The merge commit on the base branch.
        commit: CommitId,
        /// The tag.
        tag: RefName,
        /// The score that the note names, such as `9.61`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<String>,
    },
    /// It was merged and tagged, and taken back since: the tag stays, so that the version has to be raised.
    RolledBack {
        /// The merge commit on the base branch.
        commit: CommitId,
        /// The tag.
        tag: RefName,
        /// The commit on the base branch that took it back.
        rollback: CommitId,
    },
    /// What a rollback took away does not join what came after it.
    Conflict(Conflict),
    /// Another phase holds the number or the branch.
    NumberTaken {
        /// Who; unknown if the branch exists without a claim.
        by: Option<PhaseKey>,
    },
    /// The tag exists and is not this phase's.
    TagTaken {
        /// The tag.
        tag: RefName,
    },
}

/// What a release branch holds, by trailer `Phasegate-Work`: name of the `AgentTask`, and the commit that brought it in. A phase
/// whose record is older than the repository must not hand it out again.
pub type Works = BTreeMap<String, CommitId>;

/// How a branch joins (seed, Merge Strategy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeKind {
    /// One commit with one parent: features.
    Squash,
    /// A merge commit: bugfixes.
    Merge,
}

/// Brings one submitted commit into the release branch. The commit carries the trailers `Phasegate-Task: uid/run`, by
/// which a redo finds it, and `Phasegate-Work: phase UID/task`, by which it is found though the record of the run is lost,
/// as after the restore of an older backup of the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integrate {
    /// The release branch.
    pub release: RefName,
    /// The base branch; the search for earlier work ends there.
    pub base: RefName,
    /// The upstream's copy of the base branch, `refs/upstream/heads/…`: what its people added since comes in with it.
    #[serde(default)]
    pub upstream: Option<RefName>,
    /// If set, the release branch must be there.
    #[serde(default)]
    pub expected_head: Option<CommitId>,
    /// The submitted commit (not a branch: a branch may move).
    pub source: CommitId,
    /// How.
    pub kind: MergeKind,
    /// The source is the merge of this commit of the base branch by a developer, where git could not: it becomes a parent, so
    /// that the base branch is in. One that the base branch does not hold any more is a conflict.
    #[serde(default)]
    pub resolves: Option<CommitId>,
    /// `metadata.uid` of the `AgentTask`.
    pub task_uid: String,
    /// Its run.
    pub run: u32,
    /// `metadata.uid` of the phase.
    pub phase_uid: String,
    /// Name of the `AgentTask`, the same whenever the same work is handed out; empty if a person pushed the commit.
    pub work: String,
    /// First line of the message, at most 200 characters are kept.
    pub title: String,
    /// The rest of the message, may be empty; at most 16 KiB are kept.
    #[serde(default)]
    pub body: String,
    /// Author and date.
    pub author: Signature,
}

/// Answer to [`Integrate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum IntegrateAnswer {
    /// It is in, now or from before.
    Integrated {
        /// The commit that brought it in.
        commit: CommitId,
        /// Head of the release branch now.
        head: CommitId,
        /// Tree of that head.
        tree: TreeId,
        /// What of this phase the release branch holds.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        works: Works,
    },
    /// Git cannot join the two.
    Conflict(Conflict),
    /// The release branch is not where the caller thought.
    Stale {
        /// Where it is.
        head: CommitId,
    },
    /// The phase has merged this release branch: its record is older than the repository.
    Merged(MergedBefore),
}

/// The merge of a release branch that is on the base branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergedBefore {
    /// The merge commit.
    pub commit: CommitId,
    /// The tag that completed the phase; none if a crash came first.
    pub tag: Option<RefName>,
    /// The score that the gate note names.
    pub score: Option<String>,
    /// The commit that took it back since.
    pub rollback: Option<CommitId>,
}

/// What stands against a merge. Bounded: 200 paths, 50 messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Head of the release branch that was tried.
    pub head: CommitId,
    /// Files both sides changed.
    pub paths: Vec<String>,
    /// Git's own words.
    pub messages: Vec<String>,
}

/// Brings the base branch, and what the upstream's people added to theirs, into the release branch, so that both are
/// ancestors of its head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrateBase {
    /// The release branch.
    pub release: RefName,
    /// The base branch.
    pub base: RefName,
    /// The upstream's copy of the base branch, `refs/upstream/heads/…`: what its people added since comes in with it.
    #[serde(default)]
    pub upstream: Option<RefName>,
    /// If set, the release branch must be there.
    #[serde(default)]
    pub expected_head: Option<CommitId>,
    /// `metadata.uid` of the phase.
    pub phase_uid: String,
    /// First line of the merge commit's message.
    pub title: String,
    /// Author and date.
    pub author: Signature,
}

/// Answer to [`IntegrateBase`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum IntegrateBaseAnswer {
    /// The release branch contained it already.
    UpToDate {
        /// Head of the release branch.
        head: CommitId,
        /// Its tree.
        tree: TreeId,
        /// What it is compared with: the head of the base branch that it contains, or that joined with the upstream.
        base: CommitId,
        /// What the release branch changes: SHA-256 over path, mode and content of each changed file, before and after.
        patch: String,
    },
    /// A merge commit was added.
    Integrated {
        /// Head of the release branch now.
        head: CommitId,
        /// Its tree.
        tree: TreeId,
        /// What it is compared with: the head of the base branch that it contains, or that joined with the upstream.
        base: CommitId,
        /// What the release branch changes: SHA-256 over path, mode and content of each changed file, before and after.
        patch: String,
    },
    /// Git cannot join the two.
    Conflict {
        /// What does not come in: the head of the base branch, or that joined with the upstream, or the upstream's.
        base: CommitId,
        /// What stands against it.
        #[serde(flatten)]
        conflict: Conflict,
    },
    /// The release branch is not where the caller thought.
    Stale {
        /// Where it is.
        head: CommitId,
    },
    /// The phase has merged this release branch: its record is older than the repository.
    Merged(MergedBefore),
}

/// An annotated tag to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagSpec {
    /// `refs/tags/…`.
    pub name: RefName,
    /// Its message.
    pub message: String,
}

/// Makes the commit that takes a merge back, on top of the base branch, and puts a bugfix branch there. Nothing reaches
/// the base branch: that is [`MergeToBase`] with `rolls_back`, once the checks have passed on exactly this tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// The phase that is taken back.
    pub phase: PhaseKey,
    /// Its merge commit on the base branch.
    pub merge: CommitId,
    /// The base branch.
    pub base: RefName,
    /// The upstream's copy of the base branch, `refs/upstream/heads/…`: what its people added since comes in with it.
    #[serde(default)]
    pub upstream: Option<RefName>,
    /// Where the revert goes, `refs/heads/bugfix/phase-{N}-rollback-v{version}`. Commits of anybody else that are there
    /// are archived.
    pub branch: RefName,
    /// UID of the Decision that ordered it.
    pub order: String,
    /// The order is given up for good, unless it is done: the branch goes, and whoever comes late cannot put it back.
    #[serde(default)]
    pub give_up: bool,
    /// First line of the message.
    pub title: String,
    /// Author and date.
    pub author: Signature,
}

/// Answer to [`Revert`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum RevertAnswer {
    /// The branch stands at the revert, now or from before.
    Reverted {
        /// The revert.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
        /// Its parent: the head of the base branch, or that joined with the upstream.
        base: CommitId,
    },
    /// The base branch holds the rollback already.
    Done {
        /// The commit that took the merge back.
        commit: CommitId,
    },
    /// What came after the merge changed the same lines.
    Conflict(Conflict),
    /// The base branch does not hold the merge.
    NotMerged,
    /// The upstream came in with the merge, because git could not join the two: a plain revert would take both away.
    WithUpstream {
        /// What came in.
        upstream: CommitId,
    },
    /// The order is given up, now or from before: the merge stands.
    GivenUp,
}

/// Moves the base branch: a merge commit with exactly the reviewed tree, its tags and its gate note, in one
/// transaction. The commit carries the trailer `Phasegate-Phase: uid`, or `Phasegate-Rollback: merge commit`, by which a
/// redo finds it. The release branch stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergeToBase {
    /// The phase that merges.
    pub phase: PhaseKey,
    /// The release branch, or the bugfix branch of a rollback; it must still be at `head`.
    pub release: RefName,
    /// It takes this merge back: there is no tag then, and it is done once, whatever commit did it.
    #[serde(default)]
    pub rolls_back: Option<CommitId>,
    /// The reviewed commit.
    pub head: CommitId,
    /// The reviewed tree.
    pub tree: TreeId,
    /// The base branch.
    pub base: RefName,
    /// What was compared with: the base branch as it must be, or the commit that joins it with the upstream. An ancestor
    /// of `head`, and the first parent of the merge.
    pub expected_base: CommitId,
    /// The upstream's copy of the base branch: it must not have moved either, unless it holds this very merge.
    #[serde(default)]
    pub upstream: Option<RefName>,
    /// What [`PreparePush`] made and the upstream has: this very commit and its tags reach the base branch, whatever the other
    /// fields would come to by now. It cannot be called back.
    #[serde(default)]
    pub pushed: Option<CommitId>,
    /// The annotated tags, the phase's own first; at most 10, and none for a rollback.
    pub tags: Vec<TagSpec>,
    /// First line of the merge commit's message.
    pub title: String,
    /// The rest of the message, may be empty.
    #[serde(default)]
    pub body: String,
    /// Text of the gate note; at most 64 KiB are kept.
    pub note: String,
    /// Author, tagger and date.
    pub author: Signature,
}

/// Makes everything that [`MergeToBase`] would, beside the base branch, so that it can be pushed to the upstream first. Doing
/// it again gives the same commit and tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparePush {
    /// The merge that follows once the upstream has it.
    pub merge: MergeToBase,
}

/// Answer to [`PreparePush`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum PreparePushAnswer {
    /// The merge commit and its tags can be fetched.
    Prepared {
        /// The merge commit, at `refs/phasegate/push/{phase UID}/head`.
        commit: CommitId,
        /// The tag objects, at `refs/phasegate/push/{phase UID}/{tag}`.
        tags: BTreeMap<RefName, String>,
    },
    /// There is nothing to push, and why.
    Settled {
        /// What [`MergeToBase`] answers.
        merge: MergeToBaseAnswer,
    },
}

/// Answer to [`MergeToBase`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum MergeToBaseAnswer {
    /// Done, now or from before.
    Merged {
        /// The merge commit on the base branch.
        commit: CommitId,
        /// The tags on it.
        tags: Vec<RefName>,
    },
    /// The base branch, or the upstream, is elsewhere: review again on top of it.
    BaseMoved {
        /// Head of the base branch.
        base: CommitId,
    },
    /// A tag of that name exists and is not this phase's.
    TagTaken {
        /// The tag.
        tag: RefName,
    },
    /// What was asked for is not what was reviewed; nothing was changed.
    NotReviewed {
        /// Why, in words.
        reason: String,
    },
}

/// Moves references of an owner that is gone to `refs/phasegate/archive/{uid}/…`, in one transaction. Only branches of
/// the flow and `refs/phasegate/{claims,wip,logs}/…` can be archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRefs {
    /// `metadata.uid` of the owner that is gone.
    pub owner_uid: String,
    /// Each stands for itself and all below it (`name/…`); one that ends with a dash for all that start with it. At most
    /// 100. What does not exist is passed over.
    pub refs: Vec<RefName>,
}

/// Answer to [`ArchiveRefs`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRefsAnswer {
    /// Old name to new name, those moved now.
    pub archived: BTreeMap<RefName, RefName>,
}
