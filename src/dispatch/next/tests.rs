//! Decisions: what each end of an attempt leads to, and what holds for any plan, any engines and any luck.

use proptest::prelude::*;

use super::super::policy::{Candidate, Candidates};
use super::*;
use crate::config::{Balance, Retry};

mod loading;

const RETRY: Retry = Retry { attempts: 3, budget: 0.2 };
const RULES: Rules<'_> = Rules { retry: &RETRY, wait_until: None, load_until: None, expires: None };
const UP: Candidate = Candidate { key: 0, ready: true, ejected: false, in_flight: 0, has_room: true };

/// Engines that are not real.
#[derive(Clone, Debug)]
struct World {
    legs: Vec<Vec<Candidate>>,
    contexts: Vec<Option<u64>>,
    /// Retries that can be paid for.
    budget: usize,
    turn: usize,
    preferred: Option<usize>,
    /// Legs whose engines are loaded on demand.
    loads: Vec<usize>,
}

impl World {
    /// Legs of so many engines, all of them up.
    fn of(counts: &[usize]) -> Self {
        let mut key = 0;
        let leg = |count: &usize| {
            let engine = |_| {
                key += 1;
                Candidate { key, ..UP }
            };
            (0..*count).map(engine).collect()
        };
        let legs: Vec<Vec<Candidate>> = counts.iter().map(leg).collect();
        Self { contexts: vec![None; legs.len()], legs, budget: 100, turn: 0, preferred: None, loads: vec![] }
    }

    fn engine(&mut self, key: u64) -> &mut Candidate {
        self.legs.iter_mut().flatten().find(|engine| engine.key == key).expect("an engine")
    }
}

impl View for World {
    fn legs(&self) -> usize {
        self.legs.len()
    }

    fn candidates(&self, leg: usize) -> impl Candidates {
        &*self.legs[leg]
    }

    fn balance(&self, _: usize) -> Balance {
        Balance::LeastOutstanding
    }

    fn turn(&self, _: usize) -> usize {
        self.turn
    }

    fn preferred(&self, _: usize) -> Option<usize> {
        self.preferred
    }

    fn context_length(&self, leg: usize) -> Option<u64> {
        self.contexts[leg]
    }

    fn may_be_loaded(&self, leg: usize) -> bool {
        self.loads.contains(&leg)
    }

    fn affords_retry(&self, _: usize) -> bool {
        self.budget > 0
    }
}

/// An attempt on the engine `key`, which had nothing else to do.
fn attempt(key: u64, outcome: Outcome) -> Attempt {
    Attempt { leg: 0, key, outcome, reused: false, alone: true }
}

/// Plays a request against `world`, whose every attempt ends as `ends` says of its engine; the engines that were tried, and
/// the last decision.
fn play(world: &mut World, mut ends: impl FnMut(u64) -> (Outcome, bool)) -> (Vec<u64>, Decision) {
    let (mut history, mut tried) = (History::default(), Vec::new());
    loop {
        match next(&RULES, &history, world, Instant::now()) {
            Decision::Send(send) => {
                world.budget -= usize::from(send.payer.is_some());
                tried.push(send.key);
                let (outcome, reused) = ends(send.key);
                history.note(Attempt { leg: send.leg, reused: reused && !send.fresh, ..attempt(send.key, outcome) });
            }
            over => return (tried, over),
        }
        assert!(tried.len() <= 100, "it does not end: {tried:?}");
    }
}

#[test]
fn engines_that_cannot_be_reached_are_tried_once_each_however_many() {
    let (tried, over) = play(&mut World { budget: 0, ..World::of(&[5, 2]) }, |_| (Outcome::Unreachable, false));
    assert_eq!((tried.as_slice(), over), (&[1, 2, 3, 4, 5, 6, 7][..], Decision::Refuse));
}

#[test]
fn one_request_cannot_kill_every_replica() {
    // Six engines that die of it, over warm connections: the failure on a kept connection counts like any other.
    let mut dead = Vec::new();
    let (tried, over) = play(&mut World::of(&[6]), |key| {
        if dead.contains(&key) {
            return (Outcome::Unreachable, false);
        }
        dead.push(key);
        (Outcome::Died { began: false }, true)
    });
    assert_eq!((tried.as_slice(), over), (&[1, 1, 2][..], Decision::Refuse), "two, and no third one");
}

