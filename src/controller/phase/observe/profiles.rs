//! The pods of agents: what the PodTemplates that a Repository names come to.

use std::collections::BTreeMap;

use kube::runtime::reflector::ObjectRef;

use crate::{
    api::{Repository, agent_task::AgentPod, repository::Agents},
    controller::{context::Context, pod},
    machine::preflight::ProfileFact,
};

/// The profiles of a Repository.
pub(super) struct Profiles {
    /// The developer's pod, if it can be used.
    pub(super) developer: Option<AgentPod>,
    /// The reviewers' pods that can be used, by PodTemplate.
    pub(super) reviewers: BTreeMap<String, AgentPod>,
    /// What is known of each: the field that names it, and how it stands.
    pub(super) facts: Vec<(String, ProfileFact)>,
}

pub(super) fn profiles(repository: Option<&Repository>, namespace: &str, context: &Context) -> Profiles {
    let none = Agents::default();
    let agents = repository.and_then(|repository| repository.spec.agents.as_ref()).unwrap_or(&none);
    let Agents { developer, reviewer, reviewers } = agents;
    let developer = developer.as_ref().map(|profile| profile.pod_template_ref.name.as_str());
    let (pod, fact) = profile(developer, namespace, context);
    let mut profiles = Profiles {
        developer: pod,
        reviewers: BTreeMap::new(),
        facts: vec![("spec.agents.developer".to_owned(), fact)],
    };
    let one = reviewer.iter().map(|profile| ("spec.agents.reviewer".to_owned(), &profile.pod_template_ref.name));
    let several = reviewers
        .iter()
        .map(|reviewer| (format!("spec.agents.reviewers[{}]", reviewer.name), &reviewer.pod_template_ref.name));
    for (field, template) in one.chain(several) {
        let (pod, fact) = profile(Some(template), namespace, context);
        profiles.reviewers.extend(pod.map(|pod| (template.clone(), pod)));
        profiles.facts.push((field, fact));
    }
    profiles
}

fn profile(template: Option<&str>, namespace: &str, context: &Context) -> (Option<AgentPod>, ProfileFact) {
    let Some(name) = template else { return (None, ProfileFact::Unnamed) };
    match context.stores.pod_templates.get(&ObjectRef::new(name).within(namespace)) {
        None => (None, ProfileFact::Missing(name.to_owned())),
        Some(found) => match pod::template(&found) {
            Ok(shape) => (Some(shape), ProfileFact::Usable),
            Err(problems) => (None, ProfileFact::Invalid(name.to_owned(), problems)),
        },
    }
}
