//! One request over HTTP/2 and its answer.
//!
//! Pingora's own session of HTTP/2 cannot be made outside of it, and sends no 1xx.

use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

use super::answer::Answer;
use super::request_body::RequestBody;
use crate::proxy::session::{Patience, Session};

/// One request and its answer.
pub(super) struct Http2Session {
    head: RequestHeader,
    body: RequestBody,
    answer: Answer,
    /// What is known of its connection.
    digest: Arc<Digest>,
}

impl Http2Session {
    pub(super) fn new(head: RequestHeader, body: RecvStream, answer: SendResponse<Bytes>, digest: Arc<Digest>) -> Self {
        Self { head, body: RequestBody::new(body), answer: Answer::new(answer), digest }
    }
}

impl Session for Http2Session {
    fn request(&self) -> &RequestHeader {
        &self.head
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    fn host(&self) -> Option<&str> {
        let named = self.head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.head.uri.authority().map(|authority| authority.as_str()).or(named)
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        self.body.next().await
    }

    async fn drain(&mut self) -> Result<()> {
        self.body.drain().await
    }

    fn is_read(&self) -> bool {
        self.body.is_done()
    }

    fn received(&self) -> usize {
        self.body.received
    }

    async fn departure(&mut self) -> Box<Error> {
        match self.answer.left().await {
            Ok(reason) => Error::explain(ErrorType::H2Error, format!("the client has left: {reason}")).into_down(),
            Err(broken) => broken,
        }
    }

    fn queue(&mut self, task: HttpTask) {
        self.answer.queue(task);
    }

    fn has_queued(&self) -> bool {
        self.answer.has_queued()
    }

    async fn flush(&mut self) -> Result<bool> {
        self.answer.flush().await
    }

    fn sends_head_alone(&self) -> bool {
        true
    }

    /// A reset, as in Pingora's own session: the rest of the connection goes on.
    fn abandon(&mut self) {
        self.answer.abandon();
    }

    fn answer(&self) -> Option<&ResponseHeader> {
        self.answer.head()
    }

    fn sent(&self) -> usize {
        self.answer.sent()
    }

    /// None for reading: `proxy::body` has a clock for the whole of a body.
    fn patience(&self) -> Patience {
        Patience { read: None, write: self.answer.patience(), drain: self.body.drain_within }
    }

    fn set_patience(&mut self, patience: Patience) {
        self.answer.set_patience(patience.write);
        self.body.drain_within = patience.drain;
    }

    fn client(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    /// All requests of a connection share it.
    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }
}
