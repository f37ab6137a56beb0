//! Golden pods of the four roles, and what a profile may bring.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, PodTemplate},
};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api::{AgentTask, agent_task::AgentPod};

fn config() -> PodConfig {
    PodConfig {
        save_seconds: 120,
        runner_image: "phasegate:test".to_owned(),
        runner_image_pull_policy: "IfNotPresent".to_owned(),
        operator_url: "http://operator:4000".to_owned(),
        git_url: "http://git:8080".to_owned(),
        service_account: "phasegate-task".to_owned(),
    }
}

fn task(name: &str, spec: &Value) -> AgentTask {
    let object = json!({
        "apiVersion": "phasegate.dev/v1alpha1",
        "kind": "AgentTask",
        "metadata": {"name": name, "namespace": "alicia", "uid": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

fn developer() -> AgentTask {
    let spec = json!({
        "role": "Developer", "repository": "alicia", "task": "mqtt", "timeout": "1h", "maxRuns": 4,
        "phase": {"name": "alicia-1", "uid": "u", "attempt": 1}, "commit": "abc", "branch": "feature/phase-1-mqtt",
        "correlationId": "alicia-1-1-7f3a",
        "pod": {
            "image": "klein:1", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "registry"}],
            "command": ["klein"], "args": ["--model", "$(MODEL)"],
            "env": [{"name": "MODEL", "value": "m"}, {"name": "HOME", "value": "/root"}],
            "envFrom": [{"secretRef": {"name": "key"}}],
            "resources": {"limits": {"memory": "1Gi"}},
            "volumes": [{"name": "patches", "configMap": {"name": "patches"}}],
            "volumeMounts": [{"name": "patches", "mountPath": "/patches", "readOnly": true}],
            "labels": {"kueue.x-k8s.io/queue-name": "agents"},
            "nodeSelector": {"pool": "agents"},
            "tolerations": [{"key": "agents", "operator": "Exists"}],
            "priorityClassName": "low", "runtimeClassName": "gvisor",
        },
    });
    task("alicia-1-mqtt-1", &spec)
}

fn check() -> AgentTask {
    let spec = json!({
        "role": "Check", "repository": "alicia", "task": "test", "timeout": "10m", "maxRuns": 2, "commit": "abc",
        "phase": {"name": "alicia-1", "uid": "u", "attempt": 1},
        "check": {
            "name": "test", "image": "alicia-tools:1", "script": "echo $$ $(HOME)\npytest",
            "env": [{"name": "PRICE", "value": "$(HOME) $5"}],
            "resources": {"limits": {"memory": "512Mi"}},
            "services": [
                {"name": "broker", "image": "mosquitto:2", "port": 1883, "args": ["-c", "/etc/m.conf"]},
                {"name": "echo", "port": 7, "command": ["echo"], "env": [{"name": "A", "value": "$B"}]},
            ],
        },
        "pod": {"image": ""},
    });
    task("alicia-1-1-1-test", &spec)
}

fn reviewer() -> AgentTask {
    let spec = json!({
        "role": "Reviewer", "repository": "alicia", "task": "reviewer", "timeout": "1h", "maxRuns": 4, "commit": "abc",
        "base": {"commit": "def"}, "review": {"categories": ["security"]},
        "phase": {"name": "alicia-1", "uid": "u", "attempt": 1},
        "pod": {"image": "reviewer:1", "command": ["review"], "envFrom": [{"secretRef": {"name": "key"}}]},
    });
    task("alicia-1-1-1-reviewer", &spec)
}

fn sync() -> AgentTask {
    let spec = json!({
        "role": "Sync", "repository": "alicia", "task": "sync", "timeout": "10m", "maxRuns": 3,
        "upstream": {"url": "https://example.com/alicia.git", "credentialsSecretRef": {"name": "mirror"}}, "pod": {"image": ""},
    });
    task("alicia-sync-1", &spec)
}

#[rstest]
#[case::developer(developer())]
#[case::check(check())]
#[case::reviewer(reviewer())]
#[case::sync(sync())]
fn the_pods_of_the_roles_are_as_reviewed(#[case] task: AgentTask) {
    let role = format!("{:?}", task.spec.role).to_lowercase();
    insta::assert_yaml_snapshot!(role, job(&task, 2, &config()));
}

fn containers(job: &Job) -> Vec<Container> {
    let pod = job.spec.clone().unwrap().template.spec.unwrap();
    pod.init_containers.unwrap_or_default().into_iter().chain(pod.containers).collect()
}

#[rstest]
#[case::of_a_developer(developer())]
#[case::of_a_check(check())]
#[case::of_a_reviewer(reviewer())]
fn the_agent_and_the_services_reach_neither_the_token_nor_the_git_folder(#[case] task: AgentTask) {
    for container in containers(&job(&task, 1, &config())) {
        let ours = [PREPARE, COMPANION].contains(&container.name.as_str());
        let mounts = container.volume_mounts.unwrap_or_default();
        let secret = mounts.iter().any(|mount| ["token", "git", "runner-tmp"].contains(&mount.name.as_str()));
        assert_eq!(secret, ours, "container {}", container.name);
    }
}

#[rstest]
#[case::of_a_developer(developer())]
#[case::of_a_check(check())]
#[case::of_a_reviewer(reviewer())]
#[case::of_a_sync(sync())]
fn every_container_is_restricted(#[case] task: AgentTask) {
    for container in containers(&job(&task, 1, &config())) {
        let security = container.security_context.unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    }
}

#[rstest]
#[case::a_short_name("sync", "sync-0f1e2d3c-7")]
#[case::a_name_with_a_dot("a.b", "a-b-0f1e2d3c-7")]
#[case::a_long_name_is_cut(
    "a-very-long-name-of-a-phase-that-goes-on-and-on-1-and-a-task",
    "a-very-long-name-of-a-phase-that-goes-on-and-on-1-an-0f1e2d3c-7"
)]
#[case::a_cut_leaves_no_dash_behind(
    "a-very-long-name-of-a-phase-that-goes-on-and-on-1-a-",
    "a-very-long-name-of-a-phase-that-goes-on-and-on-1-a-0f1e2d3c-7"
)]
fn a_jobs_name_says_task_uid_and_run(#[case] name: &str, #[case] expected: &str) {
    let name = job_name(name, "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", 7);
    assert_eq!(name, expected);
    assert!(name.len() <= 63);
}

