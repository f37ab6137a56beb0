//! What goes out to the upstream: one push, never by force, and what the upstream says to it.

use std::{collections::BTreeMap, time::Duration};

use super::SyncError;
use crate::{
    api::agent_task::{Push, PushAnswer, PushOutcome, PushReference},
    git::{command::Answer, flow},
    runner::{repository::PodRepository, upstream::Remote},
    text,
};

/// Longest time of one push.
const TRANSFER: Duration = Duration::from_secs(900);
/// Most characters of what the upstream says.
const MAX_WORDS: usize = 2000;
/// Where the pod has what the git service keeps for it.
const PUSH: &str = "refs/push";

/// How a push stands by what was just mirrored.
pub(super) enum Standing<'a> {
    /// The upstream has it, or has moved so that it must not go out.
    Settled(PushAnswer),
    /// These references are to be pushed.
    Due(Vec<&'a PushReference>),
}

/// The answer of an upstream that has all of it.
pub(super) fn taken() -> PushAnswer {
    PushAnswer { outcome: PushOutcome::Pushed, message: String::new() }
}

/// Fetches what is to go out from the git service.
pub(super) async fn fetch(repository: &PodRepository, push: &Push) -> Result<(), SyncError> {
    Ok(repository.fetch_folder(&push.from, PUSH, TRANSFER).await?)
}

/// Compares a push with what was just mirrored.
pub(super) async fn stands<'a>(
    repository: &PodRepository,
    push: &'a Push,
    mirror: &BTreeMap<String, String>,
) -> Result<Standing<'a>, SyncError> {
    let missing = missing(repository, push, mirror).await?;
    if missing.is_empty() {
        return Ok(Standing::Settled(taken()));
    }
    let commit = push.references.first().map(|reference| &reference.object);
    let (Some(commit), Some(base)) = (commit, mirrored(mirror, &push.base)) else { return Ok(Standing::Due(missing)) };
    if repository.is_ancestor(base, commit).await? || repository.is_ancestor(commit, base).await? {
        return Ok(Standing::Due(missing));
    }
    let message = text::cut(&format!("{} of the upstream is at {base} by now", push.base), MAX_WORDS);
    Ok(Standing::Settled(PushAnswer { outcome: PushOutcome::Moved, message }))
}

/// What the upstream does not have yet. A branch there may have gone on.
async fn missing<'a>(
    repository: &PodRepository,
    push: &'a Push,
    mirror: &BTreeMap<String, String>,
) -> Result<Vec<&'a PushReference>, SyncError> {
    let mut missing = Vec::new();
    for reference in &push.references {
        let there = match mirrored(mirror, &reference.name) {
            Some(object) if *object == reference.object => true,
            Some(head) if reference.name.starts_with("refs/heads/") => {
                repository.is_ancestor(&reference.object, head).await?
            }
            Some(_) | None => false,
        };
        if !there {
            missing.push(reference);
        }
    }
    Ok(missing)
}

/// The mirror's copy of a reference of the upstream.
fn mirrored<'a>(mirror: &'a BTreeMap<String, String>, name: &str) -> Option<&'a String> {
    mirror.get(&format!("{}{}", flow::UPSTREAM, name.strip_prefix("refs/")?))
}

/// Pushes these references; why the upstream rejects them, if it does.
pub(super) async fn push(
    repository: &PodRepository,
    remote: &Remote,
    missing: &[&PushReference],
) -> Result<Option<String>, SyncError> {
    let specs: Vec<String> =
        missing.iter().map(|reference| format!("{}:{}", reference.object, reference.name)).collect();
    tracing::info!(?specs, url = remote.url(), "pushing to the upstream");
    let answer = repository.push_upstream(remote, &["--atomic"], &specs, TRANSFER).await?;
    if answer.code == 0 || !answer.stderr.contains("does not support --atomic") {
        return rejection(answer);
    }
    // The branch first: a tag must not speak of what did not arrive.
    for spec in &specs {
        let answer = repository.push_upstream(remote, &[], std::slice::from_ref(spec), TRANSFER).await?;
        if let Some(words) = rejection(answer)? {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

/// Why an upstream rejects what was pushed, if it does. An error is one that another try may not meet.
fn rejection(answer: Answer) -> Result<Option<String>, SyncError> {
    if answer.code == 0 {
        return Ok(None);
    }
    let stdout = answer.text();
    if is_rejected(&stdout, &answer.stderr) {
        return Ok(Some(words(&stdout, &answer.stderr)));
    }
    Err(answer.failed().into())
}

/// Whether the upstream was reached and said no. A line of `git push --porcelain` is flag, from:to, and a summary with the reason
/// in parentheses.
fn is_rejected(stdout: &str, stderr: &str) -> bool {
    // The mirror was read with the same credentials a moment ago.
    let denied =
        ["error: 403", "error: 401", "ermission denied", "denied to", "not allowed to push", "Authentication failed"];
    stdout.lines().any(|line| line.starts_with('!')) || denied.iter().any(|words| stderr.contains(words))
}

/// The upstream's own words, and git's reason for each reference.
fn words(stdout: &str, stderr: &str) -> String {
    let remote = stderr.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    let reasons = stdout.lines().filter(|line| line.starts_with('!')).filter_map(|line| {
        let (names, summary) = line[1..].trim().split_once('\t')?;
        Some(format!("{}: {summary}", names.split_once(':').map_or(names, |(_, to)| to)))
    });
    let said: Vec<String> = remote.filter(|line| !line.is_empty()).map(str::to_owned).chain(reasons).collect();
    let mut all = if said.is_empty() { stderr.trim().to_owned() } else { said.join("; ") };
    if ["(non-fast-forward)", "(fetch first)", "(already exists)"].iter().any(|why| all.contains(why)) {
        all.push_str("; something else has that name there: remove it there");
    }
    text::cut(&all, MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOOK: &str = "remote: error: GH006: Protected branch update failed for refs/heads/main.        \nremote: error: At least 1 approving review is required.\nTo https://h/a.git\n";

    #[rstest]
    #[case::moved("!\ta:refs/heads/main\t[rejected] (fetch first)\n", "", true)]
    #[case::lost_a_race("!\ta:refs/heads/main\t[remote rejected] (atomic transaction failed)\n", "", true)]
    #[case::protected("!\ta:refs/heads/main\t[remote rejected] (protected branch hook declined)\n", HOOK, true)]
    #[case::the_tag_is_there("!\tb:refs/tags/t\t[rejected] (already exists)\n", "", true)]
    #[case::read_only("", "fatal: unable to access 'https://h/a.git/': The requested URL returned error: 403", true)]
    #[case::read_only_key("", "ERROR: Permission denied to deploy key", true)]
    #[case::away("", "fatal: unable to access 'https://h/a.git/': Could not resolve host: h", false)]
    #[case::broke_off("", "fatal: the remote end hung up unexpectedly", false)]
    fn an_upstream_says_no_or_is_away(#[case] stdout: &str, #[case] stderr: &str, #[case] expected: bool) {
        assert_eq!(is_rejected(stdout, stderr), expected);
    }

    #[test]
    fn the_servers_words_reach_people() {
        let stdout =
            "To https://h/a.git\n!\ta:refs/heads/main\t[remote rejected] (protected branch hook declined)\nDone\n";
        assert_eq!(
            words(stdout, HOOK),
            "error: GH006: Protected branch update failed for refs/heads/main.; error: At least 1 approving review is required.; refs/heads/main: [remote rejected] (protected branch hook declined)"
        );
        assert_eq!(words("", "fatal: error: 403\n"), "fatal: error: 403");
    }
}
