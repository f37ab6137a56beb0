//! The watches: one per kind feeds a cache and wakes what depends on the object, also when it is
//! gone (generation predicates and shared streams swallow deletions, so neither is used).
//!
//! An object that does not fit our types is said and is not in the cache, and must not blind the
//! operator to all others. If it fitted before, its old form goes: what was is no ground to act on.
//! Who needs it waits, or is refused by its name, until it fits again.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
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
    metrics::Metrics,
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
    let wake =
        |object: &Arc<K>| Wake { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    state.iter().map(wake).collect()
}

/// The caches, and the watches that feed them; each watch runs until the process ends.
pub fn start(client: &Client, queues: Arc<Queues>, metrics: &Metrics) -> (Stores, Vec<BoxFuture<'static, ()>>) {
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
    let sight = Sight { client: client.clone(), queues, metrics: metrics.clone() };
    let watches: Vec<BoxFuture<'static, ()>> = vec![
        Box::pin(drive(sight.clone(), repositories_writer, all(), by_repository)),
        Box::pin(drive(sight.clone(), phases_writer, all(), by_phase)),
        Box::pin(drive(sight.clone(), tasks_writer, all(), wake::of_task)),
        Box::pin(drive(sight.clone(), reviews_writer, all(), wake::of_review)),
        Box::pin(drive(sight.clone(), decisions_writer, all(), wake::of_decision)),
        Box::pin(drive(sight.clone(), jobs_writer, ours(), wake::of_job)),
        Box::pin(drive(sight.clone(), pods_writer, ours(), wake::of_pod)),
        Box::pin(drive(sight, pod_templates_writer, all(), by_template)),
    ];
    (stores, watches)
}

fn store<K>() -> (Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    kube::runtime::reflector::store()
}

/// What every watch works with.
#[derive(Clone)]
struct Sight {
    client: Client,
    queues: Arc<Queues>,
    metrics: Metrics,
}

/// Feeds one cache from one watch, and wakes after the cache has changed.
async fn drive<K>(sight: Sight, writer: Writer<K>, config: watcher::Config, wakes: impl Fn(&K) -> Vec<Wake> + Send)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let Sight { client, queues, metrics } = sight;
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let events = watcher::watcher(api, config).default_backoff();
    let reader = writer.as_reader();
    let mut before = Vec::new();
    let mut stream = std::pin::pin!(feed(writer, events, metrics));
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => queues.wake(affected(&event, &reader, &mut before, &wakes)),
            Err(error) => warn!(%error, kind = %K::kind(&()), "watch was interrupted and starts again"),
        }
    }
    error!(kind = %K::kind(&()), "watch ended");
}

/// What an event wakes. `before` is what the cache held when the list under way began.
fn affected<K>(
    event: &Event<K>,
    reader: &Store<K>,
    before: &mut Vec<Arc<K>>,
    wakes: impl Fn(&K) -> Vec<Wake>,
) -> Vec<Wake>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match event {
        Event::Apply(object) | Event::Delete(object) => wakes(object),
        Event::Init => {
            *before = reader.state();
            Vec::new()
        }
        Event::InitApply(_) => Vec::new(),
        // The cache takes the new list as a whole: everything may have changed, and some may have gone.
        Event::InitDone => {
            let gone = std::mem::take(before).into_iter();
            let gone = gone.filter(|object| reader.get(&ObjectRef::from_obj(object.as_ref())).is_none());
            gone.chain(reader.state()).flat_map(|object| wakes(&object)).collect()
        }
    }
}

fn feed<K>(
    mut writer: Writer<K>,
    events: impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send,
    metrics: Metrics,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let reader = writer.as_reader();
    events
        .try_filter_map(move |event| std::future::ready(Ok(readable(event, &reader, &metrics))))
        .inspect_ok(move |event| writer.apply_watcher_event(event))
}

/// The event as the cache takes it: an object that does not fit is gone from there.
fn readable<K>(event: Event<DeserializeGuard<K>>, cache: &Store<K>, metrics: &Metrics) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match event {
        Event::Apply(guard) => match check(guard, metrics) {
            Ok(object) => Some(Event::Apply(object)),
            Err(key) => cache.get(&key).map(|old| Event::Delete(old.as_ref().clone())),
        },
        Event::Delete(guard) => match check(guard, metrics) {
            Ok(object) => Some(Event::Delete(object)),
            Err(key) => cache.get(&key).map(|old| Event::Delete(old.as_ref().clone())),
        },
        Event::InitApply(guard) => check(guard, metrics).ok().map(Event::InitApply),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}

