//! What a hostile task pod, or a stranger, tries.

use rstest::rstest;

use super::support::*;
use crate::git::auth::TaskFacts;

const BRANCH: &str = "HEAD:refs/heads/feature/phase-1-a";

#[rstest]
#[case::main("HEAD:refs/heads/main")]
#[case::release("HEAD:refs/heads/release/phase-1-v1.0.0")]
#[case::other_branch("HEAD:refs/heads/feature/phase-1-b")]
#[case::below_its_branch("HEAD:refs/heads/feature/phase-1-a/x")]
#[case::tag("HEAD:refs/tags/phase-1-v1.0.0")]
#[case::notes("HEAD:refs/notes/phasegate")]
#[case::claim("HEAD:refs/phasegate/claims/phase-1")]
#[case::archive("HEAD:refs/phasegate/archive/x")]
#[case::other_logs("HEAD:refs/phasegate/logs/uid-check/1")]
#[case::upstream("HEAD:refs/upstream/heads/main")]
#[case::replace("HEAD:refs/replace/0123456789abcdef0123456789abcdef01234567")]
#[case::option("HEAD:refs/heads/--upload-pack=x")]
#[case::forced("+HEAD:refs/heads/main")]
#[case::deleted(":refs/heads/main")]
#[tokio::test(flavor = "multi_thread")]
async fn a_developer_cannot_push_elsewhere(#[case] refspec: &str) {
    let served = served().await;
    let work = served.work("klein").await;
    let before = served.refs();
    let (passed, said) = work.push(refspec).await;
    assert!(!passed, "{said}");
    assert_eq!(served.refs(), before);
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_cannot_delete_even_its_own_branch() {
    let served = served().await;
    let work = served.work("klein").await;
    assert!(work.push(BRANCH).await.0);
    let before = served.refs();
    let (passed, said) = work.push(":refs/heads/feature/phase-1-a").await;
    assert!(!passed && said.contains("delet"), "{said}");
    assert_eq!(served.refs(), before);
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_reference_does_not_carry_a_forbidden_one() {
    let served = served().await;
    let work = served.work("klein").await;
    let before = served.refs();
    assert!(!work.git(&["push", "--quiet", "origin", BRANCH, "HEAD:refs/heads/main"]).await.status.success());
    assert_eq!(served.refs(), before);
    served.sound();
}

/// Sends the raw request of a push, with names that no git client would send.
#[rstest]
#[case("refs/heads/../../../../tmp/x")]
#[case("refs/heads/feature/phase-1-a/../../main")]
#[case("../main")]
#[case("HEAD")]
#[case("refs/phasegate/logs/uid-klein/../uid-check/1")]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_no_client_would_send_is_refused(#[case] name: &str) {
    let served = served().await;
    let work = served.work("klein").await;
    assert!(work.push(BRANCH).await.0);
    let before = served.refs();
    let head = work.head().await;
    let line = format!("{} {head} {name}\0report-status", "0".repeat(40));
    // A commit the service has needs only an empty pack: its header, no objects, and the SHA-1 of that.
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(b"PACK\0\0\0\x02\0\0\0\0");
    body.extend_from_slice(&hex::decode("029d08823bd8a8eab510ad6ac75c823cfd3ed31e").unwrap());
    let url = format!("{}/team/hello.git/git-receive-pack", served.url);
    let request = http().post(url).basic_auth("klein", Some("pod-klein"));
    let response = request.header("content-type", "application/x-git-receive-pack-request").body(body).send().await;
    let said = response.unwrap().text().await.unwrap();
    assert!(said.contains("ng ") || said.contains("protocol error"), "{said}");
    assert_eq!(served.refs(), before);
    assert_eq!(std::fs::read_to_string(served.root.join("team/hello.git/HEAD")).unwrap(), "ref: refs/heads/main\n");
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_beyond_the_limit_is_refused_and_leaves_nothing() {
    let served = served_with(1).await;
    let work = served.work("klein").await;
    work.noise(4 << 20);
    work.commit("noise").await;
    let before = served.refs();
    let (passed, said) = work.push(BRANCH).await;
    assert!(!passed && said.contains("pack exceeds maximum allowed size"), "{said}");
    assert_eq!(served.refs(), before);
    served.sound();
    assert_eq!(served.unfinished(), 0);
}

#[rstest]
#[case::no_credentials(None, 401)]
#[case::bad_token(Some(("klein", "nonsense")), 401)]
#[case::other_pod(Some(("klein", "pod-other")), 403)]
#[case::other_task(Some(("check", "pod-klein")), 403)]
#[case::no_such_task(Some(("nobody", "pod-klein")), 403)]
#[case::operators_token_as_a_task(Some(("klein", "operator")), 401)]
#[case::other_namespace(Some(("klein", "elsewhere")), 403)]
#[case::a_person(Some(("klein", "person")), 403)]
#[case::api_server_down(Some(("klein", "down")), 503)]
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_away(#[case] credentials: Option<(&str, &str)>, #[case] status: u16) {
    let served = served().await;
    for service in ["git-upload-pack", "git-receive-pack"] {
        let mut request = http().get(format!("{}/team/hello.git/info/refs?service={service}", served.url));
        if let Some((user, token)) = credentials {
            request = request.basic_auth(user, Some(token));
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_repository_cannot_read_this_one() {
    let served = served().await;
    served.tasks.set("klein", TaskFacts { repository: "other".to_owned(), ..klein() });
    let output = git(&served.root, &["ls-remote", &served.remote("klein")]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("works on repository other, not hello"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_not_pinned_yet_is_asked_to_come_again() {
    let served = served().await;
    served.tasks.set("klein", TaskFacts { pod_uid: None, ..klein() });
    let url = format!("{}/team/hello.git/info/refs?service=git-upload-pack", served.url);
    let response = http().get(&url).basic_auth("klein", Some("pod-klein")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[rstest]
#[case("/team/hello.git/HEAD")]
#[case("/team/hello.git/config")]
#[case("/team/hello.git/objects/info/packs")]
#[case("/team/hello.git/info/refs")]
#[case("/team/hello.git/../../etc/passwd")]
#[case("/team/%2e%2e/hello.git/info/refs?service=git-upload-pack")]
#[case("/team/..%2fhello.git/info/refs?service=git-upload-pack")]
#[case("/.hooks/pre-receive")]
#[case("/team/hello/info/refs?service=git-upload-pack")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_four_requests_of_a_client_is_served(#[case] path: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let served = served().await;
    let mut stream = tokio::net::TcpStream::connect(served.url.trim_start_matches("http://")).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nAuthorization: Basic a2xlaW46cG9kLWtsZWlu\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
}
