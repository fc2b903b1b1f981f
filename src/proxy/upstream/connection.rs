//! One connection to an engine: requests and answers, one after the other.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use tokio::io::AsyncReadExt;

use super::socket::Socket;
use crate::http1::{self, Framing};
use crate::proxy::wire::Wire;

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
    wire: Wire<Socket>,
    /// Why the rest of the request could not be sent; its answer may be there nevertheless.
    unsent: Option<io::Error>,
    /// Of the request under way.
    method: Method,
    /// Of the answer under way.
    framing: Framing,
    /// It may be used again after the answer.
    keeps: bool,
    limits: Limits,
}

impl Connection {
    pub(super) fn new(socket: Socket, limits: Limits) -> Self {
        let (wire, framing) = (Wire::new(socket), Framing::Length(0));
        Self { wire, unsent: None, method: Method::GET, framing, keeps: true, limits }
    }

    /// As it is to be for its next request.
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Begins to send a request. It goes out while its answer is waited for.
    pub(in crate::proxy) fn send(&mut self, method: Method, head: Bytes, body: Bytes) {
        self.wire.outgoing.make_room(head.len() + body.len());
        self.wire.outgoing.push_shared(head);
        self.wire.outgoing.push_shared(body);
        self.wire.renew_patience();
        (self.method, self.keeps) = (method, false);
    }

    /// The head of the answer. Interim ones promise nothing and are passed over (RFC 9110, 15.2). May be dropped and called again.
    ///
    /// # Errors
    /// There is none; the kind of error says why.
    pub(in crate::proxy) async fn head(&mut self) -> Result<ResponseHeader> {
        let malformed = || Error::new_up(ErrorType::InvalidHTTPHeader);
        loop {
            if !self.wire.incoming.is_empty() {
                let head = http1::take_answer(&mut self.wire.incoming).map_err(|_| malformed())?;
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
            let piece = self.framing.take(&mut self.wire.incoming).map_err(|_| Error::new_up(ErrorType::H1Error))?;
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
        let Self { wire, unsent, keeps, .. } = self;
        *keeps && self.is_done() && wire.incoming.is_empty() && unsent.is_none() && wire.outgoing.is_done()
    }

    /// Whether the engine keeps it open, and says nothing unasked.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.wire.socket {
            Socket::Plain(socket) => {
                socket.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Socket::Tls(socket) => tokio::task::unconstrained(socket.read(&mut byte)).now_or_never().is_none(),
        }
    }

    /// Gives back what only a large answer needs.
    pub(super) fn rest(&mut self) {
        self.wire.shrink();
    }

    /// Reads what is there, while the rest of the request goes out; the bytes read, none at the end of the connection.
    async fn read(&mut self) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        if !self.wire.outgoing.is_done()
            && let Poll::Ready(sent) = self.wire.poll_send(cx)
        {
            // An answer may take long, and be there although the request was refused before all of it was sent.
            match sent {
                Ok(()) => self.wire.outgoing.free(),
                Err(error) => {
                    self.wire.outgoing.clear();
                    self.unsent = Some(error);
                }
            }
        }
        match self.wire.poll_read(cx) {
            Poll::Ready(Ok(read)) if read > 0 || self.unsent.is_none() => Poll::Ready(Ok(read)),
            Poll::Ready(read) => Poll::Ready(Err(self.broke(read.err()))),
            Poll::Pending => {
                let (limit, kind) = if self.wire.outgoing.is_done() {
                    (self.limits.read, ErrorType::ReadTimedout)
                } else {
                    (self.limits.write, ErrorType::WriteTimedout)
                };
                self.wire.poll_over(cx, limit).map(|()| Err(Error::new_up(kind)))
            }
        }
    }

    fn broke(&mut self, reading: Option<io::Error>) -> Box<Error> {
        let (kind, cause) = match (self.unsent.take(), reading) {
            (Some(sending), _) => (ErrorType::WriteError, sending),
            (None, reading) => (ErrorType::ReadError, reading.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
        };
        Error::because(kind, "the connection to the engine broke", cause).into_up()
    }
}
