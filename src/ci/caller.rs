//! Who speaks: a key of role `ci` that may speak of this namespace.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, Path},
    http::{StatusCode, header, request::Parts},
};

use super::{
    CiApi,
    refusal::{Refused, bad, refuse},
};
use crate::keys::{Key, KeyRole, MIN_KEY};

/// A caller whose key is proved, and what it speaks of.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) key: Arc<Key>,
    pub(super) namespace: String,
    /// Name of the AgentTask; empty in a list.
    pub(super) task: String,
}

impl FromRequestParts<CiApi> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &CiApi) -> Result<Self, Refused> {
        let key = proved(parts, api).await?;
        let Path(mut path) = Path::<BTreeMap<String, String>>::from_request_parts(parts, api)
            .await
            .map_err(|error| bad(error.body_text()))?;
        let namespace = path.remove("namespace").unwrap_or_default();
        let task = path.remove("task").unwrap_or_default();
        // Both become part of a URL.
        if ![&namespace, &task].into_iter().all(|name| is_name(name)) {
            return Err(bad("a name in the path is no name of a namespace or an AgentTask"));
        }
        if key.role != KeyRole::Ci {
            let error = format!("key {} is of role {}", key.name, key.role.word());
            return Err(refuse(StatusCode::FORBIDDEN, error, "use a key of role ci"));
        }
        if !key.namespaces.has(&namespace) {
            let error = format!("key {} may not speak of namespace {namespace}", key.name);
            return Err(refuse(StatusCode::FORBIDDEN, error, "use the key of that namespace, or add it to the entry"));
        }
        if !api.pace.may_call(&key.name) {
            let error = format!("key {} calls too often", key.name);
            return Err(refuse(StatusCode::TOO_MANY_REQUESTS, error, "ask every 15 seconds or so"));
        }
        Ok(Self { key, namespace, task })
    }
}

async fn proved(parts: &Parts, api: &CiApi) -> Result<Arc<Key>, Refused> {
    let unauthorized = |error: &str, remedy: &str| refuse(StatusCode::UNAUTHORIZED, error, remedy);
    // Whether keys are set up comes first: without them no header helps.
    let keys = api.keys.keys().await.map_err(|why| unauthorized(&why, "ask who runs phasegate here"))?;
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme = "send the key as `Authorization: Bearer KEY`";
    let presented =
        bearer.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let presented = presented.map(|(_, key)| key.trim()).ok_or_else(|| unauthorized("no API key", scheme))?;
    if presented.len() < MIN_KEY {
        return Err(unauthorized("what was sent is too short for a key", "make one with `phasegate keys new`"));
    }
    keys.find(presented).ok_or_else(|| unauthorized("the key is not known, or no longer", scheme))
}

fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        && !name.contains("..")
}
