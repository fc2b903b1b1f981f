//! Lives of engines: every event in every phase, and whole ones.

use super::*;
use crate::api::{HealthProblem, Stall};

const NEEDED: Thresholds = Thresholds { failures: 2, successes: 1 };
const EXIT: Exit = Exit { code: Some(3), signal: None };

fn all_phases() -> Vec<Phase> {
    let mut all = vec![
        Phase::Idle,
        Phase::Spawning,
        Phase::Loading,
        Phase::Serving(Vitals::Up { failures: 0 }),
        Phase::Serving(Vitals::Up { failures: 1 }),
        Phase::Serving(Vitals::Down { successes: 0 }),
        Phase::Drowsy(1),
        Phase::FallingAsleep(1),
        Phase::Asleep(2),
        Phase::Waking(2),
        Phase::Resting,
        Phase::Failed,
        Phase::Stopped,
    ];
    for end in [End::Failed, End::Stopped, End::Restart] {
        all.push(Phase::Draining { end });
        all.push(Phase::Killing { end });
        all.extend([false, true].map(|reminded| Phase::Terminating { reminded, end }));
    }
    all
}

fn all_events() -> Vec<Event> {
    vec![
        Event::Start,
        Event::Spawned,
        Event::SpawnFailed(SpawnError::System("no".into())),
        Event::Probed(Probe::Up),
        Event::Probed(Probe::Down(refused())),
        Event::Probed(Probe::Mismatch(refused())),
        Event::Exited(EXIT),
        Event::Deadline,
        Event::Stop,
        Event::Drained,
        Event::Adopted { asleep: None },
        Event::Adopted { asleep: Some(1) },
        Event::Probed(Probe::Stalled(Stall { requests: 1, seconds: 600 })),
        Event::Rest,
        Event::GiveUp,
        Event::Restart,
        Event::Sleep(1),
        Event::Slept(Ok(Sleep::of(1))),
        Event::Slept(Err("404".into())),
        Event::Wake,
        Event::Woke(Ok(())),
        Event::Woke(Err("500".into())),
    ]
}

fn refused() -> HealthProblem {
    HealthProblem::NoAnswer { request: "GET /health".into(), why: "connection refused".into() }
}

fn has_process(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Loading
            | Phase::Serving(_)
            | Phase::Drowsy(_)
            | Phase::FallingAsleep(_)
            | Phase::Asleep(_)
            | Phase::Waking(_)
            | Phase::Draining { .. }
            | Phase::Terminating { .. }
            | Phase::Killing { .. }
    )
}

fn waits(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Loading
            | Phase::Serving(Vitals::Down { .. })
            | Phase::Drowsy(_)
            | Phase::Draining { .. }
            | Phase::Terminating { .. }
            | Phase::Killing { .. }
            | Phase::Resting
    )
}

/// Runs `events` from `phase`; the last phase and all effects.
fn run(mut phase: Phase, events: Vec<Event>) -> (Phase, Vec<Effect>) {
    let mut all = vec![];
    for event in events {
        let (next, effects) = step(phase, event, NEEDED);
        phase = next;
        all.extend(effects);
    }
    (phase, all)
}

#[test]
fn every_event_in_every_phase_keeps_the_rules() {
    for phase in all_phases() {
        for event in all_events() {
            let (next, effects) = step(phase.clone(), event.clone(), NEEDED);
            let at = format!("{phase:?} + {event:?} -> {next:?} {effects:?}");
            let signals = effects.iter().any(|e| matches!(e, Effect::Term | Effect::Kill | Effect::Sweep));
            assert!(!signals || has_process(&phase), "signals only while there is a process: {at}");
            let lets_go = effects.iter().any(|e| matches!(e, Effect::Sweep | Effect::Abandon));
            let ends = has_process(&phase) && !has_process(&next);
            assert_eq!(ends, lets_go, "no process is left behind: {at}");
            if waits(&next) && std::mem::discriminant(&phase) != std::mem::discriminant(&next) {
                assert!(effects.iter().any(|e| matches!(e, Effect::Wait(_))), "every wait has an end: {at}");
            }
            if waits(&phase) && !waits(&next) && event != Event::Deadline {
                assert!(effects.contains(&Effect::NoWait), "no deadline outlives its phase: {at}");
            }
            let spawns = effects.contains(&Effect::Spawn);
            assert_eq!(spawns, next == Phase::Spawning && phase != Phase::Spawning, "one process at a time: {at}");
            if spawns && has_process(&phase) {
                assert!(lets_go, "the old process goes first: {at}");
            }
            if matches!(next, Phase::Failed) && !matches!(phase, Phase::Failed) {
                assert_eq!(effects.last(), Some(&Effect::Judge), "every failure is judged: {at}");
            }
            if effects.contains(&Effect::Publish(EngineState::Ready)) {
                assert!(matches!(next, Phase::Serving(Vitals::Up { .. })), "ready only while up: {at}");
            }
            if phase.is_stopping() && !matches!(event, Event::Start | Event::Restart) {
                assert!(next.is_stopping(), "a stop is never undone: {at}");
            }
        }
    }
}

