//! People's tokens and rights, looked up in the Kubernetes API. The rules are in `people`.
//!
//! People's tokens may have any form, so more of what strangers show has to be asked about than for task pods. Hence
//! turns of their own (task pods never wait for people), and a budget of refusals, after which nobody new is asked about
//! for a moment.
//!
//! Needs `create` on `tokenreviews` (authentication.k8s.io) and `subjectaccessreviews` (authorization.k8s.io).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    auth::{OPERATOR_AUDIENCE, TASK_AUDIENCE},
    kube_auth::{MAX_TOKEN, Memory, REFUSED, REMEMBERED, TIMEOUT, is_meant_for, within},
    names::RepositoryId,
    people::{PeopleLookup, Person, Verb},
};

/// Shortest token that is asked about.
const MIN_TOKEN: usize = 16;
/// Most questions under way at once.
const MOST_QUESTIONS: usize = 4;
/// Refused tokens that are asked about at once.
const REFUSALS: f64 = 20.0;
/// And per second for long.
const REFUSALS_PER_SECOND: f64 = 2.0;

/// Asks the API server who people are and what they may.
pub struct KubePeople {
    client: Client,
    good: Memory<Person>,
    refused: Memory<()>,
    allowed: Memory<()>,
    denied: Memory<()>,
    turns: Semaphore,
    budget: Budget,
}

impl KubePeople {
    /// With this client's rights.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            good: Memory::new(REMEMBERED),
            refused: Memory::new(REFUSED),
            allowed: Memory::new(REMEMBERED),
            denied: Memory::new(REFUSED),
            turns: Semaphore::new(MOST_QUESTIONS),
            budget: Budget::default(),
        }
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, String> {
        let turn = tokio::time::timeout(TIMEOUT, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(busy)
    }

    async fn ask_who(&self, token: &str) -> Result<Option<Person>, String> {
        let meant_for_us = is_meant_for(token, OPERATOR_AUDIENCE);
        let audiences = meant_for_us.then(|| vec![OPERATOR_AUDIENCE.to_owned()]);
        let review =
            TokenReview { spec: TokenReviewSpec { token: token.to_owned(), audiences }, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = within("review the token", api.create(&PostParams::default(), &review)).await?;
        Ok(person(answer.status.unwrap_or_default(), meant_for_us))
    }

    async fn ask_may(&self, person: &Person, verb: Verb, repository: &RepositoryId) -> Result<bool, String> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(person.username.clone()),
                uid: person.uid.clone(),
                groups: Some(person.groups.clone()),
                extra: Some(person.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("phasegate.dev".to_owned()),
                    resource: Some("repositories".to_owned()),
                    namespace: Some(repository.namespace().to_owned()),
                    name: Some(repository.name().to_owned()),
                    verb: Some(verb.word().to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = within("review the access", api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

impl PeopleLookup for KubePeople {
    fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Person>, String>> {
        async move {
            if !may_be_a_token(token) {
                return Ok(None);
            }
            let key = (Sha256::digest(token.as_bytes()).into(), "who");
            let known = || self.good.recall(&key).map(Some).or_else(|| self.refused.recall(&key).map(|()| None));
            if let Some(known) = known() {
                return Ok(known);
            }
            let _turn = self.turn().await?;
            if let Some(known) = known() {
                return Ok(known);
            }
            if !self.budget.is_left(Instant::now()) {
                return Err(busy());
            }
            let found = self.ask_who(token).await?;
            if let Some(person) = &found {
                self.good.remember(key, person.clone());
            } else {
                self.budget.spend();
                self.refused.remember(key, ());
            }
            Ok(found)
        }
        .boxed()
    }

    fn may<'a>(
        &'a self,
        person: &'a Person,
        verb: Verb,
        repository: &'a RepositoryId,
    ) -> BoxFuture<'a, Result<bool, String>> {
        async move {
            let key = (Sha256::digest(format!("{person:?} {repository}")).into(), verb.word());
            if self.allowed.recall(&key).is_some() {
                return Ok(true);
            }
            if self.denied.recall(&key).is_some() {
                return Ok(false);
            }
            let _turn = self.turn().await?;
            let may = self.ask_may(person, verb, repository).await?;
            if may { &self.allowed } else { &self.denied }.remember(key, ());
            Ok(may)
        }
        .boxed()
    }
}

fn busy() -> String {
    "too many tokens are being reviewed; try again in a second".to_owned()
}

/// Whether it is worth a question: the characters of RFC 6750, and not a task pod's.
fn may_be_a_token(token: &str) -> bool {
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
        && !is_meant_for(token, TASK_AUDIENCE)
}

/// What a review says. With no audience asked for, an answer is about the API server's own.
fn person(status: TokenReviewStatus, meant_for_us: bool) -> Option<Person> {
    let audiences = status.audiences.unwrap_or_default();
    let ours = audiences.iter().any(|meant| meant == OPERATOR_AUDIENCE);
    if status.authenticated != Some(true) || (meant_for_us && !ours) {
        return None;
    }
    let user = status.user?;
    let username = user.username.filter(|name| !name.is_empty())?;
    let extra = user.extra.unwrap_or_default();
    Some(Person { username, uid: user.uid, groups: user.groups.unwrap_or_default(), extra })
}

/// How many refusals are left.
struct Budget(Mutex<(f64, Option<Instant>)>);

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new((REFUSALS, None)))
    }
}

