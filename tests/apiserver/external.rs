//! Checks that outside systems run, on a real API server: what the reconciler and the API for outside systems write,
//! the answer over HTTP.

use std::time::Duration;

use kube::{ResourceExt, runtime::watcher::Event};
use phasegate::{
    api::{
        AgentTask,
        agent_task::{CheckOutcome, FailureClass, TaskState},
    },
    ci::{CiApi, router},
    keys::KeyFile,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    support::{ApiServer, PROJECT},
    tasks::{Replica, Tasks, status},
};

const COMMIT: &str = "0123456789012345678901234567890123456789";
const KEY: &str = "pgk_of_the_tests_with_more_than_32_characters";

fn external(timeout: &str) -> Value {
    json!({
        "role": "Check", "task": "ci", "commit": COMMIT, "timeout": timeout, "maxRuns": 2, "pod": {"image": ""},
        "phase": {"name": "line", "uid": "line-uid", "attempt": 1},
        "check": {"name": "ci", "timeout": timeout, "external": {"system": "GitHub Actions"},
            "reports": [{"path": "junit.xml", "format": "JUnit"}]},
    })
}

fn reviewing() -> phasegate::api::Phase {
    serde_json::from_value(json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase",
        "metadata": {"name": "line", "namespace": PROJECT, "uid": "line-uid"},
        "spec": {"repositoryRef": {"name": "r"}, "number": 1, "version": "1.0.0", "tasks": [{"name": "t", "description": "d"}]},
        "status": {"review": {"number": 1, "commit": COMMIT, "tree": "t", "base": "b", "gateHash": "h", "result": "r"}},
    }))
    .expect("a Phase")
}

/// The API for outside systems of this replica, at an address of its own.
struct Outside {
    address: String,
    http: reqwest::Client,
    _keys: tempfile::TempDir,
}

