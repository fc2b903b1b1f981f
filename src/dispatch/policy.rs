//! Which one of several engines gets the request: a pure choice over what is known of each.

use crate::config::Balance;

/// What the choice needs to know of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which engine: unique among all that ever were in this process.
    pub key: u64,
    /// Its health checks pass.
    pub ready: bool,
    /// An attempt just failed on it.
    pub ejected: bool,
    /// Attempts under way there.
    pub in_flight: usize,
    /// It takes another attempt.
    pub has_room: bool,
}

/// A way to choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// How.
    pub(super) balance: Balance,
    /// Round robin: a counter. Otherwise: random.
    pub(super) turn: usize,
    /// The position of the engine to prefer to all others, as long as nothing speaks against it.
    pub(super) preferred: Option<usize>,
}

/// The position of the engine to use, or `None` when no engine is left that is ready, has room and was not `tried`.
///
/// Ejected engines are used only when there is nothing else: an ejection is a guess, a refusal is certain.
pub(super) fn choose(candidates: &[Candidate], policy: Policy, tried: impl Fn(u64) -> bool) -> Option<usize> {
    let usable = |c: &Candidate| c.ready && c.has_room && !tried(c.key);
    let free = |c: &Candidate| usable(c) && !c.ejected;
    let preferred = policy.preferred.filter(|at| candidates.get(*at).is_some_and(free));
    preferred.or_else(|| pick(candidates, policy, free)).or_else(|| pick(candidates, policy, usable))
}

fn pick(candidates: &[Candidate], policy: Policy, fit: impl Fn(&Candidate) -> bool) -> Option<usize> {
    let count = candidates.iter().filter(|c| fit(c)).count();
    if count == 0 {
        return None;
    }
    // Counting starts at a place that varies, so that ties do not always favour the first engine.
    let start = policy.turn % count;
    let fitting = || candidates.iter().enumerate().filter(|(_, c)| fit(c));
    let mut rotated = fitting().skip(start).chain(fitting().take(start));
    match policy.balance {
        Balance::LeastOutstanding => rotated.min_by_key(|(_, c)| c.in_flight),
        Balance::RoundRobin | Balance::Random => rotated.next(),
    }
    .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Candidate = Candidate { key: 0, ready: true, ejected: false, in_flight: 0, has_room: true };

    fn least(candidates: &[Candidate], turn: usize) -> Option<usize> {
        let policy = Policy { balance: Balance::LeastOutstanding, turn, preferred: None };
        choose(candidates, policy, |key| key == 99)
    }

    #[test]
    fn the_least_loaded_ready_engine_with_room_wins() {
        let busy = Candidate { in_flight: 3, ..UP };
        let down = Candidate { ready: false, ..UP };
        let full = Candidate { has_room: false, ..UP };
        for turn in 0..4 {
            assert_eq!(least(&[busy, down, Candidate { in_flight: 1, ..UP }, full], turn), Some(2));
        }
        assert_eq!(least(&[down, full], 0), None);
        assert_eq!(least(&[], 0), None);
    }

    #[test]
    fn ties_go_round() {
        let seen: Vec<_> = (0..4).filter_map(|turn| least(&[UP, UP], turn)).collect();
        assert_eq!(seen, [0, 1, 0, 1]);
    }

    #[test]
    fn a_retry_goes_elsewhere_and_an_ejected_engine_is_the_last_resort() {
        let tried = Candidate { key: 99, ..UP };
        let ejected = Candidate { ejected: true, ..UP };
        assert_eq!(least(&[tried, ejected, Candidate { in_flight: 9, ..UP }], 0), Some(2));
        assert_eq!(least(&[tried, ejected], 0), Some(1));
        assert_eq!(least(&[tried, tried], 0), None);
    }

    #[test]
    fn round_robin_visits_all_in_turn_however_loaded() {
        let policy = |turn| Policy { balance: Balance::RoundRobin, turn, preferred: None };
        let engines = [Candidate { in_flight: 9, ..UP }, UP, UP];
        let seen: Vec<_> = (0..6).filter_map(|turn| choose(&engines, policy(turn), |_| false)).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_preferred_engine_is_used_however_loaded_unless_something_speaks_against_it() {
        let prefer = |candidates: &[Candidate]| {
            let policy = Policy { balance: Balance::LeastOutstanding, turn: 0, preferred: Some(1) };
            choose(candidates, policy, |key| key == 99)
        };
        assert_eq!(prefer(&[UP, Candidate { in_flight: 50, ..UP }]), Some(1));
        for against in [
            Candidate { ejected: true, ..UP },
            Candidate { ready: false, ..UP },
            Candidate { has_room: false, ..UP },
            Candidate { key: 99, ..UP },
        ] {
            assert_eq!(prefer(&[UP, against]), Some(0), "{against:?}");
        }
        assert_eq!(prefer(&[UP]), Some(0), "there is no such engine");
    }
}
