//! Configuration of the operator: command line flags, each with an environment variable.

use std::path::PathBuf;

use clap::Args;

/// Configuration of `phasegate operator`.
#[derive(Args, Clone, Debug)]
pub struct OperatorConfig {
    /// Namespace the operator runs in; its Lease lives there.
    #[arg(long, env = "PHASEGATE_NAMESPACE", default_value = "phasegate")]
    pub namespace: String,
    /// Name of this replica's pod: the holder identity of the Lease.
    #[arg(long, env = "PHASEGATE_POD_NAME", default_value = "phasegate-0")]
    pub pod_name: String,
    /// Address of the operator as task pods see it.
    #[arg(long, env = "PHASEGATE_OPERATOR_URL", default_value = "http://phasegate.phasegate.svc.cluster.local:4000")]
    pub operator_url: String,
    /// Address of the git service, for the operator and for task pods.
    #[arg(long, env = "PHASEGATE_GIT_URL", default_value = "http://phasegate-git.phasegate.svc.cluster.local:8080")]
    pub git_url: String,
    /// File with the token (audience `phasegate-git`) that the operator shows to the git service.
    #[arg(long, env = "PHASEGATE_GIT_TOKEN_FILE", default_value = "/var/run/secrets/phasegate/token")]
    pub git_token_file: PathBuf,
    /// File with the hashes of API keys for outside systems (docs/external-checks.md); no key is good unless set.
    #[arg(long, env = "PHASEGATE_API_KEYS_FILE")]
    pub api_keys_file: Option<PathBuf>,
    /// Image of `prepare` and `companion`.
    #[arg(long, env = "PHASEGATE_RUNNER_IMAGE", default_value = "phasegate:dev")]
    pub runner_image: String,
    /// Pull policy of that image.
    #[arg(long, env = "PHASEGATE_RUNNER_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub runner_image_pull_policy: String,
    /// Service account of task pods. It has no rights.
    #[arg(long, env = "PHASEGATE_TASK_SERVICE_ACCOUNT", default_value = "phasegate-task")]
    pub task_service_account: String,
    /// Name of the Lease by which replicas elect their leader.
    #[arg(long, env = "PHASEGATE_LEASE_NAME", default_value = "phasegate-leader")]
    pub lease_name: String,
    /// Seconds after which another replica may take over a Lease that was not renewed.
    #[arg(long, env = "PHASEGATE_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(3..=300))]
    pub lease_seconds: u32,
    /// Address of the runner API (and MCP).
    #[arg(long, env = "PHASEGATE_LISTEN", default_value = "0.0.0.0:4000")]
    pub listen: std::net::SocketAddr,
    /// Address of metrics and probes.
    #[arg(long, env = "PHASEGATE_METRICS_LISTEN", default_value = "0.0.0.0:8081")]
    pub metrics_listen: std::net::SocketAddr,
    /// Reconciliations of one kind that run at the same time.
    #[arg(long, env = "PHASEGATE_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Seconds that a container may wait for an image or a valid configuration before its run ends as never started.
    #[arg(long, env = "PHASEGATE_START_DEADLINE_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(10..=3600))]
    pub start_deadline_seconds: u32,
    /// Seconds between two saves of a developer's work in progress.
    #[arg(long, env = "PHASEGATE_SAVE_SECONDS", default_value_t = crate::runner::SAVE_SECONDS, value_parser = clap::value_parser!(u32).range(10..=3600))]
    pub save_seconds: u32,
}
