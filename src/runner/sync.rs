//! `sync`: mirrors an upstream into `refs/upstream/*` of the git service (design §8). The only pod
//! whose main container holds the pod's token, since it is ours.

use std::{collections::BTreeMap, time::Duration};

use tracing::info;

use super::{
    Places, PodArgs,
    client::{CallError, RunnerClient},
    protocol::{DeliveryReport, MAX_HEADS},
    repository::{PodRepository, TransferError},
};
use crate::{api::agent_task::Role, git::command::CommandError};

/// How long to wait for the operator.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest time of all tries of one transfer.
const TRANSFER: Duration = Duration::from_secs(900);

/// Why the upstream could not be mirrored.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The operator could not be talked to.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Git could not do it here.
    #[error(transparent)]
    Git(#[from] CommandError),
    /// The git service did not take it.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The task is no Sync.
    #[error("this task is no Sync with an upstream")]
    NoUpstream,
}

/// Mirrors the upstream once and reports its heads.
///
/// # Errors
/// If the upstream or the git service cannot be reached, or the operator refuses; it is the
/// delivery's message too, where people look.
pub async fn sync(args: &PodArgs, places: &Places) -> Result<(), SyncError> {
    let client = RunnerClient::new(args, &places.token)?;
    let assignment = client.assignment(PATIENCE).await?;
    let upstream = assignment.upstream.as_ref().filter(|_| assignment.role == Role::Sync);
    let url = upstream.map(|upstream| upstream.url.clone()).ok_or(SyncError::NoUpstream)?;
    let repository = PodRepository::new(args, &places.git, &assignment.clone_path, &places.token);
    let mirrored = mirror(&repository, &url).await;
    let report = match &mirrored {
        Ok(heads) => {
            DeliveryReport { heads: heads.clone(), exit_code: Some(0), changed: true, ..DeliveryReport::default() }
        }
        Err(error) => DeliveryReport { message: error.to_string(), exit_code: Some(1), ..DeliveryReport::default() },
    };
    client.deliver(&report, PATIENCE).await?;
    mirrored.map(|heads| info!(heads = heads.len(), "mirrored"))
}

async fn mirror(repository: &PodRepository, url: &str) -> Result<BTreeMap<String, String>, SyncError> {
    repository.init().await?;
    info!(url, "fetching the upstream");
    repository.fetch_upstream(url, TRANSFER).await?;
    info!("pushing to the git service");
    let specs = ["refs/upstream/heads/*:refs/upstream/heads/*", "refs/upstream/tags/*:refs/upstream/tags/*"];
    repository.push(&specs.map(str::to_owned), TRANSFER).await?;
    let format = "--format=%(refname:lstrip=3) %(objectname)";
    let heads = repository.git(&["for-each-ref", format, "refs/upstream/heads"]).run().await?;
    let text = heads.text();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.take(MAX_HEADS).map(|(name, commit)| (name.to_owned(), commit.to_owned())).collect())
}
