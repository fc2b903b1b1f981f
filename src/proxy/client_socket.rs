//! A client's socket, as Pingora gets it: small writes are gathered, Pingora's own error answers put in our shape, and a head
//! has to come in time.
//!
//! A request head that does not parse never reaches a callback: Pingora 0.9 writes an empty 400 (an empty 405 for
//! CONNECT) and closes. Those answers say `Server: Pingora` and lack the `x-request-id` that every answer of ours and
//! every engine's has; this wrapper recognises them and writes a whole answer instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use memchr::{memchr_iter, memmem};
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::gathered::GATHERED;
use super::{reply, request_head};
use crate::openai::{ApiError, Code};

/// Whether Pingora wrote this head by itself (pingora-core 0.9.1, protocols/http/error_resp.rs).
fn is_pingoras_own(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 40")
        && memmem::find(head, b"Server: Pingora").is_some()
        && memmem::find(head, b"x-request-id").is_none()
}

/// Pingora's bounds of a head: lines (protocols/http/v1/common.rs `MAX_HEADERS`, and the request line).
const MAX_LINES: usize = 256;
/// A head of this size that did not parse is answered with "too large".
const LARGE: usize = 64 * 1024;

/// A client's socket.
#[derive(Debug)]
pub(super) struct ClientSocket {
    inner: BufWriter<Stream>,
    /// Bytes and line ends that came since we last wrote: the head, when an answer of Pingora's own is written.
    bytes: usize,
    lines: usize,
    /// Our answer, and the size of the one it stands for.
    instead: Option<(Bytes, usize)>,
    /// How long a head may take, and what is left of it. The clock is made when a head does not come at once.
    patience: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl ClientSocket {
    /// `patience`: for the head of a request, from its first byte on (`timeouts.head`).
    pub(super) fn new(inner: Stream, patience: Duration) -> Self {
        let inner = BufWriter::with_capacity(GATHERED, inner);
        Self { inner, bytes: 0, lines: 0, instead: None, patience, clock: None }
    }

    fn answer(&self, written: &[u8]) -> Bytes {
        let error = if written.starts_with(b"HTTP/1.1 405") {
            ApiError::new(Code::MethodNotAllowed, "CONNECT is not served here.")
        } else if self.bytes >= LARGE || self.lines > MAX_LINES {
            ApiError::new(Code::HeadTooLarge, "The request's head is too large.")
        } else {
            ApiError::new(Code::InvalidHttp, "The request's head is not valid HTTP/1.1.")
        };
        reply::raw(&error)
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut BufWriter<Stream>> {
        Pin::new(&mut self.get_mut().inner)
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.bytes > 0 && request_head::is_awaited() {
            let patience = this.patience;
            let clock = this.clock.get_or_insert_with(|| Box::pin(sleep(patience)));
            if clock.as_mut().poll(cx).is_ready() {
                // Pingora says nothing to a client that it cannot read from. There is room for it: nothing waits to be written.
                let message = format!("The request's head did not arrive within {patience:?} (timeouts.head).");
                let answer = reply::raw(&ApiError::new(Code::RequestTimeout, message));
                let _ = Pin::new(&mut this.inner).poll_write(cx, &answer);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        // Beyond this the verdict is clear, and bodies must not pay for it.
        if this.bytes < LARGE {
            this.lines += memchr_iter(b'\n', new).count();
        }
        this.bytes += new.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() && is_pingoras_own(buf) {
            this.instead = Some((this.answer(buf), buf.len()));
        }
        (this.bytes, this.lines, this.clock) = (0, 0, None);
        let Some((answer, stands_for)) = &mut this.instead else {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        };
        while !answer.is_empty() {
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, answer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            answer.advance(written);
        }
        let stands_for = *stands_for;
        this.instead = None;
        Poll::Ready(Ok(stands_for))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for ClientSocket {
    async fn shutdown(&mut self) {
        // If it cannot be flushed, the client is gone.
        let _ = self.inner.flush().await;
        Shutdown::shutdown(self.inner.get_mut()).await;
    }
}

impl UniqueID for ClientSocket {
    fn id(&self) -> UniqueIDType {
        self.inner.get_ref().id()
    }
}

impl Ssl for ClientSocket {}

impl Peek for ClientSocket {}

impl GetTimingDigest for ClientSocket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for ClientSocket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for ClientSocket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_ref().get_socket_digest()
    }
}
