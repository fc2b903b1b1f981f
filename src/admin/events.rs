//! `GET /api/v1/events`: what happens, as server-sent events.

use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;

use super::error::ApiError;
use super::status::snapshot;
use super::{Admin, sse};
use crate::api::{Event, EventKind};
use crate::telemetry::{EventStream, Heard};

/// The number of the last event that a client has, as browsers send it (HTML Living Standard, 9.2).
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kinds(Option<Vec<EventKind>>);

impl Kinds {
    /// Those of a list with commas; `None`: all.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let kind = |word: &str| {
            let found = EventKind::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind);
            found.ok_or_else(|| {
                let known: Vec<&str> = EventKind::ALL.iter().map(|(_, word)| *word).collect();
                ApiError::malformed(format!("There is no kind of event `{word}`; there are {}.", known.join(", ")))
            })
        };
        let kinds = text.map(|text| text.split(',').map(str::trim).map(kind).collect::<Result<_, _>>());
        Ok(Self(kinds.transpose()?))
    }

    fn has(&self, kind: EventKind) -> bool {
        // Whoever does not hear that it missed something takes what it has for true.
        kind == EventKind::Resync || self.0.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// A client's events: from where it was, or from a snapshot on.
pub(super) fn answer(admin: Admin, headers: &HeaderMap, kinds: Kinds) -> Response {
    let place = headers.get(LAST_EVENT_ID).and_then(|place| place.to_str().ok()?.trim().parse().ok());
    let events = admin.events.listen(place);
    let listener = Listener { admin, events, kinds, is_new: place.is_none() };
    sse::answer(stream::unfold(listener, |mut listener| async move { Some((listener.piece().await?, listener)) }))
}

/// A client that listens.
struct Listener {
    admin: Admin,
    events: EventStream,
    kinds: Kinds,
    /// It has heard nothing yet.
    is_new: bool,
}

impl Listener {
    /// What is sent next; `None`: it is over.
    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            let mut text = String::new();
            if std::mem::take(&mut self.is_new) {
                self.snapshot(&mut text);
                // Also where nothing of it is wanted.
                text.push_str(sse::CONNECTED);
                return Some(text.into());
            }
            match self.events.next().await? {
                Heard::Events(events) => {
                    for event in events.iter().filter(|event| self.kinds.has(event.kind)) {
                        sse::message(&mut text, Some(event.number), &event.json);
                    }
                }
                Heard::Lost => {
                    self.tell(&mut text, &Event::Resync);
                    self.snapshot(&mut text);
                }
            }
            if !text.is_empty() {
                return Some(text.into());
            }
        }
    }

    /// How everything is. What happened between the place of this listener and now comes once more: it is told as it is, not
    /// as it differs.
    fn snapshot(&self, text: &mut String) {
        if self.kinds.has(EventKind::Snapshot) {
            self.tell(text, &Event::Snapshot(Box::new(snapshot(&self.admin))));
        }
    }

    fn tell(&self, text: &mut String, event: &Event) {
        sse::message(text, Some(self.events.place()), &serde_json::to_string(event).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_or_refused_and_a_resync_is_always_heard() {
        let kinds = Kinds::parse(Some("engine, requests")).expect("known");
        assert!(kinds.has(EventKind::Engine) && kinds.has(EventKind::Resync) && !kinds.has(EventKind::Snapshot));
        assert!(Kinds::parse(None).expect("all").has(EventKind::Snapshot));
        let error = Kinds::parse(Some("engine,cats")).expect_err("unknown");
        assert!(error.message.contains("`cats`") && error.message.contains("pulse"), "{}", error.message);
    }
}
