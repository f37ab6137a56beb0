//! What an outside system is told when its call does not count: status, what is wrong, what to do.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Seconds after which a caller asks again.
const RETRY_SECONDS: u64 = 5;

/// A refused call.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) body: Box<ErrorBody>,
}

/// Every answer that is not a success.
#[derive(Debug, Default, Serialize)]
pub(super) struct ErrorBody {
    /// What is wrong.
    pub(super) error: String,
    /// What to do about it.
    pub(super) remedy: String,
    /// What the check waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What was sent instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<String>,
    /// What is taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<String>,
}

impl Refused {
    /// With what was expected beside what was given.
    pub(super) fn compared(mut self, expected: &str, given: &str) -> Self {
        self.body.expected = Some(expected.to_owned());
        self.body.given = Some(given.to_owned());
        self
    }

    /// With what would have been taken.
    pub(super) fn allowing<'a>(mut self, allowed: impl IntoIterator<Item = &'a str>) -> Self {
        self.body.allowed = allowed.into_iter().map(str::to_owned).collect();
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, body } = self;
        let mut response = (status, Json(*body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, RETRY_SECONDS.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer realm=\"phasegate\""));
        }
        response
    }
}

pub(super) fn refuse(status: StatusCode, error: impl Into<String>, remedy: &str) -> Refused {
    let body = ErrorBody { error: error.into(), remedy: remedy.to_owned(), ..ErrorBody::default() };
    Refused { status, body: Box::new(body) }
}

/// The request breaks a rule; the same request will fail again.
pub(super) fn bad(error: impl Into<String>) -> Refused {
    refuse(StatusCode::BAD_REQUEST, error, "mend the named field and call again")
}

/// The caller is right to ask, and nobody can answer now.
pub(super) fn unavailable(error: impl Into<String>) -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, error, "call again")
}
