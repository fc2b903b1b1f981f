//! An event as those who listen get it: a message of server-sent events (HTML Living Standard, 9.2), written once for all of
//! them.

use bytes::Bytes;

use crate::api::Event;

/// Room for a number and what stands around it.
const HEAD: usize = "id: 18446744073709551615\n".len();

/// A message that has no number yet.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn of(event: &Event) -> Self {
        let mut text = Vec::with_capacity(256);
        text.resize(HEAD, b' ');
        text.extend_from_slice(b"data: ");
        // Events hold nothing that JSON cannot, and writing to memory does not fail.
        let _ = serde_json::to_writer(&mut text, event);
        text.extend_from_slice(b"\n\n");
        // It may be kept for long.
        text.shrink_to_fit();
        Self(text)
    }

    /// The message, with its number; what is written already is not copied.
    pub(super) fn numbered(self, number: u64) -> Bytes {
        let Self(mut text) = self;
        let head = format!("id: {number}\n");
        let start = HEAD.saturating_sub(head.len());
        text[start..HEAD].copy_from_slice(head.as_bytes());
        Bytes::from(text).slice(start..)
    }

    fn without_number(self) -> Bytes {
        Bytes::from(self.0).slice(HEAD..)
    }
}

/// The message of an event that only some listeners get, after the one of this `number`.
#[must_use]
pub fn message(event: &Event, number: u64) -> Bytes {
    Draft::of(event).numbered(number)
}

/// The message that tells a listener that it missed events. It has no number: whoever connects again before it has got the
/// snapshot that follows is still where it was.
#[must_use]
pub fn resync() -> Bytes {
    Draft::of(&Event::Resync).without_number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_number_and_the_event_in_one_line() {
        let message = |number| message(&Event::Resync, number);
        assert_eq!(message(7), "id: 7\ndata: {\"event\":\"resync\"}\n\n");
        assert_eq!(resync(), "data: {\"event\":\"resync\"}\n\n");
        let longest = message(u64::MAX);
        assert_eq!(longest, format!("id: {}\ndata: {{\"event\":\"resync\"}}\n\n", u64::MAX));
    }
}
