//! Lives of engines: every event in every phase, and whole ones.

use super::*;
use crate::api::{HealthProblem, Sleep, Stall};
use crate::config::Restart;
use crate::engines::health::{Probe, Rest, Thresholds};
use crate::supervisor::process::group::Exit;

const EXIT: Exit = Exit { code: Some(3), signal: None };
const SECOND: Duration = Duration::from_secs(1);
const POLICY: Restart = Restart { initial_backoff: SECOND, max_backoff: SECOND, crashes: 3, within: SECOND };
const UP: Phase = Phase::Serving(Vitals::Up { failures: 0 });

fn settings() -> Settings {
    Settings {
        thresholds: Thresholds { failures: 2, successes: 1 },
        restart: Some(POLICY),
        start_timeout: SECOND * 600,
        stop_timeout: SECOND * 30,
        drain: SECOND * 10,
        stall_timeout: Some(SECOND * 60),
        may_sleep: true,
    }
}

fn moment(now: Instant) -> Moment {
    Moment { now, chance: 0.5 }
}

/// An engine in `phase`, which has just begun.
fn at(phase: Phase, restart: Option<Restart>) -> Lifecycle {
    let mut life = Lifecycle::new(Settings { restart, ..settings() }, Instant::now());
    // A failure that is being cleared up was judged before.
    life.pause = restart.map(|_| SECOND);
    life.phase = phase;
    life
}

fn all_phases() -> Vec<Phase> {
    let mut all = vec![
        Phase::Idle,
        Phase::Placing,
        Phase::Spawning,
        Phase::Loading,
        UP,
        Phase::Serving(Vitals::Up { failures: 1 }),
        Phase::Serving(Vitals::Down { successes: 0, closed: false }),
        Phase::Serving(Vitals::Down { successes: 0, closed: true }),
        Phase::Serving(Vitals::NEW),
        Phase::Serving(Vitals::Resting),
        Phase::DrainingToSleep(1),
        Phase::FallingAsleep(1),
        Phase::Asleep(2),
        Phase::Waking(2),
        Phase::BackingOff,
        Phase::Failed,
        Phase::Stopped,
    ];
    for end in [End::Failed, End::Stopped, End::Restart] {
        all.extend([Phase::Draining { end }, Phase::Killing { end }, Phase::CleaningUp { end }]);
        all.extend([false, true].map(|reminded| Phase::Terminating { reminded, end }));
    }
    all
}

fn all_events() -> Vec<Event> {
    vec![
        Event::Adopted { asleep: None },
        Event::Adopted { asleep: Some(1) },
        Event::WaitsFor(3),
        Event::Start,
        Event::Placed(Ok(())),
        Event::Placed(Err("GPU 0: full".into())),
        Event::Spawned,
        Event::SpawnFailed("no".into()),
        Event::Progressed(Starting::at(StartPhase::LoadingWeights)),
        Event::Probed(Probe::Up),
        Event::Probed(Probe::Down(refused())),
        Event::Probed(Probe::Mismatch(refused())),
        Event::Probed(Probe::Resting(Rest::Paused)),
        Event::Probed(Probe::Stalled(Stall { requests: 1, seconds: 600 })),
        Event::Exited(EXIT),
        Event::CleanedUp,
        Event::Diagnosed(FailureCause::Unhealthy),
        Event::Deadline,
        Event::Restart,
        Event::Sleep(1),
        Event::Slept(Ok(Sleep::of(1))),
        Event::Slept(Err("404".into())),
        Event::Wake,
        Event::Woke(Ok(())),
        Event::Woke(Err("500".into())),
        Event::Stop,
        Event::Dismiss(StopReason::Removed),
        Event::Shutdown(Instant::now() + SECOND),
        Event::Drained,
        Event::Hurry,
    ]
}

fn silent() -> HealthProblem {
    HealthProblem::NoAnswer { request: "GET /health".into(), why: "no answer within 5s".into() }
}

