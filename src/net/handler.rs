//! What whoever serves connections does for a listener.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What is done with the connections of one listener.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end. `closing` becomes true when the listener is removed: what is under way is
    /// finished, and no further request is taken.
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, closing: watch::Receiver<bool>);

    /// What a connection is told that is not served, as bytes of its protocol.
    fn refusal(&self, why: NotServed) -> Bytes;
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotServed {
    /// The gateway is about to end, and finishes what it has.
    Draining,
    /// The process has no file descriptor left.
    NoDescriptors,
}