#[test]
fn an_engine_that_dies_twice_of_a_request_alone_counts_once() {
    let died = |key, reused, alone| Attempt { reused, alone, ..attempt(key, Outcome::Died { began: false }) };
    let mut history = History::default();
    // It took a second connection while it died.
    for attempt in [died(1, true, true), died(1, false, false), died(2, true, true)] {
        history.note(attempt);
    }
    assert_eq!(history.killed(), 2);
    assert_eq!(next(&RULES, &history, &World::of(&[4]), Instant::now()), Decision::Refuse);
}

#[test]
fn a_request_that_was_with_others_may_be_a_bystander_of_two_deaths() {
    let died = |key, alone| Attempt { alone, ..attempt(key, Outcome::Died { began: false }) };
    let decide = |first, second| {
        let mut history = History::default();
        history.note(died(1, first));
        history.note(died(2, second));
        next(&RULES, &history, &World::of(&[4]), Instant::now())
    };
    assert_eq!(decide(true, true), Decision::Refuse);
    for (first, second) in [(true, false), (false, true), (false, false)] {
        assert!(matches!(decide(first, second), Decision::Send(Send { key: 3, .. })), "{first} {second}");
    }
    // A model's engine core that ends under its server is a death, too; a full engine is none.
    for (outcome, over) in [
        (Outcome::EngineBroken { status: 500 }, true),
        (Outcome::GaveUp { status: 500 }, true),
        (Outcome::EngineBroken { status: 502 }, false),
        (Outcome::Busy { status: 503 }, false),
        (Outcome::EngineLeft, false),
    ] {
        let mut history = History::default();
        history.note(attempt(1, outcome));
        history.note(attempt(2, outcome));
        let decision = next(&RULES, &history, &World::of(&[4]), Instant::now());
        assert_eq!(matches!(decision, Decision::Deliver | Decision::Refuse), over, "{outcome:?}");
    }
}

#[test]
fn an_engine_that_turned_unhealthy_is_left_for_another_one_while_there_is_time() {
    let (tried, over) = play(&mut World::of(&[3]), |key| {
        if key == 1 { (Outcome::EngineLeft, false) } else { (Outcome::Answered { status: 200 }, false) }
    });
    assert_eq!((tried.as_slice(), over), (&[1, 2][..], Decision::Deliver));
    let now = Instant::now();
    let mut history = History::default();
    history.note(attempt(1, Outcome::EngineLeft));
    let ask = |expires| next(&Rules { expires: Some(expires), ..RULES }, &history, &World::of(&[3]), now);
    assert_eq!(ask(now), Decision::Refuse);
    assert!(matches!(ask(now + Duration::from_millis(1)), Decision::Send(_)));
}

