//! The writes of a reconciliation. Each can be repeated: names are deterministic, and a Job that is
//! there already is the one that was meant.

use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};

use super::facts::is_controlled_by;
use crate::{
    api::AgentTask,
    controller::{
        Error,
        context::Context,
        pod::{PodConfig, job},
    },
    machine::task::Action,
};

/// How an action ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It is done.
    Yes,
    /// The API server refuses it, in its words. The same again would be refused again, until a
    /// person or the cluster changes something.
    Refused(String),
}

/// Does one action.
pub(super) async fn execute(task: &AgentTask, action: &Action, context: &Context) -> Result<Done, Error> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    match action {
        Action::CreateJob { run } => create(&api, task, &job(task, *run, &PodConfig::from(&context.config))).await,
        Action::DeleteJob { name } => delete(&api, task, name).await.map(|()| Done::Yes),
    }
}

async fn create(api: &Api<Job>, task: &AgentTask, job: &Job) -> Result<Done, Error> {
    match api.create(&PostParams::default(), job).await {
        Ok(_) => Ok(Done::Yes),
        Err(kube::Error::Api(refusal)) if refusal.reason == "AlreadyExists" => {
            let there = api.get_opt(&job.name_any()).await?;
            if there.is_none_or(|there| is_controlled_by(&there, &task.uid().unwrap_or_default())) {
                return Ok(Done::Yes);
            }
            Ok(Done::Refused("a Job of this name belongs to something else; delete it".to_owned()))
        }
        Err(kube::Error::Api(refusal)) if is_refusal(refusal.code) => Ok(Done::Refused(refusal.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Whether the answer is about the request, and not about the API server or who asks.
fn is_refusal(code: u16) -> bool {
    matches!(code, 400 | 403 | 404 | 409 | 413 | 422)
}

/// Deletes the Job and, by garbage collection, its pod: this Job of this task and no other.
async fn delete(api: &Api<Job>, task: &AgentTask, name: &str) -> Result<(), Error> {
    let Some(there) = api.get_opt(name).await? else { return Ok(()) };
    if !is_controlled_by(&there, &task.uid().unwrap_or_default()) {
        return Ok(());
    }
    let preconditions = Some(Preconditions { uid: there.uid(), resource_version: None });
    let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
