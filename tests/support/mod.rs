//! A real API server with the kinds and the chart in it, for tests. Started by `e2e/cluster apiserver`, shared by
//! the tests of one binary, stopped by the last of them. No controllers run there, and no kubelet.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail where all is used")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use tokio::sync::Mutex;

/// The namespace the chart is installed in, and the project it onboards.
pub const RELEASE: &str = "phasegate";
pub const PROJECT: &str = "alicia";
/// Who may do anything that no policy forbids.
pub const ANYONE: User = User("eve", &["testers"]);
pub const OPERATOR: User = User("system:serviceaccount:phasegate:phasegate-operator", &[]);
pub const GIT: User = User("system:serviceaccount:phasegate:phasegate-git", &[]);
pub const JOB_CONTROLLER: User = User("system:serviceaccount:kube-system:job-controller", &[]);
pub const COLLECTOR: User = User("system:serviceaccount:kube-system:generic-garbage-collector", &[]);

/// A user and the groups beside those that the API server adds.
#[derive(Clone, Copy, Debug)]
pub struct User(pub &'static str, pub &'static [&'static str]);

/// What the API server said.
#[derive(Debug)]
pub enum Answer {
    Yes(serde_json::Value),
    No(Box<Status>),
}

impl Answer {
    pub fn message(&self) -> &str {
        match self {
            Self::Yes(_) => "",
            Self::No(status) => &status.message,
        }
    }
}

pub struct ApiServer {
    guard: Child,
    kubeconfig: PathBuf,
    kubeconfig_text: String,
}

static RUNNING: Mutex<Weak<ApiServer>> = Mutex::const_new(Weak::new());
/// One failed start is enough: the other tests need not wait for the same again.
static TRIED_IN_VAIN: AtomicBool = AtomicBool::new(false);

impl ApiServer {
    /// The one of this test binary, with the chart installed; started if it is not running.
    pub async fn with_chart() -> Arc<Self> {
        let mut running = RUNNING.lock().await;
        if let Some(server) = running.upgrade() {
            return server;
        }
        assert!(!TRIED_IN_VAIN.swap(true, Ordering::SeqCst), "the API server did not start for an earlier test");
        let server = Arc::new(Self::start());
        server.install_chart("");
        server.await_policies().await;
        TRIED_IN_VAIN.store(false, Ordering::SeqCst);
        *running = Arc::downgrade(&server);
        server
    }

    /// One of its own, with nothing in it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("phasegate-api-").tempdir().expect("a temporary folder").keep();
        let guard = stop_when_gone(&folder);
        let output =
            Command::new(root().join("e2e/cluster")).arg("apiserver").arg(&folder).output().expect("e2e/cluster runs");
        assert!(output.status.success(), "no API server: {}", String::from_utf8_lossy(&output.stderr));
        let kubeconfig = PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim());
        let kubeconfig_text = std::fs::read_to_string(&kubeconfig).expect("a kubeconfig");
        Self { guard, kubeconfig, kubeconfig_text }
    }

    /// Runs a shell script with kubectl and helm on PATH and in KUBECONFIG this server.
    pub fn shell(&self, script: &str) -> String {
        let script = format!(
            "set -euo pipefail\neval \"$(e2e/cluster env)\"\nexport KUBECONFIG={}\n{script}",
            self.kubeconfig.display()
        );
        let output = Command::new("bash").arg("-c").arg(script).current_dir(root()).output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The chart as Helm installs it, with further flags. Nothing becomes ready here, so nothing is waited for.
    pub fn install_chart(&self, flags: &str) -> String {
        self.shell(&format!(
            "kubectl create namespace bare
             kubectl create clusterrolebinding testers --clusterrole cluster-admin --group testers
             helm install phasegate charts/phasegate --namespace {RELEASE} --create-namespace \
               --values tests/support/values.yaml {flags}"
        ))
    }

    /// Policies take effect a moment after they are there, each for itself.
    async fn await_policies(&self) {
        let client = self.client().await;
        let deadline = Instant::now() + Duration::from_secs(120);
        for (policy, path, body) in probes() {
            loop {
                let answer = ask(&client, ANYONE, "POST", &path, &body).await;
                if answer.message().contains(policy) {
                    break;
                }
                assert!(Instant::now() < deadline, "{policy} has no effect: {answer:?}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// A client with all rights. Made anew, because a client belongs to the runtime of one test.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// A client with the rights of that user.
    pub async fn client_as(&self, user: User) -> Client {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(user.0.to_owned());
        config.auth_info.impersonate_groups = Some(user.1.iter().map(|&group| group.to_owned()).collect());
        Client::try_from(config).expect("a client")
    }

    async fn config(&self) -> Config {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_text).expect("a kubeconfig");
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config")
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// Waits in a process of its own until nobody holds the other end of its input, and stops the server then. A test that is
/// killed runs no destructor, and etcd and the API server would outlive it.
fn stop_when_gone(folder: &Path) -> Child {
    let script = "trap '' INT TERM HUP; cat > /dev/null; e2e/cluster apiserver-stop \"$0\"; rm -rf \"$0\"";
    Command::new("bash")
        .args(["-c", script])
        .arg(folder)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("bash runs")
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        assert!(self.guard.wait().is_ok_and(|end| end.success()), "the API server did not stop");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Requests that show whether each policy has taken effect.
fn probes() -> Vec<(&'static str, String, String)> {
    let core = |resource: &str| format!("/api/v1/namespaces/{PROJECT}/{resource}?dryRun=All");
    let ours = |resource: &str| format!("/apis/phasegate.dev/v1alpha1/namespaces/{PROJECT}/{resource}?dryRun=All");
    let jobs = format!("/apis/batch/v1/namespaces/{PROJECT}/jobs?dryRun=All");
    let task = "serviceAccountName: phasegate-task";
    vec![
        ("phasegate-records", ours("reviewresults"), review_result("probe")),
        ("phasegate-decisions", ours("decisions"), decision("probe", "Suspend", "somebody")),
        ("phasegate-task-jobs", jobs, job("probe", task, "a")),
        ("phasegate-task-pods", core("pods"), pod("probe", task, "")),
        ("phasegate-adopted-pods", core("pods"), pod("probe", "serviceAccountName: x", "controller-uid: x")),
        ("phasegate-task-tokens", core("serviceaccounts/phasegate-task/token"), TOKEN_REQUEST.to_owned()),
    ]
}

pub const TOKEN_REQUEST: &str =
    "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, spec: {audiences: [phasegate]}}";

pub fn review_result(name: &str) -> String {
    format!(
        "{{apiVersion: phasegate.dev/v1alpha1, kind: ReviewResult, metadata: {{name: {name}}}, spec: {{phase: p, \
         phaseUID: u, attempt: 1, number: 1, commit: c, tree: t, base: b, gateHash: h, checks: [], rubric: \
         {{passingScore: 9, categories: [{{name: security, weight: 1, floor: 9}}]}}}}}}"
    )
}

/// A Decision of that type on phase `p`.
pub fn decision(name: &str, kind: &str, user: &str) -> String {
    let commit = match kind {
        "Approve" | "Reject" => ", commit: 0123456789012345678901234567890123456789",
        "Waive" => ", findings: [f], reason: r",
        _ => "",
    };
    format!(
        "{{apiVersion: phasegate.dev/v1alpha1, kind: Decision, metadata: {{name: {name}}}, spec: {{type: {kind}, \
         phase: p, phaseUID: u, attempt: 1, user: '{user}'{commit}}}}}"
    )
}

/// A pod that restricted Pod Security lets through, with that account and these labels.
pub fn pod(name: &str, account: &str, labels: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{{labels}}}}}, spec: {{{account}, {}}}}}",
        restricted("a")
    )
}

/// A suspended Job with that account.
pub fn job(name: &str, account: &str, image: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{suspend: true, template: {{spec: \
         {{{account}, restartPolicy: Never, {}}}}}}}}}",
        restricted(image)
    )
}

fn restricted(image: &str) -> String {
    format!(
        "securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: a, \
         image: {image}, securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]"
    )
}

/// One request as that user; a YAML body becomes JSON.
pub async fn ask(client: &Client, user: User, method: &str, path: &str, body: &str) -> Answer {
    let User(name, groups) = user;
    let mut request = http::Request::builder().method(method).uri(path).header("Impersonate-User", name);
    for group in groups {
        request = request.header("Impersonate-Group", *group);
    }
    if !groups.is_empty() {
        request = request.header("Impersonate-Group", "system:authenticated");
    }
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = match body {
        "" => Vec::new(),
        yaml => {
            let value: serde_json::Value = serde_yaml::from_str(yaml).expect("YAML");
            serde_json::to_vec(&value).expect("JSON")
        }
    };
    let request = request.header("Content-Type", kind).body(body).expect("a request");
    match client.request_text(request).await {
        Ok(text) => Answer::Yes(serde_json::from_str(&text).unwrap_or_default()),
        Err(kube::Error::Api(status)) => Answer::No(status),
        Err(error) => Answer::No(Box::new(Status::failure(&error.to_string(), "NoAnswer"))),
    }
}
