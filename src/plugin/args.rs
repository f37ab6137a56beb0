//! The command line of `kubectl phasegate`. Shapes only: what a command does is in `run`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::api::Duration;

/// See and decide what phases of delivery do.
#[derive(Debug, Parser)]
#[command(name = "kubectl phasegate", bin_name = "kubectl phasegate", version)]
pub struct Plugin {
    /// Which cluster and namespace.
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The standard kubectl flags.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Namespace of the phases; the context's own unless set.
    #[arg(long, short, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; the current one unless set.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Path of the kubeconfig; KUBECONFIG or ~/.kube/config unless set.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say where a phase is, why, what it waits for, and which command comes next.
    Why {
        /// Name of the phase.
        phase: String,
    },
    /// Let a phase that waits for a person merge.
    Approve {
        /// Name of the phase.
        phase: String,
        /// Answer for a criterion that a person judges, such as documentation=yes. May be repeated.
        #[arg(long = "answer", value_name = "CRITERION=yes|no")]
        answers: Vec<Answer>,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Send a phase that waits for a person back to the developer. Spends an attempt.
    Reject {
        /// Name of the phase.
        phase: String,
        /// What has to change: the developer is told.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Let an escalated phase go on: with further attempts, or, where work merely stopped, with the same step again.
    Retry {
        /// Name of the phase.
        phase: String,
        /// Attempts to grant if the last one was refused, 1 to 10.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10))]
        attempts: i32,
        /// Full id of a commit that a person pushed and that is to be gated instead of new work.
        #[arg(long, value_name = "SHA")]
        commit: Option<String>,
        /// What the developer is told.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Accept findings, signs of gaming or criteria in spite of the gate. What was refused for them is judged again.
    Waive {
        /// Name of the phase.
        phase: String,
        /// Id of a finding or of a sign of gaming, or its first characters, as the report shows it. May be repeated.
        #[arg(long = "finding", value_name = "ID")]
        findings: Vec<String>,
        /// Name of a success criterion that need not be met. May be repeated.
        #[arg(long = "criterion", value_name = "NAME")]
        criteria: Vec<String>,
        /// Why they are accepted.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Accept them until the end of this day (UTC), such as 2026-12-31, or until this time, such as
        /// 2026-12-31T12:00:00Z; without end unless set.
        #[arg(long, value_name = "DATE")]
        until: Option<Until>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Give a phase up for good.
    Abort {
        /// Name of the phase.
        phase: String,
        /// Why.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take a phase that passed back out of the base branch. What passed on top of it goes first; its tag stays.
    Rollback {
        /// Name of the phase.
        phase: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Start nothing and merge nothing for a phase until it is resumed.
    Suspend {
        /// Name of the phase.
        phase: String,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Let a suspended phase go on.
    Resume {
        /// Name of the phase.
        phase: String,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Print what happens to phases, as it happens.
    Watch {
        /// Names of the phases; all of the namespace unless given.
        phases: Vec<String>,
        /// End when every phase is finished or waits for a person.
        #[arg(long)]
        until_settled: bool,
    },
    /// List phases.
    #[command(visible_alias = "ls")]
    List {
        /// Of every namespace.
        #[arg(long, short = 'A')]
        all_namespaces: bool,
        /// Form of the output.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// List phases under the phases they depend on.
    Tree,
    /// Show the release that a phase makes: what changed since the last one, and which tags there are or will be. Changes
    /// nothing.
    PrepareRelease {
        /// Name of the phase.
        phase: String,
        /// Form of the output.
        #[arg(long, short, value_enum, default_value_t = ReleaseOutput::Markdown)]
        output: ReleaseOutput,
    },
    /// Clone a repository, through a port-forward to the git service.
    Clone {
        /// Name of the Repository.
        repository: String,
        /// Where to; a folder of its name unless set.
        dir: Option<PathBuf>,
        #[command(flatten)]
        access: Access,
    },
    /// Run git inside such a clone, with a way to the git service: kubectl phasegate git push origin HEAD:bugfix/phase-1-fix.
    Git {
        #[command(flatten)]
        access: Access,
        /// What git is to do.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Print a review of a phase: what it found, what that costs, and what changed since the one before.
    Report {
        /// Name of the phase.
        phase: String,
        /// The last review of this attempt; the last of all unless set.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        attempt: Option<i32>,
        /// Form of the output.
        #[arg(long, short, value_enum, default_value_t = ReportOutput::Markdown)]
        output: ReportOutput,
    },
}

/// How the git service is reached, and who it is told to be asked by.
#[derive(Debug, Clone, Args)]
pub(crate) struct Access {
    /// File with a Kubernetes token or an API key for the git service.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Act as this service account of the repository's namespace: a token for the git service alone is asked for. Without it
    /// and --token-file it is PHASEGATE_TOKEN, or the kubeconfig's own token.
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    pub service_account: Option<String>,
    /// Namespace and name of the git service; phasegate/phasegate-git, or what the clone remembers, unless set.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub git_service: Option<GitService>,
}

/// The StatefulSet of the git service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl GitService {
    /// Its one pod.
    pub(crate) fn pod(&self) -> String {
        format!("{}-0", self.name)
    }
}

impl Default for GitService {
    fn default() -> Self {
        Self { namespace: "phasegate".to_owned(), name: "phasegate-git".to_owned() }
    }
}

impl std::fmt::Display for GitService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a text is no [`GitService`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not of the form NAMESPACE/NAME, such as phasegate/phasegate-git")]
pub(crate) struct ParseGitServiceError(String);

impl FromStr for GitService {
    type Err = ParseGitServiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |part: &str| {
            let fits =
                part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
            fits && (1..=253).contains(&part.len())
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(ParseGitServiceError(text.to_owned())),
        }
    }
}

/// How long to wait until the operator has acted on a Decision.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Wait this long for the operator to act on it, such as 30s; 0s does not wait.
    #[arg(long, default_value_t = Duration::from_secs(30), value_name = "TIME")]
    pub wait: Duration,
}

/// Form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// A Kubernetes List.
    Json,
    /// A Kubernetes List.
    Yaml,
}

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportOutput {
    /// For people.
    Markdown,
    /// The ReviewResult, as it is stored.
    Json,
}

/// Form of a release plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReleaseOutput {
    /// For people.
    Markdown,
    /// For programs.
    Json,
}

/// When a waiver ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Until(pub Timestamp);

/// Why a text is not an [`Until`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither a day such as 2026-12-31 nor a time such as 2026-12-31T12:00:00Z")]
pub(crate) struct ParseUntilError(String);

impl FromStr for Until {
    type Err = ParseUntilError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |_| ParseUntilError(text.to_owned());
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self(time));
        }
        // Of a day all of it counts. A text with a time and no offset is no unmistakable time.
        let day: Date =
            if text.len() > 10 { Err(ParseUntilError(text.to_owned())) } else { text.parse().map_err(bad) }?;
        let end = day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC)).map_err(bad)?;
        Ok(Self(end.timestamp()))
    }
}

/// A person's answer for one criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub criterion: String,
    pub met: bool,
}

