//! When a listener hears what is not urgent: some times a second, and each at its own time. If all heard of each event at once,
//! fifty of them would keep the processors for milliseconds.

use std::time::Duration;

use tokio::time::Instant;

/// From one time to the next.
const PERIOD: Duration = Duration::from_millis(250);

/// The times of one listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// One of them.
    one: Instant,
}

impl Pace {
    /// Those of the listener of this number. Whatever number is the last, those of all are spread over the period: by multiples
    /// of the golden section.
    pub(super) fn of(number: u64, origin: Instant) -> Self {
        let share = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let nanoseconds = u64::try_from((PERIOD.as_nanos() * share) >> 64).unwrap_or_default();
        Self { one: origin + Duration::from_nanos(nanoseconds) }
    }

    /// The next one after `now`.
    pub(super) fn next(self, now: Instant) -> Instant {
        let Some(since) = now.checked_duration_since(self.one) else { return self.one };
        let left = PERIOD.as_nanos() - since.as_nanos() % PERIOD.as_nanos();
        now + Duration::from_nanos(u64::try_from(left).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_soon_and_in_steps_of_the_period() {
        let origin = Instant::now();
        for number in [0, 1, 49, u64::MAX] {
            let pace = Pace::of(number, origin);
            let at = pace.next(pace.one);
            assert_eq!(at, pace.one + PERIOD);
            for later in [1, 7, 249] {
                assert_eq!(pace.next(pace.one + Duration::from_millis(later)), at, "{number} {later}");
            }
            assert_eq!(pace.next(at), at + PERIOD);
            assert!(pace.next(origin) > origin && pace.next(origin) <= origin + PERIOD, "{number}");
        }
    }
}
