//! A pod's way to the operator. No decisions: an answer is handed on, an error says whether to ask again.

use std::{path::PathBuf, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    PodArgs,
    protocol::{
        Accepted, Assignment, DeliveryReport, ErrorBody, PlanReport, ProgressReport, ResumedReport, ReviewReport,
        SubmissionReport, path,
    },
};
use crate::git::client::CORRELATION_HEADER;

/// Longest time of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The pod's token cannot be read.
    #[error("failed to read the pod's token from {path}: {source}")]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No answer at all.
    #[error(
        "failed to reach the operator at {url}: {source}; check that it runs and that NetworkPolicies let this pod reach it"
    )]
    Unreachable {
        /// The URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The operator said no, or not yet.
    #[error("the operator refused {resource} ({status}): {}; {}", body.error, body.remedy)]
    Refused {
        /// What was asked for.
        resource: &'static str,
        /// HTTP status.
        status: u16,
        /// Its words.
        body: ErrorBody,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the protocol says.
    #[error(
        "failed to read the operator's answer to {resource}: {source}; operator and runner must be of the same version"
    )]
    Answer {
        /// What was asked for.
        resource: &'static str,
        /// Why.
        source: reqwest::Error,
    },
    /// The HTTP client cannot be made.
    #[error("failed to set up the HTTP client: {0}")]
    Setup(reqwest::Error),
}

impl CallError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Token { .. } | Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Answer { .. } | Self::Setup(_) => false,
        }
    }
}

/// Speaks for one pod.
#[derive(Debug, Clone)]
pub struct RunnerClient {
    args: PodArgs,
    token: PathBuf,
    http: reqwest::Client,
}

impl RunnerClient {
    /// The token is read again for every call, because the kubelet renews it.
    pub fn new(args: &PodArgs, token: impl Into<PathBuf>) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(CallError::Setup)?;
        Ok(Self { args: args.clone(), token: token.into(), http })
    }

    /// Asks for the assignment, again and again until `longest` has passed: a pod is faster than the
    /// reconciler that pins it.
    pub async fn assignment(&self, longest: Duration) -> Result<Assignment, CallError> {
        let request = |url: &str| self.http.get(url);
        self.insist("assignment", longest, request).await
    }

    /// Says that the run began with saved work.
    pub async fn resumed(&self, report: &ResumedReport, longest: Duration) -> Result<Accepted, CallError> {
        self.post("resumed", report, longest).await
    }

    /// Reports a plan.
    pub async fn plan(&self, report: &PlanReport, longest: Duration) -> Result<Accepted, CallError> {
        self.post("plan", report, longest).await
    }

    /// Reports progress.
    pub async fn progress(&self, report: &ProgressReport, longest: Duration) -> Result<Accepted, CallError> {
        self.post("progress", report, longest).await
    }

    /// Submits a commit. `Ok` with the commit that counts: this one, or the first of this run.
    pub async fn submit(&self, report: &SubmissionReport, longest: Duration) -> Result<String, CallError> {
        match self.post::<_, Accepted>("submission", report, longest).await {
            Ok(_) => Ok(report.commit.clone()),
            Err(CallError::Refused { status: 409, body: ErrorBody { commit: Some(first), .. }, .. }) => Ok(first),
            Err(error) => Err(error),
        }
    }

    /// Submits a review. Whether it is the one that counts: the first of this run does.
    pub async fn review(&self, report: &ReviewReport, longest: Duration) -> Result<bool, CallError> {
        match self.post::<_, Accepted>("review", report, longest).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused { status: 409, body: ErrorBody { reviewed: true, .. }, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Delivers the end of the run.
    pub async fn deliver(&self, report: &DeliveryReport, longest: Duration) -> Result<Accepted, CallError> {
        self.post("delivery", report, longest).await
    }

    async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        resource: &'static str,
        body: &B,
        longest: Duration,
    ) -> Result<A, CallError> {
        self.insist(resource, longest, |url| self.http.post(url).json(body)).await
    }

    async fn insist<A: DeserializeOwned>(
        &self,
        resource: &'static str,
        longest: Duration,
        request: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> Result<A, CallError> {
        let PodArgs { namespace, task, run, operator_url, .. } = &self.args;
        let url = format!("{}{}", operator_url.trim_end_matches('/'), path(namespace, task, resource, *run));
        let deadline = Instant::now() + longest;
        let mut pause = Duration::from_millis(200);
        loop {
            let error = match self.once(resource, &url, request(&url)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let asked = match &error {
                CallError::Refused { retry_after, .. } => *retry_after,
                CallError::Token { .. }
                | CallError::Unreachable { .. }
                | CallError::Answer { .. }
                | CallError::Setup(_) => None,
            };
            let wait = asked.unwrap_or(pause).min(MAX_PAUSE);
            if !error.is_transient() || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tracing::info!(%error, resource, "asking again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn once<A: DeserializeOwned>(
        &self,
        resource: &'static str,
        url: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<A, CallError> {
        let token = tokio::fs::read_to_string(&self.token).await;
        let token = token.map_err(|source| CallError::Token { path: self.token.clone(), source })?;
        let request = request.bearer_auth(token.trim()).header(CORRELATION_HEADER, &self.args.correlation_id);
        let unreachable = |source: reqwest::Error| CallError::Unreachable { url: url.to_owned(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(|source| CallError::Answer { resource, source });
        }
        let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let text = response.text().await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| ErrorBody {
            error: crate::text::cut(&text, 500),
            remedy: "see the operator's log".to_owned(),
            commit: None,
            reviewed: false,
        });
        Err(CallError::Refused { resource, status: status.as_u16(), body, retry_after })
    }
}
