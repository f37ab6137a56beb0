//! PURE. What the status says of a check that an outside system runs.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::{
    api::{AgentTaskSpec, AgentTaskStatus},
    ci,
    machine::task::{Answer, External},
};

/// The outside system, and what it answered; none if the task is not its.
pub(super) fn fact(spec: &AgentTaskSpec, status: &AgentTaskStatus) -> Option<External> {
    let external = spec.check.as_ref()?.external.as_ref()?;
    let delivery = status.delivery.as_ref().filter(|delivery| delivery.stamp == ci::stamp());
    let answer = delivery.and_then(|delivery| {
        let said = delivery.external.as_ref()?;
        Some(Answer {
            outcome: said.outcome,
            exit_code: delivery.exit_code,
            message: delivery.message.clone(),
            url: said.url.clone(),
        })
    });
    Some(External { system: ci::system(external).to_owned(), answer })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::AgentTask;

    fn task(check: &Value, delivery: &Value) -> AgentTask {
        serde_json::from_value(json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask", "metadata": {"name": "p.r1-1.ci"},
            "spec": {"role": "Check", "repository": "r", "task": "ci", "timeout": "1h", "maxRuns": 2,
                "check": check, "pod": {"image": ""}},
            "status": {"state": "Running", "run": 1, "delivery": delivery},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::of_the_outside_system_counts(json!({"run": 1, "podUID": ""}), json!({"outcome": "Passed", "key": "k"}), true)]
    #[case::of_a_pod_does_not(json!({"run": 1, "podUID": "pod-1"}), json!({"outcome": "Passed", "key": "k"}), false)]
    #[case::of_another_run_does_not(json!({"run": 2, "podUID": ""}), json!({"outcome": "Passed", "key": "k"}), false)]
    #[case::that_is_a_pods_delivery_does_not(json!({"run": 1, "podUID": ""}), Value::Null, false)]
    fn an_answer(#[case] stamp: Value, #[case] external: Value, #[case] counts: bool) {
        let check = json!({"name": "ci", "external": {"system": "GitLab"}});
        let task = task(&check, &json!({"stamp": stamp, "exitCode": 0, "external": external}));
        let fact = fact(&task.spec, &task.status.unwrap()).unwrap();
        assert_eq!((fact.system.as_str(), fact.answer.is_some()), ("GitLab", counts));
    }

    #[test]
    fn a_check_of_our_own_pods_is_not_answered_from_outside() {
        let delivery =
            json!({"stamp": {"run": 1, "podUID": ""}, "external": {"outcome": "Passed", "key": "k"}, "exitCode": 0});
        let task = task(&json!({"name": "ci", "image": "i", "script": "make"}), &delivery);
        assert_eq!(fact(&task.spec, &task.status.unwrap()), None);
    }

    #[test]
    fn a_system_without_a_name_is_called_something() {
        let task = task(&json!({"name": "ci", "external": {}}), &Value::Null);
        assert_eq!(fact(&task.spec, &task.status.unwrap()).unwrap().system, "the outside system");
    }
}
