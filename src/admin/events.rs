//! `GET /api/v1/events`: what happens, as server-sent events.

use std::collections::VecDeque;

use axum::http::HeaderMap;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream;

use super::error::ApiError;
use super::snapshots::Snapshot;
use super::status::snapshot;
use super::{Admin, sse};
use crate::api::{Event, EventKind};
use crate::telemetry::{self, EventStream, Heard};

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

/// A message of so many bytes is not copied to go together with others.
const LARGE: usize = 4096;

/// A client's events: from where it was, or from a snapshot on.
pub(super) fn answer(admin: Admin, headers: &HeaderMap, kinds: Kinds) -> Response {
    let place = headers.get(LAST_EVENT_ID).and_then(|place| place.to_str().ok()?.trim().parse().ok());
    let events = admin.events.listen(place);
    let listener = Listener { admin, events, kinds, is_new: place.is_none(), ready: VecDeque::new() };
    sse::answer(stream::unfold(listener, |mut listener| async move { Some((listener.piece().await?, listener)) }))
}

/// A client that listens.
struct Listener {
    admin: Admin,
    events: EventStream,
    kinds: Kinds,
    /// It has heard nothing yet.
    is_new: bool,
    /// What it gets next.
    ready: VecDeque<Bytes>,
}

impl Listener {
    /// What is sent next; `None`: it is over.
    async fn piece(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_new) {
            let snapshot = self.snapshot();
            self.ready.extend(snapshot);
            // Also where nothing else is wanted.
            self.ready.push_back(Bytes::from_static(sse::CONNECTED.as_bytes()));
        }
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            match self.events.next().await? {
                Heard::Events(events) => {
                    // There are other listeners, and all together would take milliseconds.
                    telemetry::give_way();
                    let wanted = events.into_iter().filter(|event| self.kinds.has(event.kind));
                    self.ready = pieces(wanted.map(|event| event.message));
                }
                Heard::Lost => {
                    let snapshot = self.snapshot();
                    self.ready.push_back(telemetry::resync());
                    self.ready.extend(snapshot);
                }
            }
        }
    }

    /// How everything is, if that is wanted; the listener goes on from then.
    fn snapshot(&mut self) -> Option<Bytes> {
        if !self.kinds.has(EventKind::Snapshot) {
            return None;
        }
        let admin = &self.admin;
        let take = || Event::Snapshot(Box::new(snapshot(admin)));
        let Snapshot { place, message, .. } = admin.snapshots.get(&admin.events, take);
        self.events.go_on_after(place);
        Some(message)
    }
}

/// The same in few pieces: what is sent at once costs one call of the system, and what is large is not copied.
fn pieces(messages: impl Iterator<Item = Bytes>) -> VecDeque<Bytes> {
    let (mut pieces, mut small) = (VecDeque::new(), BytesMut::new());
    for message in messages {
        if message.len() < LARGE {
            small.extend_from_slice(&message);
            continue;
        }
        pieces.extend([small.split().freeze(), message].into_iter().filter(|piece| !piece.is_empty()));
    }
    pieces.extend(Some(small.freeze()).filter(|rest| !rest.is_empty()));
    pieces
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

    #[test]
    fn small_messages_go_together_and_large_ones_as_they_are() {
        let (small, large) = (Bytes::from_static(b"data: 1\n\n"), Bytes::from(vec![b'x'; LARGE]));
        let of = |messages: &[&Bytes]| pieces(messages.iter().map(|message| (*message).clone()));
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[&small, &small]), ["data: 1\n\ndata: 1\n\n"]);
        let got = of(&[&large, &small, &small, &large, &large, &small]);
        assert_eq!(got.iter().map(Bytes::len).collect::<Vec<_>>(), [LARGE, 18, LARGE, LARGE, 9]);
        assert_eq!(got[0].as_ptr(), large.as_ptr(), "not copied");
    }
}
