//! Tokens and tasks, looked up in the Kubernetes API. The rules are in `auth`.
//!
//! Needs `create` on `tokenreviews` (authentication.k8s.io) and `get` on `agenttasks` (phasegate.dev), both cluster-wide.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};

use super::auth::{Identity, TaskFacts, TaskLookup, TokenReviewer};
use crate::api::agent_task::AgentTask;

/// How long an answer about a token is believed. A clone is several requests within a second or two.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Most tokens remembered at once.
const MOST_REMEMBERED: usize = 1_000;
/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Where the API server tells the pod of a bound token.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A token's digest, and its audience: tokens themselves are not kept.
type Key = ([u8; 32], &'static str);

/// Asks the API server whom a token belongs to.
pub struct KubeTokens {
    client: Client,
    known: Mutex<HashMap<Key, (Instant, Identity)>>,
}

impl KubeTokens {
    /// With this client's rights.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    fn recall(&self, key: &Key) -> Option<Identity> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(since, _)| since.elapsed() < REMEMBERED).map(|(_, identity)| identity.clone())
    }

    fn remember(&self, key: Key, identity: &Identity) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if known.len() < MOST_REMEMBERED {
            known.insert(key, (Instant::now(), identity.clone()));
        }
    }

    async fn ask(&self, token: &str, audience: &'static str) -> Result<Option<Identity>, String> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![audience.to_owned()]) },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let parameters = PostParams::default();
        let answer = within("review the token", api.create(&parameters, &review)).await?;
        Ok(identity(answer.status.unwrap_or_default(), audience))
    }
}

/// What a review says, if the token is good for this audience.
fn identity(status: TokenReviewStatus, audience: &str) -> Option<Identity> {
    let authenticated = status.authenticated == Some(true);
    let meant_for_us = status.audiences.unwrap_or_default().iter().any(|meant| meant == audience);
    if !authenticated || !meant_for_us {
        return None;
    }
    let user = status.user?;
    let pod_uid = user.extra.unwrap_or_default().remove(POD_UID).and_then(|mut uids| uids.pop());
    Some(Identity { username: user.username?, pod_uid })
}

impl TokenReviewer for KubeTokens {
    fn review<'a>(&'a self, token: &'a str, audience: &'static str) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        async move {
            let key = (Sha256::digest(token.as_bytes()).into(), audience);
            if let Some(identity) = self.recall(&key) {
                return Ok(Some(identity));
            }
            let found = self.ask(token, audience).await?;
            if let Some(identity) = &found {
                self.remember(key, identity);
            }
            Ok(found)
        }
        .boxed()
    }
}

/// Reads tasks from the API server, never from a cache: a submission closes a branch at once.
pub struct KubeTasks {
    client: Client,
}

impl KubeTasks {
    /// With this client's rights.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl TaskLookup for KubeTasks {
    fn task<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TaskFacts>, String>> {
        async move {
            // The name comes from the caller and becomes part of a URL.
            if super::names::RepositoryId::new(namespace, name).is_err() {
                return Ok(None);
            }
            let api: Api<AgentTask> = Api::namespaced(self.client.clone(), namespace);
            Ok(within("read the AgentTask", api.get_opt(name)).await?.as_ref().map(TaskFacts::of))
        }
        .boxed()
    }
}

async fn within<T>(action: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| {
            format!("failed to {action}: {error}; check the API server and the git service's ClusterRole")
        }),
        Err(_) => Err(format!("failed to {action}: the API server took longer than {} s", TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;

    use super::*;

    fn status(value: serde_json::Value) -> TokenReviewStatus {
        serde_json::from_value(value).unwrap()
    }

    #[rstest]
    #[case::good(serde_json::json!({"authenticated": true, "audiences": ["phasegate"],
        "user": {"username": "u", "extra": {POD_UID: ["p"]}}}), Some(("u", Some("p"))))]
    #[case::unbound(serde_json::json!({"authenticated": true, "audiences": ["phasegate"], "user": {"username": "u"}}),
        Some(("u", None)))]
    #[case::not_authenticated(serde_json::json!({"authenticated": false, "audiences": ["phasegate"],
        "user": {"username": "u"}}), None)]
    #[case::other_audience(serde_json::json!({"authenticated": true, "audiences": ["api"], "user": {"username": "u"}}), None)]
    #[case::no_audience(serde_json::json!({"authenticated": true, "user": {"username": "u"}}), None)]
    #[case::empty(serde_json::json!({}), None)]
    fn a_token_counts_only_for_its_audience(
        #[case] answer: serde_json::Value,
        #[case] expected: Option<(&str, Option<&str>)>,
    ) {
        let expected =
            expected.map(|(username, pod)| Identity { username: username.to_owned(), pod_uid: pod.map(str::to_owned) });
        assert_eq!(identity(status(answer), "phasegate"), expected);
    }

    #[tokio::test]
    async fn a_good_token_is_asked_about_once_and_a_bad_one_every_time() {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let body = request.into_body().collect_bytes().await.unwrap();
                let mut review: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let good = review["spec"]["token"] == "good";
                review["status"] = serde_json::json!({"authenticated": good, "audiences": review["spec"]["audiences"],
                    "user": {"username": "u"}});
                send.send_response(Response::new(Body::from(serde_json::to_vec(&review).unwrap())));
            }
        });
        let tokens = KubeTokens::new(Client::new(service, "default"));
        for _ in 0..3 {
            assert!(tokens.review("good", "phasegate").await.unwrap().is_some());
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(tokens.review("good", "phasegate-git").await.unwrap().is_some());
        for _ in 0..2 {
            assert!(tokens.review("bad", "phasegate").await.unwrap().is_none());
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 4);
    }
}
