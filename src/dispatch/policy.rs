//! Which one of several engines gets the request: a pure choice over what is known of each.

use smallvec::SmallVec;

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

/// Engines to choose from, each looked at when it is asked for: most choices need not look at all of them.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;

    /// The one at a position below [`Candidates::count`], as it is now.
    fn at(&self, at: usize) -> Option<Candidate>;
}

impl Candidates for &[Candidate] {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, at: usize) -> Option<Candidate> {
        self.get(at).copied()
    }
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

/// Engines that are looked at before all of them are.
const DRAWS: u32 = 4;

/// The position of the engine to use, and its key, or `None` when no engine is left that is ready, has room and was not `tried`.
///
/// Ejected engines are used only when there is nothing else: an ejection is a guess, a refusal is certain.
pub(super) fn choose(
    candidates: &impl Candidates,
    policy: Policy,
    tried: impl Fn(u64) -> bool,
) -> Option<(usize, u64)> {
    let usable = |c: &Candidate| c.ready && c.has_room && !tried(c.key);
    let free = |c: &Candidate| usable(c) && !c.ejected;
    let preferred = policy.preferred.and_then(|at| Some((at, candidates.at(at).filter(free)?.key)));
    if let Some(found) = preferred.or_else(|| draw(candidates, policy, free)) {
        return Some(found);
    }
    let all: SmallVec<[(usize, Candidate); 16]> =
        (0..candidates.count()).filter_map(|at| Some((at, candidates.at(at)?))).collect();
    pick(&all, policy, free).or_else(|| pick(&all, policy, usable)).map(|(at, candidate)| (at, candidate.key))
}

/// One of the best, found by drawing a few: all of those have the same chance, and there need be no look at each of many engines.
fn draw(candidates: &impl Candidates, policy: Policy, fit: impl Fn(&Candidate) -> bool) -> Option<(usize, u64)> {
    let is_best = |c: &Candidate| match policy.balance {
        Balance::LeastOutstanding => c.in_flight == 0 && fit(c),
        Balance::Random => fit(c),
        // Whose turn it is depends on how many there are that fit.
        Balance::RoundRobin => false,
    };
    let positions = (0..DRAWS).map(|draw| policy.turn.rotate_right(draw * usize::BITS / DRAWS));
    positions.filter_map(|turn| turn.checked_rem(candidates.count())).find_map(|at| {
        let drawn = candidates.at(at).filter(is_best)?;
        Some((at, drawn.key))
    })
}

fn pick(
    candidates: &[(usize, Candidate)],
    policy: Policy,
    fit: impl Fn(&Candidate) -> bool,
) -> Option<(usize, Candidate)> {
    let count = candidates.iter().filter(|(_, c)| fit(c)).count();
    if count == 0 {
        return None;
    }
    // Counting starts at a place that varies, so that ties do not always favour the first engine.
    let start = policy.turn % count;
    let fitting = || candidates.iter().filter(|(_, c)| fit(c));
    let mut rotated = fitting().skip(start).chain(fitting().take(start));
    match policy.balance {
        Balance::LeastOutstanding => rotated.min_by_key(|(_, c)| c.in_flight),
        Balance::RoundRobin | Balance::Random => rotated.next(),
    }
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Candidate = Candidate { key: 0, ready: true, ejected: false, in_flight: 0, has_room: true };

    fn least(candidates: &[Candidate], turn: usize) -> Option<usize> {
        let policy = Policy { balance: Balance::LeastOutstanding, turn, preferred: None };
        at(candidates, policy)
    }

    fn at(candidates: &[Candidate], policy: Policy) -> Option<usize> {
        choose(&candidates, policy, |key| key == 99).map(|(at, _)| at)
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
        let seen: Vec<_> = (0..6).filter_map(|turn| at(&engines, policy(turn))).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_preferred_engine_is_used_however_loaded_unless_something_speaks_against_it() {
        let prefer = |candidates: &[Candidate]| {
            let policy = Policy { balance: Balance::LeastOutstanding, turn: 0, preferred: Some(1) };
            at(candidates, policy)
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

    #[test]
    fn a_choice_among_many_that_have_nothing_to_do_looks_at_few_and_favours_none() {
        /// Counts the looks.
        struct Counted([Candidate; 64], std::cell::Cell<usize>);
        impl Candidates for Counted {
            fn count(&self) -> usize {
                self.0.len()
            }
            fn at(&self, at: usize) -> Option<Candidate> {
                self.1.set(self.1.get() + 1);
                self.0.get(at).copied()
            }
        }
        let mut engines = Counted([UP; 64], std::cell::Cell::default());
        // The engine behind one that is down must not get the requests of both.
        engines.0[7].ready = false;
        engines.0[8].in_flight = 1;
        let mut random = fastrand::Rng::with_seed(1);
        for balance in [Balance::LeastOutstanding, Balance::Random] {
            let mut chosen = [0_u32; 64];
            engines.1.set(0);
            for _ in 0..64_000 {
                let policy = Policy { balance, turn: random.usize(..), preferred: None };
                let (at, _) = choose(&engines, policy, |_| false).expect("an engine");
                chosen[at] += 1;
            }
            let looks = engines.1.get();
            assert!(looks < 70_000, "{balance:?}: {looks}");
            assert_eq!((chosen[7], chosen[8] > 0), (0, balance == Balance::Random));
            let others = chosen.iter().enumerate().filter(|(at, _)| ![7, 8].contains(at));
            assert!(others.into_iter().all(|(_, count)| (850..1_200).contains(count)), "{balance:?}: {chosen:?}");
        }
    }
}
