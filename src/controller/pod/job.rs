//! The Job of one run, and the pod's frame: names, labels, deadlines, identity, security.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

use super::{
    GRACE_SECONDS, KEEP_SECONDS, MAIN, MANAGED_BY, MARGIN_SECONDS, PHASE, PodConfig, ROLE, RUN, TASK, containers,
    volumes,
};
use crate::api::{AgentTask, agent_task::Role};

/// User, group and file system group of every container.
const USER: i64 = 65532;
/// Longest name of a Job: its name is a label value of its pods.
const MAX_NAME: usize = 63;

/// The Job of this run of the task. The same task and run always give the same Job.
///
/// - `backoffLimit` 0 and no replacement before the pod has ended: a run has one pod.
/// - No deadline of the Job, which would delete the pod and with it what is known of its end; the
///   pod has one.
pub fn job(task: &AgentTask, run: i32, config: &PodConfig) -> Job {
    let labels = labels(task, run);
    let annotations = BTreeMap::from([(TASK.to_owned(), task.name_any())]);
    let mut pod_annotations = annotations.clone();
    pod_annotations.insert("kubectl.kubernetes.io/default-container".to_owned(), MAIN.to_owned());
    // Queueing systems read the Job's labels; ours win.
    let mut job_labels = task.spec.pod.labels.clone();
    job_labels.extend(labels.clone());
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(&task.name_any(), &task.uid().unwrap_or_default(), run)),
            namespace: task.namespace(),
            labels: Some(job_labels),
            annotations: Some(annotations),
            owner_references: Some(task.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            pod_replacement_policy: Some("Failed".to_owned()),
            ttl_seconds_after_finished: Some(KEEP_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(pod_annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(task, run, config)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod(task: &AgentTask, run: i32, config: &PodConfig) -> PodSpec {
    let frame = PodSpec {
        restart_policy: Some("Never".to_owned()),
        active_deadline_seconds: Some(i64::from(task.spec.timeout.as_secs()) + i64::from(MARGIN_SECONDS)),
        termination_grace_period_seconds: Some(i64::from(GRACE_SECONDS)),
        service_account_name: Some(config.service_account.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security_context()),
        volumes: Some(volumes::volumes(task)),
        ..PodSpec::default()
    };
    match task.spec.role {
        Role::Sync => PodSpec { containers: vec![containers::sync(task, run, config)], ..frame },
        Role::Developer | Role::Check | Role::Reviewer => {
            let profile = &task.spec.pod;
            let mut init = vec![containers::prepare(task, run, config)];
            init.extend(containers::services(task));
            init.push(containers::companion(task, run, config));
            let secrets =
                profile.image_pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() });
            PodSpec {
                init_containers: Some(init),
                containers: vec![containers::main(task)],
                image_pull_secrets: some(secrets.collect()),
                node_selector: Some(profile.node_selector.clone()).filter(|selector| !selector.is_empty()),
                tolerations: some(profile.tolerations.clone()),
                affinity: profile.affinity.clone(),
                priority_class_name: profile.priority_class_name.clone(),
                runtime_class_name: profile.runtime_class_name.clone(),
                ..frame
            }
        }
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// The Pod Security level "restricted" (design §6).
fn security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// Name of the Job: the task's name as far as it fits, the beginning of its UID, and the run. The
/// UID keeps the Jobs of a deleted task of the same name apart.
pub fn job_name(task: &str, uid: &str, run: i32) -> String {
    let tail = format!("-{}-{run}", uid.chars().take(8).collect::<String>());
    let head: String = task.replace('.', "-").chars().take(MAX_NAME.saturating_sub(tail.len())).collect();
    format!("{}{tail}", head.trim_end_matches('-'))
}

fn labels(task: &AgentTask, run: i32) -> BTreeMap<String, String> {
    let role = match task.spec.role {
        Role::Developer => "developer",
        Role::Check => "check",
        Role::Reviewer => "reviewer",
        Role::Sync => "sync",
    };
    let mut labels = BTreeMap::from([
        (MANAGED_BY.to_owned(), "phasegate".to_owned()),
        (TASK.to_owned(), label_value(&task.name_any())),
        (ROLE.to_owned(), role.to_owned()),
        (RUN.to_owned(), run.to_string()),
    ]);
    if let Some(phase) = &task.spec.phase {
        labels.insert(PHASE.to_owned(), label_value(&phase.name));
    }
    labels
}

/// A name as a label value: cut, with a hash of the whole, if it is longer than 63 characters.
fn label_value(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    let head: String = name.chars().take(54).collect();
    format!("{head}-{}", hash.get(..8).unwrap_or_default())
}

/// Name of the AgentTask that a Job or pod was made for.
pub fn task_of(made: &ObjectMeta) -> Option<&str> {
    made.annotations.as_ref()?.get(TASK).map(String::as_str)
}

/// The run that a Job or pod was made for.
pub fn run_of(made: &ObjectMeta) -> Option<i32> {
    made.labels.as_ref()?.get(RUN)?.parse().ok()
}
