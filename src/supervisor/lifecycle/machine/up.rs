//! An engine on its way up and while it serves.

use super::{Lifecycle, ProcessLife};
use crate::api::{FailureCause, Sleep, StartPhase, Starting, StopReason};
use crate::engines::EngineState;
use crate::engines::health::{Probe, Vitals};
use crate::supervisor::lifecycle::terms::{Effect, Level, Moment, Phase};

impl Lifecycle {
    pub(super) fn adopted(&mut self, asleep: Option<Level>, at: Moment) -> Vec<Effect> {
        if self.phase != Phase::Idle {
            return vec![];
        }
        match asleep {
            Some(level) => {
                self.enter(Phase::Asleep(level), at);
                vec![Effect::Publish(EngineState::Asleep(Sleep::of(level)))]
            }
            None => {
                self.enter(Phase::Loading, at);
                vec![self.starting_at(StartPhase::Adopted)]
            }
        }
    }

    pub(super) fn waits_for(&mut self, order: u32) -> Vec<Effect> {
        match self.phase {
            Phase::Idle => {
                vec![self.starting(Starting { waits_for: Some(order), ..Starting::at(StartPhase::Waiting) })]
            }
            _ => vec![],
        }
    }

    pub(super) fn start(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Idle | Phase::BackingOff | Phase::Failed | Phase::Stopped => self.begin(at),
            _ => vec![],
        }
    }

    /// Nothing runs: a start begins.
    pub(super) fn begin(&mut self, at: Moment) -> Vec<Effect> {
        self.process = ProcessLife::default();
        self.enter(Phase::Placing, at);
        vec![self.starting_at(StartPhase::Spawning), Effect::Place]
    }

    pub(super) fn placed(&mut self, result: Result<(), String>, at: Moment) -> Vec<Effect> {
        match (&self.phase, result) {
            (Phase::Placing, Ok(())) => {
                self.enter(Phase::Spawning, at);
                vec![Effect::Spawn]
            }
            (Phase::Placing, Err(why)) => self.not_started(FailureCause::NoGpus { why }, at),
            _ => vec![],
        }
    }

    pub(super) fn spawned(&mut self, at: Moment) -> Vec<Effect> {
        if self.phase != Phase::Spawning {
            return vec![];
        }
        self.process.started = Some(at.now);
        self.enter(Phase::Loading, at);
        vec![self.starting_at(StartPhase::Launched)]
    }

    pub(super) fn spawn_failed(&mut self, why: String, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Spawning => self.not_started(FailureCause::NotStarted { why }, at),
            _ => vec![],
        }
    }

    fn not_started(&mut self, cause: FailureCause, at: Moment) -> Vec<Effect> {
        let fail = self.failure(cause, at);
        self.enter(if self.pause.is_some() { Phase::BackingOff } else { Phase::Failed }, at);
        vec![fail]
    }

    pub(super) fn progressed(&mut self, reached: Starting) -> Vec<Effect> {
        if self.phase != Phase::Loading {
            return vec![];
        }
        self.process.reached = Some(reached.clone());
        vec![self.starting(reached)]
    }

    pub(super) fn probed(&mut self, probe: Probe, at: Moment) -> Vec<Effect> {
        match (&self.phase, probe) {
            // While it loads, not answering is normal: only the deadline or its end is a failure.
            (Phase::Loading, Probe::Down(problem)) => {
                vec![self.starting(Starting { problem: Some(problem), ..Starting::at(StartPhase::Launched) })]
            }
            (Phase::Serving(_), Probe::Stalled(stall)) => self.fail(FailureCause::Stalled(stall), at),
            (Phase::Loading, probe) => self.observe(Vitals::NEW, probe, at),
            (&Phase::Serving(before), probe) => self.observe(before, probe, at),
            _ => vec![],
        }
    }

    /// Takes a probe into account. An engine that went down has a while to come up again.
    fn observe(&mut self, before: Vitals, probe: Probe, at: Moment) -> Vec<Effect> {
        let (vitals, said) = before.observe(probe, self.settings.thresholds);
        let (was_up, is_up) = (is_up(before), is_up(vitals));
        match (&self.phase, vitals) {
            // The time that it may take to end begins when it closes its port.
            (Phase::Serving(Vitals::Down { closed: false, .. }), Vitals::Down { closed: true, .. }) => {
                self.enter(Phase::Serving(vitals), at);
            }
            (Phase::Serving(Vitals::Down { .. }), Vitals::Down { .. }) => self.phase = Phase::Serving(vitals),
            _ => self.enter(Phase::Serving(vitals), at),
        }
        let mut effects: Vec<Effect> = said.map(Effect::Publish).into_iter().collect();
        if is_up && !was_up {
            effects.extend(self.is_up_again(at));
        }
        effects
    }

    fn is_up_again(&mut self, at: Moment) -> Vec<Effect> {
        if let Some(crashes) = &mut self.crashes {
            crashes.ready(at.now);
        }
        (self.last_failure, self.failures, self.process.reached) = (None, 0, None);
        let first = !std::mem::replace(&mut self.process.served, true);
        let took = self.process.started.map(|started| at.now.saturating_duration_since(started));
        let first = first.then_some(Effect::FirstReady(took));
        first.into_iter().chain([Effect::RecordServing]).collect()
    }

    pub(super) fn sleep(&mut self, level: Level, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Serving(_) => {
                self.enter(Phase::DrainingToSleep(level), at);
                vec![Effect::Publish(EngineState::Stopping { reason: StopReason::Sleep })]
            }
            _ => vec![],
        }
    }

    pub(super) fn slept(&mut self, result: Result<Sleep, String>, at: Moment) -> Vec<Effect> {
        match (&self.phase, result) {
            (&Phase::FallingAsleep(level), Ok(sleep)) => {
                self.enter(Phase::Asleep(level), at);
                vec![Effect::Publish(EngineState::Asleep(sleep)), Effect::RecordAsleep(level)]
            }
            // It still serves, then, or shows that it does not.
            (Phase::FallingAsleep(_), Err(why)) => {
                self.refusal = Some(why);
                self.enter(Phase::Serving(Vitals::NEW), at);
                vec![self.starting_at(StartPhase::SleepRefused)]
            }
            _ => vec![],
        }
    }

    pub(super) fn wake(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Asleep(level) => {
                self.enter(Phase::Waking(level), at);
                vec![self.starting_at(StartPhase::Waking), Effect::Wake(level)]
            }
            // Somebody else did it: at which level, that one knows.
            Phase::Serving(Vitals::Resting) => {
                self.enter(Phase::Waking(1), at);
                vec![self.starting_at(StartPhase::Waking), Effect::Wake(1)]
            }
            _ => vec![],
        }
    }

    pub(super) fn woke(&mut self, result: Result<(), String>, at: Moment) -> Vec<Effect> {
        match (&self.phase, result) {
            (Phase::Waking(_), Ok(())) => {
                self.enter(Phase::Serving(Vitals::NEW), at);
                vec![]
            }
            (Phase::Waking(_), Err(why)) => self.fail(FailureCause::NotWoken { why }, at),
            _ => vec![],
        }
    }
}

fn is_up(vitals: Vitals) -> bool {
    matches!(vitals, Vitals::Up { .. })
}
