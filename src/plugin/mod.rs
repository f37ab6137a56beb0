//! `kubectl phasegate`: what a person asks and decides, in plain words (design §15).
//!
//! The same binary, called as `kubectl-phasegate`, is the kubectl plugin. Here belong reading the
//! cluster as that person, rendering it, and writing Decisions. What a phase does next, and what a
//! score is, is decided in `machine` and `review`: nothing here computes either.
//!
//! `client` and `run` talk to the cluster; everything else is pure: objects in, text or a
//! Decision out. Objects may be partial, since their status is filled in step by step.

pub mod args;
mod client;
mod decide;
mod follow;
mod git;
mod next;
mod reading;
pub(crate) mod release;
mod report;
mod run;
mod table;
mod text;
mod waive;
mod why;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser;

/// The plugin's arguments, if this process is to be the plugin: it was called as
/// `kubectl-phasegate`, or its first argument is `plugin`, so that it can be tried without a link.
pub fn arguments(all: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut all: Vec<_> = all.into_iter().collect();
    if all.first().map(Path::new).and_then(Path::file_stem).is_some_and(|stem| stem == "kubectl-phasegate") {
        return Some(all);
    }
    (all.get(1)? == "plugin").then(|| {
        all.remove(1);
        all
    })
}

/// Runs the plugin with these arguments, the program's name first.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let args = args::Plugin::parse_from(arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run::run(&args)),
        Err(source) => Err(client::Error::Runtime(source)),
    };
    ended.unwrap_or_else(|error| {
        text::complain(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> Option<Vec<OsString>> {
        arguments(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_name_of_the_program_makes_it_the_plugin() {
        for line in ["/usr/local/bin/kubectl-phasegate list", "kubectl-phasegate.exe list"] {
            assert_eq!(taken(line).map(|all| all.len()), Some(2), "{line}");
        }
        for line in ["phasegate list", "/opt/kubectl-phasegate/phasegate crds", ""] {
            assert_eq!(taken(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_word_plugin_makes_it_the_plugin_without_a_link() {
        assert_eq!(
            taken("phasegate plugin list"),
            taken("kubectl-phasegate list").map(|mut all| {
                all[0] = "phasegate".into();
                all
            })
        );
    }
}
