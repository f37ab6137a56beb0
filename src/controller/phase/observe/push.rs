//! What is seen of the push to the upstream.

use super::task_of;
use crate::{
    api::{
        AgentTask, Phase, PhaseStatus, Repository,
        agent_task::{PushOutcome, TaskState},
        phase::PhaseState,
        repository::Deliver,
    },
    controller::context::Context,
    machine::phase::PushFact,
};

/// A push that is recorded counts, whatever the Repository says by now: the upstream may have it.
pub(super) fn fact(
    phase: &Phase,
    status: &PhaseStatus,
    repository: Option<&Repository>,
    context: &Context,
) -> PushFact {
    if !matches!(status.state, PhaseState::Merging | PhaseState::RollingBack) {
        return PushFact::NotAsked;
    }
    let begun = status.push.as_ref().filter(|push| !push.task.is_empty());
    let task = begun.and_then(|push| task_of(phase, &push.task, context));
    let upstream = repository.and_then(|repository| repository.spec.upstream.as_ref());
    let deliver = upstream.map_or(Deliver::None, |upstream| upstream.deliver);
    match (task, deliver) {
        (Some(task), _) => of(&task),
        (None, Deliver::None) => PushFact::NotAsked,
        (None, Deliver::Branch | Deliver::Push) if begun.is_some() => PushFact::Recorded,
        (None, Deliver::Branch | Deliver::Push) => PushFact::Missing,
    }
}

fn of(task: &AgentTask) -> PushFact {
    let status = task.status.clone().unwrap_or_default();
    match status.state {
        TaskState::Pending if status.run == 0 => return PushFact::Waiting,
        // A run that was lost may have pushed before it could say so.
        TaskState::Pending | TaskState::Starting | TaskState::Running => return PushFact::Active,
        TaskState::Failed if status.run > 0 => {
            let words = "an earlier try may have got there all the same, which a Retry looks for first";
            return PushFact::Refused(format!("{}; {words}", status.message));
        }
        TaskState::Failed => return PushFact::Refused(status.message),
        TaskState::Succeeded => {}
    }
    match status.delivery.and_then(|delivery| delivery.push) {
        Some(answer) => match answer.outcome {
            PushOutcome::Pushed => PushFact::Pushed,
            PushOutcome::Moved => PushFact::Moved,
            PushOutcome::Refused => PushFact::Refused(answer.message),
        },
        None => PushFact::Refused("its Sync ended without saying what the upstream answered".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::not_begun(json!({}), PushFact::Waiting)]
    #[case::lost(json!({"state": "Pending", "run": 1}), PushFact::Active)]
    #[case::before_its_main_container(json!({"state": "Starting"}), PushFact::Active)]
    #[case::at_work(json!({"state": "Running"}), PushFact::Active)]
    #[case::done(json!({"state": "Succeeded", "delivery": {"outcome": "Pushed"}}), PushFact::Pushed)]
    #[case::moved(json!({"state": "Succeeded", "delivery": {"outcome": "Moved"}}), PushFact::Moved)]
    #[case::refused(json!({"state": "Succeeded", "delivery": {"outcome": "Refused", "message": "protected"}}), PushFact::Refused("protected".into()))]
    #[case::never_begun(json!({"state": "Failed", "message": "no route"}), PushFact::Refused("no route".into()))]
    #[case::not_known(
        json!({"state": "Failed", "run": 2, "message": "no route"}),
        PushFact::Refused("no route; an earlier try may have got there all the same, which a Retry looks for first".into())
    )]
    fn a_push_is_what_its_sync_says(#[case] mut status: Value, #[case] expected: PushFact) {
        if let Some(push) = status.get_mut("delivery").map(Value::take) {
            status["delivery"] = json!({"stamp": {"run": 1, "podUID": "u"}, "push": push});
        }
        let task = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask", "metadata": {"name": "p.push0.abc"},
            "spec": {"role": "Sync", "repository": "r", "task": "push", "pod": {"image": "i"}, "timeout": "1h", "maxRuns": 1},
            "status": status,
        });
        assert_eq!(of(&serde_json::from_value(task).unwrap()), expected);
    }
}
