//! `phasegate replay`: a scripted agent. It reads its task like any agent, does what was written for
//! it (a patch for a developer, a review for a reviewer), and talks MCP to the companion like any
//! agent. For demos and tests.

mod answers;
mod merge;
mod review;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use clap::Args;
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::brief::TaskFile;
use crate::api::agent_task::Role;

/// Settings of `phasegate replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Folder of patches named `{phase}.{task}.{attempt}.patch`, for a task with a merge to make `….merge.patch`, against
    /// the files as they are integrated; of what is said of findings, `….answers.yaml`; and of reviews named
    /// `{phase}.{reviewer}.{attempt}.review.yaml` (or `.json`).
    #[arg(long)]
    pub patches: PathBuf,
    /// The task, as `prepare` wrote it.
    #[arg(long, env = "PHASEGATE_BRIEF", default_value = "/phasegate/brief/task.json")]
    pub brief: PathBuf,
    /// Address of the companion.
    #[arg(long, env = "PHASEGATE_MCP_URL", default_value = "http://localhost:4000/mcp")]
    pub mcp_url: String,
    /// The work tree.
    #[arg(long, default_value = ".")]
    pub workspace: PathBuf,
}

/// Why the scripted agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The task cannot be read.
    #[error("failed to read the task {path}: {message}")]
    Brief {
        /// File.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// There is no patch for this task.
    #[error("no patch {wanted} in {folder}; there are: {there}")]
    NoPatch {
        /// Name looked for.
        wanted: String,
        /// Folder.
        folder: PathBuf,
        /// What is there.
        there: String,
    },
    /// There is no review for this reviewer.
    #[error("no review script {wanted} in {folder}; there are: {there}")]
    NoScript {
        /// Name looked for.
        wanted: String,
        /// Folder.
        folder: PathBuf,
        /// What is there.
        there: String,
    },
    /// A review, or answers to findings, cannot be read.
    #[error("failed to read the script {path}: {message}")]
    Script {
        /// File.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The patch does not apply.
    #[error("failed to apply {patch}: {message}")]
    Apply {
        /// The patch.
        patch: PathBuf,
        /// Git's words.
        message: String,
    },
    /// The companion cannot be talked to, or refused.
    #[error("failed to call {tool} of the companion: {message}")]
    Mcp {
        /// Tool, or `initialize`.
        tool: &'static str,
        /// Why.
        message: String,
    },
}

/// Does one task.
///
/// # Errors
/// If nothing was written for it, the patch does not apply, or the companion refuses.
pub async fn run(args: ReplayArgs) -> Result<(), ReplayError> {
    let task = read(&args.brief).await?;
    match task.role {
        Role::Reviewer => review::review(&args, &task).await,
        Role::Developer | Role::Check | Role::Sync => develop(&args, &task).await,
    }
}

async fn develop(args: &ReplayArgs, task: &TaskFile) -> Result<(), ReplayError> {
    let patch = find(&args.patches, task).await?;
    let scripted = answers::read(&args.patches, task).await?;
    let agent = Agent::connect(&args.mcp_url).await?;
    agent.call("get_assignment", json!({})).await?;
    agent.call("report_plan", json!({ "steps": [format!("apply {}", name(&patch)), "submit the work"] })).await?;
    if let Some(conflict) = &task.conflict {
        let bad = |message| ReplayError::Apply { patch: patch.clone(), message };
        merge::start(&args.workspace, conflict).await.map_err(bad)?;
    }
    apply(&args.workspace, &patch).await?;
    agent.call("report_progress", json!({ "percent": 90, "message": format!("applied {}", name(&patch)) })).await?;
    agent.call("submit_work", submission(task, &patch, &scripted)).await?;
    agent.close().await;
    Ok(())
}

async fn read(path: &Path) -> Result<TaskFile, ReplayError> {
    let bad = |message: String| ReplayError::Brief { path: path.to_owned(), message };
    let text = tokio::fs::read(path).await.map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))
}

fn file_name(task: &TaskFile) -> String {
    let kind = if task.conflict.is_some() { "merge.patch" } else { "patch" };
    format!("{}.{}.{}.{kind}", task.phase, task.task, task.attempt)
}

