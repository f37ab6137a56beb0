//! PURE. What the objects of Kubernetes say of a run: Job and pod to facts. What follows from a fact
//! is decided in `machine::task`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus},
};
use kube::{Resource, ResourceExt};

use crate::{
    api::agent_task::Delivery,
    controller::pod::MAIN,
    machine::task::{Blocked, DeliveryFact, JobFact, MainFact, PodFact},
};

/// The kubelet's reasons for a container that waits for an image or a valid configuration. A
/// sidecar that ends again and again holds the pod up like one that cannot start.
const BLOCKED: [&str; 11] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
    "RunContainerError",
    "SignatureValidationFailed",
];

/// Longest image ID that is kept, in characters: the limit of the API.
const MAX_IMAGE_ID: usize = 1024;

/// Whether `made` is controlled by the object with this UID.
pub(super) fn is_controlled_by(made: &impl Resource, uid: &str) -> bool {
    made.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether the Job controller says that the Job is over.
pub(super) fn is_finished(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|met| ["Complete", "Failed"].contains(&&*met.type_) && met.status == "True")
}

/// The facts of a Job and the pod that counts.
pub(super) fn job_fact(job: &Job, pod: Option<&Pod>, now: Timestamp) -> JobFact {
    JobFact {
        name: job.name_any(),
        created_at: job.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        deleting: job.metadata.deletion_timestamp.is_some(),
        suspended: job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true),
        finished: is_finished(job),
        pod: pod.map(pod_fact),
    }
}

/// The pod that counts: the pinned one, or, before one is pinned, the oldest that the Job controls.
///
/// An owner reference can be claimed by whoever makes a pod. The service account cannot: an admission policy lets only
/// the Job controller make pods that run as `account` (design §6).
pub(super) fn pick_pod<'a>(
    pods: impl Iterator<Item = &'a Pod>,
    job_uid: &str,
    account: &str,
    pinned: Option<&str>,
) -> Option<&'a Pod> {
    let runs_as = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()) == Some(account);
    pods.filter(|pod| is_controlled_by(*pod, job_uid) && runs_as(pod))
        .filter(|pod| pinned.is_none_or(|uid| pod.metadata.uid.as_deref() == Some(uid)))
        .min_by_key(|pod| (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.metadata.name.clone()))
}

/// The facts of a delivery.
pub(super) fn delivery_fact(delivery: &Delivery) -> DeliveryFact {
    DeliveryFact {
        commit: delivery.commit.clone(),
        changed: delivery.changed,
        refused: delivery.refused,
        timed_out: delivery.timed_out,
        heads: !delivery.heads.is_empty(),
        message: delivery.message.clone(),
    }
}

/// The facts of a pod.
pub(super) fn pod_fact(pod: &Pod) -> PodFact {
    let nothing = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let main = status.container_statuses.iter().flatten().find(|container| container.name == MAIN);
    let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let disruption = condition(status, "DisruptionTarget").filter(|met| met.status == "True");
    let evicted = status.reason.as_deref() == Some("Evicted") && disruption.is_none();
    PodFact {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        finished,
        deadline_exceeded: status.reason.as_deref() == Some("DeadlineExceeded"),
        overused: evicted.then(|| words("evicted", status.message.as_deref())),
        disrupted: disrupted(pod, disruption, main.and_then(terminated)),
        gone_by: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        unschedulable: condition(status, "PodScheduled")
            .filter(|met| met.status == "False")
            .map(|met| words(met.reason.as_deref().unwrap_or("Unschedulable"), met.message.as_deref())),
        blocked: statuses(status).find_map(blocked),
        creating_since: creating_since(status),
        failed_before: finished.then(|| failed_before(status)).flatten(),
        main: main.map_or(MainFact::Waiting, main_fact),
        image_id: main.and_then(image_id),
    }
}

fn statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|met| met.type_ == kind)
}

fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn words(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

/// Why the pod was ended from outside, unless its main container had ended before by itself.
///
/// Kubernetes keeps whole seconds: an end in the same second counts as caused.
fn disrupted(pod: &Pod, disruption: Option<&PodCondition>, main: Option<&ContainerStateTerminated>) -> Option<String> {
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let deleted = pod.metadata.deletion_timestamp.as_ref();
    let deleted = deleted.and_then(|time| time.0.checked_sub(SignedDuration::from_secs(grace)).ok());
    let (why, at) = match (disruption, deleted) {
        (Some(met), _) => {
            let why = words(met.reason.as_deref().unwrap_or("DisruptionTarget"), met.message.as_deref());
            (why, met.last_transition_time.as_ref().map(|time| time.0).or(deleted))
        }
        (None, Some(at)) => ("its pod was deleted while it worked".to_owned(), Some(at)),
        (None, None) => return None,
    };
    let ended = main.and_then(|main| main.finished_at.as_ref()).map(|time| time.0);
    let before = ended.zip(at).is_some_and(|(ended, at)| ended < at);
    (!before).then_some(why)
}

fn blocked(container: &ContainerStatus) -> Option<Blocked> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| BLOCKED.contains(reason))?;
    Some(Blocked {
        container: container.name.clone(),
        image: container.image.clone(),
        reason: reason.to_owned(),
        message: waiting.message.clone().unwrap_or_default(),
    })
}

fn creating_since(status: &PodStatus) -> Option<Timestamp> {
    let started = |container: &ContainerStatus| {
        container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    if statuses(status).any(started) {
        return None;
    }
    let scheduled = condition(status, "PodScheduled").filter(|met| met.status == "True")?;
    scheduled.last_transition_time.as_ref().map(|time| time.0)
}

fn failed_before(status: &PodStatus) -> Option<String> {
    let failed = status.init_container_statuses.iter().flatten().find_map(|container| {
        let end = terminated(container).filter(|end| end.exit_code != 0)?;
        let why = format!("container {} ended with exit code {}", container.name, end.exit_code);
        Some(words(&why, end.message.as_deref().or(end.reason.as_deref())))
    });
    let pod =
        status.reason.as_deref().map(|reason| words(&format!("its pod failed: {reason}"), status.message.as_deref()));
    failed.or(pod)
}

/// As the kubelet gives it: a name with a digest, or the digest of an image that no registry named.
fn image_id(container: &ContainerStatus) -> Option<String> {
    let id = container.image_id.trim();
    (!id.is_empty()).then(|| id.chars().take(MAX_IMAGE_ID).collect())
}

fn main_fact(container: &ContainerStatus) -> MainFact {
    let Some(state) = &container.state else { return MainFact::Waiting };
    let Some(end) = &state.terminated else {
        return if state.running.is_some() { MainFact::Running } else { MainFact::Waiting };
    };
    match end.reason.as_deref() {
        Some("OOMKilled") => MainFact::OutOfMemory(end.exit_code),
        Some(reason @ ("StartError" | "ContainerCannotRun")) => {
            MainFact::NotStarted(words(reason, end.message.as_deref()))
        }
        Some("ContainerStatusUnknown") => MainFact::Unknown,
        Some(_) | None => MainFact::Exited(end.exit_code),
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
