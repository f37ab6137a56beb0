//! Each command: read, render, and for a Decision write and wait. No text is composed here that a
//! pure module could compose.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher::Event};

use super::{
    args::{Command, Output, Plugin, ReleaseOutput, ReportOutput},
    client::{Cluster, Error},
    decide::{self, Wish},
    follow::{self, Results, Settled},
    git, next, reading, release, report, table,
    text::{self, Look},
    waive, why,
};
use crate::api::{Phase, phase::PhaseState};

/// How long a phase must stay blocked before a watch takes it for settled: what was applied
/// together arrives one by one.
const BLOCKED_FOR: Duration = Duration::from_secs(10);

/// Runs one command.
///
/// # Errors
/// Each with what to do about it.
pub(super) async fn run(args: &Plugin) -> Result<ExitCode, Error> {
    // These two find the cluster by what the clone remembers, and ask nothing of it but the way.
    if let Command::Clone { repository, dir, access } = &args.command {
        return git::clone(&args.target, access, repository, dir.as_deref()).await;
    }
    if let Command::Git { access, arguments } = &args.command {
        return git::git(&args.target, access, arguments).await;
    }
    let cluster = Cluster::connect(&args.target).await?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let look = Look { colour, flags: cluster.flags.clone() };
    match &args.command {
        Command::Why { phase } => {
            let phase = cluster.phase(phase).await?;
            let result = cluster.last_result(&phase).await?;
            text::put(&why::why(&phase, result.as_ref(), &look))?;
        }
        Command::Report { phase, attempt, output } => print_report(&cluster, phase, *attempt, *output).await?,
        Command::PrepareRelease { phase, output } => print_release(&cluster, phase, *output).await?,
        Command::List { all_namespaces, output } => print_list(&cluster, *all_namespaces, *output, &look).await?,
        Command::Tree => text::put(&table::tree(&cluster.list(false).await?, Timestamp::now(), &look))?,
        Command::Watch { phases, until_settled } => Box::pin(watch(&cluster, phases, *until_settled, &look)).await?,
        Command::Approve { .. }
        | Command::Reject { .. }
        | Command::Retry { .. }
        | Command::Waive { .. }
        | Command::Abort { .. }
        | Command::Rollback { .. }
        | Command::Suspend { .. }
        | Command::Resume { .. }
        | Command::Clone { .. }
        | Command::Git { .. } => return act(&cluster, &args.command, &look).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_report(cluster: &Cluster, name: &str, attempt: Option<i32>, output: ReportOutput) -> Result<(), Error> {
    let phase = cluster.phase(name).await?;
    let wanted = report::wanted(&phase, attempt)?;
    let gone = || Error::Said(format!("ReviewResult {wanted} of {name} is gone: its phase may have been made anew"));
    let result = cluster.result(wanted).await?.ok_or_else(gone)?;
    let text = match output {
        ReportOutput::Json => {
            let said = |error| Error::Said(format!("failed to render the review: {error}"));
            serde_json::to_string_pretty(&result).map_err(said)? + "\n"
        }
        ReportOutput::Markdown => {
            let before = phase.status.as_ref().and_then(|status| reading::result_before(status, wanted));
            let previous = match before {
                Some(before) => cluster.result(before).await?,
                None => None,
            };
            report::report(&result, previous.as_ref())
        }
    };
    Ok(text::put(&text)?)
}

async fn print_release(cluster: &Cluster, name: &str, output: ReleaseOutput) -> Result<(), Error> {
    let phase = cluster.phase(name).await?;
    let (phases, decisions) = (cluster.list(false).await?, cluster.decisions().await?);
    let repository = cluster.repository(&phase.spec.repository_ref.name).await?;
    let plan = release::prepare_release(&phase, &phases, &decisions, repository.as_ref())?;
    let text = match output {
        ReleaseOutput::Json => {
            let said = |error| Error::Said(format!("failed to render the release: {error}"));
            serde_json::to_string_pretty(&plan).map_err(said)? + "\n"
        }
        ReleaseOutput::Markdown => release::markdown(&plan),
    };
    Ok(text::put(&text)?)
}

async fn print_list(cluster: &Cluster, everywhere: bool, output: Output, look: &Look) -> Result<(), Error> {
    let phases = cluster.list(everywhere).await?;
    let said = |error: &dyn std::fmt::Display| Error::Said(format!("failed to render the list: {error}"));
    let text = match output {
        Output::Table if phases.is_empty() => {
            let place = if everywhere {
                "any namespace".to_owned()
            } else {
                format!("namespace {}; see -n and -A", cluster.namespace)
            };
            text::complain(&format!("no phases in {place}"));
            return Ok(());
        }
        Output::Table => table::table(&phases, everywhere, Timestamp::now(), look),
        Output::Json => serde_json::to_string_pretty(&table::list(&phases)).map_err(|error| said(&error))? + "\n",
        Output::Yaml => serde_yaml::to_string(&table::list(&phases)).map_err(|error| said(&error))?,
    };
    Ok(text::put(&text)?)
}

/// Writes a Decision and waits until the operator has acted on it.
async fn act(cluster: &Cluster, command: &Command, look: &Look) -> Result<ExitCode, Error> {
    let Some((name, wish, wait)) = wish(command) else { return Ok(ExitCode::FAILURE) };
    let phase = cluster.phase(name).await?;
    let result = cluster.last_result(&phase).await?;
    if let Wish::Waive { until: Some(until), .. } = &wish {
        waive::still_ahead(*until, Timestamp::now())?;
    }
    let user = cluster.whoami().await?;
    let spec = decide::decide(&wish, &phase, result.as_ref(), &user, look)?;
    let decision = cluster.write(spec).await?;
    let written = decision.metadata.name.as_deref().unwrap_or_default();
    text::put(&format!("decision/{written} created by {user}\n"))?;
    if wait.is_zero() {
        return Ok(ExitCode::SUCCESS);
    }
    let uid = decision.metadata.uid.as_deref().unwrap_or_default();
    let acted_on =
        |phase: &Phase| phase.status.iter().any(|status| status.used_decisions.iter().any(|used| used == uid));
    let start = Instant::now();
    let Ok(seen) = tokio::time::timeout(wait, cluster.until(name, acted_on)).await else {
        return Err(Error::Said(format!(
            "the operator has not acted on decision/{written} within {} s; it stays in force. See {} and the operator's log",
            wait.as_secs(),
            look.command(&format!("why {name}"))
        )));
    };
    let seen = seen.ok_or_else(|| Error::Said(format!("phase {name} was deleted meanwhile")))?;
    decide::took_effect(&wish, uid, &phase, &seen)?;
    // A merge takes a moment; its end is what the person wants to hear of.
    let merged = cluster.until(name, |phase| reading::state(phase) != PhaseState::Merging);
    let merged = tokio::time::timeout(wait.saturating_sub(start.elapsed()), merged).await;
    text::put(&acted(&merged.ok().flatten().unwrap_or(seen), look))?;
    Ok(ExitCode::SUCCESS)
}

fn wish(command: &Command) -> Option<(&str, Wish, Duration)> {
    let seconds = |wait: &super::args::Wait| Duration::from_secs(u64::from(wait.wait.as_secs()));
    let note = |note: &String| note.clone();
    Some(match command {
        Command::Approve { phase, answers, note: why, wait } => {
            (phase, Wish::Approve { answers: answers.clone(), note: note(why) }, seconds(wait))
        }
        Command::Reject { phase, note: why, wait } => (phase, Wish::Reject { note: note(why) }, seconds(wait)),
        Command::Retry { phase, attempts, commit, note: why, wait } => {
            (phase, Wish::Retry { attempts: *attempts, commit: commit.clone(), note: note(why) }, seconds(wait))
        }
        Command::Waive { phase, findings, criteria, reason, until, wait } => {
            let (findings, criteria) = (findings.clone(), criteria.clone());
            let until = until.map(|until| until.0);
            (phase, Wish::Waive { findings, criteria, reason: note(reason), until }, seconds(wait))
        }
        Command::Abort { phase, note: why, wait } => (phase, Wish::Abort { note: note(why) }, seconds(wait)),
        Command::Rollback { phase, reason, wait } => (phase, Wish::Rollback { reason: note(reason) }, seconds(wait)),
        Command::Suspend { phase, note: why, wait } => (phase, Wish::Suspend { note: note(why) }, seconds(wait)),
        Command::Resume { phase, note: why, wait } => (phase, Wish::Resume { note: note(why) }, seconds(wait)),
        Command::PrepareRelease { .. }
        | Command::Why { .. }
        | Command::Watch { .. }
        | Command::List { .. }
        | Command::Tree
        | Command::Clone { .. }
        | Command::Git { .. }
        | Command::Report { .. } => {
            return None;
        }
    })
}

/// What a phase does after a Decision, and what comes next.
fn acted(phase: &Phase, look: &Look) -> String {
    let now = why::headline(phase, look);
    match next::commands(phase, None, look).into_iter().next() {
        Some((command, what)) => format!("{now}\nNext: {command}  # {what}\n"),
        None => format!("{now}\n"),
    }
}

/// Follows phases until interrupted, or until nothing more can happen by itself.
async fn watch(cluster: &Cluster, wanted: &[String], until_settled: bool, look: &Look) -> Result<(), Error> {
    for name in wanted {
        cluster.phase(name).await?;
    }
    let mut following =
        Following { cluster, wanted, look, seen: BTreeMap::new(), starting: BTreeMap::new(), ready: false };
    let mut stream = std::pin::pin!(cluster.watch().default_backoff());
    let mut quiet_since = Instant::now();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        match event {
            Err(_) => {}
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => tracing::debug!(%error, "watch"),
            Ok(Some(Ok(event))) => {
                quiet_since = Instant::now();
                following.take(event).await?;
            }
        }
        if until_settled && following.is_settled(quiet_since.elapsed() >= BLOCKED_FOR) {
            return Ok(());
        }
    }
}

/// What a watch has seen.
struct Following<'a> {
    cluster: &'a Cluster,
    wanted: &'a [String],
    look: &'a Look,
    seen: BTreeMap<String, Phase>,
    starting: BTreeMap<String, Phase>,
    ready: bool,
}

