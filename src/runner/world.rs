//! A pod's world for tests: the real git service on a port, an operator that writes down what it is told, and the
//! volumes of a pod.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Places, PodArgs,
    protocol::{Assignment, DeliveryReport},
};
use crate::{
    api::agent_task::{Role, TaskState},
    git::{
        RefName,
        auth::{Authenticator, Identity, OPERATOR_AUDIENCE, TASK_AUDIENCE, TaskFacts, TaskLookup, TokenReviewer},
        client::GitClient,
        ops::EnsureRepository,
        server::{GitArgs, app},
    },
};

const OPERATOR: &str = "system:serviceaccount:phasegate:operator";

/// One call of the runner API.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) resource: String,
    pub(super) run: String,
    pub(super) token: String,
    pub(super) body: Value,
}

/// An operator that writes down what it is told.
#[derive(Default)]
pub(super) struct Operator {
    pub(super) assignment: Mutex<Option<Assignment>>,
    calls: Mutex<Vec<Call>>,
    /// Answers of 503 before the next real one.
    pub(super) unavailable: AtomicUsize,
    /// Deliveries are refused for good.
    pub(super) deaf: AtomicBool,
    first: Mutex<Option<String>>,
}

impl Operator {
    /// What it was told of this resource.
    pub(super) fn told(&self, resource: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.resource == resource).map(|call| call.body.clone()).collect()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// As if nothing had been told: the next run begins.
    pub(super) fn forget(&self) {
        self.calls.lock().unwrap().clear();
    }

    /// The one delivery.
    pub(super) fn delivery(&self) -> DeliveryReport {
        let told = self.told("delivery");
        assert_eq!(told.len(), 1, "{told:?}");
        serde_json::from_value(told[0].clone()).unwrap()
    }
}

type Query1 = Query<std::collections::HashMap<String, String>>;

async fn answer(
    State(operator): State<Arc<Operator>>,
    UrlPath((namespace, task, resource)): UrlPath<(String, String, String)>,
    Query(query): Query1,
    headers: HeaderMap,
    body: Option<Json<Value>>,
) -> Response {
    assert_eq!((namespace.as_str(), task.as_str()), ("team", "klein"));
    let refuse = |status: StatusCode, commit: Option<String>| {
        let body = json!({"error": "as the test wants it", "remedy": "ask again", "commit": commit});
        (status, [("retry-after", "0")], Json(body)).into_response()
    };
    if operator.unavailable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, None);
    }
    if resource == "delivery" && operator.deaf.load(Ordering::SeqCst) {
        return refuse(StatusCode::FORBIDDEN, None);
    }
    if resource == "assignment" {
        let assignment = operator.assignment.lock().unwrap().clone();
        return assignment.map_or_else(|| refuse(StatusCode::SERVICE_UNAVAILABLE, None), |a| Json(a).into_response());
    }
    let body = body.map(|Json(body)| body).unwrap_or_default();
    let token = headers["authorization"].to_str().unwrap().to_owned();
    let run = query.get("run").cloned().unwrap_or_default();
    operator.calls.lock().unwrap().push(Call { resource: resource.clone(), run, token, body: body.clone() });
    if resource == "review" {
        let mut first = operator.first.lock().unwrap();
        if first.get_or_insert_with(|| body.to_string()) != &body.to_string() {
            let body = json!({"error": "reviewed before", "remedy": "end the run", "reviewed": true});
            return (StatusCode::CONFLICT, Json(body)).into_response();
        }
    }
    if resource == "submission" {
        let mut first = operator.first.lock().unwrap();
        let commit = body["commit"].as_str().unwrap().to_owned();
        match first.as_ref() {
            Some(first) if *first != commit => return refuse(StatusCode::CONFLICT, Some(first.clone())),
            _ => *first = Some(commit),
        }
    }
    Json(json!({"recorded": true})).into_response()
}

struct Tokens;

impl TokenReviewer for Tokens {
    fn review<'a>(&'a self, token: &'a str, audience: &'static str) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        let found = match (token, audience) {
            ("operator", OPERATOR_AUDIENCE) => Some(Identity { username: OPERATOR.to_owned(), pod_uid: None }),
            ("pod-token", TASK_AUDIENCE) => Some(Identity {
                username: "system:serviceaccount:team:phasegate-task".to_owned(),
                pod_uid: Some("pod-1".to_owned()),
            }),
            _ => None,
        };
        async move { Ok(found) }.boxed()
    }
}

struct Tasks(Arc<Mutex<TaskFacts>>);

impl TaskLookup for Tasks {
    fn task<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TaskFacts>, String>> {
        let found = Some(self.0.lock().unwrap().clone()).filter(|_| name == "klein");
        async move { Ok(found) }.boxed()
    }
}

/// The world of pod `pod-1` of task `klein` in namespace `team`.
pub(super) struct World {
    pub(super) args: PodArgs,
    pub(super) places: Places,
    pub(super) operator: Arc<Operator>,
    /// What the git service knows of the task.
    pub(super) facts: Arc<Mutex<TaskFacts>>,
    dir: tempfile::TempDir,
}

