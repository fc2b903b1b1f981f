//! A count that is kept near what is counted, and told to one of Prometheus' counters when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntCounter;

/// A counter, and what it was told.
#[derive(Debug)]
pub(super) struct Tally {
    counter: IntCounter,
    told: u64,
}

impl Tally {
    pub(super) fn new(counter: IntCounter) -> Self {
        Self { counter, told: 0 }
    }

    /// Tells the counter what was counted since the last time.
    pub(super) fn tell(&mut self, count: &AtomicU64) {
        let now = count.load(Ordering::Relaxed);
        self.counter.inc_by(now - std::mem::replace(&mut self.told, now));
    }
}
