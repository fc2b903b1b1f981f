//! One connection to an engine: requests and answers, one after the other.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::patience::Patience;
use super::socket::Socket;
use crate::http1::{self, Framing};

/// First room for an answer. A whole small one, or some events, fit in.
const LITTLE: usize = 4 * 1024;

/// Most room for one read.
const MUCH: usize = 64 * 1024;

/// How long the engine may be silent.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Limits {
    /// Until it sends something.
    pub(in crate::proxy) read: Duration,
    /// Until it takes something.
    pub(in crate::proxy) write: Duration,
}

/// A connection to an engine.
#[derive(Debug)]
pub(in crate::proxy) struct Connection {
    socket: Socket,
    /// What is still to be sent.
    outgoing: Outgoing,
    /// Why the rest of the request could not be sent; its answer may be there nevertheless.
    unsent: Option<io::Error>,
    /// What has come and was not taken.
    incoming: BytesMut,
    /// Room for the next read.
    room: usize,
    /// Of the answer under way.
    framing: Framing,
    method: Method,
    /// It may be used again after the answer.
    keeps: bool,
    limits: Limits,
    patience: Patience,
}

/// The head and the body of a request.
#[derive(Debug, Default)]
struct Outgoing {
    head: Bytes,
    body: Bytes,
    is_flushed: bool,
}

impl Outgoing {
    /// Sends what the socket takes, head and body together; ready when nothing is left.
    fn poll_send(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.head.is_empty() || !self.body.is_empty() {
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
            let parts = if self.head.is_empty() { &parts[1..] } else { &parts[..] };
            let sent = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, parts))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = sent.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(sent - of_head);
        }
        if !self.is_flushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            *self = Self { is_flushed: true, ..Self::default() };
        }
        Poll::Ready(Ok(()))
    }
}

impl Connection {
    pub(super) fn new(socket: Socket, limits: Limits) -> Self {
        Self {
            socket,
            outgoing: Outgoing { is_flushed: true, ..Outgoing::default() },
            unsent: None,
            incoming: BytesMut::new(),
            room: LITTLE,
            framing: Framing::Length(0),
            method: Method::GET,
            keeps: true,
            limits,
            patience: Patience::default(),
        }
    }

    /// As it is to be for its next request.
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Begins to send a request. It goes out while its answer is waited for.
    pub(in crate::proxy) fn send(&mut self, method: Method, head: Bytes, body: Bytes) {
        self.outgoing = Outgoing { head, body, is_flushed: false };
        (self.method, self.keeps) = (method, false);
        self.patience.renew();
    }

    /// The head of the answer. Interim ones promise nothing and are passed over (RFC 9110, 15.2). May be dropped and called again.
    ///
    /// # Errors
    /// There is none; the kind of error says why.
    pub(in crate::proxy) async fn head(&mut self) -> Result<ResponseHeader> {
        loop {
            if !self.incoming.is_empty() {
                let head = http1::take_response(&mut self.incoming).map_err(|_| malformed())?;
                if let Some(mut head) = head {
                    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                        continue;
                    }
                    (self.framing, self.keeps) = Framing::of(&self.method, &mut head).map_err(|_| malformed())?;
                    return Ok(head);
                }
            }
            if self.read().await? == 0 {
                return Err(Error::new_up(ErrorType::ConnectionClosed));
            }
        }
    }

    /// The next piece of the answer's body: all that has come of it; `None`: it has ended. May be dropped and called again.
    ///
    /// # Errors
    /// The answer broke off; the kind of error says why.
    pub(in crate::proxy) async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            let piece = self.framing.take(&mut self.incoming).map_err(|_| Error::new_up(ErrorType::H1Error))?;
            if piece.is_some() || self.is_done() {
                return Ok(piece);
            }
            if self.read().await? == 0 {
                if let Framing::UntilClose = self.framing {
                    self.framing = Framing::Length(0);
                    return Ok(None);
                }
                return Err(Error::new_up(ErrorType::ConnectionClosed));
            }
        }
    }

    /// Whether all of the answer was taken.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.framing.is_done()
    }

    /// Whether it can be used again: the request was sent, the answer was taken, and nothing else has come.
    pub(super) fn is_reusable(&self) -> bool {
        self.keeps && self.is_done() && self.incoming.is_empty() && self.unsent.is_none() && self.outgoing.is_flushed
    }

    /// Whether the engine keeps it open, and says nothing unasked.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.socket {
            Socket::Plain(socket) => {
                socket.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Socket::Tls(socket) => tokio::task::unconstrained(socket.read(&mut byte)).now_or_never().is_none(),
        }
    }

    /// Gives back what only an answer needs.
    pub(super) fn rest(&mut self) {
        self.incoming = BytesMut::new();
        self.room = LITTLE;
    }

    /// Reads what is there, while the rest of the request goes out; the bytes read, none at the end of the connection.
    async fn read(&mut self) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let before = self.outgoing.head.len() + self.outgoing.body.len();
        if !self.outgoing.is_flushed
            && let Poll::Ready(Err(error)) = self.outgoing.poll_send(&mut self.socket, cx)
        {
            // It may have been refused before all of it was sent.
            self.outgoing = Outgoing { is_flushed: true, ..Outgoing::default() };
            self.unsent = Some(error);
        }
        if self.outgoing.head.len() + self.outgoing.body.len() < before {
            self.patience.renew();
        }
        self.incoming.reserve(self.room);
        match pin!(self.socket.read_buf(&mut self.incoming)).poll(cx) {
            Poll::Ready(Ok(read)) if read > 0 || self.unsent.is_none() => {
                self.patience.renew();
                self.room = if read >= self.room { MUCH.min(self.room * 4) } else { self.room };
                Poll::Ready(Ok(read))
            }
            Poll::Ready(read) => {
                let is_write = self.unsent.is_some();
                let cause = self.unsent.take().or(read.err()).unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                let kind = if is_write { ErrorType::WriteError } else { ErrorType::ReadError };
                Poll::Ready(Err(Error::because(kind, "the connection to the engine broke", cause).into_up()))
            }
            Poll::Pending => {
                let (limit, kind) = if self.outgoing.is_flushed {
                    (self.limits.read, ErrorType::ReadTimedout)
                } else {
                    (self.limits.write, ErrorType::WriteTimedout)
                };
                self.patience.poll_over(cx, limit).map(|()| Err(Error::new_up(kind)))
            }
        }
    }
}

fn malformed() -> Box<Error> {
    Error::new_up(ErrorType::InvalidHTTPHeader)
}
