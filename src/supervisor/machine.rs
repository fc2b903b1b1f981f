//! The life of one engine of ours as a pure function: (phase, event) → (phase, effects).

use super::vitals::{Probe, Thresholds, Vitals};
use crate::engines::State;

/// Where in its life an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing runs.
    Idle,
    /// Its process is being made.
    Spawning,
    /// The process runs and never was ready.
    Loading,
    /// The process runs and was ready.
    Serving(Vitals),
    /// Asked to stop; attempts are still under way.
    Draining,
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
    /// Nothing runs, and not because it was asked to stop.
    Failed,
    /// Nothing runs, because it was asked to stop.
    Stopped,
}

/// What an engine is once its process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was ended because it failed.
    Failed,
    /// It was asked to stop.
    Stopped,
}

/// What happens to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It is wanted.
    Start,
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
    /// It is wanted no more.
    Stop,
    /// No attempt is under way on it.
    Drained,
}

/// How a process ended; neither when the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    /// Its exit code.
    pub(super) code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Make the process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn,
    /// Say what the engine is doing.
    Publish(State),
    /// Say that it failed, with the last lines of its log.
    Fail(Cause),
    /// Raise [`Event::Deadline`] after this time, instead of any asked for before.
    Wait(Wait),
    /// Raise no deadline.
    NoWait,
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
pub(super) enum Cause {
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
}

/// Times to wait; how long each is, is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// From spawn to ready.
    Ready,
    /// For the attempts under way.
    Drain,
    /// After the first SIGTERM.
    Term,
    /// After the second SIGTERM, to the end of the time a stop may take.
    TermAgain,
    /// After SIGKILL.
    Kill,
}

impl Phase {
    /// Whether to look at the engine now and then.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self, Self::Loading | Self::Serving(_))
    }

    /// Whether it is stopping or stopped because it was asked to.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(
            self,
            Self::Draining
                | Self::Terminating { end: End::Stopped, .. }
                | Self::Killing { end: End::Stopped }
                | Self::Stopped
        )
    }
}

/// What `event` makes of `phase`. An event that means nothing in a phase changes nothing; [`Event::Stop`] in
/// [`Phase::Spawning`] is one of them: it is raised again as long as the engine is not stopping.
pub(super) fn step(phase: Phase, event: Event, needed: Thresholds) -> (Phase, Vec<Effect>) {
    match event {
        Event::Start => start(phase),
        Event::Spawned => spawned(phase),
        Event::SpawnFailed(why) => spawn_failed(phase, why),
        Event::Probed(probe) => probed(phase, probe, needed),
        Event::Exited(exit) => exited(phase, exit),
        Event::Deadline => deadline(phase),
        Event::Stop => stop(phase),
        Event::Drained => drained(phase),
    }
}

fn start(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Idle | Phase::Failed | Phase::Stopped => (
            Phase::Spawning,
            vec![Effect::Publish(State::Starting("the process is being started".into())), Effect::Spawn],
        ),
        phase => (phase, vec![]),
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
        Phase::Spawning => (Phase::Failed, vec![Effect::Fail(Cause::Spawn(why))]),
        phase => (phase, vec![]),
    }
}

fn probed(phase: Phase, probe: Probe, needed: Thresholds) -> (Phase, Vec<Effect>) {
    match (phase, probe) {
        // While it loads, not answering is normal: only the deadline or its end is a failure.
        (Phase::Loading, Probe::Down(why)) => {
            (Phase::Loading, vec![Effect::Publish(State::Starting(format!("the process runs; not ready yet: {why}")))])
        }
        (Phase::Loading, probe) => {
            let (vitals, said) = Vitals::NEW.observe(probe, needed);
            let effects = said.map(Effect::Publish).into_iter().chain([Effect::NoWait]);
            (Phase::Serving(vitals), effects.collect())
        }
        (Phase::Serving(vitals), probe) => {
            let (vitals, said) = vitals.observe(probe, needed);
            (Phase::Serving(vitals), said.map(Effect::Publish).into_iter().collect())
        }
        (phase, _) => (phase, vec![]),
    }
}