/// The object, or the key of one that does not fit, which is said.
fn check<K>(guard: DeserializeGuard<K>, metrics: &Metrics) -> Result<K, ObjectRef<K>>
where
    K: Resource<DynamicType = ()>,
{
    match guard.0 {
        Ok(mut object) => {
            // Nobody reads them, and they are half of what a cache would hold.
            object.meta_mut().managed_fields = None;
            Ok(object)
        }
        Err(invalid) => {
            let kind = K::kind(&());
            let (name, namespace) = (invalid.metadata.name.unwrap_or_default(), invalid.metadata.namespace);
            metrics.unreadable(&kind);
            error!(%kind, name, namespace, error = %invalid.error, "object does not fit its kind and is left out until it does; mend or delete it");
            let key = ObjectRef::new(&name);
            Err(match &namespace {
                Some(namespace) => key.within(namespace),
                None => key,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};
    use kube::runtime::reflector::store;
    use serde_json::json;

    use super::*;

    fn guard(name: &str, number: &serde_json::Value) -> DeserializeGuard<Phase> {
        serde_json::from_value(json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "metadata": {"name": name, "namespace": "n"},
            "spec": {"repositoryRef": {"name": "r"}, "number": number, "version": "1", "tasks": [{"name": "t", "description": "d"}]},
        }))
        .unwrap()
    }

    fn fits(name: &str) -> DeserializeGuard<Phase> {
        guard(name, &json!(1))
    }

    fn misfits(name: &str) -> DeserializeGuard<Phase> {
        guard(name, &json!({"not": "a number"}))
    }

    /// Whom each event that reaches the cache wakes, what the cache holds then, and how many did not fit.
    fn seen(events: Vec<Event<DeserializeGuard<Phase>>>) -> (Vec<Vec<String>>, Vec<String>, usize) {
        let (reader, writer) = store();
        let metrics = Metrics::new().unwrap();
        let mut before = Vec::new();
        let wakes = |phase: &Phase| wake::of_phase(phase, &[], &[]);
        let woken = feed(writer, stream::iter(events.into_iter().map(Ok)), metrics.clone())
            .map(|event| affected(&event.unwrap(), &reader, &mut before, wakes))
            .map(|wakes| wakes.into_iter().map(|wake| wake.name).collect())
            .collect::<Vec<_>>();
        let woken = woken.now_or_never().unwrap();
        let mut held: Vec<String> = reader.state().iter().map(|phase| phase.name_any()).collect();
        held.sort();
        (woken, held, count(&metrics))
    }

    fn count(metrics: &Metrics) -> usize {
        let nothing = Stores::empty();
        let text = String::from_utf8(metrics.render(&nothing).unwrap()).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("phasegate_unreadable_objects_total{kind=\"Phase\"} "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    fn listed(objects: Vec<DeserializeGuard<Phase>>) -> Vec<Event<DeserializeGuard<Phase>>> {
        let objects = objects.into_iter().map(Event::InitApply);
        std::iter::once(Event::Init).chain(objects).chain([Event::InitDone]).collect()
    }

    fn after_a_list(events: Vec<Event<DeserializeGuard<Phase>>>) -> (Vec<Vec<String>>, Vec<String>, usize) {
        let all = listed(vec![fits("a"), fits("b")]).into_iter().chain(events).collect();
        let (woken, held, misfits) = seen(all);
        (woken[4..].to_vec(), held, misfits)
    }

    #[test]
    fn an_object_that_no_longer_fits_leaves_the_cache_and_wakes_what_depends_on_it() {
        let (woken, held, count) = after_a_list(vec![Event::Apply(misfits("a")), Event::Apply(misfits("a"))]);
        assert_eq!((woken, held, count), (vec![vec!["a".to_owned()]], vec!["b".to_owned()], 2));
    }

    #[test]
    fn an_object_that_fits_again_is_back() {
        let (woken, held, _) = after_a_list(vec![Event::Apply(misfits("a")), Event::Apply(fits("a"))]);
        assert_eq!((woken.len(), held), (2, vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn an_object_that_goes_in_a_form_that_does_not_fit_is_gone() {
        let (woken, held, _) = after_a_list(vec![Event::Delete(misfits("a"))]);
        assert_eq!((woken, held), (vec![vec!["a".to_owned()]], vec!["b".to_owned()]));
    }

    #[test]
    fn an_object_that_never_fitted_is_counted_and_nothing_else() {
        let (woken, held, count) = after_a_list(vec![Event::Apply(misfits("c")), Event::Delete(misfits("c"))]);
        assert_eq!((woken.len(), held.len(), count), (0, 2, 2));
    }

    #[test]
    fn a_new_list_wakes_also_for_what_is_gone_or_does_not_fit_any_more() {
        let (woken, held, count) = after_a_list(listed(vec![misfits("a"), fits("c")]));
        let mut last = woken.last().unwrap().clone();
        last.sort();
        assert_eq!((last, held, count), (["a", "b", "c"].map(str::to_owned).to_vec(), vec!["c".to_owned()], 1));
    }
}
