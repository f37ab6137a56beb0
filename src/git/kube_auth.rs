//! Tokens and tasks, looked up in the Kubernetes API. The rules are in `auth`.
//!
//! Anybody who reaches us can show us something: so nothing is asked about what cannot be a token for us, answers are
//! remembered, and only a few questions are under way at once. Whose signature it is, only the API server says.
//!
//! Needs `create` on `tokenreviews` (authentication.k8s.io), `get` and `list` on `agenttasks` (phasegate.dev), all cluster-wide.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    auth::{Identity, TaskFacts, TaskLookup, TokenReviewer},
    upkeep::TasksAtWork,
};
use crate::api::agent_task::AgentTask;

/// How long an answer about a token is believed. A clone is several requests within a second or two.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// How long a refusal is believed. Short: a token is refused until the API server has heard of its pod.
pub(super) const REFUSED: Duration = Duration::from_secs(2);
/// Most good tokens, and most refused ones, remembered at once.
const MOST_REMEMBERED: usize = 1_000;
/// Most reviews under way at once.
const MOST_REVIEWS: usize = 8;
/// Longest token that is asked about. Those of service accounts have one to two kilobytes.
pub(super) const MAX_TOKEN: usize = 8 << 10;
/// How long the API server may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Where the API server tells the pod of a bound token.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A token's digest, and its audience: tokens themselves are not kept.
pub(super) type Key = ([u8; 32], &'static str);

/// Asks the API server whom a token belongs to.
pub struct KubeTokens {
    client: Client,
    good: Memory<Identity>,
    // On its own: a flood of bad tokens must not crowd out the good ones.
    refused: Memory<()>,
    reviews: Semaphore,
    /// How long a review may wait for its turn.
    patience: Duration,
}

/// What was said of a token a moment ago.
enum Known {
    Good(Identity),
    Refused,
}

impl Known {
    fn identity(self) -> Option<Identity> {
        match self {
            Self::Good(identity) => Some(identity),
            Self::Refused => None,
        }
    }
}

/// Answers, each for a while.
pub(super) struct Memory<T> {
    holds: Duration,
    known: Mutex<HashMap<Key, (Instant, T)>>,
}

impl<T: Clone> Memory<T> {
    pub(super) fn new(holds: Duration) -> Self {
        Self { holds, known: Mutex::default() }
    }

    pub(super) fn recall(&self, key: &Key) -> Option<T> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(since, _)| since.elapsed() < self.holds).map(|(_, answer)| answer.clone())
    }

    pub(super) fn remember(&self, key: Key, answer: T) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, (since, _)| since.elapsed() < self.holds);
        }
        if known.len() < MOST_REMEMBERED {
            known.insert(key, (Instant::now(), answer));
        }
    }
}

impl KubeTokens {
    /// With this client's rights.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            good: Memory::new(REMEMBERED),
            refused: Memory::new(REFUSED),
            reviews: Semaphore::new(MOST_REVIEWS),
            patience: TIMEOUT,
        }
    }

    /// What is known of a token; nothing if the API server has to be asked.
    fn recall(&self, key: &Key) -> Option<Known> {
        self.good.recall(key).map(Known::Good).or_else(|| self.refused.recall(key).map(|()| Known::Refused))
    }

    fn remember(&self, key: Key, found: Option<&Identity>) {
        match found {
            Some(identity) => self.good.remember(key, identity.clone()),
            None => self.refused.remember(key, ()),
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
            if !is_meant_for(token, audience) {
                return Ok(None);
            }
            let key = (Sha256::digest(token.as_bytes()).into(), audience);
            if let Some(known) = self.recall(&key) {
                return Ok(known.identity());
            }
            let turn = tokio::time::timeout(self.patience, self.reviews.acquire()).await;
            let _turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
            // The same token may have been asked about while this one waited.
            if let Some(known) = self.recall(&key) {
                return Ok(known.identity());
            }
            let found = self.ask(token, audience).await?;
            self.remember(key, found.as_ref());
            Ok(found)
        }
        .boxed()
    }
}

fn busy() -> String {
    format!("too many tokens are being reviewed: {MOST_REVIEWS} at once; try again in a second")
}

