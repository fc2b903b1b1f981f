//! Where the body of a message ends (RFC 9112, 6.3), and whether its connection can be used again.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};

use super::chunked::{Chunked, NotChunked};

/// How a body is delimited.
#[derive(Debug)]
pub enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// It is chunked.
    Chunked(Chunked),
    /// It ends with the connection.
    UntilClose,
}

/// The head of a message does not say how long it is, or says it in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the head does not say how long the body is")]
pub struct Ambiguous;

impl Framing {
    /// How the answer to a request of that `method` is delimited, and whether the connection may be used again after it. A length
    /// beside chunks means nothing and is removed; one that stands there twice is said once.
    ///
    /// # Errors
    /// The head says nothing that could be relied on.
    pub fn of(method: &Method, head: &mut ResponseHeader) -> Result<(Self, bool), Ambiguous> {
        let keeps = keeps_alive(head);
        let length = length(&head.headers)?;
        let is_chunked = is_chunked(&head.headers)?;
        if is_chunked && length.is_some() {
            head.remove_header(&header::CONTENT_LENGTH);
        }
        if let Some(length) = length.filter(|_| !is_chunked && !is_plain(&head.headers)) {
            head.insert_header(header::CONTENT_LENGTH, length).map_err(|_| Ambiguous)?;
        }
        if *method == Method::HEAD || matches!(head.status.as_u16(), 100..=199 | 204 | 304) {
            return Ok((Self::Length(0), keeps));
        }
        Ok(match (is_chunked, length) {
            (true, None) => (Self::Chunked(Chunked::new()), keeps && head.version == Version::HTTP_11),
            // Somebody on the way may have seen another end.
            (true, Some(_)) => (Self::Chunked(Chunked::new()), false),
            (false, Some(length)) => (Self::Length(length), keeps),
            (false, None) => (Self::UntilClose, false),
        })
    }

    /// How the body of a request is delimited. A request that says it in two ways is taken for one by some and for two by others.
    ///
    /// # Errors
    /// The head says nothing that could be relied on.
    pub fn of_request(head: &RequestHeader) -> Result<Self, Ambiguous> {
        match (is_chunked(&head.headers)?, length(&head.headers)?) {
            (true, None) if head.version == Version::HTTP_11 => Ok(Self::Chunked(Chunked::new())),
            (true, _) => Err(Ambiguous),
            (false, length) => Ok(Self::Length(length.unwrap_or(0))),
        }
    }

    /// Whether all of the body was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Takes what `buffer` has of the body; `None`: nothing of it is there.
    ///
    /// # Errors
    /// It breaks the rules of chunks.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, NotChunked> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.remaining());
                *left -= here as u64;
                Ok((here > 0).then(|| buffer.split_to(here).freeze()))
            }
            Self::Chunked(chunked) => chunked.take(buffer),
            Self::UntilClose => Ok((!buffer.is_empty()).then(|| buffer.split().freeze())),
        }
    }
}

/// The length; the same value may stand there more than once (RFC 9110, 8.6).
fn length(headers: &HeaderMap) -> Result<Option<u64>, Ambiguous> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for value in value.as_bytes().split(|byte| *byte == b',') {
            let digits = value.trim_ascii();
            let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
            let value = text.and_then(|text| text.parse().ok()).ok_or(Ambiguous)?;
            if length.is_some_and(|length| length != value) {
                return Err(Ambiguous);
            }
            length = Some(value);
        }
    }
    Ok(length)
}

/// Whether the length stands there once, as one number.
fn is_plain(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_number = values.next().is_some_and(|value| value.as_bytes().iter().all(u8::is_ascii_digit));
    is_number && values.next().is_none()
}

/// Whether the body is chunked. Nothing else is undone here.
fn is_chunked(headers: &HeaderMap) -> Result<bool, Ambiguous> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Ambiguous),
    }
}

