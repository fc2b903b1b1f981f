//! The session that Pingora sees in place of the caller's.
//!
//! Towards the engine: Pingora 0.9 sends a body that was read in `request_filter` only from its retry buffer of 64 KiB;
//! this one presents the whole body as that buffer, on every attempt, whatever its size and framing.
//!
//! Towards the caller: the head of an answer is held back until the first bytes of a stream, or the end of a plain
//! answer, have come. An engine that dies before that has cost nothing: the next attempt's head takes the place of its.
//! When that takes long, the caller gets the head of the stream and comments, which cost nothing either.
//!
//! Everything else is passed on. Pingora's session trait is no stable interface, which is one reason why its version is
//! pinned.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, Result};

use super::answer::Answer;
use super::burst::{Burst, settled};
use super::interim::Interim;
use super::shared::Shared;
use super::wait::{LEFT, Wait, leaves, ring};
use crate::engines::Engine;

type MessageReader = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

pub(super) struct BufferedSession {
    /// Always present until drop.
    real: Option<Box<ServerSession>>,
    shared: Arc<Shared>,
    answer: Answer,
    burst: Burst,
    interim: Interim,
    wait: Wait,
    /// The engine whose answer is passed on.
    engine: Option<Arc<Engine>>,
}

impl Drop for BufferedSession {
    fn drop(&mut self) {
        *self.shared.real.lock().unwrap_or_else(PoisonError::into_inner) = self.real.take();
    }
}

impl BufferedSession {
    pub(super) fn new(real: Box<ServerSession>, shared: Arc<Shared>, wait: Wait) -> Self {
        let (answer, burst, interim) = (Answer::default(), Burst::default(), Interim::default());
        Self { real: Some(real), shared, answer, burst, interim, wait, engine: None }
    }

    #[expect(clippy::expect_used, reason = "`real` is taken by drop alone")]
    fn real(&self) -> &ServerSession {
        self.real.as_ref().expect("present until drop")
    }

    #[expect(clippy::expect_used, reason = "`real` is taken by drop alone")]
    fn real_mut(&mut self) -> &mut ServerSession {
        self.real.as_mut().expect("present until drop")
    }

    /// The real session, after what was begun to be written while nothing came, and what is gathered.
    async fn resume(&mut self) -> Result<&mut ServerSession> {
        if let Some(gathered) = self.burst.take() {
            self.write(vec![gathered]).await?;
        }
        let Self { real: Some(real), interim, .. } = self else { return Ok(self.real_mut()) };
        if interim.is_pending(real) {
            interim.write(real).await?;
        }
        Ok(real)
    }

    /// Writes what is gathered or to be told while nothing comes, or waits for the caller's departure.
    async fn write_or_read(
        (real, interim, burst): (&mut ServerSession, &mut Interim, &mut Burst),
        engine: Option<&Arc<Engine>>,
    ) -> Result<Option<Option<Bytes>>> {
        if !burst.is_empty() {
            settled().await;
            interim.queue(real, burst.take());
        }
        if interim.is_pending(real) {
            let writing = std::pin::pin!(interim.write(real));
            return until_taken(writing, engine).await.map(|()| None);
        }
        real.read_body_or_idle(true).await.map(Some)
    }

    /// Passes on what is held back.
    async fn pass(&mut self) -> Result<bool> {
        let tasks = self.answer.pass();
        self.shared.opened.store(false, Ordering::Relaxed);
        if tasks.is_empty() {
            return Ok(false);
        }
        self.engine = self.shared.attempt().engine.clone();
        self.write(tasks).await
    }

    /// Writes to the caller; the engine is not blamed for the time that a caller takes.
    async fn write(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Self { real: Some(real), interim, engine, .. } = self else { return Ok(true) };
        let writing = std::pin::pin!(async {
            if interim.is_pending(real) {
                interim.write(real).await?;
            }
            real.response_duplex_vec(tasks).await
        });
        until_taken(writing, engine.as_ref()).await
    }
}

/// Awaits what is written to a caller; while that takes nothing, its `engine` is held up.
async fn until_taken<T>(mut writing: Pin<&mut impl Future<Output = T>>, engine: Option<&Arc<Engine>>) -> T {
    if let Poll::Ready(written) = futures::poll!(writing.as_mut()) {
        return written;
    }
    let _held_up = engine.map(Engine::hold_up);
    writing.await
}

#[async_trait]
impl CustomSession for BufferedSession {
    fn is_body_done(&mut self) -> bool {
        true
    }

    fn is_body_empty(&mut self) -> bool {
        self.shared.attempt().body.is_empty()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        Some(self.shared.attempt().body.clone()).filter(|body| !body.is_empty())
    }

    /// The body is done: what can come is the caller's departure, or an end of the wait for the engine. Pingora drops this
    /// whenever something comes of the engine.
    async fn read_body_or_idle(&mut self, _: bool) -> Result<Option<Bytes>> {
        let Self { real, shared, answer, burst, interim, wait, engine } = self;
        let Some(real) = real else { return std::future::pending().await };
        let (number, alternatives) = {
            let attempt = shared.attempt();
            (attempt.number, attempt.alternatives.clone())
        };
        let Wait { silence, alarm, end } = wait;
        loop {
            let due = answer.due(*silence, number);
            tokio::select! {
                biased;
                kind = end.comes(answer.is_timed()) => return Err(Error::new(kind)),
                () = leaves(alternatives.as_deref()), if answer.is_awaited(number) => return Err(Error::new(LEFT)),
                () = ring(alarm, due) => {
                    interim.say(answer.speak());
                    shared.opened.store(answer.is_opened(), Ordering::Relaxed);
                }
                left = Self::write_or_read((&mut *real, &mut *interim, &mut *burst), engine.as_ref()) => match left {
                    Err(error) => return Err(error),
                    Ok(Some(left)) => return Ok(left),
                    Ok(None) => {}
                },
            }
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
        self.resume().await?.write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.resume().await?.write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        if let Answer::Passed { takes_comments: is_stream, .. } = self.answer {
            self.answer.note(&tasks);
            // Only over HTTP/1.1 Pingora keeps count of what is written by `read_body_or_idle`. A caller that takes nothing must
            // hold up its engine.
            let is_h1 = matches!(self.real(), ServerSession::H1(_));
            let gathers = is_stream && is_h1 && !self.interim.is_pending(self.real());
            let now = if gathers { self.burst.add(tasks) } else { self.burst.before(tasks) };
            return if now.is_empty() { Ok(false) } else { self.write(now).await };
        }
        let number = self.shared.attempt().number;
        let (mut pass, mut failed) = (false, None);
        for task in tasks {
            match task {
                // An interim answer promises nothing.
                HttpTask::Header(head, _) if head.status.is_informational() => {}
                HttpTask::Failed(error) => failed = Some(error),
                task => pass |= self.answer.hold(task, number),
            }
        }
        let ended = if pass { self.pass().await? } else { false };
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

    /// A head with nothing but comments after it binds only to a stream.
    fn response_written(&self) -> Option<&ResponseHeader> {
        self.real().response_written().filter(|_| !self.answer.is_opened())
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.real_mut().shutdown().await;
    }

    async fn finish(&mut self) -> Result<()> {
        self.pass().await?;
        self.resume().await?.finish_body().await
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