fn refused() -> HealthProblem {
    HealthProblem::Refused { request: "GET /health".into() }
}

fn has_process(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Loading
            | Phase::Serving(_)
            | Phase::DrainingToSleep(_)
            | Phase::FallingAsleep(_)
            | Phase::Asleep(_)
            | Phase::Waking(_)
            | Phase::Draining { .. }
            | Phase::Terminating { .. }
            | Phase::Killing { .. }
    )
}

/// Whether `phase` must come to an end by itself.
fn is_timed(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Loading
            | Phase::Serving(Vitals::Down { .. })
            | Phase::DrainingToSleep(_)
            | Phase::Draining { .. }
            | Phase::Terminating { .. }
            | Phase::Killing { .. }
            | Phase::BackingOff
    )
}

/// What all events in turn have done.
fn run(life: &mut Lifecycle, events: Vec<Event>) -> Vec<Effect> {
    events.into_iter().flat_map(|event| life.step(event, Moment::now())).collect()
}

fn words(effects: &[Effect]) -> Vec<&'static str> {
    let words = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(state) => Some(state.word()),
        Effect::Fail { .. } => Some("failed"),
        _ => None,
    });
    words.collect()
}

fn has(effects: &[Effect], wanted: fn(&Effect) -> bool) -> bool {
    effects.iter().any(wanted)
}

#[test]
fn every_event_in_every_phase_keeps_the_rules() {
    let all = all_phases().into_iter().flat_map(|phase| [(phase.clone(), None), (phase, Some(POLICY))]);
    // Without a policy there is no pause to wait for.
    for (phase, restart) in all.filter(|(phase, restart)| restart.is_some() || *phase != Phase::BackingOff) {
        for event in all_events() {
            let mut life = at(phase.clone(), restart);
            let effects = life.step(event.clone(), Moment::now());
            let next = life.phase();
            let at = format!("{phase:?} + {event:?} -> {next:?} {effects:?}");

            let signals = |effect: &Effect| matches!(effect, Effect::Term | Effect::Kill);
            assert!(!has(&effects, signals) || has_process(&phase), "signals only while there is a process: {at}");
            let ends = has_process(&phase) && !has_process(next);
            assert_eq!(ends, has(&effects, |e| matches!(e, Effect::CleanUp | Effect::Abandon)), "none is left: {at}");
            assert_eq!(ends, matches!(next, Phase::CleaningUp { .. }) && has_process(&phase), "nor forgotten: {at}");
            // The requests under way have ends of their own.
            let finishes = matches!(next, Phase::Draining { .. } | Phase::DrainingToSleep(_))
                && matches!(event, Event::Dismiss(_));
            assert!(!is_timed(next) || finishes || life.deadline().is_some(), "every wait has an end: {at}");
            assert!(is_timed(next) || life.deadline().is_none(), "no deadline outlives its phase: {at}");

            let (spawns, places) = (effects.contains(&Effect::Spawn), effects.contains(&Effect::Place));
            assert_eq!(spawns, *next == Phase::Spawning && phase != Phase::Spawning, "once: {at}");
            assert_eq!(places, *next == Phase::Placing && phase != Phase::Placing, "once: {at}");
            assert!(!spawns || phase == Phase::Placing, "GPUs first: {at}");
            assert!(!places || !has_process(&phase), "the old process goes first: {at}");

            let fails = has(&effects, |effect| matches!(effect, Effect::Fail { .. }));
            let failed = |phase: &Phase| phase.stage() == Stage::Failed;
            assert_eq!(fails, failed(next) && !failed(&phase), "every failure is told, once: {at}");
            assert!(!failed(next) || restart.is_some() || *next != Phase::BackingOff, "it stays down: {at}");
            let ready = effects.contains(&Effect::Publish(EngineState::Ready));
            assert!(!ready || next.is_up(), "ready only while up: {at}");
            let frees = effects.contains(&Effect::ReleaseGpus);
            assert_eq!(frees, *next == Phase::Stopped && phase != Phase::Stopped, "only a stop gives GPUs back: {at}");
            if phase.is_stopping() && !matches!(event, Event::Start | Event::Restart) {
                assert!(next.is_stopping(), "a stop is never undone: {at}");
            }
        }
    }
}

