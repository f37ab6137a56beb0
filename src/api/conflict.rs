//! A merge that git could not make, as the developer who has to make it is told.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The work tree starts as what git could merge of two commits, with conflict markers where it could not.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TaskConflict {
    /// Where the other commit comes from.
    pub with: ConflictWith,
    /// The commit that does not merge into the one that the task starts from.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// The files, with what each side did to them; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub files: Vec<ConflictFile>,
    /// How many files conflict. None: the two merge by now.
    #[schemars(range(min = 0))]
    pub total: i64,
}

/// The other side of a conflict.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConflictWith {
    /// What was submitted for this very task before: others integrated their work first.
    OwnWork,
    /// The base branch, which others changed since the phase began.
    BaseBranch,
}

/// One file that git could not merge.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConflictFile {
    /// Path from the root.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// What git says of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// What is integrated already.
    pub integrated: FileSide,
    /// What the other commit did.
    pub other: FileSide,
}

/// What one side did to a file, against what both had before.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FileSide {
    /// What happened to it.
    pub change: SideChange,
    /// What it is. What is no text is not quoted.
    #[serde(default)]
    pub kind: SideKind,
    /// The change as a unified diff without its head, cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 8192))]
    pub diff: String,
    /// There was more of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What one side did to a file.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SideChange {
    /// Only this side has it; both may have added it.
    Added,
    /// It is another one.
    Modified,
    /// It is gone, or has another name.
    Deleted,
    /// It is as it was.
    Unchanged,
    /// It is not there, and was not before.
    Absent,
}

/// What a file is on one side.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SideKind {
    /// Text, or nothing.
    #[default]
    Text,
    /// Bytes that are no text.
    Binary,
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
}
