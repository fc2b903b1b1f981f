//! One HTTP/2 connection: its streams are taken in and served, until the client, time or the gateway's end closes it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use pingora::apps::HttpServerApp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, SocketDigest};
use pingora::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::session::Http2Session;
use super::{head, refused};
use crate::proxy::refused_head::RefusedHead;
use crate::proxy::session::ForPingora;
use crate::proxy::{ProxyState, accept};

/// Requests that one connection may have under way.
const MOST_STREAMS: u32 = 1024;

/// Malformed heads after which a connection is ended, as in Pingora's own loop: to refuse them is work, too.
const MOST_MALFORMED: usize = 32;

/// How long a connection that closes may take for what no request waits for: a client may not read, or not be there.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// Serves the requests of a connection by `app`; `taken`: what was read of it. `idle`: how long it may be without a request.
pub(in crate::proxy) async fn serve<A>(
    socket: TcpStream,
    taken: &[u8],
    client: SocketAddr,
    (state, app, idle): (&Arc<ProxyState>, &Arc<A>, Duration),
    closing: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
    let _ = digest.peer_addr.set(Some(client.into()));
    let mut stream = Stream::from(socket);
    stream.set_socket_digest(digest);
    stream.rewind(taken);
    let mut streams = Streams::new(&stream, (state.clone(), client.ip()), app.clone(), closing.clone());
    // Pingora's own limits on header lists; without them one connection can exhaust memory.
    let mut options = default_h2_options();
    options.max_concurrent_streams(MOST_STREAMS);
    let Ok(mut connection) = options.handshake(stream).await else { return };
    let (mut closes, mut is_closing) = (closing.clone(), false);
    loop {
        // The rest of an answer may be on its way to a slow client after its request has ended.
        let patience = if is_closing && !connection.has_streams() { CLOSES_WITHIN } else { idle };
        let accepted = tokio::select! {
            biased;
            () = async { drop(closes.wait_for(|is_closing| *is_closing).await) }, if !is_closing => None,
            accepted = connection.accept() => Some(accepted),
            () = streams.idle(patience) => None,
        };
        match accepted {
            Some(Some(Ok((request, answer)))) => {
                streams.take_in(request, answer);
                if streams.malformed >= MOST_MALFORMED {
                    return end(connection).await;
                }
            }
            // The client is gone, or has broken the rules of the connection.
            Some(None | Some(Err(_))) => return,
            None if is_closing => return,
            None => {
                // Says which requests are still served; the client begins no others.
                connection.graceful_shutdown();
                is_closing = true;
            }
        }
    }
}

/// Ends a connection with all that is under way on it, and says why.
async fn end(mut connection: Connection<Stream, Bytes>) {
    tracing::warn!("a client's HTTP/2 connection is ended after {MOST_MALFORMED} malformed requests");
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let _ = timeout(CLOSES_WITHIN, async { while let Some(Ok(_)) = connection.accept().await {} }).await;
}

/// The streams of a connection.
struct Streams<A> {
    state: Arc<ProxyState>,
    client: IpAddr,
    app: Arc<A>,
    closing: ShutdownWatch,
    digest: Arc<Digest>,
    under_way: TaskTracker,
    malformed: usize,
}

impl<A: HttpServerApp + Send + Sync + 'static> Streams<A> {
    fn new(stream: &Stream, (state, client): (Arc<ProxyState>, IpAddr), app: Arc<A>, closing: ShutdownWatch) -> Self {
        let digest = Digest {
            ssl_digest: None,
            timing_digest: stream.get_timing_digest(),
            proxy_digest: stream.get_proxy_digest(),
            socket_digest: stream.get_socket_digest(),
        };
        let under_way = TaskTracker::new();
        // Only so can it be waited for; more may come.
        under_way.close();
        Self { state, client, app, closing, digest: Arc::new(digest), under_way, malformed: 0 }
    }

    /// Returns when nothing has been under way for that long.
    async fn idle(&self, patience: Duration) {
        self.under_way.wait().await;
        sleep(patience).await;
    }

    /// Serves a request, or refuses it.
    fn take_in(&mut self, request: Request<RecvStream>, answer: SendResponse<Bytes>) {
        let (head, body) = request.into_parts();
        let head: RequestHeader = head.into();
        if let Err(error) = head::check(&head) {
            self.malformed += usize::from(error.status == 400);
            let id = accept::request_id(&head.headers);
            let refused = RefusedHead::of(error, head.method.as_str(), head.raw_path());
            refused.record(&self.state.recorder, id.to_str().unwrap_or_default(), Some(self.client));
            return refused::tell(&refused.error, id, &head.method, answer);
        }
        let session = ForPingora(Http2Session::new(head, body, answer, self.digest.clone()));
        let (app, closing) = (self.app.clone(), self.closing.clone());
        self.under_way.spawn(async move {
            app.process_new_http(ServerSession::new_custom(Box::new(session)), &closing).await;
        });
    }
}
