//! Whether an engine is up, decided from its checks one after the other: pure counting.

use crate::engines::State;

/// What one look at an engine showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It answers as it should.
    Up,
    /// It does not answer, or not as it should; says how. Counted before it is believed.
    Down(String),
    /// It answers, but has made no progress with its requests for too long; says how long. Believed at once.
    Stuck(String),
    /// It answers, but it is not what was configured; says what to change. Believed at once.
    Misfit(String),
}

/// How many looks in a row change our mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Consecutive failures until an engine is down.
    pub(crate) failures: usize,
    /// Consecutive successes until it is up again.
    pub(crate) successes: usize,
}

/// What we hold true of an engine, and what speaks against it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vitals {
    /// Never seen up; the first success is enough.
    Unknown {
        /// Failures so far.
        failures: usize,
    },
    /// Up.
    Up {
        /// Failures in a row.
        failures: usize,
    },
    /// Down.
    Down {
        /// Successes in a row.
        successes: usize,
    },
}

impl Vitals {
    /// Nothing known yet.
    pub(crate) const NEW: Self = Self::Unknown { failures: 0 };

    /// What we hold true after `probe`, and what to say now. Every success of an engine that is up says
    /// [`State::Ready`] again: it ends an ejection.
    pub(crate) fn observe(self, probe: Probe, needed: Thresholds) -> (Self, Option<State>) {
        match (self, probe) {
            (_, Probe::Misfit(why) | Probe::Stuck(why)) => (Self::Down { successes: 0 }, Some(State::Unhealthy(why))),
            (Self::Unknown { .. } | Self::Up { .. }, Probe::Up) => (Self::Up { failures: 0 }, Some(State::Ready)),
            (Self::Down { successes }, Probe::Up) if successes + 1 >= needed.successes => {
                (Self::Up { failures: 0 }, Some(State::Ready))
            }
            (Self::Down { successes }, Probe::Up) => (Self::Down { successes: successes + 1 }, None),
            (Self::Down { .. }, Probe::Down(why)) => (Self::Down { successes: 0 }, Some(State::Unhealthy(why))),
            (Self::Unknown { failures } | Self::Up { failures }, Probe::Down(why))
                if failures + 1 >= needed.failures =>
            {
                (Self::Down { successes: 0 }, Some(State::Unhealthy(why)))
            }
            (Self::Unknown { failures }, Probe::Down(why)) => {
                (Self::Unknown { failures: failures + 1 }, Some(State::Starting(why)))
            }
            (Self::Up { failures }, Probe::Down(_)) => (Self::Up { failures: failures + 1 }, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: Thresholds = Thresholds { failures: 3, successes: 2 };

    fn down(why: &str) -> Probe {
        Probe::Down(why.into())
    }

    /// The words of what is said after each probe, `-` for nothing.
    fn story(start: Vitals, probes: Vec<Probe>) -> Vec<&'static str> {
        let mut vitals = start;
        probes
            .into_iter()
            .map(|probe| {
                let (next, said) = vitals.observe(probe, NEEDED);
                vitals = next;
                said.map_or("-", |state| state.word())
            })
            .collect()
    }

    #[test]
    fn failures_count_only_in_a_row() {
        let up = Vitals::Up { failures: 0 };
        assert_eq!(
            story(up, vec![down("a"), down("b"), Probe::Up, down("c"), down("d")]),
            ["-", "-", "ready", "-", "-"]
        );
        assert_eq!(story(up, vec![down("a"), down("b"), down("c"), down("d")]), ["-", "-", "unhealthy", "unhealthy"]);
    }

    #[test]
    fn successes_count_only_in_a_row() {
        let was_down = Vitals::Down { successes: 0 };
        assert_eq!(story(was_down, vec![Probe::Up, down("a"), Probe::Up, Probe::Up]), ["-", "unhealthy", "-", "ready"]);
    }

    #[test]
    fn a_new_engine_is_up_at_the_first_success_and_down_after_as_many_failures_as_any() {
        assert_eq!(story(Vitals::NEW, vec![down("a"), Probe::Up]), ["starting", "ready"]);
        assert_eq!(story(Vitals::NEW, vec![down("a"), down("b"), down("c")]), ["starting", "starting", "unhealthy"]);
    }

    #[test]
    fn a_misfit_is_believed_at_once() {
        for start in [Vitals::NEW, Vitals::Up { failures: 0 }, Vitals::Down { successes: 1 }] {
            assert_eq!(story(start, vec![Probe::Misfit("serves x".into()), Probe::Up]), ["unhealthy", "-"]);
        }
    }
}
