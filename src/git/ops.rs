//! The typed operations of the git service: what is asked, and every answer there can be.
//!
//! `POST /ops/v1/{namespace}/{repository}/{operation}`, JSON both ways. Operations are idempotent and name the
//! commits they expect. A refused precondition is an answer; an error means that nothing can be said. Types only:
//! what they do is in `store`, who may call them in `auth`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use super::names::{CommitId, InvalidName, RefName, RepositoryId, Rev, TreeId};

/// The notes of the gate: one per merge commit on a base branch.
pub const GATE_NOTES: &str = "refs/notes/phasegate";

/// One operation: a request that knows its name and its answer.
pub trait Operation: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The last part of the path.
    const NAME: &'static str;
    /// What comes back.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// Ties a request to its path and its answer.
macro_rules! operations {
    ($($request:ident, $path:literal => $answer:ident;)*) => {
        $(impl Operation for $request {
            const NAME: &'static str = $path;
            type Answer = $answer;
        })*
    };
}

operations! {
    EnsureRepository, "ensure-repository" => EnsureRepositoryAnswer;
    ClaimRelease, "claim-release" => ClaimReleaseAnswer;
    Integrate, "integrate" => IntegrateAnswer;
    IntegrateBase, "integrate-base" => IntegrateBaseAnswer;
    MergeToBase, "merge-to-base" => MergeToBaseAnswer;
    Claims, "claims" => ClaimsAnswer;
    ArchiveRefs, "archive-refs" => ArchiveRefsAnswer;
    Heads, "heads" => HeadsAnswer;
    Commit, "commit" => CommitAnswer;
    ChangedFiles, "changed-files" => ChangedFilesAnswer;
    Diff, "diff" => DiffAnswer;
    Log, "log" => LogAnswer;
}

/// Who is written into a commit or tag, and when. From the record, never from a clock: a redo must give the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// A name; characters git has no place for are dropped.
    pub name: String,
    /// An e-mail address; likewise.
    pub email: String,
    /// Seconds since 1970-01-01 UTC, not negative.
    pub seconds: i64,
}

/// A phase as git remembers it: the UID decides whose claim it is, namespace and name whose gate note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseKey {
    /// `metadata.uid` of the Phase.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A reference that must still be at this commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pinned {
    /// The reference.
    pub name: RefName,
    /// Where it must be.
    pub commit: CommitId,
}

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

/// All claims of phases in a repository, so that those of phases that are gone can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {}

/// Answer to [`Claims`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimsAnswer {
    /// Claim to holder.
    pub claims: BTreeMap<RefName, PhaseKey>,
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

/// References below a prefix and the commits they point to (tags are peeled; a claim is no commit and is left out).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heads {
    /// A full name, or a part of one up to a slash: `refs/heads`, `refs/tags`.
    pub prefix: RefName,
}

/// Answer to [`Heads`]; at most 10 000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadsAnswer {
    /// Name to commit.
    pub refs: BTreeMap<RefName, CommitId>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Which.
    pub rev: Rev,
}

/// Answer to [`Commit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all_fields = "camelCase")]
pub enum CommitAnswer {
    /// Here it is.
    Found(CommitFacts),
    /// There is no such commit or reference.
    Missing,
}

/// What is written in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitFacts {
    /// Its id.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// Its parents in order.
    pub parents: Vec<CommitId>,
    /// Author's name.
    pub author: String,
    /// Author's date, seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// The whole message, cut at 64 KiB.
    pub message: String,
}

/// Files that differ between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFiles {
    /// The old side.
    pub from: Rev,
    /// The new side.
    pub to: Rev,
}

/// Answer to [`ChangedFiles`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFilesAnswer {
    /// In git's order; at most 5 000.
    pub files: Vec<ChangedFile>,
    /// There were more.
    pub truncated: bool,
}

/// One file that differs. A rename is a deletion and an addition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFile {
    /// Path from the root; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What happened to it.
    pub change: Change,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Only the new side has it.
    Added,
    /// Both have it, with other content or mode.
    Modified,
    /// Only the old side has it.
    Deleted,
}

/// A unified diff between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// The old side.
    pub from: Rev,
    /// The new side.
    pub to: Rev,
    /// Most bytes wanted; 4 MiB is the limit.
    pub max_bytes: usize,
}

/// Answer to [`Diff`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffAnswer {
    /// The diff; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// There was more.
    pub truncated: bool,
}

/// Commits of `to` that are not in `from`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Left out with all it contains; none: from the beginning.
    #[serde(default)]
    pub from: Option<Rev>,
    /// Where to start.
    pub to: Rev,
    /// Follow first parents only.
    #[serde(default)]
    pub first_parent: bool,
    /// Most commits wanted; 1 000 is the limit.
    pub limit: usize,
}

/// Answer to [`Log`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogAnswer {
    /// Newest first.
    pub commits: Vec<CommitFacts>,
}

/// Body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// What kind.
    pub code: ErrorCode,
    /// In words, with the remedy.
    pub message: String,
}

/// Kinds of errors, for callers that act on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The request breaks a rule; the same request will fail again.
    Invalid,
    /// Who are you?
    Unauthenticated,
    /// Not you, or not this.
    Forbidden,
    /// No such repository, reference or commit.
    NotFound,
    /// Try again in a moment.
    Busy,
    /// The service failed; its log says more.
    Internal,
}
