//! The record of a request whose head is refused before anything else of it is taken in.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::recorder::Recorder;
use crate::openai::{ApiError, Dialect};
use crate::telemetry::Record;

/// Where nothing can be told.
const UNKNOWN: &str = "-";

/// Longest method and path that are told of a head that is not understood: bytes.
const LONGEST: (usize, usize) = (32, 256);

/// A head that is refused, as far as it is understood.
#[derive(Debug)]
pub(super) struct RefusedHead {
    pub(super) error: ApiError,
    pub(super) method: String,
    /// Without query.
    pub(super) path: String,
    /// From its first byte on.
    pub(super) took: Duration,
}

impl RefusedHead {
    /// Of a request for `target`, whose head is understood.
    pub(super) fn of(error: ApiError, method: &str, target: &[u8]) -> Self {
        Self { error, method: method.to_owned(), path: path(target), took: Duration::ZERO }
    }

    /// Of what begins with these bytes.
    pub(super) fn unreadable(error: ApiError, bytes: &[u8]) -> Self {
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let is_method = |word: &&[u8]| {
            (1..=LONGEST.0).contains(&word.len()) && word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
        };
        let Some(method) = words.next().filter(is_method) else { return Self::of(error, UNKNOWN, b"") };
        Self::of(error, &String::from_utf8_lossy(method), words.next().unwrap_or_default())
    }

    /// Tells that it was refused, under this id.
    pub(super) fn record(&self, recorder: &Recorder, id: &str, client: Option<IpAddr>) {
        let record = Record {
            id,
            trace_id: None,
            client,
            caller: None,
            method: &self.method,
            path: &self.path,
            endpoint: None,
            model: None,
            unknown_model: None,
            alias: None,
            engine: None,
            status: self.error.status,
            stream: false,
            bytes_in: 0,
            bytes_out: if self.method == "HEAD" { 0 } else { self.error.body(Dialect::OpenAi).len() },
            ended: SystemTime::now(),
            took: self.took,
            first_token: None,
            first_token_came: None,
            overhead: self.took,
            retries: 0,
            usage: None,
            is_estimate: false,
            stream_end: None,
            error: Some(self.error.code),
            queue: None,
            attempts: &[],
        };
        recorder.publish(&record, None, None, None, None);
    }
}

/// The path of a target. One that is no path may name a user and a password: it is not told.
fn path(target: &[u8]) -> String {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if !path.starts_with(b"/") || !path.iter().all(u8::is_ascii_graphic) {
        return UNKNOWN.to_owned();
    }
    let told = String::from_utf8_lossy(path.get(..LONGEST.1).unwrap_or(path));
    if path.len() > LONGEST.1 { format!("{told}…") } else { told.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::Code;

    #[test]
    fn what_can_be_told_of_a_head_is_told_and_nothing_that_is_secret() {
        let words = |bytes: &[u8]| {
            let refused = RefusedHead::unreadable(ApiError::new(Code::InvalidHttp, "no"), bytes);
            (refused.method, refused.path)
        };
        let pair = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        assert_eq!(words(b"POST /v1/x?key=secret HTTP/1.1\r\nx y: z\r\n"), pair("POST", "/v1/x"));
        assert_eq!(words(b"GET http://user:secret@host/ HTTP/1.1\r\n"), pair("GET", "-"));
        assert_eq!(words(b"GET\r\n\r\n"), pair("GET", "-"));
        for bad in [&b"\x16\x03\x01 /x"[..], b"", b"\r\n", b"get /x"] {
            assert_eq!(words(bad), pair("-", "-"), "{}", bad.escape_ascii());
        }
        assert_eq!(words(b"GET /a\x1b[2J HTTP/1.1"), pair("GET", "-"));
        let (_, long) = words(&[&b"GET /"[..], &[b'x'; 1000]].concat());
        assert_eq!(long.chars().count(), LONGEST.1 + 1);
    }
}
