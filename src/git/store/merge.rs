//! Joins two commits into a tree, without a work tree and without moving anything.

use super::{Repo, StoreError};
use crate::git::{
    command::Git,
    names::{CommitId, TreeId},
    ops::Conflict,
};

/// Most paths of a conflict that are reported.
const MAX_PATHS: usize = 200;
/// Most messages of a conflict that are reported.
const MAX_MESSAGES: usize = 50;

/// What git made of two commits.
#[derive(Debug)]
pub(super) enum Joined {
    /// They join.
    Tree(TreeId),
    /// They do not.
    Conflict(Conflict),
}

/// Three-way merge of `theirs` into `ours`.
pub(super) async fn join(repo: &Repo, ours: &CommitId, theirs: &CommitId) -> Result<Joined, StoreError> {
    let git = Git::new(&repo.dir, "merge-tree").args(["--write-tree", "-z", "--name-only", "--messages"]);
    let answer = git.args([ours.as_str(), theirs.as_str()]).answer().await?;
    match answer.code {
        0 | 1 if !answer.truncated => {}
        _ if answer.stderr.contains("unrelated histories") => {
            let messages = vec![format!("{theirs} shares no history with {ours}")];
            return Ok(Joined::Conflict(Conflict { head: ours.clone(), paths: Vec::new(), messages }));
        }
        _ => return Err(answer.failed().into()),
    }
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let mut fields = text.split('\0');
    let tree = fields.next().unwrap_or_default().trim();
    if answer.code == 0 {
        return Ok(Joined::Tree(TreeId::new(tree)?));
    }
    let paths = fields.by_ref().take_while(|path| !path.is_empty()).take(MAX_PATHS).map(str::to_owned).collect();
    Ok(Joined::Conflict(Conflict { head: ours.clone(), paths, messages: messages(&text) }))
}

/// Messages follow an empty field; each is a number, so many paths, a type and the words.
fn messages(text: &str) -> Vec<String> {
    let Some((_, section)) = text.split_once("\0\0") else { return Vec::new() };
    let mut fields = section.split('\0');
    let mut found = Vec::new();
    while let Some(count) = fields.next().and_then(|field| field.parse::<usize>().ok()) {
        if found.len() == MAX_MESSAGES {
            break;
        }
        let Some(words) = fields.nth(count.saturating_add(1)) else { break };
        found.push(words.trim().chars().take(500).collect());
    }
    found
}
