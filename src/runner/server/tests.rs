//! The routes over a fake API server that holds one task and takes writes by compare-and-swap.

mod review;

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Instant,
};

use axum::body::Body;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::{
    Client,
    client::Body as KubeBody,
    runtime::{reflector::store, watcher::Event},
};
use rstest::rstest;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::git::auth::Identity;

/// Tokens of the tests: `pod-{uid}` of a task pod of namespace team, and some others.
struct Tokens;

impl TokenReviewer for Tokens {
    fn review<'a>(&'a self, token: &'a str, audience: &'static str) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        assert_eq!(audience, "phasegate");
        let identity = |username: &str, pod: Option<&str>| {
            Ok(Some(Identity { username: username.to_owned(), pod_uid: pod.map(str::to_owned) }))
        };
        let task = "system:serviceaccount:team:phasegate-task";
        let found = match token {
            "down" => Err("no API server".to_owned()),
            "unbound" => identity(task, None),
            "elsewhere" => identity("system:serviceaccount:other:phasegate-task", Some("1")),
            "person" => identity("admin", Some("1")),
            token => token.strip_prefix("pod-").map_or(Ok(None), |uid| identity(task, Some(uid))),
        };
        async move { found }.boxed()
    }
}

/// What the fake API server holds.
#[derive(Default)]
struct Held {
    task: Value,
    writes: usize,
    /// Before each of so many writes somebody else writes.
    races: usize,
}

struct World {
    held: Arc<Mutex<Held>>,
    api: RunnerApi,
}

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
const OWN: [&str; 7] = ["resumed", "plan", "progress", "submission", "delivery", "review", "usage"];
const COMMIT: &str = "0123456789012345678901234567890123456789";
const OTHER: &str = "9876543210987654321098765432109876543210";

impl World {
    fn new(status: &Value) -> Self {
        let task = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
            "metadata": {"name": "klein", "namespace": "team", "uid": "task-1", "resourceVersion": "1",
                "creationTimestamp": "2026-03-04T05:06:07Z"},
            "spec": {"role": "Developer", "repository": "alicia", "task": "mqtt", "branch": "feature/phase-1-mqtt",
                "phase": {"name": "alicia-1", "uid": "p", "attempt": 1}, "commit": OTHER,
                "pod": {"image": "i"}, "timeout": "1h", "maxRuns": 4, "correlationId": "c"},
            "status": status,
        });
        let held = Arc::new(Mutex::new(Held { task, ..Held::default() }));
        let answering = Arc::clone(&held);
        let service = service_fn(move |request: Request<KubeBody>| {
            let held = Arc::clone(&answering);
            async move { Ok::<_, std::convert::Infallible>(api_server(&held, request).await) }
        });
        let (phases, mut writer) = store::<Phase>();
        let phase = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase",
            "metadata": {"name": "alicia-1", "namespace": "team"},
            "spec": {"repositoryRef": {"name": "alicia"}, "number": 1, "version": "1.0.0",
                "tasks": [{"name": "mqtt", "description": "d"}]},
        });
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(phase).unwrap()));
        let client = Client::new(service, "default");
        let api = RunnerApi::new(client, phases, Arc::new(Tokens), "phasegate-task".to_owned());
        // However slow the machine is: no time passes between two calls.
        let pace = Arc::new(super::Pace::by(|| *STARTED));
        Self { held, api: RunnerApi { pace, ..api } }
    }

    fn with_git(self, git: GitClient) -> Self {
        Self { api: self.api.with_git(git), ..self }
    }

    /// Run 2 is at work in pod 1.
    fn at_work() -> Self {
        Self::new(&json!({"state": "Running", "run": 2, "podUID": "1"}))
    }

    async fn ask(&self, resource: &str, token: &str, run: i32, body: Option<&Value>) -> (u16, Value) {
        let path = super::super::protocol::path("team", "klein", resource, run);
        let request = Request::builder().uri(path).header("authorization", format!("Bearer {token}"));
        let request = match body {
            Some(body) => {
                let request = request.method("POST").header("content-type", "application/json");
                request.body(Body::from(body.to_string())).unwrap()
            }
            None => request.body(Body::empty()).unwrap(),
        };
        let response = router(self.api.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        if status == 503 {
            assert!(response.headers().contains_key("retry-after"));
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status >= 400 {
            assert!(!body["error"].as_str().unwrap().is_empty() && !body["remedy"].as_str().unwrap().is_empty());
        }
        (status, body)
    }

    async fn told(&self, resource: &str, body: &Value) -> (u16, Value) {
        self.ask(resource, "pod-1", 2, Some(body)).await
    }

    fn status(&self) -> Value {
        self.held.lock().unwrap().task["status"].clone()
    }

    fn writes(&self) -> usize {
        self.held.lock().unwrap().writes
    }
}

/// Reads and applies, like the real one as far as this API asks.
async fn api_server(held: &Mutex<Held>, request: Request<KubeBody>) -> Response<KubeBody> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let method = request.method().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut held = held.lock().unwrap();
    let answer = |code: u16, value: &Value| {
        Response::builder().status(code).body(KubeBody::from(value.to_string().into_bytes())).unwrap()
    };
    let failure = |code: u16, reason: &str| {
        answer(code, &json!({"kind": "Status", "status": "Failure", "code": code, "message": "m", "reason": reason}))
    };
    let own = "/apis/phasegate.dev/v1alpha1/namespaces/team/agenttasks/klein";
    if path == own && method == "GET" {
        return if held.task.is_null() { failure(404, "NotFound") } else { answer(200, &held.task) };
    }
    assert_eq!((path, method.as_str()), (format!("{own}/status"), "PATCH"));
    assert!(query.contains("fieldManager=phasegate-runner") && query.contains("force=true"), "{query}");
    let written: Value = serde_json::from_slice(&body).unwrap();
    if held.races > 0 {
        held.races -= 1;
        moved(&mut held.task);
    }
    if written["metadata"]["resourceVersion"] != held.task["metadata"]["resourceVersion"] {
        return failure(409, "Conflict");
    }
    assert_eq!(written["metadata"]["uid"], "task-1");
    let applied = written["status"].as_object().unwrap();
    assert!(applied.keys().all(|field| OWN.contains(&field.as_str())), "{applied:?}");
    let status = held.task["status"].as_object_mut().unwrap();
    status.retain(|field, _| !OWN.contains(&field.as_str()));
    status.extend(applied.clone());
    moved(&mut held.task);
    held.writes += 1;
    answer(200, &held.task)
}

