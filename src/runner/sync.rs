//! `sync`: mirrors an upstream into `refs/upstream/*` of the git service, and pushes to it what is to go out (design §8).
//! The only pod whose main container holds the pod's token and the upstream's credentials, since it is ours.

mod push;

use std::{collections::BTreeMap, time::Duration};

use tracing::info;

use push::Standing;

use super::{
    Places, PodArgs,
    client::{CallError, RunnerClient},
    protocol::{DeliveryReport, MAX_HEADS},
    repository::{PodRepository, TransferError, is_busy, is_stale},
    upstream::{Remote, UpstreamError},
};
use crate::{
    api::{
        agent_task::{Push, PushAnswer, PushOutcome, Role},
        repository::Upstream,
    },
    git::{command::CommandError, flow},
};

/// How long to wait for the operator.
const PATIENCE: Duration = Duration::from_secs(120);
/// Looks at the upstream, where others look at the same time.
const LOOKS: u32 = 5;
/// Longest time of all tries of one transfer.
const TRANSFER: Duration = Duration::from_secs(900);

/// Why the upstream could not be mirrored, or nothing be pushed to it.
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
    /// There is no way to the upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The upstream does not know the credentials.
    #[error("the upstream refuses the credentials of Secret {secret}: {error}")]
    Credentials {
        /// Its name.
        secret: String,
        /// What git says.
        error: CommandError,
    },
    /// It wants some.
    #[error("the upstream asks for credentials; name a Secret in spec.upstream.credentialsSecretRef: {0}")]
    NoCredentials(CommandError),
    /// It is writing the same reference.
    #[error("the upstream is busy with the same reference: {0}")]
    Busy(String),
    /// The task is no Sync.
    #[error("this task is no Sync with an upstream")]
    NoUpstream,
}

impl SyncError {
    /// Whether another try would come to the same: somebody has to mend the Secret or the address.
    fn is_for_a_person(&self) -> bool {
        match self {
            Self::Credentials { .. } | Self::NoCredentials(_) | Self::NoUpstream => true,
            Self::Upstream(error) => match error {
                UpstreamError::Address { .. } | UpstreamError::Secret { .. } => true,
                UpstreamError::File { .. } => false,
            },
            Self::Git(error) => {
                let words = error.to_string();
                ["Host key verification failed", "certificate", "not found"].iter().any(|why| words.contains(why))
            }
            Self::Call(_) | Self::Transfer(_) | Self::Busy(_) => false,
        }
    }
}

/// What came of a run.
struct Done {
    heads: BTreeMap<String, String>,
    push: Option<PushAnswer>,
}

impl Done {
    fn new(mirrored: &BTreeMap<String, String>, push: Option<PushAnswer>) -> Self {
        let branch = |name: &str| Some(name.strip_prefix(flow::UPSTREAM)?.strip_prefix("heads/")?.to_owned());
        let head = |(name, commit): (&String, &String)| Some((branch(name)?, commit.clone()));
        Self { heads: mirrored.iter().filter_map(head).take(MAX_HEADS).collect(), push }
    }
}

/// Mirrors the upstream once, pushes to it if the task says so, and reports.
///
/// # Errors
/// If the upstream or the git service cannot be reached, or the operator refuses; it is the
/// delivery's message too, where people look. A push that the upstream refuses is an answer.
pub async fn sync(args: &PodArgs, places: &Places) -> Result<(), SyncError> {
    let client = RunnerClient::new(args, &places.token)?;
    let assignment = client.assignment(PATIENCE).await?;
    let upstream = assignment.upstream.as_ref().filter(|_| assignment.role == Role::Sync);
    let upstream = upstream.cloned().ok_or(SyncError::NoUpstream)?;
    let repository = PodRepository::new(args, &places.git, &assignment.clone_path, &places.token);
    let done = run(&repository, places, &upstream, assignment.push.as_ref()).await;
    let report = match &done {
        Ok(done) => DeliveryReport {
            heads: done.heads.clone(),
            push: done.push.clone(),
            exit_code: Some(0),
            changed: true,
            ..DeliveryReport::default()
        },
        Err(error) => DeliveryReport {
            message: error.to_string(),
            refused: error.is_for_a_person(),
            exit_code: Some(1),
            ..DeliveryReport::default()
        },
    };
    client.deliver(&report, PATIENCE).await?;
    done.map(|done| info!(heads = done.heads.len(), push = ?done.push, "in step with the upstream"))
}

async fn run(
    repository: &PodRepository,
    places: &Places,
    upstream: &Upstream,
    push: Option<&Push>,
) -> Result<Done, SyncError> {
    repository.init().await?;
    let remote = Remote::open(upstream, &places.upstream, repository.folder()).await?;
    let mirrored = mirror(repository, &remote, upstream).await?;
    let Some(push) = push else { return Ok(Done::new(&mirrored, None)) };
    push::fetch(repository, push).await?;
    let missing = match push::stands(repository, push, &mirrored).await? {
        Standing::Due(missing) => missing,
        // An earlier run may have pushed it and been lost before it could say so.
        Standing::Settled(answer) => return Ok(Done::new(&mirrored, Some(answer))),
    };
    let Some(words) = push::push(repository, &remote, &missing).await? else {
        return Ok(Done::new(&mirrored, Some(push::taken())));
    };
    // Servers have many words for no. What the upstream holds now says what came of it, and whoever goes on has to see it.
    let mirrored = mirror(repository, &remote, upstream).await?;
    let answer = match push::stands(repository, push, &mirrored).await? {
        Standing::Settled(answer) => answer,
        Standing::Due(_) if is_busy(&words) => return Err(SyncError::Busy(words)),
        Standing::Due(_) => PushAnswer { outcome: PushOutcome::Refused, message: words },
    };
    Ok(Done::new(&mirrored, Some(answer)))
}

/// Makes the mirror in the git service what the upstream is; its references.
async fn mirror(
    repository: &PodRepository,
    remote: &Remote,
    upstream: &Upstream,
) -> Result<BTreeMap<String, String>, SyncError> {
    let mut left = LOOKS;
    loop {
        left -= 1;
        // What was mirrored before need not come from far away again.
        repository.fetch_mirror(TRANSFER).await?;
        let before = repository.mirror().await?;
        info!(url = upstream.url, "fetching the upstream");
        repository.fetch_upstream(remote, TRANSFER).await.map_err(|error| refused(error, upstream))?;
        info!("pushing to the git service");
        match repository.push_mirror(&before, TRANSFER).await {
            Err(error) if left > 0 && is_stale(&error) => info!("another Sync was faster; looking again"),
            done => return Ok(done?),
        }
    }
}

/// Git's words about credentials name no Secret.
fn refused(error: CommandError, upstream: &Upstream) -> SyncError {
    let words = error.to_string();
    let unknown = ["could not read Username", "could not read Password", "Authentication failed", "Permission denied"];
    match &upstream.credentials_secret_ref {
        _ if !unknown.iter().any(|unknown| words.contains(unknown)) => error.into(),
        Some(secret) => SyncError::Credentials { secret: secret.name.clone(), error },
        None => SyncError::NoCredentials(error),
    }
}

#[cfg(test)]
mod tests;
