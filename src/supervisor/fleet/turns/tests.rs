//! Turns on small machines, and what holds of all of them.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// GPUs on which models have shares: the GPU and the percentage of each, and what is taken of each GPU now.
#[derive(Clone, Debug, Default)]
struct Machine {
    shares: BTreeMap<&'static str, (usize, u32)>,
    taken: BTreeMap<usize, u32>,
}

impl Room for Machine {
    fn fits(&self, models: &[&Name]) -> bool {
        let mut sums: BTreeMap<usize, u32> = BTreeMap::new();
        models
            .iter()
            .filter_map(|name| self.shares.get(&***name))
            .for_each(|(gpu, share)| *sums.entry(*gpu).or_default() += share);
        sums.values().all(|sum| *sum <= 95)
    }

    fn is_free(&self, model: &Name) -> bool {
        let Some((gpu, share)) = self.shares.get(&**model) else { return false };
        self.taken.get(gpu).copied().unwrap_or_default() + share <= 95
    }
}

fn machine(shares: &[(&'static str, usize, u32)]) -> Machine {
    Machine { shares: shares.iter().map(|(name, gpu, share)| (*name, (*gpu, *share))).collect(), ..Machine::default() }
}

fn out(name: &str, now: Instant) -> Contender {
    Contender {
        name: name.into(),
        turn: Turn::Out,
        wanted_since: None,
        is_busy: false,
        used_at: now,
        engines: Engines::None,
        can_sleep: false,
        idle: Idle::default(),
    }
}

fn wanted(name: &str, since: Instant) -> Contender {
    Contender { wanted_since: Some(since), is_busy: true, ..out(name, since) }
}

fn serving(name: &str, since: Instant, took: Duration, is_busy: bool) -> Contender {
    Contender { turn: Turn::In, is_busy, engines: Engines::Serving { since, took }, ..out(name, since) }
}

fn turns(decision: &Decision) -> Vec<(&str, Turn)> {
    decision.turns.iter().map(|(name, turn)| (&**name, *turn)).collect()
}

#[test]
fn where_there_is_room_nobody_has_to_go() {
    let now = Instant::now();
    let machine = machine(&[("a", 0, 50), ("b", 0, 40)]);
    let (a, mut b) = (serving("a", now, SECOND, false), wanted("b", now));
    let decision = decide(&[a.clone(), b.clone()], &machine, Unsettled::default(), now);
    assert_eq!(turns(&decision), [("b", Turn::Next)]);
    b.turn = Turn::Next;
    assert_eq!(
        turns(&decide(&[a.clone(), b.clone()], &machine, Unsettled { is_placing: true, is_leaving: false }, now)),
        [],
        "GPUs are being looked for"
    );
    assert_eq!(turns(&decide(&[a, b], &machine, Unsettled::default(), now)), [("b", Turn::In)]);
}

#[test]
fn the_one_that_was_used_longest_ago_makes_room_and_only_it() {
    let now = Instant::now() + SECOND * 100;
    let machine = machine(&[("a", 0, 40), ("b", 0, 40), ("c", 1, 90), ("d", 0, 40)]);
    let all = [
        serving("a", now - SECOND * 5, SECOND, false),
        serving("b", now - SECOND * 9, SECOND, false),
        serving("c", now - SECOND * 50, SECOND, false),
        wanted("d", now),
    ];
    assert_eq!(turns(&decide(&all, &machine, Unsettled::default(), now)), [("b", Turn::Out), ("d", Turn::Next)]);
}

#[test]
fn who_has_requests_keeps_its_gpus_as_long_as_its_load_took() {
    let start = Instant::now();
    let machine = machine(&[("a", 0, 90), ("b", 0, 90), ("c", 0, 90)]);
    let all = [serving("a", start, SECOND * 30, true), wanted("b", start), wanted("c", start + SECOND)];
    let decision = decide(&all, &machine, Unsettled::default(), start + SECOND * 29);
    assert_eq!(turns(&decision), []);
    assert!(decision.look_at.is_some_and(|at| at <= start + SECOND * 30), "it is not forgotten");
    let decision = decide(&all, &machine, Unsettled::default(), start + SECOND * 30);
    assert_eq!(turns(&decision), [("a", Turn::Out), ("b", Turn::Next)], "the one that waits longest");
    let idle = [serving("a", start, SECOND * 30, false), all[1].clone(), all[2].clone()];
    assert_eq!(
        turns(&decide(&idle, &machine, Unsettled::default(), start + SECOND)),
        [("a", Turn::Out), ("b", Turn::Next)]
    );
}

#[test]
fn who_waits_longest_is_not_overtaken_by_one_that_takes_its_place() {
    let start = Instant::now();
    let machine = machine(&[("a", 0, 50), ("b", 0, 90), ("c", 0, 40), ("d", 1, 40)]);
    let (a, b) = (serving("a", start, SECOND * 30, true), wanted("b", start));
    let all = [a, b, wanted("c", start + SECOND), wanted("d", start + SECOND * 2)];
    // c would fit beside a, but b could not be loaded then.
    assert_eq!(turns(&decide(&all, &machine, Unsettled::default(), start + SECOND * 3)), [("d", Turn::Next)]);
}

#[test]
fn one_that_loads_is_let_and_one_that_failed_goes_first() {
    let now = Instant::now() + SECOND * 100;
    let machine = machine(&[("a", 0, 50), ("b", 0, 40), ("c", 0, 50)]);
    let loading = Contender { engines: Engines::Loading, ..serving("a", now - SECOND * 90, SECOND, true) };
    let failed = Contender { engines: Engines::Failed, ..serving("a", now, SECOND, true) };
    let (b, c) = (serving("b", now - SECOND * 80, SECOND, false), wanted("c", now));
    let decision = decide(&[loading, b.clone(), c.clone()], &machine, Unsettled::default(), now);
    assert_eq!((turns(&decision), &*decision.stuck), (vec![], &[][..]));
    assert_eq!(
        turns(&decide(&[failed, b, c], &machine, Unsettled::default(), now)),
        [("a", Turn::Out), ("c", Turn::Next)]
    );
}

#[test]
fn without_requests_engines_end_after_a_while() {
    let start = Instant::now();
    let machine = machine(&[("a", 0, 50)]);
    let a = Contender {
        idle: Idle { stop_after: Some(SECOND * 60), sleep_after: None },
        ..serving("a", start, SECOND, false)
    };
    let soon = decide(std::slice::from_ref(&a), &machine, Unsettled::default(), start + SECOND * 59);
    assert_eq!((turns(&soon), soon.look_at), (vec![], Some(start + SECOND * 60)));
    let early = decide(std::slice::from_ref(&a), &machine, Unsettled::default(), start + SECOND);
    assert_eq!(early.look_at, Some(start + SECOND + SECOND * 60 / 8), "requests come and go unheard");
    assert_eq!(
        turns(&decide(std::slice::from_ref(&a), &machine, Unsettled::default(), start + SECOND * 60)),
        [("a", Turn::Out)]
    );
    let busy = Contender { is_busy: true, ..a.clone() };
    assert_eq!(turns(&decide(&[busy], &machine, Unsettled::default(), start + SECOND * 60)), []);
    let next = Contender { turn: Turn::Next, engines: Engines::None, ..a };
    assert_eq!(
        turns(&decide(&[next], &machine, Unsettled::default(), start)),
        [("a", Turn::Resting)],
        "nobody wants it any more"
    );
}

#[test]
fn engines_that_can_sleep_sleep_first() {
    let start = Instant::now();
    let machine = machine(&[("a", 0, 50), ("b", 0, 90)]);
    let idle = Idle { sleep_after: Some(SECOND * 10), stop_after: Some(SECOND * 60) };
    let a = Contender { can_sleep: true, idle, ..serving("a", start, SECOND, false) };
    let at = |a: &Contender, seconds: u32| {
        decide(std::slice::from_ref(a), &machine, Unsettled::default(), start + SECOND * seconds)
    };
    assert_eq!((turns(&at(&a, 9)), at(&a, 9).look_at), (vec![], Some(start + SECOND * 10)));
    assert_eq!(turns(&at(&a, 10)), [("a", Turn::Resting)]);
    let resting = Contender { turn: Turn::Resting, engines: Engines::None, ..a.clone() };
    assert_eq!(turns(&at(&resting, 59)), []);
    assert_eq!(turns(&at(&resting, 60)), [("a", Turn::Out)]);
    let decision = decide(&[a.clone(), wanted("b", start)], &machine, Unsettled::default(), start);
    assert_eq!(turns(&decision), [("a", Turn::Resting), ("b", Turn::Next)], "for another model, too");
    let failed = Contender { engines: Engines::Failed, ..a };
    let decision = decide(&[failed, wanted("b", start)], &machine, Unsettled::default(), start);
    assert_eq!(turns(&decision), [("a", Turn::Out), ("b", Turn::Next)]);
    let again = Contender { wanted_since: Some(start), is_busy: true, ..resting };
    assert_eq!(turns(&at(&again, 60)), [("a", Turn::Next)]);
}

#[test]
fn one_that_never_fits_is_told_and_stands_in_nobodys_way() {
    let now = Instant::now();
    let mut machine = machine(&[("a", 0, 99), ("b", 0, 40)]);
    let decision = decide(&[wanted("a", now), wanted("b", now)], &machine, Unsettled::default(), now);
    assert_eq!((turns(&decision), &*decision.stuck), (vec![("b", Turn::Next)], &[Name::from("a")][..]));
    machine.taken.insert(0, 80);
    let next = Contender { turn: Turn::Next, ..wanted("b", now) };
    let decision = decide(&[next], &machine, Unsettled::default(), now);
    let expected = (vec![("b", Turn::Resting)], &[Name::from("b")][..]);
    assert_eq!((turns(&decision), &*decision.stuck), expected, "others have the memory");
}

#[test]
fn one_that_is_next_stands_in_nobodys_way_when_others_take_its_memory() {
    let now = Instant::now();
    let mut machine = machine(&[("big", 0, 90), ("small", 0, 40)]);
    machine.taken.insert(0, 50);
    let big = Contender { turn: Turn::Next, ..wanted("big", now) };
    let ending = Unsettled { is_leaving: true, is_placing: false };
    let decision = decide(&[big.clone(), wanted("small", now)], &machine, ending, now);
    assert_eq!((turns(&decision), &*decision.stuck), (vec![], &[][..]), "what ends gives memory back");
    let decision = decide(&[big, wanted("small", now)], &machine, Unsettled::default(), now);
    assert_eq!((turns(&decision), &*decision.stuck), (vec![("big", Turn::Resting)], &[Name::from("big")][..]));
}

#[test]
fn one_that_lost_its_gpus_waits_for_its_turn_again_and_engines_that_keep_theirs_come_first() {
    let now = Instant::now();
    let machine = machine(&[("a", 0, 90), ("b", 0, 90)]);
    let displaced = Contender { engines: Engines::Displaced, ..serving("a", now, SECOND, true) };
    let decision = decide(&[displaced, serving("b", now, SECOND, true)], &machine, Unsettled::default(), now);
    assert_eq!(turns(&decision), [("a", Turn::Out)]);
    let crowded = [serving("a", now, SECOND, true), serving("b", now, SECOND, false)];
    assert_eq!(turns(&decide(&crowded, &machine, Unsettled::default(), now)), [("b", Turn::Out)]);
}

/// What a step of time brings to a model.
#[derive(Clone, Debug, Default)]
struct Life {
    turn: Turn,
    waiting: u32,
    under_way: u32,
    since: Option<Instant>,
    /// Steps until its engines have loaded or ended.
    left: u32,
    wanted_since: Option<Instant>,
    used_at: Option<Instant>,
}

const MODELS: [(&str, usize, u32); 5] = [("a", 0, 60), ("b", 0, 50), ("c", 0, 30), ("d", 1, 90), ("e", 1, 20)];

fn contender(name: &str, life: &Life, start: Instant) -> Contender {
    let engines = match (life.turn, life.left, life.since) {
        (Turn::In, 0, Some(since)) => Engines::Serving { since, took: SECOND * 2 },
        (Turn::In, ..) => Engines::Loading,
        (_, 0, _) => Engines::None,
        _ => Engines::Leaving,
    };
    Contender {
        name: name.into(),
        turn: life.turn,
        wanted_since: life.wanted_since.filter(|_| life.turn != Turn::In),
        is_busy: life.waiting + life.under_way > 0,
        used_at: life.used_at.unwrap_or(start),
        engines,
        can_sleep: false,
        idle: Idle::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is asked for when: no GPU is promised or holds more than it has, and every request is served in the end.
    #[test]
    fn all_are_served_and_no_gpu_is_over_committed(asked in prop::collection::vec((0..5usize, 0..3u32), 1..60)) {
        let start = Instant::now();
        let mut machine = machine(&MODELS);
        let mut lives: Vec<Life> = MODELS.iter().map(|_| Life::default()).collect();
        for step in 0..500u32 {
            let now = start + SECOND * step;
            if let Some((model, requests)) = asked.get(step as usize) {
                lives[*model].waiting += requests;
            }
            for life in &mut lives {
                life.left = life.left.saturating_sub(1);
                let serves = life.turn == Turn::In && life.left == 0;
                if serves {
                    life.since.get_or_insert(now);
                    life.under_way = std::mem::take(&mut life.waiting);
                }
                if life.waiting + life.under_way > 0 {
                    life.used_at = Some(now);
                }
                life.wanted_since = (life.waiting > 0).then(|| life.wanted_since.unwrap_or(now));
            }
            machine.taken.clear();
            for (life, (_, gpu, share)) in lives.iter().zip(MODELS) {
                if life.turn == Turn::In || life.left > 0 {
                    *machine.taken.entry(gpu).or_default() += share;
                }
            }
            prop_assert!(machine.taken.values().all(|taken| *taken <= 95), "{:?}", machine.taken);
            let contenders: Vec<Contender> =
                lives.iter().zip(MODELS).map(|(life, (name, ..))| contender(name, life, start)).collect();
            let decision = decide(&contenders, &machine, Unsettled::default(), now);
            for (name, turn) in decision.turns {
                let at = MODELS.iter().position(|(other, ..)| **other == *name).expect("a model");
                let life = &mut lives[at];
                // Three steps to load, two to answer what is under way and to end.
                life.left = match (life.turn, turn) {
                    (Turn::In, Turn::Out) => 2,
                    (_, Turn::In) => 3,
                    _ => life.left,
                };
                (life.turn, life.since, life.under_way) = (turn, None, 0);
            }
            let inside: Vec<Name> = lives.iter().zip(MODELS).filter(|(life, _)| life.turn != Turn::Out).map(|(_, (name, ..))| name.into()).collect();
            prop_assert!(machine.fits(&inside.iter().collect::<Vec<_>>()));
        }
        prop_assert_eq!(lives.iter().map(|life| life.waiting).sum::<u32>(), 0);
    }
}
