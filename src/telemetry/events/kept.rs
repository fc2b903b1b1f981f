//! The newest events, each with a number, so that a listener that was away goes on where it stopped. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

use super::message::Draft;
use crate::api::EventKind;

/// Events that are kept: minutes of a gateway with little to do, seconds of one with thousands of requests a second.
pub(super) const MOST: usize = 8192;

/// Bytes of events that are kept.
const MOST_BYTES: usize = 4 << 20;

/// Events that a listener takes at once, so that a long list of them keeps nobody else waiting.
pub(super) const BATCH: usize = 256;

/// Bytes of events after which it takes no more of them: what a listener has taken and its client does not read is kept for it
/// alone.
const BATCH_BYTES: usize = 64 << 10;

/// Bytes of events that listeners may let wait, however little these tell: what is kept must last until they come.
const MOST_WAITING: usize = 512 << 10;

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Larger than those of all events before it, also of earlier processes, unless the clock was set back.
    pub number: u64,
    /// Which kind it is.
    pub kind: EventKind,
    /// The event as a message of server-sent events, written once for all listeners.
    pub message: Bytes,
}

/// The newest events.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) events: VecDeque<Numbered>,
    /// The number of the last one, kept or not.
    pub(super) last: u64,
    /// The number of the last one that changes how things are: those that come by themselves again and again do not.
    last_change: u64,
    /// All up to this number are to be heard at once.
    pub(super) urgent: u64,
    bytes: usize,
    /// Bytes of those after `urgent`.
    waiting: usize,
    pub(super) is_closed: bool,
}

impl Kept {
    /// None yet; the first one gets the number after `last`.
    pub(super) fn after(last: u64) -> Self {
        Self { events: VecDeque::new(), last, last_change: last, urgent: last, bytes: 0, waiting: 0, is_closed: false }
    }

    pub(super) fn push(&mut self, kind: EventKind, draft: Draft) {
        self.last += 1;
        let message = draft.numbered(self.last);
        self.bytes += message.len();
        self.waiting += message.len();
        let is_change = !matches!(kind, EventKind::Requests | EventKind::Pulse | EventKind::Log);
        if is_change {
            self.last_change = self.last;
        }
        if is_change || self.waiting > MOST_WAITING {
            self.hurry();
        }
        self.events.push_back(Numbered { number: self.last, kind, message });
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.message.len();
        }
    }

    /// All that is kept is to be heard at once.
    pub(super) fn hurry(&mut self) {
        (self.urgent, self.waiting) = (self.last, 0);
    }

    /// Where the events after the event `after` begin; `None`: not all of them are kept, or it is no event of ours.
    fn first_after(&self, after: u64) -> Option<usize> {
        let behind = usize::try_from(self.last.checked_sub(after)?).ok()?;
        self.events.len().checked_sub(behind)
    }

    /// What comes after the event `after`; `None` as above.
    pub(super) fn since(&self, after: u64) -> Option<Vec<Numbered>> {
        let first = self.first_after(after)?;
        let mut bytes = 0;
        let fits = |event: &&Numbered| (bytes < BATCH_BYTES).then(|| bytes += event.message.len()).is_some();
        Some(self.events.range(first..).take(BATCH).take_while(fits).cloned().collect())
    }

    /// Whether all events after `place` are kept and none of them changes how things are.
    pub(super) fn is_unchanged_since(&self, place: u64) -> bool {
        self.last_change <= place && self.first_after(place).is_some()
    }
}
