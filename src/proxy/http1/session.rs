//! One request over HTTP/1.1 and its answer.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::Answer;
use crate::http1::Framing;
use crate::proxy::body::Room;
use crate::proxy::session::{Patience, Session};
use crate::proxy::wire::Wire;

/// How long a client may be silent, until it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of a large body that are read at once.
const AT_ONCE: usize = 64 * 1024;

/// Most bytes of further requests that are read while one is under way. A client that sends more is not watched.
const AHEAD: usize = 64 * 1024;

/// The two ends of a connection.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) client: Option<SocketAddr>,
    pub(super) server: Option<SocketAddr>,
}

/// What a request leaves of its connection.
pub(super) enum Left {
    /// Another one may follow.
    Open(Wire<TcpStream>),
    /// It was answered before it was read to its end. The client may still be sending.
    Unread(TcpStream),
}

/// Where a request leaves it.
pub(super) type Leftover = Mutex<Option<Left>>;

/// One request and its answer.
pub(super) struct Http1Session {
    /// Present until drop.
    wire: Option<Wire<TcpStream>>,
    head: RequestHeader,
    /// Of the request; `None`: nobody knows where it ends.
    framing: Option<Framing>,
    /// The client waits for an interim answer before it sends the body.
    is_waiting: bool,
    received: usize,
    answer: Answer,
    /// Something could not be read or written.
    is_broken: bool,
    patience: Patience,
    addresses: Arc<Addresses>,
    leftover: Arc<Leftover>,
}

impl Http1Session {
    /// A request with this `head`; what has come behind it is in `wire`. `keeps`: another one may follow.
    pub(super) fn new(
        wire: Wire<TcpStream>,
        head: RequestHeader,
        keeps: bool,
        addresses: Arc<Addresses>,
        leftover: Arc<Leftover>,
    ) -> Self {
        let framing = Framing::of_request(&head).ok();
        let has_body = framing.as_ref().is_some_and(|framing| !framing.is_done());
        let expects =
            head.headers.get(header::EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let is_waiting = expects && has_body && wire.incoming.is_empty() && head.version == Version::HTTP_11;
        let answer = Answer::new(keeps && framing.is_some());
        let patience = Patience { read: Some(PATIENCE), write: Some(PATIENCE), drain: None };
        Self {
            wire: Some(wire),
            head,
            framing,
            is_waiting,
            received: 0,
            answer,
            is_broken: false,
            patience,
            addresses,
            leftover,
        }
    }
}

impl Session for Http1Session {
    fn request(&self) -> &RequestHeader {
        &self.head
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    fn host(&self) -> Option<&str> {
        self.head.headers.get(header::HOST)?.to_str().ok()
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let Self { wire: Some(wire), head, framing, is_waiting, received, patience, .. } = self else {
            return Ok(None);
        };
        let Some(framing) = framing else { return Err(Error::new_down(ErrorType::InvalidHTTPHeader)) };
        if wire.incoming.is_empty()
            && let Framing::Length(left) = framing
            && let Some(Room(room)) = head.extensions_mut().get_mut()
        {
            let read = fill(wire, room, *left, patience.read).await?;
            (*left, *received, *is_waiting) = (*left - read as u64, *received + read, false);
            return Ok(Some(Bytes::new()));
        }
        loop {
            let piece = framing.take(&mut wire.incoming).map_err(|_| Error::new_down(ErrorType::InvalidHTTPHeader))?;
            if piece.is_some() || framing.is_done() {
                if wire.incoming.is_empty() {
                    // The piece has its memory for itself.
                    wire.incoming = BytesMut::new();
                }
                *received += piece.as_ref().map_or(0, Bytes::len);
                return Ok(piece);
            }
            let limit = patience.read;
            let read = poll_fn(|cx| match (wire.poll_read(cx), limit) {
                (Poll::Pending, Some(limit)) => {
                    wire.poll_over(cx, limit).map(|()| Err(Error::new_down(ErrorType::ReadTimedout)))
                }
                (read, _) => read.map_err(|error| broke(ErrorType::ReadError, error)),
            });
            if read.await? == 0 {
                return Err(Error::new_down(ErrorType::ConnectionClosed));
            }
            *is_waiting = false;
        }
    }

    fn queue(&mut self, task: HttpTask) {
        if self.is_waiting && matches!(&task, HttpTask::Header(head, _) if head.status.is_informational()) {
            self.is_waiting = false;
        }
        if self.is_waiting {
            // It is told the outcome before it has sent anything: whether it sends it still, nobody knows.
            self.answer.close();
        }
        if let Some(wire) = &mut self.wire {
            self.answer.write(task, &self.head, &mut wire.outgoing);
        }
    }

    async fn flush(&mut self) -> Result<bool> {
        let Self { wire: Some(wire), patience, .. } = self else { return Ok(true) };
        if !wire.outgoing.is_done() {
            wire.renew_patience();
            let limit = patience.write;
            let sent = poll_fn(|cx| match (wire.poll_send(cx), limit) {
                (Poll::Pending, Some(limit)) => {
                    wire.poll_over(cx, limit).map(|()| Err(Error::new_down(ErrorType::WriteTimedout)))
                }
                (sent, _) => sent.map_err(|error| broke(ErrorType::WriteError, error)),
            });
            if let Err(error) = sent.await {
                self.is_broken = true;
                return Err(error);
            }
        }
        Ok(self.answer.is_ended())
    }

    /// What the client sends meanwhile is its next request, which waits.
    async fn departure(&mut self) -> Box<Error> {
        let Some(wire) = &mut self.wire else { return pending().await };
        while wire.incoming.len() < AHEAD {
            match poll_fn(|cx| wire.poll_read(cx)).await {
                Ok(0) => return Error::new_down(ErrorType::ConnectionClosed),
                Ok(_) => {}
                Err(error) => return broke(ErrorType::ReadError, error),
            }
        }
        pending().await
    }

    fn is_read(&self) -> bool {
        self.framing.as_ref().is_some_and(Framing::is_done)
    }

    fn received(&self) -> usize {
        self.received
    }

    async fn drain(&mut self) -> Result<()> {
        // The client may wait for the answer before it goes on.
        self.flush().await?;
        if self.is_read() {
            return Ok(());
        }
        if self.is_waiting {
            return Err(Error::new_down(ErrorType::ReadError));
        }
        let drain = self.patience.drain;
        let all = async {
            while self.read().await?.is_some() {}
            Ok(())
        };
        match drain {
            Some(within) => timeout(within, all).await.map_err(|_| Error::new_down(ErrorType::ReadTimedout))?,
            None => all.await,
        }
    }

    fn has_queued(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| !wire.outgoing.is_done())
    }

