//! The AgentTask reconciler on a real API server: its writes, its status beside that of the runner API, and what
//! happens when caches are stale. The caches are fed by hand, so that each test says what a replica has seen.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodTemplate},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::{
        events::{Recorder, Reporter},
        reflector::{store, store::Writer},
        watcher::Event,
    },
};
use phasegate::{
    api::{AgentTask, AgentTaskStatus, Decision, Phase, Repository, ReviewResult, agent_task::TaskState},
    controller::{
        agent_task::reconcile,
        config::OperatorConfig,
        context::{Context, OwnWrites, Stores},
        decisions::Trust,
        metrics::Metrics,
        pod::{PodConfig, job},
    },
    git::client::GitClient,
};
use serde_json::{Value, json};

use crate::support::{Answer, ApiServer, JOB_CONTROLLER, OPERATOR, PROJECT, ask};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    operator: OperatorConfig,
}

/// One replica of the operator, with caches that see what they are told.
pub(crate) struct Replica {
    pub(crate) context: Arc<Context>,
    pub(crate) phases: Writer<Phase>,
    tasks: Writer<AgentTask>,
    jobs: Writer<Job>,
    pods: Writer<Pod>,
}

impl Replica {
    pub(crate) fn new(client: &Client) -> Self {
        let (phases, phases_writer) = store::<Phase>();
        let (tasks, tasks_writer) = store::<AgentTask>();
        let (jobs, jobs_writer) = store::<Job>();
        let (pods, pods_writer) = store::<Pod>();
        let stores = Stores {
            repositories: store::<Repository>().0,
            phases,
            tasks,
            reviews: store::<ReviewResult>().0,
            decisions: store::<Decision>().0,
            jobs,
            pods,
            pod_templates: store::<PodTemplate>().0,
        };
        let config = Flags::parse_from(["operator"]).operator;
        let context = Context {
            client: client.clone(),
            stores,
            recorder: Recorder::new(client.clone(), Reporter { controller: "phasegate".into(), instance: None }),
            own_writes: OwnWrites::default(),
            git: GitClient::new("http://127.0.0.1:1", "/nowhere", Duration::from_secs(1)).expect("a client"),
            trust: Trust::default(),
            metrics: Metrics::new().expect("metrics"),
            config,
        };
        Self {
            context: Arc::new(context),
            phases: phases_writer,
            tasks: tasks_writer,
            jobs: jobs_writer,
            pods: pods_writer,
        }
    }

    /// The cache sees this version of the task, and the task is looked at.
    pub(crate) async fn look(&mut self, task: &AgentTask) {
        self.tasks.apply_watcher_event(&Event::Apply(task.clone()));
        reconcile(Arc::new(task.clone()), self.context.clone()).await.expect("reconciled");
    }
}

pub(crate) struct Tasks {
    tasks: Api<AgentTask>,
    jobs: Api<Job>,
}

impl Tasks {
    pub(crate) async fn new(server: &ApiServer, namespace: &str) -> (Self, Client) {
        let client = server.client_as(OPERATOR).await;
        let (tasks, jobs) = (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace));
        (Self { tasks, jobs }, client)
    }

    pub(crate) async fn make(&self, name: &str, more: &Value) -> AgentTask {
        let mut object = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask", "metadata": {"name": name},
            "spec": {"role": "Developer", "repository": "r", "task": "t", "timeout": "1h", "maxRuns": 4,
                "branch": "feature/phase-1-t", "pod": {"image": "klein:1", "command": ["klein"]}},
        });
        for (field, value) in more.as_object().expect("a map") {
            object["spec"][field] = value.clone();
        }
        let task = serde_json::from_value(object).expect("an AgentTask");
        self.tasks.create(&PostParams::default(), &task).await.expect("made")
    }

    pub(crate) async fn now(&self, task: &AgentTask) -> AgentTask {
        self.tasks.get(&task.name_any()).await.expect("there")
    }

    pub(crate) async fn jobs_of(&self, task: &AgentTask) -> Vec<Job> {
        let all = self.jobs.list(&ListParams::default()).await.expect("a list");
        let uid = task.uid();
        all.items
            .into_iter()
            .filter(|job| job.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()))
            .collect()
    }
}

pub(crate) fn status(task: &AgentTask) -> AgentTaskStatus {
    task.status.clone().expect("a status")
}

