//! Applies a list of edits to a body in place: bytes before the first edit never move, none move twice.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;
use smallvec::SmallVec;

use super::json::Span;

/// One replacement: of nothing (an insertion), by nothing (a removal) or of one piece by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit<'a> {
    pub(super) old: Span,
    pub(super) new: Cow<'a, [u8]>,
}

/// Edits in the order of their places, none overlapping; insertions at one place stand in the order of their text.
pub(super) type Edits<'a> = SmallVec<[Edit<'a>; 16]>;

/// The bytes between two edits, and where they go.
struct Segment {
    from: Range<usize>,
    to: usize,
}

/// Applies `edits` to `body`. With room for the result in `body` nothing is allocated; otherwise it is built anew, once.
pub(super) fn patch(body: &mut BytesMut, edits: &[Edit<'_>]) {
    let Some(total) = result_length(body.len(), edits) else {
        debug_assert!(false, "edits overlap or lie outside of the body");
        return;
    };
    if total > body.capacity() {
        *body = rebuilt(body, edits, total);
        return;
    }
    let old = body.len();
    if total > old {
        body.resize(total, 0);
    }
    let moves = || segments(edits, old);
    // Front to back what moves left, then back to front what moves right: no move overwrites bytes yet to be moved,
    // for in the result every segment ends before the next one begins.
    for Segment { from, to } in moves().filter(|segment| segment.to < segment.from.start) {
        body.copy_within(from, to);
    }
    for Segment { from, to } in moves().rev().filter(|segment| segment.to > segment.from.start) {
        body.copy_within(from, to);
    }
    for (edit, to) in edits.iter().zip(moves().map(|segment| segment.to).skip(1)) {
        body[to - edit.new.len()..to].copy_from_slice(&edit.new);
    }
    body.truncate(total);
}

/// Length of the result; `None` unless the edits are sorted, apart and inside of `length` bytes.
fn result_length(length: usize, edits: &[Edit<'_>]) -> Option<usize> {
    let mut at = 0;
    let mut total = length;
    for edit in edits {
        let old = edit.old.range();
        if old.start < at || old.end < old.start || old.end > length {
            return None;
        }
        at = old.end;
        total = (total - old.len()).checked_add(edit.new.len())?;
    }
    Some(total)
}

/// All segments, one more than edits. From the back, positions count down from the end of the result.
fn segments<'e>(edits: &'e [Edit<'_>], length: usize) -> impl DoubleEndedIterator<Item = Segment> + 'e {
    Segments {
        edits,
        length,
        front: 0,
        back: edits.len() + 1,
        front_shift: 0,
        back_shift: edits.iter().map(growth).sum(),
    }
}

fn growth(edit: &Edit<'_>) -> isize {
    edit.new.len().cast_signed() - edit.old.range().len().cast_signed()
}

struct Segments<'e, 'a> {
    edits: &'e [Edit<'a>],
    length: usize,
    /// Next segment from the front, and how far it moves.
    front: usize,
    front_shift: isize,
    /// One after the next segment from the back, and how far that one moves.
    back: usize,
    back_shift: isize,
}

impl Segments<'_, '_> {
    fn segment(&self, index: usize, shift: isize) -> Segment {
        let start = if index == 0 { 0 } else { self.edits[index - 1].old.range().end };
        let end = self.edits.get(index).map_or(self.length, |edit| edit.old.range().start);
        Segment { from: start..end, to: start.wrapping_add_signed(shift) }
    }
}

impl Iterator for Segments<'_, '_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.front == self.back {
            return None;
        }
        let segment = self.segment(self.front, self.front_shift);
        self.front_shift += self.edits.get(self.front).map_or(0, growth);
        self.front += 1;
        Some(segment)
    }
}

impl DoubleEndedIterator for Segments<'_, '_> {
    fn next_back(&mut self) -> Option<Segment> {
        if self.front == self.back {
            return None;
        }
        self.back -= 1;
        let segment = self.segment(self.back, self.back_shift);
        if self.back > 0 {
            self.back_shift -= growth(&self.edits[self.back - 1]);
        }
        Some(segment)
    }
}

fn rebuilt(body: &[u8], edits: &[Edit<'_>], total: usize) -> BytesMut {
    let mut built = BytesMut::with_capacity(total);
    let mut at = 0;
    for edit in edits {
        let old = edit.old.range();
        built.extend_from_slice(&body[at..old.start]);
        built.extend_from_slice(&edit.new);
        at = old.end;
    }
    built.extend_from_slice(&body[at..]);
    built
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edits<'a>(list: &'a [(usize, usize, Vec<u8>)]) -> Edits<'a> {
        list.iter().map(|(start, end, new)| Edit { old: Span::new(*start, *end), new: Cow::Borrowed(new) }).collect()
    }

    #[test]
    fn grows_shrinks_and_keeps() {
        let list = [
            (0, 1, b"xyz".to_vec()),
            (3, 6, vec![]),
            (6, 6, b"-".to_vec()),
            (6, 6, b"+".to_vec()),
            (9, 10, b"J".to_vec()),
        ];
        for spare in [0, 1, 100] {
            let mut body = BytesMut::with_capacity(10 + spare);
            body.extend_from_slice(b"abcdefghij");
            patch(&mut body, &edits(&list));
            assert_eq!(&body[..], b"xyzbc-+ghiJ");
        }
    }

    #[test]
    fn with_room_nothing_is_allocated() {
        let mut body = BytesMut::with_capacity(64);
        body.extend_from_slice(b"abc");
        let place = body.as_ptr();
        patch(&mut body, &edits(&[(1, 2, b"a longer piece".to_vec())]));
        assert_eq!(&body[..], b"aa longer piecec");
        assert_eq!(body.as_ptr(), place);
    }

    proptest! {
        #[test]
        fn equals_the_rebuilt_body(
            body in prop::collection::vec(any::<u8>(), 0..60),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
            news in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 8),
            spare in 0usize..80,
        ) {
            if cuts.len() % 2 == 1 {
                cuts.pop();
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let list: Vec<_> = cuts.chunks(2).zip(news).map(|(cut, new)| (cut[0], cut[1], new)).collect();
            let edits = edits(&list);
            let mut patched = BytesMut::with_capacity(body.len() + spare);
            patched.extend_from_slice(&body);
            patch(&mut patched, &edits);
            let total = result_length(body.len(), &edits).expect("sorted");
            prop_assert_eq!(&patched[..], &rebuilt(&body, &edits, total)[..]);
            prop_assert_eq!(patched.len(), total);
        }
    }
}
