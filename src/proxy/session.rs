//! What Pingora wants of the session of a request, whatever version of HTTP it came over.
//!
//! Pingora's trait for sessions of others is no stable interface, which is one reason why its version is pinned.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, Result};

type MessageReader = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// One request and its answer.
pub(super) trait Session: Send + Sync + Unpin + 'static {
    fn request(&self) -> &RequestHeader;

    fn request_mut(&mut self) -> &mut RequestHeader;

    /// The host that it is for, if it names one.
    fn host(&self) -> Option<&str>;

    /// The next bytes of its body; `None`: there are no more.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Takes in the rest of its body for nobody.
    fn drain(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Whether all of its body was read.
    fn is_read(&self) -> bool;

    /// Bytes of its body that were read.
    fn received(&self) -> usize;

    /// Returns when the client has left.
    fn departure(&mut self) -> impl Future<Output = Box<Error>> + Send;

    /// There is this of the answer to be sent, behind all that waits.
    fn queue(&mut self, task: HttpTask);

    fn has_queued(&self) -> bool;

    /// Sends what is queued; whether that was the end of the answer. May be dropped at any point, and called again.
    fn flush(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// Whether a head is sent before there is anything behind it.
    fn sends_head_alone(&self) -> bool;

    /// Gives the answer up, so that the client sees that it is not whole.
    fn abandon(&mut self);

    /// The head of the answer, when it was sent.
    fn answer(&self) -> Option<&ResponseHeader>;

    /// Bytes of the answer's body that were sent.
    fn sent(&self) -> usize;

    fn patience(&self) -> Patience;

    fn set_patience(&mut self, patience: Patience);

    fn client(&self) -> Option<&SocketAddr>;

    fn server(&self) -> Option<&SocketAddr>;

    fn digest(&self) -> Option<&Digest>;

    fn digest_mut(&mut self) -> Option<&mut Digest>;
}

/// How long a client may be silent; `None`: for ever, or as long as something else allows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until it sends more.
    pub(super) read: Option<Duration>,
    /// Until it takes more.
    pub(super) write: Option<Duration>,
    /// With the whole rest of a body that nobody wants.
    pub(super) drain: Option<Duration>,
}

/// A session, as Pingora wants one to be.
pub(super) struct ForPingora<S>(pub(super) S);

impl<S: Session> ForPingora<S> {
    async fn send(&mut self, task: HttpTask) -> Result<()> {
        self.0.queue(task);
        self.0.flush().await.map(drop)
    }
}

#[async_trait]
impl<S: Session> CustomSession for ForPingora<S> {
    fn req_header(&self) -> &RequestHeader {
        self.0.request()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.0.request_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.0.read().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.0.drain().await
    }

    fn is_body_done(&mut self) -> bool {
        self.0.is_read()
    }

    fn is_body_empty(&mut self) -> bool {
        self.0.is_read() && self.0.received() == 0
    }

    /// With the body done, what can come is the client's departure.
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.0.is_read() { Err(self.0.departure().await) } else { self.0.read().await }
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        let is_sent = end || head.status.is_informational() || self.0.sends_head_alone();
        self.0.queue(HttpTask::Header(head, end));
        if is_sent { self.0.flush().await.map(drop) } else { Ok(()) }
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.send(HttpTask::Body(Some(data), end)).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.send(HttpTask::Trailer(Some(Box::new(trailers)))).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        for task in tasks {
            match task {
                HttpTask::Failed(error) => {
                    self.0.flush().await?;
                    // It is no fault of the client's.
                    return Err(error);
                }
                task => self.0.queue(task),
            }
        }
        self.0.flush().await
    }

    fn proxy_tasks_enabled(&self) -> bool {
        true
    }

    fn send_proxy_task(&mut self, task: HttpTask) {
        self.0.queue(task);
    }

    fn has_pending_proxy_tasks(&self) -> bool {
        self.0.has_queued()
    }

    async fn write_proxy_tasks(&mut self) -> Result<bool> {
        self.0.flush().await
    }

    async fn finish(&mut self) -> Result<()> {
        self.send(HttpTask::Done).await
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.0.abandon();
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.0.answer()
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_patience(Patience { read: timeout, ..self.0.patience() });
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.0.patience().read
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_patience(Patience { write: timeout, ..self.0.patience() });
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.0.patience().write
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_patience(Patience { drain: timeout, ..self.0.patience() });
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.0.patience().drain
    }

    fn request_summary(&self) -> String {
        let head = self.0.request();
        let host = self.0.host().unwrap_or_default();
        format!("{} {}, Host: {host}", head.method, String::from_utf8_lossy(head.raw_path()))
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        http_req_header_to_wire(self.0.request()).unwrap_or_default().freeze()
    }

    fn body_bytes_sent(&self) -> usize {
        self.0.sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.0.received()
    }

    fn digest(&self) -> Option<&Digest> {
        self.0.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.0.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.0.client()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.0.server()
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