/// What the Job controller would make of it.
fn pod_of(job: &Job) -> Pod {
    let owner = job.controller_owner_ref(&());
    serde_json::from_value(json!({
        "metadata": {"name": format!("{}-x", job.name_any()), "namespace": job.namespace(), "uid": "pod-uid", "ownerReferences": [owner]},
        "spec": job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()),
        "status": {"phase": "Pending"},
    }))
    .expect("a pod")
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_run_goes_from_its_job_to_its_submission_and_nothing_happens_twice() {
    let server = ApiServer::with_chart().await;
    let (api, client) = Tasks::new(&server, PROJECT).await;
    let mut replica = Replica::new(&client);
    let new = api.make("to-submission", &json!({})).await;

    replica.look(&new).await;
    let started = api.now(&new).await;
    let jobs = api.jobs_of(&new).await;
    assert_eq!((jobs.len(), status(&started).run, status(&started).state), (1, 1, TaskState::Starting));
    assert_eq!(status(&started).job, jobs[0].metadata.name);

    // The cache has not seen the own write; then another replica that has seen as little.
    replica.look(&new).await;
    Replica::new(&client).look(&new).await;
    assert_eq!(api.now(&new).await.resource_version(), started.resource_version(), "a stale cache writes nothing");
    assert_eq!(api.jobs_of(&new).await.len(), 1, "a stale cache starts nothing");

    replica.jobs.apply_watcher_event(&Event::Apply(jobs[0].clone()));
    replica.pods.apply_watcher_event(&Event::Apply(pod_of(&jobs[0])));
    replica.look(&started).await;
    let pinned = api.now(&new).await;
    assert_eq!(status(&pinned).pod_uid.as_deref(), Some("pod-uid"));
    replica.look(&pinned).await;
    assert_eq!(
        api.now(&new).await.resource_version(),
        pinned.resource_version(),
        "nothing happened, nothing is written"
    );

    let report = json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
        "status": {"submission": {"stamp": {"run": 1, "podUID": "pod-uid"}, "commit": "0123456789012345678901234567890123456789"}},
    });
    let parameters = PatchParams::apply("phasegate-runner").force();
    let submitted =
        api.tasks.patch_status(&new.name_any(), &parameters, &Patch::Apply(report)).await.expect("reported");
    assert_eq!(status(&submitted).run, 1, "the runner API leaves the reconciler's fields alone");
    // A replica that has not seen the submission is refused by compare-and-swap.
    let mut late = Replica::new(&client);
    late.look(&started).await;
    assert_eq!(api.now(&new).await.resource_version(), submitted.resource_version());

    replica.look(&submitted).await;
    let ended = api.now(&new).await;
    assert_eq!(status(&ended).state, TaskState::Succeeded);
    assert!(status(&ended).submission.is_some(), "the reconciler leaves the runner API's fields alone");
    let ready = status(&ended).conditions.into_iter().find(|met| met.type_ == "Ready").expect("a condition");
    assert_eq!(ready.status, "True");
    replica.look(&ended).await;
    assert_eq!(api.now(&new).await.resource_version(), ended.resource_version(), "an end is an end");
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_pod_that_is_lost_costs_nothing_and_its_job_goes() {
    let server = ApiServer::with_chart().await;
    let (api, client) = Tasks::new(&server, PROJECT).await;
    let mut replica = Replica::new(&client);
    let new = api.make("lost", &json!({})).await;
    replica.look(&new).await;
    let job = api.jobs_of(&new).await.remove(0);
    replica.jobs.apply_watcher_event(&Event::Apply(job.clone()));
    replica.pods.apply_watcher_event(&Event::Apply(pod_of(&job)));
    replica.look(&api.now(&new).await).await;
    replica.pods.apply_watcher_event(&Event::Delete(pod_of(&job)));
    replica.look(&api.now(&new).await).await;
    let lost = status(&api.now(&new).await);
    assert_eq!((lost.state, lost.spent_runs, lost.infra_runs), (TaskState::Pending, 0, 1), "{}", lost.message);
    assert!(lost.not_before.is_some(), "it waits before the next run");
    assert_eq!(api.jobs_of(&new).await, [], "no Job is left behind");
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_job_that_the_quota_refuses_is_named_in_the_status() {
    let server = ApiServer::with_chart().await;
    // Nobody counts here but admission, which believes what the status of the quota says, a moment later.
    server.shell(
        r#"kubectl -n bare create quota none --hard=count/jobs.batch=0
           counted='{"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}}'
           kubectl -n bare patch quota none --subresource=status --type=merge -p "$counted"
           for _ in $(seq 100); do
             said=$(kubectl -n bare create job probe --image=x --dry-run=server 2>&1) || true
             case $said in *"exceeded quota"*) exit 0 ;; esac
             sleep 0.2
           done
           echo "the quota has no effect: $said" >&2
           exit 1"#,
    );
    let (api, client) = Tasks::new(&server, "bare").await;
    let new = api.make("over-quota", &json!({})).await;
    let mut replica = Replica::new(&client);
    replica.look(&new).await;
    let refused = api.now(&new).await;
    assert_eq!((status(&refused).state, status(&refused).run), (TaskState::Pending, 0));
    assert!(status(&refused).message.contains("exceeded quota"), "{}", status(&refused).message);
    replica.look(&refused).await;
    assert_eq!(api.now(&new).await.resource_version(), refused.resource_version(), "the same refusal is not news");
    server.shell("kubectl -n bare delete quota none");
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn the_pods_of_every_role_are_admitted() {
    let server = ApiServer::with_chart().await;
    let (api, _) = Tasks::new(&server, PROJECT).await;
    let client = server.client().await;
    let check = json!({"name": "test", "image": "tools:1", "script": "make test",
        "services": [{"name": "broker", "image": "mqtt:2", "port": 1883}]});
    let roles = [
        ("admitted-developer", json!({})),
        ("admitted-check", json!({"role": "Check", "check": check, "pod": {"image": "tools:1"}})),
        (
            "admitted-sync",
            json!({"role": "Sync", "upstream": {"url": "git://git.example/app.git"}, "pod": {"image": ""}}),
        ),
    ];
    let config = PodConfig::from(&Flags::parse_from(["operator"]).operator);
    for (name, more) in roles {
        let task = api.make(name, &more).await;
        let made = api.jobs.create(&PostParams::default(), &job(&task, 1, &config)).await.expect("a Job");
        let template = made.spec.clone().expect("a spec").template;
        let metadata = template.metadata.expect("metadata");
        let pod = json!({
            "metadata": {"generateName": "x-", "labels": metadata.labels, "annotations": metadata.annotations,
                "ownerReferences": [made.controller_owner_ref(&())]},
            "spec": template.spec,
        });
        let path = format!("/api/v1/namespaces/{PROJECT}/pods?dryRun=All");
        let answer = ask(&client, JOB_CONTROLLER, "POST", &path, &pod.to_string()).await;
        assert!(matches!(answer, Answer::Yes(_)), "{name}: {answer:?}");
    }
}
