//! Which streams of the gateway are followed, and by which thread.

use super::link::{self, Link, Turns};
use crate::tui::frame::Effect;

/// What is followed.
#[derive(Debug, Default)]
pub(super) struct Following {
    events: Turns,
    log_turns: Turns,
    /// The number of the thread that follows logs, and whose logs.
    logs: Option<(u64, Option<String>)>,
    request_turns: Turns,
    requests: bool,
}

impl Drop for Following {
    /// Whoever comes next is not to hear of this gateway.
    fn drop(&mut self) {
        self.events.next();
        self.log_turns.next();
        self.request_turns.next();
    }
}

impl Following {
    /// Follows events by a thread that is new.
    pub(super) fn events(&mut self, link: &Link) -> Effect {
        let (link, turn) = (link.clone(), self.events.next());
        Effect::work("events", move |teller| link::events(&link, &turn, teller))
    }

    /// Follows these logs (`Some(None)`: all; `None`: none); `None`: they are followed already.
    pub(super) fn logs(&mut self, wanted: Option<Option<String>>, link: &Link) -> Option<Option<Effect>> {
        if self.logs.as_ref().map(|(_, from)| from) == wanted.as_ref() {
            return None;
        }
        let turn = self.log_turns.next();
        self.logs = wanted.clone().map(|from| (turn.number, from));
        let link = link.clone();
        Some(wanted.map(|from| Effect::work("logs", move |teller| link::logs(&link, from, &turn, teller))))
    }

    /// Whether lines that the thread of this number tells are wanted.
    pub(super) fn has_logs(&self, number: u64) -> bool {
        self.logs.as_ref().is_some_and(|(followed, _)| *followed == number)
    }

    /// The number of the thread that follows logs.
    #[cfg(test)]
    pub(super) fn log_turn(&self) -> Option<u64> {
        self.logs.as_ref().map(|(number, _)| *number)
    }

    /// Follows requests, or does not any more.
    pub(super) fn requests(&mut self, wanted: bool, link: &Link) -> Option<Effect> {
        if self.requests == wanted {
            return None;
        }
        self.requests = wanted;
        let (link, turn) = (link.clone(), self.request_turns.next());
        wanted.then(|| Effect::work("requests", move |teller| link::requests(&link, &turn, teller)))
    }
}