#[test]
fn a_name_longer_than_a_label_is_found_again_by_the_annotation() {
    let name = "a".repeat(40) + "." + &"b".repeat(40);
    let mut task = developer();
    task.metadata.name = Some(name.clone());
    let job = job(&task, 3, &config());
    let pod = job.spec.unwrap().template.metadata.unwrap();
    assert_eq!(task_of(&pod), Some(name.as_str()));
    assert_eq!(task_of(&job.metadata), Some(name.as_str()));
    assert_eq!((run_of(&pod), run_of(&job.metadata)), (Some(3), Some(3)));
    assert!(pod.labels.unwrap().values().all(|value| value.len() <= 63));
}

fn pod_template(spec: &Value) -> PodTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "klein"},
        "template": {
            "metadata": {"labels": {"app": "klein", "kueue.x-k8s.io/queue-name": "agents"}},
            "spec": spec,
        },
    }))
    .unwrap()
}

/// As the API server gives a small template back: with every default filled in.
fn as_stored() -> Value {
    json!({
        "containers": [{
            "name": "agent", "image": "klein:1", "imagePullPolicy": "IfNotPresent", "command": ["klein"],
            "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }],
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "securityContext": {}, "terminationGracePeriodSeconds": 30,
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut spec = as_stored();
    let (pointer, name) = path.rsplit_once('/').unwrap();
    spec.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    spec
}

#[test]
fn a_template_with_nothing_but_defaults_is_taken_over() {
    let expected = AgentPod {
        image: "klein:1".to_owned(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: vec!["klein".to_owned()],
        resources: Some(k8s_openapi::api::core::v1::ResourceRequirements::default()),
        labels: [("kueue.x-k8s.io/queue-name".to_owned(), "agents".to_owned())].into(),
        ..AgentPod::default()
    };
    assert_eq!(template(&pod_template(&as_stored())), Ok(expected));
}

#[test]
fn everything_that_is_taken_over_arrives() {
    let pod = developer().spec.pod;
    let mut spec = serde_json::to_value(&pod).unwrap();
    let mut agent = json!({"name": "agent"});
    for field in ["image", "imagePullPolicy", "command", "args", "env", "envFrom", "resources", "volumeMounts"] {
        agent[field] = spec.as_object_mut().unwrap().remove(field).unwrap();
    }
    spec.as_object_mut().unwrap().remove("labels");
    spec["containers"] = json!([agent]);
    assert_eq!(template(&pod_template(&spec)), Ok(pod));
}

#[test]
fn a_template_that_asks_for_what_task_pods_have_anyway_is_taken_over() {
    let mut spec = as_stored();
    spec["restartPolicy"] = json!("Never");
    spec["automountServiceAccountToken"] = json!(false);
    spec["securityContext"] = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    spec["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert!(template(&pod_template(&spec)).is_ok());
}

#[rstest]
#[case::a_host_path("/volumes", json!([{"name": "x", "hostPath": {"path": "/"}}]), "volume x: hostPath is not taken over; use a configMap")]
#[case::a_csi_volume("/volumes", json!([{"name": "x", "csi": {"driver": "d"}}]), "volume x: csi is not taken over")]
#[case::a_projected_token("/volumes", json!([{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]), "volume x: a projected serviceAccountToken is not taken over")]
#[case::a_volume_of_our_name("/volumes", json!([{"name": "workspace", "emptyDir": {}}]), "volume workspace: task pods have a volume of this name")]
#[case::the_hosts_network("/hostNetwork", json!(true), "template.spec: hostNetwork is not taken over; task pods share nothing")]
#[case::a_service_account("/serviceAccountName", json!("admin"), "template.spec: serviceAccountName is not taken over")]
#[case::an_init_container("/initContainers", json!([{"name": "i"}]), "template.spec: initContainers is not taken over; do it in the image")]
#[case::another_user("/securityContext", json!({"runAsUser": 0}), "template.spec: securityContext.runAsUser is not taken over; task pods run as user 65532")]
#[case::a_longer_grace("/terminationGracePeriodSeconds", json!(300), "template.spec: terminationGracePeriodSeconds is not taken over; task pods have 60 seconds")]
#[case::a_privileged_agent("/containers/0/securityContext", json!({"privileged": true}), "container agent: securityContext.privileged is not taken over")]
#[case::added_capabilities("/containers/0/securityContext", json!({"capabilities": {"add": ["NET_ADMIN"]}}), "container agent: securityContext.capabilities.add is not taken over")]
#[case::a_probe("/containers/0/livenessProbe", json!({"tcpSocket": {"port": 1}}), "container agent: livenessProbe.tcpSocket.port is not taken over; a task ends by itself")]
#[case::a_port("/containers/0/ports", json!([{"containerPort": 80}]), "container agent: ports is not taken over; remove it")]
#[case::no_command("/containers/0/command", json!([]), "container agent: command is missing")]
#[case::no_image("/containers/0/image", json!(""), "container agent: image is missing")]
#[case::another_name("/containers/0/name", json!("main"), "none is named 'agent'")]
#[case::a_mount_over_our_tools("/containers/0/volumeMounts", json!([{"name": "x", "mountPath": "/phasegate/bin"}]), "volumeMounts /phasegate/bin: /phasegate is the task pod's own")]
#[case::a_mount_that_hides_all("/containers/0/volumeMounts", json!([{"name": "x", "mountPath": "/"}]), "volumeMounts /: /phasegate is the task pod's own")]
#[case::a_mount_in_disguise("/containers/0/volumeMounts", json!([{"name": "x", "mountPath": "/a/../workspace"}]), "mount at an absolute path without '..'")]
#[case::a_mount_with_slashes("/containers/0/volumeMounts", json!([{"name": "x", "mountPath": "//workspace//src"}]), "/workspace is the task pod's own")]
#[case::a_shared_mount("/containers/0/volumeMounts", json!([{"name": "x", "mountPath": "/x", "mountPropagation": "Bidirectional"}]), "mountPropagation is not taken over")]
fn what_is_not_taken_over_is_named_with_the_remedy(#[case] path: &str, #[case] value: Value, #[case] expected: &str) {
    let problems = template(&pod_template(&with(path, value))).unwrap_err().join("\n");
    assert!(problems.contains(expected), "{problems}");
}

#[test]
fn a_second_container_is_named() {
    let mut spec = as_stored();
    let second = json!({"name": "proxy", "image": "p"});
    spec["containers"].as_array_mut().unwrap().push(second);
    let problems = template(&pod_template(&spec)).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("container proxy: only the container 'agent' is taken over"), "{problems:?}");
}

#[test]
fn all_problems_are_named_at_once() {
    let mut spec = with("/hostNetwork", json!(true));
    spec["hostPID"] = json!(true);
    spec["containers"][0]["tty"] = json!(true);
    assert_eq!(template(&pod_template(&spec)).unwrap_err().len(), 3);
}

#[test]
fn a_profile_may_bring_its_own_tmp() {
    let mut task = developer();
    task.spec.pod.volume_mounts[0].mount_path = "/tmp/".to_owned();
    let all = containers(&job(&task, 1, &config()));
    let agent = all.iter().find(|container| container.name == MAIN).unwrap();
    let tmp = agent.volume_mounts.iter().flatten().filter(|mount| mount.mount_path.starts_with("/tmp"));
    assert_eq!(tmp.map(|mount| mount.name.as_str()).collect::<Vec<_>>(), ["patches"]);
}
