//! PURE. From an AgentTask to the Job of one of its runs, and from a PodTemplate to the part of it
//! that is taken over (design §6).
//!
//! `job` is the Job around the pod, `containers` and `volumes` are what is in the pod, `template`
//! reads profiles. Nothing here talks to anything; whether and when a Job is made is decided in
//! `machine::task`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod containers;
mod job;
mod template;
mod volumes;

#[cfg(test)]
mod tests;

pub use job::{job, job_name, run_of, task_of};
pub use template::template;

use super::config::OperatorConfig;

/// Label and annotation: the AgentTask. A label value has at most 63 characters, so a longer name is
/// cut there; the annotation has it in full.
pub const TASK: &str = "phasegate.dev/task";
/// Label: the Phase.
pub const PHASE: &str = "phasegate.dev/phase";
/// Label: the role, in lower case.
pub const ROLE: &str = "phasegate.dev/role";
/// Label: the run.
pub const RUN: &str = "phasegate.dev/run";
/// Label by which the operator finds what it made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The main container: the agent, the check or the mirroring.
pub const MAIN: &str = "agent";
/// The init container that clones and writes the brief.
pub const PREPARE: &str = "prepare";
/// The sidecar that serves MCP and delivers.
pub const COMPANION: &str = "companion";

/// Seconds between SIGTERM and SIGKILL of a pod. The companion delivers within them.
pub const GRACE_SECONDS: u32 = 60;
/// Seconds that `step` leaves its child between SIGTERM and SIGKILL: a quarter of the pod's, so
/// that the companion has the rest even when the pod is deleted.
pub const STEP_GRACE_SECONDS: u32 = GRACE_SECONDS / 4;
/// Seconds that a pod may take beyond its task's timeout: to pull, clone and deliver.
pub const MARGIN_SECONDS: u32 = 900;
/// Seconds that a finished Job is kept, so that people can read its logs.
pub const KEEP_SECONDS: i32 = 3600;

/// What the pods of all tasks have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodConfig {
    /// Image of `prepare`, `companion` and `sync`.
    pub runner_image: String,
    /// Its pull policy.
    pub runner_image_pull_policy: String,
    /// Address of the operator as pods see it.
    pub operator_url: String,
    /// Address of the git service as pods see it.
    pub git_url: String,
    /// Service account of the pods. It has no rights; its token says which task a pod is.
    pub service_account: String,
    /// Seconds between two saves of work in progress.
    pub save_seconds: u32,
}

impl From<&OperatorConfig> for PodConfig {
    fn from(config: &OperatorConfig) -> Self {
        Self {
            runner_image: config.runner_image.clone(),
            runner_image_pull_policy: config.runner_image_pull_policy.clone(),
            operator_url: config.operator_url.clone(),
            git_url: config.git_url.clone(),
            service_account: config.task_service_account.clone(),
            save_seconds: config.save_seconds,
        }
    }
}
