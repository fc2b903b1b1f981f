//! What is still to be sent on a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Up to this size bytes are copied together: that costs less than one more part of a write.
const COPIED: usize = 4 * 1024;

/// Room for a message whose size is not known.
const LITTLE: usize = 1024;

/// Most parts of one write.
const PARTS: usize = 16;

/// Room for small messages, kept between them.
const KEPT: usize = 8 * 1024;

/// Bytes to be sent, in order.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Outgoing {
    parts: VecDeque<Bytes>,
    /// Behind the parts.
    tail: BytesMut,
    is_unflushed: bool,
}

impl Outgoing {
    /// Makes room for a message of about `size` bytes.
    pub(in crate::proxy) fn make_room(&mut self, size: usize) {
        self.tail.reserve(size.min(2 * COPIED));
    }

    /// Adds a copy of `bytes`.
    pub(in crate::proxy) fn push(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(LITTLE));
        }
        self.tail.extend_from_slice(bytes);
        self.is_unflushed = true;
    }

    /// Adds `bytes`, without a copy if they are many.
    pub(in crate::proxy) fn push_shared(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED {
            return self.push(&bytes);
        }
        if !self.tail.is_empty() {
            self.parts.push_back(self.tail.split().freeze());
        }
        self.parts.push_back(bytes);
        self.is_unflushed = true;
    }

    /// Bytes that are left.
    pub(in crate::proxy) fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    /// Whether all was sent.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        !self.is_unflushed
    }

    /// All that is left.
    #[cfg(test)]
    pub(in crate::proxy) fn bytes(&self) -> Vec<u8> {
        [self.parts.iter().flatten().copied().collect(), self.tail.to_vec()].concat()
    }

    /// Forgets what is left.
    pub(in crate::proxy) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back all room. What is left to be sent stays.
    pub(in crate::proxy) fn free(&mut self) {
        if self.tail.is_empty() && self.parts.is_empty() {
            (self.tail, self.parts) = (BytesMut::new(), VecDeque::new());
        }
    }

    /// Gives back the room that only a large message needs.
    pub(super) fn shrink(&mut self) {
        if self.tail.is_empty() && self.tail.capacity() > KEPT {
            self.tail = BytesMut::new();
        }
    }

    /// Sends what `socket` takes; ready when nothing is left.
    pub(super) fn poll_send(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.parts.is_empty() || !self.tail.is_empty() {
            let sent = if self.parts.is_empty() {
                ready!(Pin::new(&mut *socket).poll_write(cx, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); PARTS];
                let parts = self.parts.iter().map(|part| &part[..]).chain([&self.tail[..]]);
                let count = slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count();
                ready!(Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..count]))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(sent);
        }
        if self.is_unflushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(first) = self.parts.front_mut() {
            if sent < first.len() {
                return first.advance(sent);
            }
            sent -= first.len();
            self.parts.pop_front();
        }
        self.tail.advance(sent);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    proptest! {
        #[test]
        fn everything_is_sent_once_and_in_order(
            sizes in prop::collection::vec((0_usize..10_000, any::<bool>()), 0..30),
            buffer in 1_usize..5_000,
        ) {
            let mut outgoing = Outgoing::default();
            let mut expected = Vec::new();
            for (at, (size, shared)) in sizes.into_iter().enumerate() {
                let bytes = vec![u8::try_from(at).expect("few"); size];
                expected.extend_from_slice(&bytes);
                if shared { outgoing.push_shared(bytes.into()) } else { outgoing.push(&bytes) }
            }
            prop_assert_eq!(outgoing.len(), expected.len());
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let received = runtime.block_on(async {
                let (mut here, mut there) = duplex(buffer);
                let mut received = Vec::new();
                let send = async {
                    poll_fn(|cx| outgoing.poll_send(&mut here, cx)).await.expect("sent");
                    drop(here);
                };
                let (_, read) = tokio::join!(send, there.read_to_end(&mut received));
                read.expect("read");
                received
            });
            prop_assert!(outgoing.is_done() && outgoing.len() == 0);
            prop_assert_eq!(received, expected);
        }
    }
}
