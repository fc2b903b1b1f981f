//! The life of one engine of ours as a pure function: (phase, event) → (phase, effects).

use super::vitals::{Probe, Thresholds, Vitals};
use crate::engines::{Nap, State};

/// Where in its life an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing runs, and nothing ever did.
    Idle,
    /// Its process is being made.
    Spawning,
    /// The process runs and was not ready since.
    Loading,
    /// The process runs and was ready.
    Serving(Vitals),
    /// Told to sleep; attempts are still under way.
    Drowsy(Level),
    /// It gives its GPU memory back.
    FallingAsleep(Level),
    /// It sleeps.
    Asleep(Level),
    /// It takes its GPU memory again.
    Waking(Level),
    /// Told to end; attempts are still under way.
    Draining {
        /// What it is in the end.
        end: End,
    },
    /// SIGTERM was sent.
    Terminating {
        /// It was sent a second time: vLLM swallows the first while it loads.
        reminded: bool,
        /// What it is in the end.
        end: End,
    },
    /// SIGKILL was sent.
    Killing {
        /// What it is in the end.
        end: End,
    },
    /// Nothing runs after a failure; it is started again in a moment.
    Resting,
    /// Nothing runs after a failure; it is started again when somebody says so.
    Failed,
    /// Nothing runs, because it was asked to stop.
    Stopped,
}

/// How deep an engine sleeps, as vLLM counts: at 1 its weights are kept in host memory, at 2 they are dropped.
pub(crate) type Level = u8;

/// What an engine is once its process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was ended because it failed.
    Failed,
    /// It was asked to stop.
    Stopped,
    /// It is started again at once.
    Restart,
}

/// What happens to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is wanted.
    Start,
    /// Its process exists already: an earlier supervisor left it.
    Adopted {
        /// It was put to sleep.
        asleep: Option<Level>,
    },
    /// Its process exists.
    Spawned,
    /// Its process could not be made; says why.
    SpawnFailed(String),
    /// Somebody looked at it.
    Probed(Probe),
    /// Its process ended.
    Exited(Exit),
    /// The time last asked for with [`Effect::Wait`] is over.
    Deadline,
    /// It failed, and may be started again after a rest.
    Rest,
    /// It failed too often.
    GiveUp,
    /// It is wanted anew: what runs is ended first.
    Restart,
    /// It is to sleep.
    Sleep(Level),
    /// It sleeps, or does not; says why.
    Slept(Result<Nap, String>),
    /// It is to wake.
    Wake,
    /// It is awake, or is not; says why.
    Woke(Result<(), String>),
    /// It is wanted no more.
    Stop,
    /// No attempt is under way on it.
    Drained,
}

/// How a process ended; neither when the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Make the process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn,
    /// Say what the engine is doing.
    Publish(State),
    /// Say that it failed, with the last lines of its log.
    Fail(Cause),
    /// Answer with [`Event::Rest`] or [`Event::GiveUp`].
    Judge,
    /// Raise [`Event::Deadline`] after this time, instead of any asked for before.
    Wait(Wait),
    /// Raise no deadline.
    NoWait,
    /// Have it sleep; [`Event::Slept`] follows.
    Sleep(Level),
    /// Have it wake; [`Event::Woke`] follows.
    Wake(Level),
    /// SIGTERM to the process group.
    Term,
    /// SIGKILL to the process group.
    Kill,
    /// End what is left of the process group and reap the process.
    Sweep,
    /// Give up on a process that SIGKILL does not end.
    Abandon,
}

/// Why an engine failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its process could not be made.
    Spawn(String),
    /// Its process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether it had never been ready.
        loading: bool,
    },
    /// It was not ready in time.
    NeverReady,
    /// Its health checks failed, or it made no progress, for too long; says which.
    Hung(String),
    /// It could not be woken; says why.
    NotWoken(String),
}

/// Times to wait; how long each is, is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// From spawn to ready.
    Ready,
    /// For health checks that fail.
    Recover,
    /// For the attempts under way.
    Drain,
    /// After the first SIGTERM.
    Term,
    /// After the second SIGTERM, to the end of the time a stop may take.
    TermAgain,
    /// After SIGKILL.
    Kill,
    /// Before a failed engine is started again.
    Rest,
}

impl Phase {
    /// Whether to look at the engine now and then.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self, Self::Loading | Self::Serving(_))
    }

    /// Whether it takes requests and must make progress with them.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Serving(Vitals::Up { .. }))
    }

    /// Whether attempts under way are waited for.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. } | Self::Drowsy(_))
    }

    /// Whether it is stopping or stopped because it was asked to.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(
            self,
            Self::Draining { end: End::Stopped }
                | Self::Terminating { end: End::Stopped, .. }
                | Self::Killing { end: End::Stopped }
                | Self::Stopped
        )
    }
}