impl World {
    /// Repository `alicia` has a commit on its base branch, and the task starts there.
    pub(super) async fn new(role: Role) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut assignment = super::fixtures::assignment(role);
        assignment.clone_path = "/team/alicia.git".to_owned();
        let facts = Arc::new(Mutex::new(facts(&assignment)));
        let git_url = git_service(&dir.path().join("repositories"), dir.path(), Arc::clone(&facts)).await;
        let operator = Arc::new(Operator::default());
        let operator_url = serve(
            Router::new()
                .route("/runner/v1/namespaces/{namespace}/tasks/{task}/{resource}", get(answer).post(answer))
                .with_state(Arc::clone(&operator)),
        )
        .await;
        let places = Places::below(dir.path()).unwrap();
        std::fs::write(&places.token, "pod-token\n").unwrap();
        let args = PodArgs {
            namespace: "team".to_owned(),
            task: "klein".to_owned(),
            run: assignment.run,
            pod_uid: "pod-1".to_owned(),
            operator_url,
            git_url,
            save_seconds: crate::runner::SAVE_SECONDS,
            correlation_id: "c-1".to_owned(),
        };
        let world = Self { args, places, operator, facts, dir };
        world.seed();
        assignment.commit = Some(world.head("refs/heads/main"));
        *world.operator.assignment.lock().unwrap() = Some(assignment);
        world
    }

    /// A commit on the base branch.
    fn seed(&self) {
        let work = self.dir.path().join("seed");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        std::fs::write(work.join("greet.py"), "print('hello')\n").unwrap();
        std::fs::write(work.join(".gitignore"), "*.pyc\n").unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", "start"]);
        git(&work, &["push", "-q", "-f", self.bare().to_str().unwrap(), "HEAD:refs/heads/main"]);
    }

    pub(super) fn assignment(&self) -> Assignment {
        self.operator.assignment.lock().unwrap().clone().unwrap()
    }

    /// The repository on the git service's volume.
    pub(super) fn bare(&self) -> PathBuf {
        self.dir.path().join("repositories/team/alicia.git")
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a reference is on the git service; empty if it is not there.
    pub(super) fn head(&self, name: &str) -> String {
        git(&self.bare(), &["for-each-ref", "--format=%(objectname)", name]).trim().to_owned()
    }

    /// Names of the service's references below a folder.
    pub(super) fn refs(&self, folder: &str) -> Vec<String> {
        git(&self.bare(), &["for-each-ref", "--format=%(refname)", folder]).lines().map(str::to_owned).collect()
    }

    /// A commit on the one before, pushed to this branch.
    pub(super) fn commit(&self, branch: &str, change: impl FnOnce(&Path)) -> String {
        let work = self.dir.path().join("seed");
        change(&work);
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", "change"]);
        git(&work, &["push", "-q", self.bare().to_str().unwrap(), &format!("HEAD:refs/heads/{branch}")]);
        git(&work, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Another assignment from now on.
    pub(super) fn assign(&self, change: impl FnOnce(&mut Assignment)) {
        change(self.operator.assignment.lock().unwrap().as_mut().unwrap());
    }

    /// A file of a commit on the git service.
    pub(super) fn file(&self, commit: &str, path: &str) -> String {
        git(&self.bare(), &["cat-file", "blob", &format!("{commit}:{path}")])
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.places.workspace.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// As `step` leaves it.
    pub(super) fn ended(&self, exit_code: i32, output: &str) {
        let time = "2026-03-04T05:06:07Z";
        let record =
            json!({"exitCode": exit_code, "startedAt": time, "finishedAt": time, "timedOut": exit_code == 124});
        std::fs::write(self.places.out.join("step.json"), record.to_string()).unwrap();
        std::fs::write(self.places.out.join("output.log"), output).unwrap();
    }
}

fn facts(assignment: &Assignment) -> TaskFacts {
    TaskFacts {
        uid: assignment.uid.clone(),
        repository: "alicia".to_owned(),
        role: assignment.role,
        branch: assignment.branch.clone(),
        pod_uid: Some("pod-1".to_owned()),
        state: TaskState::Running,
        submitted: false,
        base_run: None,
        push_from: None,
    }
}

/// The real service, with one task whose token is `pod-token`.
async fn git_service(root: &Path, dir: &Path, facts: Arc<Mutex<TaskFacts>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let args = GitArgs {
        listen,
        root: root.to_owned(),
        operator_service_account: vec![OPERATOR.to_owned()],
        task_service_account: "phasegate-task".to_owned(),
        max_push_mib: 64,
        max_transfers: 4,
        api_keys_file: None,
    };
    let auth = Authenticator::new(Tokens, Tasks(facts), [OPERATOR.to_owned()], "phasegate-task");
    let app = app(&args, auth).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{listen}");
    let token = dir.join("operator-token");
    std::fs::write(&token, "operator").unwrap();
    let client = GitClient::new(&url, token, Duration::from_secs(20)).unwrap();
    let ensure = EnsureRepository { base: RefName::branch("main").unwrap(), upstream: false };
    client.call("team", "alicia", &ensure).await.unwrap();
    url
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Git as a person would use it.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
