//! Whether an engine is up, decided from its checks one after the other: pure counting.

use crate::api::{EngineState, HealthProblem, Sleep, Stall, StartPhase, Starting};

/// What one look at an engine showed.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// It answers as it should.
    Up,
    /// It does not answer, or not as it should. Counted before it is believed.
    Down(HealthProblem),
    /// It answers, but has made no progress with its requests for too long. Believed at once.
    Stalled(Stall),
    /// It answers, but somebody else put it to rest. Believed at once.
    Resting(Rest),
    /// It answers, but it is not what was configured. Believed at once.
    Mismatch(HealthProblem),
}

/// How somebody else put an engine to rest. It keeps what it has, answers nothing, and is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// vLLM's `POST /sleep`.
    Asleep,
    /// vLLM's `POST /pause`.
    Paused,
}

/// How many looks in a row change our mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Consecutive failures until an engine is down.
    pub failures: usize,
    /// Consecutive successes until it is up again.
    pub successes: usize,
}

/// What we hold true of an engine, and what speaks against it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vitals {
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
        /// Nothing listens at its port any more.
        closed: bool,
    },
    /// Put to rest by somebody else.
    Resting,
}

impl Vitals {
    /// Nothing known yet.
    pub const NEW: Self = Self::Unknown { failures: 0 };

    /// Down, while its port is open.
    const DOWN: Self = Self::Down { successes: 0, closed: false };

    fn down(problem: &HealthProblem) -> Self {
        Self::Down { successes: 0, closed: matches!(problem, HealthProblem::Refused { .. }) }
    }

    /// What we hold true after `probe`, and what to say now. Every success of an engine that is up says
    /// [`EngineState::Ready`] again: it ends an ejection.
    pub fn observe(self, probe: Probe, needed: Thresholds) -> (Self, Option<EngineState>) {
        match (self, probe) {
            (_, Probe::Mismatch(problem)) => (Self::DOWN, Some(EngineState::Unhealthy { problem })),
            (_, Probe::Stalled(stall)) => {
                (Self::DOWN, Some(EngineState::Unhealthy { problem: HealthProblem::Stalled(stall) }))
            }
            (_, Probe::Resting(Rest::Asleep)) => (Self::Resting, Some(EngineState::Asleep(Sleep::default()))),
            (_, Probe::Resting(Rest::Paused)) => {
                (Self::Resting, Some(EngineState::Unhealthy { problem: HealthProblem::Paused }))
            }
            (Self::Unknown { .. } | Self::Up { .. } | Self::Resting, Probe::Up) => {
                (Self::Up { failures: 0 }, Some(EngineState::Ready))
            }
            (Self::Down { successes, .. }, Probe::Up) if successes + 1 >= needed.successes => {
                (Self::Up { failures: 0 }, Some(EngineState::Ready))
            }
            (Self::Down { successes, .. }, Probe::Up) => (Self::Down { successes: successes + 1, closed: false }, None),
            (Self::Down { .. } | Self::Resting, Probe::Down(problem)) => {
                (Self::down(&problem), Some(EngineState::Unhealthy { problem }))
            }
            (Self::Unknown { failures } | Self::Up { failures }, Probe::Down(problem))
                if failures + 1 >= needed.failures =>
            {
                (Self::down(&problem), Some(EngineState::Unhealthy { problem }))
            }
            (Self::Unknown { failures }, Probe::Down(problem)) => {
                let starting = Starting { problem: Some(problem), ..Starting::at(StartPhase::Unknown) };
                (Self::Unknown { failures: failures + 1 }, Some(EngineState::Starting(starting)))
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
        Probe::Down(HealthProblem::NoAnswer { request: "GET /health".into(), why: why.into() })
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
        let was_down = Vitals::DOWN;
        assert_eq!(story(was_down, vec![Probe::Up, down("a"), Probe::Up, Probe::Up]), ["-", "unhealthy", "-", "ready"]);
    }

    #[test]
    fn a_new_engine_is_up_at_the_first_success_and_down_after_as_many_failures_as_any() {
        assert_eq!(story(Vitals::NEW, vec![down("a"), Probe::Up]), ["starting", "ready"]);
        assert_eq!(story(Vitals::NEW, vec![down("a"), down("b"), down("c")]), ["starting", "starting", "unhealthy"]);
    }

    #[test]
    fn a_rest_is_believed_at_once_and_so_is_its_end() {
        let up = Vitals::Up { failures: 0 };
        let (asleep, paused) = (Probe::Resting(Rest::Asleep), Probe::Resting(Rest::Paused));
        assert_eq!(story(up, vec![asleep.clone(), paused, Probe::Up]), ["asleep", "unhealthy", "ready"]);
        assert_eq!(story(up, vec![asleep, down("a"), Probe::Up, Probe::Up]), ["asleep", "unhealthy", "-", "ready"]);
    }

    #[test]
    fn a_mismatch_is_believed_at_once() {
        for start in [Vitals::NEW, Vitals::Up { failures: 0 }, Vitals::Down { successes: 1, closed: true }] {
            assert_eq!(
                story(start, vec![Probe::Mismatch(HealthProblem::NameUnknown { lists_models: true }), Probe::Up]),
                ["unhealthy", "-"]
            );
        }
    }
}
