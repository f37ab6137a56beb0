//! `step`: the first process of the main container (design §6).
//!
//! It runs in any image, so it needs nothing of one: no shell, no user database, no host names. It
//! starts the command in a process group of its own, hands on signals, ends it in time, collects
//! orphans, keeps the output, and records how it ended. What that means is for others to judge: the
//! kubelet's word counts, and the command can write to the same folder.

mod log;
mod ports;
mod supervise;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// File with the [`Record`].
pub const RECORD: &str = "step.json";
/// File with the output.
pub const OUTPUT: &str = "output.log";

/// Exit code of a command that passed its timeout, as timeout(1) has it.
const TIMED_OUT: i32 = 124;
/// Exit code if a service never answered, or the command could not be supervised.
const NOT_READY: i32 = 125;
/// Exit code if the command cannot be executed (POSIX shell, 2.8.2).
const NOT_EXECUTABLE: i32 = 126;
/// Exit code if the command is not there (POSIX shell, 2.8.2).
const NOT_FOUND: i32 = 127;

/// Settings of `phasegate runner step`.
#[derive(Debug, Clone, Args)]
pub struct StepArgs {
    /// Seconds the command may take.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
    /// Seconds between SIGTERM and SIGKILL.
    #[arg(long, default_value_t = 15)]
    pub grace: u32,
    /// Port on localhost that must accept a connection before the command starts.
    #[arg(long = "wait-port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub wait_ports: Vec<u16>,
    /// Seconds to wait for those ports.
    #[arg(long, default_value_t = 60)]
    pub wait_seconds: u32,
    /// Folder for the record and the output.
    #[arg(long, default_value = "/phasegate/out")]
    pub out: PathBuf,
    /// Command and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

impl StepArgs {
    const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout as u64)
    }

    const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace as u64)
    }
}

/// How the command ended, as `step` saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Exit code of `step`: the command's own, 128 + signal, 124 for a timeout, 125 to 127 if it never started.
    pub exit_code: i32,
    /// Signal that ended the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When the command started.
    pub started_at: Timestamp,
    /// When it had ended.
    pub finished_at: Timestamp,
    /// Whether it was ended because it passed its timeout.
    #[serde(default)]
    pub timed_out: bool,
    /// Why it did not start, or why it was ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Runs the command to its end; the exit code is the command's.
pub fn run(args: &StepArgs) -> ExitCode {
    let started_at = Timestamp::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ending = match runtime {
        Ok(runtime) => {
            let ending = runtime.block_on(supervise::supervise(args));
            // A reader of our output that has stopped must not keep us.
            runtime.shutdown_background();
            ending
        }
        Err(error) => supervise::Ending::never(NOT_READY, format!("failed to start the runtime: {error}")),
    };
    let record = Record {
        exit_code: ending.exit_code,
        signal: ending.signal,
        started_at,
        finished_at: Timestamp::now(),
        timed_out: ending.timed_out,
        message: ending.message,
    };
    if !record.message.is_empty() {
        say(&record.message);
    }
    if let Err(error) = write(args, &record) {
        say(&format!("failed to write {RECORD} to {}: {error}", args.out.display()));
    }
    ExitCode::from(u8::try_from(record.exit_code).unwrap_or(u8::MAX))
}

/// In place of what the command may have put there.
fn write(args: &StepArgs, record: &Record) -> std::io::Result<()> {
    let unfinished = args.out.join(format!(".{RECORD}.{}", std::process::id()));
    std::fs::write(&unfinished, serde_json::to_vec(record)?)?;
    std::fs::rename(&unfinished, args.out.join(RECORD))
}

#[expect(clippy::print_stderr, reason = "beside the command's own output, in plain words")]
fn say(message: &str) {
    eprintln!("phasegate step: {message}");
}
