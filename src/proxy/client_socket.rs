//! A client's socket, as Pingora gets it: small writes are gathered, and Pingora's own error answers put in our shape.
//!
//! A request head that does not parse never reaches a callback: Pingora 0.9 writes an empty 400 (an empty 405 for
//! CONNECT) and closes. Those answers say `Server: Pingora` and lack the `x-request-id` that every answer of ours and
//! every engine's has; this wrapper recognises them and writes a whole answer instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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

use super::reply;
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

/// Pingora writes the size, the bytes and the end of a chunk one by one and then flushes: gathered here, an event is one
/// packet instead of three. Larger pieces bypass the buffer.
const GATHER: usize = 4096;

/// A client's socket.
#[derive(Debug)]
pub(super) struct ClientSocket {
    inner: BufWriter<Stream>,
    /// Bytes and line ends that came since we last wrote: the head, when an answer of Pingora's own is written.
    bytes: usize,
    lines: usize,
    /// Our answer, and the size of the one it stands for.
    instead: Option<(Bytes, usize)>,
}

impl ClientSocket {
    pub(super) fn new(inner: Stream) -> Self {
        Self { inner: BufWriter::with_capacity(GATHER, inner), bytes: 0, lines: 0, instead: None }
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
        (this.bytes, this.lines) = (0, 0);
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
