//! Whether Decisions can be believed: a forged one is tried in dry-run, and while it is accepted
//! all are refused (design §4). Their truth rests on an admission policy that may not be installed.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use tracing::error;

use super::{Error, context::Context};
use crate::api::{Decision, DecisionSpec, Phase, decision::DecisionType};

/// How long an answer holds. Policies can be removed while the operator runs.
const HOLDS: Duration = Duration::from_secs(60);

/// Remembers, per namespace, when a forged Decision was last refused.
#[derive(Debug, Default)]
pub struct Trust(Mutex<HashMap<String, Instant>>);

impl Trust {
    fn holds(&self, namespace: &str) -> bool {
        self.lock().get(namespace).is_some_and(|refused| refused.elapsed() < HOLDS)
    }

    fn refused(&self, namespace: &str) {
        self.lock().insert(namespace.to_owned(), Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether the Decisions of this phase can be believed. Asks only if there is one to act on.
///
/// # Errors
/// If the API server cannot be reached.
pub async fn trusted(phase: &Phase, context: &Context) -> Result<bool, Error> {
    let namespace = phase.namespace().unwrap_or_default();
    let used = phase.status.as_ref().map(|status| status.used_decisions.as_slice()).unwrap_or_default();
    let open = |decision: &Decision| {
        super::phase::speaks_of(decision, phase) && !decision.uid().is_some_and(|decision| used.contains(&decision))
    };
    if context.stores.decisions.find(open).is_none() || context.trust.holds(&namespace) {
        return Ok(true);
    }
    let api: Api<Decision> = Api::namespaced(context.client.clone(), &namespace);
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &forged(phase)).await {
        Ok(_) => {
            error!(
                namespace,
                "a forged Decision was accepted: the admission policy of the chart is missing; no Decision is acted on"
            );
            Ok(false)
        }
        Err(kube::Error::Api(refusal)) if is_policy_refusal(&refusal) => {
            context.trust.refused(&namespace);
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// Only the policy's own refusal proves it: an operator without the right to create Decisions is
/// refused too (by RBAC), and that says nothing about others.
fn is_policy_refusal(refusal: &kube::core::Status) -> bool {
    refusal.message.contains("ValidatingAdmissionPolicy") && matches!(refusal.code, 403 | 422)
}

fn forged(phase: &Phase) -> Decision {
    let metadata =
        ObjectMeta { generate_name: Some("forged-".to_owned()), namespace: phase.namespace(), ..ObjectMeta::default() };
    let spec = DecisionSpec {
        kind: DecisionType::Abort,
        phase: phase.name_any(),
        phase_uid: phase.uid().unwrap_or_default(),
        attempt: 0,
        commit: None,
        user: "phasegate:forged".to_owned(),
        answers: Vec::new(),
        attempts: None,
        findings: Vec::new(),
        criteria: Vec::new(),
        reason: String::new(),
        until: None,
        note: "dry run: must be refused".to_owned(),
    };
    Decision { metadata, spec }
}
