//! Connections as uvicorn keeps them: idle ones close after a while, faults can reset them, a stop cuts them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::engine::Stats;

/// What a handler may do to the connection its request came on.
#[derive(Clone, Debug)]
pub(super) struct ConnHandle {
    switch: Arc<Switch>,
    pub(super) peer: SocketAddr,
}

#[derive(Debug, Default)]
struct Switch {
    reset: AtomicBool,
    busy: AtomicUsize,
    served: AtomicBool,
}

impl ConnHandle {
    /// The next write resets the connection instead.
    pub(super) fn reset(&self) {
        self.switch.reset.store(true, Ordering::SeqCst);
    }

    /// The connection is not idle while the guard lives.
    pub(super) fn busy(&self) -> Busy {
        self.switch.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(&self.switch))
    }
}

/// See [`ConnHandle::busy`].
pub(super) struct Busy(Arc<Switch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.store(true, Ordering::SeqCst);
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Accepts connections until dropped.
pub(super) struct SimListener {
    pub(super) tcp: TcpListener,
    pub(super) stats: Arc<Stats>,
    pub(super) keep_alive: Duration,
    /// Cuts every connection.
    pub(super) cut: CancellationToken,
}

impl Listener for SimListener {
    type Io = Conn;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Conn, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok((tcp, peer)) => {
                    let _ = tcp.set_nodelay(true);
                    self.stats.change(|counts| {
                        counts.connections += 1;
                        counts.open_connections += 1;
                    });
                    let conn = Conn {
                        tcp,
                        stats: Arc::clone(&self.stats),
                        switch: Arc::default(),
                        keep_alive: self.keep_alive,
                        active: Instant::now(),
                        idle: Box::pin(sleep(self.keep_alive)),
                        cut: Box::pin(self.cut.clone().cancelled_owned()),
                    };
                    return (conn, peer);
                }
                // Out of descriptors or a connection that is gone already: neither is helped by hurry.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, SimListener>> for ConnHandle {
    fn connect_info(stream: IncomingStream<'_, SimListener>) -> Self {
        Self { switch: Arc::clone(&stream.io().switch), peer: *stream.remote_addr() }
    }
}

/// One connection.
pub(super) struct Conn {
    tcp: TcpStream,
    stats: Arc<Stats>,
    switch: Arc<Switch>,
    keep_alive: Duration,
    active: Instant,
    idle: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Conn {
    /// Whether it was idle for too long; otherwise wakes the task when it could be.
    fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        while self.idle.as_mut().poll(cx).is_ready() {
            let busy = self.switch.busy.load(Ordering::SeqCst) > 0 || !self.switch.served.load(Ordering::SeqCst);
            let from = if busy { Instant::now() } else { self.active };
            if !busy && from.elapsed() >= self.keep_alive {
                return true;
            }
            self.idle.as_mut().reset(from + self.keep_alive.max(Duration::from_millis(1)));
        }
        false
    }

    fn check(&self) -> io::Result<()> {
        if self.switch.reset.load(Ordering::SeqCst) {
            // Closing with unsent data and no time to linger sends RST, not FIN.
            let _ = self.tcp.set_zero_linger();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.stats.change(|counts| counts.open_connections -= 1);
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.tcp).poll_read(cx, buf) {
            this.active = Instant::now();
            return Poll::Ready(result);
        }
        if this.cut.as_mut().poll(cx).is_ready() {
            let _ = this.tcp.set_zero_linger();
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.is_idle(cx) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        self.active = Instant::now();
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        self.active = Instant::now();
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