impl Budget {
    fn is_left(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = state.1.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        *state = ((state.0 + passed.as_secs_f64() * REFUSALS_PER_SECOND).min(REFUSALS), Some(now));
        state.0 >= 1.0
    }

    fn spend(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1.0;
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

    /// An API server that knows tokens that start with `good`, lets everybody get, and counts the questions.
    fn api_server() -> (KubePeople, Arc<AtomicUsize>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                counted.fetch_add(1, SeqCst);
                let body = request.into_body().collect_bytes().await.unwrap();
                let mut review: serde_json::Value = serde_json::from_slice(&body).unwrap();
                review["status"] = match review["spec"]["token"].as_str() {
                    Some(token) => serde_json::json!({"authenticated": token.starts_with("good"),
                        "audiences": ["https://kubernetes"], "user": {"username": "ada", "groups": ["leads"]}}),
                    None => serde_json::json!({
                        "allowed": review["spec"]["resourceAttributes"]["verb"] == "get"
                            && review["spec"]["groups"][0] == "leads"}),
                };
                send.send_response(Response::new(Body::from(serde_json::to_vec(&review).unwrap())));
            }
        });
        (KubePeople::new(Client::new(service, "default")), asked)
    }

    #[tokio::test]
    async fn a_person_and_their_rights_are_asked_about_once() {
        let (people, asked) = api_server();
        let repository = RepositoryId::new("team", "hello").unwrap();
        for _ in 0..3 {
            let person = people.who("good-0123456789012").await.unwrap().unwrap();
            assert_eq!((person.username.as_str(), person.groups.as_slice()), ("ada", &["leads".to_owned()][..]));
            assert!(people.may(&person, Verb::Get, &repository).await.unwrap());
            assert!(!people.may(&person, Verb::Push, &repository).await.unwrap());
        }
        assert_eq!(asked.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn a_flood_of_bad_tokens_is_no_flood_of_questions() {
        let (people, asked) = api_server();
        let tokens: Vec<String> = (0..500).map(|n| format!("bad-0123456789012345-{n}")).collect();
        let answers = futures::future::join_all(tokens.iter().map(|token| people.who(token))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(None) | Err(_))));
        assert!(answers.iter().any(|answer| answer == &Err(busy())));
        assert!(asked.load(SeqCst) < 100, "{asked:?}");
    }

    #[rstest]
    #[case::opaque("abcdef.0123456789abcdef", true)]
    #[case::a_password("hunter2", false)]
    #[case::spaces("what a long password", false)]
    #[case::a_header("0123456789abcdef\r\nx: y", false)]
    fn only_what_may_be_a_token_is_asked_about(#[case] token: &str, #[case] asked: bool) {
        assert_eq!(may_be_a_token(token), asked);
        assert!(!may_be_a_token(&"a".repeat(MAX_TOKEN + 1)));
    }

    #[rstest]
    #[case::ours(true, serde_json::json!(["phasegate-git"]), true)]
    #[case::ours_is_not_confirmed(true, serde_json::json!([]), false)]
    #[case::of_the_api_server(false, serde_json::json!(["https://kubernetes"]), true)]
    #[case::of_an_authenticator_without_audiences(false, serde_json::json!([]), true)]
    fn a_token_for_us_must_be_confirmed_as_such(
        #[case] meant_for_us: bool,
        #[case] audiences: serde_json::Value,
        #[case] known: bool,
    ) {
        let status = serde_json::json!({"authenticated": true, "audiences": audiences, "user": {"username": "ada"}});
        assert_eq!(person(serde_json::from_value(status).unwrap(), meant_for_us).is_some(), known);
    }
}
