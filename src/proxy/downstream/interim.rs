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
    comment: bool,
}

impl Interim {
    /// There is this to be told.
    pub(super) fn say(&mut self, word: Word) {
        if let Word::Head(head) = word {
            self.head = Some(head);
        }
        self.comment = true;
    }

    /// Whether something of it is still to be written.
    pub(super) fn is_pending(&self, real: &ServerSession) -> bool {
        self.head.is_some() || self.comment || real.has_pending_downstream_proxy_tasks()
    }

    /// Writes it. May be dropped at any point, and called again: sessions keep count of what of their tasks is written.
    pub(super) async fn write(&mut self, real: &mut ServerSession) -> Result<()> {
        if let Some(head) = self.head.take() {
            real.send_downstream_proxy_task(HttpTask::Header(head, false));
        }
        if std::mem::take(&mut self.comment) {
            real.send_downstream_proxy_task(HttpTask::Body(Some(Bytes::from_static(COMMENT)), false));
        }
        real.write_downstream_proxy_tasks().await.map(drop)
    }
}