async fn find(folder: &Path, task: &TaskFile) -> Result<PathBuf, ReplayError> {
    let wanted = file_name(task);
    let path = folder.join(&wanted);
    if tokio::fs::try_exists(&path).await.unwrap_or(false) {
        return Ok(path);
    }
    let there = listed(folder, |name| Path::new(name).extension().is_some_and(|end| end == "patch")).await;
    Err(ReplayError::NoPatch { wanted, folder: folder.to_owned(), there })
}

/// Names of the files of a folder that could have been meant.
async fn listed(folder: &Path, meant: impl Fn(&str) -> bool) -> String {
    let mut there = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(folder).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            there.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    there.retain(|name| meant(name));
    there.sort();
    there.truncate(50);
    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
}

fn name(patch: &Path) -> String {
    patch.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Plain `git apply`: no repository is needed, and what does not fit is an error.
async fn apply(workspace: &Path, patch: &Path) -> Result<(), ReplayError> {
    let bad = |message: String| ReplayError::Apply { patch: patch.to_owned(), message };
    let output = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(patch)
        .current_dir(workspace)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| bad(error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(bad(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
}

/// Every open finding is answered.
fn submission(task: &TaskFile, patch: &Path, scripted: &[answers::Scripted]) -> Value {
    let answers = answers::answers(&task.findings, scripted, &name(patch));
    json!({ "summary": format!("applied {}", name(patch)), "answers": answers })
}

/// A client of the companion.
struct Agent(RunningService<RoleClient, ClientConfig>);

impl Agent {
    async fn connect(url: &str) -> Result<Self, ReplayError> {
        let transport =
            StreamableHttpClientTransport::from_config(StreamableHttpClientTransportConfig::with_uri(url.to_owned()));
        let me = Implementation::new("phasegate-replay", env!("CARGO_PKG_VERSION"));
        let client = ClientConfig::new(ClientCapabilities::default(), me).serve(transport).await;
        let refused = |error: rmcp::service::ClientInitializeError| ReplayError::Mcp {
            tool: "initialize",
            message: error.to_string(),
        };
        client.map(Self).map_err(refused)
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> Result<(), ReplayError> {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let result = self.0.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await;
        let result = result.map_err(|error| ReplayError::Mcp { tool, message: error.to_string() })?;
        if result.is_error == Some(true) {
            return Err(ReplayError::Mcp { tool, message: format!("{:?}", result.content) });
        }
        say(tool);
        Ok(())
    }

    async fn close(self) {
        if let Err(error) = self.0.cancel().await {
            tracing::debug!(%error, "the connection to the companion did not close");
        }
    }
}

#[expect(clippy::print_stdout, reason = "an agent's output is its log")]
fn say(tool: &str) {
    println!("{tool}: accepted");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskFile {
        serde_json::from_value(json!({
            "phase": "alicia-1", "attempt": 1, "task": "mqtt-broker", "run": 1, "role": "Developer",
            "repository": "alicia", "commit": "", "branch": "feature/phase-1-mqtt-broker", "objective": "",
            "description": "d", "instructions": "", "criteria": [], "focus": [], "checks": [], "reasons": [],
            "mcpUrl": "http://localhost:4000/mcp", "version": "1.0.0",
            "findings": [{"id": "f1", "rule": "B602", "severity": "Critical", "path": "a.py", "line": 1, "message": "m"}],
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_missing_patch_is_an_error_that_lists_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("other.patch"), "").unwrap();
        let error = find(folder.path(), &task()).await.unwrap_err().to_string();
        assert!(error.contains("no patch alicia-1.mqtt-broker.1.patch"), "{error}");
        assert!(error.contains("other.patch"), "{error}");
    }

    #[tokio::test]
    async fn a_patch_is_applied_by_git_and_one_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let patch = folder.path().join("x.patch");
        std::fs::write(&patch, "--- /dev/null\n+++ b/hello.txt\n@@ -0,0 +1 @@\n+hello\n").unwrap();
        let workspace = tempfile::tempdir().unwrap();
        apply(workspace.path(), &patch).await.unwrap();
        assert_eq!(std::fs::read_to_string(workspace.path().join("hello.txt")).unwrap(), "hello\n");
        assert!(matches!(apply(workspace.path(), &patch).await, Err(ReplayError::Apply { .. })));
    }

    #[test]
    fn every_open_finding_is_answered() {
        let value = submission(&task(), Path::new("/patches/x.patch"), &[]);
        assert_eq!(value["answers"][0]["finding"], "f1");
        assert_eq!(value["answers"][0]["answer"], "Fixed");
    }
}
