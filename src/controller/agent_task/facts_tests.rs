//! Pods as the kubelet reports them, and what they say.

use k8s_openapi::api::core::v1::Pod;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "pod-1", "uid": "u"}, "status": status})).unwrap()
}

fn main_state(state: &Value) -> Value {
    json!({"containerStatuses": [
        {"name": "agent", "image": "klein:1", "imageID": "", "ready": false, "restartCount": 0, "state": state}
    ]})
}

#[rstest]
#[case::not_yet_reported(json!({}), MainFact::Waiting)]
#[case::waiting(main_state(&json!({"waiting": {"reason": "PodInitializing"}})), MainFact::Waiting)]
#[case::running(main_state(&json!({"running": {}})), MainFact::Running)]
#[case::exit_code_0(main_state(&json!({"terminated": {"exitCode": 0, "reason": "Completed"}})), MainFact::Exited(0))]
#[case::exit_code_7(main_state(&json!({"terminated": {"exitCode": 7, "reason": "Error"}})), MainFact::Exited(7))]
#[case::oom_with_exit_code_0(main_state(&json!({"terminated": {"exitCode": 0, "reason": "OOMKilled"}})), MainFact::OutOfMemory(0))]
#[case::a_foreign_architecture(main_state(&json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec format error"}})), MainFact::NotStarted("StartError: exec format error".into()))]
#[case::a_lost_node(main_state(&json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}})), MainFact::Unknown)]
fn the_main_container(#[case] status: Value, #[case] expected: MainFact) {
    assert_eq!(pod_fact(&pod(&status)).main, expected);
}

#[rstest]
#[case::a_digest_of_a_registry("registry.example/klein@sha256:0f1e", Some("registry.example/klein@sha256:0f1e"))]
#[case::with_the_prefix_of_an_older_runtime(
    "docker-pullable://klein@sha256:0f1e",
    Some("docker-pullable://klein@sha256:0f1e")
)]
#[case::of_an_image_that_was_loaded("sha256:0f1e", Some("sha256:0f1e"))]
#[case::not_pulled_yet("", None)]
fn the_image_that_the_node_resolved(#[case] reported: &str, #[case] expected: Option<&str>) {
    let companion =
        json!({"name": "companion", "image": "p", "imageID": "p@sha256:99", "ready": true, "restartCount": 0});
    let mut status = main_state(&json!({"running": {}}));
    status["containerStatuses"][0]["imageID"] = json!(reported);
    status["containerStatuses"].as_array_mut().unwrap().insert(0, companion);
    assert_eq!(pod_fact(&pod(&status)).image_id.as_deref(), expected);
}

#[test]
fn an_endless_image_id_is_cut_to_what_the_api_takes() {
    let mut status = main_state(&json!({"running": {}}));
    status["containerStatuses"][0]["imageID"] = json!("ä".repeat(5000));
    assert_eq!(pod_fact(&pod(&status)).image_id.unwrap().chars().count(), 1024);
}

#[rstest]
#[case::an_image_that_cannot_be_pulled("ImagePullBackOff", true)]
#[case::a_name_that_is_no_image("InvalidImageName", true)]
#[case::a_secret_that_is_missing("CreateContainerConfigError", true)]
#[case::a_sidecar_that_ends_again_and_again("CrashLoopBackOff", true)]
#[case::creation_that_goes_on("ContainerCreating", false)]
#[case::containers_before_it("PodInitializing", false)]
fn a_container_that_waits(#[case] reason: &str, #[case] expected: bool) {
    let container = json!({"name": "service-broker", "image": "mqtt:9", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": "why"}}});
    let blocked = pod_fact(&pod(&json!({"initContainerStatuses": [container]}))).blocked;
    let named = blocked.map(|blocked| (blocked.container, blocked.image, blocked.reason, blocked.message));
    let expected = expected.then(|| ("service-broker".into(), "mqtt:9".into(), reason.to_owned(), "why".to_owned()));
    assert_eq!(named, expected);
}

#[test]
fn an_eviction_for_its_own_use_is_told_from_one_for_the_nodes_sake() {
    let own = pod_fact(&pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "exceeds the total limit"})));
    assert_eq!((own.overused.as_deref(), own.disrupted), (Some("evicted: exceeds the total limit"), None));
    let node = pod_fact(&pod(&json!({"phase": "Failed", "reason": "Evicted", "conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "node was low on memory"}
    ]})));
    assert_eq!(
        (node.overused, node.disrupted.as_deref()),
        (None, Some("TerminationByKubelet: node was low on memory"))
    );
}

