//! `phasegate calibrate`: how good a reviewer is. It runs a reviewing agent's command on this machine over commits with
//! planted defects and over clean ones, several times, with the brief and the MCP tools of a task pod, and counts what
//! it caught, what it missed, and what it made up.
//!
//! `set` reads what was planted, `bench` is one run, `tally` counts (PURE), `table` prints (PURE).

mod bench;
mod set;
mod table;
mod tally;

use std::{ffi::OsString, path::PathBuf, time::Instant};

use clap::{Args, ValueEnum};

use self::{
    bench::{Bench, BenchError, Outcome},
    set::{Set, SetError},
    tally::Run,
};
use crate::api::common::Duration;

/// Settings of `phasegate calibrate`.
#[derive(Args, Clone, Debug)]
pub struct CalibrateArgs {
    /// File that says which commits have which defects (docs/reviewers.md).
    #[arg(long, value_name = "FILE")]
    pub planted: PathBuf,
    /// How often the reviewer sees each commit.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub runs: u32,
    /// Longest time of one run.
    #[arg(long, default_value = "1h")]
    pub timeout: Duration,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Port on localhost where the reviewer finds its MCP server.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Leave HOME as it is: for agents that keep their settings or their login there.
    #[arg(long)]
    pub keep_home: bool,
    /// Command of the reviewer and its arguments, started in the work tree. PHASEGATE_BRIEF names its task.json (task.md
    /// and diff.patch are beside it), PHASEGATE_MCP_URL its MCP server.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// How to print the result.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// For programs, with every run and every finding.
    Json,
}

/// Why a reviewer could not be calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// What was planted cannot be used.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A run could not be made.
    #[error("failed to run case {case}: {source}")]
    Bench {
        /// Name of the case.
        case: String,
        /// Why.
        source: BenchError,
    },
    /// Nothing to count.
    #[error("no run of {0} ended with a review; the last one said: {1}")]
    NoReview(usize, String),
    /// The result cannot be written as JSON.
    #[error("failed to write the result: {0}")]
    Print(#[from] serde_json::Error),
}

/// Runs the reviewer over everything, and prints what it is worth.
///
/// # Errors
///
/// If the set cannot be used, a run cannot be made, or no run ended with a review.
pub async fn run(args: CalibrateArgs) -> Result<(), CalibrateError> {
    let set = Set::read(&args.planted).await?;
    let bench = Bench::new(&args, &set);
    let mut runs = Vec::new();
    let mut last = String::new();
    for number in 1..=args.runs {
        for (index, case) in set.cases.iter().enumerate() {
            let start = Instant::now();
            let outcome = bench.run(index, number).await;
            let outcome = outcome.map_err(|source| CalibrateError::Bench { case: case.name.clone(), source })?;
            let Outcome { findings, ended, tail } = outcome;
            let words = findings
                .as_ref()
                .map_or_else(|| format!("no review, {ended}"), |findings| format!("{} findings", findings.len()));
            say(&format!("{}, run {number} of {}: {words}", case.name, args.runs));
            if findings.is_none() {
                say(&tail);
                last = if tail.trim().is_empty() { ended.clone() } else { tail };
            }
            runs.push(Run { case: index, number, findings, ended, seconds: start.elapsed().as_secs() });
        }
    }
    let tally = tally::tally(&set.categories, &set.cases, runs);
    match args.output {
        Output::Table => print(&table::table(&tally)),
        Output::Json => print(&serde_json::to_string_pretty(&tally)?),
    }
    if tally.without_review == tally.runs.len() {
        return Err(CalibrateError::NoReview(tally.runs.len(), last));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of a command line program")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "how far a long command is, beside its result")]
fn say(text: &str) {
    if !text.trim().is_empty() {
        eprintln!("{text}");
    }
}
