//! The answer to a request over HTTP/1.1, as bytes.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::date::get_cached_date;

use crate::proxy::wire::Outgoing;

/// What is said of the connection, by nobody but us.
static OURS: [HeaderName; 3] =
    [header::CONNECTION, HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")];

/// How its body is delimited.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    /// It has none: it answers HEAD, or is of a status without one.
    No,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head, once written.
    head: Option<Box<ResponseHeader>>,
    body: Body,
    is_ended: bool,
    /// Bytes of its body that were written.
    sent: usize,
    /// The connection may be used again after it.
    keeps: bool,
}

impl Answer {
    /// Nothing of it so far; `keeps`: the connection may be used again after it.
    pub(super) fn new(keeps: bool) -> Self {
        Self { head: None, body: Body::No, is_ended: false, sent: 0, keeps }
    }

    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the connection may be used again, as its head has said.
    pub(super) fn keeps(&self) -> bool {
        self.keeps && self.is_ended
    }

    /// The connection is not to be used again. Without effect behind the head.
    pub(super) fn close(&mut self) {
        self.keeps &= self.head.is_some();
    }

    /// Writes a part of it to `out`. What comes behind its end is for nobody.
    pub(super) fn write(&mut self, task: HttpTask, request: &RequestHeader, out: &mut Outgoing) {
        match task {
            HttpTask::Header(head, end) => {
                self.write_head(head, request, out);
                if end {
                    self.end(out);
                }
            }
            HttpTask::Body(piece, end) | HttpTask::UpgradedBody(piece, end) => {
                if let Some(piece) = piece {
                    self.write_piece(piece, out);
                }
                if end {
                    self.end(out);
                }
            }
            // Trailers would have to be announced.
            HttpTask::Trailer(_) | HttpTask::Done => self.end(out),
            HttpTask::Failed(_) => {}
        }
    }

    fn write_head(&mut self, head: Box<ResponseHeader>, request: &RequestHeader, out: &mut Outgoing) {
        if self.head.is_some() {
            return;
        }
        let is_interim = head.status.is_informational();
        if !is_interim {
            self.body = body(&head, request);
            self.keeps &= self.body != Body::UntilClose;
        }
        status_line(&head, out);
        for (name, value) in head.headers.iter().filter(|(name, _)| !OURS.contains(name)) {
            line(name, value.as_bytes(), out);
        }
        if is_interim {
            return out.push(b"\r\n");
        }
        if !head.headers.contains_key(header::DATE) {
            line(&header::DATE, get_cached_date().as_bytes(), out);
        }
        let connection = if self.keeps { &b"connection: keep-alive\r\n\r\n"[..] } else { b"connection: close\r\n\r\n" };
        out.push(connection);
        self.head = Some(head);
    }

    fn write_piece(&mut self, mut piece: Bytes, out: &mut Outgoing) {
        if self.is_ended || self.head.is_none() {
            return;
        }
        match &mut self.body {
            Body::No => return,
            Body::Length(left) => {
                // More would be taken for the next answer.
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            Body::Chunked if piece.is_empty() => return,
            Body::Chunked => {
                let mut size = [0; 18];
                out.push(chunk_size(piece.len(), &mut size));
                self.sent += piece.len();
                out.push_shared(piece);
                return out.push(b"\r\n");
            }
            Body::UntilClose => {}
        }
        self.sent += piece.len();
        out.push_shared(piece);
    }

    /// Ends it. One that is shorter than its head said stays visibly short.
    fn end(&mut self, out: &mut Outgoing) {
        if self.is_ended || self.head.is_none() {
            return;
        }
        match self.body {
            Body::Chunked => out.push(b"0\r\n\r\n"),
            Body::Length(left) if left > 0 => return self.keeps = false,
            Body::No | Body::Length(_) | Body::UntilClose => {}
        }
        self.is_ended = true;
    }
}

/// How the body of an answer with this head is delimited.
fn body(head: &ResponseHeader, request: &RequestHeader) -> Body {
    if request.method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Body::No;
    }
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Body::Chunked;
    }
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(Body::UntilClose, Body::Length)
}

