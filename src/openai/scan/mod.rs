//! Follows an engine's answer as it passes: counts its events and tokens and lets it name another model.
//!
//! Every chunk is walked once. `events` knows what a line means, `usage` and `rename` read the text of its data (or all of
//! an answer that is one JSON value), and `key` finds for both where in the chunk there is something to read at all.

mod events;
mod key;
mod position;
mod rename;
#[cfg(test)]
mod tests;
mod usage;

use bytes::Bytes;
use memchr::memchr;

use events::Events;
use key::{Key, MODEL, USAGE};
use rename::Rename;
pub use usage::Usage;
use usage::UsageReader;

/// Watches one answer, which may be cut into chunks anywhere: the result is the same.
///
/// Holds nothing back, and of what has passed no more than the beginning of a line, the beginning of an event and a `usage`
/// object that is cut. No bytes make it fail: what is no JSON is passed on as it is.
#[derive(Clone, Debug)]
pub struct ResponseScanner {
    /// `None`: the answer is one JSON value.
    events: Option<Events>,
    usage: UsageReader,
    rename: Option<Box<Rename>>,
}

/// What became of a chunk.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The bytes to pass on: the chunk itself, not a copy, unless a name was replaced in it.
    pub bytes: Bytes,
    /// How many events with data the chunk completes; comments and `[DONE]` are none. 0 for an answer without events.
    pub events: usize,
}

impl ResponseScanner {
    /// For a stream of server-sent events with JSON as their data.
    #[must_use]
    pub fn events() -> Self {
        Self { events: Some(Events::default()), usage: UsageReader::default(), rename: None }
    }

    /// For an answer that is one JSON value.
    #[must_use]
    pub fn json() -> Self {
        Self { events: None, usage: UsageReader::default(), rename: None }
    }

    /// For an answer with this `Content-Type`; `None`: one in which there is nothing to read.
    #[must_use]
    pub fn for_content_type(value: &[u8]) -> Option<Self> {
        match value {
            value if value.starts_with(b"text/event-stream") => Some(Self::events()),
            value if value.starts_with(b"application/json") => Some(Self::json()),
            _ => None,
        }
    }

    /// The same, with `name` as the model that the answer names, byte for byte the same otherwise.
    ///
    /// Replaced are the texts of `model` at the top level, in `response` (Responses' events) and in `message` (Messages'
    /// first event). Deeper ones are a client's own, such as arguments of tools.
    #[must_use]
    pub fn renaming(self, name: &str) -> Self {
        Self { rename: Some(Box::new(Rename::new(name))), ..self }
    }

    /// Looks at the next chunk of the answer.
    #[must_use]
    pub fn feed(&mut self, chunk: Bytes) -> Scanned {
        let Self { events, usage, rename } = self;
        let names = rename.as_deref_mut().map(|rename| (rename, Key::new(&MODEL)));
        let mut key = Key::new(&USAGE);
        // All of the chunk, before it is walked: so it is in the processor's cache when lines are looked for.
        key.next(&chunk, 0, chunk.len());
        let mut walk = Walk { chunk: &chunk, counts: (usage, key), names };
        let events = match events {
            Some(events) => walk.lines(events),
            None => {
                walk.text(0, chunk.len(), false);
                0
            }
        };
        let renamed = rename.as_mut().and_then(|rename| rename.finish(&chunk));
        Scanned { bytes: renamed.unwrap_or(chunk), events }
    }

    /// The tokens that the answer has told of so far; `None` while it has told of none.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage.usage()
    }

    /// Whether the answer is a stream of events.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.events.is_some()
    }

    /// Whether the stream said that it is over: `[DONE]`, a closing event, or an error. Never for one JSON value.
    #[must_use]
    pub fn done(&self) -> bool {
        self.events.as_ref().is_some_and(Events::done)
    }

    /// Whether the stream told of an error. Never for one JSON value.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.events.as_ref().is_some_and(Events::failed)
    }

    /// Whether the bytes so far end with a whole event (or there were none). Never for one JSON value.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.events.as_ref().is_some_and(Events::at_boundary)
    }
}

/// The walk over one chunk.
struct Walk<'c> {
    chunk: &'c [u8],
    counts: (&'c mut UsageReader, Key),
    names: Option<(&'c mut Rename, Key)>,
}

impl Walk<'_> {
    /// All of the chunk, of a stream; returns how many events with data it completes.
    fn lines(&mut self, events: &mut Events) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(byte) = self.chunk.get(at) {
            let starts = events.at_line_start();
            if starts && *byte == b'\n' {
                count += usize::from(events.end_event());
                at += 1;
                continue;
            }
            let rest = &self.chunk[at..];
            let length = memchr(b'\n', rest);
            let ends = length.is_some();
            let end = length.map_or(self.chunk.len(), |length| at + length);
            let line = events.line(&self.chunk[at..end], ends);
            count += usize::from(line.ends_event);
            if let Some(data) = line.data {
                self.text(at + data, end, starts && ends);
                if ends {
                    self.counts.0.reset();
                    self.names.iter_mut().for_each(|(rename, _)| rename.reset());
                }
            }
            at = end + usize::from(ends);
        }
        count
    }

    /// JSON from `at` to `end`; `whole`: all of a text.
    fn text(&mut self, at: usize, end: usize, whole: bool) {
        let (usage, key) = &mut self.counts;
        usage.read(self.chunk, at, end, key);
        match &mut self.names {
            Some((rename, key)) if whole => rename.read_whole(self.chunk, at, end, key),
            Some((rename, _)) => rename.read(self.chunk, at, end),
            None => {}
        }
    }
}