/// What `event` makes of `phase`. An event that means nothing in a phase changes nothing; [`Event::Stop`] in
/// [`Phase::Spawning`] is one of them: it is raised again as long as the engine is not stopping.
pub(crate) fn step(phase: Phase, event: Event, needed: Thresholds) -> (Phase, Vec<Effect>) {
    match event {
        Event::Start => start(phase),
        Event::Adopted { asleep } => adopted(phase, asleep),
        Event::Spawned => spawned(phase),
        Event::SpawnFailed(why) => spawn_failed(phase, why),
        Event::Probed(probe) => probed(phase, probe, needed),
        Event::Exited(exit) => exited(phase, exit),
        Event::Deadline => deadline(phase),
        Event::Rest => rest(phase),
        Event::GiveUp => (phase, vec![]),
        Event::Restart => restart(phase),
        Event::Sleep(level) => sleep(phase, level),
        Event::Slept(result) => slept(phase, result),
        Event::Wake => wake(phase),
        Event::Woke(result) => woke(phase, result),
        Event::Stop => stop(phase),
        Event::Drained => drained(phase),
    }
}

fn start(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Resting => (Phase::Spawning, [vec![Effect::NoWait], spawn()].concat()),
        Phase::Idle | Phase::Failed | Phase::Stopped => (Phase::Spawning, spawn()),
        phase => (phase, vec![]),
    }
}

fn spawn() -> Vec<Effect> {
    vec![Effect::Publish(State::Starting("the process is being started".into())), Effect::Spawn]
}

fn adopted(phase: Phase, asleep: Option<Level>) -> (Phase, Vec<Effect>) {
    match (phase, asleep) {
        (Phase::Idle, Some(level)) => (Phase::Asleep(level), vec![Effect::Publish(State::Asleep(Nap::of(level)))]),
        (Phase::Idle, None) => {
            let said = State::Starting("the process was found running; it has not answered yet".into());
            (Phase::Loading, vec![Effect::Publish(said), Effect::Wait(Wait::Ready)])
        }
        (phase, _) => (phase, vec![]),
    }
}

fn spawned(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Spawning => {
            let said = State::Starting("the process runs; it has not answered yet".into());
            (Phase::Loading, vec![Effect::Publish(said), Effect::Wait(Wait::Ready)])
        }
        phase => (phase, vec![]),
    }
}

fn spawn_failed(phase: Phase, why: String) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Spawning => (Phase::Failed, vec![Effect::Fail(Cause::Spawn(why)), Effect::Judge]),
        phase => (phase, vec![]),
    }
}

fn probed(phase: Phase, probe: Probe, needed: Thresholds) -> (Phase, Vec<Effect>) {
    match (phase, probe) {
        // While it loads, not answering is normal: only the deadline or its end is a failure.
        (Phase::Loading, Probe::Down(why)) => {
            (Phase::Loading, vec![Effect::Publish(State::Starting(format!("the process runs; not ready yet: {why}")))])
        }
        (Phase::Serving(_), Probe::Stuck(why)) => fail(Cause::Hung(why)),
        (Phase::Loading, probe) => {
            let (vitals, said) = Vitals::NEW.observe(probe, needed);
            (Phase::Serving(vitals), [vec![Effect::NoWait], changed(Vitals::NEW, vitals, said)].concat())
        }
        (Phase::Serving(before), probe) => {
            let (vitals, said) = before.observe(probe, needed);
            (Phase::Serving(vitals), changed(before, vitals, said))
        }
        (phase, _) => (phase, vec![]),
    }
}

/// What to do about a change of mind: an engine that went down has a while to come up again.
fn changed(before: Vitals, after: Vitals, said: Option<State>) -> Vec<Effect> {
    let is_down = |vitals| matches!(vitals, Vitals::Down { .. });
    let wait = match (is_down(before), is_down(after)) {
        (false, true) => Some(Effect::Wait(Wait::Recover)),
        (true, false) => Some(Effect::NoWait),
        _ => None,
    };
    said.map(Effect::Publish).into_iter().chain(wait).collect()
}

