//! `kubectl phasegate clone` and `git`: plain git against the git service, through a port-forward to its pod.
//!
//! A clone remembers addresses of the form `phasegate://{namespace}/{repository}.git`, which say nothing of the way there.
//! For each command a way is opened and given to git in its environment, with the token: nothing secret is on a command
//! line or in the clone's configuration, and git's own credential helpers never see it.

mod child;
mod token;
mod tunnel;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use kube::{Client, Config, config::KubeconfigError};

use self::child::{Place, Way};
use super::{
    args::{Access, Target},
    client::{Error, api_error, config, context},
};

/// What git runs with: a way to the service, open as long as this lives.
struct Open {
    way: Way,
    _tunnel: tunnel::Tunnel,
}

/// `clone REPOSITORY [DIR]`.
///
/// # Errors
/// If there is no way to the git service, no token, or git cannot be run.
pub(super) async fn clone(
    target: &Target,
    access: &Access,
    repository: &str,
    dir: Option<&Path>,
) -> Result<ExitCode, Error> {
    let config = read(target).await?;
    let place = Place {
        namespace: target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone()),
        context: context(target).map_err(unreadable)?,
        kubeconfig: target.kubeconfig.as_deref().map(absolute).transpose()?,
        service: access.git_service.clone().unwrap_or_default(),
    };
    child::require_name(repository)?;
    let open = open(config, access, &place).await?;
    let arguments = child::clone_arguments(&place, repository, dir);
    child::run(&open.way, &arguments).await
}

/// `git ARGUMENTS...`, inside a clone.
///
/// # Errors
/// As `clone`; and if this is no clone that `clone` made.
pub(super) async fn git(target: &Target, access: &Access, arguments: &[String]) -> Result<ExitCode, Error> {
    let mut place = child::remembered().await?;
    if let Some(service) = &access.git_service {
        place.service = service.clone();
    }
    let open = open(read(&place.target(target)).await?, access, &place).await?;
    child::run(&open.way, arguments).await
}

async fn read(target: &Target) -> Result<Config, Error> {
    config(target).await.map_err(unreadable)
}

fn unreadable(error: KubeconfigError) -> Error {
    Error::Config(Box::new(error))
}

async fn open(config: Config, access: &Access, place: &Place) -> Result<Open, Error> {
    let client = Client::try_from(config.clone()).map_err(api_error("connect"))?;
    let token = token::choose(access, place, &config, &client).await?;
    let tunnel = tunnel::open(client, &place.service).await?;
    Ok(Open { way: Way { port: tunnel.port, token }, _tunnel: tunnel })
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::Output)
}