impl Following<'_> {
    async fn take(&mut self, event: Event<Phase>) -> Result<(), Error> {
        match event {
            Event::Init => self.starting.clear(),
            Event::InitApply(phase) => {
                self.starting.insert(reading::name(&phase).to_owned(), phase);
            }
            Event::InitDone => {
                let all = std::mem::take(&mut self.starting);
                self.seen.retain(|name, _| all.contains_key(name));
                // In the order people read them: alicia-1 before alicia-2.
                for phase in all.into_values() {
                    self.tell(phase).await?;
                }
                self.ready = true;
            }
            Event::Apply(phase) => self.tell(phase).await?,
            Event::Delete(phase) => {
                let name = reading::name(&phase);
                self.seen.remove(name);
                if self.wants(name) {
                    text::put(&format!("{name}  deleted\n"))?;
                }
            }
        }
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name)
    }

    async fn tell(&mut self, phase: Phase) -> Result<(), Error> {
        let name = reading::name(&phase).to_owned();
        if self.wants(&name) {
            let before = self.seen.get(&name);
            let results = self.results(before, &phase).await?;
            let names = self.seen.keys().chain(self.starting.keys()).chain(self.wanted).chain([&name]);
            let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
            for line in follow::lines(before, &phase, &results, width, self.look) {
                text::put(&format!("{line}\n"))?;
            }
        }
        self.seen.insert(name, phase);
        Ok(())
    }

    async fn results(&self, before: Option<&Phase>, now: &Phase) -> Result<Results, Error> {
        let mut results = Results::new();
        for record in follow::new_judgements(before, now) {
            if let Some(result) = self.cluster.result(&record.result).await? {
                results.insert(record.result.clone(), result);
            }
        }
        Ok(results)
    }

    fn is_settled(&self, quiet: bool) -> bool {
        let watched = self.seen.keys().map(String::as_str).filter(|name| self.wants(name));
        let least = watched.map(|name| follow::settled(name, &self.seen)).min();
        self.ready
            && match least {
                Some(Settled::Yes) => true,
                Some(Settled::Blocked) | None => quiet,
                Some(Settled::No) => false,
            }
    }
}
