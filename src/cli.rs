//! The command line: one binary, one subcommand per part (design §3).

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{api, controller, git, keys, plugin, runner, telemetry};

/// Delivers software in gated phases: agents work in Jobs, evidence is scored, only what passes is merged.
#[derive(Debug, Parser)]
#[command(name = "phasegate", version)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the CustomResourceDefinitions, one file each.
    Crds {
        /// Folder to write into; it must exist.
        #[arg(long, default_value = "crds")]
        output: PathBuf,
    },
    /// Run the operator: reconcilers on the leader, runner API, probes and metrics on every replica.
    Operator(controller::config::OperatorConfig),
    /// Run the git service: repositories over smart HTTP, typed operations for the operator.
    Git(git::server::GitArgs),
    /// Write a backup of the git service's repositories to standard output, also while it runs.
    Backup(git::backup::BackupArgs),
    /// Put repositories back in place from a backup on standard input.
    Restore(git::backup::RestoreArgs),
    /// Run one part of a task pod.
    #[command(subcommand)]
    Runner(runner::RunnerCommand),
    /// Make API keys for outside systems.
    #[command(subcommand)]
    Keys(keys::create::KeysCommand),
    /// A scripted agent: apply the patch, or file the review, that was written for the task, and submit it.
    Replay(runner::replay::ReplayArgs),
    /// Measure a reviewer: run it over commits with planted defects and clean ones, and count.
    Calibrate(runner::calibrate::CalibrateArgs),
}

/// Why the program ended badly.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("failed to render {file}: {source}")]
    Render { file: &'static str, source: serde_yaml::Error },
    #[error("failed to write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("failed to start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Operator(#[from] controller::operator::OperatorError),
    #[error(transparent)]
    Git(#[from] git::server::ServeError),
    #[error(transparent)]
    Backup(#[from] git::backup::BackupError),
    #[error("a backup is no text: send it to a file, as in phasegate backup > phasegate.tar")]
    Terminal,
    #[error(transparent)]
    Replay(#[from] runner::replay::ReplayError),
    #[error(transparent)]
    Calibrate(Box<runner::calibrate::CalibrateError>),
}

impl From<runner::calibrate::CalibrateError> for Error {
    fn from(error: runner::calibrate::CalibrateError) -> Self {
        Self::Calibrate(Box::new(error))
    }
}

/// Parses the arguments and runs what they ask for.
pub fn run() -> ExitCode {
    if let Some(arguments) = plugin::arguments(std::env::args_os()) {
        return plugin::run(arguments);
    }
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "ended");
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn report(error: &Error) {
    eprintln!("phasegate: {error}");
}

fn dispatch(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Crds { output } => write_crds(&output)?,
        Command::Operator(config) => serve(controller::operator::run(config))?,
        Command::Git(args) => serve(git::server::serve(args))?,
        Command::Backup(_) if std::io::stdout().is_terminal() => return Err(Error::Terminal),
        Command::Backup(args) => stay(git::backup::take(args, std::io::stdout().lock()))?,
        Command::Restore(args) => stay(git::backup::restore(args, std::io::stdin().lock()))?,
        Command::Keys(command) => keys::create::run(&command),
        Command::Replay(args) => serve(runner::replay::run(args))?,
        Command::Calibrate(args) => stay(runner::calibrate::run(args))?,
        Command::Runner(command) => return Ok(runner::run(command)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a part that stays until it is told to end.
fn serve<E: Into<Error>>(part: impl Future<Output = Result<(), E>>) -> Result<(), Error> {
    telemetry::init();
    stay(part)
}

/// Runs a part that speaks for itself.
fn stay<E: Into<Error>>(part: impl Future<Output = Result<(), E>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(part).map_err(Into::into)
}

fn write_crds(output: &std::path::Path) -> Result<(), Error> {
    for (file, crd) in api::crds() {
        let yaml = serde_yaml::to_string(&crd).map_err(|source| Error::Render { file, source })?;
        let path = output.join(file);
        std::fs::write(&path, yaml).map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}