/// Whether the engine keeps the connection open (RFC 9112, 9.3).
fn keeps_alive(head: &ResponseHeader) -> bool {
    let says = |word: &str| {
        let values = head.headers.get_all(header::CONNECTION).iter();
        let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        words.any(|said| said.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    match head.version {
        Version::HTTP_11 => !says("close"),
        _ => says("keep-alive") && !says("close"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build_no_case(status, None).expect("a head");
        head.set_version(Version::HTTP_11);
        for (name, value) in headers {
            head.append_header(*name, *value).expect("a header");
        }
        head
    }

    fn of(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(String, bool), Ambiguous> {
        let (framing, keeps) = Framing::of(&Method::POST, &mut head(status, headers))?;
        Ok((format!("{framing:?}"), keeps))
    }

    #[test]
    fn the_head_says_where_the_body_ends_and_whether_another_may_follow() {
        let length = |length, keeps| Ok((format!("Length({length})"), keeps));
        assert_eq!(of(200, &[("content-length", "12")]), length(12, true));
        assert_eq!(of(200, &[("content-length", "12"), ("connection", "x, Close")]), length(12, false));
        assert_eq!(of(200, &[("content-length", "12, 12"), ("content-length", "12")]), length(12, true));
        assert_eq!(of(204, &[]), length(0, true));
        assert_eq!(of(304, &[("content-length", "12")]), length(0, true));
        assert_eq!(of(200, &[]), Ok(("UntilClose".into(), false)));
        let chunked = |keeps| Ok(("Chunked(Chunked(Size))".into(), keeps));
        assert_eq!(of(200, &[("transfer-encoding", "Chunked")]), chunked(true));
        assert_eq!(of(200, &[("transfer-encoding", "chunked"), ("content-length", "3")]), chunked(false));
        for bad in [
            &[("content-length", "1, 2")][..],
            &[("content-length", "+1")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999999")],
            &[("content-length", "1"), ("content-length", "2")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        ] {
            assert_eq!(of(200, bad), Err(Ambiguous), "{bad:?}");
        }
        let mut both = head(200, &[("transfer-encoding", "chunked"), ("content-length", "3")]);
        Framing::of(&Method::POST, &mut both).expect("framed");
        assert!(!both.headers.contains_key("content-length"));
        let mut twice = head(200, &[("content-length", "12, 12"), ("content-length", "12")]);
        Framing::of(&Method::POST, &mut twice).expect("framed");
        let values: Vec<_> = twice.headers.get_all("content-length").iter().collect();
        assert_eq!(values, ["12"], "as one number for those behind us");
        let mut asked = head(200, &[("content-length", "3")]);
        assert!(Framing::of(&Method::HEAD, &mut asked).expect("framed").0.is_done());
    }

    #[test]
    fn http_1_0_closes_unless_it_says_otherwise() {
        for (headers, keeps) in [
            (&[("content-length", "1")][..], false),
            (&[("content-length", "1"), ("connection", "Keep-Alive")], true),
            (&[("transfer-encoding", "chunked"), ("connection", "keep-alive")], false),
        ] {
            let mut head = head(200, headers);
            head.set_version(Version::HTTP_10);
            assert_eq!(Framing::of(&Method::POST, &mut head).expect("framed").1, keeps, "{headers:?}");
        }
    }

    #[test]
    fn a_request_says_once_how_long_it_is() {
        let of = |version, headers: &[(&'static str, &'static str)]| {
            let mut head = RequestHeader::build_no_case("POST", b"/", None).expect("a head");
            head.set_version(version);
            for (name, value) in headers {
                head.append_header(*name, *value).expect("a header");
            }
            Framing::of_request(&head).map(|framing| format!("{framing:?}"))
        };
        assert_eq!(of(Version::HTTP_11, &[]), Ok("Length(0)".into()));
        assert_eq!(of(Version::HTTP_10, &[("content-length", "3")]), Ok("Length(3)".into()));
        assert_eq!(of(Version::HTTP_11, &[("transfer-encoding", "chunked")]), Ok("Chunked(Chunked(Size))".into()));
        assert_eq!(of(Version::HTTP_10, &[("transfer-encoding", "chunked")]), Err(Ambiguous));
        let both = [("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(of(Version::HTTP_11, &both), Err(Ambiguous));
    }

    #[test]
    fn a_body_is_taken_up_to_its_end_and_no_further() {
        let mut buffer = BytesMut::from(&b"abcdef"[..]);
        let mut framing = Framing::Length(4);
        assert_eq!(framing.take(&mut buffer), Ok(Some(Bytes::from_static(b"abcd"))));
        assert!(framing.is_done() && &buffer[..] == b"ef");
        assert_eq!(framing.take(&mut buffer), Ok(None));
        assert_eq!(Framing::UntilClose.take(&mut buffer), Ok(Some(Bytes::from_static(b"ef"))));
    }
}
