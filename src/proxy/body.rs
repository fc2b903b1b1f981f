//! Reading a request body: bounded in size, time and memory, decoded.

use std::io::Read;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version, header};
use pingora::ErrorType;
use pingora::proxy::Session;

use super::ProxyState;
use super::context::RequestContext;
use super::memory::{self, BodyReservation};
use super::refusal::Refusal;
use super::upstream_request::elsewhere;
use crate::openai::{ApiError, Code, PlainRuns};

/// Room behind a body, so that the usual rules are applied without copying it.
const SPARE: usize = 1024;

/// First allocation for a body of unknown length.
const FIRST_GUESS: usize = 16 * 1024;

/// Memory that a small body may keep of what it was read into.
const ADOPTED: usize = 4 * 1024;

/// Memory is reserved in steps of this size, as a body arrives.
const STEP: usize = 64 * 1024;

/// Room for what comes next of a body, offered to the session that reads it, which may fill it instead of returning a piece.
#[derive(Clone, Debug)]
pub(super) struct Room(pub(super) BytesMut);

/// A whole body, decoded, and the memory that is reserved for it.
pub(super) struct ReceivedBody {
    pub(super) bytes: BytesMut,
    pub(super) reservation: BodyReservation,
    /// It was compressed.
    pub(super) decoded: bool,
    /// What was seen of it while it came.
    pub(super) runs: PlainRuns,
}

/// The whole body, decoded, within `limits.body`, `limits.body_memory` and `timeouts.body`.
pub(super) async fn receive(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Result<ReceivedBody, Refusal> {
    let (limits, patience) = (&ctx.snapshot.limits, ctx.snapshot.timeouts.body);
    let limit = limits.body;
    let headers = &session.req_header().headers;
    let length = content_length(headers)?;
    let decoded = is_gzip(headers)?;
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit).into());
    }
    let mut reservation = state.memory.reserve(0, limits.body_memory)?;
    let expects = headers.get(header::EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects && length != Some(0) && session.req_header().version >= Version::HTTP_11 {
        session.write_continue_response().await.map_err(Refusal::Gone)?;
    }
    let body = {
        let mut collecting = pin!(collect(session, length, limit, &mut reservation));
        match futures::poll!(collecting.as_mut()) {
            // It came with the head.
            Poll::Ready(body) => Ok(body),
            Poll::Pending => {
                ctx.account.clock.ours.stop();
                let body = tokio::time::timeout(patience, collecting).await;
                if let Ok(Ok(_)) = body {
                    ctx.account.clock.note_received();
                }
                body
            }
        }
    };
    // It may have been given up in the middle of a read.
    session.req_header_mut().extensions_mut().remove::<Room>();
    reservation.has_arrived();
    let late = || {
        let message = format!("The request body did not arrive within {patience:?} (timeouts.body).");
        ApiError::new(Code::RequestTimeout, message)
    };
    let (mut bytes, mut runs) = match body {
        Ok(Ok(body)) => body,
        // The session's own clock may strike first.
        Ok(Err(Refusal::Gone(error))) if *error.etype() == ErrorType::ReadTimedout => return Err(late().into()),
        Ok(Err(refusal)) => return Err(refusal),
        Err(_) => return Err(late().into()),
    };
    ctx.account.received = bytes.len();
    if decoded {
        // Inflating is slow enough to be kept off the workers whatever the size.
        (bytes, reservation) = elsewhere(move || {
            let inflated = inflate(&bytes, limit, &mut reservation)?;
            Ok::<_, ApiError>((inflated, reservation))
        })
        .await??;
        runs = PlainRuns::default();
    }
    Ok(ReceivedBody { bytes, reservation, decoded, runs })
}

async fn collect(
    session: &mut Session,
    length: Option<usize>,
    limit: usize,
    reservation: &mut BodyReservation,
) -> Result<(BytesMut, PlainRuns), Refusal> {
    let mut runs = PlainRuns::default();
    let mut body = BytesMut::new();
    loop {
        if length.is_some_and(|length| length - body.len().min(length) > STEP) {
            make_room(&mut body, length);
            // What is read into it needs no copy.
            let room = Room(body.split_off(body.len()));
            session.req_header_mut().extensions_mut().insert(room);
        }
        let read = tokio::select! {
            biased;
            read = session.read_request_body() => read,
            () = reservation.must_give_way() => return Err(memory::full().into()),
        };
        if let Some(Room(filled)) = session.req_header_mut().extensions_mut().remove() {
            body.unsplit(filled);
            runs.see(&body, length.unwrap_or_default());
        }
        match read {
            Ok(Some(piece)) => {
                let size = body.len() + piece.len();
                if size > limit {
                    return Err(too_large(limit).into());
                }
                if length.is_none_or(|length| size < length) {
                    // There is more to come: promises hold no memory, and who is slow may have to give way.
                    reservation.arrives();
                }
                let room = if size > STEP { size.next_multiple_of(STEP) } else { size };
                reservation.make_room(room.min(length.unwrap_or(usize::MAX).max(size))).await?;
                match piece.try_into_mut() {
                    // All of it has come at once: where it lies it can stay, if that holds not much more.
                    Ok(whole) if length == Some(whole.len()) && whole.capacity() <= ADOPTED.max(2 * whole.len()) => {
                        body = whole;
                    }
                    Ok(piece) => append(&mut body, length, &piece),
                    Err(piece) => append(&mut body, length, &piece),
                }
            }
            Ok(None) => return Ok((body, runs)),
            Err(error) => {
                return Err(match error.etype() {
                    ErrorType::ConnectionClosed
                    | ErrorType::ReadError
                    | ErrorType::H2Error
                    | ErrorType::ReadTimedout => Refusal::Gone(error.into_down()),
                    _ => ApiError::new(Code::InvalidFraming, "The request body breaks HTTP's framing rules.").into(),
                });
            }
        }
    }
}

