//! The ReviewResult reconciler: judges the evidence once, with the pure function of `review`, and
//! writes the judgement. What follows from it is the Phase reconciler's.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use tracing::info;

use super::{
    Error,
    context::{Context, FIELD_MANAGER},
    status::{Written, write_status},
};
use crate::{
    api::{ReviewResult, ReviewResultStatus},
    machine::conditions::{Health, conditions},
    review::{evidence_digest, judge},
};

/// Judges a ReviewResult that has no verdict yet. A judgement is never made anew: it is a record.
///
/// # Errors
/// If the API server cannot be reached or refuses.
pub async fn reconcile(result: Arc<ReviewResult>, context: Arc<Context>) -> Result<Action, Error> {
    if result.metadata.deletion_timestamp.is_some() || context.own_writes.is_stale(result.as_ref()) {
        return Ok(Action::await_change());
    }
    if let Some(status) = judgement(&result, Timestamp::now()) {
        let written = write_status(&context, result.as_ref(), FIELD_MANAGER, &status).await?;
        if written == Written::Stored {
            info!(
                namespace = result.namespace(),
                name = result.name_any(),
                phase = result.spec.phase,
                attempt = result.spec.attempt,
                verdict = ?status.verdict,
                score = status.score,
                reason = status.reasons.first().map(|reason| reason.message.as_str()),
                "judged"
            );
        }
    }
    Ok(Action::await_change())
}

/// The status to write; none if there is a verdict already. Ready is True whatever the verdict: a
/// refusal is a finished record too.
fn judgement(result: &ReviewResult, now: Timestamp) -> Option<ReviewResultStatus> {
    let before = result.status.clone().unwrap_or_default();
    if before.verdict.is_some() {
        return None;
    }
    let status = judge(&result.spec);
    let generation = result.metadata.generation.unwrap_or_default();
    let reason = status.verdict.map(|verdict| format!("{verdict:?}")).unwrap_or_default();
    let message = status.reasons.first().map(|reason| reason.message.clone()).unwrap_or_default();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let conditions = conditions(&before.conditions, Health::Done, &reason, &message, generation, now);
    let evidence_digest = Some(evidence_digest(&result.spec));
    Some(ReviewResultStatus { observed_generation: generation, evidence_digest, conditions, ..status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::review_result::Verdict;

    fn result(outcome: &str) -> ReviewResult {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "ReviewResult",
            "metadata": {"name": "p-r1-1", "namespace": "n", "generation": 1},
            "spec": {
                "phase": "p", "phaseUID": "u", "attempt": 1, "number": 1,
                "commit": "c", "tree": "t", "base": "b", "gateHash": "h",
                "rubric": {
                    "passingScore": "9.0", "categories": [{"name": "functionality", "weight": 25, "floor": "8.0"}],
                },
                "checks": [{
                    "name": "test", "task": "p-test", "blocking": true, "categories": ["functionality"],
                    "outcome": outcome,
                }],
            },
            "status": {"observedGeneration": -1},
        }))
        .unwrap()
    }

    #[test]
    fn a_result_is_judged_once_and_finished_whatever_the_verdict() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (outcome, verdict) in
            [("Passed", Verdict::Pass), ("Failed", Verdict::Fail), ("NotStarted", Verdict::Inconclusive)]
        {
            let mut result = result(outcome);
            let status = judgement(&result, now).unwrap();
            assert_eq!((status.verdict, status.observed_generation), (Some(verdict), 1));
            assert_eq!(status.evidence_digest.as_deref(), Some(&*crate::review::evidence_digest(&result.spec)));
            let ready = &status.conditions[0];
            assert_eq!((ready.type_.as_str(), ready.status.as_str()), ("Ready", "True"));
            assert_eq!(ready.reason, format!("{verdict:?}"));
            result.status = Some(status);
            assert_eq!(judgement(&result, now), None, "judging again changes nothing");
        }
    }
}
