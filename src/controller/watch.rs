//! The watches: one per kind feeds a cache and wakes what depends on the object, also when it is
//! gone (generation predicates and shared streams swallow deletions, so neither is used).

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use futures::{Stream, StreamExt, TryStreamExt, channel::mpsc, future::BoxFuture};
use k8s_openapi::api::core::v1::PodTemplate;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

use super::{
    context::Stores,
    wake::{self, Kind, Wake},
};
use crate::api::{AgentTask, Phase, Repository, ReviewResult};

/// Where wakes go: nowhere until this replica leads.
#[derive(Default)]
pub struct Queues(Mutex<Option<Senders>>);

struct Senders {
    repositories: mpsc::UnboundedSender<ObjectRef<Repository>>,
    phases: mpsc::UnboundedSender<ObjectRef<Phase>>,
    tasks: mpsc::UnboundedSender<ObjectRef<AgentTask>>,
    reviews: mpsc::UnboundedSender<ObjectRef<ReviewResult>>,
}

/// What the controllers read. Requests for the same object are merged there.
pub struct Receivers {
    /// Repositories to look at.
    pub repositories: mpsc::UnboundedReceiver<ObjectRef<Repository>>,
    /// Phases to look at.
    pub phases: mpsc::UnboundedReceiver<ObjectRef<Phase>>,
    /// AgentTasks to look at.
    pub tasks: mpsc::UnboundedReceiver<ObjectRef<AgentTask>>,
    /// ReviewResults to look at.
    pub reviews: mpsc::UnboundedReceiver<ObjectRef<ReviewResult>>,
}

impl Queues {
    /// Opens the queues and wakes everything there is.
    pub fn open(&self, stores: &Stores) -> Receivers {
        let (repositories, a) = mpsc::unbounded();
        let (phases, b) = mpsc::unbounded();
        let (tasks, c) = mpsc::unbounded();
        let (reviews, d) = mpsc::unbounded();
        *self.lock() = Some(Senders { repositories, phases, tasks, reviews });
        self.wake(every(Kind::Repository, &stores.repositories));
        self.wake(every(Kind::Phase, &stores.phases));
        self.wake(every(Kind::AgentTask, &stores.tasks));
        self.wake(every(Kind::ReviewResult, &stores.reviews));
        Receivers { repositories: a, phases: b, tasks: c, reviews: d }
    }

    fn wake(&self, wakes: Vec<Wake>) {
        let senders = self.lock();
        let Some(senders) = senders.as_ref() else { return };
        for Wake { kind, namespace, name } in wakes {
            // A closed queue means that the process ends.
            let _ = match kind {
                Kind::Repository => {
                    senders.repositories.unbounded_send(ObjectRef::new(&name).within(&namespace)).is_ok()
                }
                Kind::Phase => senders.phases.unbounded_send(ObjectRef::new(&name).within(&namespace)).is_ok(),
                Kind::AgentTask => senders.tasks.unbounded_send(ObjectRef::new(&name).within(&namespace)).is_ok(),
                Kind::ReviewResult => senders.reviews.unbounded_send(ObjectRef::new(&name).within(&namespace)).is_ok(),
            };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Senders>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn every<K>(kind: Kind, store: &Store<K>) -> Vec<Wake>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let state = store.state();
    let wake = |object: &std::sync::Arc<K>| Wake {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    };
    state.iter().map(wake).collect()
}

/// The caches, and the watches that feed them; each watch runs until the process ends.
pub fn start(client: &Client, queues: std::sync::Arc<Queues>) -> (Stores, Vec<BoxFuture<'static, ()>>) {
    let (repositories, repositories_writer) = store();
    let (phases, phases_writer) = store();
    let (tasks, tasks_writer) = store();
    let (reviews, reviews_writer) = store();
    let (decisions, decisions_writer) = store();
    let (jobs, jobs_writer) = store();
    let (pods, pods_writer) = store();
    let (pod_templates, pod_templates_writer) = store();
    let stores = Stores { repositories, phases, tasks, reviews, decisions, jobs, pods, pod_templates };
    let all = || watcher::Config::default();
    let ours = || watcher::Config::default().labels("app.kubernetes.io/managed-by=phasegate");
    let s = stores.clone();
    let by_repository = move |object: &Repository| wake::of_repository(object, &s.phases.state());
    let s = stores.clone();
    let by_phase = move |object: &Phase| wake::of_phase(object, &s.phases.state(), &s.tasks.state());
    let s = stores.clone();
    let by_template = move |object: &PodTemplate| wake::of_pod_template(object, &s.phases.state());
    let watches: Vec<BoxFuture<'static, ()>> = vec![
        Box::pin(drive(client.clone(), repositories_writer, all(), queues.clone(), by_repository)),
        Box::pin(drive(client.clone(), phases_writer, all(), queues.clone(), by_phase)),
        Box::pin(drive(client.clone(), tasks_writer, all(), queues.clone(), wake::of_task)),
        Box::pin(drive(client.clone(), reviews_writer, all(), queues.clone(), wake::of_review)),
        Box::pin(drive(client.clone(), decisions_writer, all(), queues.clone(), wake::of_decision)),
        Box::pin(drive(client.clone(), jobs_writer, ours(), queues.clone(), wake::of_job)),
        Box::pin(drive(client.clone(), pods_writer, ours(), queues.clone(), wake::of_pod)),
        Box::pin(drive(client.clone(), pod_templates_writer, all(), queues, by_template)),
    ];
    (stores, watches)
}

fn store<K>() -> (Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    kube::runtime::reflector::store()
}

/// Feeds one cache from one watch, and wakes after the cache has changed. An object that does not
/// fit our types is named and skipped: it must not blind the operator to all others.
async fn drive<K>(
    client: Client,
    writer: Writer<K>,
    config: watcher::Config,
    queues: std::sync::Arc<Queues>,
    wakes: impl Fn(&K) -> Vec<Wake> + Send,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let events = watcher::watcher(api, config).default_backoff();
    let reader = writer.as_reader();
    let mut stream = std::pin::pin!(feed(writer, events));
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => queues.wake(wakes(&object)),
            // The cache takes the new list as a whole: everything may have changed.
            Ok(Event::InitDone) => queues.wake(reader.state().iter().flat_map(|object| wakes(object)).collect()),
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => warn!(%error, kind = %K::kind(&()), "watch was interrupted and starts again"),
        }
    }
    error!(kind = %K::kind(&()), "watch ended");
}

fn feed<K>(
    mut writer: Writer<K>,
    events: impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    events
        .try_filter_map(|event| std::future::ready(Ok(readable(event))))
        .inspect_ok(move |event| writer.apply_watcher_event(event))
}

fn readable<K: Resource<DynamicType = ()>>(event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
    let check = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            // Nobody reads them, and they are half of what a cache would hold.
            object.meta_mut().managed_fields = None;
            Some(object)
        }
        Err(invalid) => {
            error!(kind = %K::kind(&()), name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error, "object does not fit its kind and is passed over");
            None
        }
    };
    match event {
        Event::Apply(guard) => check(guard).map(Event::Apply),
        Event::Delete(guard) => check(guard).map(Event::Delete),
        Event::InitApply(guard) => check(guard).map(Event::InitApply),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}
