//! One request between a client and a server of HTTP/2 inside a test.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::io::duplex;

/// A request whose head has come in, at both of its ends.
pub(super) struct Exchange {
    /// The client's: what it sends, and what it gets.
    pub(super) request: SendStream<Bytes>,
    pub(super) response: ResponseFuture,
    /// The server's.
    pub(super) body: RecvStream,
    pub(super) answer: SendResponse<Bytes>,
    /// The connection lives as long as this.
    _client: SendRequest<Bytes>,
}

/// A request of a client that takes `window` bytes before it has read some.
pub(super) async fn exchange(window: u32) -> Exchange {
    let (near, far) = duplex(1 << 20);
    let mut options = h2::client::Builder::new();
    options.initial_window_size(window);
    let (client, server) = tokio::join!(options.handshake(near), h2::server::handshake(far));
    let ((client, connection), mut server) = (client.expect("a client"), server.expect("a server"));
    tokio::spawn(connection);
    let mut client = client.ready().await.expect("open");
    let head = Request::post("http://gateway/").body(()).expect("a head");
    let (response, request) = client.send_request(head, false).expect("sent");
    let (head, answer) = server.accept().await.expect("a request").expect("a request");
    tokio::spawn(async move { while let Some(Ok(_)) = server.accept().await {} });
    Exchange { request, response, body: head.into_body(), answer, _client: client }
}
