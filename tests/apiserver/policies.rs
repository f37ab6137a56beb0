//! Who is refused what, and with which words.

use crate::support::{
    ANYONE, Answer, ApiServer, COLLECTOR, GIT, JOB_CONTROLLER, OPERATOR, PROJECT, RELEASE, TOKEN_REQUEST, User, ask,
    decision, job, pod, review_result,
};

const NODE: User = User("system:node:node1", &["system:nodes", "testers"]);
const LEAD: User = User("lead", &["people"]);
/// Writes Phases, decides nothing.
const WRITER: User = User("writer", &["people"]);
const WAIVER: User = User("waiver", &[]);
const NAMESPACES: User = User("system:serviceaccount:kube-system:namespace-controller", &["testers"]);

/// What should become of a request.
enum Expect {
    /// It goes through.
    Works,
    /// It is refused with these words.
    Refused(&'static str),
    /// It passes admission and fails later, with these words: there is no kubelet here.
    Reaches(&'static str),
}
use Expect::{Reaches, Refused, Works};

struct Row {
    who: User,
    method: &'static str,
    path: String,
    body: String,
    expect: Expect,
}

fn row(who: User, method: &'static str, path: String, body: &str, expect: Expect) -> Row {
    Row { who, method, path, body: body.to_owned(), expect }
}

async fn try_all(server: &ApiServer, rows: Vec<Row>) {
    let client = server.client().await;
    let mut wrong = Vec::new();
    for Row { who, method, path, body, expect } in rows {
        let answer = ask(&client, who, method, &path, &body).await;
        let (right, wanted) = match (&expect, &answer) {
            (Works, answer) => (matches!(answer, Answer::Yes(_)), "success"),
            (Refused(words), Answer::No(status)) => {
                (status.message.contains("ValidatingAdmissionPolicy") && status.message.contains(words), *words)
            }
            (Reaches(words), Answer::No(status)) => (status.message.contains(words), *words),
            (Refused(words) | Reaches(words), Answer::Yes(_)) => (false, *words),
        };
        if !right {
            wrong.push(format!("{} {method} {path}\n  wanted: {wanted}\n  got: {answer:?}", who.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ours(resource: &str) -> String {
    format!("/apis/phasegate.dev/v1alpha1/namespaces/{PROJECT}/{resource}")
}

fn core(resource: &str) -> String {
    format!("/api/v1/namespaces/{PROJECT}/{resource}")
}

fn jobs(rest: &str) -> String {
    format!("/apis/batch/v1/namespaces/{PROJECT}/jobs{rest}")
}

fn task(name: &str) -> String {
    format!(
        "{{apiVersion: phasegate.dev/v1alpha1, kind: AgentTask, metadata: {{name: {name}}}, spec: {{role: Developer, \
         repository: alicia, task: greet, pod: {{image: a, command: [a]}}, timeout: 1h, maxRuns: 4}}}}"
    )
}

fn phase(name: &str) -> String {
    format!(
        "{{apiVersion: phasegate.dev/v1alpha1, kind: Phase, metadata: {{name: {name}}}, spec: {{repositoryRef: {{name: hello}}, \
         number: 1, version: 0.1.0, tasks: [{{name: greet, description: d}}]}}}}"
    )
}

const TASK: &str = "serviceAccountName: phasegate-task";
const OTHER: &str = "serviceAccountName: other";

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn records_and_status_are_written_by_the_operator_alone() {
    let server = ApiServer::with_chart().await;
    let refused = || Refused("are made, changed and removed by the phasegate operator only");
    let status = || Refused("is written by the phasegate operator only");
    try_all(
        &server,
        vec![
            row(ANYONE, "POST", ours("agenttasks"), &task("t"), refused()),
            row(GIT, "POST", ours("agenttasks"), &task("t"), Reaches("forbidden")),
            row(ANYONE, "POST", ours("reviewresults"), &review_result("r"), refused()),
            row(OPERATOR, "POST", ours("agenttasks"), &task("t"), Works),
            row(OPERATOR, "POST", ours("reviewresults"), &review_result("r"), Works),
            row(ANYONE, "PATCH", ours("agenttasks/t"), "{metadata: {labels: {a: b}}}", refused()),
            row(ANYONE, "PATCH", ours("agenttasks/t/status"), "{status: {state: Succeeded}}", status()),
            row(ANYONE, "PATCH", ours("reviewresults/r/status"), "{status: {verdict: Pass}}", status()),
            row(OPERATOR, "PATCH", ours("agenttasks/t/status"), "{status: {state: Running}}", Works),
            row(OPERATOR, "PATCH", ours("reviewresults/r/status"), "{status: {verdict: Pass}}", Works),
            row(LEAD, "POST", ours("phases"), &phase("records"), Works),
            row(ANYONE, "PATCH", ours("phases/records/status"), "{status: {state: Passed}}", status()),
            row(OPERATOR, "PATCH", ours("phases/records/status"), "{status: {state: Preparing}}", Works),
            row(COLLECTOR, "PATCH", ours("phases/records/status"), "{status: {state: Passed}}", status()),
            row(ANYONE, "DELETE", ours("agenttasks/t"), "", refused()),
            row(ANYONE, "DELETE", ours("reviewresults"), "", refused()),
            row(COLLECTOR, "DELETE", ours("agenttasks/t"), "", Works),
            row(NAMESPACES, "DELETE", ours("reviewresults/r"), "", Works),
            row(LEAD, "DELETE", ours("phases/records"), "", Works),
        ],
    )
    .await;
}

/// Policies for our kinds bind everywhere, not in projects only.
#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn records_cannot_be_made_outside_of_projects_either() {
    let server = ApiServer::with_chart().await;
    let path = "/apis/phasegate.dev/v1alpha1/namespaces/default/reviewresults?dryRun=All".to_owned();
    try_all(&server, vec![row(ANYONE, "POST", path, &review_result("r"), Refused("by the phasegate operator only"))])
        .await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn jobs_with_the_task_account_are_the_operators() {
    let server = ApiServer::with_chart().await;
    let refused = || Refused("are made by the phasegate operator only; use another service account");
    // With rights for PATCH, where the real one uses PUT.
    let jobs_controller = User(JOB_CONTROLLER.0, &["testers"]);
    let image = "{spec: {template: {spec: {containers: [{name: a, image: evil}]}}}}";
    try_all(
        &server,
        vec![
            row(ANYONE, "POST", jobs(""), &job("own", TASK, "a"), refused()),
            // The field's old name comes to the same.
            row(ANYONE, "POST", jobs(""), &job("own", "serviceAccount: phasegate-task", "a"), refused()),
            row(JOB_CONTROLLER, "POST", jobs(""), &job("own", TASK, "a"), Reaches("forbidden")),
            row(ANYONE, "POST", jobs(""), &job("other", OTHER, "a"), Works),
            row(OPERATOR, "POST", jobs(""), &job("run", TASK, "a"), Works),
            row(ANYONE, "PATCH", jobs("/run"), image, Reaches("spec.template: Invalid value")),
            row(ANYONE, "PATCH", jobs("/run"), "{spec: {suspend: false}}", Works),
            row(
                ANYONE,
                "PATCH",
                jobs("/run/status"),
                "{status: {succeeded: 1}}",
                Refused("is written by the Job controller only"),
            ),
            row(jobs_controller, "PATCH", jobs("/run/status"), "{status: {active: 1}}", Works),
            row(OPERATOR, "DELETE", jobs("/run"), "", Works),
            row(ANYONE, "DELETE", jobs("/other"), "", Works),
        ],
    )
    .await;
}

/// A label can be taken off; a project's name in the chart's values cannot.
#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_project_without_labels_is_guarded_like_the_others() {
    let server = ApiServer::with_chart().await;
    let made = "/apis/batch/v1/namespaces/bare/jobs?dryRun=All".to_owned();
    let pods = "/api/v1/namespaces/bare/pods?dryRun=All".to_owned();
    let token = "/api/v1/namespaces/bare/serviceaccounts/phasegate-task/token?dryRun=All".to_owned();
    try_all(
        &server,
        vec![
            row(ANYONE, "POST", made, &job("own", TASK, "a"), Refused("are made by the phasegate operator only")),
            row(ANYONE, "POST", pods, &pod("own", TASK, ""), Refused("are made by the Job controller")),
            row(ANYONE, "POST", token, TOKEN_REQUEST, Refused("are given to the kubelets")),
        ],
    )
    .await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn task_pods_are_made_by_the_job_controller_and_stay_as_they_are() {
    let server = ApiServer::with_chart().await;
    let refused = || Refused("are made by the Job controller for the phasegate operator only");
    let stays = || Refused("stay as the phasegate operator made them");
    let ephemeral = "{spec: {ephemeralContainers: [{name: e, image: e, targetContainerName: a, securityContext: \
                     {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}";
    let finished = "{status: {phase: Succeeded}}";
    try_all(
        &server,
        vec![
            row(ANYONE, "POST", core("pods"), &pod("own", TASK, ""), refused()),
            row(ANYONE, "POST", core("pods"), &pod("own", "serviceAccount: phasegate-task", ""), refused()),
            row(OPERATOR, "POST", core("pods"), &pod("own", TASK, ""), Reaches("forbidden")),
            row(JOB_CONTROLLER, "POST", core("pods"), &pod("run", TASK, "controller-uid: u"), Works),
            row(ANYONE, "POST", core("pods"), &pod("plain", OTHER, ""), Works),
            row(
                ANYONE,
                "PATCH",
                core("pods/run"),
                "{spec: {activeDeadlineSeconds: 5}}",
                Refused("stays as the phasegate operator made it"),
            ),
            row(ANYONE, "PATCH", core("pods/run"), "{metadata: {labels: {a: b}}}", stays()),
            row(ANYONE, "PATCH", core("pods/run"), "{metadata: {annotations: {a: b}}}", Works),
            row(ANYONE, "PATCH", core("pods/run/ephemeralcontainers"), ephemeral, Refused("no ephemeral containers")),
            row(ANYONE, "PATCH", core("pods/plain/ephemeralcontainers"), ephemeral, Works),
            row(ANYONE, "PATCH", core("pods/run/status"), finished, Refused("written by the kubelet")),
            row(User("system:kube-scheduler", &[]), "PATCH", core("pods/run/status"), "{status: {message: m}}", Works),
            row(ANYONE, "PATCH", core("pods/plain/status"), finished, Works),
            // A pod in a Job's labels would be adopted and counted as the task's.
            row(ANYONE, "POST", core("pods"), &pod("cuckoo", OTHER, "controller-uid: u"), Refused("taken for a Job's")),
            row(
                ANYONE,
                "PATCH",
                core("pods/plain"),
                "{metadata: {labels: {batch.kubernetes.io/controller-uid: u}}}",
                Refused("taken for a Job's"),
            ),
            row(ANYONE, "DELETE", core("pods/run?gracePeriodSeconds=0"), "", Works),
            row(ANYONE, "DELETE", core("pods/plain?gracePeriodSeconds=0"), "", Works),
        ],
    )
    .await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn nobody_gets_into_a_task_pod_and_other_pods_stay_open() {
    let server = ApiServer::with_chart().await;
    let (run, plain) = (pod("session", TASK, "controller-uid: u"), pod("open", OTHER, ""));
    let made =
        vec![row(JOB_CONTROLLER, "POST", core("pods"), &run, Works), row(ANYONE, "POST", core("pods"), &plain, Works)];
    try_all(&server, made).await;
    await_sessions_policy(&server).await;
    let mut rows = Vec::new();
    for session in ["exec?command=sh&container=a", "attach?container=a", "portforward?ports=4000", "proxy/"] {
        for method in ["GET", "POST"] {
            rows.push(row(
                ANYONE,
                method,
                core(&format!("pods/session/{session}")),
                "",
                Refused("into task pod session"),
            ));
            // Nothing runs there, but the door is open.
            rows.push(row(ANYONE, method, core(&format!("pods/open/{session}")), "", Reaches("")));
        }
    }
    let client = server.client().await;
    for Row { who, method, path, .. } in rows.iter().filter(|row| row.path.contains("pods/open")) {
        let answer = ask(&client, *who, method, path, "").await;
        assert!(!answer.message().contains("ValidatingAdmissionPolicy"), "{path}: {answer:?}");
    }
    try_all(&server, rows.into_iter().filter(|row| row.path.contains("pods/session")).collect()).await;
}

/// The API server learns of the pods a moment after they are there.
async fn await_sessions_policy(server: &ApiServer) {
    let client = server.client().await;
    for _ in 0..100 {
        let answer = ask(&client, ANYONE, "POST", &core("pods/session/attach?container=a"), "").await;
        if answer.message().contains("ValidatingAdmissionPolicy") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn tokens_that_are_believed_go_to_kubelets_only() {
    let server = ApiServer::with_chart().await;
    let of = |namespace: &str, account: &str| format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let refused = || Refused("are given to the kubelets of its pods only");
    try_all(
        &server,
        vec![
            row(ANYONE, "POST", of(PROJECT, "phasegate-task"), TOKEN_REQUEST, refused()),
            row(OPERATOR, "POST", of(PROJECT, "phasegate-task"), TOKEN_REQUEST, Reaches("forbidden")),
            row(ANYONE, "POST", of(RELEASE, "phasegate-operator"), TOKEN_REQUEST, refused()),
            row(ANYONE, "POST", of(RELEASE, "phasegate-git"), TOKEN_REQUEST, refused()),
            row(NODE, "POST", of(PROJECT, "phasegate-task"), TOKEN_REQUEST, Reaches("pod")),
            row(
                ANYONE,
                "POST",
                core("serviceaccounts"),
                "{apiVersion: v1, kind: ServiceAccount, metadata: {name: other}}",
                Works,
            ),
            row(ANYONE, "POST", of(PROJECT, "other"), TOKEN_REQUEST, Works),
        ],
    )
    .await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_decision_is_its_authors_own_and_needs_the_verb() {
    let server = ApiServer::with_chart().await;
    server.shell(&format!(
        "kubectl -n {PROJECT} create role writer --verb=delete,update,patch --resource=decisions.phasegate.dev
         kubectl -n {PROJECT} create rolebinding writer --role writer --user writer
         kubectl -n {PROJECT} create rolebinding writer-decides --clusterrole phasegate-decide --user writer
         kubectl -n {PROJECT} create role only-p --verb=retry --resource=phases.phasegate.dev --resource-name=p
         kubectl -n {PROJECT} create rolebinding only-p --role only-p --user writer"
    ));
    let decisions = || ours("decisions");
    let operator = "system:serviceaccount:phasegate:phasegate-operator";
    let other_phase = decision("d", "Retry", "writer").replace("phase: p,", "phase: q,");
    let mut rows = vec![
        row(
            LEAD,
            "POST",
            decisions(),
            &decision("d", "Suspend", "boss"),
            Refused("it says boss, but the API server knows you as lead"),
        ),
        row(
            OPERATOR,
            "POST",
            format!("{}?dryRun=All", decisions()),
            &decision("d", "Approve", "lead"),
            Refused("spec.user must be"),
        ),
        row(
            OPERATOR,
            "POST",
            decisions(),
            &decision("d", "Approve", operator),
            Refused("grant the verb approve on phases.phasegate.dev in namespace alicia"),
        ),
        // RBAC for one phase and one verb is enough for that and no more.
        row(WRITER, "POST", decisions(), &decision("w", "Retry", "writer"), Works),
        row(WRITER, "POST", decisions(), &other_phase, Refused("writer may not retry phase q: grant the verb retry")),
        // To approve is not to waive.
        row(
            LEAD,
            "POST",
            decisions(),
            &decision("v", "Waive", "lead"),
            Refused("lead may not waive phase p: grant the verb waive on phases.phasegate.dev in namespace alicia"),
        ),
        row(WAIVER, "POST", decisions(), &decision("v", "Waive", "waiver"), Works),
        row(
            WAIVER,
            "POST",
            decisions(),
            &decision("w2", "Approve", "waiver"),
            Refused("waiver may not approve phase p: grant the verb approve"),
        ),
        row(LEAD, "POST", decisions(), &decision("s", "Suspend", "lead"), Works),
        row(
            WRITER,
            "PATCH",
            ours("decisions/s"),
            "{metadata: {labels: {a: b}}}",
            Refused("a Decision stays as it was made"),
        ),
        row(ANYONE, "PATCH", ours("decisions/s"), "{spec: {note: n}}", Reaches("a Decision is immutable")),
        // To take a Suspend back is to resume.
        row(
            WRITER,
            "DELETE",
            ours("decisions/s"),
            "",
            Refused("writer may not resume phase p, which is what taking this Decision back would do"),
        ),
        row(COLLECTOR, "DELETE", ours("decisions/s"), "", Works),
        row(WRITER, "DELETE", ours("decisions/w"), "", Works),
    ];
    for kind in ["Approve", "Reject", "Retry", "Abort", "Suspend", "Resume"] {
        let name = kind.to_lowercase();
        rows.push(row(LEAD, "POST", decisions(), &decision(&name, kind, "lead"), Works));
        if kind != "Retry" {
            let refusal: &'static str =
                Box::leak(format!("writer may not {name} phase p: grant the verb {name}").into_boxed_str());
            rows.push(row(WRITER, "POST", decisions(), &decision("w", kind, "writer"), Refused(refusal)));
        }
    }
    try_all(&server, rows).await;
}