/// Why a text is not an [`Answer`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an answer such as documentation=yes or documentation=no")]
pub(crate) struct ParseAnswerError(String);

impl FromStr for Answer {
    type Err = ParseAnswerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseAnswerError(text.to_owned());
        let (criterion, answer) = text.split_once('=').ok_or_else(bad)?;
        let met = match answer {
            "yes" => true,
            "no" => false,
            _ => return Err(bad()),
        };
        if criterion.is_empty() { Err(bad()) } else { Ok(Self { criterion: criterion.to_owned(), met }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Plugin::command().debug_assert();
    }

    #[test]
    fn an_answer_is_a_name_and_yes_or_no() {
        assert_eq!("docs=yes".parse::<Answer>().ok(), Some(Answer { criterion: "docs".into(), met: true }));
        assert_eq!("docs=no".parse::<Answer>().ok(), Some(Answer { criterion: "docs".into(), met: false }));
        for bad in ["docs", "docs=", "=yes", "docs=maybe", "docs=Yes"] {
            assert!(bad.parse::<Answer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_counts_to_its_end_and_a_time_is_unmistakable() {
        for (text, end) in [
            ("2026-12-31", "2027-01-01T00:00:00Z"),
            ("2026-12-31T12:00:00Z", "2026-12-31T12:00:00Z"),
            ("2026-12-31T12:00:00+02:00", "2026-12-31T10:00:00Z"),
        ] {
            assert_eq!(text.parse::<Until>().unwrap().0.to_string(), end, "{text}");
        }
        for bad in ["", "tomorrow", "2026-13-01", "2026-12-31T12:00:00", "31.12.2026"] {
            assert!(bad.parse::<Until>().is_err(), "{bad}");
        }
    }

    #[test]
    fn standard_flags_are_taken_before_and_after_the_command() {
        for line in ["kubectl-phasegate -n shop why a", "kubectl-phasegate why a -n shop"] {
            let plugin = Plugin::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(plugin.target.namespace.as_deref(), Some("shop"), "{line}");
        }
    }
}
