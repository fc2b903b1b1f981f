//! A socket with what has come of it and was not taken, and with what is still to be sent.
//!
//! Whatever waits here may be given up at any point and goes on with the next call, from the byte where it stopped.

mod outgoing;
mod patience;

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

pub(super) use self::outgoing::Outgoing;
use self::patience::Patience;

/// First room for what comes. A whole small message, or some events, fit in.
const LITTLE: usize = 4 * 1024;

/// Most room for one read.
const MUCH: usize = 64 * 1024;

/// A message of up to so many bytes finds room for all of it at once if the one before it was as large: a read less, and nothing
/// is moved. What is larger is read to where it is needed.
const ALIKE: usize = 32 * 1024;

/// A socket and its buffers.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) socket: S,
    /// What has come and was not taken.
    pub(super) incoming: BytesMut,
    /// What is still to be sent.
    pub(super) outgoing: Outgoing,
    /// Room for the next read.
    room: usize,
    /// Bytes of the message under way that have come.
    came: usize,
    patience: Patience,
}

/// A socket that can say whether there is something to read.
pub(super) trait Readable {
    /// Ready when a read is worth trying.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Readable for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Readable + Unpin> Wire<S> {
    pub(super) fn new(socket: S) -> Self {
        let (outgoing, patience) = (Outgoing::default(), Patience::default());
        Self { socket, incoming: BytesMut::new(), outgoing, room: LITTLE, came: 0, patience }
    }

    /// Sends what the socket takes; ready when nothing is left.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.outgoing.len();
        let sent = self.outgoing.poll_send(&mut self.socket, cx);
        if self.outgoing.len() < before {
            self.patience.renew();
        }
        sent
    }

    /// Reads what is there; ready with the number of bytes, none at the end of the connection.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let is_empty = self.incoming.is_empty();
        let mut read = if is_empty { self.socket.poll_readable(cx).map_ok(|()| 0) } else { Poll::Ready(Ok(0)) };
        if let Poll::Ready(Ok(_)) = read {
            self.incoming.reserve(self.room);
            read = pin!(self.socket.read_buf(&mut self.incoming)).poll(cx);
        }
        if is_empty && read.is_pending() {
            // Most connections wait for most of their time; what they wait for needs no room yet.
            self.incoming = BytesMut::new();
        }
        if let Poll::Ready(Ok(read)) = read {
            self.patience.renew();
            self.came = self.came.saturating_add(read);
            if read >= self.room {
                self.room = MUCH.min(self.room * 4);
            }
        }
        read
    }

    /// Reads straight into `room`, which is not full, when nothing waits in `incoming`.
    pub(super) fn poll_read_into(&mut self, room: &mut impl BufMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = pin!(self.socket.read_buf(room)).poll(cx);
        if let Poll::Ready(Ok(read)) = read {
            self.patience.renew();
            self.came = self.came.saturating_add(read);
        }
        read
    }

    /// It stands still; ready once that has lasted for `limit`.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        self.patience.poll_over(cx, limit)
    }

    /// What is waited for now is something new.
    pub(super) fn renew_patience(&mut self) {
        self.patience.renew();
    }

    /// A message is over: gives back the room that only a large one needs. What has come and was not taken stays.
    pub(super) fn shrink(&mut self) {
        let came = std::mem::take(&mut self.came);
        self.room = if came > ALIKE { LITTLE } else { came.next_multiple_of(LITTLE).max(LITTLE) };
        if self.incoming.capacity() > 2 * LITTLE {
            let rest = BytesMut::from(&self.incoming[..]);
            self.incoming = rest;
        }
        self.outgoing.shrink();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    impl Readable for DuplexStream {
        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_is_read_stays_until_it_is_taken_and_room_is_given_back() {
        let (mut there, here) = duplex(1 << 20);
        let mut wire = Wire::new(here);
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        there.write_all(&sent).await.expect("sent");
        while wire.incoming.len() < sent.len() {
            assert!(poll_fn(|cx| wire.poll_read(cx)).await.expect("read") > 0);
        }
        assert!(wire.incoming == sent && wire.room == MUCH);
        let _ = wire.incoming.split_to(sent.len() - 3);
        wire.shrink();
        assert!(wire.incoming == sent[sent.len() - 3..] && wire.room == LITTLE && wire.incoming.capacity() < 64);
        there.write_all(&sent[..10_000]).await.expect("sent");
        while wire.incoming.len() < 10_003 {
            assert!(poll_fn(|cx| wire.poll_read(cx)).await.expect("read") > 0);
        }
        wire.incoming.clear();
        wire.shrink();
        assert_eq!(wire.room, 3 * LITTLE, "the next one is probably as large");
        there.write_all(&sent[..10_000]).await.expect("sent");
        assert_eq!(poll_fn(|cx| wire.poll_read(cx)).await.expect("read"), 10_000, "and comes at once");
        wire.shrink();
        drop(there);
        assert_eq!(poll_fn(|cx| wire.poll_read(cx)).await.expect("read"), 0);
    }
}