fn moved(task: &mut Value) {
    let version: u64 = task["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    task["metadata"]["resourceVersion"] = (version + 1).to_string().into();
}

fn stamp() -> Value {
    json!({"run": 2, "podUID": "1"})
}

#[tokio::test]
async fn the_live_pod_is_told_its_assignment() {
    let world = World::at_work();
    let (status, body) = world.ask("assignment", "pod-1", 2, None).await;
    assert_eq!(status, 200);
    let phase = json!({"name": "alicia-1", "attempt": 1, "number": 1, "version": "1.0.0"});
    assert_eq!((&body["run"], &body["phase"], &body["clonePath"]), (&2.into(), &phase, &"/team/alicia.git".into()));
    assert_eq!((&body["createdAt"], &body["branch"]), (&"2026-03-04T05:06:07Z".into(), &"feature/phase-1-mqtt".into()));
}

#[rstest]
#[case::nobodys_token("nonsense", 2, 401)]
#[case::a_token_without_a_pod("unbound", 2, 403)]
#[case::a_pod_of_another_namespace("elsewhere", 2, 403)]
#[case::a_person("person", 2, 403)]
#[case::another_pod("pod-9", 2, 403)]
#[case::an_older_run("pod-1", 1, 403)]
#[case::a_newer_run("pod-1", 3, 403)]
#[case::nobody_can_be_asked("down", 2, 503)]
#[tokio::test]
async fn nobody_but_the_live_pod_is_listened_to(#[case] token: &str, #[case] run: i32, #[case] expected: u16) {
    let world = World::at_work();
    assert_eq!(world.ask("assignment", token, run, None).await.0, expected);
    let submission = json!({"commit": COMMIT});
    assert_eq!(world.ask("submission", token, run, Some(&submission)).await.0, expected);
    assert_eq!(world.ask("delivery", token, run, Some(&json!({}))).await.0, expected);
    assert_eq!(world.writes(), 0);
}

#[rstest]
#[case::not_pinned_yet(json!({"state": "Starting", "run": 2}), 503)]
#[case::pinned(json!({"state": "Starting", "run": 2, "podUID": "1"}), 200)]
#[case::given_up(json!({"state": "Pending", "run": 2, "podUID": "1"}), 409)]
#[case::ended(json!({"state": "Failed", "run": 2, "podUID": "1"}), 409)]
#[case::ended_without_a_pod(json!({"state": "Failed", "run": 2}), 403)]
#[tokio::test]
async fn an_assignment_is_for_a_pinned_pod_whose_run_is_not_over(#[case] status: Value, #[case] expected: u16) {
    assert_eq!(World::new(&status).ask("assignment", "pod-1", 2, None).await.0, expected);
}

#[tokio::test]
async fn a_pod_whose_task_was_deleted_is_told_so() {
    let world = World::at_work();
    world.held.lock().unwrap().task = Value::Null;
    assert_eq!(world.ask("delivery", "pod-1", 2, Some(&json!({}))).await.0, 404);
}

#[tokio::test]
async fn every_report_is_stamped_and_none_undoes_another() {
    let world = World::at_work();
    world.told("resumed", &json!({"fromRun": 1, "commit": COMMIT})).await;
    world.told("resumed", &json!({"fromRun": 1, "commit": COMMIT})).await;
    world.told("plan", &json!({"steps": ["a", "b"]})).await;
    world.told("progress", &json!({"percent": 10, "message": "m"})).await;
    world.told("usage", &json!({"inputTokens": 1, "outputTokens": 2})).await;
    world.told("submission", &json!({"commit": COMMIT, "summary": "s"})).await;
    let last = world.told("delivery", &json!({"changed": true, "exitCode": 0})).await;
    assert_eq!(last, (200, json!({"recorded": true})));
    let status = world.status();
    assert_eq!(status["resumed"], json!({"stamp": stamp(), "fromRun": 1, "commit": COMMIT}));
    assert_eq!(status["plan"], json!({"stamp": stamp(), "steps": ["a", "b"]}));
    assert_eq!(status["progress"], json!({"stamp": stamp(), "percent": 10, "message": "m"}));
    assert_eq!(status["submission"], json!({"stamp": stamp(), "commit": COMMIT, "summary": "s"}));
    assert_eq!((&status["delivery"]["exitCode"], &status["usage"]["outputTokens"]), (&0.into(), &2.into()));
    assert_eq!((&status["state"], world.writes()), (&"Running".into(), 6));
}

#[tokio::test]
async fn a_report_that_meets_the_reconcilers_write_is_written_after_it() {
    let world = World::at_work();
    world.held.lock().unwrap().races = 3;
    assert_eq!(world.told("submission", &json!({"commit": COMMIT})).await.0, 200);
    assert_eq!((world.writes(), &world.status()["submission"]["commit"]), (1, &COMMIT.into()));
    world.held.lock().unwrap().races = 100;
    assert_eq!(world.told("delivery", &json!({})).await.0, 503);
}

#[tokio::test]
async fn the_first_submission_of_a_run_wins() {
    let world = World::at_work();
    assert_eq!(world.told("submission", &json!({"commit": COMMIT, "summary": "first"})).await.0, 200);
    assert_eq!(world.told("submission", &json!({"commit": COMMIT, "summary": "again"})).await.0, 200);
    let (status, body) = world.told("submission", &json!({"commit": OTHER})).await;
    assert_eq!((status, &body["commit"]), (409, &COMMIT.into()));
    assert_eq!((&world.status()["submission"]["summary"], world.writes()), (&"first".into(), 1));
}

#[tokio::test]
async fn the_submission_of_an_earlier_run_does_not_count_and_does_not_stay() {
    let earlier = json!({"stamp": {"run": 1, "podUID": "0"}, "commit": OTHER});
    let world = World::new(&json!({"state": "Running", "run": 2, "podUID": "1", "submission": earlier}));
    assert_eq!(world.told("plan", &json!({"steps": ["a"]})).await.0, 200);
    assert_eq!(world.status()["submission"], Value::Null);
    assert_eq!(world.told("submission", &json!({"commit": COMMIT})).await.0, 200);
    assert_eq!(world.status()["submission"]["commit"], COMMIT);
}

#[rstest]
#[case("Succeeded")]
#[case("Failed")]
#[tokio::test]
async fn after_the_task_has_ended_only_its_delivery_is_taken(#[case] state: &str) {
    let world = World::new(&json!({"state": state, "run": 2, "podUID": "1"}));
    for (resource, body) in [
        ("resumed", json!({"fromRun": 1, "commit": COMMIT})),
        ("plan", json!({"steps": ["a"]})),
        ("progress", json!({"percent": 1})),
        ("usage", json!({"inputTokens": 1, "outputTokens": 1})),
        ("submission", json!({"commit": COMMIT})),
    ] {
        assert_eq!(world.told(resource, &body).await.0, 409, "{resource}");
    }
    assert_eq!(world.told("delivery", &json!({"exitCode": 1})).await.0, 200);
    // Its answer was lost, and it comes again.
    assert_eq!(world.told("delivery", &json!({"exitCode": 2})).await.0, 200);
    assert_eq!((&world.status()["delivery"]["exitCode"], world.writes()), (&1.into(), 1));
}

#[rstest]
#[case::work_of_no_run("resumed", json!({"fromRun": 0, "commit": COMMIT}))]
#[case::its_own_work("resumed", json!({"fromRun": 2, "commit": COMMIT}))]
#[case::no_commit_resumed("resumed", json!({"fromRun": 1, "commit": "wip"}))]
#[case::no_steps("plan", json!({"steps": []}))]
#[case::too_many_steps("plan", json!({"steps": vec!["s"; 51]}))]
#[case::more_than_all("progress", json!({"percent": 101}))]
#[case::less_than_nothing("progress", json!({"percent": -1}))]
#[case::no_commit("submission", json!({"commit": "main"}))]
#[case::a_short_commit("submission", json!({"commit": "0123abc"}))]
#[case::too_many_answers("submission", json!({"commit": COMMIT, "answers": vec![json!({"finding": "f", "answer": "Fixed"}); 101]}))]
#[case::no_commit_in_a_delivery("delivery", json!({"commit": "x"}))]
#[case::negative("usage", json!({"inputTokens": -1, "outputTokens": 0}))]
#[case::not_its_shape("plan", json!({"steps": "one"}))]
#[tokio::test]
async fn what_is_out_of_bounds_is_refused_with_the_field(#[case] resource: &str, #[case] body: Value) {
    let world = World::at_work();
    let (status, answer) = world.told(resource, &body).await;
    assert_eq!((status, world.writes()), (422, 0), "{answer}");
}

#[tokio::test]
async fn too_many_findings_are_refused_whatever_report_they_are_in() {
    let world = World::at_work();
    let finding = json!({"id": "i", "rule": "r", "severity": "Minor", "path": "p", "line": 1, "message": "m"});
    let report = |count: usize| json!({"path": "p", "format": "SARIF", "state": "Read", "findings": vec![finding.clone(); count]});
    assert_eq!(world.told("delivery", &json!({"reports": [report(60), report(41)]})).await.0, 422);
    assert_eq!(world.told("delivery", &json!({"reports": [report(60), report(40)]})).await.0, 200);
}

#[tokio::test]
async fn a_body_larger_than_an_object_may_be_is_not_read() {
    let world = World::at_work();
    let (status, _) = world.told("progress", &json!({"percent": 1, "message": "m".repeat(600 << 10)})).await;
    assert_eq!((status, world.writes()), (413, 0));
}

#[tokio::test]
async fn long_texts_are_cut_and_not_refused() {
    let world = World::at_work();
    world.told("submission", &json!({"commit": COMMIT, "summary": "ä".repeat(5000)})).await;
    assert_eq!(world.status()["submission"]["summary"].as_str().unwrap().chars().count(), 4096);
}

#[tokio::test]
async fn heartbeats_and_to_and_fro_stay_out_of_the_api() {
    let world = World::at_work();
    for _ in 0..50 {
        for percent in [0, 1, 2, 3, 100, 99, 50] {
            assert_eq!(
                world.told("progress", &json!({"percent": percent, "message": percent.to_string()})).await.0,
                200
            );
        }
    }
    assert!(world.writes() <= 4, "{} writes", world.writes());
    let same = json!({"steps": ["a"]});
    let before = world.writes();
    for _ in 0..10 {
        assert_eq!(world.told("plan", &same).await.0, 200);
    }
    assert_eq!(world.writes(), before + 1);
    let again =
        [world.told("plan", &json!({"steps": ["b"]})).await.0, world.told("plan", &json!({"steps": ["c"]})).await.0];
    assert_eq!(again, [200, 429]);
}

#[tokio::test]
async fn a_submitted_commit_must_be_on_the_git_service_and_of_this_run() {
    let pod = super::super::world::World::new(crate::api::agent_task::Role::Developer).await;
    let start = pod.head("refs/heads/main");
    let work = tempfile::tempdir().unwrap();
    let bare = pod.bare();
    let commit = |message: &str| {
        let args = ["commit-tree", &format!("{start}^{{tree}}"), "-p", &start, "-m", message];
        super::super::world::git(&bare, &args).trim().to_owned()
    };
    let world = World::at_work();
    world.held.lock().unwrap().task["spec"]["commit"] = start.clone().into();
    let token = work.path().join("token");
    std::fs::write(&token, "operator").unwrap();
    let git = GitClient::new(&pod.args.git_url, token, std::time::Duration::from_secs(10)).unwrap();
    let world = world.with_git(git);
    for (commit, why) in [
        (COMMIT.to_owned(), "is not on the git service"),
        (start.clone(), "was not made by run 2"),
        (commit("x\n\nPhasegate-Task: task-1/1"), "was not made by run 2"),
        (commit("x\n\nPhasegate-Task: other/2"), "was not made by run 2"),
    ] {
        for resource in ["submission", "delivery"] {
            let (status, body) = world.told(resource, &json!({"commit": commit})).await;
            assert_eq!(status, 422);
            assert!(body["error"].as_str().unwrap().contains(why), "{body}");
        }
    }
    let good = commit("x\n\nPhasegate-Task: task-1/2");
    assert_eq!(world.told("submission", &json!({"commit": good})).await.0, 200);
}
