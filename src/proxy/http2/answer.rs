//! The answer to a request over HTTP/2, as far as the client lets it be written.
//!
//! Whatever is written is queued first. The writing may be dropped at any point: what is left of the queue goes on with the
//! next write, from the byte where it stopped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::time::{Sleep, sleep};

/// What belongs to a connection of HTTP/1.1; over HTTP/2 an answer with it is malformed (RFC 9113, 8.2.2).
const OF_A_CONNECTION: [HeaderName; 5] = [
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The answer to a request.
pub(super) struct Answer {
    stream: SendResponse<Bytes>,
    /// What its body is written to, behind its head.
    body: Option<SendStream<Bytes>>,
    /// Its head, when that was written.
    head: Option<Box<ResponseHeader>>,
    /// What is to be written.
    queue: VecDeque<HttpTask>,
    /// Its end was written.
    is_ended: bool,
    /// Bytes of its body that were written.
    sent: usize,
    /// How long the client may take for one piece.
    patience: Option<Duration>,
    /// What is left of that; made when a piece has to wait.
    clock: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    pub(super) fn new(stream: SendResponse<Bytes>) -> Self {
        let queue = VecDeque::new();
        Self { stream, body: None, head: None, queue, is_ended: false, sent: 0, patience: None, clock: None }
    }

    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    pub(super) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    pub(super) fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// There is this to be written, behind all that waits.
    pub(super) fn queue(&mut self, task: HttpTask) {
        self.queue.push_back(task);
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Writes what is queued; whether that was the end of the answer. May be dropped at any point, and called again.
    pub(super) async fn flush(&mut self) -> Result<bool> {
        poll_fn(|cx| self.poll_flush(cx)).await.map_err(|error| error.into_down())
    }

    /// Returns when the client has given the stream up, with its reason.
    pub(super) async fn left(&mut self) -> Result<Reason> {
        let left = poll_fn(|cx| self.poll_left(cx)).await;
        left.or_err(ErrorType::H2Error, "the connection broke").map_err(|error| error.into_down())
    }

    /// Gives the stream up before its end, so that the client sees that the answer is not whole.
    pub(super) fn abandon(&mut self) {
        if !self.is_ended {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<Reason, h2::Error>> {
        match &mut self.body {
            Some(body) => body.poll_reset(cx),
            None => self.stream.poll_reset(cx),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        while let Some(task) = self.queue.pop_front() {
            match task {
                HttpTask::Header(head, _) if head.status.is_informational() => self.write_interim(head.status, cx)?,
                HttpTask::Header(head, end) => self.write_head(head, end)?,
                HttpTask::Body(piece, end) => {
                    let mut piece = piece.unwrap_or_default();
                    if self.poll_piece(&mut piece, end, cx)?.is_pending() {
                        self.queue.push_front(HttpTask::Body(Some(piece), end));
                        return self.poll_clock(cx);
                    }
                    self.clock = None;
                }
                HttpTask::Trailer(Some(trailers)) => self.write_trailers(*trailers)?,
                HttpTask::Trailer(None) | HttpTask::Done => self.write_end()?,
                HttpTask::UpgradedBody(..) | HttpTask::Failed(_) => {
                    return Poll::Ready(Error::e_explain(ErrorType::InternalError, "no part of an answer"));
                }
            }
        }
        Poll::Ready(Ok(self.is_ended))
    }

    /// Only what the gateway asks for with 100 is told a client: the others are for connections of HTTP/1.1.
    fn write_interim(&mut self, status: StatusCode, cx: &mut Context<'_>) -> Result<()> {
        if status != StatusCode::CONTINUE || self.head.is_some() {
            return Ok(());
        }
        // h2 would write it onto a stream that is closed.
        if self.poll_left(cx).is_ready() {
            return Error::e_explain(ErrorType::H2Error, "the client has left");
        }
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        self.stream.send_informational(interim).or_err(ErrorType::WriteError, "writing an interim answer")
    }

    fn write_head(&mut self, mut head: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.head.is_some() {
            return Ok(());
        }
        head.insert_header(header::DATE, get_cached_date())?;
        OF_A_CONNECTION.iter().for_each(|name| drop(head.remove_header(name)));
        let response = Response::from_parts(head.as_owned_parts(), ());
        let body = self.stream.send_response(response, end);
        self.body = Some(body.or_err(ErrorType::WriteError, "writing the head of an answer")?);
        (self.head, self.is_ended) = (Some(head), end);
        Ok(())
    }

    /// Writes as much of `piece` as the client has room for.
    fn poll_piece(&mut self, piece: &mut Bytes, end: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_ended {
            return Poll::Ready(Ok(()));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(Error::e_explain(ErrorType::H2Error, "a body before its head"));
        };
        while !piece.is_empty() {
            body.reserve_capacity(piece.len());
            let room = match body.capacity() {
                0 => ready!(body.poll_capacity(cx)),
                room => Some(Ok(room)),
            };
            let Some(room) = room else {
                return Poll::Ready(Error::e_explain(ErrorType::H2Error, "the client has left"));
            };
            let room = room.or_err(ErrorType::H2Error, "waiting for room at the client")?.min(piece.len());
            let written = piece.split_to(room);
            self.is_ended = end && piece.is_empty();
            body.send_data(written, self.is_ended).or_err(ErrorType::WriteError, "writing an answer")?;
            self.sent += room;
        }
        if end { Poll::Ready(self.write_end()) } else { Poll::Ready(Ok(())) }
    }

    /// A piece waits; an error when that has lasted for too long.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let Some(patience) = self.patience else { return Poll::Pending };
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Error::e_explain(ErrorType::WriteTimedout, "the client takes nothing of the answer"))
    }

    fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        let Some(body) = self.body.as_mut().filter(|_| !self.is_ended) else { return Ok(()) };
        self.is_ended = true;
        body.send_trailers(trailers).or_err(ErrorType::WriteError, "writing trailers")
    }

    /// Without a head there is nothing to end: the stream is reset when it is dropped.
    fn write_end(&mut self) -> Result<()> {
        let Some(body) = self.body.as_mut().filter(|_| !self.is_ended) else { return Ok(()) };
        self.is_ended = true;
        body.send_data(Bytes::new(), true).or_err(ErrorType::WriteError, "ending an answer")
    }
}

#[cfg(test)]
mod tests;
