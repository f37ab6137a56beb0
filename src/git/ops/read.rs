//! Operations that only look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CommitId, PhaseKey, RefName, Rev, TreeId};
use crate::api::{conflict::ConflictFile, evidence::GamingSign};

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

/// Signs that a change weakens what judges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GamingSigns {
    /// The old side.
    pub from: Rev,
    /// The new side.
    pub to: Rev,
    /// Git pathspecs of paths that only a person may change.
    pub protected_paths: Vec<String>,
    /// Ids of signs that a person has waived; where there is no room for all, the others are listed.
    #[serde(default)]
    pub accepted: Vec<String>,
}

/// Answer to [`GamingSigns`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GamingSignsAnswer {
    /// By kind and place; at most 100.
    pub signs: Vec<GamingSign>,
    /// How many there are.
    pub total: u64,
    /// There are more than are listed.
    pub truncated: bool,
}

/// What stands against a merge of two commits, file by file. Nothing moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflicts {
    /// The side that is integrated.
    pub ours: Rev,
    /// What is to come in.
    pub theirs: Rev,
    /// Most files wanted, up to [`Self::MAX_FILES`].
    pub max_files: usize,
    /// Most bytes that are quoted of one side of a file, up to [`Self::MAX_BYTES`].
    pub max_bytes: usize,
}

impl Conflicts {
    /// Most files of one answer.
    pub const MAX_FILES: usize = 20;
    /// Most bytes that are quoted of one side of a file.
    pub const MAX_BYTES: usize = 4 << 10;
}

/// Answer to [`Conflicts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictsAnswer {
    /// The side that is integrated.
    pub ours: CommitId,
    /// What is to come in.
    pub theirs: CommitId,
    /// The files in git's order.
    pub files: Vec<ConflictFile>,
    /// How many there are; 0 if the two merge.
    pub total: u64,
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
