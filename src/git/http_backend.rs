//! Smart HTTP through `git http-backend`, streaming both ways.
//!
//! A request comes here after it was authorised. What it may see and push is put into the environment of the git process;
//! nothing of the request itself reaches git but its body, bounded and unpacked, and three checked headers.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin},
};
use tokio_util::io::ReaderStream;

use super::{
    auth::Grant,
    command::{Group, MAX_OBJECT, PIECE, bare_command, end},
    flow, hook,
    names::RepositoryId,
    request::{Bounded, is_gzip},
    transfers::Permit,
};

/// Longest time of one transfer.
const TRANSFER_TIMEOUT: Duration = Duration::from_mins(30);
/// Longest time until git answers its first line: receiving and checking a large push comes before it.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(20);
/// Most bytes read of a request that git has refused before its end, and longest time for it.
const MAX_REST: u64 = 64 << 20;
const REST_TIMEOUT: Duration = Duration::from_mins(1);
/// Most bytes of the answer's head.
const MAX_HEAD: u64 = 16 << 10;
/// Most bytes of git's complaints that are logged.
const MAX_COMPLAINT: u64 = 4 << 10;

/// Configuration of people's requests. All references are hidden from them but these; what only a hidden one leads to is
/// not theirs to fetch by its id either, and ids stand in statuses. Hence the opposite of what task pods may.
const FOR_PEOPLE: [(&str, &str); 7] = [
    ("transfer.hideRefs", "refs"),
    ("transfer.hideRefs", "!refs/heads"),
    ("transfer.hideRefs", "!refs/tags"),
    ("transfer.hideRefs", "!refs/notes"),
    // What a phase has to merge, where no branch holds it.
    ("transfer.hideRefs", "!refs/phasegate/to-merge"),
    ("uploadpack.allowAnySHA1InWant", "false"),
    ("receive.denyNonFastForwards", "true"),
];
/// How a client asks for a newer protocol.
const PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

/// One of the four requests a git client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// What can be fetched.
    FetchRefs,
    /// Fetch.
    Fetch,
    /// What can be pushed on.
    PushRefs,
    /// Push.
    Push,
}

impl Endpoint {
    /// The request for this method, path below the repository, and query; anything else is not served.
    pub(super) fn of(method: &str, path: &str, query: Option<&str>) -> Option<Self> {
        match (method, path, query) {
            ("GET", "info/refs", Some("service=git-upload-pack")) => Some(Self::FetchRefs),
            ("GET", "info/refs", Some("service=git-receive-pack")) => Some(Self::PushRefs),
            ("POST", "git-upload-pack", None | Some("")) => Some(Self::Fetch),
            ("POST", "git-receive-pack", None | Some("")) => Some(Self::Push),
            _ => None,
        }
    }

    /// Whether it is about pushing.
    pub(super) fn writes(self) -> bool {
        match self {
            Self::PushRefs | Self::Push => true,
            Self::FetchRefs | Self::Fetch => false,
        }
    }

    /// Name in metrics and logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FetchRefs => "fetch-refs",
            Self::Fetch => "fetch",
            Self::PushRefs => "push-refs",
            Self::Push => "push",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::FetchRefs | Self::PushRefs => "GET",
            Self::Fetch | Self::Push => "POST",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::FetchRefs | Self::PushRefs => "info/refs",
            Self::Fetch => "git-upload-pack",
            Self::Push => "git-receive-pack",
        }
    }

    fn query(self) -> &'static str {
        match self {
            Self::FetchRefs => "service=git-upload-pack",
            Self::PushRefs => "service=git-receive-pack",
            Self::Fetch | Self::Push => "",
        }
    }
}

/// Where repositories and hooks are, and how much one push may bring.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) root: PathBuf,
    pub(super) hooks: PathBuf,
    /// Bytes of a pack.
    pub(super) max_push: u64,
}

