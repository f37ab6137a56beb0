//! What is taken over from a PodTemplate, an agent's profile (design §6).
//!
//! Nothing is dropped in silence: the template is turned into JSON, what is taken over and what
//! equals the API's default or what task pods have anyway is removed, and whatever remains is an
//! error that names it. Labels and annotations are not part of the shape; only those that queueing
//! systems read are taken.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplate, PodTemplateSpec, Volume, VolumeMount};
use serde_json::{Map, Value, json};

use super::{MAIN, volumes};
use crate::api::{agent_task::AgentPod, common::LocalReference};

/// Prefix of the labels that are taken over.
const QUEUE_LABELS: &str = "kueue.x-k8s.io/";
/// Fields of the pod that are taken over; `containers` and `volumes` are looked at one by one.
const TAKEN_OF_POD: [&str; 8] = [
    "affinity",
    "containers",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "tolerations",
    "volumes",
];
/// Fields of the container that are taken over.
const TAKEN_OF_CONTAINER: [&str; 10] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "resources",
    "volumeMounts",
    "workingDir",
];
/// Sources of volumes that reach nothing of the node and no identity.
const HARMLESS_VOLUMES: [&str; 7] =
    ["configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// The part of the template that is taken over.
///
/// # Errors
/// One sentence for each thing that is missing or not taken over, with the remedy.
pub fn template(pod_template: &PodTemplate) -> Result<AgentPod, Vec<String>> {
    let Some(PodTemplateSpec { metadata, spec: Some(pod) }) = pod_template.template.clone() else {
        return Err(vec!["template.spec is missing; give it a container 'agent' with a command".to_owned()]);
    };
    let mut problems = left_of_pod(&pod);
    problems.extend(pod.volumes.iter().flatten().filter_map(volume_problem));
    let agent = pod.containers.iter().find(|container| container.name == MAIN);
    let others = pod.containers.iter().filter(|container| container.name != MAIN);
    problems.extend(others.map(|container| {
        format!("container {}: only the container 'agent' is taken over; put what it does into the image of 'agent', or remove it", container.name)
    }));
    match agent {
        None => problems
            .push("template.spec.containers: none is named 'agent'; give the main container this name".to_owned()),
        Some(agent) => problems.extend(container_problems(agent)),
    }
    match agent {
        Some(agent) if problems.is_empty() => Ok(take(&pod, agent, metadata.and_then(|meta| meta.labels))),
        Some(_) | None => Err(problems),
    }
}

fn take(pod: &PodSpec, agent: &Container, labels: Option<std::collections::BTreeMap<String, String>>) -> AgentPod {
    let secrets = pod.image_pull_secrets.iter().flatten();
    AgentPod {
        image: agent.image.clone().unwrap_or_default(),
        image_pull_policy: agent.image_pull_policy.clone(),
        image_pull_secrets: secrets.map(|secret| LocalReference { name: secret.name.clone() }).collect(),
        command: agent.command.clone().unwrap_or_default(),
        args: agent.args.clone().unwrap_or_default(),
        working_dir: agent.working_dir.clone(),
        env: agent.env.clone().unwrap_or_default(),
        env_from: agent.env_from.clone().unwrap_or_default(),
        resources: agent.resources.clone(),
        volumes: pod.volumes.clone().unwrap_or_default(),
        volume_mounts: agent.volume_mounts.clone().unwrap_or_default(),
        labels: labels.unwrap_or_default().into_iter().filter(|(name, _)| name.starts_with(QUEUE_LABELS)).collect(),
        node_selector: pod.node_selector.clone().unwrap_or_default(),
        tolerations: pod.tolerations.clone().unwrap_or_default(),
        affinity: pod.affinity.clone(),
        priority_class_name: pod.priority_class_name.clone(),
        runtime_class_name: pod.runtime_class_name.clone(),
    }
}

fn left_of_pod(pod: &PodSpec) -> Vec<String> {
    let harmless = [
        ("restartPolicy", json!(["Always", "Never"])),
        ("dnsPolicy", json!(["ClusterFirst"])),
        ("schedulerName", json!(["default-scheduler"])),
        ("terminationGracePeriodSeconds", json!([30])),
        ("enableServiceLinks", json!([true, false])),
        ("automountServiceAccountToken", json!([false])),
        ("hostNetwork", json!([false])),
        ("hostPID", json!([false])),
        ("hostIPC", json!([false])),
        ("shareProcessNamespace", json!([false])),
        ("setHostnameAsFQDN", json!([false])),
        ("serviceAccountName", json!(["default"])),
        ("serviceAccount", json!(["default"])),
        ("securityContext.runAsNonRoot", json!([true])),
        ("securityContext.runAsUser", json!([65532])),
        ("securityContext.runAsGroup", json!([65532])),
        ("securityContext.fsGroup", json!([65532])),
        ("securityContext.fsGroupChangePolicy", json!(["Always", "OnRootMismatch"])),
        ("securityContext.seccompProfile.type", json!(["RuntimeDefault"])),
    ];
    left("template.spec", pod, &TAKEN_OF_POD, &harmless)
}

fn container_problems(agent: &Container) -> Vec<String> {
    let harmless = [
        ("terminationMessagePath", json!(["/dev/termination-log"])),
        ("terminationMessagePolicy", json!(["File"])),
        ("stdin", json!([false])),
        ("stdinOnce", json!([false])),
        ("tty", json!([false])),
        ("securityContext.allowPrivilegeEscalation", json!([false])),
        ("securityContext.privileged", json!([false])),
        ("securityContext.readOnlyRootFilesystem", json!([false])),
        ("securityContext.runAsNonRoot", json!([true])),
        ("securityContext.runAsUser", json!([65532])),
        ("securityContext.runAsGroup", json!([65532])),
        ("securityContext.capabilities.drop", json!([["ALL"]])),
        ("securityContext.procMount", json!(["Default"])),
        ("securityContext.seccompProfile.type", json!(["RuntimeDefault"])),
    ];
    let mut problems = left("container agent", agent, &TAKEN_OF_CONTAINER, &harmless);
    if agent.image.as_ref().is_none_or(String::is_empty) {
        problems.push("container agent: image is missing".to_owned());
    }
    if agent.command.as_ref().is_none_or(Vec::is_empty) {
        problems.push("container agent: command is missing; task pods start it themselves and cannot read the image's entrypoint, so repeat it as command".to_owned());
    }
    if agent.resources.as_ref().is_some_and(|resources| resources.claims.is_some()) {
        problems.push("container agent: resources.claims is not taken over; remove it".to_owned());
    }
    problems.extend(agent.volume_mounts.iter().flatten().filter_map(mount_problem));
    problems
}

/// Everything of `object` that is neither taken nor harmless, each with its remedy.
fn left(place: &str, object: &impl serde::Serialize, taken: &[&str], harmless: &[(&str, Value)]) -> Vec<String> {
    let fields = match serde_json::to_value(object) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => Map::new(),
        Err(error) => return vec![format!("{place}: failed to read it: {error}")],
    };
    let mut leaves = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| !taken.contains(&name.as_str())) {
        collect_leaves(name, value, &mut leaves);
    }
    let is_harmless = |path: &str, value: &Value| {
        harmless
            .iter()
            .any(|(known, values)| *known == path && values.as_array().is_some_and(|values| values.contains(value)))
    };
    leaves
        .into_iter()
        .filter(|(path, value)| !is_harmless(path, value))
        .map(|(path, _)| format!("{place}: {path} is not taken over; {}", remedy(&path)))
        .collect()
}

