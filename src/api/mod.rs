//! The five kinds of `phasegate.dev/v1alpha1`: serde, schema and CEL (design §4).
//!
//! No behaviour, client or clock belongs here: what a value means is decided in `machine` and
//! `review`, and done in `controller`.

#![expect(unreachable_pub, reason = "the KubeSchema derive repeats each struct inside a private scope")]
#![expect(clippy::duplicated_attributes, reason = "each printer column repeats its keys")]

pub mod agent_task;
pub mod check;
pub mod common;
pub mod conflict;
pub mod decision;
pub mod evidence;
pub mod phase;
pub mod repository;
pub mod review_result;

pub use agent_task::{AgentTask, AgentTaskSpec, AgentTaskStatus};
pub use check::*;
pub use common::*;
pub use conflict::*;
pub use decision::{Decision, DecisionSpec};
pub use evidence::*;
pub use phase::{Phase, PhaseSpec, PhaseStatus};
pub use repository::{Repository, RepositorySpec, RepositoryStatus};
pub use review_result::{ReviewResult, ReviewResultSpec, ReviewResultStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

/// The CRDs of every kind, by file name, as they are checked in under `crds/`.
pub fn crds() -> Vec<(&'static str, CustomResourceDefinition)> {
    vec![
        ("agenttasks.yaml", with_status(AgentTask::crd())),
        ("decisions.yaml", Decision::crd()),
        ("phases.yaml", with_status(Phase::crd())),
        ("repositories.yaml", with_status(Repository::crd())),
        ("reviewresults.yaml", with_status(ReviewResult::crd())),
    ]
}

/// Gives every new object `status.observedGeneration: -1`, so that kstatus sees it as not yet
/// observed from its first moment, and conditions the limits of `metav1.Condition`.
fn with_status(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let status = crd.spec.versions.iter_mut().filter_map(|version| {
        version.schema.as_mut()?.open_api_v3_schema.as_mut()?.properties.as_mut()?.get_mut("status")
    });
    for schema in status {
        schema.nullable = None;
        schema.default = Some(JSON(serde_json::json!({ "observedGeneration": repository::unobserved() })));
        limit_conditions(schema);
    }
    crd
}

/// The derive knows the fields of a condition, but not the limits that Kubernetes documents for them.
fn limit_conditions(status: &mut JSONSchemaProps) {
    let conditions = status.properties.as_mut().and_then(|properties| properties.get_mut("conditions"));
    let Some(JSONSchemaPropsOrArray::Schema(condition)) = conditions.and_then(|list| list.items.as_mut()) else {
        return;
    };
    for (field, limit) in [("type", 316), ("reason", 1024), ("message", 32768)] {
        if let Some(text) = condition.properties.as_mut().and_then(|fields| fields.get_mut(field)) {
            text.max_length = Some(limit);
        }
    }
    if let Some(state) = condition.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
        state.enum_ = Some(["True", "False", "Unknown"].map(|value| JSON(value.into())).to_vec());
    }
}
