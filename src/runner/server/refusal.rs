//! What a pod is told when it is not listened to: status, what is wrong, what to do.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::super::protocol::ErrorBody;

/// Seconds after which a pod asks again.
const RETRY_SECONDS: u64 = 1;

/// A refused call.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) ErrorBody);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, body) = self;
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_SECONDS.into());
        }
        response
    }
}

pub(super) fn refuse(status: StatusCode, error: impl Into<String>, remedy: &str) -> Refused {
    Refused(status, ErrorBody { error: error.into(), remedy: remedy.to_owned(), commit: None, reviewed: false })
}

pub(super) fn bad(error: impl Into<String>) -> Refused {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, error, "mend the named field and call again")
}

/// The caller is right to ask, and nobody can answer now.
pub(super) fn unavailable(error: impl Into<String>) -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, error, "ask again")
}

/// Another commit was submitted before.
pub(super) fn submitted(first: &str) -> Refused {
    let Refused(status, body) = before("this run has submitted already; the first submission counts");
    Refused(status, ErrorBody { commit: Some(first.to_owned()), ..body })
}

/// Another review was submitted before.
pub(super) fn reviewed() -> Refused {
    let Refused(status, body) = before("this run has submitted a review already; the first one counts");
    Refused(status, ErrorBody { reviewed: true, ..body })
}

fn before(error: &str) -> Refused {
    refuse(StatusCode::CONFLICT, error, "end the run")
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        refuse(rejection.status(), rejection.body_text(), "send the JSON that the call takes")
    }
}