/// The paths below `value` that hold something. Lists are not entered: the list's name says enough.
fn collect_leaves(path: &str, value: &Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_leaves(&format!("{path}.{name}"), value, leaves);
            }
        }
        Value::Array(list) if list.is_empty() => {}
        Value::Null => {}
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.push((path.to_owned(), value.clone()));
        }
    }
}

fn remedy(path: &str) -> &'static str {
    match path.split('.').next().unwrap_or_default() {
        "serviceAccount" | "serviceAccountName" | "automountServiceAccountToken" => {
            "task pods have a service account of their own, without rights: remove it"
        }
        "securityContext" => {
            "task pods run as user 65532 without privileges: build the image so that it works as that user, and remove it"
        }
        "initContainers" | "ephemeralContainers" => {
            "do it in the image or at the start of the agent's command, and remove it"
        }
        "livenessProbe" | "readinessProbe" | "startupProbe" => "a task ends by itself or by its timeout: remove it",
        "activeDeadlineSeconds" => "use the timeout of the task, and remove it",
        "terminationGracePeriodSeconds" => "task pods have 60 seconds: remove it",
        "restartPolicy" => "a run that failed is a new Job: remove it",
        "hostNetwork" | "hostPID" | "hostIPC" | "hostUsers" | "hostAliases" => {
            "task pods share nothing with their node: remove it"
        }
        "schedulerName" | "nodeName" | "topologySpreadConstraints" => "use nodeSelector, affinity or tolerations",
        "resourceClaims" => "use resources of the container",
        _ => "remove it",
    }
}

fn volume_problem(volume: &Volume) -> Option<String> {
    let name = &volume.name;
    if volumes::NAMES.contains(&name.as_str()) {
        return Some(format!("volume {name}: task pods have a volume of this name; give yours another"));
    }
    let remedy = "use a configMap, secret, emptyDir, projected, downwardAPI, persistentVolumeClaim or ephemeral volume";
    let Ok(Value::Object(sources)) = serde_json::to_value(volume) else {
        return Some(format!("volume {name}: failed to read it; {remedy}"));
    };
    let other = sources.keys().find(|key| *key != "name" && !HARMLESS_VOLUMES.contains(&key.as_str()));
    if let Some(kind) = other {
        return Some(format!("volume {name}: {kind} is not taken over; {remedy}"));
    }
    let projections = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let identity = projections.filter_map(|source| serde_json::to_value(source).ok()).find_map(|source| {
        let kinds = source.as_object()?.keys().find(|kind| !HARMLESS_VOLUMES.contains(&kind.as_str()))?;
        Some(kinds.clone())
    });
    identity.map(|kind| {
        format!("volume {name}: a projected {kind} is not taken over; project configMap, secret or downwardAPI only")
    })
}

fn mount_problem(mount: &VolumeMount) -> Option<String> {
    let path = &mount.mount_path;
    let says = |why: &str| Some(format!("container agent: volumeMounts {path}: {why}"));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if !path.starts_with('/') || parts.contains(&"..") {
        return says("mount at an absolute path without '..'");
    }
    for ours in volumes::PATHS {
        let reserved: Vec<&str> = ours.split('/').filter(|part| !part.is_empty()).collect();
        if parts.starts_with(&reserved) || reserved.starts_with(&parts) {
            return says(&format!("{ours} is the task pod's own; mount elsewhere"));
        }
    }
    match mount.mount_propagation.as_deref() {
        None | Some("None") => None,
        Some(_) => says("mountPropagation is not taken over; remove it"),
    }
}