fn exited(phase: Phase, exit: Exit) -> (Phase, Vec<Effect>) {
    let died = |loading| vec![Effect::NoWait, Effect::Fail(Cause::Exited { exit, loading }), Effect::Sweep];
    match phase {
        Phase::Loading => (Phase::Failed, died(true)),
        Phase::Serving(_) => (Phase::Failed, died(false)),
        Phase::Draining | Phase::Terminating { end: End::Stopped, .. } | Phase::Killing { end: End::Stopped } => {
            (Phase::Stopped, vec![Effect::NoWait, Effect::Sweep, Effect::Publish(State::Stopped)])
        }
        Phase::Terminating { end: End::Failed, .. } | Phase::Killing { end: End::Failed } => {
            (Phase::Failed, vec![Effect::NoWait, Effect::Sweep])
        }
        phase @ (Phase::Idle | Phase::Spawning | Phase::Failed | Phase::Stopped) => (phase, vec![]),
    }
}

fn deadline(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Loading => (
            Phase::Terminating { reminded: false, end: End::Failed },
            vec![Effect::Fail(Cause::NeverReady), Effect::Term, Effect::Wait(Wait::Term)],
        ),
        Phase::Draining => terminate(),
        Phase::Terminating { reminded: false, end } => {
            (Phase::Terminating { reminded: true, end }, vec![Effect::Term, Effect::Wait(Wait::TermAgain)])
        }
        Phase::Terminating { reminded: true, end } => {
            (Phase::Killing { end }, vec![Effect::Kill, Effect::Wait(Wait::Kill)])
        }
        Phase::Killing { end: End::Failed } => (Phase::Failed, vec![Effect::NoWait, Effect::Abandon]),
        Phase::Killing { end: End::Stopped } => {
            (Phase::Stopped, vec![Effect::NoWait, Effect::Abandon, Effect::Publish(State::Stopped)])
        }
        phase @ (Phase::Idle | Phase::Spawning | Phase::Serving(_) | Phase::Failed | Phase::Stopped) => (phase, vec![]),
    }
}

fn stop(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Idle | Phase::Failed => (Phase::Stopped, vec![Effect::Publish(State::Stopped)]),
        Phase::Loading | Phase::Serving(_) => {
            (Phase::Draining, vec![Effect::Publish(State::Stopping), Effect::Wait(Wait::Drain)])
        }
        Phase::Terminating { reminded, end: End::Failed } => {
            (Phase::Terminating { reminded, end: End::Stopped }, vec![Effect::Publish(State::Stopping)])
        }
        Phase::Killing { end: End::Failed } => {
            (Phase::Killing { end: End::Stopped }, vec![Effect::Publish(State::Stopping)])
        }
        phase @ (Phase::Spawning
        | Phase::Draining
        | Phase::Terminating { end: End::Stopped, .. }
        | Phase::Killing { end: End::Stopped }
        | Phase::Stopped) => (phase, vec![]),
    }
}

fn drained(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Draining => terminate(),
        phase => (phase, vec![]),
    }
}

fn terminate() -> (Phase, Vec<Effect>) {
    (Phase::Terminating { reminded: false, end: End::Stopped }, vec![Effect::Term, Effect::Wait(Wait::Term)])
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
            Phase::Draining,
            Phase::Failed,
            Phase::Stopped,
        ];
        for end in [End::Failed, End::Stopped] {
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
        ]
    }

    fn has_process(phase: &Phase) -> bool {
        matches!(
            phase,
            Phase::Loading | Phase::Serving(_) | Phase::Draining | Phase::Terminating { .. } | Phase::Killing { .. }
        )
    }

    fn waits(phase: &Phase) -> bool {
        matches!(phase, Phase::Loading | Phase::Draining | Phase::Terminating { .. } | Phase::Killing { .. })
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
                assert_eq!(has_process(&phase) && !has_process(&next), lets_go, "no process is left behind: {at}");
                if waits(&next) && std::mem::discriminant(&phase) != std::mem::discriminant(&next) {
                    assert!(effects.iter().any(|e| matches!(e, Effect::Wait(_))), "every wait has an end: {at}");
                }
                if waits(&phase) && !waits(&next) {
                    assert!(effects.contains(&Effect::NoWait), "no deadline outlives its phase: {at}");
                }
                if effects.contains(&Effect::Publish(State::Ready)) {
                    assert!(matches!(next, Phase::Serving(Vitals::Up { .. })), "ready only while up: {at}");
                }
                if phase.is_stopping() && event != Event::Start {
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
            assert_eq!(effects, [Effect::NoWait, fail, Effect::Sweep]);
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
        assert_eq!((phase, effects), (Phase::Failed, vec![Effect::NoWait, Effect::Sweep]));
    }

    #[test]
    fn a_failed_engine_can_be_started_again() {
        let (phase, effects) = step(Phase::Failed, Event::Start, NEEDED);
        assert_eq!(phase, Phase::Spawning);
        assert!(effects.contains(&Effect::Spawn));
    }
}
