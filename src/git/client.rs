//! The operator's way to the git service: one generic call over the typed operations.
//!
//! No decisions here: an answer is handed on as it came, and an error says which service failed and what to do.

use std::{path::PathBuf, time::Duration};

use super::ops::{ErrorBody, ErrorCode, Operation};

/// Header that carries the correlation id of a phase attempt through all parts.
pub const CORRELATION_HEADER: &str = "x-correlation-id";

/// How long one operation may take by default: longer than the service gives git, so that its words arrive.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(75);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The projected token cannot be read.
    #[error(
        "failed to read the token for the git service from {path}: {source}; mount a projected token with audience phasegate-git there"
    )]
    Token {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No answer at all.
    #[error(
        "failed to reach the git service at {url}: {source}; check that its pod runs and that NetworkPolicies let this pod reach it"
    )]
    Unreachable {
        /// The operation's URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The service answered with an error.
    #[error("git service refused {url} ({status}): {message}")]
    Refused {
        /// The operation's URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What kind of error.
        code: ErrorCode,
        /// The service's words.
        message: String,
    },
    /// The service answered with something else than the operation's answer.
    #[error(
        "failed to read the answer of the git service at {url}: {message}; operator and git service must be of the same version"
    )]
    Answer {
        /// The operation's URL.
        url: String,
        /// Why.
        message: String,
    },
    /// The HTTP client cannot be made.
    #[error("failed to set up the client of the git service: {0}")]
    Setup(reqwest::Error),
}

impl ClientError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Token { .. } | Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => match code {
                ErrorCode::Busy | ErrorCode::Internal | ErrorCode::Unauthenticated => true,
                ErrorCode::Invalid | ErrorCode::Forbidden | ErrorCode::NotFound => false,
            },
            Self::Answer { .. } | Self::Setup(_) => false,
        }
    }
}

/// A client of one git service. Cloning is cheap and shares connections.
#[derive(Debug, Clone)]
pub struct GitClient {
    base: String,
    token_file: PathBuf,
    http: reqwest::Client,
    correlation: Option<String>,
}

impl GitClient {
    /// `base` is the service's URL without a path (`http://phasegate-git:8080`); `token_file` is read again for every
    /// call, because the kubelet renews it. Fails only if the HTTP client cannot be made.
    pub fn new(base: &str, token_file: impl Into<PathBuf>, timeout: Duration) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token_file: token_file.into(), http, correlation: None })
    }

    /// The same client, with a correlation id on every call.
    #[must_use]
    pub fn with_correlation(&self, id: &str) -> Self {
        Self { correlation: Some(id.to_owned()), ..self.clone() }
    }

    /// The smart-HTTP address of a repository, as `git clone` takes it.
    pub fn clone_url(&self, namespace: &str, repository: &str) -> String {
        format!("{}/{namespace}/{repository}.git", self.base)
    }

    /// Asks for one operation on one repository and waits for its answer.
    pub async fn call<O: Operation>(
        &self,
        namespace: &str,
        repository: &str,
        operation: &O,
    ) -> Result<O::Answer, ClientError> {
        let url = format!("{}/ops/v1/{namespace}/{repository}/{}", self.base, O::NAME);
        let token = tokio::fs::read_to_string(&self.token_file)
            .await
            .map_err(|source| ClientError::Token { path: self.token_file.clone(), source })?;
        let mut request = self.http.post(&url).bearer_auth(token.trim()).json(operation);
        if let Some(id) = &self.correlation {
            request = request.header(CORRELATION_HEADER, id);
        }
        let unreachable = |source| ClientError::Unreachable { url: url.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| ClientError::Answer { url, message: error.to_string() })
        } else {
            Err(refused(url, status.as_u16(), &body))
        }
    }
}

/// An error answer in the service's own words, or in whatever a proxy in between said.
fn refused(url: String, status: u16, body: &[u8]) -> ClientError {
    let ErrorBody { code, message } = serde_json::from_slice(body).unwrap_or_else(|_| ErrorBody {
        code: match status {
            401 => ErrorCode::Unauthenticated,
            403 => ErrorCode::Forbidden,
            502..=504 => ErrorCode::Busy,
            _ => ErrorCode::Internal,
        },
        message: String::from_utf8_lossy(body).chars().take(300).collect(),
    });
    ClientError::Refused { url, status, code, message }
}
