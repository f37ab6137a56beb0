//! PURE. Which objects have to be looked at again when one has changed or gone (design §10).

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodTemplate},
};
use kube::{Resource, ResourceExt, api::ObjectMeta};

use super::pod::task_of;
use crate::api::{AgentTask, Decision, Phase, Repository, ReviewResult, phase::PhaseState};

/// An object to look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wake {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Kinds that are reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Repository.
    Repository,
    /// A Phase.
    Phase,
    /// An AgentTask.
    AgentTask,
    /// A ReviewResult.
    ReviewResult,
}

fn wake(kind: Kind, namespace: Option<String>, name: &str) -> Wake {
    Wake { kind, namespace: namespace.unwrap_or_default(), name: name.to_owned() }
}

/// Owners of ours of an object.
fn owners(meta: &ObjectMeta) -> impl Iterator<Item = Wake> + '_ {
    let namespace = meta.namespace.clone();
    meta.owner_references.iter().flatten().filter_map(move |owner| {
        let kind = match owner.kind.as_str() {
            "Phase" => Kind::Phase,
            "Repository" => Kind::Repository,
            "AgentTask" => Kind::AgentTask,
            _ => return None,
        };
        owner.api_version.starts_with(crate::api::GROUP).then(|| wake(kind, namespace.clone(), &owner.name))
    })
}

/// A Repository wakes itself and its phases that are not at their end.
pub fn of_repository(repository: &Repository, phases: &[std::sync::Arc<Phase>]) -> Vec<Wake> {
    let mine = phases.iter().filter(|phase| {
        phase.namespace() == repository.namespace() && phase.spec.repository_ref.name == repository.name_any()
    });
    let phases =
        mine.filter(|phase| !is_over(phase)).map(|phase| wake(Kind::Phase, phase.namespace(), &phase.name_any()));
    std::iter::once(wake(Kind::Repository, repository.namespace(), &repository.name_any())).chain(phases).collect()
}

/// A Phase wakes itself, those that wait for it or for its turn or number (or, to be rolled back, for its end), its tasks (suspension),
/// and its Repository, whose head moves with it.
pub fn of_phase(phase: &Phase, phases: &[std::sync::Arc<Phase>], tasks: &[std::sync::Arc<AgentTask>]) -> Vec<Wake> {
    let (namespace, name) = (phase.namespace(), phase.name_any());
    let mut wakes = vec![wake(Kind::Phase, namespace.clone(), &name)];
    let waits = |other: &&std::sync::Arc<Phase>| {
        let same_repository = other.spec.repository_ref == phase.spec.repository_ref;
        other.namespace() == namespace
            && other.name_any() != name
            && !is_over(other)
            && (other.spec.depends_on.contains(&name)
                || same_repository
                || phase.spec.depends_on.contains(&other.name_any()))
    };
    wakes.extend(phases.iter().filter(waits).map(|other| wake(Kind::Phase, other.namespace(), &other.name_any())));
    let mine = tasks.iter().filter(|task| {
        task.namespace() == namespace
            && task.spec.phase.as_ref().is_some_and(|link| link.name == name)
            && !is_ended(task)
    });
    wakes.extend(mine.map(|task| wake(Kind::AgentTask, task.namespace(), &task.name_any())));
    if state(phase) == PhaseState::Passed {
        wakes.push(wake(Kind::Repository, namespace, &phase.spec.repository_ref.name));
    }
    wakes
}

/// An AgentTask wakes itself and its owner.
pub fn of_task(task: &AgentTask) -> Vec<Wake> {
    let own = wake(Kind::AgentTask, task.namespace(), &task.name_any());
    std::iter::once(own).chain(owners(task.meta())).collect()
}

/// A ReviewResult wakes itself and its Phase.
pub fn of_review(review: &ReviewResult) -> Vec<Wake> {
    let own = wake(Kind::ReviewResult, review.namespace(), &review.name_any());
    std::iter::once(own).chain(owners(review.meta())).collect()
}

/// A Decision wakes its Phase.
pub fn of_decision(decision: &Decision) -> Vec<Wake> {
    vec![wake(Kind::Phase, decision.namespace(), &decision.spec.phase)]
}

/// A Job wakes its AgentTask.
pub fn of_job(job: &Job) -> Vec<Wake> {
    owners(job.meta()).collect()
}

/// A pod wakes the AgentTask of its Job.
pub fn of_pod(pod: &Pod) -> Vec<Wake> {
    task_of(pod.meta()).map(|task| wake(Kind::AgentTask, pod.namespace(), task)).into_iter().collect()
}

/// A PodTemplate wakes the phases of its namespace that are not at their end.
pub fn of_pod_template(template: &PodTemplate, phases: &[std::sync::Arc<Phase>]) -> Vec<Wake> {
    let near = phases.iter().filter(|phase| phase.namespace() == template.namespace() && !is_over(phase));
    near.map(|phase| wake(Kind::Phase, phase.namespace(), &phase.name_any())).collect()
}

fn state(phase: &Phase) -> PhaseState {
    phase.status.as_ref().map(|status| status.state).unwrap_or_default()
}

fn is_over(phase: &Phase) -> bool {
    matches!(state(phase), PhaseState::Passed | PhaseState::Failed)
}

fn is_ended(task: &AgentTask) -> bool {
    use crate::api::agent_task::TaskState;
    task.status.as_ref().is_some_and(|status| matches!(status.state, TaskState::Succeeded | TaskState::Failed))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn phase(name: &str, repository: &str, depends_on: &[&str], state: &str) -> Arc<Phase> {
        let phase = json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "metadata": {"name": name, "namespace": "n"},
            "spec": {"repositoryRef": {"name": repository}, "number": 1, "version": "1", "dependsOn": depends_on,
                "tasks": [{"name": "t", "description": "d"}]},
            "status": {"state": state},
        });
        Arc::new(serde_json::from_value(phase).unwrap())
    }

    fn names(wakes: &[Wake]) -> Vec<(Kind, &str)> {
        let mut names: Vec<_> = wakes.iter().map(|wake| (wake.kind, wake.name.as_str())).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_phase_wakes_those_that_depend_on_it_share_its_repository_and_its_repository_once_passed() {
        let me = phase("a", "r", &[], "Passed");
        let others = [
            me.clone(),
            phase("dependant", "other", &["a"], "Pending"),
            phase("sibling", "r", &[], "Reviewing"),
            phase("stranger", "other", &[], "Pending"),
            phase("over", "r", &["a"], "Passed"),
        ];
        assert_eq!(
            names(&of_phase(&me, &others, &[])),
            [(Kind::Repository, "r"), (Kind::Phase, "a"), (Kind::Phase, "dependant"), (Kind::Phase, "sibling")]
        );
    }

    #[test]
    fn a_task_wakes_its_owner_of_ours_and_no_other() {
        let task: AgentTask = serde_json::from_value(json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
            "metadata": {"name": "t", "namespace": "n", "ownerReferences": [
                {"apiVersion": "phasegate.dev/v1alpha1", "kind": "Phase", "name": "p", "uid": "1"},
                {"apiVersion": "example.com/v1", "kind": "Phase", "name": "x", "uid": "2"},
            ]},
            "spec": {"role": "Developer", "repository": "r", "task": "t", "pod": {"image": "i"}, "timeout": "1h", "maxRuns": 1},
        }))
        .unwrap();
        assert_eq!(names(&of_task(&task)), [(Kind::Phase, "p"), (Kind::AgentTask, "t")]);
    }
}
