//! What every reconciler is given: the client, the caches, the configuration, and the record of
//! its own writes. Nothing that decides belongs here.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodTemplate},
};
use kube::{
    Client, Resource,
    api::ObjectMeta,
    runtime::{events::Recorder, reflector::Store},
};

use crate::{
    api::{AgentTask, Decision, Phase, Repository, ReviewResult},
    controller::{config::OperatorConfig, decisions::Trust, metrics::Metrics},
    git::client::GitClient,
};

/// Field manager of everything the operator writes.
pub const FIELD_MANAGER: &str = "phasegate";

/// How long a caller waits for the first lists before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What every reconciler is given.
pub struct Context {
    /// Client of the API server, with a timeout on every request.
    pub client: Client,
    /// Caches, fed by one watch each.
    pub stores: Stores,
    /// Configuration.
    pub config: OperatorConfig,
    /// Publishes Events.
    pub recorder: Recorder,
    /// The operator's own last writes.
    pub own_writes: OwnWrites,
    /// Client of the git service.
    pub git: GitClient,
    /// Whether Decisions can be believed.
    pub trust: Trust,
    /// Metrics.
    pub metrics: Metrics,
}

/// Caches of everything that is observed. Reads go here, never to the API server.
#[derive(Clone)]
pub struct Stores {
    /// Repositories.
    pub repositories: Store<Repository>,
    /// Phases.
    pub phases: Store<Phase>,
    /// AgentTasks.
    pub tasks: Store<AgentTask>,
    /// ReviewResults.
    pub reviews: Store<ReviewResult>,
    /// Decisions.
    pub decisions: Store<Decision>,
    /// Jobs of ours.
    pub jobs: Store<Job>,
    /// Pods of those Jobs.
    pub pods: Store<Pod>,
    /// PodTemplates: the agents' profiles.
    pub pod_templates: Store<PodTemplate>,
}

#[cfg(test)]
impl Stores {
    /// Caches that nothing feeds.
    pub(super) fn empty() -> Self {
        use kube::runtime::reflector::store;
        Self {
            repositories: store().0,
            phases: store().0,
            tasks: store().0,
            reviews: store().0,
            decisions: store().0,
            jobs: store().0,
            pods: store().0,
            pod_templates: store().0,
        }
    }
}

impl Stores {
    /// Waits until every cache holds its first list.
    ///
    /// Any number of callers may wait, and give up waiting. A store wakes only the one that asked last, so that a probe
    /// that gave up would leave the operator waiting for ever: hence everyone looks again now and then.
    pub async fn filled(&self) {
        while tokio::time::timeout(LOOK_AGAIN, self.all_ready()).await.is_err() {}
    }

    async fn all_ready(&self) {
        let Self { repositories, phases, tasks, reviews, decisions, jobs, pods, pod_templates } = self;
        // An error means that the watch is gone, and with it the process.
        let _ = tokio::join!(
            repositories.wait_until_ready(),
            phases.wait_until_ready(),
            tasks.wait_until_ready(),
            reviews.wait_until_ready(),
            decisions.wait_until_ready(),
            jobs.wait_until_ready(),
            pods.wait_until_ready(),
            pod_templates.wait_until_ready(),
        );
    }
}

/// The operator's own last write of each object, so that a stale cache does not act: a reconciler
/// waits until its cache has passed its own last write of that object (design §10).
///
/// Resource versions are compared as numbers, as KEP-5504 allows.
#[derive(Debug, Default)]
pub struct OwnWrites(Mutex<HashMap<String, u64>>);

impl OwnWrites {
    /// Remembers a write by what the API server answered.
    pub fn record(&self, written: &ObjectMeta) {
        let (Some(uid), Some(version)) = (written.uid.clone(), version(written)) else { return };
        let mut writes = self.lock();
        let last = writes.entry(uid).or_default();
        *last = version.max(*last);
    }

    /// Whether the cached object is older than the operator's own last write of it. Once the
    /// cache has caught up, the record is dropped.
    pub fn is_stale(&self, cached: &impl Resource) -> bool {
        let meta = cached.meta();
        let (Some(uid), Some(version)) = (meta.uid.as_ref(), version(meta)) else { return false };
        let mut writes = self.lock();
        match writes.get(uid) {
            Some(last) if version < *last => true,
            Some(_) => {
                writes.remove(uid);
                false
            }
            None => false,
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector::store, watcher::Event};

    use super::*;

    fn pod(version: &str) -> Pod {
        let metadata =
            ObjectMeta { uid: Some("u".into()), resource_version: Some(version.into()), ..ObjectMeta::default() };
        Pod { metadata, ..Pod::default() }
    }

    #[test]
    fn a_cache_behind_the_last_own_write_is_stale_until_it_has_caught_up() {
        let writes = OwnWrites::default();
        assert!(!writes.is_stale(&pod("5")), "nothing was written yet");
        writes.record(&pod("10").metadata);
        writes.record(&pod("8").metadata);
        assert!(writes.is_stale(&pod("9")));
        assert!(!writes.is_stale(&pod("10")));
        assert!(!writes.is_stale(&pod("9")), "the record is dropped once the cache has caught up");
    }

    /// Caches and an end of each that can fill it.
    macro_rules! writable {
        ($($field:ident),*) => {{
            $(let $field = store();)*
            (Stores { $($field: $field.0),* }, move || { $(let mut writer = $field.1; writer.apply_watcher_event(&Event::Init); writer.apply_watcher_event(&Event::InitDone);)* })
        }};
    }

    #[tokio::test]
    async fn who_waits_for_the_caches_is_told_though_another_gave_up_waiting_later() {
        let (stores, fill) = writable!(repositories, phases, tasks, reviews, decisions, jobs, pods, pod_templates);
        let mut waits = std::pin::pin!(stores.filled());
        assert!(futures::poll!(&mut waits).is_pending());
        {
            let mut gives_up = std::pin::pin!(stores.filled());
            assert!(futures::poll!(&mut gives_up).is_pending());
        }
        fill();
        tokio::time::timeout(Duration::from_secs(20), waits).await.expect("told");
    }
}
