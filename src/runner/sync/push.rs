//! What goes out to the upstream: one push, never by force, and what the upstream says to it.

use std::time::Duration;

use super::SyncError;
use crate::{
    api::agent_task::{Push, PushAnswer, PushOutcome},
    git::command::Answer,
    runner::{repository::PodRepository, upstream::Remote},
    text,
};

/// Longest time of one push.
const TRANSFER: Duration = Duration::from_secs(900);
/// Most characters of what the upstream says.
const MAX_WORDS: usize = 2000;
/// Where the pod has what the git service keeps for it.
const PUSH: &str = "refs/push";

/// Fetches what is to go out from the git service and pushes it.
pub(super) async fn push(repository: &PodRepository, remote: &Remote, push: &Push) -> Result<PushAnswer, SyncError> {
    repository.fetch_folder(&push.from, PUSH, TRANSFER).await?;
    let specs: Vec<String> =
        push.references.iter().map(|reference| format!("{}:{}", reference.object, reference.name)).collect();
    tracing::info!(?specs, url = remote.url(), "pushing to the upstream");
    let answer = repository.push_upstream(remote, &["--atomic"], &specs, TRANSFER).await?;
    if answer.code == 0 || !answer.stderr.contains("does not support --atomic") {
        return said(answer);
    }
    // The branch first: a tag must not speak of what did not arrive.
    for spec in &specs {
        let told = said(repository.push_upstream(remote, &[], std::slice::from_ref(spec), TRANSFER).await?)?;
        if told.outcome != PushOutcome::Pushed {
            return Ok(told);
        }
    }
    Ok(PushAnswer { outcome: PushOutcome::Pushed, message: String::new() })
}

/// What an upstream answered. An error is one that another try may not meet.
fn said(answer: Answer) -> Result<PushAnswer, SyncError> {
    if answer.code == 0 {
        return Ok(PushAnswer { outcome: PushOutcome::Pushed, message: String::new() });
    }
    let stdout = answer.text();
    match outcome(&stdout, &answer.stderr) {
        Some(outcome) => Ok(PushAnswer { outcome, message: words(&stdout, &answer.stderr) }),
        None => Err(answer.failed().into()),
    }
}

/// What was pushed did not get in: somebody else was there first, or the upstream does not want it. `None`: neither was said.
///
/// A line of `git push --porcelain` is flag, from:to, and a summary with the reason in parentheses.
fn outcome(stdout: &str, stderr: &str) -> Option<PushOutcome> {
    let rejected = || stdout.lines().filter(|line| line.starts_with('!'));
    let moved = |line: &str| {
        let branch = line.contains(":refs/heads/");
        branch
            && ["(fetch first)", "(non-fast-forward)", "cannot lock ref", "failed to update ref"]
                .iter()
                .any(|why| line.contains(why))
    };
    if rejected().any(moved) {
        return Some(PushOutcome::Moved);
    }
    // The mirror was read with the same credentials a moment ago.
    let denied =
        ["error: 403", "error: 401", "ermission denied", "denied to", "not allowed to push", "Authentication failed"];
    let is_refused = rejected().next().is_some() || denied.iter().any(|words| stderr.contains(words));
    is_refused.then_some(PushOutcome::Refused)
}

/// The upstream's own words, and git's reason for each reference.
fn words(stdout: &str, stderr: &str) -> String {
    let remote = stderr.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    let reasons = stdout.lines().filter(|line| line.starts_with('!')).filter_map(|line| {
        let (names, summary) = line[1..].trim().split_once('\t')?;
        Some(format!("{}: {summary}", names.split_once(':').map_or(names, |(_, to)| to)))
    });
    let said: Vec<String> = remote.filter(|line| !line.is_empty()).map(str::to_owned).chain(reasons).collect();
    let all = if said.is_empty() { stderr.trim().to_owned() } else { said.join("; ") };
    text::cut(&all, MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOOK: &str = "remote: error: GH006: Protected branch update failed for refs/heads/main.        \nremote: error: At least 1 approving review is required.\nTo https://h/a.git\n";

    #[rstest]
    #[case::moved("!\ta:refs/heads/main\t[rejected] (fetch first)\n", "", Some(PushOutcome::Moved))]
    #[case::moved_with_its_tag_held_back(
        "!\ta:refs/heads/main\t[rejected] (non-fast-forward)\n!\tb:refs/tags/t\t[rejected] (atomic push failed)\n",
        "",
        Some(PushOutcome::Moved)
    )]
    #[case::somebody_else_won_the_race(
        "!\ta:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at 1 but expected 2)\n",
        "",
        Some(PushOutcome::Moved)
    )]
    #[case::protected(
        "!\ta:refs/heads/main\t[remote rejected] (protected branch hook declined)\n",
        HOOK,
        Some(PushOutcome::Refused)
    )]
    #[case::the_tag_is_there("!\tb:refs/tags/t\t[rejected] (already exists)\n", "", Some(PushOutcome::Refused))]
    #[case::read_only(
        "",
        "fatal: unable to access 'https://h/a.git/': The requested URL returned error: 403",
        Some(PushOutcome::Refused)
    )]
    #[case::read_only_key("", "ERROR: Permission denied to deploy key", Some(PushOutcome::Refused))]
    #[case::away("", "fatal: unable to access 'https://h/a.git/': Could not resolve host: h", None)]
    fn an_upstream_has_moved_or_refuses_or_is_away(
        #[case] stdout: &str,
        #[case] stderr: &str,
        #[case] expected: Option<PushOutcome>,
    ) {
        assert_eq!(outcome(stdout, stderr), expected);
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
