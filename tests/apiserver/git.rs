//! The git service's questions to the API server, with the rights that the chart gives it: whose token is this, and
//! what may that task push?

use std::time::Duration;

use kube::Client;
use phasegate::git::{
    auth::Authenticator,
    client::{ClientError, GitClient},
    kube_auth::{KubeTasks, KubeTokens},
    kube_people::KubePeople,
    ops::{EnsureRepository, RefName},
    people::People,
    server::{GitArgs, app},
};
use phasegate::keys::KeyFile;

use crate::support::{ANYONE, Answer, ApiServer, GIT, JOB_CONTROLLER, OPERATOR, PROJECT, User, ask, pod};

/// A kubelet.
const NODE: User = User("system:node:node1", &["system:nodes", "testers"]);
const TASKS: &str = "/apis/phasegate.dev/v1alpha1/namespaces/alicia/agenttasks";

async fn made(client: &Client, user: User, method: &str, path: &str, body: &str) -> serde_json::Value {
    let answer = ask(client, user, method, path, body).await;
    assert!(matches!(answer, Answer::Yes(_)), "{method} {path}: {answer:?}");
    let Answer::Yes(object) = answer else { unreachable!() };
    object
}

/// Service accounts that the service takes for the operator's: the tests share one API server, and each makes its own.
const OPERATORS: [&str; 2] = ["git-caller", "git-caller-2"];

/// A token of that service account and audience, bound to a pod if there is one.
async fn token(client: &Client, user: User, account: &str, audience: &str, pod: Option<(&str, &str)>) -> String {
    let bound = pod.map_or_else(String::new, |(name, uid)| {
        format!(", boundObjectRef: {{kind: Pod, apiVersion: v1, name: {name}, uid: {uid}}}")
    });
    let body = format!(
        "{{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, spec: {{audiences: [{audience}]{bound}}}}}"
    );
    let path = format!("/api/v1/namespaces/{PROJECT}/serviceaccounts/{account}/token");
    // Admission looks for the pod in a cache, which may not have it yet.
    for _ in 0..100 {
        match ask(client, user, "POST", &path, &body).await {
            Answer::Yes(answer) => return answer["status"]["token"].as_str().expect("a token").to_owned(),
            Answer::No(refusal) => {
                assert_eq!(refusal.code, 404, "{path}: {refusal:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    unreachable!("{path}: the pod is not found");
}

/// The service with the rights of its service account, on a port of its own.
async fn serve(server: &ApiServer, root: &std::path::Path) -> String {
    let client = server.client_as(GIT).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let args = GitArgs {
        listen: listener.local_addr().expect("an address"),
        root: root.join("repositories"),
        operator_service_account: OPERATORS
            .iter()
            .map(|name| format!("system:serviceaccount:{PROJECT}:{name}"))
            .collect(),
        task_service_account: "phasegate-task".to_owned(),
        max_push_mib: 1,
        max_transfers: 2,
        api_keys_file: None,
    };
    let auth = Authenticator::new(
        KubeTokens::new(client.clone()),
        KubeTasks::new(client.clone()),
        args.operator_service_account.clone(),
        &args.task_service_account,
    )
    .with_people(People::new(KubePeople::new(client), KeyFile::new(None)));
    let routes = app(&args, auth).await.expect("an app");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{}", args.listen)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts an API server: make test"]
async fn the_token_of_a_tasks_live_pod_opens_its_repository_and_no_other_token_does() {
    let server = ApiServer::with_chart().await;
    let client = server.client().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = serve(&server, folder.path()).await;

    let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: git-caller}}";
    made(&client, ANYONE, "POST", &format!("/api/v1/namespaces/{PROJECT}/serviceaccounts"), account).await;
    let caller = |token: String| {
        let file = folder.path().join("token");
        std::fs::write(&file, token).expect("a token file");
        GitClient::new(&url, file, Duration::from_secs(20)).expect("a client")
    };
    let ensure = EnsureRepository { base: RefName::branch("main").expect("a name"), upstream: false };
    let good = token(&client, ANYONE, "git-caller", "phasegate-git", None).await;
    caller(good).call(PROJECT, "alicia", &ensure).await.expect("the operator's service account may");
    let other_audience = token(&client, ANYONE, "git-caller", "phasegate", None).await;
    let refused = caller(other_audience).call(PROJECT, "alicia", &ensure).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 401, .. })), "{refused:?}");

    let body = pod("git-run", "serviceAccountName: phasegate-task, nodeName: node1", "controller-uid: u");
    let pod = made(&client, JOB_CONTROLLER, "POST", &format!("/api/v1/namespaces/{PROJECT}/pods"), &body).await;
    let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let bound = token(&client, NODE, "phasegate-task", "phasegate", Some(("git-run", &uid))).await;
    let task = "{apiVersion: phasegate.dev/v1alpha1, kind: AgentTask, metadata: {name: git-t}, spec: {role: Developer, \
                repository: alicia, branch: feature/phase-1-greet, task: greet, pod: {image: a, command: [a]}, \
                timeout: 1h, maxRuns: 4}}";
    made(&client, OPERATOR, "POST", TASKS, task).await;
    let fetch = async |user: &str, token: &str| {
        let address = format!("{url}/{PROJECT}/alicia.git/info/refs?service=git-upload-pack");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        http.get(address).basic_auth(user, Some(token)).send().await.expect("an answer").status().as_u16()
    };
    let pin = async |uid: &str| {
        let status = format!("{{status: {{state: Running, run: 1, podUID: {uid}}}}}");
        made(&client, OPERATOR, "PATCH", &format!("{TASKS}/git-t/status"), &status).await;
    };
    assert_eq!(fetch("git-t", &bound).await, 503, "the pod is not pinned yet");
    pin(&uid).await;
    assert_eq!(fetch("git-t", &bound).await, 200);
    assert_eq!(fetch("git-other", &bound).await, 403, "there is no such task");
    assert_eq!(fetch("..", &bound).await, 403, "a name that is none");
    let unbound = token(&client, ANYONE, "git-caller", "phasegate", None).await;
    assert_eq!(fetch("git-t", &unbound).await, 403, "another service account");
    pin("another").await;
    assert_eq!(fetch("git-t", &bound).await, 403, "another pod is the live one now");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts an API server: make test"]