#[test]
fn a_whole_life() {
    let mut life = at(Phase::Idle, None);
    let events = vec![
        Event::Start,
        Event::Placed(Ok(())),
        Event::Spawned,
        Event::Probed(Probe::Down(refused())),
        Event::Probed(Probe::Up),
        Event::Stop,
        Event::Drained,
        Event::Exited(Exit { code: Some(0), signal: None }),
        Event::CleanedUp,
    ];
    let effects = run(&mut life, events);
    assert_eq!(life.phase(), &Phase::Stopped);
    assert_eq!(words(&effects), ["starting", "starting", "starting", "ready", "stopping", "stopped"]);
    assert!(has(&effects, |effect| matches!(effect, Effect::FirstReady(Some(_)))));
}

#[test]
fn a_death_is_published_before_anything_is_waited_for() {
    for (phase, loading) in [(Phase::Loading, true), (UP, false)] {
        let mut life = at(phase, None);
        let effects = life.step(Event::Exited(EXIT), Moment::now());
        let fail = Effect::Fail {
            cause: FailureCause::Exited { code: EXIT.code, signal: EXIT.signal, loading, diagnosis: None },
            next: NextStep::NoRestart,
        };
        assert_eq!(effects, [fail, Effect::CleanUp]);
        assert_eq!(life.step(Event::CleanedUp, Moment::now()), []);
        assert_eq!(life.phase(), &Phase::Failed);
    }
}

#[test]
fn what_was_asked_to_end_is_killed_at_once_when_nobody_waits_any_more() {
    for phase in all_phases() {
        let mut life = at(phase.clone(), None);
        let killed = life.step(Event::Hurry, Moment::now()) == [Effect::Kill];
        assert_eq!(killed, phase.can_be_hurried(), "{phase:?}");
        assert_eq!(killed, life.phase() == &phase.end().map_or(Phase::Idle, |end| Phase::Killing { end }) && killed);
        assert!(killed || *life.phase() == phase, "{phase:?}");
    }
}

#[test]
fn a_stop_ends_in_a_kill_whatever_the_engine_does() {
    let mut life = at(UP, None);
    let effects = run(&mut life, [vec![Event::Stop], vec![Event::Deadline; 3]].concat());
    assert_eq!(life.phase(), &Phase::Killing { end: End::Stopped });
    let signals: Vec<_> = effects.iter().filter(|e| matches!(e, Effect::Term | Effect::Kill)).collect();
    assert_eq!(signals, [&Effect::Term, &Effect::Term, &Effect::Kill]);
    let effects = run(&mut life, vec![Event::Deadline, Event::CleanedUp]);
    assert_eq!(life.phase(), &Phase::Stopped);
    assert!(effects.contains(&Effect::Abandon));
}

#[test]
fn never_ready_fails_first_is_ended_then_and_started_again_after_a_pause() {
    let mut life = at(Phase::Loading, Some(POLICY));
    let effects = life.step(Event::Deadline, moment(Instant::now()));
    assert!(
        matches!(&effects[..], [Effect::Fail { cause: FailureCause::StartTimeout { .. }, .. }, Effect::Term]),
        "{effects:?}"
    );
    assert_eq!(life.step(Event::Exited(EXIT), Moment::now()), [Effect::CleanUp]);
    let now = Instant::now();
    life.step(Event::CleanedUp, moment(now));
    assert_eq!((life.phase(), life.deadline()), (&Phase::BackingOff, Some(now + SECOND)));
    life.step(Event::Deadline, Moment::now());
    assert_eq!(life.phase(), &Phase::Placing);
}

