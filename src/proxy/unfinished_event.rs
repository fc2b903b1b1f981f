//! The beginning of an event whose end has not come. It is held back, so that a stream whose engine dies ends with whole
//! events before the error: half of one would be read together with what follows it.

use bytes::{Bytes, BytesMut};

use crate::openai::last_boundary;

/// An event that is longer is passed on in pieces.
const MOST: usize = 1 << 20;

/// The end of what has come of a stream.
#[derive(Debug, Default)]
pub(super) struct UnfinishedEvent {
    held: BytesMut,
    /// The beginning of an event that is too long was passed on.
    is_torn: bool,
}

impl UnfinishedEvent {
    /// What can be passed on after `piece` has come; `at_boundary`: it ends with a whole event; `end`: nothing more comes.
    pub(super) fn feed(&mut self, piece: Option<Bytes>, at_boundary: bool, end: bool) -> Option<Bytes> {
        let Some(piece) = piece else {
            return Some(self.held.split().freeze()).filter(|held| end && !held.is_empty());
        };
        if self.held.is_empty() && (at_boundary || end) {
            // Nearly all pieces are whole events.
            self.is_torn = false;
            return Some(piece);
        }
        if at_boundary || end {
            self.held.extend_from_slice(&piece);
            self.is_torn = false;
            return Some(self.held.split().freeze());
        }
        let whole = last_boundary(&piece);
        if let Some(whole) = whole {
            self.held.extend_from_slice(&piece[..whole]);
            self.is_torn = false;
            let out = std::mem::replace(&mut self.held, BytesMut::from(&piece[whole..]));
            return Some(out.freeze());
        }
        self.held.extend_from_slice(&piece);
        if self.is_torn || self.held.len() > MOST {
            self.is_torn = true;
            return Some(self.held.split().freeze());
        }
        None
    }

    /// Nothing more comes, and what is held is dropped; whether what was passed on ends with a whole event.
    pub(super) fn give_up(&mut self) -> bool {
        self.held.clear();
        !self.is_torn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] =
        b"data: {\"a\": 1}\n\n: note\n\nevent: x\r\ndata: 2\r\n\r\ndata: long\ndata: er\n\ndata: [DONE]\n\n";

    fn ends_event(bytes: &[u8]) -> bool {
        bytes.is_empty() || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n")
    }

    proptest! {
        /// Wherever a stream is cut into pieces, and wherever it breaks off.
        #[test]
        fn only_whole_events_are_passed_on_and_nothing_is_lost(
            cuts in prop::collection::vec(1_usize..20, 1..40),
            breaks_at in 0_usize..STREAM.len() + 1,
        ) {
            let (mut event, mut out, mut at) = (UnfinishedEvent::default(), Vec::new(), 0);
            for size in cuts.iter().cycle() {
                let next = (at + size).min(breaks_at);
                if at == next {
                    break;
                }
                let piece = Bytes::copy_from_slice(&STREAM[at..next]);
                at = next;
                out.extend_from_slice(&event.feed(Some(piece), ends_event(&STREAM[..at]), false).unwrap_or_default());
                prop_assert!(ends_event(&out));
            }
            let mut broken = UnfinishedEvent { held: event.held.clone(), is_torn: event.is_torn };
            prop_assert!(broken.give_up());
            out.extend_from_slice(&event.feed(None, false, true).unwrap_or_default());
            prop_assert_eq!(out, &STREAM[..breaks_at]);
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_held_for_ever() {
        let mut event = UnfinishedEvent::default();
        assert_eq!(event.feed(Some(Bytes::from(vec![b'x'; MOST])), false, false), None);
        assert_eq!(event.feed(Some(Bytes::from_static(b"x")), false, false).map(|out| out.len()), Some(MOST + 1));
        assert_eq!(event.feed(Some(Bytes::from_static(b"y")), false, false).as_deref(), Some(&b"y"[..]));
        assert!(!event.give_up(), "the caller has half of it");
        assert_eq!(event.feed(Some(Bytes::from_static(b"\n\n")), true, false).as_deref(), Some(&b"\n\n"[..]));
        assert!(event.give_up());
    }
}
