//! Which engine gets the request: a pure choice over what is known of each.

use crate::config::Balance;

/// What the choice needs to know of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its health checks pass.
    pub ready: bool,
    /// A request just failed to reach it.
    pub ejected: bool,
    /// This request was there already.
    pub tried: bool,
    /// Attempts under way there.
    pub in_flight: usize,
}

/// A way to choose, with the number that varies from call to call.
#[derive(Clone, Copy, Debug)]
pub struct Picker {
    /// The policy.
    pub balance: Balance,
    /// Round robin: a counter. Otherwise: random.
    pub turn: usize,
}

/// The position of the engine to use, or `None` when no ready engine is left untried.
///
/// Ejected engines are used only when there is nothing else: an ejection is a guess, a refusal is certain.
#[must_use]
pub fn pick(candidates: &[Candidate], picker: Picker) -> Option<usize> {
    let usable = |c: &Candidate| c.ready && !c.tried;
    choose(candidates, picker, |c| usable(c) && !c.ejected).or_else(|| choose(candidates, picker, usable))
}

fn choose(candidates: &[Candidate], picker: Picker, fit: impl Fn(&Candidate) -> bool) -> Option<usize> {
    let count = candidates.iter().filter(|c| fit(c)).count();
    if count == 0 {
        return None;
    }
    // Counting starts at a place that varies, so that ties do not always favour the first engine.
    let start = picker.turn % count;
    let fitting = || candidates.iter().enumerate().filter(|(_, c)| fit(c));
    let rotated = fitting().skip(start).chain(fitting().take(start));
    match picker.balance {
        Balance::LeastOutstanding => rotated.min_by_key(|(_, c)| c.in_flight),
        Balance::RoundRobin | Balance::Random => rotated.take(1).next(),
    }
    .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Candidate = Candidate { ready: true, ejected: false, tried: false, in_flight: 0 };

    fn least(candidates: &[Candidate], turn: usize) -> Option<usize> {
        pick(candidates, Picker { balance: Balance::LeastOutstanding, turn })
    }

    #[test]
    fn the_least_loaded_ready_engine_wins() {
        let busy = Candidate { in_flight: 3, ..UP };
        let down = Candidate { ready: false, ..UP };
        for turn in 0..4 {
            assert_eq!(least(&[busy, down, Candidate { in_flight: 1, ..UP }], turn), Some(2));
        }
        assert_eq!(least(&[down, down], 0), None);
        assert_eq!(least(&[], 0), None);
    }

    #[test]
    fn ties_go_round() {
        let seen: Vec<_> = (0..4).filter_map(|turn| least(&[UP, UP], turn)).collect();
        assert_eq!(seen, [0, 1, 0, 1]);
    }

    #[test]
    fn a_retry_goes_elsewhere_and_an_ejected_engine_is_the_last_resort() {
        let tried = Candidate { tried: true, ..UP };
        let ejected = Candidate { ejected: true, ..UP };
        assert_eq!(least(&[tried, ejected, Candidate { in_flight: 9, ..UP }], 0), Some(2));
        assert_eq!(least(&[tried, ejected], 0), Some(1));
        assert_eq!(least(&[tried, tried], 0), None);
    }

    #[test]
    fn round_robin_visits_all_in_turn_however_loaded() {
        let picker = |turn| Picker { balance: Balance::RoundRobin, turn };
        let engines = [Candidate { in_flight: 9, ..UP }, UP, UP];
        let seen: Vec<_> = (0..6).filter_map(|turn| pick(&engines, picker(turn))).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
    }
}