fn exited(phase: Phase, exit: Exit) -> (Phase, Vec<Effect>) {
    let died = |loading| {
        (
            Phase::Failed,
            vec![Effect::NoWait, Effect::Fail(Cause::Exited { exit, loading }), Effect::Sweep, Effect::Judge],
        )
    };
    match phase {
        Phase::Loading => died(true),
        Phase::Serving(_) | Phase::Drowsy(_) | Phase::FallingAsleep(_) | Phase::Asleep(_) | Phase::Waking(_) => {
            died(false)
        }
        Phase::Draining { end } | Phase::Terminating { end, .. } | Phase::Killing { end } => {
            gone(end, vec![Effect::NoWait, Effect::Sweep])
        }
        phase @ (Phase::Idle | Phase::Spawning | Phase::Resting | Phase::Failed | Phase::Stopped) => (phase, vec![]),
    }
}

/// The process is gone, as it was meant to be.
fn gone(end: End, mut effects: Vec<Effect>) -> (Phase, Vec<Effect>) {
    match end {
        End::Failed => {
            effects.push(Effect::Judge);
            (Phase::Failed, effects)
        }
        End::Stopped => {
            effects.push(Effect::Publish(State::Stopped));
            (Phase::Stopped, effects)
        }
        End::Restart => {
            effects.extend(spawn());
            (Phase::Spawning, effects)
        }
    }
}

fn deadline(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Loading => fail(Cause::NeverReady),
        Phase::Serving(Vitals::Down { .. }) => fail(Cause::Hung("its health checks kept failing".into())),
        Phase::Drowsy(level) => (Phase::FallingAsleep(level), vec![Effect::Sleep(level)]),
        Phase::Draining { end } => terminate(end),
        Phase::Terminating { reminded: false, end } => {
            (Phase::Terminating { reminded: true, end }, vec![Effect::Term, Effect::Wait(Wait::TermAgain)])
        }
        Phase::Terminating { reminded: true, end } => {
            (Phase::Killing { end }, vec![Effect::Kill, Effect::Wait(Wait::Kill)])
        }
        Phase::Killing { end } => gone(end, vec![Effect::NoWait, Effect::Abandon]),
        Phase::Resting => start(Phase::Failed),
        phase @ (Phase::Idle
        | Phase::Spawning
        | Phase::Serving(_)
        | Phase::FallingAsleep(_)
        | Phase::Asleep(_)
        | Phase::Waking(_)
        | Phase::Failed
        | Phase::Stopped) => (phase, vec![]),
    }
}

/// Ends a process that failed.
fn fail(cause: Cause) -> (Phase, Vec<Effect>) {
    let effects = vec![Effect::Fail(cause), Effect::Term, Effect::Wait(Wait::Term)];
    (Phase::Terminating { reminded: false, end: End::Failed }, effects)
}

fn rest(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Failed => (Phase::Resting, vec![Effect::Wait(Wait::Rest)]),
        phase => (phase, vec![]),
    }
}

fn restart(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Idle | Phase::Resting | Phase::Failed | Phase::Stopped => start(phase),
        Phase::Terminating { reminded, end: End::Failed } => {
            (Phase::Terminating { reminded, end: End::Restart }, vec![])
        }
        Phase::Killing { end: End::Failed } => (Phase::Killing { end: End::Restart }, vec![]),
        phase => drain(phase, End::Restart),
    }
}

fn sleep(phase: Phase, level: Level) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Serving(_) => {
            let said = State::Stopping("it is about to sleep and finishes what it has".into());
            (Phase::Drowsy(level), vec![Effect::Publish(said), Effect::Wait(Wait::Drain)])
        }
        phase => (phase, vec![]),
    }
}

fn slept(phase: Phase, result: Result<Nap, String>) -> (Phase, Vec<Effect>) {
    match (phase, result) {
        (Phase::FallingAsleep(level), Ok(nap)) => (Phase::Asleep(level), vec![Effect::Publish(State::Asleep(nap))]),
        // It still serves, then, or shows that it does not.
        (Phase::FallingAsleep(_), Err(why)) => {
            (Phase::Serving(Vitals::NEW), vec![Effect::Publish(State::Starting(format!("it did not sleep: {why}")))])
        }
        (phase, _) => (phase, vec![]),
    }
}

fn wake(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Asleep(level) => {
            let said = State::Starting("it wakes up".into());
            (Phase::Waking(level), vec![Effect::Publish(said), Effect::Wake(level)])
        }
        phase => (phase, vec![]),
    }
}

fn woke(phase: Phase, result: Result<(), String>) -> (Phase, Vec<Effect>) {
    match (phase, result) {
        (Phase::Waking(_), Ok(())) => (Phase::Serving(Vitals::NEW), vec![]),
        (Phase::Waking(_), Err(why)) => fail(Cause::NotWoken(why)),
        (phase, _) => (phase, vec![]),
    }
}