#[test]
fn a_request_that_waits_for_engines_kills_no_more_of_them() {
    // Engines come back between the rounds, and die again.
    let rules = Rules { wait_until: Some(Instant::now() + Duration::from_secs(600)), ..RULES };
    for (alone, deaths) in [(true, 2), (false, 3)] {
        let (mut history, mut died) = (History::default(), 0);
        loop {
            match next(&rules, &history, &World::of(&[2]), Instant::now()) {
                Decision::Send(send) => {
                    died += 1;
                    history.note(Attempt { alone, ..attempt(send.key, Outcome::Died { began: false }) });
                }
                Decision::Wait { .. } => history.begin_round(),
                over => break assert_eq!(over, Decision::Refuse),
            }
        }
        assert_eq!(died, deaths);
    }
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_costs_nothing() {
    let mut first = true;
    let mut world = World { budget: 0, ..World::of(&[2]) };
    let (tried, over) = play(&mut world, |_| {
        if std::mem::take(&mut first) {
            (Outcome::Died { began: false }, true)
        } else {
            (Outcome::Answered { status: 200 }, false)
        }
    });
    assert_eq!((tried.as_slice(), over), (&[1, 1][..], Decision::Deliver));
}

#[test]
fn a_full_model_is_left_for_the_next_one_and_its_answer_is_kept_for_the_case_that_there_is_none() {
    let full = |_| (Outcome::Busy { status: 429 }, false);
    assert_eq!(play(&mut World::of(&[3, 1]), full), (vec![1, 4], Decision::Deliver));
    assert_eq!(play(&mut World::of(&[3]), full), (vec![1], Decision::Deliver));
    let busy = |_| (Outcome::Busy { status: 503 }, false);
    assert_eq!(play(&mut World::of(&[2]), busy), (vec![1, 2], Decision::Deliver));
}

#[test]
fn a_prompt_that_is_too_long_goes_to_the_next_longer_context() {
    let long = |_| (Outcome::TooLong { status: 400 }, false);
    let mut world = World::of(&[2, 1, 1]);
    world.contexts = vec![Some(4096), Some(2048), Some(8192)];
    assert_eq!(play(&mut world, long), (vec![1, 4], Decision::Deliver), "the second leg is shorter");
    world.contexts = vec![Some(4096), None, Some(1024)];
    assert_eq!(play(&mut world, long), (vec![1, 3, 4], Decision::Deliver), "what is not known may be longer");
}

#[test]
fn nothing_is_tried_again_once_the_caller_has_read_something_or_left() {
    for outcome in
        [Outcome::ClientGone, Outcome::Aborted, Outcome::Expired, Outcome::TimedOut { phase: Phase::FirstByte }]
    {
        assert_eq!(play(&mut World::of(&[3]), |_| (outcome, false)), (vec![1], Decision::Refuse));
    }
    let mut history = History::default();
    history.delivered = true;
    history.note(Attempt { reused: true, ..attempt(1, Outcome::Died { began: true }) });
    assert_eq!(next(&RULES, &history, &World::of(&[3]), Instant::now()), Decision::Refuse);
}

#[test]
fn without_a_budget_an_engines_refusal_is_delivered() {
    let mut world = World { budget: 1, ..World::of(&[5]) };
    assert_eq!(play(&mut world, |_| (Outcome::Busy { status: 503 }, false)), (vec![1, 2], Decision::Deliver));
    assert_eq!(world.budget, 0);
}

#[test]
fn gyms_clients_wait_for_engines_and_out_overload() {
    let now = Instant::now();
    let rules = Rules { wait_until: Some(now + Duration::from_secs(60)), ..RULES };
    let ask = |history: &History, world: &World, now| next(&rules, history, world, now);
    let mut down = World::of(&[1]);
    down.engine(1).ready = false;
    let until_ready = Decision::Wait { what: WaitFor::Engine, until: now + Duration::from_secs(60) };
    assert_eq!(ask(&History::default(), &down, now), until_ready);
    assert_eq!(ask(&History::default(), &down, now + Duration::from_secs(60)), Decision::Refuse);

    let ended = |outcome| {
        let mut history = History::default();
        history.note(attempt(1, outcome));
        history
    };
    let pause = Decision::Wait { what: WaitFor::Pause, until: now + PAUSE };
    for status in [429, 502, 503, 504, 520] {
        let outcome = match judge(status) {
            Some(outcome) => outcome,
            None => Outcome::Answered { status },
        };
        assert_eq!(ask(&ended(outcome), &World::of(&[1]), now), pause, "{status}");
        assert_eq!(ask(&ended(outcome), &World::of(&[1]), now + Duration::from_millis(59_600)), Decision::Deliver);
    }
    for status in [200, 400, 401, 404, 422, 501, 529] {
        assert_eq!(ask(&ended(Outcome::Answered { status }), &World::of(&[1]), now), Decision::Deliver, "{status}");
    }
    let mut history = History::default();
    for number in 1..=3 {
        history.begin_round();
        history.note(attempt(1, Outcome::Answered { status: 500 }));
        let wanted = if number < 3 { pause } else { Decision::Deliver };
        assert_eq!(ask(&history, &World::of(&[1]), now), wanted, "500s are tried three times in all");
    }
}

fn judge(status: u16) -> Option<Outcome> {
    match crate::dispatch::judge_head(status) {
        crate::dispatch::Judgement::Known(outcome) => Some(outcome),
        crate::dispatch::Judgement::NeedsHealth => Some(crate::dispatch::judge_health(status, true)),
        crate::dispatch::Judgement::NeedsBody => None,
    }
}

fn outcomes() -> impl Strategy<Value = (Outcome, bool, bool)> {
    let outcome = prop::sample::select(vec![
        Outcome::Answered { status: 200 },
        Outcome::Answered { status: 500 },
        Outcome::Busy { status: 429 },
        Outcome::Busy { status: 503 },
        Outcome::TooLong { status: 400 },
        Outcome::GaveUp { status: 500 },
        Outcome::EngineBroken { status: 502 },
        Outcome::EngineLeft,
        Outcome::Expired,
        Outcome::Unreachable,
        Outcome::Unreachable,
        Outcome::Died { began: false },
        Outcome::Died { began: true },
        Outcome::TimedOut { phase: Phase::Connect },
        Outcome::TimedOut { phase: Phase::Stream },
        Outcome::ClientGone,
    ]);
    (outcome, any::<bool>(), any::<bool>())
}

fn candidates() -> impl Strategy<Value = Candidate> {
    (any::<bool>(), any::<bool>(), 0_usize..4, prop::bool::weighted(0.8))
        .prop_map(|(ready, ejected, in_flight, has_room)| Candidate { key: 0, ready, ejected, in_flight, has_room })
}

proptest! {
    /// Whatever the plan, the engines, the budget, the wait and the ends of attempts, which change from one to the next.
    #[test]
    fn decisions_are_sound(
        mut legs in prop::collection::vec(prop::collection::vec(candidates(), 0..5), 1..4),
        contexts in prop::collection::vec(prop::option::of(1_u64..4), 3),
        ends in prop::collection::vec(outcomes(), 60),
        changes in prop::collection::vec((0_u64..15, candidates()), 60),
        (attempts, budget, turn) in (1_usize..5, 0_usize..4, any::<usize>()),
        preferred in prop::option::of(0_usize..5),
        seconds in prop::option::of(1_u64..20),
    ) {
        for (key, engine) in (1..).zip(legs.iter_mut().flatten()) {
            engine.key = key;
        }
        let engines = legs.iter().flatten().count();
        let mut world = World { legs, contexts, budget, turn, preferred, loads: vec![] };
        let retry = Retry { attempts, budget: 0.2 };
        let start = Instant::now();
        let deadline = seconds.map(|seconds| start + Duration::from_secs(seconds));
        let rules = Rules { retry: &retry, wait_until: deadline, load_until: None, expires: None };
        let mut history = History::default();
        let (mut now, mut paid, mut before, mut steps, mut in_round) = (start, 0, 0, 0, 0);
        loop {
            let send = match next(&rules, &history, &world, now) {
                Decision::Send(send) => send,
                Decision::Wait { what, until } => {
                    prop_assert!(deadline.is_some_and(|deadline| until <= deadline) && until > now, "time goes on");
                    prop_assert!(what == WaitFor::Engine || history.last().is_some());
                    now = until;
                    history.begin_round();
                    (before, in_round) = (0, 0);
                    continue;
                }
                Decision::Deliver | Decision::Refuse => break,
            };
            (steps, in_round) = (steps + 1, in_round + 1);
            // It terminates: in a round each engine once, and once more over a new connection.
            prop_assert!(in_round <= 2 * engines);
            prop_assert!(history.killed() < KILLS || send.fresh, "never a third engine after it killed two");
            let leg = world.legs[send.leg].clone();
            let engine = *leg.iter().find(|engine| engine.key == send.key).expect("an engine of that leg");
            prop_assert!(engine.ready && engine.has_room, "never one that cannot take it: a lease would fail for ever");
            if send.fresh {
                prop_assert_eq!(history.last().map(|last| last.key), Some(send.key));
            } else {
                prop_assert!(!history.tried(send.key), "never an engine that was tried");
                let better = |other: &Candidate| other.ready && other.has_room && !other.ejected && !history.tried(other.key);
                prop_assert!(!engine.ejected || !leg.iter().any(better), "an ejected one only where there is nothing else");
            }
            prop_assert!(send.leg >= before, "legs are not gone back to");
            before = send.leg;
            paid += usize::from(send.payer.is_some());
            prop_assert!(paid <= budget, "never more than the budget");
            world.budget -= usize::from(send.payer.is_some());
            let (outcome, reused, alone) = ends[steps % ends.len()];
            history.note(Attempt { leg: send.leg, key: send.key, outcome, reused: reused && !send.fresh, alone });
            prop_assert!(history.sent() <= attempts + usize::from(history.has_repeated()), "never more than the attempts, and one");
            prop_assert!(history.broken() <= attempts, "nor over all rounds, where engines broke");
            let (key, change) = changes[steps % changes.len()];
            if let Some(engine) = world.legs.iter_mut().flatten().find(|engine| engine.key == key) {
                *engine = Candidate { key, ..change };
            }
        }
    }
}

#[test]
fn a_500_of_an_engine_that_is_well_is_tried_once_elsewhere_and_then_the_callers() {
    let failed = |key| Attempt { alone: true, ..attempt(key, Outcome::Failed { status: 500 }) };
    let mut history = History::default();
    history.note(failed(1));
    assert!(matches!(next(&RULES, &history, &World::of(&[4]), Instant::now()), Decision::Send(_)));
    assert_eq!(next(&RULES, &history, &World::of(&[1]), Instant::now()), Decision::Deliver);
    history.note(failed(2));
    assert_eq!(next(&RULES, &history, &World::of(&[4]), Instant::now()), Decision::Deliver);
    assert_eq!((history.killed(), history.broken()), (0, 0));
}
