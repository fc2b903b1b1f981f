//! The caller's session, with an answer held back until something of it is worth keeping: until then an attempt can be
//! repeated.
//!
//! Towards the engine: Pingora 0.9 sends a body that was read in `request_filter` only from its retry buffer of 64 KiB;
//! this one presents the whole body as that buffer, on every attempt, whatever its size and framing.
//!
//! Towards the caller: the head of an answer is held back until the first bytes of a stream, or the end of a plain
//! answer, have come. An engine that dies before that has cost nothing: the next attempt's head takes the place of its.
//!
//! Everything else is passed on. Pingora's session trait is no stable interface, which is one reason why its version is
//! pinned.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::state::AbortSignal;

type MessageReader = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// Where the real session is left when the buffered one is dropped.
pub(super) type Slot = Arc<Mutex<Option<Box<ServerSession>>>>;

/// Bytes of a plain answer that are held back at most. A larger one is passed on from there, and a failure then shows.
const HOLD: usize = 256 * 1024;

/// Of an answer that is given up because the gateway ends.
pub(super) const ABORTED: ErrorType = ErrorType::Custom("ShuttingDown");

struct BufferedDownstream {
    /// Always present until drop.
    real: Option<Box<ServerSession>>,
    /// The request's.
    body: Bytes,
    slot: Slot,
    answer: Answer,
    abort: AbortSignal,
}

/// What has come of an answer.
enum Answer {
    /// Held back: nothing of it is on the wire.
    Held { tasks: Vec<HttpTask>, bytes: usize, events: bool },
    /// Under way to the caller.
    Passed,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Held { tasks: Vec::new(), bytes: 0, events: false }
    }
}

impl Answer {
    /// Takes in one more task; whether there is now something worth passing on.
    fn hold(&mut self, task: HttpTask) -> bool {
        let Self::Held { tasks, bytes, events } = self else { return true };
        let pass = match &task {
            HttpTask::Header(head, end) => {
                // Of an attempt that failed nothing is kept.
                tasks.clear();
                *bytes = 0;
                *events = is_event_stream(head);
                *end
            }
            HttpTask::Body(piece, end) => {
                *bytes += piece.as_ref().map_or(0, Bytes::len);
                *end || *bytes > if *events { 0 } else { HOLD }
            }
            HttpTask::Trailer(_) | HttpTask::Done | HttpTask::UpgradedBody(..) => true,
            HttpTask::Failed(_) => false,
        };
        tasks.push(task);
        pass
    }

    /// What is held back, to be passed on.
    fn pass(&mut self) -> Vec<HttpTask> {
        match mem::replace(self, Self::Passed) {
            Self::Held { mut tasks, bytes, .. } => {
                measure(&mut tasks, bytes);
                tasks
            }
            Self::Passed => Vec::new(),
        }
    }
}

/// Says how long an answer is that is held back as a whole: one that was changed on its way, or whose engine did not say.
fn measure(tasks: &mut [HttpTask], bytes: usize) {
    let whole = matches!(tasks, [HttpTask::Header(..), .., HttpTask::Body(_, true)]);
    if let [HttpTask::Header(head, false), ..] = tasks
        && whole
        && !head.headers.contains_key(header::CONTENT_LENGTH)
        && head.insert_header(header::CONTENT_LENGTH, bytes).is_ok()
    {
        head.remove_header(&header::TRANSFER_ENCODING);
    }
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// A session that must never be asked anything: it fills a place for a moment.
fn placeholder() -> Box<ServerSession> {
    Box::new(ServerSession::Custom(Box::new(())))
}

/// Puts a buffered session in the place of the real one; `body` is what is sent to the engine.
pub(super) fn install(session: &mut Session, body: Bytes, abort: AbortSignal) -> Slot {
    let slot = Slot::default();
    let real = Some(mem::replace(&mut session.downstream_session, placeholder()));
    let buffered = BufferedDownstream { real, body, slot: slot.clone(), answer: Answer::default(), abort };
    *session.downstream_session = ServerSession::Custom(Box::new(buffered));
    slot
}

/// Puts the real session back, so that its connection can be used again.
pub(super) fn remove(session: &mut Session, slot: &Slot) {
    // Dropping it leaves the real session in the slot.
    *session.downstream_session = ServerSession::Custom(Box::new(()));
    if let Some(real) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
        session.downstream_session = real;
    }
}

/// Takes the real session away for good. Pingora asks nothing more of a request that has failed and is accounted for.
pub(super) fn take(session: &mut Session) -> Box<ServerSession> {
    mem::replace(&mut session.downstream_session, placeholder())
}

impl Drop for BufferedDownstream {
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.real.take();
    }
}

impl BufferedDownstream {
    #[expect(clippy::expect_used, reason = "`real` is taken by drop alone")]
    fn real(&self) -> &ServerSession {
        self.real.as_ref().expect("present until drop")
    }

