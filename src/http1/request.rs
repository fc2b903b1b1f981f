//! The heads of requests.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, Uri, Version};
use httparse::{Header, Status};
use pingora::http::RequestHeader;

use super::head::{self, Line, UnreadableHead};

/// The longest target that can be kept (of the crate `http`): bytes.
const MAX_TARGET: usize = 65_534;

/// Size, method, where the target is, version, and the header lines.
type Parsed = (usize, Method, (usize, usize), Version, Vec<Line>);

/// Takes the head of a request out of `buffer`; `None`: it is not whole.
///
/// # Errors
/// It breaks the rules, or is too large.
pub fn take_request(buffer: &mut BytesMut) -> Result<Option<RequestHeader>, UnreadableHead> {
    let Some((size, method, (start, end), version, lines)) = head::read(buffer, parse)? else { return Ok(None) };
    if end - start > MAX_TARGET {
        return Err(UnreadableHead::TargetTooLong);
    }
    let target = Bytes::copy_from_slice(&buffer[start..end]);
    let headers = head::take(buffer, size, lines, 0)?;
    if let Some(uri) = Uri::from_maybe_shared(target.clone()).ok().filter(|_| target.starts_with(b"/")) {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, version, headers);
        return Ok(Some(parts.into()));
    }
    // Another form of a target is kept as it came.
    let malformed = |_| UnreadableHead::Malformed;
    let mut head = RequestHeader::build_no_case(method, &target, Some(headers.len())).map_err(malformed)?;
    head.set_version(version);
    for (name, value) in &headers {
        head.append_header(name.clone(), value.clone()).map_err(malformed)?;
    }
    Ok(Some(head))
}

fn parse<'b>(buffer: &'b [u8], lines: &mut [Header<'b>]) -> Result<Option<Parsed>, httparse::Error> {
    let mut head = httparse::Request::new(lines);
    let Status::Complete(size) = head.parse(buffer)? else { return Ok(None) };
    let method = head.method.and_then(|method| method.parse().ok()).ok_or(httparse::Error::Token)?;
    let target = head.path.filter(|target| !target.is_empty()).ok_or(httparse::Error::Token)?;
    let start = target.as_ptr().addr() - buffer.as_ptr().addr();
    let version = if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    Ok(Some((size, method, (start, start + target.len()), version, head::lines(buffer, head.headers)?)))
}

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

    fn take(bytes: &[u8]) -> Result<Option<(RequestHeader, Vec<u8>)>, UnreadableHead> {
        let mut buffer = BytesMut::from(bytes);
        Ok(take_request(&mut buffer)?.map(|head| (head, buffer.to_vec())))
    }

    #[test]
    fn a_request_is_read_and_what_is_behind_its_head_stays() {
        let (head, rest) = take(b"\r\nPOST /v1/x?a=b HTTP/1.1\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\nbody")
            .expect("valid")
            .expect("whole");
        assert_eq!(
            (head.method.as_str(), head.raw_path(), head.version),
            ("POST", &b"/v1/x?a=b"[..], Version::HTTP_11)
        );
        let twice: Vec<_> = head.headers.get_all("x-twice").iter().map(|value| value.as_bytes()).collect();
        assert_eq!((twice, &rest[..]), (vec![&b"1"[..], b"2"], &b"body"[..]));
        assert!(take(b"POST / HTTP/1.1\r\nhost: a\r\n").expect("so far").is_none());
    }

    #[test]
    fn targets_of_every_form_are_kept_as_they_came() {
        for target in [&b"http://host:1/v1/models?x"[..], b"*", b"host:443", b"//two/", b"/a/../b"] {
            let wire = [b"OPTIONS ", target, b" HTTP/1.1\r\nHost: host:1\r\n\r\n"].concat();
            let (head, _) = take(&wire).expect("valid").expect("whole");
            assert_eq!(head.raw_path().escape_ascii().to_string(), target.escape_ascii().to_string());
            assert_eq!(head.headers["host"], "host:1");
        }
        let (absolute, _) = take(b"GET http://host/x HTTP/1.1\r\n\r\n").expect("valid").expect("whole");
        assert_eq!((absolute.raw_path(), absolute.uri.path()), (&b"http://host/x"[..], "/x"));
    }

    #[test]
    fn a_target_is_served_up_to_its_longest() {
        let of = |length: usize| take(&[&b"GET /"[..], &vec![b'x'; length - 1], b" HTTP/1.1\r\n\r\n"].concat());
        assert_eq!(of(MAX_TARGET).expect("valid").expect("whole").0.raw_path().len(), MAX_TARGET);
        assert_eq!(of(MAX_TARGET + 1).err(), Some(UnreadableHead::TargetTooLong));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            &b"GET / HTTP/2.0\r\n\r\n"[..],
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n host: folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nname : value\r\n\r\n",
            b"GET / HTTP/1.1\r\nname\r\n\r\n",
            b"GET / HTTP/1.1\r\nname: a\0b\r\n\r\n",
            b"GET /\x01 HTTP/1.1\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01",
            b"GET\r\n\r\n",
        ] {
            assert_eq!(take(bad).err(), Some(UnreadableHead::Malformed), "{}", bad.escape_ascii());
        }
        let endless = [&b"GET /"[..], &vec![b'x'; head::MAX_HEAD]].concat();
        assert_eq!(take(&endless).err(), Some(UnreadableHead::TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take(&bytes);
            let _ = take(&[b"GET / HTTP/1.1\r\n", &bytes[..]].concat());
            let _ = take(&[b"GET ", &bytes[..], b" HTTP/1.1\r\n\r\n"].concat());
        }
    }
}
