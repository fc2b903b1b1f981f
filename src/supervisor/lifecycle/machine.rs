//! The life of one engine of ours as a pure function: (phase, event) → (phase, effects).

mod terms;

pub(crate) use terms::{Cause, Effect, End, Event, Level, Phase, SpawnError, Wait};

use crate::api::{Sleep, StartPhase, Starting, StopReason};
use crate::engines::EngineState;
use crate::engines::health::{Probe, Thresholds, Vitals};
use crate::supervisor::process::group::Exit;

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
    vec![Effect::Publish(EngineState::starting(StartPhase::Spawning)), Effect::Spawn]
}

fn adopted(phase: Phase, asleep: Option<Level>) -> (Phase, Vec<Effect>) {
    match (phase, asleep) {
        (Phase::Idle, Some(level)) => {
            (Phase::Asleep(level), vec![Effect::Publish(EngineState::Asleep(Sleep::of(level)))])
        }
        (Phase::Idle, None) => {
            let said = EngineState::starting(StartPhase::Adopted);
            (Phase::Loading, vec![Effect::Publish(said), Effect::Wait(Wait::Ready)])
        }
        (phase, _) => (phase, vec![]),
    }
}

fn spawned(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Spawning => {
            let said = EngineState::starting(StartPhase::Launched);
            (Phase::Loading, vec![Effect::Publish(said), Effect::Wait(Wait::Ready)])
        }
        phase => (phase, vec![]),
    }
}

fn spawn_failed(phase: Phase, why: SpawnError) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Spawning => (Phase::Failed, vec![Effect::Fail(Cause::Spawn(why)), Effect::Judge]),
        phase => (phase, vec![]),
    }
}

fn probed(phase: Phase, probe: Probe, needed: Thresholds) -> (Phase, Vec<Effect>) {
    match (phase, probe) {
        // While it loads, not answering is normal: only the deadline or its end is a failure.
        (Phase::Loading, Probe::Down(problem)) => {
            let starting = Starting { problem: Some(problem), ..Starting::at(StartPhase::Launched) };
            (Phase::Loading, vec![Effect::Publish(EngineState::Starting(starting))])
        }
        (Phase::Serving(_), Probe::Stalled(stall)) => fail(Cause::Stalled(stall)),
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
fn changed(before: Vitals, after: Vitals, said: Option<EngineState>) -> Vec<Effect> {
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
            effects.push(Effect::Publish(EngineState::Stopped));
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
        Phase::Serving(Vitals::Down { .. }) => fail(Cause::Unhealthy),
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
            let said = EngineState::Stopping { reason: StopReason::Sleep };
            (Phase::Drowsy(level), vec![Effect::Publish(said), Effect::Wait(Wait::Drain)])
        }
        phase => (phase, vec![]),
    }
}

fn slept(phase: Phase, result: Result<Sleep, String>) -> (Phase, Vec<Effect>) {
    match (phase, result) {
        (Phase::FallingAsleep(level), Ok(nap)) => {
            (Phase::Asleep(level), vec![Effect::Publish(EngineState::Asleep(nap))])
        }
        // It still serves, then, or shows that it does not.
        (Phase::FallingAsleep(_), Err(why)) => (
            Phase::Serving(Vitals::NEW),
            vec![Effect::Note(why), Effect::Publish(EngineState::starting(StartPhase::SleepRefused))],
        ),
        (phase, _) => (phase, vec![]),
    }
}

fn wake(phase: Phase) -> (Phase, Vec<Effect>) {
    match phase {
        Phase::Asleep(level) => {
            let said = EngineState::starting(StartPhase::Waking);
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
    let stopping = || vec![Effect::Publish(EngineState::Stopping { reason: StopReason::Stop })];
    match phase {
        Phase::Idle | Phase::Failed => (Phase::Stopped, vec![Effect::Publish(EngineState::Stopped)]),
        Phase::Resting => (Phase::Stopped, vec![Effect::NoWait, Effect::Publish(EngineState::Stopped)]),
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
            let reason = if end == End::Restart { StopReason::Restart } else { StopReason::Stop };
            (
                Phase::Draining { end },
                vec![Effect::Publish(EngineState::Stopping { reason }), Effect::Wait(Wait::Drain)],
            )
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
mod tests;
