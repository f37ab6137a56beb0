//! Metrics of the operator (seed: Metrics Collection). States and scores are read from the caches
//! when they are asked for, so that they can never disagree with the objects, and a restart loses none.

mod phases;

use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::context::Stores;

/// The operator's metrics; a clone counts the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciliations: HistogramVec,
    errors: IntCounterVec,
    unreadable: IntCounterVec,
    leading: IntGauge,
    ci_requests: IntCounterVec,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let reconciliations = HistogramVec::new(
            HistogramOpts::new("phasegate_reconcile_duration_seconds", "Duration of reconciliations, in seconds.")
                .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0]),
            &["kind"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "phasegate_reconcile_errors_total",
                "Reconciliations that ended in an error and are tried again.",
            ),
            &["kind"],
        )?;
        let unreadable = IntCounterVec::new(
            Opts::new(
                "phasegate_unreadable_objects_total",
                "Objects seen that do not fit their kind; each is left out until it does, the log names it.",
            ),
            &["kind"],
        )?;
        let leading = IntGauge::new("phasegate_leader", "1 on the replica that leads, else 0.")?;
        let ci_requests = IntCounterVec::new(
            Opts::new(
                "phasegate_ci_requests_total",
                "Requests of outside systems for external checks, by status code.",
            ),
            &["call", "code"],
        )?;
        let registry = Registry::new();
        registry.register(Box::new(ci_requests.clone()))?;
        registry.register(Box::new(reconciliations.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(unreadable.clone()))?;
        registry.register(Box::new(leading.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, reconciliations, errors, unreadable, leading, ci_requests })
    }

    /// One reconciliation took this long.
    pub fn reconciled(&self, kind: &str, seconds: f64) {
        self.reconciliations.with_label_values(&[kind]).observe(seconds);
    }

    /// One reconciliation ended in an error.
    pub fn failed(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    /// An object does not fit its kind.
    pub fn unreadable(&self, kind: &str) {
        self.unreadable.with_label_values(&[kind]).inc();
    }

    /// Whether this replica leads.
    pub fn lead(&self, leads: bool) {
        self.leading.set(leads.into());
    }

    /// The counter of requests for external checks: by `call` (list, answer) and `code`.
    pub fn ci_requests(&self) -> IntCounterVec {
        self.ci_requests.clone()
    }

    /// All of them in the Prometheus text format.
    ///
    /// # Errors
    /// If a metric cannot be encoded.
    pub fn render(&self, stores: &Stores) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(phases::series(&stores.phases.state(), &stores.reviews.state())?.gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}
