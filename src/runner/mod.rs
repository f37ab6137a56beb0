//! What runs in task pods, and the operator's side of the API they talk to (design §6).
//!
//! `prepare` clones and writes the brief, `step` starts the agent or the check, `companion` is the
//! agent's MCP server and delivers what it did, `sync` mirrors an `upstream` and pushes to it, `replay` is a scripted
//! agent, `calibrate` measures a reviewer. `protocol` is what pods and operator say to each other, `server` the operator's end of it.
//! The shape of the pods is `controller::pod`'s; what a task is worth is decided elsewhere.

mod beneath;
pub mod brief;
pub mod calibrate;
pub mod client;
pub mod companion;
mod diff;
#[cfg(test)]
mod fixtures;
mod merging;
pub mod prepare;
pub mod protocol;
pub mod replay;
pub mod repository;
pub mod server;
pub mod snapshot;
pub mod step;
pub mod sync;
mod upstream;
#[cfg(test)]
mod world;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

/// Seconds between two saves of work in progress, unless the operator is told otherwise.
pub const SAVE_SECONDS: u32 = 120;

/// The parts of a task pod.
#[derive(Debug, Subcommand)]
pub enum RunnerCommand {
    /// Clone at the task's commit and write the brief (init container).
    Prepare(PodArgs),
    /// Start a command, see it to its end, and record how it ended.
    Step(step::StepArgs),
    /// Serve MCP to the agent, and deliver when it has ended (sidecar).
    Companion(PodArgs),
    /// Mirror the upstream into the git service.
    Sync(PodArgs),
}

/// Which task and run this pod is, and whom it talks to. The names are those of `controller::pod`.
#[derive(Debug, Clone, Args)]
pub struct PodArgs {
    /// Namespace of the AgentTask.
    #[arg(long, env = "PHASEGATE_NAMESPACE")]
    pub namespace: String,
    /// Name of the AgentTask.
    #[arg(long, env = "PHASEGATE_TASK")]
    pub task: String,
    /// Number of the run.
    #[arg(long, env = "PHASEGATE_RUN", value_parser = clap::value_parser!(i32).range(1..))]
    pub run: i32,
    /// UID of this pod.
    #[arg(long, env = "PHASEGATE_POD_UID", default_value = "")]
    pub pod_uid: String,
    /// Address of the operator.
    #[arg(long, env = "PHASEGATE_OPERATOR_URL")]
    pub operator_url: String,
    /// Address of the git service.
    #[arg(long, env = "PHASEGATE_GIT_URL")]
    pub git_url: String,
    /// Seconds between two saves of a developer's work in progress.
    #[arg(long, env = "PHASEGATE_SAVE_SECONDS", default_value_t = SAVE_SECONDS, value_parser = clap::value_parser!(u32).range(1..))]
    pub save_seconds: u32,
    /// Correlation id of the phase's attempt.
    #[arg(long, env = "PHASEGATE_CORRELATION_ID", default_value = "")]
    pub correlation_id: String,
}

/// Where things are in a task pod: the mounts of `controller::pod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The work tree.
    pub workspace: PathBuf,
    /// Our executable, for the main container.
    pub tools: PathBuf,
    /// What the agent is told.
    pub brief: PathBuf,
    /// What `step` records. The agent can write there too: nothing in it is trusted.
    pub out: PathBuf,
    /// The git folder, out of the agent's reach.
    pub git: PathBuf,
    /// The agent's home.
    pub home: PathBuf,
    /// The pod's identity.
    pub token: PathBuf,
    /// The Secret of the upstream, if there is one: a file for each key.
    pub upstream: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        let path = PathBuf::from;
        Self {
            workspace: path("/workspace"),
            tools: path("/phasegate/bin"),
            brief: path("/phasegate/brief"),
            out: path("/phasegate/out"),
            git: path("/phasegate/git"),
            home: path("/phasegate/home"),
            token: path("/var/run/secrets/phasegate/token"),
            upstream: path("/var/run/secrets/upstream"),
        }
    }
}

impl Places {
    /// The same below a folder, where there is no pod. The folders are made, the identity is not.
    fn below(folder: &Path) -> io::Result<Self> {
        let at = |name: &str| folder.join(name);
        let places = Self {
            workspace: at("workspace"),
            tools: at("tools"),
            brief: at("brief"),
            out: at("out"),
            git: at("git"),
            home: at("home"),
            token: at("token"),
            upstream: at("upstream"),
        };
        for folder in [&places.workspace, &places.tools, &places.brief, &places.out, &places.git, &places.home] {
            std::fs::create_dir(folder)?;
        }
        Ok(places)
    }
}

/// Runs one part of a task pod.
pub fn run(command: RunnerCommand) -> ExitCode {
    match command {
        RunnerCommand::Prepare(args) => ours(&args, prepare::prepare(&args, &Places::default())),
        RunnerCommand::Step(args) => step::run(&args),
        RunnerCommand::Sync(args) => ours(&args, sync::sync(&args, &Places::default())),
        RunnerCommand::Companion(args) => ours(&args, companion::run(&args, &Places::default())),
    }
}

/// Runs a part that is in our own image.
fn ours<E: std::fmt::Display>(args: &PodArgs, part: impl Future<Output = Result<(), E>>) -> ExitCode {
    crate::telemetry::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let span = tracing::info_span!(
        "task",
        namespace = args.namespace,
        task = args.task,
        run = args.run,
        correlation_id = args.correlation_id
    );
    match runtime.block_on(tracing::Instrument::instrument(part, span)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::FAILURE
        }
    }
}
