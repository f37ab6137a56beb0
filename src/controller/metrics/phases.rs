//! What phases and their judgements look like in numbers: states, attempts, and scores by phase, attempt and category.
//!
//! Judgements are counted from the histories in the phases' statuses. A history keeps the newest 50 judgements and ends
//! with its phase: then a count falls, which Prometheus takes for a restart of the counter. Compare counts, or use
//! `delta`, rather than `rate`, over times in which phases were deleted.

use std::{collections::BTreeMap, sync::Arc};

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

use crate::api::{
    Phase, PhaseStatus, ReviewResult, ReviewResultStatus, common::Decimal, evidence::SeverityCounts,
    phase::JudgementRecord,
};

/// All series, computed from these objects.
pub(super) fn series(phases: &[Arc<Phase>], results: &[Arc<ReviewResult>]) -> Result<Registry, prometheus::Error> {
    let all = Series::new()?;
    let by_name: BTreeMap<(&str, &str), &ReviewResult> =
        results.iter().map(|result| ((namespace(&result.metadata), name(&result.metadata)), result.as_ref())).collect();
    for phase in phases {
        let who = Who { namespace: namespace(&phase.metadata), phase: name(&phase.metadata) };
        let Some(status) = &phase.status else {
            all.states(who, &PhaseStatus::default());
            continue;
        };
        all.states(who, status);
        all.history(who, &phase.spec.repository_ref.name, status);
        let last = status.history.last().and_then(|last| by_name.get(&(who.namespace, last.result.as_str())));
        if let Some(judged) = last.and_then(|result| result.status.as_ref()) {
            all.judged(who, judged);
        }
    }
    all.registry()
}

