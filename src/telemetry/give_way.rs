//! Long work for operators in short pieces, between which others may use the processor.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// Work of so long keeps a request waiting for less than anybody notices. With much shorter pieces, a thread of low priority would
/// hardly get on where others want all processors: each time it gives way it loses its turn.
const PIECE: Duration = Duration::from_micros(200);

thread_local! {
    /// When this thread gave way last.
    static GAVE_WAY: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets other threads go first, if this one has worked for a while since it did so. Linux lets a thread that has just begun go on
/// for milliseconds, whatever its priority: call it often in work that takes as long.
pub fn give_way() {
    let now = Instant::now();
    GAVE_WAY.with(|gave_way| {
        if is_due(gave_way.get(), now) {
            thread::yield_now();
            gave_way.set(Some(Instant::now()));
        }
    });
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_a_piece_of_work_and_not_before() {
        let now = Instant::now();
        assert!(is_due(None, now) && is_due(Some(now), now + PIECE));
        assert!(!is_due(Some(now), now + PIECE / 2) && !is_due(Some(now + PIECE), now));
        give_way();
    }
}
