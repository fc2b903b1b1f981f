//! What a caller gets while its engine is silent: the head of a stream, and comments.
//!
//! The wait for an engine is given up whenever something comes of it, in the middle of a write as well. What was begun then
//! goes on with the next write, from the byte where it stopped.

use bytes::Bytes;
use pingora::Result;
use pingora::protocols::http::{HttpTask, ServerSession};

use super::answer::Word;

/// A comment of a stream of events, which every client skips (WHATWG HTML, 9.2.6).
const COMMENT: &[u8] = b": keep-alive\n\n";

/// What is still to be written.
#[derive(Default)]
pub(super) struct Interim {
    head: Option<Box<pingora::http::ResponseHeader>>,
    comment: &'static [u8],
}

impl Interim {
    /// There is this to be told.
    pub(super) fn say(&mut self, word: Word) {
        if let Word::Head(head) = word {
            self.head = Some(head);
        }
        if self.comment.is_empty() {
            self.comment = COMMENT;
        }
    }

    /// Whether something of it is still to be written.
    pub(super) fn is_pending(&self, real: &ServerSession) -> bool {
        self.head.is_some() || !self.comment.is_empty() || real.has_pending_downstream_proxy_tasks()
    }

    /// Writes it. May be dropped at any point, and called again.
    pub(super) async fn write(&mut self, real: &mut ServerSession) -> Result<()> {
        if let ServerSession::H1(session) = real {
            // Pingora keeps count of what of these is written.
            if let Some(head) = self.head.take() {
                session.send_proxy_task(HttpTask::Header(head, false));
            }
            if !self.comment.is_empty() {
                let comment = Bytes::from_static(std::mem::take(&mut self.comment));
                session.send_proxy_task(HttpTask::Body(Some(comment), false));
            }
            return session.write_proxy_tasks().await.map(drop);
        }
        if let Some(head) = self.head.take() {
            // Over HTTP/2 this only queues a frame.
            real.write_response_header(head).await?;
        }
        // A single byte is either sent or not.
        while let Some((first, rest)) = self.comment.split_at_checked(1) {
            real.write_response_body(Bytes::from_static(first), false).await?;
            self.comment = rest;
        }
        Ok(())
    }
}
