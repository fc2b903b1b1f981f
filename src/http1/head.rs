//! Heads of HTTP/1.1 messages, as bytes (RFC 9112).

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::ResponseHeader;

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 256 * 1024;

/// Header lines of nearly every answer, and of any.
const FEW: usize = 32;
const MAX_LINES: usize = 256;

/// Writes the head of a request.
#[derive(Debug)]
pub struct RequestHead(BytesMut);

impl RequestHead {
    /// With its first line; `path` and `query` are valid in a URI.
    #[must_use]
    pub fn new(method: &Method, path: &str, query: Option<&str>) -> Self {
        let mut head = BytesMut::with_capacity(1024);
        for part in [method.as_str(), " ", path] {
            head.extend_from_slice(part.as_bytes());
        }
        if let Some(query) = query {
            head.extend_from_slice(b"?");
            head.extend_from_slice(query.as_bytes());
        }
        head.extend_from_slice(b" HTTP/1.1\r\n");
        Self(head)
    }

    /// Adds a header.
    pub fn push(&mut self, name: &HeaderName, value: &[u8]) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn end(mut self) -> Bytes {
        self.0.extend_from_slice(b"\r\n");
        self.0.freeze()
    }
}

/// The head of an answer breaks the rules, or is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the head is not one of HTTP/1.1, or too large")]
pub struct Malformed;

/// Takes the head of an answer out of `buffer`; `None`: it is not whole. Values are not copied.
///
/// # Errors
/// It breaks the rules, or is too large.
pub fn take_response(buffer: &mut BytesMut) -> Result<Option<ResponseHeader>, Malformed> {
    let mut lines = [httparse::EMPTY_HEADER; FEW];
    match parse(buffer, &mut lines) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
            let parsed = parse(buffer, &mut lines).map_err(|_| Malformed)?;
            taken(parsed, buffer)
        }
        parsed => taken(parsed.map_err(|_| Malformed)?, buffer),
    }
}

/// What a head says: its size, status, version, reason where it is an unusual one, and its lines as places in the buffer.
type Parsed = Option<(usize, StatusCode, Version, Option<String>, Vec<(HeaderName, usize, usize)>)>;

fn parse<'b>(buffer: &'b [u8], lines: &mut [httparse::Header<'b>]) -> Result<Parsed, httparse::Error> {
    let mut head = httparse::Response::new(lines);
    let size = match head.parse(buffer)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial => return Ok(None),
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(httparse::Error::Status)?;
    let version = if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let reason = head.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason());
    let mut fields = Vec::with_capacity(head.headers.len());
    for line in &*head.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        // All values lie in the buffer.
        let at = line.value.as_ptr().addr().saturating_sub(buffer.as_ptr().addr());
        fields.push((name, at, at + line.value.len()));
    }
    Ok(Some((size, status, version, reason.map(str::to_owned), fields)))
}

fn taken(parsed: Parsed, buffer: &mut BytesMut) -> Result<Option<ResponseHeader>, Malformed> {
    let Some((size, status, version, reason, fields)) = parsed else {
        return if buffer.len() > MAX_HEAD { Err(Malformed) } else { Ok(None) };
    };
    let bytes = buffer.split_to(size).freeze();
    // Room for what is added on the way to the caller.
    let mut headers = HeaderMap::with_capacity(fields.len() + 4);
    for (name, start, end) in fields {
        // An empty value may be a place of its own.
        let value = if start < end && end <= size { bytes.slice(start..end) } else { Bytes::new() };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Malformed)?);
    }
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.version, parts.headers) = (status, version, headers);
    let mut head = ResponseHeader::from(parts);
    head.set_reason_phrase(reason.as_deref()).map_err(|_| Malformed)?;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use http::header;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_written_as_the_rules_say() {
        let mut head = RequestHead::new(&Method::POST, "/v1/chat/completions", Some("a=b"));
        head.push(&header::HOST, b"engine:8000");
        head.push(&header::ACCEPT, b"\xc3\xa4");
        let written = b"POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: engine:8000\r\naccept: \xc3\xa4\r\n\r\n";
        assert_eq!(&head.end()[..], written);
    }

    #[test]
    fn an_answer_is_read_and_what_is_behind_its_head_stays() {
        let mut buffer =
            BytesMut::from(&b"HTTP/1.1 200 Fine\r\nX-Twice: 1\r\nx-twice: \xfc 2 \r\nempty:\r\n\r\nbody"[..]);
        let head = take_response(&mut buffer).expect("valid").expect("whole");
        assert_eq!(
            (head.status.as_u16(), head.version, head.get_reason_phrase()),
            (200, Version::HTTP_11, Some("Fine"))
        );
        let twice: Vec<_> = head.headers.get_all("x-twice").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(twice, [&b"1"[..], b"\xfc 2"]);
        assert!(head.headers["empty"].is_empty() && !head.has_case());
        assert_eq!(&buffer[..], b"body");
        let mut old = BytesMut::from(&b"HTTP/1.0 404 Not Found\r\n\r\n"[..]);
        let head = take_response(&mut old).expect("valid").expect("whole");
        assert_eq!((head.status.as_u16(), head.version), (404, Version::HTTP_10));
    }

    #[test]
    fn heads_of_many_lines_are_read_and_endless_ones_refused() {
        let of = |lines: usize| {
            let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            (0..lines).for_each(|line| buffer.extend_from_slice(format!("x-{line}: {line}\r\n").as_bytes()));
            buffer.extend_from_slice(b"\r\n");
            take_response(&mut buffer)
        };
        for lines in [FEW, FEW + 1, MAX_LINES] {
            assert_eq!(of(lines).expect("valid").expect("whole").headers.len(), lines);
        }
        assert_eq!(of(MAX_LINES + 1).err(), Some(Malformed));
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; MAX_HEAD]].concat();
        assert_eq!(take_response(&mut BytesMut::from(&endless[..])).err(), Some(Malformed));
        for bad in [&b"HTTP/2 200 OK\r\n\r\n"[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n", b"\0"] {
            assert_eq!(take_response(&mut BytesMut::from(bad)).err(), Some(Malformed), "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take_response(&mut BytesMut::from(&bytes[..]));
            let _ = take_response(&mut BytesMut::from(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()[..]));
        }
    }
}