impl Backend {
    /// Hands one authorised request to git. The answer streams; the git process ends with it, or with its time.
    pub(super) async fn serve(
        &self,
        endpoint: Endpoint,
        repository: &RepositoryId,
        grant: &Grant,
        parts: &Parts,
        body: Bounded,
        permit: Permit,
    ) -> io::Result<Response> {
        let mut child = self.command(endpoint, repository, grant, parts).spawn()?;
        let group = Group::of(&child);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("git http-backend has no pipes"));
        };
        tokio::spawn(feed(body, stdin));
        let watch = Watch { endpoint, repository: repository.to_string(), caller: grant.caller.clone() };
        tokio::spawn(async move {
            watch.until_end(child, group, stderr).await;
            drop(permit);
        });
        let mut stdout = BufReader::with_capacity(PIECE, stdout);
        let response = tokio::time::timeout(ANSWER_TIMEOUT, head(&mut stdout)).await;
        let response = response.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        response.body(Body::from_stream(ReaderStream::with_capacity(stdout, PIECE))).map_err(io::Error::other)
    }

    fn command(
        &self,
        endpoint: Endpoint,
        repository: &RepositoryId,
        grant: &Grant,
        parts: &Parts,
    ) -> tokio::process::Command {
        let hooks = self.hooks.to_string_lossy();
        let limit = self.max_push.to_string();
        let receive = if endpoint.writes() { "true" } else { "false" };
        let mut config =
            vec![("core.hooksPath", &*hooks), ("receive.maxInputSize", &limit), ("http.receivepack", receive)];
        if grant.push.iter().any(|name| name == flow::UPSTREAM) {
            // The hook allows it for the mirror alone.
            config.push(("receive.denyDeletes", "false"));
        }
        let shown: Vec<String> = shown_private(endpoint, grant);
        if grant.person {
            config.extend(FOR_PEOPLE);
        } else if !grant.sees_private {
            config.push(("transfer.hideRefs", "refs/phasegate"));
            config.extend(shown.iter().map(|folder| ("transfer.hideRefs", folder.as_str())));
        }
        let mut command = bare_command("git", &config);
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_ALLOC_LIMIT", MAX_OBJECT)
            .env("PATH_INFO", format!("/{}/{}.git/{}", repository.namespace(), repository.name(), endpoint.path()))
            .env("QUERY_STRING", endpoint.query())
            .env("REQUEST_METHOD", endpoint.method())
            .env("REMOTE_USER", "phasegate")
            .env("REMOTE_ADDR", "-")
            .env(hook::ALLOWED, grant.push.join(" "))
            .env(hook::PERSON, if grant.person { "yes" } else { "no" })
            .env(hook::CALLER, grant.closed.as_deref().unwrap_or(&grant.caller))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let passed = [
            (header::CONTENT_TYPE, "CONTENT_TYPE"),
            (header::CONTENT_LENGTH, "CONTENT_LENGTH"),
            (PROTOCOL, "GIT_PROTOCOL"),
        ];
        for (name, variable) in passed {
            // What was unpacked has another length.
            if name == header::CONTENT_LENGTH && is_gzip(parts) {
                continue;
            }
            // Version 2 gives whatever object a client names; the first one looks whether a shown reference leads to it.
            if grant.person && name == PROTOCOL {
                continue;
            }
            if let Some(value) = parts.headers.get(name).and_then(|value| value.to_str().ok()).filter(|v| plain(v)) {
                command.env(variable, value);
            }
        }
        command
    }
}

/// A value of one of the headers we hand on.
fn plain(value: &str) -> bool {
    value.len() <= 100 && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=:-/.+;, ".contains(&byte))
}

/// The private folders a caller pushes to must not be hidden from it: git refuses pushes to hidden references. Neither
/// must what it may fetch, when it fetches.
fn shown_private(endpoint: Endpoint, grant: &Grant) -> Vec<String> {
    let read: &[String] = if endpoint.writes() { &[] } else { &grant.read };
    let folders = grant.push.iter().filter(|name| name.starts_with("refs/phasegate/")).chain(read);
    folders.map(|name| format!("!{}", name.trim_end_matches('/'))).collect()
}

