//! What the phase changed, asked of git in the pod's own repository.

use std::{process::Stdio, time::Duration};

use tokio::io::AsyncReadExt as _;

use crate::{
    api::agent_task::TaskBase,
    git::command::{Group, end},
    review::{Change, DiffParser},
    runner::repository::PodRepository,
};

/// Longest time of the comparison.
const DIFF: Duration = Duration::from_secs(12);
/// Most bytes of a diff that are read.
const MAX_DIFF: usize = 1 << 30;
/// Most bytes of the names of protected files.
const MAX_NAMES: usize = 16 << 20;

/// What changed between the base and the commit, but for what the work tree has as the base has it. None if
/// it cannot be known: then all is judged.
pub(super) async fn read(repository: &PodRepository, base: &TaskBase, commit: &str) -> Option<Change> {
    let all = async {
        let mut change = changed(repository, &base.commit, commit).await?;
        for path in restored(repository, base, commit).await? {
            change.leave_out(&path);
        }
        Ok::<_, String>(change)
    };
    match tokio::time::timeout(DIFF, all).await {
        Ok(Ok(change)) => Some(change),
        Ok(Err(error)) => {
            tracing::warn!(error, base = base.commit, "what the phase changed is not known");
            None
        }
        Err(_) => {
            tracing::warn!(base = base.commit, "comparing with the base took too long");
            None
        }
    }
}

async fn changed(repository: &PodRepository, base: &str, commit: &str) -> Result<Change, String> {
    let mut command = repository.command(&[
        "diff",
        "--unified=0",
        "--find-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--no-relative",
        "--submodule=short",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        base,
        commit,
        "--",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("failed to start git diff: {error}"))?;
    let group = Group::of(&child);
    let mut output = child.stdout.take().ok_or("git diff has no output")?;
    let mut parser = DiffParser::default();
    let mut piece = vec![0; 64 << 10];
    let mut left = MAX_DIFF;
    let refused = loop {
        let read = output.read(&mut piece).await.map_err(|error| format!("failed to read git diff: {error}"))?;
        let Some(rest) = left.checked_sub(read) else { break Some("the change is too large".to_owned()) };
        left = rest;
        match parser.feed(piece.get(..read).unwrap_or_default()) {
            Ok(()) if read == 0 => break None,
            Ok(()) => {}
            Err(error) => break Some(error.to_string()),
        }
    };
    if let Some(refused) = refused {
        end(&mut child, &group).await;
        return Err(refused);
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    group.forget();
    if !status.success() {
        return Err(format!("git diff ended with {status}"));
    }
    parser.finish().map_err(|error| error.to_string())
}

/// Files that differ in the commit, but not in the work tree: `prepare` has put them back.
async fn restored(repository: &PodRepository, base: &TaskBase, commit: &str) -> Result<Vec<String>, String> {
    if base.protected_paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", &*base.commit, commit, "--"];
    arguments.extend(base.protected_paths.iter().map(String::as_str));
    let names = repository.git(&arguments).limit(MAX_NAMES).run().await.map_err(|error| error.to_string())?.stdout;
    Ok(names.split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}
