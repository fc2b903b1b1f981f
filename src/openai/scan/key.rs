//! Where a key stands in a chunk: found by its bytes, each of which is looked at once, however many lines there are.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Finds the member with the token counts. Finders are made once: that takes longer than looking through an event.
pub(super) static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

/// Finds the member that names the model.
pub(super) static MODEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"model\""));

/// The places of one key in a chunk, asked for in their order.
pub(super) struct Key {
    finder: &'static Finder<'static>,
    /// The place found last, if it was not passed yet; `usize::MAX`: there are no more.
    next: Option<usize>,
}

impl Key {
    pub(super) fn new(finder: &'static Finder<'static>) -> Self {
        Self { finder, next: None }
    }

    /// The key with its quotes.
    pub(super) fn bytes(&self) -> &'static [u8] {
        self.finder.needle()
    }

    /// Where the first key of `chunk` at or after `from` ends, if it begins before `end`.
    #[inline]
    pub(super) fn next(&mut self, chunk: &[u8], from: usize, end: usize) -> Option<usize> {
        if self.next.is_none_or(|at| at < from) {
            let rest = chunk.get(from..).unwrap_or_default();
            self.next = Some(self.finder.find(rest).map_or(usize::MAX, |at| from + at));
        }
        self.next.filter(|at| *at < end).map(|at| at + self.bytes().len())
    }
}
