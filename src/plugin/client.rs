//! The cluster as the person sees it: reads, and the one write, a Decision. No rendering here.

use futures::TryStreamExt;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    runtime::watcher,
};
use rand::RngExt;

use super::{args::Target, reading};
use crate::api::{Decision, DecisionSpec, Phase, Repository, ReviewResult};

/// What can go wrong between a person and the cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to start: {0}")]
    Runtime(std::io::Error),
    #[error("failed to read the kubeconfig: {0}; name it with --kubeconfig and the context with --context")]
    Config(Box<KubeconfigError>),
    #[error("failed to {what}: {}", reason(source))]
    Api { what: String, source: Box<kube::Error> },
    #[error("there is no phase {name} in namespace {namespace}{known}")]
    NoPhase { name: String, namespace: String, known: String },
    #[error("{0}")]
    Refused(#[from] super::decide::Refused),
    #[error("{0}")]
    Said(String),
    #[error("failed to write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// The API server's own words, without the decoration of the client library.
fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        let message = status.message.trim();
        return match status.code {
            403 => format!("{message}; ask for the right, or act as somebody who has it"),
            404 => format!("{message}; is phasegate installed here? (helm list -A)"),
            _ => message.to_owned(),
        };
    }
    error.to_string()
}

pub(crate) fn api_error(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |source| Error::Api { what, source: Box::new(source) }
}

/// One namespace of one cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// Flags that name the same cluster and namespace again.
    pub flags: String,
}

impl Cluster {
    /// Connects as kubectl would with the same flags.
    ///
    /// # Errors
    /// When there is no usable kubeconfig.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Error> {
        let config = config(target).await.map_err(|error| Error::Config(Box::new(error)))?;
        let own = config.default_namespace.clone();
        let namespace = target.namespace.clone().unwrap_or_else(|| own.clone());
        let client = Client::try_from(config).map_err(api_error("connect"))?;
        let mut flags = Vec::new();
        flags.extend(target.kubeconfig.as_ref().map(|file| format!("--kubeconfig {}", file.display())));
        flags.extend(target.context.as_ref().map(|context| format!("--context {context}")));
        flags.extend((namespace != own).then(|| format!("-n {namespace}")));
        Ok(Self { client, namespace, flags: flags.join(" ") })
    }

    fn phases(&self) -> Api<Phase> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The phase of this name.
    ///
    /// # Errors
    /// When there is none, naming those that are; or when the API server does not answer.
    pub(crate) async fn phase(&self, name: &str) -> Result<Phase, Error> {
        if let Some(phase) = self.phases().get_opt(name).await.map_err(api_error(format!("read phase {name}")))? {
            return Ok(phase);
        }
        let others = self.list(false).await?;
        let names: Vec<_> = others.iter().map(reading::name).collect();
        let known = if names.is_empty() {
            ": it has none; name another with -n".to_owned()
        } else {
            format!(": it has {}", names.join(", "))
        };
        Err(Error::NoPhase { name: name.to_owned(), namespace: self.namespace.clone(), known })
    }

    /// Phases, of this namespace or of all.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub(crate) async fn list(&self, everywhere: bool) -> Result<Vec<Phase>, Error> {
        let api = if everywhere { Api::all(self.client.clone()) } else { self.phases() };
        let list = api.list(&ListParams::default()).await.map_err(api_error("list phases"))?;
        Ok(list.items)
    }

    /// Every Decision of the namespace.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub(crate) async fn decisions(&self) -> Result<Vec<Decision>, Error> {
        let api: Api<Decision> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api.list(&ListParams::default()).await.map_err(api_error("list decisions"))?.items)
    }

    /// The Repository of this name, if it is there.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub(crate) async fn repository(&self, name: &str) -> Result<Option<Repository>, Error> {
        let api: Api<Repository> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt(name).await.map_err(api_error(format!("read repository {name}")))
    }

    /// The ReviewResult of this name, if it is there.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub(crate) async fn result(&self, name: &str) -> Result<Option<ReviewResult>, Error> {
        let api: Api<ReviewResult> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt(name).await.map_err(api_error(format!("read review result {name}")))
    }

    /// The last judged ReviewResult of a phase, if there is one.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub(crate) async fn last_result(&self, phase: &Phase) -> Result<Option<ReviewResult>, Error> {
        match phase.status.as_ref().and_then(reading::last_result) {
            Some(name) => self.result(name).await,
            None => Ok(None),
        }
    }

    /// The user name as the API server knows it: what `spec.user` of a Decision must say.
    ///
    /// # Errors
    /// When the API server does not answer or does not say.
    pub(crate) async fn whoami(&self) -> Result<String, Error> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let asked = SelfSubjectReview::default();
        let review = api.create(&PostParams::default(), &asked).await.map_err(api_error("ask who you are"))?;
        let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
        user.ok_or_else(|| Error::Said("failed to ask who you are: the API server names no user".to_owned()))
    }

    /// Writes a Decision and returns it as stored. The kind and phase name it; five random
    /// characters tell it from others.
    ///
    /// # Errors
    /// When the API server or an admission policy refuses it.
    pub(crate) async fn write(&self, spec: DecisionSpec) -> Result<Decision, Error> {
        let api: Api<Decision> = Api::namespaced(self.client.clone(), &self.namespace);
        let verb = format!("{:?}", spec.kind).to_lowercase();
        let decision = Decision::new(&format!("{}-{verb}-{}", spec.phase, random()), spec);
        api.create(&PostParams::default(), &decision)
            .await
            .map_err(api_error(format!("{verb} {}", decision.spec.phase)))
    }

    /// Every phase of the namespace, as it is now and as it changes.
    pub(crate) fn watch(&self) -> impl futures::Stream<Item = watcher::Result<watcher::Event<Phase>>> + use<> {
        watcher(self.phases(), watcher::Config::default())
    }

    /// Waits until the phase is as asked; returns it as it was then, or none if it was deleted.
    ///
    /// Never ends by itself otherwise: the caller bounds the time.
    pub(crate) async fn until(&self, phase: &str, asked: impl Fn(&Phase) -> bool) -> Option<Phase> {
        let stream = watcher::watch_object(self.phases(), phase);
        let used = |phase: &Option<Phase>| phase.as_ref().is_none_or(&asked);
        let mut stream = std::pin::pin!(stream.try_filter(|phase| std::future::ready(used(phase))));
        loop {
            match stream.try_next().await {
                Ok(phase) => return phase.flatten(),
                // The watcher goes on after an error.
                Err(error) => {
                    tracing::debug!(%error, "watch");
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            }
        }
    }
}

/// The kubeconfig as kubectl would read it with the same flags.
fn kubeconfig(target: &Target) -> Result<Kubeconfig, KubeconfigError> {
    target.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from)
}

/// How to connect, as kubectl would with the same flags.
pub(crate) async fn config(target: &Target) -> Result<Config, KubeconfigError> {
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig(target)?, &options).await
}

/// The context that these flags mean now, by its name.
pub(crate) fn context(target: &Target) -> Result<Option<String>, KubeconfigError> {
    if target.context.is_some() {
        return Ok(target.context.clone());
    }
    Ok(kubeconfig(target)?.current_context.filter(|name| !name.is_empty()))
}

/// Five characters that may end an object's name.
fn random() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}
