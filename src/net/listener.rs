//! A bound address that does not serve yet.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::sockopt::set_socket_reuseport;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted, as for any listener of tokio.
const BACKLOG: u32 = 1024;

/// Which listener a connection came in by. Never used twice in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(u64);

impl ListenerId {
    /// An id that no listener had before.
    #[must_use]
    pub fn fresh() -> Self {
        // Uniqueness is all it is for; nothing is shared by it.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether `address` could be bound now. It is not listened on, so that nobody can connect to it meanwhile.
///
/// # Errors
/// What the OS says: taken, not ours, not allowed.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As a listener is bound: connections that linger do not count.
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// A bound address, not serving yet.
#[derive(Debug)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    pub(super) wanted: SocketAddr,
    pub(super) socket: TcpListener,
}

impl Listener {
    /// Binds `address`; port 0 is one from the OS.
    ///
    /// # Errors
    /// What the OS says: taken, not ours, not allowed.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { id: ListenerId::fresh(), wanted: address, socket: TcpListener::bind(address).await? })
    }

    /// The same, beside others that share it at the moment.
    pub(super) fn bind_shared(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        set_socket_reuseport(&socket, false)?;
        Ok(Self { id: ListenerId::fresh(), wanted: address, socket })
    }

    /// The address as bound.
    ///
    /// # Errors
    /// What the OS says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
