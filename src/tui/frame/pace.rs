//! When the screen is drawn: soon after a key, and four times a second at most for figures. Pure.

use std::time::{Duration, Instant};

/// Between two pictures after keys: a hand does not see more.
const KEYS: Duration = Duration::from_millis(40);

/// Between two pictures for figures: nobody reads faster.
const FIGURES: Duration = Duration::from_millis(250);

/// How often time goes on.
const TICK: Duration = Duration::from_secs(1);

/// How soon a change is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody pressed a key, or changed the window.
    Keys,
    /// Figures are others.
    Figures,
}

/// When to draw.
#[derive(Debug)]
pub(super) struct Pace {
    drawn: Option<Instant>,
    due: Option<Instant>,
    ticked: Instant,
}

impl Pace {
    /// Nothing was drawn yet, and a picture is due.
    pub(super) fn new(now: Instant) -> Self {
        Self { drawn: None, due: Some(now), ticked: now }
    }

    /// Something has changed.
    pub(super) fn want(&mut self, urgency: Urgency, now: Instant) {
        let pause = match urgency {
            Urgency::Keys => KEYS,
            Urgency::Figures => FIGURES,
        };
        let due = self.drawn.map_or(now, |drawn| now.max(drawn + pause));
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Whether a picture is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// It was drawn.
    pub(super) fn drawn(&mut self, now: Instant) {
        (self.drawn, self.due) = (Some(now), None);
    }

    /// Whether time is to go on; it does.
    pub(super) fn ticks(&mut self, now: Instant) -> bool {
        let ticks = now.duration_since(self.ticked) >= TICK;
        if ticks {
            self.ticked = now;
        }
        ticks
    }

    /// How long nothing is to be done.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let tick = self.ticked + TICK;
        self.due.map_or(tick, |due| due.min(tick)).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_drawn_four_times_a_second_and_keys_at_once() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(start);
        assert!(pace.is_due(start) && pace.wait(start).is_zero());
        pace.drawn(start);
        assert!(!pace.is_due(at(500)));
        assert_eq!(pace.wait(at(400)), Duration::from_millis(600));
        pace.want(Urgency::Figures, at(10));
        assert!(!pace.is_due(at(249)) && pace.is_due(at(250)));
        pace.want(Urgency::Keys, at(20));
        assert!(pace.is_due(at(40)), "a key does not wait for figures");
        pace.drawn(at(40));
        pace.want(Urgency::Figures, at(900));
        assert!(pace.is_due(at(900)), "what comes after a pause is drawn at once");
        assert!(!pace.ticks(at(999)) && pace.ticks(at(1000)) && !pace.ticks(at(1001)));
    }
}
