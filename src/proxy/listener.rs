//! The connections of one address: counted, sorted by protocol, and handed to Pingora.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::callbacks::Gateway;
use super::{ProxyState, http1, http2, reply};
use crate::ids;
use crate::net::{Beginning, Handler, ListenerId, NotServed, beginning, turn_away};
use crate::openai::{ApiError, Code};

/// How long a new connection may take to bring a request when its listener closes.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// Serves the connections of one listener.
pub struct HttpListener {
    state: Arc<ProxyState>,
    proxy: Arc<HttpProxy<Gateway>>,
}

impl std::fmt::Debug for HttpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpListener").finish_non_exhaustive()
    }
}

impl HttpListener {
    /// For the connections of the listener `id`.
    #[must_use]
    pub fn new(state: Arc<ProxyState>, id: ListenerId) -> Self {
        let proxy = Arc::new(http_proxy(&Arc::new(ServerConf::default()), Gateway::new(state.clone(), id)));
        Self { state, proxy }
    }
}

#[async_trait]
impl Handler for HttpListener {
    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr, mut closing: watch::Receiver<bool>) {
        let Some(_counted) = self.state.count_connection() else {
            let message = "The gateway has too many connections (limits.connections). Try again shortly.";
            return turn_away(
                stream,
                reply::raw(&ApiError::new(Code::TooManyConnections, message), &ids::new_request_id(), false),
            )
            .await;
        };
        let (idle, head) = {
            let timeouts = &self.state.snapshot().timeouts;
            (timeouts.keepalive, timeouts.head)
        };
        let too_late = async {
            let closes = async { closing.wait_for(|is_closing| *is_closing).await.is_ok() };
            if let Ok(true) = timeout(idle, closes).await {
                // A request may be on its way already.
                sleep(LAST_REQUEST_WITHIN).await;
            }
        };
        let Beginning { is_http2, taken } = tokio::select! {
            seen = beginning(&mut stream, head) => match seen {
                Ok(beginning) => beginning,
                Err(_) => return,
            },
            () = too_late => return,
        };
        // Streams are many small writes; none may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        if is_http2 {
            // Boxed: its state is far larger than that of a connection of HTTP/1.1, which would be as large.
            Box::pin(http2::serve(stream, &taken, peer, (&self.state, &self.proxy, idle), &closing)).await;
        } else {
            http1::serve(stream, &taken, peer, (&self.state, &self.proxy), &closing).await;
        }
    }

    fn refusal(&self, why: NotServed) -> Bytes {
        let error = match why {
            NotServed::Draining => {
                ApiError::new(Code::ShuttingDown, "The gateway is shutting down; it takes no new connections.")
            }
            NotServed::NoDescriptors => {
                ApiError::new(Code::TooManyConnections, "The gateway has too many open files. Try again shortly.")
            }
        };
        reply::raw(&error, &ids::new_request_id(), false)
    }
}
