//! What git clients send, unpacked and bounded before git sees any of it.
//!
//! Git itself puts no bound on what it unpacks (a request's gzip) nor on the list of references that a push wants to move,
//! and keeps both in memory.

use std::{io, time::Duration};

use async_compression::tokio::bufread::GzipDecoder;
use axum::{
    body::Body,
    http::{StatusCode, header, request::Parts},
};
use futures::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use super::http_backend::Endpoint;

/// Most bytes a fetch may ask with, unpacked.
const MAX_FETCH: u64 = 64 << 20;
/// Most bytes of the list of references that a push wants to move: some ten thousand, for mirrors of large upstreams.
const MAX_COMMANDS: usize = 2 << 20;
/// Bytes a push may have beside its pack.
const BESIDE_PACK: u64 = 16 << 20;
/// Longest time until that list is complete.
const COMMANDS_TIMEOUT: Duration = Duration::from_mins(1);

/// A request's body as git gets it.
pub(super) type Bounded = Box<dyn AsyncRead + Send + Unpin>;

/// Why a request does not reach git: a status and words for a person.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) words: String,
}

fn refusal<T>(status: StatusCode, words: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, words: words.into() })
}

/// Whether the body is packed in the one way that git clients pack.
pub(super) fn is_gzip(parts: &Parts) -> bool {
    parts.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip" || value == "x-gzip")
}

/// Looks at a request's head and, for a push, at the list of references before the pack (gitprotocol-pack, "Reference
/// Update Request"). The body ends early where a limit is: git then sees a request that is cut short, and refuses it.
pub(super) async fn accept(endpoint: Endpoint, parts: &Parts, body: Body, max_push: u64) -> Result<Bounded, Refusal> {
    let limit = match endpoint {
        Endpoint::Push => max_push.saturating_add(BESIDE_PACK),
        Endpoint::Fetch => MAX_FETCH,
        Endpoint::FetchRefs | Endpoint::PushRefs => return Ok(Box::new(tokio::io::empty())),
    };
    let packed = is_gzip(parts);
    if parts.headers.contains_key(header::CONTENT_ENCODING) && (!packed || endpoint == Endpoint::Push) {
        let words = "invalid Content-Encoding: a fetch may be packed with gzip, a push is sent as it is";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, words);
    }
    if declared(parts).is_some_and(|length| length > limit) {
        let words = format!("the request is larger than {} MiB, the most this service takes", limit >> 20);
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, words);
    }
    let mut reader = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    if endpoint == Endpoint::Push {
        let Ok(commands) = tokio::time::timeout(COMMANDS_TIMEOUT, commands(&mut reader)).await else {
            return refusal(StatusCode::REQUEST_TIMEOUT, "the list of references took too long to come; push again");
        };
        return Ok(Box::new(io::Cursor::new(commands?).chain(reader).take(limit)));
    }
    Ok(if packed { Box::new(GzipDecoder::new(reader).take(limit)) } else { Box::new(reader.take(limit)) })
}

fn declared(parts: &Parts) -> Option<u64> {
    parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The lines before the pack with the flush packet that ends them, as they came.
async fn commands(reader: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Refusal> {
    let mut read = Vec::new();
    loop {
        let start = read.len();
        take(reader, &mut read, 4).await?;
        let digits = read.get(start..).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
            Some(0) => return Ok(read),
            Some(length @ 5..) if start + length <= MAX_COMMANDS => take(reader, &mut read, length - 4).await?,
            Some(5..) => {
                let words = "the push names too many references at once; push fewer, several times";
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, words);
            }
            Some(_) | None => return refusal(StatusCode::BAD_REQUEST, "invalid request: this is not a push of git"),
        }
    }
}

/// Adds exactly so many bytes.
async fn take(reader: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>, bytes: usize) -> Result<(), Refusal> {
    let start = read.len();
    read.resize(start + bytes, 0);
    let place = read.get_mut(start..).unwrap_or_default();
    match reader.read_exact(place).await {
        Ok(_) => Ok(()),
        Err(error) => refusal(StatusCode::BAD_REQUEST, format!("the request was cut short: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::GzipEncoder;
    use rstest::rstest;
    use tokio::io::BufReader;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    async fn length(mut body: Bounded) -> u64 {
        tokio::io::copy(&mut body, &mut tokio::io::sink()).await.unwrap()
    }

    #[tokio::test]
    async fn a_packed_fetch_is_cut_where_it_unpacks_beyond_the_limit() {
        let mut bomb = Vec::new();
        let zeros = BufReader::new(tokio::io::repeat(0).take(MAX_FETCH + (32 << 20)));
        GzipEncoder::new(zeros).read_to_end(&mut bomb).await.unwrap();
        assert!(bomb.len() < 1 << 20);
        let body = accept(Endpoint::Fetch, &parts(&[("content-encoding", "gzip")]), Body::from(bomb), 1).await.unwrap();
        assert_eq!(length(body).await, MAX_FETCH);
    }

    #[tokio::test]
    async fn a_push_comes_through_whole_and_a_probe_too() {
        for body in ["0000", "0005a0000PACK and more", "0005a00000000"] {
            let mut read = Vec::new();
            let mut bounded = accept(Endpoint::Push, &parts(&[]), Body::from(body), 1).await.unwrap();
            bounded.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, body.as_bytes());
        }
    }

    #[rstest]
    #[case::empty("", 400)]
    #[case::cut("0009a", 400)]
    #[case::no_flush("0005a", 400)]
    #[case::no_length("PACK", 400)]
    #[case::delimiter("0001", 400)]
    #[case::no_content("00040000", 400)]
    #[case::sign("+005a0000", 400)]
    #[tokio::test]
    async fn what_is_no_push_is_refused(#[case] body: &'static str, #[case] status: u16) {
        let refusal = accept(Endpoint::Push, &parts(&[]), Body::from(body), 1).await.err().unwrap();
        assert_eq!(refusal.status.as_u16(), status, "{}", refusal.words);
    }

    #[tokio::test]
    async fn a_list_of_references_has_an_end() {
        let line = format!("fff0{}", "a".repeat(0xfff0 - 4));
        let list = |lines: usize| Body::from(line.repeat(lines) + "0000");
        assert!(accept(Endpoint::Push, &parts(&[]), list(32), 64 << 20).await.is_ok());
        let refusal = accept(Endpoint::Push, &parts(&[]), list(33), 64 << 20).await.err().unwrap();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[rstest]
    #[case::push_in_gzip(Endpoint::Push, "content-encoding", "gzip", 415)]
    #[case::fetch_in_deflate(Endpoint::Fetch, "content-encoding", "deflate", 415)]
    #[case::fetch_twice_packed(Endpoint::Fetch, "content-encoding", "gzip, gzip", 415)]
    #[case::push(Endpoint::Push, "content-length", "1073741824", 413)]
    #[case::fetch(Endpoint::Fetch, "content-length", "1073741824", 413)]
    #[tokio::test]
    async fn the_head_of_a_request_is_looked_at_first(
        #[case] endpoint: Endpoint,
        #[case] name: &str,
        #[case] value: &str,
        #[case] status: u16,
    ) {
        let refusal = accept(endpoint, &parts(&[(name, value)]), Body::from("0000"), 1).await.err().unwrap();
        assert_eq!(refusal.status.as_u16(), status);
    }
}