/// The request's body goes to git.
async fn feed(body: Bounded, mut stdin: ChildStdin) {
    let mut body = BufReader::with_capacity(PIECE, body);
    let copied = tokio::time::timeout(TRANSFER_TIMEOUT, tokio::io::copy_buf(&mut body, &mut stdin)).await;
    match copied {
        Ok(Ok(bytes)) => tracing::debug!(bytes, "request body handed to git"),
        // Git ended first, or the client left; both are told elsewhere. A client hears git's words once it has sent all.
        Ok(Err(error)) => {
            tracing::debug!(%error, "request body was cut short");
            let (mut rest, mut nowhere) = (body.take(MAX_REST), tokio::io::sink());
            let _ = tokio::time::timeout(REST_TIMEOUT, tokio::io::copy(&mut rest, &mut nowhere)).await;
        }
        Err(_) => tracing::warn!("request body took too long"),
    }
    let _ = stdin.shutdown().await;
}

/// Sees a git process to its end.
struct Watch {
    endpoint: Endpoint,
    repository: String,
    caller: String,
}

impl Watch {
    async fn until_end(self, mut child: Child, group: Group, stderr: ChildStderr) {
        let complaint = tokio::spawn(complaint(stderr));
        let status = match tokio::time::timeout(TRANSFER_TIMEOUT, child.wait()).await {
            Ok(status) => {
                group.forget();
                status.ok()
            }
            Err(_) => end(&mut child, &group).await,
        };
        let said = complaint.await.unwrap_or_default();
        let Self { endpoint, repository, caller } = self;
        if endpoint == Endpoint::Push && status.is_some_and(|status| status.success()) && said.is_empty() {
            tracing::info!(%repository, %caller, "a push ended");
        } else if status.is_some_and(|status| status.success()) && said.is_empty() {
            tracing::debug!(%repository, %caller, endpoint = endpoint.name(), "transfer ended");
        } else {
            tracing::info!(%repository, %caller, endpoint = endpoint.name(), ?status, said, "transfer ended with words");
        }
    }
}

async fn complaint(mut stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let _ = (&mut stderr).take(MAX_COMPLAINT).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// The CGI head: header lines up to an empty one (RFC 3875, section 6).
async fn head(stdout: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<http::response::Builder> {
    let mut response = Response::builder().status(StatusCode::OK);
    let mut left = MAX_HEAD;
    loop {
        let mut line = String::new();
        let read = (&mut *stdout).take(left).read_line(&mut line).await?;
        left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        if read == 0 || left == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "git http-backend ended without an answer"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(response);
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse::<u16>().ok()).unwrap_or(500);
            response = response.status(code);
        } else if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response = response.header(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GET", "info/refs", Some("service=git-upload-pack"), Some(Endpoint::FetchRefs))]
    #[case("GET", "info/refs", Some("service=git-receive-pack"), Some(Endpoint::PushRefs))]
    #[case("POST", "git-upload-pack", None, Some(Endpoint::Fetch))]
    #[case("POST", "git-receive-pack", None, Some(Endpoint::Push))]
    #[case("GET", "info/refs", None, None)]
    #[case("GET", "info/refs", Some("service=git-upload-archive"), None)]
    #[case("GET", "HEAD", None, None)]
    #[case("GET", "objects/info/packs", None, None)]
    #[case("GET", "config", None, None)]
    #[case("POST", "info/refs", Some("service=git-upload-pack"), None)]
    fn only_the_four_requests_of_a_client_are_served(
        #[case] method: &str,
        #[case] path: &str,
        #[case] query: Option<&str>,
        #[case] endpoint: Option<Endpoint>,
    ) {
        assert_eq!(Endpoint::of(method, path, query), endpoint);
    }

    #[tokio::test]
    async fn an_answer_without_an_end_of_its_head_is_an_error() {
        for bytes in [b"".to_vec(), b"Status: 200 OK\r\n".to_vec(), vec![b'a'; 1 << 20]] {
            assert!(head(&mut BufReader::new(&bytes[..])).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_status_line_and_headers_are_taken_over() {
        let bytes = b"Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nbody";
        let response = head(&mut BufReader::new(&bytes[..])).await.unwrap().body(()).unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()["content-type"], "text/plain");
    }
}
