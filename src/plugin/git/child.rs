//! The git that does the work: its arguments, its environment, and what a clone remembers.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use tokio::process::Command;

use super::super::client::Error;
use crate::{
    git::names::RepositoryId,
    plugin::args::{GitService, Target},
};

/// Addresses in clones start with it.
const SCHEME: &str = "phasegate://";
/// Variable of git's environment with the token; only the credential helper below reads it.
const TOKEN: &str = "PHASEGATE_GIT_TOKEN";
/// Gives the token to git. The user name says nothing; `Basic` wants one.
const HELPER: &str =
    r#"!f() { if [ "$1" = get ]; then printf 'username=me\npassword=%s\n' "$PHASEGATE_GIT_TOKEN"; fi; }; f"#;

/// Where a clone comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Namespace of the repository.
    pub(super) namespace: String,
    /// Context of the kubeconfig: the current one may be another later.
    pub(super) context: Option<String>,
    /// The kubeconfig, if it was named.
    pub(super) kubeconfig: Option<PathBuf>,
    /// The git service.
    pub(super) service: GitService,
}

impl Place {
    /// The cluster and namespace to go to, given these flags. A kubeconfig that is named now has contexts of its own.
    pub(super) fn target(&self, given: &Target) -> Target {
        let kept = given.kubeconfig.is_none();
        Target {
            namespace: Some(self.namespace.clone()),
            context: given.context.clone().or_else(|| self.context.clone().filter(|_| kept)),
            kubeconfig: given.kubeconfig.clone().or_else(|| self.kubeconfig.clone()),
        }
    }
}

/// A way to the git service that is open.
pub(super) struct Way {
    /// Port on 127.0.0.1.
    pub(super) port: u16,
    /// What the service is shown: a Kubernetes token or an API key.
    pub(super) token: String,
}

/// Whether this can be a Repository's name: it goes into an address.
pub(super) fn require_name(repository: &str) -> Result<(), Error> {
    match RepositoryId::new("any", repository) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Said(format!("{error}; see kubectl get repositories"))),
    }
}

/// `git clone` with what later commands need to find back.
pub(super) fn clone_arguments(place: &Place, repository: &str, dir: Option<&Path>) -> Vec<String> {
    let Place { namespace, context, kubeconfig, service } = place;
    let mut arguments = vec!["clone".to_owned()];
    let kept = [
        ("namespace", Some(namespace.clone())),
        ("service", Some(service.to_string())),
        ("context", context.clone()),
        ("kubeconfig", kubeconfig.as_ref().map(|path| path.display().to_string())),
    ];
    for (name, value) in kept {
        arguments.extend(value.into_iter().flat_map(|value| ["-c".to_owned(), format!("phasegate.{name}={value}")]));
    }
    arguments.extend(["--".to_owned(), format!("{SCHEME}{namespace}/{repository}.git")]);
    arguments.extend(dir.map(|dir| dir.display().to_string()));
    arguments
}

/// Variable with how many settings there are in the environment.
const COUNT: &str = "GIT_CONFIG_COUNT";

/// What git's configuration is for this one command, in its environment: entries of `GIT_CONFIG_KEY_n` and `…VALUE_n`, after
/// the `taken` ones that the caller's environment has.
fn environment(way: &Way, taken: usize) -> Vec<(String, String)> {
    let address = format!("http://127.0.0.1:{}/", way.port);
    let settings = [
        (format!("url.{address}.insteadOf"), SCHEME),
        // The first entry forgets the helpers of the user's own configuration: none of them is to keep the token.
        (format!("credential.{address}.helper"), ""),
        (format!("credential.{address}.helper"), HELPER),
        (format!("http.{address}.proxy"), ""),
        (format!("http.{address}.followRedirects"), "false"),
    ];
    let mut variables = vec![
        (COUNT.to_owned(), (taken + settings.len()).to_string()),
        // A token that is refused is no reason to ask for a password, on the terminal or in a window.
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ("GIT_ASKPASS".to_owned(), String::new()),
        (TOKEN.to_owned(), way.token.clone()),
    ];
    for (number, (key, value)) in (taken..).zip(settings) {
        variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{number}"), value.to_owned()));
    }
    variables
}

/// Runs git with this way, its output and exit code as ours.
pub(super) async fn run(way: &Way, arguments: &[String]) -> Result<ExitCode, Error> {
    let taken = std::env::var(COUNT).ok().and_then(|count| count.parse().ok()).unwrap_or_default();
    let status = Command::new("git").args(arguments).envs(environment(way, taken)).kill_on_drop(true).status().await;
    let status = status.map_err(|error| Error::Said(format!("failed to run git: {error}; is it installed?")))?;
    // A signal has no code.
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// What the clone in the current folder remembers.
pub(super) async fn remembered() -> Result<Place, Error> {
    let git = Command::new("git")
        .args(["config", "--null", "--get-regexp", "^phasegate\\."])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| Error::Said(format!("failed to run git: {error}; is it installed?")))?;
    parse(&String::from_utf8_lossy(&git.stdout))
}

fn parse(text: &str) -> Result<Place, Error> {
    let settings: std::collections::BTreeMap<&str, &str> = text
        .split_terminator('\0')
        .filter_map(|entry| entry.split_once('\n'))
        .filter_map(|(key, value)| Some((key.strip_prefix("phasegate.")?, value)))
        .collect();
    let value = |name: &str| settings.get(name).map(|&value| value.to_owned());
    let namespace = value("namespace").ok_or_else(|| {
        Error::Said(
            "this folder is in no clone that kubectl phasegate clone made; change to one, or make one with \
             kubectl phasegate clone REPOSITORY"
                .to_owned(),
        )
    })?;
    let service = value("service").map(|service| service.parse()).transpose();
    let service = service.map_err(|error| Error::Said(format!("git config phasegate.service: {error}")))?;
    Ok(Place {
        namespace,
        context: value("context"),
        kubeconfig: value("kubeconfig").map(PathBuf::from),
        service: service.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
