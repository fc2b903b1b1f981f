//! The heads of answers.

use bytes::BytesMut;
use http::{StatusCode, Version};
use httparse::{Header, Status};
use pingora::http::ResponseHeader;

use super::head::{self, Line, UnreadableHead};

/// Headers that are added on the way to a caller.
const MORE: usize = 4;

/// Size, status, version, the reason if it is an unusual one, and the header lines.
type Parsed = (usize, StatusCode, Version, Option<String>, Vec<Line>);

/// Takes the head of an answer out of `buffer`; `None`: it is not whole.
///
/// # Errors
/// It breaks the rules, or is too large.
pub fn take_answer(buffer: &mut BytesMut) -> Result<Option<ResponseHeader>, UnreadableHead> {
    let Some((size, status, version, reason, lines)) = head::read(buffer, parse)? else { return Ok(None) };
    let headers = head::take(buffer, size, lines, MORE)?;
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.version, parts.headers) = (status, version, headers);
    let mut head = ResponseHeader::from(parts);
    head.set_reason_phrase(reason.as_deref()).map_err(|_| UnreadableHead::Malformed)?;
    Ok(Some(head))
}

fn parse<'b>(buffer: &'b [u8], lines: &mut [Header<'b>]) -> Result<Option<Parsed>, httparse::Error> {
    let mut head = httparse::Response::new(lines);
    let Status::Complete(size) = head.parse(buffer)? else { return Ok(None) };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(httparse::Error::Status)?;
    let version = if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let reason = head.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason());
    Ok(Some((size, status, version, reason.map(str::to_owned), head::lines(buffer, head.headers)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_behind_its_head_stays() {
        let mut buffer =
            BytesMut::from(&b"HTTP/1.1 200 Fine\r\nX-Twice: 1\r\nx-twice: \xfc 2 \r\nempty:\r\n\r\nbody"[..]);
        let head = take_answer(&mut buffer).expect("valid").expect("whole");
        let first = (head.status.as_u16(), head.version, head.get_reason_phrase());
        assert_eq!(first, (200, Version::HTTP_11, Some("Fine")));
        let twice: Vec<_> = head.headers.get_all("x-twice").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(twice, [&b"1"[..], b"\xfc 2"]);
        assert!(head.headers["empty"].is_empty() && !head.has_case());
        assert_eq!(&buffer[..], b"body");
        let mut old = BytesMut::from(&b"HTTP/1.0 404 Not Found\r\n\r\n"[..]);
        let head = take_answer(&mut old).expect("valid").expect("whole");
        assert_eq!((head.status.as_u16(), head.version), (404, Version::HTTP_10));
    }

    #[test]
    fn heads_of_many_lines_are_read_and_endless_ones_refused() {
        let of = |lines: usize| {
            let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            (0..lines).for_each(|line| buffer.extend_from_slice(format!("x-{line}: {line}\r\n").as_bytes()));
            buffer.extend_from_slice(b"\r\n");
            take_answer(&mut buffer)
        };
        for lines in [0, head::FEW, head::FEW + 1, 256] {
            assert_eq!(of(lines).expect("valid").expect("whole").headers.len(), lines);
        }
        assert_eq!(of(257).err(), Some(UnreadableHead::TooLarge));
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; head::MAX_HEAD]].concat();
        assert_eq!(take_answer(&mut BytesMut::from(&endless[..])).err(), Some(UnreadableHead::TooLarge));
        for bad in [&b"HTTP/2 200 OK\r\n\r\n"[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n", b"\0"] {
            let refused = take_answer(&mut BytesMut::from(bad)).err();
            assert_eq!(refused, Some(UnreadableHead::Malformed), "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take_answer(&mut BytesMut::from(&bytes[..]));
            let _ = take_answer(&mut BytesMut::from(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()[..]));
        }
    }
}