#[test]
fn a_whole_life() {
    let (phase, effects) = run(
        Phase::Idle,
        vec![
            Event::Start,
            Event::Spawned,
            Event::Probed(Probe::Down(refused())),
            Event::Probed(Probe::Up),
            Event::Stop,
            Event::Drained,
            Event::Exited(Exit { code: Some(0), signal: None }),
        ],
    );
    assert_eq!(phase, Phase::Stopped);
    let said: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Publish(state) => Some(state.word()),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["starting", "starting", "starting", "ready", "stopping", "stopped"]);
}

#[test]
fn a_death_is_published_before_anything_is_waited_for() {
    for (phase, loading) in [(Phase::Loading, true), (Phase::Serving(Vitals::Up { failures: 0 }), false)] {
        let (phase, effects) = step(phase, Event::Exited(EXIT), NEEDED);
        assert_eq!(phase, Phase::Failed);
        let fail = Effect::Fail(Cause::Exited { exit: EXIT, loading });
        assert_eq!(effects, [Effect::NoWait, fail, Effect::Sweep, Effect::Judge]);
    }
}

#[test]
fn a_stop_ends_in_a_kill_whatever_the_engine_does() {
    let (phase, effects) =
        run(Phase::Serving(Vitals::Up { failures: 0 }), [vec![Event::Stop], vec![Event::Deadline; 3]].concat());
    assert_eq!(phase, Phase::Killing { end: End::Stopped });
    let signals: Vec<_> = effects.iter().filter(|e| matches!(e, Effect::Term | Effect::Kill)).collect();
    assert_eq!(signals, [&Effect::Term, &Effect::Term, &Effect::Kill]);
    let (phase, effects) = step(phase, Event::Deadline, NEEDED);
    assert_eq!(phase, Phase::Stopped);
    assert!(effects.contains(&Effect::Abandon));
}

#[test]
fn never_ready_fails_first_and_is_ended_then() {
    let (phase, effects) = step(Phase::Loading, Event::Deadline, NEEDED);
    assert_eq!(effects, [Effect::Fail(Cause::NeverReady), Effect::Term, Effect::Wait(Wait::Term)]);
    let (phase, effects) = step(phase, Event::Exited(EXIT), NEEDED);
    assert_eq!((&phase, effects), (&Phase::Failed, vec![Effect::NoWait, Effect::Sweep, Effect::Judge]));
    let (phase, effects) = run(phase, vec![Event::Rest, Event::Deadline]);
    assert_eq!(phase, Phase::Spawning);
    assert!(effects.starts_with(&[Effect::Wait(Wait::Rest)]) && effects.contains(&Effect::Spawn));
}

#[test]
fn a_failed_engine_can_be_started_again() {
    let (phase, effects) = step(Phase::Failed, Event::Start, NEEDED);
    assert_eq!(phase, Phase::Spawning);
    assert!(effects.contains(&Effect::Spawn));
}

#[test]
fn a_restart_ends_what_runs_first_and_a_stop_beats_it() {
    let up = Phase::Serving(Vitals::Up { failures: 0 });
    let (phase, effects) = run(up.clone(), vec![Event::Restart, Event::Drained, Event::Exited(EXIT)]);
    assert_eq!(phase, Phase::Spawning);
    let at = |wanted: &Effect| effects.iter().position(|effect| effect == wanted);
    assert!(at(&Effect::Term) < at(&Effect::Sweep) && at(&Effect::Sweep) < at(&Effect::Spawn), "{effects:?}");
    let (phase, effects) = run(up, vec![Event::Restart, Event::Stop, Event::Drained, Event::Exited(EXIT)]);
    assert_eq!(phase, Phase::Stopped);
    assert!(!effects.contains(&Effect::Spawn));
}

#[test]
fn sleep_waits_for_requests_and_waking_for_an_answer() {
    let up = Phase::Serving(Vitals::Up { failures: 0 });
    let (phase, effects) = run(up.clone(), vec![Event::Sleep(2)]);
    assert_eq!(phase, Phase::Drowsy(2));
    assert!(effects.iter().all(|effect| *effect != Effect::Sleep(2)), "not while requests are under way");
    let (phase, effects) = run(phase, vec![Event::Drained, Event::Slept(Ok(Sleep::of(2))), Event::Probed(Probe::Up)]);
    assert_eq!(phase, Phase::Asleep(2));
    assert!(effects.contains(&Effect::Sleep(2)) && !effects.contains(&Effect::Publish(EngineState::Ready)));
    let (phase, effects) = run(phase, vec![Event::Wake, Event::Woke(Ok(())), Event::Probed(Probe::Up)]);
    assert_eq!(phase, up);
    assert_eq!(effects.last(), Some(&Effect::Publish(EngineState::Ready)));
}

#[test]
fn an_engine_that_stays_unhealthy_is_ended_and_one_that_recovers_is_not() {
    let up = Phase::Serving(Vitals::Up { failures: 0 });
    let down = vec![Event::Probed(Probe::Down(refused())); 2];
    let (phase, effects) = run(up, down);
    assert_eq!(effects.last(), Some(&Effect::Wait(Wait::Recover)));
    let (better, effects) = run(phase.clone(), vec![Event::Probed(Probe::Up)]);
    assert!(matches!(better, Phase::Serving(Vitals::Up { .. })) && effects.contains(&Effect::NoWait));
    let (worse, effects) = run(phase, vec![Event::Deadline]);
    assert_eq!(worse, Phase::Terminating { reminded: false, end: End::Failed });
    assert!(matches!(effects[0], Effect::Fail(Cause::Unhealthy)));
}