fn stop(phase: Phase) -> (Phase, Vec<Effect>) {
    let stopping = || vec![Effect::Publish(State::Stopping("it was asked to stop".into()))];
    match phase {
        Phase::Idle | Phase::Failed => (Phase::Stopped, vec![Effect::Publish(State::Stopped)]),
        Phase::Resting => (Phase::Stopped, vec![Effect::NoWait, Effect::Publish(State::Stopped)]),
        Phase::Draining { end: End::Restart } => {
            // The time that attempts may take is another one now.
            (Phase::Draining { end: End::Stopped }, [stopping(), vec![Effect::Wait(Wait::Drain)]].concat())
        }
        Phase::Terminating { reminded, end: End::Failed | End::Restart } => {
            (Phase::Terminating { reminded, end: End::Stopped }, stopping())
        }
        Phase::Killing { end: End::Failed | End::Restart } => (Phase::Killing { end: End::Stopped }, stopping()),
        phase => drain(phase, End::Stopped),
    }
}

/// Takes requests no more, and ends when those under way are done.
fn drain(phase: Phase, end: End) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Loading
        | Phase::Serving(_)
        | Phase::Drowsy(_)
        | Phase::FallingAsleep(_)
        | Phase::Asleep(_)
        | Phase::Waking(_) => {
            let why = if end == End::Restart { "it is about to be restarted" } else { "it was asked to stop" };
            (Phase::Draining { end }, vec![Effect::Publish(State::Stopping(why.into())), Effect::Wait(Wait::Drain)])
        }
        phase => (phase, vec![]),
    }
}

fn drained(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Draining { end } => terminate(end),
        Phase::Drowsy(level) => (Phase::FallingAsleep(level), vec![Effect::NoWait, Effect::Sleep(level)]),
        phase => (phase, vec![]),
    }
}

fn terminate(end: End) -> (Phase, Vec<Effect>) {
    (Phase::Terminating { reminded: false, end }, vec![Effect::Term, Effect::Wait(Wait::Term)])
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Event::SpawnFailed("no".into()),
            Event::Probed(Probe::Up),
            Event::Probed(Probe::Down("refused".into())),
            Event::Probed(Probe::Misfit("serves x".into())),
            Event::Exited(EXIT),
            Event::Deadline,
            Event::Stop,
            Event::Drained,
            Event::Adopted { asleep: None },
            Event::Adopted { asleep: Some(1) },
            Event::Probed(Probe::Stuck("no token for 10m".into())),
            Event::Rest,
            Event::GiveUp,
            Event::Restart,
            Event::Sleep(1),
            Event::Slept(Ok(Nap::of(1))),
            Event::Slept(Err("404".into())),
            Event::Wake,
            Event::Woke(Ok(())),
            Event::Woke(Err("500".into())),
        ]
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
                if effects.contains(&Effect::Publish(State::Ready)) {
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
                Event::Probed(Probe::Down("connection refused".into())),
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
        let (phase, effects) = run(phase, vec![Event::Drained, Event::Slept(Ok(Nap::of(2))), Event::Probed(Probe::Up)]);
        assert_eq!(phase, Phase::Asleep(2));
        assert!(effects.contains(&Effect::Sleep(2)) && !effects.contains(&Effect::Publish(State::Ready)));
        let (phase, effects) = run(phase, vec![Event::Wake, Event::Woke(Ok(())), Event::Probed(Probe::Up)]);
        assert_eq!(phase, up);
        assert_eq!(effects.last(), Some(&Effect::Publish(State::Ready)));
    }

    #[test]
    fn an_engine_that_stays_unhealthy_is_ended_and_one_that_recovers_is_not() {
        let up = Phase::Serving(Vitals::Up { failures: 0 });
        let down = vec![Event::Probed(Probe::Down("503".into())); 2];
        let (phase, effects) = run(up, down);
        assert_eq!(effects.last(), Some(&Effect::Wait(Wait::Recover)));
        let (better, effects) = run(phase.clone(), vec![Event::Probed(Probe::Up)]);
        assert!(matches!(better, Phase::Serving(Vitals::Up { .. })) && effects.contains(&Effect::NoWait));
        let (worse, effects) = run(phase, vec![Event::Deadline]);
        assert_eq!(worse, Phase::Terminating { reminded: false, end: End::Failed });
        assert!(matches!(effects[0], Effect::Fail(Cause::Hung(_))));
    }
}
