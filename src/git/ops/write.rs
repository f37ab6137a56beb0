//! Operations that change a repository, each safe to repeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CommitId, PhaseKey, Pinned, RefName, Signature, TreeId};

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
    /// The claim, `refs/phasegate/claims/phase-{N}`.
    pub claim: RefName,
    /// The tag that completes the phase, `refs/tags/phase-{N}-v{version}`.
    pub tag: RefName,
}

/// Answer to [`ClaimRelease`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum ClaimReleaseAnswer {
    /// The claim is this phase's, now or from before.
    Claimed {
        /// Head of the release branch.
        head: CommitId,
        /// The newest commit of the base branch that the release branch contains.
        base: CommitId,
    },
    /// The tag and its gate note for this namespace and name are on the base branch already.
    Adopted {
        /// The merge commit on the base branch.
        commit: CommitId,
        /// The tag.
        tag: RefName,
    },
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

/// How a branch joins (seed, Merge Strategy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeKind {
    /// One commit with one parent: features.
    Squash,
    /// A merge commit: bugfixes.
    Merge,
}

/// Brings one submitted commit into the release branch. The commit carries the trailer `Phasegate-Task: uid/run`,
/// by which a redo finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integrate {
    /// The release branch.
    pub release: RefName,
    /// The base branch; the search for earlier work ends there.
    pub base: RefName,
    /// If set, the release branch must be there.
    #[serde(default)]
    pub expected_head: Option<CommitId>,
    /// The submitted commit (not a branch: a branch may move).
    pub source: CommitId,
    /// How.
    pub kind: MergeKind,
    /// `metadata.uid` of the `AgentTask`.
    pub task_uid: String,
    /// Its run.
    pub run: u32,
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
    },
    /// Git cannot join the two.
    Conflict(Conflict),
    /// The release branch is not where the caller thought.
    Stale {
        /// Where it is.
        head: CommitId,
    },
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

/// Brings the base branch (or `refs/upstream/heads/…`) into the release branch, so that it is an ancestor of its head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrateBase {
    /// The release branch.
    pub release: RefName,
    /// What to bring in.
    pub base: RefName,
    /// If set, the release branch must be there.
    #[serde(default)]
    pub expected_head: Option<CommitId>,
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
        /// Head of the base branch that it contains.
        base: CommitId,
    },
    /// A merge commit was added.
    Integrated {
        /// Head of the release branch now.
        head: CommitId,
        /// Its tree.
        tree: TreeId,
        /// Head of the base branch that it contains.
        base: CommitId,
    },
    /// Git cannot join the two.
    Conflict(Conflict),
    /// The release branch is not where the caller thought.
    Stale {
        /// Where it is.
        head: CommitId,
    },
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

/// Moves the base branch: a merge commit with exactly the reviewed tree, its tags and its gate note, in one
/// transaction. The commit carries the trailer `Phasegate-Phase: uid`, by which a redo finds it. The release branch stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergeToBase {
    /// The phase that merges.
    pub phase: PhaseKey,
    /// The release branch; it must still be at `head`.
    pub release: RefName,
    /// The reviewed commit.
    pub head: CommitId,
    /// The reviewed tree.
    pub tree: TreeId,
    /// The base branch.
    pub base: RefName,
    /// Where the base branch must be; an ancestor of `head`.
    pub expected_base: CommitId,
    /// Other references that must not have moved, such as `refs/upstream/heads/main`.
    #[serde(default)]
    pub unmoved: Vec<Pinned>,
    /// The annotated tags, the phase's own first; at most 10.
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
    /// The base branch, or one of `unmoved`, is elsewhere: review again on top of it.
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