#[rstest]
#[case::before_the_deletion_stands("2026-01-01T00:00:59Z", false)]
#[case::in_the_same_second_was_caused_by_it("2026-01-01T00:01:00Z", true)]
#[case::after_the_deletion_was_caused_by_it("2026-01-01T00:01:30Z", true)]
fn an_end(#[case] finished_at: &str, #[case] disrupted: bool) {
    let mut pod = pod(&main_state(&json!({"terminated": {"exitCode": 0, "finishedAt": finished_at}})));
    pod.metadata.deletion_grace_period_seconds = Some(60);
    pod.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:02:00Z")).unwrap());
    assert_eq!(pod_fact(&pod).disrupted.is_some(), disrupted);
}

#[test]
fn a_pod_that_failed_in_an_init_container_says_which() {
    let init = json!({"name": "prepare", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 1, "message": "failed to clone: 503\n"}}});
    let status = json!({"phase": "Failed", "reason": "X", "initContainerStatuses": [init]});
    let why = pod_fact(&pod(&status)).failed_before;
    assert_eq!(why.as_deref(), Some("container prepare ended with exit code 1: failed to clone: 503"));
    let rejected = pod_fact(&pod(&json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Node has no cpu"})));
    assert_eq!(rejected.failed_before.as_deref(), Some("its pod failed: OutOfcpu: Node has no cpu"));
}

#[test]
fn a_pod_without_a_node_says_why_and_one_with_a_node_since_when() {
    let met = |status: &str| {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": status,
        "reason": "Unschedulable", "message": "0/1 nodes", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    };
    let without = pod_fact(&pod(&met("False")));
    assert_eq!((without.unschedulable.as_deref(), without.creating_since), (Some("Unschedulable: 0/1 nodes"), None));
    let with = pod_fact(&pod(&met("True")));
    assert_eq!((with.unschedulable, with.creating_since), (None, Some("2026-01-01T00:00:00Z".parse().unwrap())));
    let mut started = met("True");
    started["initContainerStatuses"] = json!([{"name": "prepare", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"running": {}}}]);
    assert_eq!(pod_fact(&pod(&started)).creating_since, None);
}

fn owned(name: &str, owner: &str, account: Option<&str>, created: &str) -> Pod {
    serde_json::from_value(
        json!({"metadata": {"name": name, "uid": name, "creationTimestamp": created, "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner, "controller": true}
        ]}, "spec": {"containers": [], "serviceAccountName": account}}),
    )
    .unwrap()
}

#[rstest]
#[case::before_one_is_pinned_the_oldest_counts(None, Some("b"))]
#[case::the_pinned_one_counts(Some("c"), Some("c"))]
#[case::no_other_takes_the_place_of_the_pinned_one(Some("gone"), None)]
#[case::a_pod_of_another_job_never_counts(Some("a"), None)]
#[case::a_pod_that_only_claims_to_be_the_jobs_never_counts(Some("forged"), None)]
#[case::nor_one_that_names_no_account(Some("nameless"), None)]
fn which_pod_counts(#[case] pinned: Option<&str>, #[case] expected: Option<&str>) {
    let pods = [
        owned("a", "another", Some("task"), "2026-01-01T00:00:00Z"),
        owned("forged", "job", Some("default"), "2026-01-01T00:00:00Z"),
        owned("nameless", "job", None, "2026-01-01T00:00:00Z"),
        owned("c", "job", Some("task"), "2026-01-01T00:00:02Z"),
        owned("b", "job", Some("task"), "2026-01-01T00:00:01Z"),
    ];
    assert_eq!(pick_pod(pods.iter(), "job", "task", pinned).map(ResourceExt::name_any).as_deref(), expected);
}
