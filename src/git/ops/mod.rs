//! The typed operations of the git service: what is asked, and every answer there can be.
//!
//! `POST /ops/v1/{namespace}/{repository}/{operation}`, JSON both ways. Operations are idempotent and name the
//! commits they expect. A refused precondition is an answer; an error means that nothing can be said. Types only:
//! what they do is in `store`, who may call them in `auth`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod read;
mod write;

pub use super::names::{CommitId, InvalidName, RefName, RepositoryId, Rev, TreeId};

pub use read::*;
pub use write::*;

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

        /// Names of all operations.
        pub const NAMES: &[&str] = &[$($path),*];
    };
}

operations! {
    EnsureRepository, "ensure-repository" => EnsureRepositoryAnswer;
    ClaimRelease, "claim-release" => ClaimReleaseAnswer;
    Integrate, "integrate" => IntegrateAnswer;
    IntegrateBase, "integrate-base" => IntegrateBaseAnswer;
    MergeToBase, "merge-to-base" => MergeToBaseAnswer;
    PreparePush, "prepare-push" => PreparePushAnswer;
    Revert, "revert" => RevertAnswer;
    Claims, "claims" => ClaimsAnswer;
    ArchiveRefs, "archive-refs" => ArchiveRefsAnswer;
    Heads, "heads" => HeadsAnswer;
    Commit, "commit" => CommitAnswer;
    ChangedFiles, "changed-files" => ChangedFilesAnswer;
    Diff, "diff" => DiffAnswer;
    GamingSigns, "gaming-signs" => GamingSignsAnswer;
    Conflicts, "conflicts" => ConflictsAnswer;
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
