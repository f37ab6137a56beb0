//! Requests that no git client sends, and requests without end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::StreamExt as _;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::*;
use crate::git::auth::TaskFacts;

const BRANCH: &str = "refs/heads/feature/phase-1-a";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn post(served: &Served, service: &str) -> reqwest::RequestBuilder {
    let request = http().post(format!("{}/team/hello.git/{service}", served.url));
    let request = request.basic_auth("klein", Some("pod-klein"));
    request.header("content-type", format!("application/x-{service}-request"))
}

/// The service still does its work, and holds what it held.
async fn unharmed(served: &Served, before: &str) {
    assert_eq!(served.refs(), before);
    served.sound();
    ok(git(&served.root, &["ls-remote", &served.remote("klein")]).await);
}

/// A gibibyte sent piece by piece; how much of it was asked for.
fn gibibyte(start: Vec<u8>, piece: &[u8]) -> (reqwest::Body, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let pieces = std::iter::once(start).chain(std::iter::repeat_n(piece.to_vec(), (1 << 30) / piece.len()));
    let stream = futures::stream::iter(pieces).map(move |piece| {
        count.fetch_add(piece.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece)
    });
    (reqwest::Body::wrap_stream(stream), sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_a_gibibyte_is_refused_early() {
    let served = served_with(1).await;
    let before = served.refs();
    let head = ok(git(&served.root.join("team/hello.git"), &["rev-parse", "refs/heads/main"]).await);
    let line = format!("{ZERO} {head} {BRANCH}\0report-status side-band-64k");
    // One blob of 1 GiB in blocks of zlib that are not compressed (RFC 1951, 3.2.4).
    let mut start = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    start.extend(b"PACK\0\0\0\x02\0\0\0\x01\xb0\x80\x80\x80\x20\x78\x01");
    let block = [&[0, 0xff, 0xff, 0, 0][..], &vec![7; 0xffff]].concat();
    let (body, sent) = gibibyte(start, &block);
    // The service hangs up on a client that does not stop. One that does gets git's words: see `hostile`.
    if let Ok(response) = post(&served, "git-receive-pack").body(body).send().await {
        let said = String::from_utf8_lossy(&response.bytes().await.unwrap_or_default()).into_owned();
        assert!(!said.contains("unpack ok"), "{said}");
    }
    assert!(sent.load(Ordering::Relaxed) < 256 << 20);
    unharmed(&served, &before).await;
    assert_eq!(served.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_references_without_end_is_refused() {
    let served = served().await;
    let before = served.refs();
    let line = format!("{ZERO} {} {BRANCH}", "1".repeat(40));
    let line = format!("{:04x}{line}", line.len() + 4).into_bytes();
    let (body, sent) = gibibyte(line.clone(), &line.repeat(500));
    match post(&served, "git-receive-pack").body(body).send().await {
        Ok(response) => {
            assert_eq!(response.status().as_u16(), 413);
            let said = response.text().await.unwrap();
            assert!(said.contains("names too many references at once"), "{said}");
        }
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert!(sent.load(Ordering::Relaxed) < 64 << 20);
    unharmed(&served, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beyond_the_limit_is_refused_before_the_body() {
    let served = served().await;
    let before = served.refs();
    for service in ["git-receive-pack", "git-upload-pack"] {
        let request = format!(
            "POST /team/hello.git/{service} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Basic a2xlaW46cG9kLWtsZWlu\r\nContent-Length: 1073741824\r\n\r\n"
        );
        let said = raw(&served, &request).await;
        assert!(said.starts_with("HTTP/1.1 413") && said.contains("the request is larger than"), "{said}");
    }
    unharmed(&served, &before).await;
}

/// Sends bytes as they are; what came back.
async fn raw(served: &Served, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(served.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is fine.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[rstest]
#[case::no_http("hello\r\n\r\n")]
#[case::no_version("GET /team/hello.git/info/refs\r\n\r\n")]
#[case::two_lengths(
    "POST /team/hello.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n0000"
)]
#[case::bad_length("POST /team/hello.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")]
#[case::bad_header("GET /healthz HTTP/1.1\r\nHost: x\r\nbad\0name: y\r\n\r\n")]
#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_refused(#[case] request: &str) {
    let served = served().await;
    let before = served.refs();
    let said = raw(&served, request).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    unharmed(&served, &before).await;
}

#[rstest]
#[case::garbage("git-receive-pack", "garbage", None, 400)]
#[case::cut("git-receive-pack", "00ff", None, 400)]
#[case::packed_push("git-receive-pack", "0000", Some("gzip"), 415)]
#[case::other_packing("git-upload-pack", "0000", Some("br"), 415)]
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_gits_are_refused_in_words(
    #[case] service: &str,
    #[case] body: &'static str,
    #[case] encoding: Option<&str>,
    #[case] status: u16,
) {
    let served = served().await;
    let before = served.refs();
    let mut request = post(&served, service).body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), status);
    let said = response.text().await.unwrap();
    assert!(said.contains("invalid") || said.contains("cut short"), "{said}");
    unharmed(&served, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_fetch_is_answered_and_damaged_packing_is_not() {
    use async_compression::tokio::bufread::GzipEncoder;

    let served = served().await;
    let head = ok(git(&served.root.join("team/hello.git"), &["rev-parse", "refs/heads/main"]).await);
    let ask = format!("0011command=fetch0001000fno-progress0032want {head}\n0009done\n0000");
    let mut packed = Vec::new();
    GzipEncoder::new(ask.as_bytes()).read_to_end(&mut packed).await.unwrap();
    let send = async |body: Vec<u8>| {
        let request = post(&served, "git-upload-pack").header("git-protocol", "version=2");
        let response = request.header("content-encoding", "gzip").body(body).send().await.unwrap();
        String::from_utf8_lossy(&response.bytes().await.unwrap_or_default()).into_owned()
    };
    assert!(send(packed.clone()).await.contains("PACK"));
    packed.truncate(packed.len() / 2);
    assert!(!send(packed).await.contains("PACK"));
    unharmed(&served, &served.refs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_does_not_flood_its_corner_with_references() {
    let served = served().await;
    let work = served.work("klein").await;
    let before = served.refs();
    let many: Vec<String> = (1..=17).map(|n| format!("HEAD:refs/phasegate/wip/uid-klein/{n}")).collect();
    let args: Vec<&str> = ["push", "--quiet", "origin"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let output = work.git(&args).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("a push may move at most 16 references"), "{said}");
    for name in ["1/x", "x", "01", "--upload-pack=x"] {
        let (passed, said) = work.push(&format!("HEAD:refs/phasegate/wip/uid-klein/{name}")).await;
        assert!(!passed && said.contains("is not for AgentTask klein"), "{name}: {said}");
    }
    unharmed(&served, &before).await;
}

#[rstest]
#[case("protocol.version=2")]
#[case("protocol.version=0")]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_does_not_fetch_what_is_hidden_from_it(#[case] version: &str) {
    let served = served().await;
    let work = served.work("klein").await;
    for name in ["refs/phasegate/logs/uid-klein/1", "refs/phasegate/wip/uid-klein/1"] {
        assert!(work.push(&format!("HEAD:{name}")).await.0);
        let remote = served.remote("check");
        let output = work.git(&["-c", version, "fetch", "--quiet", &remote, &format!("{name}:refs/heads/got")]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("couldn't find remote ref"), "{said}");
    }
    let listed = ok(work.git(&["-c", version, "ls-remote", &served.remote("check"), "refs/phasegate/*"]).await);
    assert_eq!(listed, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_namespace_learns_nothing_of_what_is_here() {
    let served = served().await;
    let ask = async |path: &str| {
        let url = format!("{}/{path}.git/info/refs?service=git-upload-pack", served.url);
        let response = http().get(url).basic_auth("klein", Some("elsewhere")).send().await.unwrap();
        (response.status(), response.text().await.unwrap().replace(path, "it"))
    };
    assert_eq!(ask("team/hello").await, ask("team/no-such").await);
    assert_eq!(ask("team/hello").await.0.as_u16(), 403);
    served.tasks.set("klein", TaskFacts { repository: "other".to_owned(), ..klein() });
    assert_eq!(ask("team/hello").await, ask("team/no-such").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pushes_of_different_work_to_one_branch_one_wins() {
    let served = served().await;
    let one = served.work("klein").await;
    assert!(one.push(&format!("HEAD:{BRANCH}")).await.0);
    let two = served.clone_of("klein", "second").await;
    ok(two.git(&["checkout", "--quiet", "feature/phase-1-a"]).await);
    for (work, name) in [(&one, "one"), (&two, "two")] {
        std::fs::write(work.dir.join(name), name).unwrap();
        work.commit(name).await;
    }
    let target = format!("HEAD:{BRANCH}");
    let (first, second) = tokio::join!(one.push(&target), two.push(&target));
    assert_ne!(first.0, second.0, "{first:?} {second:?}");
    let (winner, loser) = if first.0 { (&one, second.1) } else { (&two, first.1) };
    assert!(loser.contains("rejected") || loser.contains("failed to push"), "{loser}");
    assert!(served.refs().contains(&format!("{BRANCH} {}", winner.head().await)));
    served.sound();
}