async fn rbac_on_the_repository_decides_what_a_person_may_do_with_it() {
    let server = ApiServer::with_chart().await;
    let client = server.client().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = serve(&server, folder.path()).await;
    let accounts = format!("/api/v1/namespaces/{PROJECT}/serviceaccounts");
    for name in ["git-caller-2", "reads", "leads", "nobody"] {
        let account = format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}");
        made(&client, ANYONE, "POST", &accounts, &account).await;
    }
    for (name, role) in [("reads", "phasegate-view"), ("leads", "phasegate-lead")] {
        server.shell(&format!(
            "kubectl -n {PROJECT} create rolebinding git-{name} --clusterrole {role} --serviceaccount {PROJECT}:{name}"
        ));
    }
    let file = folder.path().join("token");
    std::fs::write(&file, token(&client, ANYONE, "git-caller-2", "phasegate-git", None).await).expect("a token file");
    let operator = GitClient::new(&url, file, Duration::from_secs(20)).expect("a client");
    let ensure = EnsureRepository { base: RefName::branch("main").expect("a name"), upstream: false };
    operator.call(PROJECT, "alicia", &ensure).await.expect("the operator's service account may");

    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let status = async |token: &str, service: &str, repository: &str| {
        let address = format!("{url}/{repository}.git/info/refs?service={service}");
        http.get(address).basic_auth("me", Some(token)).send().await.expect("an answer").status().as_u16()
    };
    let alicia = format!("{PROJECT}/alicia");
    for audience in ["phasegate-git", "https://kubernetes.default.svc.cluster.local"] {
        for (name, fetch, push) in [("reads", 200, 403), ("leads", 200, 200), ("nobody", 404, 404)] {
            let token = token(&client, ANYONE, name, audience, None).await;
            assert_eq!(status(&token, "git-upload-pack", &alicia).await, fetch, "{name} {audience}");
            assert_eq!(status(&token, "git-receive-pack", &alicia).await, push, "{name} {audience}");
            assert_eq!(status(&token, "git-upload-pack", "default/alicia").await, 404, "{name} {audience}");
        }
    }
    let other = token(&client, ANYONE, "leads", "somebody-else", None).await;
    assert_eq!(status(&other, "git-upload-pack", &alicia).await, 401, "a token for another audience");
}
