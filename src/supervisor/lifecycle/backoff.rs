//! How long a crashed engine waits before its next start, and when it is given up: pure counting.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Restart;

/// Share of a pause by which chance makes it longer or shorter, so that replicas which died together do not load
/// their weights from one disk, or find one GPU full, together again and again.
const JITTER: f64 = 0.2;

/// What to do about a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again after this pause.
    After(Duration),
    /// Leave it until an operator acts.
    Loop {
        /// Crashes that speak for it, this one included.
        crashes: usize,
        /// Time from the first to the last of them.
        within: Duration,
    },
}

/// The crashes of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Crashes {
    policy: Restart,
    /// Since when it is ready, if it is.
    ready: Option<Instant>,
    /// Crashes since it was last forgiven: sets the pause.
    streak: u32,
    /// When the last crashes were, no more than decide.
    times: VecDeque<Instant>,
    /// How many of the last of these came before it was ever ready. Loading can take longer than `within`, so these
    /// add up however far they are apart.
    unready: usize,
}

impl Crashes {
    /// None so far.
    pub(crate) fn new(policy: Restart) -> Self {
        Self { policy, ready: None, streak: 0, times: VecDeque::new(), unready: 0 }
    }

    /// The engine is ready since `now`. Saying it again changes nothing.
    pub(crate) fn ready(&mut self, now: Instant) {
        self.ready.get_or_insert(now);
        self.unready = 0;
    }

    /// It crashed, while loading or later. `chance` is a random number from 0 up to 1.
    pub(crate) fn crashed(&mut self, now: Instant, chance: f64) -> Verdict {
        let was_ready = self.ready.take();
        if was_ready.is_some_and(|since| now.saturating_duration_since(since) > self.policy.within) {
            self.forget();
        }
        self.unready = if was_ready.is_some() { 0 } else { self.unready.saturating_add(1) };
        self.times.push_back(now);
        while self.times.len() > self.policy.crashes.max(1) {
            self.times.pop_front();
        }
        let counted = self.recent(now).max(self.unready);
        let pause = jittered(pause(&self.policy, self.streak), chance);
        self.streak = self.streak.saturating_add(1);
        if self.policy.crashes > 0 && counted >= self.policy.crashes {
            let first = self.times.front().copied().unwrap_or(now);
            return Verdict::Loop { crashes: counted, within: now.saturating_duration_since(first) };
        }
        Verdict::After(pause)
    }

    /// An operator restarts it, or its configuration changed: what was says nothing about what comes.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.policy);
    }

    /// What came to a crash loop was no fault of the engine: it is started again after the longest pause.
    pub(crate) fn keep_trying(&mut self) -> Verdict {
        self.forget();
        Verdict::After(self.policy.max_backoff.max(self.policy.initial_backoff))
    }

    /// Other rules from now on; what was still counts.
    pub(crate) fn set_policy(&mut self, policy: Restart) {
        self.policy = policy;
    }

    fn recent(&self, now: Instant) -> usize {
        self.times.iter().filter(|at| now.saturating_duration_since(**at) <= self.policy.within).count()
    }
}

/// The pause after `earlier` crashes and one more, without chance.
fn pause(policy: &Restart, earlier: u32) -> Duration {
    let factor = 1_u32.checked_shl(earlier).unwrap_or(u32::MAX);
    policy.initial_backoff.saturating_mul(factor).min(policy.max_backoff.max(policy.initial_backoff))
}

