//! The accept loop: connections in, bounded; a drain as long as the last stream.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::front::Front;
use super::socket::CallerSocket;
use super::{Gateway, Shared};
use crate::ids::Name;
use crate::openai::{ApiError, Code, Dialect};

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long callers may take to hear that their request is given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A bound address, not serving yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    door: Option<Name>,
}

impl Listener {
    /// Binds `address`; port 0 is one from the OS. `door`: the alias whose own address it is.
    ///
    /// # Errors
    /// What the OS says: taken, not ours, not allowed.
    pub async fn bind(address: SocketAddr, door: Option<Name>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, door })
    }

    /// The address as bound.
    ///
    /// # Errors
    /// What the OS says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until told to stop.
    #[must_use]
    pub fn serve(self, shared: Arc<Shared>) -> Running {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(self.socket, self.door, shared.clone(), stopped));
        Running { stop, task, shared }
    }
}

/// A listener that serves.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// Stops accepting and waits for the requests under way until `patience` ends; then their callers are told that they
/// are given up.
pub async fn drain(all: Vec<Running>, patience: impl Future<Output = ()>) {
    let Some(shared) = all.first().map(|running| running.shared.clone()) else { return };
    let mut tasks: JoinSet<()> = JoinSet::new();
    for Running { stop, task, .. } in all {
        stop.send_replace(true);
        tasks.spawn(async move {
            let _ended = AbortOnDrop(task.abort_handle());
            let _ = task.await;
        });
    }
    tokio::select! {
        biased;
        () = finish(&mut tasks) => return,
        () = patience => {}
    }
    shared.cut();
    // Callers that do not listen are left behind: dropping their tasks ends them.
    let _ = tokio::time::timeout(LAST_WORDS, finish(&mut tasks)).await;
}

async fn finish(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(listener: TcpListener, door: Option<Name>, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let conf = ServerConf {
        // `forward` decides on every retry; this only has to be out of its way.
        max_retries: 1024,
        // Global over all engines; an idle connection costs little, a new one a round trip.
        upstream_keepalive_pool_size: 4096,
        ..ServerConf::default()
    };
    let proxy = Arc::new(http_proxy(&Arc::new(conf), Gateway::new(shared.clone(), door)));
    let idle = shared.timeouts.keepalive;
    let fronts = [Arc::new(Front::new(proxy.clone(), false, idle)), Arc::new(Front::new(proxy.clone(), true, idle))];
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(counted) = Counted::new(&shared) else {
                        shared.metrics.connections_refused.inc();
                        tokio::spawn(turn_away(stream));
                        continue;
                    };
                    let (fronts, shared, stopped) = (fronts.clone(), shared.clone(), stopped.clone());
                    connections.spawn(async move {
                        let _counted = counted;
                        connection(stream, peer, &fronts, &shared, &stopped).await;
                    });
                }
                Err(error) => {
                    // Out of file descriptors, or the peer was gone already: the next accept may work.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    // Wakes idle connections, so that they close.
    ServerApp::cleanup(&*proxy).await;
    while connections.join_next().await.is_some() {}
}

/// An open connection, counted out when dropped.
struct Counted(Arc<Shared>);

impl Counted {
    /// `None` when there are as many as there may be, over all addresses.
    fn new(shared: &Arc<Shared>) -> Option<Self> {
        if shared.connections.fetch_add(1, Ordering::AcqRel) >= shared.limits.connections {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        shared.metrics.connections.inc();
        Some(Self(shared.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.connections.dec();
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    fronts: &[Arc<Front>; 2],
    shared: &Shared,
    stopped: &watch::Receiver<bool>,
) {
    let mut stop = stopped.clone();
    let first_bytes = tokio::time::timeout(shared.timeouts.keepalive, is_h2(&stream));
    let h2 = tokio::select! {
        seen = first_bytes => match seen {
            Ok(Ok(h2)) => h2,
            // Nothing came, or the connection broke.
            _ => return,
        },
        _ = stop.changed() => return,
    };
    // Streams are many small writes; none may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let _ = digest.peer_addr.set(Some(peer.into()));
    let mut stream = Stream::from(stream);
    stream.set_socket_digest(digest);
    if h2 {
        fronts[1].process_new(Box::new(stream), stopped).await;
    } else {
        fronts[0].process_new(Box::new(CallerSocket::new(stream)), stopped).await;
    }
}

/// Whether the connection begins like HTTP/2; decided as soon as a byte differs.
async fn is_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut buffer = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&buffer[..seen]) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        // A torn preface: `peek` would return the same bytes at once.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Tells one caller too many, without reading what it has to say.
async fn turn_away(mut stream: TcpStream) {
    let error = ApiError::new(Code::TooManyConnections, "limits.connections is reached. Try again shortly.");
    let body = error.body(Dialect::OpenAi);
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let polite = async {
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await?;
        // Until the caller has read it; closing on unread bytes would reset the connection.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), polite).await;
}
