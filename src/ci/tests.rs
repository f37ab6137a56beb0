//! The routes over a fake API server that holds one task and takes writes by compare-and-swap.

use std::sync::Mutex;

use axum::body::Body;
use http::{Request as HttpRequest, Response as HttpResponse};
use http_body_util::BodyExt as _;
use kube::{
    client::Body as KubeBody,
    runtime::{events::Reporter, reflector::store, watcher::Event},
};
use prometheus::Opts;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::{ServiceExt as _, service_fn};

use super::*;

mod forms;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const OTHER: &str = "9876543210987654321098765432109876543210";
const CHECKS: &str = "/ci/v1/namespaces/team/checks";
const TASK: &str = "/ci/v1/namespaces/team/checks/alicia-1.r1-2.ci";
const JUNIT: &str = r#"<testsuite><testcase name="a"/><testcase name="b"><failure>no</failure></testcase></testsuite>"#;

/// What the fake API server holds.
struct Held {
    task: Value,
    writes: usize,
    events: Vec<Value>,
    /// What somebody else writes into the status before each of these writes.
    races: Vec<Value>,
}

struct World {
    held: Arc<Mutex<Held>>,
    router: Router,
    requests: IntCounterVec,
    _folder: tempfile::TempDir,
}

/// The key of that name: long enough, and of its own.
fn key(name: &str) -> String {
    format!("pgk_{name}_of_at_least_thirty_two_characters")
}

fn keys() -> String {
    let entry = |name: &str, more: &str| {
        let hash = hex::encode(Sha256::digest(key(name)));
        format!("- {{name: {name}, sha256: \"{hash}\", {more}}}\n")
    };
    entry("github", "role: ci, namespaces: [team]")
        + &entry("gitlab", "role: ci, namespaces: all")
        + &entry("viewer", "role: viewer, namespaces: all")
        + &entry("elsewhere", "role: ci, namespaces: [other]")
        + &entry("narrow", "role: ci, namespaces: [team], repositories: [other]")
}

fn check() -> Value {
    json!({"name": "ci", "external": {"system": "GitHub Actions"}, "reports": [
        {"path": "reports/junit.xml", "format": "JUnit"}, {"path": "lint.sarif", "format": "SARIF"}, {"path": "more.xml", "format": "JUnit"}]})
}

fn task() -> Value {
    json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
        "metadata": {"name": "alicia-1.r1-2.ci", "namespace": "team", "uid": "task-1", "resourceVersion": "1"},
        "spec": {"role": "Check", "repository": "alicia", "task": "ci", "timeout": "30m", "maxRuns": 2, "commit": COMMIT,
            "phase": {"name": "alicia-1", "uid": "phase-1", "attempt": 1}, "check": check(), "pod": {"image": ""}},
        "status": {"state": "Running", "run": 1, "startedAt": "2026-03-04T05:00:00Z", "message": "waits for GitHub Actions"},
    })
}

fn phase() -> Value {
    json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase",
        "metadata": {"name": "alicia-1", "namespace": "team", "uid": "phase-1"},
        "spec": {"repositoryRef": {"name": "alicia"}, "number": 1, "version": "1.0.0",
            "tasks": [{"name": "mqtt", "description": "d"}]},
        "status": {
            "release": {"branch": "release/phase-1-v1.0.0", "base": "b", "head": COMMIT},
            "review": {"number": 2, "commit": COMMIT, "tree": "t", "base": "b", "gateHash": "h", "result": "r"}},
    })
}

impl World {
    fn new(task: &Value, phase: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        std::fs::write(&path, keys()).unwrap();
        Self::with(task, phase, KeyFile::new(Some(path)), folder)
    }

