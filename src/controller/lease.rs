//! Leader election by Lease: PUT with resourceVersion, expiry by locally observed change, exit on
//! loss (design §10). A clock of another machine is never compared with ours.

use std::{future::Future, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

/// Who wants to lead, and how.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// This replica.
    pub identity: String,
    /// How long a Lease holds that is not renewed.
    pub duration: Duration,
}

/// A Lease that this replica holds.
pub struct Leadership {
    api: Api<Lease>,
    candidate: Candidate,
    held: Lease,
}

/// Waits until this replica leads.
pub async fn acquire(client: Client, candidate: Candidate) -> Leadership {
    let api: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    let mut seen: Option<(String, Instant)> = None;
    loop {
        let tried = timeout(candidate.duration / 3, attempt(&api, &candidate, &mut seen)).await;
        match tried.unwrap_or(Ok(None)) {
            Ok(Some(held)) => {
                info!(lease = candidate.lease, identity = candidate.identity, "leading");
                return Leadership { api, candidate, held };
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "failed to look at the Lease"),
        }
        sleep(candidate.duration / 5).await;
    }
}

/// One try: takes a Lease that is free, our own, or has not changed for its whole duration.
async fn attempt(
    api: &Api<Lease>,
    candidate: &Candidate,
    seen: &mut Option<(String, Instant)>,
) -> Result<Option<Lease>, kube::Error> {
    let Some(current) = api.get_opt(&candidate.lease).await? else {
        return taken(api.create(&PostParams::default(), &lease(candidate, None)).await);
    };
    let version = current.metadata.resource_version.clone().unwrap_or_default();
    let holder = current.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let changed = seen.as_ref().is_none_or(|(known, _)| *known != version);
    if changed {
        *seen = Some((version, Instant::now()));
    }
    let expired = seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= candidate.duration);
    if holder.is_empty() || holder == candidate.identity || expired {
        return taken(api.replace(&candidate.lease, &PostParams::default(), &lease(candidate, Some(&current))).await);
    }
    Ok(None)
}

/// Another one was faster: that is no error.
fn taken(result: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match result {
        Ok(held) => Ok(Some(held)),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn lease(candidate: &Candidate, current: Option<&Lease>) -> Lease {
    let now = MicroTime(Timestamp::now());
    let before = current.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let ours = before.holder_identity.as_deref() == Some(&*candidate.identity);
    let transitions = before.lease_transitions.unwrap_or(0) + i32::from(current.is_some() && !ours);
    let metadata = current.map_or_else(
        || ObjectMeta { name: Some(candidate.lease.clone()), ..ObjectMeta::default() },
        |lease| lease.metadata.clone(),
    );
    let spec = LeaseSpec {
        holder_identity: Some(candidate.identity.clone()),
        lease_duration_seconds: i32::try_from(candidate.duration.as_secs()).ok(),
        acquire_time: if ours { before.acquire_time } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

impl Leadership {
    /// Renews until the Lease is lost; returns then. The caller ends the process: a replica that
    /// does not lead must not write.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        // Given up before others may take over: they count from when they saw it change, which is later.
        let patience = self.candidate.duration * 2 / 3;
        loop {
            let last = renewed + patience;
            if timeout_at(last, sleep(self.candidate.duration / 5)).await.is_err() {
                break;
            }
            let asked = Instant::now();
            let next = lease(&self.candidate, Some(&self.held));
            let parameters = PostParams::default();
            let put = self.api.replace(&self.candidate.lease, &parameters, &next);
            match timeout_at(last.min(asked + self.candidate.duration / 3), put).await {
                Ok(Ok(held)) => (self.held, renewed) = (held, asked),
                Ok(Err(kube::Error::Api(refusal))) if refusal.code == 409 || refusal.code == 404 => break,
                Ok(Err(error)) => warn!(%error, "failed to renew the Lease"),
                Err(_) => warn!("renewing the Lease took too long"),
            }
        }
        warn!(lease = self.candidate.lease, "the Lease is lost");
    }

    /// Leads while `work` runs, and gives the Lease back when it ends by itself.
    /// Returns whether the Lease was kept until then.
    pub async fn lead(mut self, work: impl Future<Output = ()>) -> bool {
        let kept = tokio::select! {
            () = work => true,
            () = self.hold() => false,
        };
        if kept {
            self.release().await;
        }
        kept
    }

    async fn release(&self) {
        let mut free = lease(&self.candidate, Some(&self.held));
        if let Some(spec) = &mut free.spec {
            spec.holder_identity = Some(String::new());
        }
        if let Err(error) = self.api.replace(&self.candidate.lease, &PostParams::default(), &free).await {
            warn!(%error, "failed to give the Lease back; another replica takes over when it expires");
        }
    }
}
