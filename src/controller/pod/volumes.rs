//! The volumes of a task pod and where they are mounted.
//!
//! `git` and `token` belong to our containers alone: the agent must reach neither the companion's
//! git folder nor its identity. Our containers have a `/tmp` of their own for the same reason.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};

use crate::api::{AgentTask, agent_task::Role};

/// The work tree.
pub(super) const WORKSPACE: (&str, &str) = ("workspace", "/workspace");
/// Our executable, for the main container.
pub(super) const TOOLS: (&str, &str) = ("tools", "/phasegate/bin");
/// What the agent is told.
pub(super) const BRIEF: (&str, &str) = ("brief", "/phasegate/brief");
/// What `step` records.
pub(super) const OUT: (&str, &str) = ("out", "/phasegate/out");
/// The git folder.
pub(super) const GIT: (&str, &str) = ("git", "/phasegate/git");
/// The agent's home.
pub(super) const HOME: (&str, &str) = ("home", "/phasegate/home");
/// Temporary files of the main container.
pub(super) const TMP: (&str, &str) = ("tmp", "/tmp");
/// Temporary files of our containers.
pub(super) const RUNNER_TMP: (&str, &str) = ("runner-tmp", "/tmp");
/// The pod's identity, as a file `token`.
pub(super) const TOKEN: (&str, &str) = ("token", "/var/run/secrets/phasegate");
/// The Secret that opens the upstream, in a Sync pod alone.
pub(super) const UPSTREAM: (&str, &str) = ("upstream", "/var/run/secrets/upstream");

/// Names that a profile's volumes must not have.
pub(super) const NAMES: [&str; 10] =
    [WORKSPACE.0, TOOLS.0, BRIEF.0, OUT.0, GIT.0, HOME.0, TMP.0, RUNNER_TMP.0, TOKEN.0, UPSTREAM.0];
/// Folders that a profile's mounts must not hide or enter.
pub(super) const PATHS: [&str; 3] = ["/phasegate", WORKSPACE.1, "/var/run/secrets"];

/// Audience of the token: it opens the runner API and nothing of Kubernetes.
const AUDIENCE: &str = "phasegate";
/// Seconds a token is good for; the kubelet renews it in time.
const TOKEN_SECONDS: i64 = 3600;

/// All volumes of the task's pod.
pub(super) fn volumes(task: &AgentTask) -> Vec<Volume> {
    let ours = match task.spec.role {
        Role::Sync => vec![GIT, RUNNER_TMP],
        Role::Developer | Role::Check | Role::Reviewer => {
            vec![WORKSPACE, TOOLS, BRIEF, OUT, GIT, HOME, TMP, RUNNER_TMP]
        }
    };
    let mut volumes: Vec<Volume> = ours.into_iter().map(|(name, _)| empty(name)).collect();
    volumes.push(token());
    match task.spec.role {
        Role::Sync => volumes.extend(credentials(task)),
        Role::Developer | Role::Check | Role::Reviewer => volumes.extend(task.spec.pod.volumes.clone()),
    }
    volumes
}

fn empty(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// The Secret of the upstream. One that is missing does not keep the pod from starting: the pod says what it lacks.
pub(super) fn credentials(task: &AgentTask) -> Option<Volume> {
    let secret = task.spec.upstream.as_ref()?.credentials_secret_ref.as_ref()?;
    let source = SecretVolumeSource {
        secret_name: Some(secret.name.clone()),
        optional: Some(true),
        // The pod's group reads it, which is ours.
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Some(Volume { name: UPSTREAM.0.to_owned(), secret: Some(source), ..Volume::default() })
}

fn token() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let source = VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
    let projected = ProjectedVolumeSource { sources: Some(vec![source]), ..ProjectedVolumeSource::default() };
    Volume { name: TOKEN.0.to_owned(), projected: Some(projected), ..Volume::default() }
}

/// Mounts a volume where it belongs.
pub(super) fn mount((name, path): (&str, &str)) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// Mounts a volume where it belongs, for reading only.
pub(super) fn mount_read_only(volume: (&str, &str)) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(volume) }
}
