//! Where a scripted merge starts: at what is integrated, in each file that git could not merge. What git could merge stays.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use crate::{api::conflict::TaskConflict, runner::merging::INTEGRATED};

/// Takes the integrated side of every file that conflicts, so that a patch written against it fits.
///
/// # Errors
/// Git's words.
pub(super) async fn start(workspace: &Path, conflict: &TaskConflict) -> Result<(), String> {
    for file in &conflict.files {
        let path = file.path.as_str();
        let object = format!("{INTEGRATED}:{path}");
        if git(workspace, &["cat-file", "-e", &object]).await.is_ok() {
            git(workspace, &["checkout", "--quiet", INTEGRATED, "--", path]).await?;
        } else {
            git(workspace, &["clean", "--force", "-d", "-x", "--quiet", "--", path]).await?;
        }
    }
    Ok(())
}

/// Paths are names, not patterns.
async fn git(workspace: &Path, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("git");
    command.arg("--literal-pathspecs").args(args).current_dir(workspace).stdin(Stdio::null());
    let output = command.output().await.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
