//! What the heads of requests and answers have in common.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

/// Header lines of nearly every message, and of any.
pub(super) const FEW: usize = 32;
const MAX_LINES: usize = 256;

/// Most bytes of a head. (Callers have a smaller bound of their own: `limits.head`.)
pub(super) const MAX_HEAD: usize = 2 * 1024 * 1024;

/// A head that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableHead {
    /// It breaks the rules.
    #[error("the head is not one of HTTP/1.1")]
    Malformed,
    /// The target of a request is longer than any that is served.
    #[error("the target is too long")]
    TargetTooLong,
    /// It has too many lines or bytes.
    #[error("the head is too large")]
    TooLarge,
}

/// A header line: its name, and where its value is in the head.
pub(super) type Line = (HeaderName, usize, usize);

/// Reads a head with `parse`, which gets room for header lines: little first, because that is nearly always enough.
pub(super) fn read<'b, T>(
    buffer: &'b [u8],
    parse: impl Fn(&'b [u8], &mut [Header<'b>]) -> Result<Option<T>, httparse::Error>,
) -> Result<Option<T>, UnreadableHead> {
    let parsed = match parse(buffer, &mut [httparse::EMPTY_HEADER; FEW]) {
        Err(httparse::Error::TooManyHeaders) => parse(buffer, &mut [httparse::EMPTY_HEADER; MAX_LINES]),
        parsed => parsed,
    };
    match parsed {
        Err(httparse::Error::TooManyHeaders) => Err(UnreadableHead::TooLarge),
        Err(_) => Err(UnreadableHead::Malformed),
        Ok(None) if buffer.len() > MAX_HEAD => Err(UnreadableHead::TooLarge),
        Ok(parsed) => Ok(parsed),
    }
}

/// Where the values of `lines` are in `buffer`.
pub(super) fn lines(buffer: &[u8], lines: &[Header<'_>]) -> Result<Vec<Line>, httparse::Error> {
    let line = |line: &Header<'_>| {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        // All values lie in the buffer, but for empty ones, which may lie anywhere.
        let at = if line.value.is_empty() { 0 } else { line.value.as_ptr().addr() - buffer.as_ptr().addr() };
        Ok((name, at, at + line.value.len()))
    };
    lines.iter().map(line).collect()
}

/// Takes a head of `size` bytes out of `buffer`: its headers, with room for `more`. All values share one copy of the head, so that
/// the buffer is free for what comes next.
pub(super) fn take(
    buffer: &mut BytesMut,
    size: usize,
    lines: Vec<Line>,
    more: usize,
) -> Result<HeaderMap, UnreadableHead> {
    let head = Bytes::copy_from_slice(&buffer[..size]);
    buffer.advance(size);
    let mut headers = HeaderMap::with_capacity(lines.len() + more);
    for (name, start, end) in lines {
        let value = HeaderValue::from_maybe_shared(head.slice(start..end));
        headers.append(name, value.map_err(|_| UnreadableHead::Malformed)?);
    }
    Ok(headers)
}