#[test]
fn an_engine_without_gpus_is_tried_for_ever_and_one_that_crashes_is_not() {
    let mut life = at(Phase::Placing, Some(POLICY));
    for _ in 0..9 {
        run(&mut life, vec![Event::Placed(Err("GPU 0: full".into()))]);
        assert_eq!(life.phase(), &Phase::BackingOff);
        run(&mut life, vec![Event::Deadline]);
    }
    let crash = || vec![Event::Placed(Ok(())), Event::Spawned, Event::Exited(EXIT), Event::CleanedUp];
    for _ in 0..2 {
        run(&mut life, crash());
        run(&mut life, vec![Event::Deadline]);
    }
    run(&mut life, crash());
    assert_eq!(life.phase(), &Phase::Failed, "a crash loop");
    assert!(life.order(Goal::Start, Moment::now()).expect("accepted").contains(&Effect::Place));
    run(&mut life, crash());
    assert_eq!(life.phase(), &Phase::BackingOff, "an operator's start forgets the crashes before");
}

#[test]
fn a_restart_ends_what_runs_first_and_a_stop_beats_it() {
    let mut life = at(UP, None);
    let effects = run(&mut life, vec![Event::Restart, Event::Drained, Event::Exited(EXIT), Event::CleanedUp]);
    assert_eq!(life.phase(), &Phase::Placing);
    let at_of = |wanted: &Effect| effects.iter().position(|effect| effect == wanted).expect("done");
    assert!(at_of(&Effect::Term) < at_of(&Effect::CleanUp) && at_of(&Effect::CleanUp) < at_of(&Effect::Place));
    let mut life = at(UP, None);
    let stop = vec![Event::Restart, Event::Stop, Event::Drained, Event::Exited(EXIT), Event::CleanedUp];
    let effects = run(&mut life, stop);
    assert_eq!(life.phase(), &Phase::Stopped);
    assert!(!effects.contains(&Effect::Place));
}

#[test]
fn sleep_waits_for_requests_and_waking_for_an_answer() {
    let mut life = at(UP, None);
    let effects = run(&mut life, vec![Event::Sleep(2)]);
    assert_eq!(life.phase(), &Phase::DrainingToSleep(2));
    assert!(!effects.contains(&Effect::Sleep(2)), "not while requests are under way");
    let effects = run(&mut life, vec![Event::Drained, Event::Slept(Ok(Sleep::of(2))), Event::Probed(Probe::Up)]);
    assert_eq!(life.phase(), &Phase::Asleep(2));
    assert!(effects.contains(&Effect::Sleep(2)) && !words(&effects).contains(&"ready"));
    let effects = run(&mut life, vec![Event::Wake, Event::Woke(Ok(())), Event::Probed(Probe::Up)]);
    assert!(life.phase().is_up() && words(&effects).ends_with(&["ready"]));
    assert!(effects.contains(&Effect::RecordServing), "the next gateway must not take it for asleep");
}

#[test]
fn an_engine_that_stays_unhealthy_is_ended_and_one_that_recovers_is_not() {
    let mut life = at(UP, None);
    let now = Instant::now();
    for second in 0..4 {
        life.step(Event::Probed(Probe::Down(silent())), moment(now + SECOND * second));
    }
    assert_eq!(life.deadline(), Some(now + SECOND * 61), "since it was down, not since it was probed last");
    let mut better = life.clone();
    run(&mut better, vec![Event::Probed(Probe::Up)]);
    assert!(better.phase().is_up() && better.deadline().is_none());
    let effects = run(&mut life, vec![Event::Deadline]);
    assert_eq!(life.phase(), &Phase::Terminating { reminded: false, end: End::Failed });
    assert!(matches!(effects[0], Effect::Fail { cause: FailureCause::Unhealthy, .. }));
    assert!(life.stop_timeout() == END_STALLED, "what made no progress is not waited for");
}

