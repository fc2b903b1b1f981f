//! How long events are under way: the engine writes the time into them, the client reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// What stands before the time in an event.
pub(crate) const MARK: &str = "\"content\":\"at ";

/// Digits of the time.
const DIGITS: usize = 16;

/// Microseconds since 1970: engine and client are two processes of one machine.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    u64::try_from(since.as_micros()).expect("not so late")
}

/// Reads times out of a stream, in whatever pieces it comes.
#[derive(Default)]
pub(crate) struct Reader(Vec<u8>);

impl Reader {
    /// Tells `found` the microseconds that each event in `piece` was under way.
    pub(crate) fn read(&mut self, piece: &[u8], mut found: impl FnMut(u64)) {
        self.0.extend_from_slice(piece);
        let now = now();
        let mut used = 0;
        while let Some(at) = memchr::memmem::find(&self.0[used..], MARK.as_bytes()) {
            let begin = used + at + MARK.len();
            let Some(digits) = self.0.get(begin..begin + DIGITS) else {
                used += at;
                break;
            };
            let sent: u64 = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).expect("a time");
            found(now.saturating_sub(sent));
            used = begin + DIGITS;
        }
        // The beginning of a mark may be the last that came.
        let kept = (self.0.len() - used).min(MARK.len() + DIGITS);
        self.0.drain(..self.0.len() - kept);
    }
}