/// Whether it looks like a service account's token for this audience: what its unproved claims say. Nothing is believed
/// of them but a No: the API server would say the same.
pub(super) fn is_meant_for(token: &str, audience: &str) -> bool {
    if token.len() > MAX_TOKEN {
        return false;
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return false };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|bytes| !bytes.is_empty());
    let (Some(_), Some(claims), Some(_)) = (decode(header), decode(claims), decode(signature)) else { return false };
    serde_json::from_slice::<Claims>(&claims).is_ok_and(|claims| match &claims.aud {
        Audiences::One(meant) => meant == audience,
        Audiences::Many(meant) => meant.iter().any(|meant| meant == audience),
    })
}

/// The claims of a token that matter here. Its issuer does not: the API server may know several.
#[derive(Deserialize)]
struct Claims {
    aud: Audiences,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
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

/// Objects of one answer to a list.
const PAGE: u32 = 500;

impl TasksAtWork for KubeTasks {
    fn at_work<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<BTreeSet<String>, String>> {
        async move {
            // As they are: one that does not fit its kind must not keep the others from being seen.
            let kind = ApiResource::erase::<AgentTask>(&());
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
            let mut at_work = BTreeSet::new();
            let mut page = ListParams::default().limit(PAGE);
            loop {
                let found = within("list the AgentTasks", api.list(&page)).await?;
                at_work.extend(found.items.iter().flat_map(needs));
                match found.metadata.continue_.filter(|next| !next.is_empty()) {
                    Some(next) => page = page.continue_token(&next),
                    None => return Ok(at_work),
                }
            }
        }
        .boxed()
    }
}

/// The UIDs of those whose references a task needs: its own, that of the run it is compared with, and that of the phase whose
/// merge it pushes; none once it is over.
fn needs(task: &DynamicObject) -> Vec<String> {
    let text = |path: &str| task.data.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
    if text("/status/state").is_some_and(|state| state == "Succeeded" || state == "Failed") {
        return Vec::new();
    }
    let pushed = text("/spec/push/from").and_then(|folder| folder.rsplit('/').next().map(str::to_owned));
    task.metadata.uid.clone().into_iter().chain(text("/spec/base/evidence/uid")).chain(pushed).collect()
}

pub(super) async fn within<T>(action: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| {
            format!("failed to {action}: {error}; check the API server and the git service's ClusterRole")
        }),
        Err(_) => Err(format!("failed to {action}: the API server took longer than {} s", TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

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

    /// A token with these claims, and a signature that the API server below looks at.
    fn token(claims: &serde_json::Value, signature: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part(signature))
    }

    fn ours(signature: &str) -> String {
        token(&serde_json::json!({"aud": ["phasegate"], "iss": "https://kubernetes.default.svc"}), signature)
    }

    #[rstest]
    #[case::a_list_of_audiences(ours("s"), true)]
    #[case::one_of_several(token(&serde_json::json!({"aud": ["api", "phasegate"]}), "s"), true)]
    #[case::one_audience(token(&serde_json::json!({"aud": "phasegate"}), "s"), true)]
    #[case::another_audience(token(&serde_json::json!({"aud": ["phasegate-git"]}), "s"), false)]
    #[case::no_audience(token(&serde_json::json!({"aud": []}), "s"), false)]
    #[case::no_claims(token(&serde_json::json!({}), "s"), false)]
    #[case::claims_that_are_no_object(token(&serde_json::json!("phasegate"), "s"), false)]
    #[case::no_signature(token(&serde_json::json!({"aud": "phasegate"}), ""), false)]
    #[case::nothing(String::new(), false)]
    #[case::a_password("hunter2".to_owned(), false)]
    #[case::dots("..".to_owned(), false)]
    #[case::a_part_too_many(format!("{}.x", ours("s")), false)]
    #[case::no_base64("{}.{}.{}".to_owned(), false)]
    #[case::as_long_as_it_may_be(ours(&"s".repeat(6000)), true)]
    #[case::too_long(ours(&"s".repeat(6200)), false)]
    fn only_what_may_be_a_token_for_the_audience_is_asked_about(#[case] token: String, #[case] asked: bool) {
        assert_eq!(is_meant_for(&token, "phasegate"), asked, "{} bytes", token.len());
    }

    /// An API server that takes tokens signed `good`, and counts the questions and those under way at once.
    fn api_server(pause: Duration) -> (KubeTokens, Arc<Counts>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                let counts = Arc::clone(&counted);
                tokio::spawn(async move {
                    counts.asked.fetch_add(1, SeqCst);
                    let now = counts.now.fetch_add(1, SeqCst) + 1;
                    counts.most.fetch_max(now, SeqCst);
                    tokio::time::sleep(pause).await;
                    counts.now.fetch_sub(1, SeqCst);
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let mut review: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    let good = review["spec"]["token"].as_str().unwrap().ends_with(&URL_SAFE_NO_PAD.encode("good"));
                    let audiences = review["spec"]["audiences"].clone();
                    review["status"] =
                        serde_json::json!({"authenticated": good, "audiences": audiences, "user": {"username": "u"}});
                    send.send_response(Response::new(Body::from(serde_json::to_vec(&review).unwrap())));
                });
            }
        });
        (KubeTokens::new(Client::new(service, "default")), counts)
    }

    #[derive(Default)]
    struct Counts {
        asked: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    #[tokio::test]
    async fn a_token_is_asked_about_once_whether_it_is_good_or_not() {
        let (tokens, counts) = api_server(Duration::ZERO);
        for _ in 0..3 {
            assert!(tokens.review(&ours("good"), "phasegate").await.unwrap().is_some());
            assert!(tokens.review(&ours("bad"), "phasegate").await.unwrap().is_none());
            assert!(tokens.review("no token", "phasegate").await.unwrap().is_none());
            assert!(tokens.review(&ours("good"), "phasegate-git").await.unwrap().is_none());
        }
        assert_eq!(counts.asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_flood_is_reviewed_a_few_at_a_time_and_the_same_token_once() {
        let (tokens, counts) = api_server(Duration::from_millis(10));
        let same = ours("bad");
        let same = (0..100).map(|_| tokens.review(&same, "phasegate"));
        assert!(futures::future::join_all(same).await.iter().all(|found| found == &Ok(None)));
        assert!(counts.asked.load(SeqCst) <= MOST_REVIEWS);
        let others: Vec<String> = (0..100).map(|n| ours(&n.to_string())).collect();
        let others = others.iter().map(|token| tokens.review(token, "phasegate"));
        assert!(futures::future::join_all(others).await.iter().all(|found| found == &Ok(None)));
        assert_eq!(counts.most.load(SeqCst), MOST_REVIEWS);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_review_is_told_to_come_again() {
        let (mut tokens, _) = api_server(Duration::from_millis(400));
        tokens.patience = Duration::from_millis(600);
        let others: Vec<String> = (0..3 * MOST_REVIEWS).map(|n| ours(&n.to_string())).collect();
        let all = futures::future::join_all(others.iter().map(|token| tokens.review(token, "phasegate"))).await;
        assert_eq!(all.iter().filter(|found| found == &&Err(busy())).count(), MOST_REVIEWS);
        assert!(tokens.review(&ours("good"), "phasegate").await.unwrap().is_some());
    }

    #[test]
    fn a_refusal_is_forgotten_soon_and_never_crowds_out_what_is_good() {
        let tokens = Memory::<()>::new(Duration::ZERO);
        tokens.remember(([0; 32], "phasegate"), ());
        assert_eq!(tokens.recall(&([0; 32], "phasegate")), None, "its time is over");
        let memory = Memory::new(REFUSED);
        for n in 0..2 * MOST_REMEMBERED {
            memory.remember((Sha256::digest(n.to_string().as_bytes()).into(), "phasegate"), ());
        }
        assert_eq!(memory.known.lock().unwrap().len(), MOST_REMEMBERED);
        assert!(REFUSED <= Duration::from_secs(5), "a token whose pod is not known yet is refused meanwhile");
    }

    #[test]
    fn a_task_that_is_not_over_needs_its_own_reports_and_those_it_is_compared_with() {
        let task = |state: Option<&str>, evidence: Option<&str>| -> DynamicObject {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask", "metadata": {"name": "t", "uid": "own"},
                "spec": {"base": {"evidence": evidence.map(|uid| serde_json::json!({"uid": uid}))}},
                "status": {"state": state},
            }))
            .unwrap()
        };
        assert_eq!(needs(&task(None, None)), ["own"]);
        assert_eq!(needs(&task(Some("Running"), Some("base"))), ["own", "base"]);
        assert_eq!(needs(&task(Some("of another version"), None)), ["own"], "what is not known stays");
        assert!(needs(&task(Some("Succeeded"), Some("base"))).is_empty());
        let mut push = task(Some("Pending"), None);
        push.data["spec"] = serde_json::json!({"push": {"from": "refs/phasegate/push/phase"}});
        assert_eq!(needs(&push), ["own", "phase"]);
        assert!(needs(&task(Some("Failed"), None)).is_empty());
    }
}
