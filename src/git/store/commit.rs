//! Reads and writes commits. Same input, same id: dates and names come from the record.

use super::{Repo, StoreError, refs};
use crate::git::{
    command::Git,
    names::{CommitId, TreeId},
    ops::{CommitFacts, Signature},
};

/// Who makes every commit of the service; the author is whoever did the work.
const COMMITTER: (&str, &str) = ("phasegate", "git@phasegate.dev");
/// Most bytes of a message that are handed out.
const MAX_MESSAGE: usize = 64 << 10;
/// Most characters kept of a first line.
const MAX_TITLE: usize = 200;
/// Most bytes kept of a body.
const MAX_BODY: usize = 16 << 10;
/// One commit in the answer of `git log -z`: six fields, a line each, the message last.
const FORMAT: &str = "--format=%H%n%T%n%P%n%an%n%at%n%B";

/// A message: one line, the body, and a paragraph of trailers of ours at the end, where `has_trailer` looks.
pub(super) fn message(title: &str, body: &str, trailer: &str) -> String {
    let clean: String = title
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let title: String = clean.chars().take(MAX_TITLE).collect();
    let title = if title.is_empty() { "Integrate".to_owned() } else { title };
    let body = cut(&body.replace(['\0', '\r'], ""), MAX_BODY).trim().to_owned();
    if body.is_empty() { format!("{title}\n\n{trailer}\n") } else { format!("{title}\n\n{body}\n\n{trailer}\n") }
}

/// Whether the last paragraph of a message holds this line.
pub(super) fn has_trailer(message: &str, trailer: &str) -> bool {
    trailers(message).any(|line| line == trailer)
}

/// What the last paragraph of a message says of `key`, if it does.
pub(super) fn trailer<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    trailers(message).find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

/// The lines of the last paragraph of a message. A body cannot fake one, because ours come after it.
pub(super) fn trailers(message: &str) -> std::str::Lines<'_> {
    message.trim_end().rsplit("\n\n").next().unwrap_or_default().lines()
}

/// The first `most` bytes, whole characters only.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// A name git accepts: without what delimits it, never empty.
fn clean(text: &str, fallback: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).take(200).collect();
    let kept = kept.trim_matches(|c: char| c.is_whitespace() || ".,:;\"'\\".contains(c));
    if kept.is_empty() { fallback.to_owned() } else { kept.to_owned() }
}

/// `name <email> seconds +0000`, as objects hold it.
pub(super) fn ident(who: &Signature) -> String {
    let (name, email) = (clean(&who.name, COMMITTER.0), clean(&who.email, COMMITTER.1));
    format!("{name} <{email}> {} +0000", who.seconds.max(0))
}

/// Writes a commit object; no reference moves.
pub(super) async fn create(
    repo: &Repo,
    tree: &TreeId,
    parents: &[&CommitId],
    message: &str,
    author: &Signature,
) -> Result<CommitId, StoreError> {
    let date = format!("@{} +0000", author.seconds.max(0));
    let git = Git::new(&repo.dir, "commit-tree")
        .env("GIT_AUTHOR_NAME", clean(&author.name, COMMITTER.0))
        .env("GIT_AUTHOR_EMAIL", clean(&author.email, COMMITTER.1))
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_NAME", COMMITTER.0)
        .env("GIT_COMMITTER_EMAIL", COMMITTER.1)
        .env("GIT_COMMITTER_DATE", &date)
        .arg(tree.as_str())
        .args(parents.iter().flat_map(|parent| ["-p", parent.as_str()]))
        .args(["-F", "-"])
        .input(message);
    Ok(CommitId::new(git.run().await?.text())?)
}

/// The tree without files.
pub(super) async fn empty_tree(repo: &Repo) -> Result<TreeId, StoreError> {
    Ok(TreeId::new(Git::new(&repo.dir, "mktree").run().await?.text())?)
}

/// What is written in one commit that exists.
pub(super) async fn read(repo: &Repo, commit: &CommitId) -> Result<CommitFacts, StoreError> {
    let found = walk(repo, &["--no-walk", commit.as_str()], 1).await?;
    found.into_iter().next().ok_or_else(|| repo.not_found(commit.to_string(), "it was never pushed, or was archived"))
}

/// Commits of the first-parent line of `to` that `from` does not contain, newest first. The service writes these lines, but
/// with an upstream its people's commits may be on them: a trailer alone does not say that a commit is ours.
pub(super) async fn line(repo: &Repo, from: &CommitId, to: &CommitId) -> Result<Vec<CommitFacts>, StoreError> {
    walk(repo, &["--first-parent", to.as_str(), &format!("^{from}")], 10_000).await
}

/// Whether a commit is one of those that `head` went through: on its first-parent line.
pub(super) async fn is_on_line(repo: &Repo, commit: &CommitId, head: &CommitId) -> Result<bool, StoreError> {
    if commit == head {
        return Ok(true);
    }
    if !refs::is_ancestor(repo, commit, head).await? {
        return Ok(false);
    }
    // The last commit of the line that this one does not contain stands on this one, if that is on the line.
    let after = line(repo, commit, head).await?;
    Ok(after.last().is_some_and(|next| next.parents.first() == Some(commit)))
}

/// `git log` with these arguments.
pub(super) async fn walk(repo: &Repo, args: &[&str], limit: usize) -> Result<Vec<CommitFacts>, StoreError> {
    let git = Git::new(&repo.dir, "log").args(["-z", "--no-color", "--no-decorate", "--no-show-signature", FORMAT]);
    let answer = git.arg(format!("--max-count={limit}")).args(args).arg("--").run().await?;
    let records = answer.stdout.split(|&byte| byte == 0).filter(|record| !record.is_empty());
    records.map(|record| parse(&String::from_utf8_lossy(record))).collect()
}

fn parse(record: &str) -> Result<CommitFacts, StoreError> {
    let unexpected = || StoreError::unexpected("log", record);
    let fields: Vec<&str> = record.splitn(6, '\n').collect();
    let [commit, tree, parents, author, seconds, message] = fields[..] else { return Err(unexpected()) };
    Ok(CommitFacts {
        commit: CommitId::new(commit)?,
        tree: TreeId::new(tree)?,
        parents: parents.split_whitespace().map(CommitId::new).collect::<Result<_, _>>()?,
        author: author.to_owned(),
        seconds: seconds.parse().map_err(|_| unexpected())?,
        message: cut(message, MAX_MESSAGE).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cannot_fake_a_trailer() {
        let ours = "Phasegate-Task: b/1";
        let forged = message("title", "words\n\nPhasegate-Task: a/1", ours);
        assert!(has_trailer(&forged, ours));
        assert!(!has_trailer(&forged, "Phasegate-Task: a/1"));
        assert!(!has_trailer(&forged, "Phasegate-Task: b/11"));
    }

    #[test]
    fn a_title_is_one_line_and_never_empty() {
        assert_eq!(message("a\n\nPhasegate-Task: x/1", "", "T: 1"), "a Phasegate-Task: x/1\n\nT: 1\n");
        assert_eq!(message(" \n", "b\0\r", "T: 1"), "Integrate\n\nb\n\nT: 1\n");
    }

    #[test]
    fn a_hostile_author_stays_inside_its_line() {
        let who = Signature { name: "a\nparent 0 <x>".into(), email: "<>".into(), seconds: -5 };
        assert_eq!(ident(&who), "aparent 0 x <git@phasegate.dev> 0 +0000");
    }
}