fn status_line(head: &ResponseHeader, out: &mut Outgoing) {
    out.push(b"HTTP/1.1 ");
    out.push(head.status.as_str().as_bytes());
    out.push(b" ");
    out.push(head.get_reason_phrase().unwrap_or_default().as_bytes());
    out.push(b"\r\n");
}

fn line(name: &HeaderName, value: &[u8], out: &mut Outgoing) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.push(part);
    }
}

/// The line with a chunk's size, in `room`.
fn chunk_size(size: usize, room: &mut [u8; 18]) -> &[u8] {
    room[16..].copy_from_slice(b"\r\n");
    let (mut at, mut left) = (16, size);
    loop {
        at -= 1;
        room[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 || at == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> RequestHeader {
        RequestHeader::build_no_case(method, b"/", None).expect("a head")
    }

    fn head(status: u16, headers: &[(&'static str, &'static str)]) -> HttpTask {
        let mut head = ResponseHeader::build_no_case(status, None).expect("a head");
        head.insert_header("date", "now").expect("a header");
        for (name, value) in headers {
            head.append_header(*name, *value).expect("a header");
        }
        HttpTask::Header(Box::new(head), false)
    }

    fn piece(bytes: &'static [u8], end: bool) -> HttpTask {
        HttpTask::Body(Some(Bytes::from_static(bytes)), end)
    }

    /// What is written, whether it has ended, and whether the connection stays.
    fn written(method: &str, tasks: Vec<HttpTask>) -> (String, bool, bool) {
        let (mut answer, mut out) = (Answer::new(true), Outgoing::default());
        for task in tasks {
            answer.write(task, &request(method), &mut out);
        }
        (String::from_utf8(out.bytes()).expect("text"), answer.is_ended(), answer.keeps())
    }

    #[test]
    fn answers_are_written_as_the_rules_say() {
        let start = "HTTP/1.1 200 OK\r\ndate: now\r\n";
        let chunked = vec![
            head(200, &[("transfer-encoding", "chunked"), ("connection", "close"), ("keep-alive", "x")]),
            piece(b"0123456789abcdefg", false),
            piece(b"", false),
            HttpTask::Done,
            piece(b"late", true),
        ];
        let text = format!(
            "{start}transfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n"
        );
        assert_eq!(written("POST", chunked), (text, true, true));
        let long = vec![head(200, &[("content-length", "3")]), piece(b"abcd", true)];
        let text = format!("{start}content-length: 3\r\nconnection: keep-alive\r\n\r\nabc");
        assert_eq!(written("POST", long), (text, true, true));
        let short = vec![head(200, &[("content-length", "3")]), piece(b"ab", true)];
        let text = format!("{start}content-length: 3\r\nconnection: keep-alive\r\n\r\nab");
        assert_eq!(written("POST", short), (text, false, false));
        let unknown = vec![head(200, &[]), piece(b"ab", true)];
        assert_eq!(written("POST", unknown), (format!("{start}connection: close\r\n\r\nab"), true, false));
        let asked = vec![head(200, &[("content-length", "3")]), piece(b"abc", true)];
        let text = format!("{start}content-length: 3\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(written("HEAD", asked), (text, true, true));
        let interim = vec![head(100, &[]), head(204, &[]), HttpTask::Done];
        let text = "HTTP/1.1 100 Continue\r\ndate: now\r\n\r\nHTTP/1.1 204 No Content\r\ndate: now\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(written("POST", interim), (text.into(), true, true));
    }

    #[test]
    fn sizes_of_chunks_are_hexadecimal() {
        for size in [0, 1, 15, 16, 255, 4096, usize::MAX] {
            assert_eq!(chunk_size(size, &mut [0; 18]), format!("{size:x}\r\n").as_bytes());
        }
    }
}