    fn with(task: &Value, phase: &Value, keys: KeyFile, folder: tempfile::TempDir) -> Self {
        let held = Held { task: task.clone(), writes: 0, events: Vec::new(), races: Vec::new() };
        let held = Arc::new(Mutex::new(held));
        let answering = Arc::clone(&held);
        let service = service_fn(move |request: HttpRequest<KubeBody>| {
            let held = Arc::clone(&answering);
            async move { Ok::<_, std::convert::Infallible>(api_server(&held, request).await) }
        });
        let client = Client::new(service, "default");
        let (tasks, mut writer) = store::<AgentTask>();
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(task.clone()).unwrap()));
        let (phases, mut writer) = store::<Phase>();
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(phase.clone()).unwrap()));
        let recorder = Recorder::new(client.clone(), Reporter { controller: "phasegate".into(), instance: None });
        let requests = IntCounterVec::new(Opts::new("n", "h"), &["call", "code"]).unwrap();
        let api = CiApi::new(client, (tasks, phases), keys, recorder, requests.clone());
        Self { held, router: router(api), requests, _folder: folder }
    }

    fn waiting() -> Self {
        Self::new(&task(), &phase())
    }

    fn with_status(status: &Value) -> Self {
        let mut task = task();
        task["status"] = status.clone();
        Self::new(&task, &phase())
    }

    async fn ask(&self, request: HttpRequest<Body>) -> (u16, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers().contains_key("retry-after"), status == 503 || status == 429);
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        if status >= 400 {
            assert!(!body["error"].as_str().unwrap().is_empty() && !body["remedy"].as_str().unwrap().is_empty());
        }
        (status, body)
    }

    async fn get(&self, path: &str, name: &str) -> (u16, Value) {
        let request = HttpRequest::get(path).header("authorization", format!("Bearer {}", key(name)));
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let (status, body) = self.get(&format!("{CHECKS}{query}"), "github").await;
        assert_eq!(status, 200, "{body}");
        body["checks"].as_array().unwrap().clone()
    }

    async fn post_to(&self, path: &str, name: &str, form: Form) -> (u16, Value) {
        let request = HttpRequest::post(path)
            .header("authorization", format!("Bearer {}", key(name)))
            .header("content-type", "multipart/form-data; boundary=XX");
        self.ask(request.body(Body::from(form.end())).unwrap()).await
    }

    async fn post(&self, form: Form) -> (u16, Value) {
        self.post_to(TASK, "github", form).await
    }

    fn delivery(&self) -> Value {
        self.held.lock().unwrap().task["status"]["delivery"].clone()
    }

    fn writes(&self) -> usize {
        self.held.lock().unwrap().writes
    }
}

/// A form as curl sends it.
#[derive(Clone, Default)]
struct Form(Vec<u8>);

impl Form {
    fn new(fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(Self::default(), |form, (name, value)| form.field(name, value))
    }

    fn passed() -> Self {
        Self::new(&[("commit", COMMIT), ("outcome", "passed")])
    }

    fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), value.as_bytes())
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.part(&format!("name=\"{path}\"; filename=\"x\"\r\nContent-Type: application/octet-stream"), content)
    }

    fn part(mut self, head: &str, content: &[u8]) -> Self {
        self.0.extend_from_slice(format!("--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"--XX--\r\n");
        self.0
    }
}

/// Reads and applies, like the real one as far as this API asks.
async fn api_server(held: &Mutex<Held>, request: HttpRequest<KubeBody>) -> HttpResponse<KubeBody> {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut held = held.lock().unwrap();
    let answer = |code: u16, value: &Value| {
        HttpResponse::builder().status(code).body(KubeBody::from(value.to_string().into_bytes())).unwrap()
    };
    let failure = |code: u16, reason: &str| {
        answer(code, &json!({"kind": "Status", "status": "Failure", "code": code, "message": "m", "reason": reason}))
    };
    let own = "/apis/phasegate.dev/v1alpha1/namespaces/team/agenttasks/alicia-1.r1-2.ci";
    if path.ends_with("/events") {
        let event: Value = serde_json::from_slice(&body).unwrap();
        held.events.push(event.clone());
        return answer(201, &event);
    }
    if method == "GET" {
        return if path == own { answer(200, &held.task) } else { failure(404, "NotFound") };
    }
    assert_eq!((path, method.as_str()), (format!("{own}/status"), "PATCH"));
    assert!(query.contains("fieldManager=phasegate-runner") && query.contains("force=true"), "{query}");
    let written: Value = serde_json::from_slice(&body).unwrap();
    if !held.races.is_empty() {
        let race = held.races.remove(0);
        merge(&mut held.task, &race);
    }
    if written["metadata"]["resourceVersion"] != held.task["metadata"]["resourceVersion"] {
        return failure(409, "Conflict");
    }
    assert_eq!(written["metadata"]["uid"], "task-1");
    assert_eq!(written["status"].as_object().unwrap().keys().collect::<Vec<_>>(), ["delivery"]);
    merge(&mut held.task, &written["status"]);
    held.writes += 1;
    answer(200, &held.task)
}

fn merge(task: &mut Value, status: &Value) {
    task["status"].as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    let version: u64 = task["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    task["metadata"]["resourceVersion"] = (version + 1).to_string().into();
}

#[tokio::test]
async fn without_keys_nobody_is_listened_to_and_the_words_say_how_to_set_them_up() {
    let world = World::with(&task(), &phase(), KeyFile::new(None), tempfile::tempdir().unwrap());
    let (status, body) = world.get(CHECKS, "github").await;
    assert_eq!(status, 401);
    assert!(body["error"].as_str().unwrap().contains("apiKeys.existingSecret"), "{body}");
    assert_eq!(world.post(Form::passed()).await.0, 401);
}

#[rstest]
#[case::nothing(None, 401, "no API key")]
#[case::another_scheme(Some("Basic Z2l0aHViOng=".to_owned()), 401, "no API key")]
#[case::too_short(Some("Bearer short".to_owned()), 401, "too short")]
#[case::unknown(Some(format!("Bearer {}", key("nobody"))), 401, "not known")]
#[case::the_hash_of_a_key(Some(format!("Bearer {}", hex::encode(Sha256::digest(key("github"))))), 401, "not known")]
#[case::of_another_role(Some(format!("Bearer {}", key("viewer"))), 403, "role viewer")]
#[case::of_another_namespace(Some(format!("Bearer {}", key("elsewhere"))), 403, "namespace team")]
#[case::good(Some(format!("bearer  {}", key("github"))), 200, "")]
#[tokio::test]
async fn a_caller_with(#[case] header: Option<String>, #[case] expected: u16, #[case] words: &str) {
    let world = World::waiting();
    for (method, path) in [("GET", CHECKS), ("POST", TASK)] {
        let mut request = HttpRequest::builder().method(method).uri(path);
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let request = request.header("content-type", "multipart/form-data; boundary=XX");
        let (status, body) = world.ask(request.body(Body::from(Form::passed().end())).unwrap()).await;
        assert_eq!(status, expected, "{method}: {body}");
        assert!(body["error"].as_str().unwrap_or_default().contains(words), "{body}");
    }
    assert_eq!(world.writes(), usize::from(expected == 200));
}

#[tokio::test]
async fn a_key_that_is_bound_to_repositories_sees_and_answers_no_other() {
    let world = World::waiting();
    assert_eq!(world.get(CHECKS, "narrow").await, (200, json!({"checks": [], "truncated": false})));
    let (status, body) = world.post_to(TASK, "narrow", Form::passed()).await;
    assert_eq!((status, world.writes()), (403, 0));
    assert!(body["error"].as_str().unwrap().contains("Repository alicia"), "{body}");
}

#[tokio::test]
async fn a_key_that_calls_without_end_is_told_to_wait() {
    let world = World::waiting();
    for _ in 0..60 {
        assert_eq!(world.get(CHECKS, "github").await.0, 200);
    }
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(world.get(CHECKS, "github").await.0 == 429);
    }
    assert!(refused > 0);
    assert_eq!(world.get(CHECKS, "gitlab").await.0, 200, "others need not wait with it");
}

#[tokio::test]
async fn a_check_that_waits_is_listed_with_all_that_its_system_needs() {
    let expected = json!([{
        "task": "alicia-1.r1-2.ci", "check": "ci", "system": "GitHub Actions", "phase": "alicia-1", "attempt": 1,
        "repository": "alicia", "branch": "release/phase-1-v1.0.0", "commit": COMMIT, "tree": "t", "base": "b",
        "since": "2026-03-04T05:00:00Z", "deadline": "2026-03-04T05:30:00Z", "post": TASK,
        "reports": [{"path": "reports/junit.xml", "format": "JUnit"}, {"path": "lint.sarif", "format": "SARIF"}, {"path": "more.xml", "format": "JUnit"}],
    }]);
    let world = World::waiting();
    assert_eq!(Value::from(world.listed("").await), expected);
    let matching = format!("?repository=alicia&check=ci&commit={COMMIT}");
    assert_eq!(Value::from(world.listed(&matching).await), expected);
    for query in ["?repository=other".to_owned(), "?check=test".to_owned(), format!("?commit={OTHER}")] {
        assert_eq!(world.listed(&query).await, Vec::<Value>::new(), "{query}");
    }
    let (status, body) = world.get(&format!("{CHECKS}?repo=alicia"), "github").await;
    assert_eq!(status, 400, "a filter that means nothing must not list everything: {body}");
    assert_eq!(world.requests.with_label_values(&["list", "200"]).get(), 5);
    assert_eq!(world.requests.with_label_values(&["list", "400"]).get(), 1);
}

#[rstest]
#[case::not_looked_at_yet(|task: &mut Value, _: &mut Value| task["status"] = json!({"state": "Pending"}))]
#[case::answered_a_moment_ago(|task: &mut Value, _: &mut Value| task["status"]["delivery"] = json!({"stamp": {"run": 1, "podUID": ""}}))]
#[case::over(|task: &mut Value, _: &mut Value| task["status"]["state"] = json!("Failed"))]
#[case::of_our_own_pods(|task: &mut Value, _: &mut Value| task["spec"]["check"] = json!({"name": "ci", "image": "i", "script": "x"}))]
#[case::for_a_commit_that_is_reviewed_no_more(|_: &mut Value, phase: &mut Value| phase["status"]["review"]["commit"] = json!(OTHER))]
#[case::of_an_earlier_phase_of_that_name(|_: &mut Value, phase: &mut Value| phase["metadata"]["uid"] = json!("phase-2"))]
#[tokio::test]
async fn no_check_is_listed_that_is(#[case] change: fn(&mut Value, &mut Value)) {
    let (mut task, mut phase) = (task(), phase());
    change(&mut task, &mut phase);
    assert_eq!(World::new(&task, &phase).listed("").await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_answer_is_recorded_with_its_facts_and_the_name_of_the_key() {
    let world = World::waiting();
    let form = Form::new(&[
        ("commit", COMMIT),
        ("outcome", "failed"),
        ("exitCode", "3"),
        ("url", "https://ci.example/7"),
        ("message", "1 of 2 failed\u{7}\n"),
    ]);
    let (status, body) = world.post(form.file("reports/junit.xml", JUNIT.as_bytes())).await;
    assert_eq!(status, 200, "{body}");
    let read = json!([
        {"path": "reports/junit.xml", "state": "Read"},
        {"path": "lint.sarif", "state": "Missing", "message": "the check did not deliver it"},
        {"path": "more.xml", "state": "Missing", "message": "the check did not deliver it"}]);
    assert_eq!(body, json!({"commit": COMMIT, "outcome": "Failed", "again": false, "reports": read}));
    let delivery = world.delivery();
    assert_eq!(delivery["stamp"], json!({"run": 1, "podUID": ""}));
    assert_eq!(delivery["external"], json!({"outcome": "Failed", "key": "github", "url": "https://ci.example/7"}));
    assert_eq!((&delivery["exitCode"], &delivery["message"]), (&3.into(), &"1 of 2 failed".into()));
    assert_eq!(delivery["reports"][0]["tests"], json!({"passed": 1, "failed": 1, "skipped": 0}));
    let events = world.held.lock().unwrap().events.clone();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["note"], "Failed, says key github: https://ci.example/7");
    assert_eq!(world.requests.with_label_values(&["answer", "200"]).get(), 1);
}

#[tokio::test]
async fn the_same_answer_again_is_no_news_and_another_is_refused() {
    let world = World::waiting();
    let form = Form::passed().file("reports/junit.xml", JUNIT.as_bytes());
    assert_eq!(world.post(form.clone()).await.1["again"], false);
    // Also by another key of the same right, and after the task has ended.
    let (status, body) = world.post_to(TASK, "gitlab", form.clone()).await;
    assert_eq!((status, &body["again"], world.writes()), (200, &true.into(), 1));
    world.held.lock().unwrap().task["status"]["state"] = json!("Succeeded");
    assert_eq!(world.post(form.clone()).await.0, 200);
    for other in [
        Form::new(&[("commit", COMMIT), ("outcome", "failed")]).file("reports/junit.xml", JUNIT.as_bytes()),
        form.clone().field("url", "https://ci.example/8"),
        Form::passed(),
    ] {
        let (status, body) = world.post(other).await;
        assert_eq!(status, 409);
        assert!(body["error"].as_str().unwrap().contains("answered before, by key github: Passed"), "{body}");
    }
    assert_eq!((world.writes(), world.held.lock().unwrap().events.len()), (1, 1));
}

#[tokio::test]
async fn an_answer_for_another_commit_is_refused_and_names_both() {
    let world = World::waiting();
    let (status, body) = world.post(Form::new(&[("commit", OTHER), ("outcome", "passed")])).await;
    assert_eq!((status, world.writes()), (409, 0));
    assert_eq!((&body["expected"], &body["given"]), (&COMMIT.into(), &OTHER.into()));
}

#[rstest]
#[case::not_looked_at_yet(json!({"state": "Pending", "message": "waits: Phase alicia-1 is suspended"}), "is suspended")]
#[case::timed_out(json!({"state": "Failed", "run": 1, "message": "no answer from GitHub Actions within 30m"}), "no answer from")]
#[case::ended(json!({"state": "Succeeded", "run": 1}), "waits no longer")]
#[tokio::test]
async fn no_answer_is_taken_for_a_check_that_is(#[case] status: Value, #[case] words: &str) {
    let world = World::with_status(&status);
    let (code, body) = world.post(Form::passed()).await;
    assert_eq!((code, world.writes()), (409, 0));
    assert!(body["error"].as_str().unwrap().contains(words), "{body}");
}

#[rstest]
#[case::that_is_not_there(TASK.replace("r1-2", "r9-9"), 404)]
#[case::whose_name_leads_elsewhere(format!("{CHECKS}/..%2f..%2fsecrets"), 400)]
#[case::with_a_name_of_dots(format!("{CHECKS}/.."), 400)]
#[tokio::test]
async fn a_task(#[case] path: String, #[case] expected: u16) {
    assert_eq!(World::waiting().post_to(&path, "github", Form::passed()).await.0, expected);
}

#[tokio::test]
async fn a_check_of_our_own_pods_cannot_be_answered() {
    let mut task = task();
    task["spec"]["check"] = json!({"name": "ci", "image": "i", "script": "make test"});
    let world = World::new(&task, &phase());
    assert_eq!((world.post(Form::passed()).await.0, world.writes()), (403, 0));
}

#[tokio::test]
async fn the_first_answer_and_the_end_of_the_wait_exclude_each_other() {
    let world = World::waiting();
    world.held.lock().unwrap().races = vec![json!({"message": "waits on"}), json!({"message": "and on"})];
    assert_eq!(world.post(Form::passed()).await.0, 200, "a write that met another is tried again");
    let world = World::waiting();
    world.held.lock().unwrap().races = vec![json!({"state": "Failed", "message": "no answer within 30m"})];
    assert_eq!((world.post(Form::passed()).await.0, world.writes()), (409, 0));
    let world = World::waiting();
    let first = json!({"stamp": {"run": 1, "podUID": ""}, "external": {"outcome": "Failed", "key": "gitlab"}});
    world.held.lock().unwrap().races = vec![json!({"delivery": first})];
    assert_eq!((world.post(Form::passed()).await.0, world.writes()), (409, 0), "somebody else was first");
    let world = World::waiting();
    world.held.lock().unwrap().races = vec![json!({}); 100];
    assert_eq!((world.post(Form::passed()).await.0, world.writes()), (503, 0));
}

/// Everything that is logged while a key is used, right and wrong.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_the_key_and_never_holds_it() {
    // Other tests run without a subscriber, and where one of them comes first nobody would be told of an event any more.
    drop(tracing::subscriber::set_global_default(tracing_subscriber::registry()));
    let logs = Logs::default();
    let writer = logs.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let world = World::waiting();
    assert_eq!(world.get(CHECKS, "nobody").await.0, 401);
    assert_eq!(world.post(Form::new(&[("commit", OTHER), ("outcome", "passed")])).await.0, 409);
    assert_eq!(world.post(Form::passed()).await.0, 200);
    let text = String::from_utf8(logs.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("an external check is answered") && text.contains("github"), "{text}");
    assert!(text.contains("is refused: commit: the check waits for another commit"), "{text}");
    for name in ["github", "nobody"] {
        assert!(!text.contains(&key(name)) && !text.contains(&hex::encode(Sha256::digest(key(name)))), "{text}");
    }
}
