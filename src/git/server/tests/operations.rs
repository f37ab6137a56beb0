//! The typed operations over the wire, with the operator's client.

use std::time::Duration;

use super::{flow::*, support::*};
use crate::git::{
    client::{ClientError, GitClient},
    ops::*,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_goes_from_claim_to_merge_and_a_redo_changes_nothing() {
    let served = served().await;
    let client = served.client("operator").with_correlation("hello-1-a1");
    let claim = claim();
    let claimed = client.call("team", "hello", &claim).await.unwrap();
    let ClaimReleaseAnswer::Claimed { base: start, .. } = claimed else { panic!("{claimed:?}") };

    let work = served.work("klein").await;
    assert!(work.push("HEAD:refs/heads/feature/phase-1-a").await.0);
    let integrate = integrate(work.head().await, &start);
    let integrated = client.call("team", "hello", &integrate).await.unwrap();
    assert_eq!(client.call("team", "hello", &integrate).await.unwrap(), integrated);
    let IntegrateAnswer::Integrated { head, tree, .. } = integrated else { panic!("{integrated:?}") };

    let merge = merge(head, tree, start);
    let prepare = PreparePush { merge: merge.clone() };
    let prepared = client.call("team", "hello", &prepare).await.unwrap();
    let PreparePushAnswer::Prepared { commit: prepared, .. } = prepared else { panic!("{prepared:?}") };
    let merged = client.call("team", "hello", &merge).await.unwrap();
    let MergeToBaseAnswer::Merged { commit, .. } = merged.clone() else { panic!("{merged:?}") };

    assert_eq!(commit, prepared);
    let settled = PreparePushAnswer::Settled { merge: merged.clone() };
    assert_eq!(client.call("team", "hello", &prepare).await.unwrap(), settled);

    let before = served.refs();
    assert_eq!(client.call("team", "hello", &merge).await.unwrap(), merged);
    let adopted = ClaimReleaseAnswer::Adopted { commit, tag: tag(), score: None };
    assert_eq!(client.call("team", "hello", &claim).await.unwrap(), adopted);
    assert_eq!(served.refs(), before);
    let tags = ok(work.git(&["ls-remote", &served.remote("check"), "refs/tags/*"]).await);
    assert!(tags.contains("refs/tags/phase-1-v1.0.0^{}"), "{tags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operators_service_account_may_call_operations() {
    let served = served().await;
    for (token, status) in [("stranger", 403), ("pod-klein", 401), ("nonsense", 401), ("down", 503)] {
        let answer = served.client(token).call("team", "hello", &ensure()).await;
        let Err(ClientError::Refused { status: got, .. }) = answer else { panic!("{token}: {answer:?}") };
        assert_eq!(got, status, "{token}");
    }
    let url = format!("{}/ops/v1/team/hello/ensure-repository", served.url);
    let response = http().post(&url).basic_auth("klein", Some("pod-klein")).json(&ensure()).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_is_wrong_and_whether_to_try_again() {
    let served = served().await;
    let heads = Heads { prefix: RefName::new("refs/heads").unwrap() };
    let missing = served.client("operator").call("team", "other", &heads).await.unwrap_err();
    assert!(missing.to_string().contains("failed to find the repository in team/other"), "{missing}");
    assert!(!missing.is_transient());
    let down = served.client("down").call("team", "hello", &heads).await.unwrap_err();
    assert!(down.is_transient(), "{down}");
    let without = GitClient::new(&served.url, "/nonexistent", Duration::from_secs(1)).unwrap();
    let without = without.call("team", "hello", &heads).await.unwrap_err();
    assert!(without.to_string().starts_with("failed to read the token for the git service"), "{without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let client = GitClient::new("http://127.0.0.1:9", file.path(), Duration::from_secs(2)).unwrap();
    let error = client.call("team", "hello", &ensure()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_a_rule_are_named_and_health_needs_no_token() {
    let served = served().await;
    let post = async |path: &str, body: &str| {
        let url = format!("{}/ops/v1/{path}", served.url);
        let response = http().post(url).bearer_auth("operator").body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(post("team/hello/no-such", "{}").await.0, 404);
    for name in NAMES {
        let (_, said) = post(&format!("team/hello/{name}"), "1").await;
        assert!(said.contains(&format!("failed to read the request of {name}")), "{said}");
    }
    let (status, said) = post("team/hello/heads", r#"{"prefix": "--upload-pack=x"}"#).await;
    assert!(status == 400 && said.contains("it must start with refs/"), "{said}");
    let (status, said) = post("team/a%2Fb/heads", r#"{"prefix": "refs/heads"}"#).await;
    assert!(status == 400 && said.contains("invalid repository"), "{said}");
    let (status, said) = post("team/hello/diff", r#"{"from": "HEAD", "to": "main^{tree}", "maxBytes": 1}"#).await;
    assert!(status == 400 && said.contains("failed to read the request of diff"), "{said}");
    assert_eq!(post("team/hello/heads", &"x".repeat(2 << 20)).await.0, 413);
    for (path, words) in [("healthz", "ok"), ("readyz", "ok"), ("metrics", "phasegate_git_operation_seconds")] {
        let response = http().get(format!("{}/{path}", served.url)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert!(response.text().await.unwrap().contains(words), "{path}");
    }
}