    #[expect(clippy::expect_used, reason = "`real` is taken by drop alone")]
    fn real_mut(&mut self) -> &mut ServerSession {
        self.real.as_mut().expect("present until drop")
    }
}

#[async_trait]
impl CustomSession for BufferedDownstream {
    fn is_body_done(&mut self) -> bool {
        true
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.is_empty()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        (!self.body.is_empty()).then(|| self.body.clone())
    }

    async fn read_body_or_idle(&mut self, _: bool) -> Result<Option<Bytes>> {
        let Self { real, abort, .. } = self;
        let Some(real) = real else { return std::future::pending().await };
        tokio::select! {
            biased;
            () = abort.aborted() => Err(Error::new(ABORTED)),
            // The body is done: what is left to read is the caller's departure.
            left = real.read_body_or_idle(true) => left,
        }
    }

    fn req_header(&self) -> &RequestHeader {
        self.real().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.real_mut().req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.real_mut().read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.real_mut().drain_request_body().await
    }

    /// An answer of our own, after all attempts have failed.
    async fn write_response_header(&mut self, head: Box<ResponseHeader>, _: bool) -> Result<()> {
        self.answer.pass();
        // Pingora does not use a connection again on which an attempt failed; the caller must know.
        self.real_mut().set_keepalive(None);
        self.real_mut().write_response_header(head).await
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, _: bool) -> Result<()> {
        self.real_mut().write_response_header_ref(head).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.real_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.real_mut().write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        if matches!(self.answer, Answer::Passed) {
            return self.real_mut().response_duplex_vec(tasks).await;
        }
        let (mut pass, mut failed) = (false, None);
        for task in tasks {
            match task {
                // An interim answer promises nothing.
                HttpTask::Header(head, _) if head.status.is_informational() => {}
                HttpTask::Failed(error) => failed = Some(error),
                task => pass |= self.answer.hold(task),
            }
        }
        let ended = if pass {
            let tasks = self.answer.pass();
            self.real_mut().response_duplex_vec(tasks).await?
        } else {
            false
        };
        failed.map_or(Ok(ended), Err)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.real().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.real().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.real().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.real().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.real().response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.real_mut().shutdown().await;
    }

    async fn finish(&mut self) -> Result<()> {
        let tasks = self.answer.pass();
        if !tasks.is_empty() {
            self.real_mut().response_duplex_vec(tasks).await?;
        }
        self.real_mut().finish_body().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.real().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.real().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.real().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.real_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.real().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.real().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.real().to_h1_raw()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: &str) -> HttpTask {
        let mut head = ResponseHeader::build(200, None).expect("head");
        head.insert_header("content-type", kind.to_owned()).expect("header");
        HttpTask::Header(Box::new(head), false)
    }

    fn piece(size: usize, end: bool) -> HttpTask {
        HttpTask::Body(Some(Bytes::from(vec![b'x'; size])), end)
    }

    #[test]
    fn a_stream_is_passed_on_with_its_first_bytes() {
        let mut answer = Answer::default();
        assert!(!answer.hold(head("text/event-stream; charset=utf-8")));
        assert!(!answer.hold(HttpTask::Body(None, false)));
        assert!(answer.hold(piece(1, false)));
        assert_eq!(answer.pass().len(), 3);
    }

    #[test]
    fn a_plain_answer_is_passed_on_whole_unless_it_is_large() {
        let mut answer = Answer::default();
        assert!(!answer.hold(head("application/json")));
        assert!(!answer.hold(piece(HOLD, false)));
        assert!(answer.hold(piece(1, false)));
        let mut answer = Answer::default();
        assert!(!answer.hold(head("application/json")));
        assert!(answer.hold(piece(10, true)));
    }

    #[test]
    fn an_answer_that_is_there_as_a_whole_says_how_long_it_is() {
        let length = |answer: &mut Answer| match answer.pass().first() {
            Some(HttpTask::Header(head, _)) => {
                head.headers.get("content-length").map(|value| value.to_str().expect("text").to_owned())
            }
            _ => panic!("a head comes first"),
        };
        let mut answer = Answer::default();
        answer.hold(head("application/json"));
        answer.hold(piece(10, false));
        answer.hold(piece(5, true));
        assert_eq!(length(&mut answer).as_deref(), Some("15"));
        let mut large = Answer::default();
        large.hold(head("application/json"));
        large.hold(piece(HOLD + 1, false));
        assert_eq!(length(&mut large), None);
        let mut stream = Answer::default();
        stream.hold(head("text/event-stream"));
        stream.hold(piece(1, false));
        assert_eq!(length(&mut stream), None);
    }

    #[test]
    fn a_further_attempt_takes_the_place_of_the_one_before() {
        let mut answer = Answer::default();
        answer.hold(head("application/json"));
        answer.hold(piece(100, false));
        answer.hold(head("text/event-stream"));
        assert!(answer.hold(piece(1, false)));
        assert_eq!(answer.pass().len(), 2);
    }
}
