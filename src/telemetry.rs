//! Logging set-up: JSON lines on standard error, one correlation id per phase attempt (design §13).

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. `PHASEGATE_LOG` takes a filter such as `debug` or `phasegate=debug,kube=warn`.
pub fn init() {
    let filter =
        EnvFilter::try_from_env("PHASEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info,kube_client=warn,rmcp=warn"));
    let started = fmt().json().flatten_event(true).with_writer(std::io::stderr).with_env_filter(filter).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
