//! One request over HTTP/2 and its answer, as Pingora wants a session to be.
//!
//! Pingora's own session of HTTP/2 cannot be made outside of it, and sends no 1xx. Its trait for sessions of others is no
//! stable interface, which is one reason why its version is pinned.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

use super::answer::Answer;
use super::request_body::RequestBody;

type MessageReader = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

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

#[async_trait]
impl CustomSession for Http2Session {
    fn req_header(&self) -> &RequestHeader {
        &self.head
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.body.next().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.body.drain().await
    }

    fn is_body_done(&mut self) -> bool {
        self.body.is_done()
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.is_empty()
    }

    /// With the body done, what can come is the client's departure.
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.body.is_done() {
            return self.body.next().await;
        }
        let reason = self.answer.left().await?;
        Err(Error::explain(ErrorType::H2Error, format!("the client has left: {reason}")).into_down())
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.answer.queue(HttpTask::Header(head, end));
        self.answer.flush().await.map(drop)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.answer.queue(HttpTask::Body(Some(data), end));
        self.answer.flush().await.map(drop)
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.answer.queue(HttpTask::Trailer(Some(Box::new(trailers))));
        self.answer.flush().await.map(drop)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        for task in tasks {
            match task {
                HttpTask::Failed(error) => {
                    self.answer.flush().await?;
                    // It is no fault of the client's.
                    return Err(error);
                }
                task => self.answer.queue(task),
            }
        }
        self.answer.flush().await
    }

    fn send_proxy_task(&mut self, task: HttpTask) {
        self.answer.queue(task);
    }

    fn has_pending_proxy_tasks(&self) -> bool {
        self.answer.has_queued()
    }

    async fn write_proxy_tasks(&mut self) -> Result<bool> {
        self.answer.flush().await
    }

    async fn finish(&mut self) -> Result<()> {
        self.answer.queue(HttpTask::Done);
        self.answer.flush().await.map(drop)
    }

    /// A reset, as in Pingora's own session: the rest of the connection goes on.
    async fn shutdown(&mut self, _: u32, _: &str) {
        self.answer.abandon();
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.answer.head()
    }

    /// `body` has a clock for the whole of a body.
    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.answer.set_patience(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.answer.patience()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.body.drain_within = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.body.drain_within
    }

    fn request_summary(&self) -> String {
        let Self { head, .. } = self;
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = head.uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or_default();
        format!("{} {}, Host: {host}", head.method, head.uri.path_and_query().map_or("", |target| target.as_str()))
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        http_req_header_to_wire(&self.head).unwrap_or_default().freeze()
    }

    fn body_bytes_sent(&self) -> usize {
        self.answer.sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.body.received
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    /// All requests of a connection share it.
    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    /// Nothing is sent again by Pingora.
    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<MessageReader> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: MessageReader) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