fn namespace(metadata: &kube::api::ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

fn name(metadata: &kube::api::ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// The phase that a series is of.
#[derive(Clone, Copy)]
struct Who<'a> {
    namespace: &'a str,
    phase: &'a str,
}

struct Series {
    state: IntGaugeVec,
    attempts: IntGaugeVec,
    score: GaugeVec,
    tasks: IntGaugeVec,
    categories: GaugeVec,
    attempt_score: GaugeVec,
    judgements: IntCounterVec,
    findings: IntGaugeVec,
    reviewers: GaugeVec,
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    GaugeVec::new(Opts::new(name, help), labels)
}

fn count(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

impl Series {
    fn new() -> Result<Self, prometheus::Error> {
        let phase = &["namespace", "phase"];
        Ok(Self {
            state: count("phasegate_phase_state", "1 for the state a phase is in.", &["namespace", "phase", "state"])?,
            attempts: count("phasegate_phase_attempts", "Attempts of a phase so far.", phase)?,
            score: gauge("phasegate_phase_score", "Weighted score of the last judgement of a phase, 0 to 10.", phase)?,
            tasks: count(
                "phasegate_phase_tasks",
                "Tasks of the current attempt of a phase by state.",
                &["namespace", "phase", "state"],
            )?,
            categories: gauge(
                "phasegate_phase_category_score",
                "Score of each category in the last judgement of a phase, 0 to 10; none without evidence.",
                &["namespace", "phase", "category"],
            )?,
            attempt_score: gauge(
                "phasegate_phase_attempt_score",
                "Weighted score of the last judgement of each attempt of a phase, 0 to 10.",
                &["namespace", "repository", "phase", "attempt"],
            )?,
            judgements: IntCounterVec::new(
                Opts::new(
                    "phasegate_judgements_total",
                    "Judgements in the histories of the phases that exist: at most the newest 50 of each.",
                ),
                &["namespace", "repository", "verdict", "failure_class"],
            )?,
            findings: count(
                "phasegate_phase_findings",
                "Findings of the last judgement of a phase by severity: charged, or known from the base.",
                &["namespace", "phase", "severity", "cost"],
            )?,
            reviewers: gauge(
                "phasegate_reviewer_score",
                "What a reviewer would give the last judged commit (by=itself), beside what its findings come to \
                 (by=findings), 0 to 10.",
                &["namespace", "phase", "reviewer", "shadow", "by"],
            )?,
        })
    }

    fn registry(self) -> Result<Registry, prometheus::Error> {
        let Self { state, attempts, score, tasks, categories, attempt_score, judgements, findings, reviewers } = self;
        let registry = Registry::new();
        let all: [Box<dyn Collector>; 9] = [
            Box::new(state),
            Box::new(attempts),
            Box::new(score),
            Box::new(tasks),
            Box::new(categories),
            Box::new(attempt_score),
            Box::new(judgements),
            Box::new(findings),
            Box::new(reviewers),
        ];
        for series in all {
            registry.register(series)?;
        }
        Ok(registry)
    }

    fn states(&self, who: Who<'_>, status: &PhaseStatus) {
        let Who { namespace, phase } = who;
        self.state.with_label_values(&[namespace, phase, &format!("{:?}", status.state)]).set(1);
        self.attempts.with_label_values(&[namespace, phase]).set(status.attempt.into());
        if let Ok(value) = status.summary.score.parse::<f64>() {
            self.score.with_label_values(&[namespace, phase]).set(value);
        }
        for task in &status.tasks {
            self.tasks.with_label_values(&[namespace, phase, &format!("{:?}", task.state)]).inc();
        }
    }

    fn history(&self, who: Who<'_>, repository: &str, status: &PhaseStatus) {
        let Who { namespace, phase } = who;
        for JudgementRecord { attempt, verdict, score, failure_class, .. } in &status.history {
            let class = failure_class.map(|class| format!("{class:?}")).unwrap_or_default();
            self.judgements.with_label_values(&[namespace, repository, &format!("{verdict:?}"), &class]).inc();
            // A later judgement of the same attempt takes the place of the one before.
            if let Ok(value) = score.parse::<f64>() {
                self.attempt_score.with_label_values(&[namespace, repository, phase, &attempt.to_string()]).set(value);
            }
        }
        for category in status.history.last().iter().flat_map(|last| &last.categories) {
            self.categories.with_label_values(&[namespace, phase, &category.name]).set(number(category.score));
        }
    }

    fn judged(&self, who: Who<'_>, judged: &ReviewResultStatus) {
        let Who { namespace, phase } = who;
        for (counts, cost) in [(judged.counts, "charged"), (judged.known, "known")] {
            let SeverityCounts { critical, major, minor, info } = counts.unwrap_or_default();
            let by_severity = [("Critical", critical), ("Major", major), ("Minor", minor), ("Info", info)];
            for (severity, count) in by_severity {
                self.findings.with_label_values(&[namespace, phase, severity, cost]).set(count.into());
            }
        }
        for reviewer in &judged.reviewers {
            let shadow = if reviewer.shadow { "true" } else { "false" };
            for (score, by) in [(reviewer.own, "itself"), (reviewer.ours, "findings")] {
                if let Some(score) = score {
                    let labels = [namespace, phase, &reviewer.name, shadow, by];
                    self.reviewers.with_label_values(&labels).set(number(score));
                }
            }
        }
    }
}

fn number(score: Decimal) -> f64 {
    f64::from(score.tenths()) / 10.0
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};
    use serde_json::{Value, json};

    use super::*;

    fn phase(name: &str, status: &Value) -> Arc<Phase> {
        let phase = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": {
                "repositoryRef": { "name": "alicia" }, "number": 1, "version": "1.0.0",
                "tasks": [{ "name": "broker", "description": "Set up the broker" }],
            },
            "status": status,
        });
        Arc::new(serde_json::from_value(phase).unwrap())
    }

    fn record(attempt: i32, number: i32, verdict: &str, score: &str, class: Option<&str>, security: &str) -> Value {
        json!({
            "attempt": attempt, "result": format!("alicia-1-r{attempt}-{number}"), "tree": "t", "gateHash": "g",
            "verdict": verdict, "score": score, "failureClass": class,
            "categories": [{ "name": "security", "score": security }, { "name": "documentation", "score": "10.0" }],
        })
    }

    fn judged_twice() -> Value {
        json!({
            "observedGeneration": 1, "state": "Passed", "attempt": 2,
            "summary": { "score": "9.91" },
            "tasks": [{ "name": "rework", "state": "Integrated" }],
            "history": [
                record(1, 1, "Inconclusive", "", Some("Inconclusive"), "4.0"),
                record(1, 2, "Fail", "9.01", Some("ReviewFailed"), "4.0"),
                record(2, 1, "Pass", "9.91", None, "9.7"),
            ],
        })
    }

    fn last_result() -> Arc<ReviewResult> {
        let result = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "ReviewResult",
            "metadata": { "name": "alicia-1-r2-1", "namespace": "shop" },
            "spec": {
                "phase": "alicia-1", "phaseUID": "u", "attempt": 2, "number": 1, "commit": "c", "tree": "t", "base": "b",
                "gateHash": "h", "rubric": { "passingScore": "9.0", "categories": [] }, "checks": [],
            },
            "status": {
                "observedGeneration": 1, "verdict": "Pass",
                "counts": { "minor": 1 }, "known": { "major": 2, "minor": 30 },
                "reviewers": [
                    { "name": "eyes", "own": "9.5", "ours": "9.7" }, { "name": "anna", "shadow": true, "ours": "4.0" },
                ],
            },
        });
        Arc::new(serde_json::from_value(result).unwrap())
    }

    fn rendered(phases: &[Arc<Phase>], results: &[Arc<ReviewResult>]) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&series(phases, results).unwrap().gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_series_is_rendered_from_the_objects_alone() {
        let waiting = phase("alicia-2", &json!({ "observedGeneration": 1, "state": "Pending" }));
        let phases = [phase("alicia-1", &judged_twice()), waiting];
        let text = rendered(&phases, &[last_result()]);
        assert_eq!(rendered(&phases, &[last_result()]), text, "a restart changes nothing");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_result_that_is_gone_leaves_the_history() {
        let text = rendered(&[phase("alicia-1", &judged_twice())], &[]);
        assert!(text.contains("phasegate_phase_category_score"));
        assert!(!text.contains("phasegate_reviewer_score"));
    }

    #[test]
    fn a_phase_without_a_status_is_pending() {
        let mut bare = Phase::clone(&phase("alicia-1", &json!({})));
        bare.status = None;
        let text = rendered(&[Arc::new(bare)], &[]);
        assert!(
            text.contains(r#"phasegate_phase_state{namespace="shop",phase="alicia-1",state="Pending"} 1"#),
            "{text}"
        );
    }
}
