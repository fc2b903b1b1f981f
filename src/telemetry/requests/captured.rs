//! The bodies of one request, gathered on the data path for operators: what its alias asks for, and no more.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Capture;
use crate::ids::Name;

/// Bytes of all bodies together that are gathered, or wait for the collector. What is kept is bounded by the configuration.
const MOST: usize = 64 << 20;

/// Memory for bodies that are gathered.
#[derive(Clone, Debug, Default)]
pub(super) struct GatheringRoom(Arc<AtomicUsize>);

/// The bodies of one request, as far as they have come.
#[derive(Debug)]
pub struct Captured {
    pub(super) alias: Name,
    pub(super) terms: Arc<Capture>,
    pub(super) request: Gathered,
    pub(super) answer: Gathered,
    room: GatheringRoom,
}

/// The beginning of one body.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) bytes: Vec<u8>,
    /// All bytes that came.
    pub(super) size: usize,
    /// There was no room for it.
    pub(super) is_refused: bool,
}

impl fmt::Debug for Gathered {
    /// Nothing that a body says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").field("size", &self.size).finish_non_exhaustive()
    }
}

impl GatheringRoom {
    fn take(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let is_room = before.saturating_add(bytes) <= MOST;
        if !is_room {
            self.give_back(bytes);
        }
        is_room
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Captured {
    pub(super) fn new(room: GatheringRoom, alias: &Name, terms: &Arc<Capture>, request: &[u8]) -> Box<Self> {
        let (alias, terms) = (alias.clone(), terms.clone());
        let (request_body, answer) = (Gathered::default(), Gathered::default());
        let mut captured = Self { alias, terms, request: request_body, answer, room };
        captured.request.add(request, &captured.terms, &captured.room);
        Box::new(captured)
    }

    /// An answer begins: what came of an earlier one is not what the caller gets.
    pub fn begin_answer(&mut self) {
        self.room.give_back(self.answer.bytes.len());
        self.answer = Gathered::default();
    }

    /// A piece of the answer goes to the caller.
    pub fn add(&mut self, piece: &[u8]) {
        self.answer.add(piece, &self.terms, &self.room);
    }
}

impl Gathered {
    fn add(&mut self, piece: &[u8], terms: &Capture, room: &GatheringRoom) {
        self.size = self.size.saturating_add(piece.len());
        let wanted = piece.len().min(terms.bytes.saturating_sub(self.bytes.len()));
        if wanted == 0 || self.is_refused {
            return;
        }
        if room.take(wanted) {
            self.bytes.extend_from_slice(&piece[..wanted]);
        } else {
            room.give_back(self.bytes.len());
            (self.bytes, self.is_refused) = (Vec::new(), true);
        }
    }

    /// Whether more came than was gathered.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes.len() < self.size
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.room.give_back(self.request.bytes.len() + self.answer.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(bytes: usize) -> Arc<Capture> {
        Arc::new(Capture { requests: 1, bytes, mask: Vec::new() })
    }

    #[test]
    fn so_many_bytes_are_gathered_and_all_are_counted() {
        let room = GatheringRoom::default();
        let mut captured = Captured::new(room.clone(), &"x".into(), &terms(4), b"abcdef");
        assert_eq!((&captured.request.bytes[..], captured.request.size), (&b"abcd"[..], 6));
        captured.add(b"of an attempt that failed");
        captured.begin_answer();
        for piece in [&b"12"[..], b"", b"3"] {
            captured.add(piece);
        }
        assert_eq!((&captured.answer.bytes[..], captured.answer.is_cut()), (&b"123"[..], false));
        captured.add(b"456");
        assert_eq!((&captured.answer.bytes[..], captured.answer.is_cut()), (&b"1234"[..], true));
        assert_eq!(room.0.load(Ordering::Relaxed), 8);
        assert!(!format!("{captured:?}").contains("123"));
        drop(captured);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_all_requests_gather_is_bounded() {
        let room = GatheringRoom::default();
        assert!(room.take(MOST - 6));
        let mut captured = Captured::new(room.clone(), &"x".into(), &terms(4), b"abcd");
        captured.add(b"12");
        captured.add(b"3");
        assert!(captured.answer.is_refused && captured.answer.bytes.is_empty() && !captured.request.is_refused);
        captured.add(b"4");
        assert_eq!((captured.answer.size, captured.answer.bytes.len()), (4, 0), "no piece from its middle");
        drop(captured);
        assert_eq!(room.0.load(Ordering::Relaxed), MOST - 6);
    }
}