fn jittered(pause: Duration, chance: f64) -> Duration {
    // A caller's NaN must not become a panic in `mul_f64`.
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.5 };
    let factor = 1.0 - JITTER + 2.0 * JITTER * chance;
    Duration::try_from_secs_f64(pause.as_secs_f64() * factor).unwrap_or(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: Restart = Restart {
        initial_backoff: SECOND,
        max_backoff: Duration::from_secs(60),
        crashes: 5,
        within: Duration::from_secs(600),
    };
    const FOR_EVER: Restart = Restart { crashes: 0, ..POLICY };

    fn after(verdict: Verdict) -> Duration {
        match verdict {
            Verdict::After(pause) => pause,
            Verdict::Loop { .. } => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (mut crashes, now) = (Crashes::new(FOR_EVER), Instant::now());
        let pauses: Vec<u64> = (0..9).map(|_| after(crashes.crashed(now, 0.5)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(crashes.streak, 9);
    }

    #[test]
    fn pauses_stay_within_their_bounds_and_grow() {
        for (first, max) in [(1, 60), (1, 1), (1000, 1), (1, u64::MAX), (u64::MAX, u64::MAX), (0, 0)] {
            let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
            let policy = Restart { initial_backoff: first, max_backoff: max, ..FOR_EVER };
            let mut crashes = [0.0, 0.5, 1.0].map(|chance| (chance, Crashes::new(policy), Duration::ZERO));
            let now = Instant::now();
            // Past 32 doublings, where a shift would overflow.
            for _ in 0..100 {
                for (chance, crashes, before) in &mut crashes {
                    let pause = after(crashes.crashed(now, *chance));
                    let least = first.mul_f64(1.0 - JITTER - 1e-6);
                    assert!(pause >= least && pause <= max.max(first).mul_f64(1.0 + JITTER + 1e-6), "{pause:?}");
                    assert!(pause >= *before, "with the same chance it only grows");
                    *before = pause;
                }
            }
        }
    }

    #[test]
    fn any_number_is_a_chance() {
        for chance in [-1.0, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE] {
            let pause = after(Crashes::new(POLICY).crashed(Instant::now(), chance));
            assert!(pause >= SECOND.mul_f64(0.8) && pause <= SECOND.mul_f64(1.2), "{chance}: {pause:?}");
        }
    }

    #[test]
    fn replicas_that_died_together_start_apart() {
        let now = Instant::now();
        let pause = |chance| after(Crashes::new(POLICY).crashed(now, chance));
        assert_eq!((pause(0.0), pause(1.0)), (Duration::from_millis(800), Duration::from_millis(1200)));
        assert!(pause(0.25) < pause(0.26));
    }

    #[test]
    fn so_many_crashes_in_so_much_time_are_a_loop() {
        let (mut crashes, start) = (Crashes::new(POLICY), Instant::now());
        for minute in 0..4 {
            crashes.ready(start + SECOND * 60 * minute);
            after(crashes.crashed(start + SECOND * 60 * minute, 0.5));
        }
        crashes.ready(start + SECOND * 240);
        let verdict = crashes.crashed(start + SECOND * 240, 0.5);
        assert_eq!(verdict, Verdict::Loop { crashes: 5, within: SECOND * 240 });
        // It stays one, also when it is started without forgetting.
        assert!(matches!(crashes.crashed(start + SECOND * 241, 0.5), Verdict::Loop { crashes: 5, .. }));
        crashes.forget();
        assert_eq!(crashes.crashed(start + SECOND * 242, 0.5), Verdict::After(SECOND));
    }

    #[test]
    fn crashes_that_are_far_apart_are_no_loop() {
        let (mut crashes, start) = (Crashes::new(POLICY), Instant::now());
        for number in 0..50 {
            let now = start + SECOND * 500 * number;
            // Ready for less than `within`: the pause stays long, but five of these take 2000 s.
            crashes.ready(now);
            assert!(matches!(crashes.crashed(now + SECOND * 400, 0.5), Verdict::After(_)), "{number}");
        }
        assert_eq!(after(crashes.crashed(start + SECOND * 500 * 60, 0.5)), POLICY.max_backoff);
    }

    #[test]
    fn an_engine_that_was_ready_for_long_is_forgiven() {
        let (mut crashes, start) = (Crashes::new(POLICY), Instant::now());
        for _ in 0..4 {
            after(crashes.crashed(start, 0.5));
        }
        crashes.ready(start);
        crashes.ready(start + SECOND * 590);
        assert_eq!(after(crashes.crashed(start + SECOND * 601, 0.5)), SECOND, "ready since the first word of it");
        crashes.ready(start + SECOND * 700);
        assert_eq!(after(crashes.crashed(start + SECOND * 1300, 0.5)), SECOND * 2, "just as long is not longer");
    }

    #[test]
    fn an_engine_that_never_gets_ready_is_given_up_however_long_it_loads() {
        let (mut crashes, start) = (Crashes::new(POLICY), Instant::now());
        for number in 0..4 {
            after(crashes.crashed(start + SECOND * 3600 * number, 0.5));
        }
        let verdict = crashes.crashed(start + SECOND * 3600 * 4, 0.5);
        assert_eq!(verdict, Verdict::Loop { crashes: 5, within: SECOND * 3600 * 4 });
    }

    #[test]
    fn one_crash_can_be_enough() {
        let mut crashes = Crashes::new(Restart { crashes: 1, ..POLICY });
        assert_eq!(crashes.crashed(Instant::now(), 0.5), Verdict::Loop { crashes: 1, within: Duration::ZERO });
    }

    #[test]
    fn what_is_no_fault_of_the_engine_is_tried_for_ever() {
        let now = Instant::now();
        let mut crashes = Crashes::new(POLICY);
        let mut verdict = Verdict::After(Duration::ZERO);
        for _ in 0..POLICY.crashes {
            verdict = crashes.crashed(now, 0.5);
        }
        assert!(matches!(verdict, Verdict::Loop { .. }), "{verdict:?}");
        assert_eq!(crashes.keep_trying(), Verdict::After(POLICY.max_backoff));
        assert_eq!(crashes.crashed(now, 0.5), Verdict::After(POLICY.initial_backoff));
    }
}
