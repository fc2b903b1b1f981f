//! Replaces the name of the model in an answer, byte for byte the same otherwise.

use bytes::Bytes;

use super::key::Key;
use super::position::{Position, Texts};
use crate::openai::text::quoted;

/// Longest beginning of an event that is kept to be compared.
const MAX_BEGINNING: usize = 1024;

/// The new name, and what was seen of the answer.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    /// The new name, as a JSON string.
    name: Bytes,
    position: Position,
    /// What is to be replaced in the chunk that is being read.
    texts: Texts,
    beginning: Beginning,
}

/// What an event's data began with, up to the end of the text that was replaced: engines begin all events of a stream alike.
#[derive(Clone, Debug, Default)]
struct Beginning {
    bytes: Vec<u8>,
    /// Where in it the replaced text begins.
    text: usize,
}

impl Rename {
    pub(super) fn new(name: &str) -> Self {
        let name = quoted(name).into();
        Self { name, position: Position::default(), texts: Texts::default(), beginning: Beginning::default() }
    }

    /// Reads `chunk` from `at` to `end`: some of a text.
    pub(super) fn read(&mut self, chunk: &[u8], at: usize, end: usize) {
        self.position.read(chunk, at, end, end, &mut self.texts);
    }

    /// A text has ended, and another one begins.
    pub(super) fn reset(&mut self) {
        self.position = Position::default();
    }

    /// Reads `chunk` from `at` to `end`: all of a text, of which nothing matters but what leads up to the last `key`.
    pub(super) fn read_whole(&mut self, chunk: &[u8], at: usize, end: usize, key: &mut Key) {
        let Beginning { bytes, text } = &self.beginning;
        let after = at + bytes.len();
        if !bytes.is_empty() && chunk[at..end].starts_with(bytes) && key.next(chunk, after, end).is_none() {
            self.texts.found.push(at + text..after);
            return;
        }
        let mut last = at;
        while let Some(after) = key.next(chunk, last, end) {
            last = after;
        }
        let before = self.texts.found.len();
        let mut position = Position::default();
        position.read(chunk, at, end, last, &mut self.texts);
        if let [text] = &self.texts.found[before..]
            && position.is_between()
            && text.end - at <= MAX_BEGINNING
        {
            self.beginning.bytes.clear();
            self.beginning.bytes.extend_from_slice(&chunk[at..text.end]);
            self.beginning.text = text.start - at;
        }
    }

    /// `chunk` was read: the chunk anew, if anything in it is replaced.
    pub(super) fn finish(&mut self, chunk: &[u8]) -> Option<Bytes> {
        let Texts { rest, found } = &mut self.texts;
        if *rest == 0 && found.is_empty() {
            return None;
        }
        let old: usize = *rest + found.iter().map(ExactSizeIterator::len).sum::<usize>();
        // Exactly the room it needs: with more, handing it on would cost a further allocation.
        let mut new = Vec::with_capacity(chunk.len() - old + found.len() * self.name.len());
        let mut from = std::mem::take(rest);
        for text in found.drain(..) {
            new.extend_from_slice(&chunk[from..text.start]);
            new.extend_from_slice(&self.name);
            from = text.end;
        }
        new.extend_from_slice(&chunk[from..]);
        Some(new.into())
    }
}