#[test]
fn an_engine_that_has_closed_its_port_has_no_more_time_than_to_end() {
    let (mut life, now) = (at(UP, None), Instant::now());
    let stop = life.settings.stop_timeout;
    assert!(stop < life.settings.stall_timeout.expect("on"), "it would prove nothing");
    for second in 0..3 {
        life.step(Event::Probed(Probe::Down(silent())), moment(now + SECOND * second));
    }
    for second in 3..6 {
        life.step(Event::Probed(Probe::Down(refused())), moment(now + SECOND * second));
    }
    assert_eq!(life.deadline(), Some(now + SECOND * 3 + stop), "from when it closed it");
    let mut off = life.clone();
    off.retune(Settings { stall_timeout: None, ..settings() });
    assert_eq!(off.deadline(), None, "somebody wants no engine ended");
    let effects = run(&mut life, vec![Event::Deadline]);
    assert!(matches!(effects[0], Effect::Fail { cause: FailureCause::Unhealthy, .. }));
}

#[test]
fn new_settings_count_for_what_is_waited_for_now() {
    let mut life = at(Phase::Placing, Some(POLICY));
    let now = Instant::now();
    life.step(Event::Placed(Ok(())), moment(now));
    life.step(Event::Spawned, moment(now));
    assert_eq!(life.deadline(), Some(now + SECOND * 600));
    life.retune(Settings { start_timeout: SECOND * 1200, ..settings() });
    assert_eq!(life.deadline(), Some(now + SECOND * 1200));
    assert_eq!(life.phase(), &Phase::Loading);
}

#[test]
fn the_end_of_the_gateway_sets_one_deadline_for_all_attempts() {
    let mut life = at(UP, None);
    let until = Instant::now() + SECOND * 3;
    run(&mut life, vec![Event::Restart, Event::Shutdown(until)]);
    assert_eq!((life.phase(), life.deadline()), (&Phase::Draining { end: End::Stopped }, Some(until)));
    assert!(life.is_leaving() && !life.is_over());
    run(&mut life, vec![Event::Deadline, Event::Exited(EXIT), Event::CleanedUp]);
    assert!(life.is_over());
}

#[test]
fn a_failure_is_told_until_the_engine_is_ready_again() {
    let mut life = at(Phase::Loading, Some(POLICY));
    run(&mut life, vec![Event::Exited(EXIT), Event::Diagnosed(FailureCause::Unhealthy), Event::CleanedUp]);
    let effects = run(&mut life, vec![Event::Deadline]);
    let told = |effect: &Effect| {
        matches!(effect, Effect::Publish(EngineState::Starting(Starting { previous_failure: Some(_), .. })))
    };
    assert!(has(&effects, told), "{effects:?}");
    assert!(life.outcome(Goal::Start).is_none());
    let effects =
        run(&mut life, vec![Event::Placed(Ok(())), Event::Spawned, Event::Probed(Probe::Up), Event::Exited(EXIT)]);
    assert!(words(&effects).contains(&"ready"));
    run(&mut life, vec![Event::CleanedUp]);
    let effects = run(&mut life, vec![Event::Deadline]);
    assert!(!has(&effects, told), "{effects:?}");
}

/// A bug: the reason of each start that timed out held that of the one before.
#[test]
fn after_many_failed_starts_the_last_reason_is_told_once_and_how_often() {
    let mut life = at(Phase::Loading, Some(Restart { crashes: 0, ..POLICY }));
    let mut told = String::new();
    for _ in 0..5 {
        let effects = run(&mut life, vec![Event::Deadline]);
        let cause = effects.iter().find_map(|effect| match effect {
            Effect::Fail { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        run(&mut life, vec![Event::Diagnosed(cause.expect("it failed")), Event::Exited(EXIT), Event::CleanedUp]);
        let effects = run(&mut life, vec![Event::Deadline, Event::Placed(Ok(())), Event::Spawned]);
        told = effects
            .iter()
            .rev()
            .find_map(|effect| match effect {
                Effect::Publish(state) => state.detail(),
                _ => None,
            })
            .expect("a start");
    }
    assert_eq!(told.matches("not ready within").count(), 1, "{told}");
    assert!(told.contains("it failed 5 times before, last: not ready within"), "{told}");
}
