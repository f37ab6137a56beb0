//! What the git service counts. Names and labels only; who asks for them is `server`.

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};

/// Counters of one git service.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    registry: Registry,
    /// Typed operations by name and outcome.
    pub(super) operations: HistogramVec,
    /// Requests of git clients by endpoint and outcome.
    pub(super) transfers: IntCounterVec,
    /// Upkeep of one repository, by outcome.
    pub(super) upkeep: HistogramVec,
    /// References of old reports and saved work that were removed.
    pub(super) pruned: IntCounter,
}

impl Metrics {
    /// Registers everything. Fails only if two metrics had one name.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let operations = HistogramVec::new(
            HistogramOpts::new("phasegate_git_operation_seconds", "Time of typed git operations.")
                .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0]),
            &["operation", "outcome"],
        )?;
        let transfers = IntCounterVec::new(
            Opts::new("phasegate_git_transfers_total", "Requests of git clients."),
            &["endpoint", "outcome"],
        )?;
        let upkeep = HistogramVec::new(
            HistogramOpts::new("phasegate_git_upkeep_seconds", "Time of collecting garbage in one repository.")
                .buckets(vec![0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0]),
            &["outcome"],
        )?;
        let pruned = IntCounter::new(
            "phasegate_git_pruned_references_total",
            "References of old reports and saved work that were removed.",
        )?;
        registry.register(Box::new(pruned.clone()))?;
        registry.register(Box::new(upkeep.clone()))?;
        registry.register(Box::new(operations.clone()))?;
        registry.register(Box::new(transfers.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self { registry, operations, transfers, upkeep, pruned })
    }

    /// The text format of Prometheus.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "failed to write the metrics");
        }
        text
    }
}
