//! Connections to engines: opened when one is needed, and kept for the next request.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use pingora::connectors::TransportConnector;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::connection::{Connection, Limits};
use super::socket::Socket;
use crate::config::Timeouts;
use crate::engines::Engine;

/// Most connections that are kept, over all engines. An idle one costs little, a new one a round trip.
const MOST: usize = 4096;

/// Time between two looks for connections that engines have closed, or that are too old.
const SWEEP: Duration = Duration::from_secs(1);

/// How soon the kernel asks whether an engine's machine is still there, how often, and how many times in vain.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// Whose connection it is: an engine, at an address.
type Place = (u64, SocketAddr);

/// A connection that waits for its next request.
#[derive(Debug)]
struct Kept {
    connection: Connection,
    until: Instant,
}

#[derive(Debug, Default)]
struct Pool {
    kept: HashMap<Place, Vec<Kept>>,
    count: usize,
    is_swept: bool,
}

/// The connections to all engines.
pub(in crate::proxy) struct EngineConnections {
    pool: Arc<Mutex<Pool>>,
    tls: TransportConnector,
}

impl std::fmt::Debug for EngineConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConnections").finish_non_exhaustive()
    }
}

impl Default for EngineConnections {
    fn default() -> Self {
        Self { pool: Arc::default(), tls: TransportConnector::new(None) }
    }
}

impl EngineConnections {
    /// A connection to `engine` at `address`, and whether it had been kept. `fresh`: none that was.
    ///
    /// # Errors
    /// The engine cannot be reached; the kind of error says why.
    pub(in crate::proxy) async fn get(
        &self,
        engine: &Engine,
        address: SocketAddr,
        timeouts: &Timeouts,
        fresh: bool,
    ) -> Result<(Connection, bool)> {
        let limits = Limits { read: timeouts.read, write: timeouts.write };
        if !fresh && let Some(connection) = self.take((engine.key(), address)) {
            return Ok((connection.with_limits(limits), true));
        }
        let socket = if engine.address.url.tls {
            // What is rare is boxed: the state of a request is as large as its largest part.
            Socket::Tls(Box::pin(self.open_tls(engine, address, timeouts)).await?)
        } else {
            Socket::Plain(open(address, timeouts.connect).await?)
        };
        Ok((Connection::new(socket, limits), false))
    }

    /// Keeps `connection` for the engine's next request, if it can be used again.
    pub(in crate::proxy) fn put(&self, mut connection: Connection, engine: &Engine, address: SocketAddr) {
        if !connection.is_reusable() {
            return;
        }
        connection.rest();
        let kept = Kept { connection, until: Instant::now() + engine.keep_alive() };
        let mut pool = lock(&self.pool);
        if pool.count >= MOST {
            return;
        }
        pool.count += 1;
        pool.kept.entry((engine.key(), address)).or_default().push(kept);
        if !std::mem::replace(&mut pool.is_swept, true) {
            drop(pool);
            tokio::spawn(sweep(Arc::downgrade(&self.pool)));
        }
    }

    /// The connection used last, which its engine is least likely to have closed.
    fn take(&self, place: Place) -> Option<Connection> {
        let mut pool = lock(&self.pool);
        let pool = &mut *pool;
        let kept = pool.kept.get_mut(&place)?;
        while let Some(Kept { mut connection, until }) = kept.pop() {
            pool.count -= 1;
            if until > Instant::now() && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    async fn open_tls(
        &self,
        engine: &Engine,
        address: SocketAddr,
        timeouts: &Timeouts,
    ) -> Result<pingora::protocols::Stream> {
        let mut peer = HttpPeer::new(address, true, engine.address.url.host.clone());
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect * 2);
        self.tls.new_stream(&peer).await
    }
}

fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes connections that were kept too long, or that their engine has closed, as long as there is a pool.
async fn sweep(pool: Weak<Mutex<Pool>>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let mut pool = lock(&pool);
        let now = Instant::now();
        pool.kept.retain(|_, kept| {
            kept.retain_mut(|kept| kept.until > now && kept.connection.is_quiet());
            !kept.is_empty()
        });
        pool.count = pool.kept.values().map(Vec::len).sum();
    }
}

async fn open(address: SocketAddr, within: Duration) -> Result<TcpStream> {
    let late = |_| Error::new_up(ErrorType::ConnectTimedout);
    let socket = timeout(within, TcpStream::connect(address)).await.map_err(late)?;
    let socket = socket.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
            io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
            _ => ErrorType::ConnectError,
        };
        Error::because(kind, "connecting to an engine", error).into_up()
    })?;
    // A socket without them still works.
    let _ = socket.set_nodelay(true);
    let (idle, interval, count) = KEEPALIVE;
    let watch = |socket: &TcpStream| {
        sockopt::set_socket_keepalive(socket.as_fd(), true)?;
        sockopt::set_tcp_keepidle(socket.as_fd(), idle)?;
        sockopt::set_tcp_keepintvl(socket.as_fd(), interval)?;
        sockopt::set_tcp_keepcnt(socket.as_fd(), count)
    };
    let _: rustix::io::Result<()> = watch(&socket);
    Ok(socket)
}
