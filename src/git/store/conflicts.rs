//! What each side of a merge did to the files that git cannot merge: a read, bounded in files and bytes.

use std::collections::BTreeMap;

use super::{Execute, Repo, StoreError, refs};
use crate::{
    api::conflict::{ConflictFile, FileSide, SideChange, SideKind},
    git::{
        command::Git,
        ops::{Conflicts, ConflictsAnswer},
    },
};

/// Most characters kept of git's words about a file, and of its path.
const MAX_WORDS: usize = 1000;
/// Bytes in which git looks for a NUL to tell binary files.
const SNIFFED: usize = 8000;
const LINK: &str = "120000";
const SUBMODULE: &str = "160000";

impl Execute for Conflicts {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<ConflictsAnswer, StoreError> {
        let (ours, theirs) = (refs::require(repo, &self.ours).await?, refs::require(repo, &self.theirs).await?);
        // Commits that share no history conflict in whatever both have: there is nothing that both had before.
        let git = Git::new(&repo.dir, "merge-tree").args(["--write-tree", "-z", "--messages"]);
        let git = git.args(["--allow-unrelated-histories", ours.as_str(), theirs.as_str()]);
        let answer = git.answer().await?;
        let merged = match answer.code {
            0 if !answer.truncated => return Ok(ConflictsAnswer { ours, theirs, files: Vec::new(), total: 0 }),
            1 if !answer.truncated => Merged::read(&answer.stdout),
            _ => return Err(answer.failed().into()),
        };
        let total = u64::try_from(merged.files.len()).unwrap_or(u64::MAX);
        let mut files = Vec::new();
        for (path, stages) in merged.files.iter().take(self.max_files.min(Self::MAX_FILES)) {
            let message = merged.words_about(path);
            let quote = self.max_bytes.min(Self::MAX_BYTES);
            let integrated = side(repo, stages.base.as_ref(), stages.ours.as_ref(), quote).await?;
            let other = side(repo, stages.base.as_ref(), stages.theirs.as_ref(), quote).await?;
            files.push(ConflictFile { path: cut(path), message, integrated, other });
        }
        Ok(ConflictsAnswer { ours, theirs, files, total })
    }
}

/// What git says of a merge that conflicts.
#[derive(Debug, Default)]
struct Merged {
    files: BTreeMap<String, Stages>,
    /// The files and the words of each conflict.
    messages: Vec<(Vec<String>, String)>,
}

/// A file before, and on both sides.
#[derive(Debug, Default)]
struct Stages {
    base: Option<Entry>,
    ours: Option<Entry>,
    theirs: Option<Entry>,
}

/// Mode and object of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: String,
    object: String,
}

impl Merged {
    /// The tree, then `mode object stage<TAB>path` for each stage of each file, an empty field, and the messages: the
    /// number of paths, the paths, a type, and the words.
    fn read(stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let mut fields = text.split('\0').skip(1);
        let mut merged = Self::default();
        for field in fields.by_ref().take_while(|field| !field.is_empty()) {
            merged.add(field);
        }
        while let Some(count) = fields.next().and_then(|field| field.parse::<usize>().ok()) {
            let paths: Vec<String> = fields.by_ref().take(count).map(str::to_owned).collect();
            let (kind, words) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            if kind.starts_with("CONFLICT") {
                merged.messages.push((paths, words.trim().to_owned()));
            }
        }
        merged
    }

    fn add(&mut self, field: &str) {
        let Some((facts, path)) = field.split_once('\t') else { return };
        let [mode, object, stage] = facts.split(' ').collect::<Vec<_>>()[..] else { return };
        let stages = self.files.entry(path.to_owned()).or_default();
        let place = match stage {
            "1" => &mut stages.base,
            "2" => &mut stages.ours,
            _ => &mut stages.theirs,
        };
        *place = Some(Entry { mode: mode.to_owned(), object: object.to_owned() });
    }

    fn words_about(&self, path: &str) -> String {
        let about = self.messages.iter().filter(|(paths, _)| paths.iter().any(|named| named == path));
        cut(&about.map(|(_, words)| words.as_str()).collect::<Vec<_>>().join(" "))
    }
}

async fn side(repo: &Repo, before: Option<&Entry>, now: Option<&Entry>, quote: usize) -> Result<FileSide, StoreError> {
    let change = match (before, now) {
        (None, None) => SideChange::Absent,
        (None, Some(_)) => SideChange::Added,
        (Some(_), None) => SideChange::Deleted,
        (Some(before), Some(now)) if before == now => SideChange::Unchanged,
        (Some(_), Some(_)) => SideChange::Modified,
    };
    let named = |kind| FileSide { change, kind, diff: String::new(), truncated: false };
    let Some(now) = now.filter(|_| change != SideChange::Unchanged) else { return Ok(named(SideKind::Text)) };
    match (now.mode.as_str(), before) {
        (LINK, _) => Ok(named(SideKind::Link)),
        (SUBMODULE, _) => Ok(named(SideKind::Submodule)),
        (_, Some(before)) if before.mode != LINK && before.mode != SUBMODULE => {
            let quoted = changed(repo, before, now, quote).await?;
            Ok(quoted.map_or_else(
                || named(SideKind::Binary),
                |(diff, truncated)| FileSide { diff, truncated, ..named(SideKind::Text) },
            ))
        }
        (_, _) => {
            let quoted = added(repo, now, quote).await?;
            Ok(quoted.map_or_else(
                || named(SideKind::Binary),
                |(diff, truncated)| FileSide { diff, truncated, ..named(SideKind::Text) },
            ))
        }
    }
}

/// The hunks from one content to the other; none if one of them is no text. A mode that changed alone has no hunks.
async fn changed(repo: &Repo, before: &Entry, now: &Entry, quote: usize) -> Result<Option<(String, bool)>, StoreError> {
    let git = Git::new(&repo.dir, "diff").args(["--no-color", "--no-ext-diff", "--no-textconv", "--unified=3"]);
    // The head of the diff has two ids in full and is not quoted.
    let answer = git.args([&before.object, &now.object]).limit(quote.saturating_add(1 << 10)).answer().await?;
    if answer.code != 0 && !answer.truncated {
        return Err(answer.failed().into());
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    let Some(start) = text.find("\n@@ ") else {
        return Ok((!text.contains("\nBinary files ")).then(|| (String::new(), false)));
    };
    Ok(Some(quoted(&text[start + 1..], quote, answer.truncated)))
}

/// A new content, as a diff has it; none if it is no text.
async fn added(repo: &Repo, now: &Entry, quote: usize) -> Result<Option<(String, bool)>, StoreError> {
    let git = Git::new(&repo.dir, "cat-file").args(["blob", &now.object]).limit(quote.max(SNIFFED));
    let answer = git.answer().await?;
    if answer.code != 0 && !answer.truncated {
        return Err(answer.failed().into());
    }
    if answer.stdout.iter().take(SNIFFED).any(|byte| *byte == 0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    let lines: String = text.lines().flat_map(|line| ["+", line, "\n"]).collect();
    Ok(Some(quoted(&lines, quote, answer.truncated)))
}

/// Whole lines where there are any.
fn quoted(text: &str, quote: usize, more: bool) -> (String, bool) {
    let text = text.replace('\0', "\u{fffd}");
    if text.len() <= quote && !more {
        return (text, false);
    }
    let kept = super::commit::cut(&text, quote);
    let kept = kept.rfind('\n').map_or(kept, |end| &kept[..=end]);
    (kept.to_owned(), true)
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}
