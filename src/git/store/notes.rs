//! Gate notes: what a gate found, beside the merge commit it let through. Readable with `git notes --ref phasegate`.

use super::{Repo, StoreError, commit, refs};
use crate::git::{
    command::Git,
    flow,
    names::{CommitId, RefName, TreeId},
    ops::{GATE_NOTES, PhaseKey, Signature},
};

/// Most bytes kept of a note.
const MAX_NOTE: usize = 64 << 10;

/// The line by which a phase knows its note again, even after its object was deleted and made anew.
fn key_line(phase: &PhaseKey) -> String {
    format!("Phasegate-Gate: {}/{}", phase.namespace, phase.name)
}

/// The line by which it says from which branch the merge came.
fn branch_line(branch: &RefName) -> String {
    format!("Phasegate-Branch: {}", branch.short())
}

/// Whether the gate note of `commit` is this phase's, with this release branch. A phase that was raised to another version
/// has another branch, and is known by its number; the tag of a hotfix could be that of a phase of the same name.
pub(super) async fn is_of(
    repo: &Repo,
    commit: &CommitId,
    phase: &PhaseKey,
    release: &RefName,
) -> Result<bool, StoreError> {
    let Some(note) = read(repo, commit).await? else { return Ok(false) };
    let same_branch = !flow::is_hotfix(release) || commit::has_trailer(&note, &branch_line(release));
    Ok(same_branch && commit::has_trailer(&note, &key_line(phase)))
}

/// Whether a commit has a gate note. Nobody but the service can write one.
pub(super) async fn is_noted(repo: &Repo, commit: &CommitId) -> Result<bool, StoreError> {
    Ok(read(repo, commit).await?.is_some())
}

/// The score that the gate note of a commit names: the line `Score: 9.61`. Anything else there is no score.
pub(super) async fn score(repo: &Repo, commit: &CommitId) -> Result<Option<String>, StoreError> {
    let note = read(repo, commit).await?.unwrap_or_default();
    let score = note.lines().find_map(|line| line.strip_prefix("Score: ")).unwrap_or_default();
    let is_score = (1..=8).contains(&score.len())
        && score.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && score.starts_with(|first: char| first.is_ascii_digit());
    Ok(is_score.then(|| score.to_owned()))
}

/// The gate note of a commit. Notes lie flat in their tree, because only the service writes them.
async fn read(repo: &Repo, commit: &CommitId) -> Result<Option<String>, StoreError> {
    let git = Git::new(&repo.dir, "cat-file").arg("--batch").input(format!("{GATE_NOTES}:{commit}\n"));
    let answer = git.run().await?.text();
    Ok(answer.split_once('\n').filter(|(head, _)| head.contains(" blob ")).map(|(_, note)| note.to_owned()))
}

/// Adds the note of a merge from `release` to a transaction, unless the commit has one.
pub(super) async fn add(
    repo: &Repo,
    transaction: &mut refs::Transaction,
    commit: &CommitId,
    text: &str,
    phase: &PhaseKey,
    release: &RefName,
    author: &Signature,
) -> Result<(), StoreError> {
    if read(repo, commit).await?.is_some() {
        return Ok(());
    }
    let notes = RefName::new(GATE_NOTES)?;
    let old = refs::find(repo, &notes).await?;
    let text = commit::cut(&text.replace('\0', ""), MAX_NOTE).trim_end().to_owned();
    let note = format!("{text}\n\n{}\n{}\n", key_line(phase), branch_line(release));
    let blob = Git::new(&repo.dir, "hash-object").args(["-w", "--stdin"]).input(note).run().await?.text();
    let mut entries = match &old {
        Some(old) => Git::new(&repo.dir, "ls-tree").args(["-z", old.as_str()]).run().await?.stdout,
        None => Vec::new(),
    };
    entries.extend_from_slice(format!("100644 blob {blob}\t{commit}\0").as_bytes());
    let tree = TreeId::new(Git::new(&repo.dir, "mktree").arg("-z").input(entries).run().await?.text())?;
    let message = format!("Gate note of {}/{}\n", phase.namespace, phase.name);
    let parents: Vec<&CommitId> = old.iter().collect();
    let new = commit::create(repo, &tree, &parents, &message, author).await?;
    transaction.update(&notes, new.as_str(), old.as_ref().map(CommitId::as_str));
    Ok(())
}