fn append(body: &mut BytesMut, length: Option<usize>, piece: &[u8]) {
    make_room(body, length);
    body.extend_from_slice(piece);
}

/// Room for all of a `body`, and for what is added to it; once.
fn make_room(body: &mut BytesMut, length: Option<usize>) {
    if body.capacity() == 0 {
        body.reserve(length.unwrap_or(FIRST_GUESS) + SPARE);
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::RequestTooLarge, format!("The request body is larger than {limit} bytes (limits.body)."))
}

/// The declared length. Two values, equal or not, are refused: peers could disagree on where the body ends.
fn content_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    let length = value.to_str().ok().filter(|_| digits && values.next().is_none());
    match length.map(str::parse) {
        Some(Ok(length)) => Ok(Some(length)),
        Some(Err(_)) => Err(ApiError::new(Code::RequestTooLarge, "Content-Length is too large.")),
        None => Err(ApiError::new(Code::InvalidContentLength, "Content-Length must be one decimal number.")),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    match (values.next().map(|value| value.as_bytes().to_ascii_lowercase()), values.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding == b"identity" => Ok(false),
        (Some(coding), None) if coding == b"gzip" || coding == b"x-gzip" => Ok(true),
        _ => {
            let message = "Content-Encoding may be gzip or identity, once. Send the body without it.";
            Err(ApiError::new(Code::UnsupportedContentEncoding, message))
        }
    }
}

/// `body`, inflated; what that takes is reserved before it is taken, and in the end `reservation` is for the result alone.
fn inflate(body: &[u8], limit: usize, reservation: &mut BodyReservation) -> Result<BytesMut, ApiError> {
    let mut plain: Vec<u8> = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body);
    loop {
        if plain.len() == plain.capacity() {
            // While it is moved it takes both places.
            let capacity = (plain.len() * 2).clamp(STEP, limit.max(STEP)) + SPARE;
            reservation.grow_to(body.len() + plain.len() + capacity)?;
            plain.reserve_exact(capacity - plain.len());
        }
        let (before, room) = (plain.len(), plain.capacity() - plain.len());
        let read = (&mut decoder).take(room as u64).read_to_end(&mut plain);
        read.map_err(|_| ApiError::new(Code::InvalidGzip, "The request body is not valid gzip."))?;
        if plain.len() > limit {
            return Err(too_large(limit));
        }
        if plain.len() == before {
            break;
        }
    }
    reservation.shrink_to(plain.capacity());
    Ok(BytesMut::from(Bytes::from(plain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::memory::BodyMemory;
    use std::io::Write;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().expect("name"), v.parse().expect("value"))).collect()
    }

    fn status<T>(result: Result<T, ApiError>) -> u16 {
        result.err().map_or(200, |error| error.status)
    }

    #[test]
    fn content_length_is_one_plain_number() {
        assert_eq!(content_length(&headers(&[("content-length", "12")])), Ok(Some(12)));
        assert_eq!(content_length(&headers(&[])), Ok(None));
        for bad in ["+1", "-1", "1, 1", "0x1", "", "1 "] {
            assert_eq!(status(content_length(&headers(&[("content-length", bad)]))), 400, "{bad:?}");
        }
        let mut twice = headers(&[("content-length", "1")]);
        twice.append("content-length", "1".parse().expect("value"));
        assert_eq!(status(content_length(&twice)), 400);
        assert_eq!(status(content_length(&headers(&[("content-length", "99999999999999999999999")]))), 413);
    }

    #[test]
    fn codings_other_than_gzip_are_refused() {
        assert_eq!(is_gzip(&headers(&[("content-encoding", "GZip")])), Ok(true));
        assert_eq!(is_gzip(&headers(&[("content-encoding", "identity")])), Ok(false));
        assert_eq!(status(is_gzip(&headers(&[("content-encoding", "br")]))), 415);
        assert_eq!(status(is_gzip(&headers(&[("content-encoding", "gzip, gzip")]))), 415);
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_the_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 1 << 20]).expect("gzip");
        let bomb = encoder.finish().expect("gzip");
        let memory = |limit| {
            let gauge = prometheus::IntGauge::new("bytes", "test").expect("a gauge");
            std::sync::Arc::new(BodyMemory::new(gauge)).reserve(0, limit).expect("room")
        };
        let inflate = |bytes: &[u8], limit| inflate(bytes, limit, &mut memory(8 << 20));
        assert_eq!(inflate(&bomb, 1 << 20).map(|plain| plain.len()), Ok(1 << 20));
        assert_eq!(status(inflate(&bomb, (1 << 20) - 1)), 413);
        assert_eq!(status(inflate(&bomb[..bomb.len() / 2], 1 << 20)), 400);
        assert_eq!(status(inflate(b"not gzip", 1 << 20)), 400);
        let mut little = memory(1 << 20);
        assert_eq!(status(super::inflate(&bomb, 1 << 20, &mut little)), 503, "it is reserved before it is taken");
    }
}