    /// The head of an answer leaves with the first bytes of its body.
    fn sends_head_alone(&self) -> bool {
        false
    }

    /// The connection closes.
    fn abandon(&mut self) {
        self.is_broken = true;
    }

    fn answer(&self) -> Option<&ResponseHeader> {
        self.answer.head()
    }

    fn sent(&self) -> usize {
        self.answer.sent()
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    fn client(&self) -> Option<&SocketAddr> {
        self.addresses.client.as_ref()
    }

    fn server(&self) -> Option<&SocketAddr> {
        self.addresses.server.as_ref()
    }

    fn digest(&self) -> Option<&Digest> {
        None
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }
}

/// Reads straight into `room`, of `left` bytes that belong there; at least one.
async fn fill(wire: &mut Wire<TcpStream>, room: &mut BytesMut, left: u64, limit: Option<Duration>) -> Result<usize> {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(AT_ONCE);
    let read = poll_fn(|cx| match (wire.poll_read_into(&mut (&mut *room).limit(most), cx), limit) {
        (Poll::Pending, Some(limit)) => {
            wire.poll_over(cx, limit).map(|()| Err(Error::new_down(ErrorType::ReadTimedout)))
        }
        (read, _) => read.map_err(|error| broke(ErrorType::ReadError, error)),
    });
    match read.await? {
        0 => Err(Error::new_down(ErrorType::ConnectionClosed)),
        read => Ok(read),
    }
}

fn broke(kind: ErrorType, cause: io::Error) -> Box<Error> {
    Error::because(kind, "the connection to the client broke", cause).into_down()
}

impl Drop for Http1Session {
    /// Leaves the connection to the next request, if there may be one.
    fn drop(&mut self) {
        let is_whole = self.answer.is_ended() && !self.is_broken;
        let Some(wire) = self.wire.take().filter(|wire| is_whole && wire.outgoing.is_done()) else { return };
        let left = match self.is_read() {
            true if self.answer.keeps() => Left::Open(wire),
            true => return,
            false => Left::Unread(wire.socket),
        };
        *self.leftover.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    }
}