impl Outside {
    async fn of(replica: &Replica) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.yaml");
        let hash = hex::encode(Sha256::digest(KEY));
        let entry = format!("- {{name: github, role: ci, sha256: \"{hash}\", namespaces: [{PROJECT}]}}\n");
        std::fs::write(&path, entry).expect("written");
        let context = &replica.context;
        let caches = (context.stores.tasks.clone(), context.stores.phases.clone());
        let requests = context.metrics.ci_requests();
        let keys = KeyFile::new(Some(path));
        let api = CiApi::new(context.client.clone(), caches, keys, context.recorder.clone(), requests);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router(api)).await });
        Self { address, http: reqwest::Client::builder().no_proxy().build().expect("a client"), _keys: folder }
    }

    async fn waiting(&self) -> Vec<Value> {
        let url = format!("{}/ci/v1/namespaces/{PROJECT}/checks", self.address);
        let answer = self.http.get(url).bearer_auth(KEY).send().await.expect("an answer");
        let text = answer.text().await.expect("text");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        body["checks"].as_array().expect("a list").clone()
    }

    async fn answer(&self, task: &AgentTask, commit: &str, junit: &str) -> (u16, Value) {
        let field = |name: &str, value: &str| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--XX\r\nContent-Disposition: form-data; name=\"junit.xml\"; filename=\"junit.xml\"\r\n\r\n";
        let url = "https://ci.example/7";
        let fields = field("commit", commit) + &field("outcome", "success") + &field("url", url);
        let request = self
            .http
            .post(format!("{}/ci/v1/namespaces/{PROJECT}/checks/{}", self.address, task.name_any()))
            .bearer_auth(KEY)
            .header("content-type", "multipart/form-data; boundary=XX")
            .body(format!("{fields}{file}{junit}\r\n--XX--\r\n"));
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("text")).expect("JSON"))
    }
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_check_that_runs_outside_is_answered_over_http_and_ends() {
    let server = ApiServer::with_chart().await;
    let (api, client) = Tasks::new(&server, PROJECT).await;
    let mut replica = Replica::new(&client);
    replica.phases.apply_watcher_event(&Event::Apply(reviewing()));
    let outside = Outside::of(&replica).await;
    let new = api.make("line.r1-1.ci", &external("1h")).await;

    replica.look(&new).await;
    let waiting = api.now(&new).await;
    assert_eq!((status(&waiting).state, status(&waiting).run), (TaskState::Running, 1));
    assert_eq!(status(&waiting).message, "waits for GitHub Actions");
    assert_eq!(api.jobs_of(&new).await, [], "nothing of it runs here");
    replica.look(&waiting).await;
    assert_eq!(api.now(&new).await.resource_version(), waiting.resource_version(), "waiting is not news");

    let listed = outside.waiting().await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["task"], &listed[0]["commit"]), (&"line.r1-1.ci".into(), &COMMIT.into()));
    let junit = r#"<testsuite><testcase name="a"/></testsuite>"#;
    let other = COMMIT.replace('0', "f");
    let (refused, body) = outside.answer(&new, &other, junit).await;
    assert_eq!((refused, &body["expected"], &body["given"]), (409, &COMMIT.into(), &other.into()));
    assert_eq!(api.now(&new).await.resource_version(), waiting.resource_version());

    // Any replica takes it, also one whose cache has seen nothing.
    let elsewhere = Outside::of(&Replica::new(&client)).await;
    let (taken, body) = elsewhere.answer(&new, COMMIT, junit).await;
    assert_eq!((taken, &body["again"]), (200, &false.into()), "{body}");
    assert_eq!(outside.answer(&new, COMMIT, junit).await.1["again"], true);
    let answered = api.now(&new).await;
    let delivery = status(&answered).delivery.expect("a delivery");
    assert_eq!(delivery.external.map(|said| said.key).as_deref(), Some("github"));
    assert_eq!(delivery.reports[0].tests.map(|tests| tests.passed), Some(1));
    // A replica that has not seen the answer cannot end the wait.
    replica.look(&waiting).await;
    assert_eq!(api.now(&new).await.resource_version(), answered.resource_version());

    replica.look(&answered).await;
    let ended = api.now(&new).await;
    assert_eq!((status(&ended).state, status(&ended).outcome), (TaskState::Succeeded, Some(CheckOutcome::Passed)));
    assert_eq!(status(&ended).message, "passed, says GitHub Actions (see https://ci.example/7)");
    assert!(status(&ended).delivery.is_some(), "the reconciler leaves the answer alone");
    assert_eq!(outside.waiting().await, Vec::<Value>::new());
    replica.look(&ended).await;
    assert_eq!(api.now(&new).await.resource_version(), ended.resource_version(), "an end is an end");
    let events = server.shell(&format!(
        "kubectl -n {PROJECT} get events.events.k8s.io -o jsonpath='{{range .items[?(@.reason==\"Answered\")]}}{{.note}}{{\"\\n\"}}{{end}}'"
    ));
    assert_eq!(events.trim(), "Passed, says key github: https://ci.example/7");
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_check_that_nobody_answers_is_inconclusive_and_then_takes_no_answer() {
    let server = ApiServer::with_chart().await;
    let (api, client) = Tasks::new(&server, PROJECT).await;
    let mut replica = Replica::new(&client);
    replica.phases.apply_watcher_event(&Event::Apply(reviewing()));
    let outside = Outside::of(&replica).await;
    let new = api.make("line.r1-2.ci", &external("1s")).await;
    replica.look(&new).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    replica.look(&api.now(&new).await).await;
    let ended = status(&api.now(&new).await);
    assert_eq!((ended.state, ended.outcome), (TaskState::Failed, Some(CheckOutcome::NotStarted)));
    assert_eq!(ended.failure_class, Some(FailureClass::Inconclusive));
    assert_eq!(ended.message, "no answer from GitHub Actions within 1s");
    let (late, body) = outside.answer(&new, COMMIT, "<testsuite/>").await;
    assert_eq!(late, 409);
    assert!(body["error"].as_str().is_some_and(|error| error.contains("no answer from GitHub Actions")), "{body}");
    assert_eq!(status(&api.now(&new).await).delivery, None);
}
