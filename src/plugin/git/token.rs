//! What the git service is shown: the first that there is of a file, a service account, the environment and the kubeconfig.

use std::future::ready;

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::{Body, ConfigExt},
};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use super::{
    super::client::{Error, api_error},
    child::Place,
};
use crate::{git::auth::OPERATOR_AUDIENCE, plugin::args::Access};

/// Variable with a token or an API key.
const VARIABLE: &str = "PHASEGATE_TOKEN";
/// How long a token of a service account is good for, in seconds: for the longest clone.
const LIFETIME: i64 = 3600;

/// Finds the token.
///
/// # Errors
/// If what was named cannot be read, or there is none at all.
pub(super) async fn choose(access: &Access, place: &Place, config: &Config, client: &Client) -> Result<String, Error> {
    if let Some(file) = &access.token_file {
        let read = tokio::fs::read_to_string(file).await;
        let text = read.map_err(|error| Error::Said(format!("failed to read {}: {error}", file.display())))?;
        return usable(&text, &format!("--token-file {}", file.display()));
    }
    if let Some(account) = &access.service_account {
        return of_service_account(account, &place.namespace, client).await;
    }
    if let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
        return usable(&text, VARIABLE);
    }
    of_kubeconfig(config).await?.ok_or_else(|| {
        Error::Said(format!(
            "the kubeconfig has no token (it may have a certificate, which a git service cannot be shown); name a service \
             account whose rights you want to act with, --service-account NAME, or give a Kubernetes token or an API key \
             with --token-file or {VARIABLE}"
        ))
    })
}

/// One line that can be a password.
fn usable(text: &str, of: &str) -> Result<String, Error> {
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::Said(format!("{of} is no token: it must be one word")));
    }
    Ok(token.to_owned())
}

/// A token that is good for the git service alone.
async fn of_service_account(account: &str, namespace: &str, client: &Client) -> Result<String, Error> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![OPERATOR_AUDIENCE.to_owned()]),
            expiration_seconds: Some(LIFETIME),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let what = format!("ask for a token of service account {namespace}/{account}");
    let answer =
        api.create_token_request(account, &PostParams::default(), &request).await.map_err(api_error(&*what))?;
    let token = answer.status.and_then(|status| status.token);
    token.ok_or_else(|| Error::Said(format!("failed to {what}: the API server gave none")))
}

/// The bearer token that the kubeconfig would show the API server, wherever it has it from: a field, a file, a program.
async fn of_kubeconfig(config: &Config) -> Result<Option<String>, Error> {
    let Some(layer) = config.auth_layer().map_err(api_error("read the credentials of the kubeconfig"))? else {
        return Ok(None);
    };
    let seen = layer
        .layer(service_fn(|request: Request<Body>| ready(Ok::<_, BoxError>(Response::new(request.headers().clone())))));
    let answer = seen.oneshot(Request::new(Body::empty())).await;
    let answer = answer.map_err(|error| Error::Said(format!("failed to get the token of the kubeconfig: {error}")))?;
    Ok(bearer(answer.body()))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.to_owned())
}

#[cfg(test)]
mod tests {
    use kube::config::{AuthInfo, ExecConfig};
    use rstest::rstest;

    use super::*;

    fn with(auth_info: AuthInfo) -> Config {
        let mut config = Config::new("https://127.0.0.1:6443".parse().unwrap());
        config.auth_info = auth_info;
        config
    }

    fn program(script: &str) -> AuthInfo {
        let exec = ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".to_owned()),
            command: Some("sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script.to_owned()]),
            ..serde_json::from_value(serde_json::json!({})).unwrap()
        };
        AuthInfo { exec: Some(exec), ..AuthInfo::default() }
    }

    #[tokio::test]
    async fn the_token_of_a_kubeconfig_is_found_wherever_it_is() {
        let plain = AuthInfo { token: Some("a-token".to_owned().into()), ..AuthInfo::default() };
        assert_eq!(of_kubeconfig(&with(plain)).await.unwrap().as_deref(), Some("a-token"));
        let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"of-a-program"}}"#;
        let script = format!("echo '{credential}'");
        assert_eq!(of_kubeconfig(&with(program(&script))).await.unwrap().as_deref(), Some("of-a-program"));
        assert_eq!(of_kubeconfig(&with(AuthInfo::default())).await.unwrap(), None);
        let password = AuthInfo {
            username: Some("me".to_owned()),
            password: Some("secret".to_owned().into()),
            ..AuthInfo::default()
        };
        assert_eq!(of_kubeconfig(&with(password)).await.unwrap(), None, "a password is no token");
        assert!(of_kubeconfig(&with(program("exit 1"))).await.is_err());
    }

    #[rstest]
    #[case::a_line("  token\n", Some("token"))]
    #[case::nothing(" \n", None)]
    #[case::two_lines("one\ntwo", None)]
    fn a_token_is_one_word(#[case] text: &str, #[case] token: Option<&str>) {
        assert_eq!(usable(text, "it").ok().as_deref(), token);
    }
}
