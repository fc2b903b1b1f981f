//! An engine on its way down: it fails, ends by itself, or is told to.

use super::Lifecycle;
use crate::api::{FailureCause, StartPhase, Starting, StopReason};
use crate::engines::EngineState;
use crate::engines::health::Vitals;
use crate::supervisor::lifecycle::terms::{Effect, End, Moment, Phase};
use crate::supervisor::process::group::Exit;

impl Lifecycle {
    pub(super) fn exited(&mut self, exit: Exit, at: Moment) -> Vec<Effect> {
        let loading = match &self.phase {
            Phase::Loading => true,
            Phase::Serving(_)
            | Phase::DrainingToSleep(_)
            | Phase::FallingAsleep(_)
            | Phase::Asleep(_)
            | Phase::Waking(_) => false,
            &Phase::Draining { end } | &Phase::Terminating { end, .. } | &Phase::Killing { end } => {
                self.enter(Phase::CleaningUp { end }, at);
                return vec![Effect::CleanUp];
            }
            Phase::Idle
            | Phase::Placing
            | Phase::Spawning
            | Phase::CleaningUp { .. }
            | Phase::BackingOff
            | Phase::Failed
            | Phase::Stopped => return vec![],
        };
        let Exit { code, signal } = exit;
        let fail = self.failure(FailureCause::Exited { code, signal, loading, diagnosis: None }, at);
        self.enter(Phase::CleaningUp { end: End::Failed }, at);
        vec![fail, Effect::CleanUp]
    }

    pub(super) fn cleaned_up(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::CleaningUp { end } => {
                self.process.reached = None;
                self.ended(end, at)
            }
            _ => vec![],
        }
    }

    /// Ends a process that failed.
    pub(super) fn fail(&mut self, cause: FailureCause, at: Moment) -> Vec<Effect> {
        let fail = self.failure(cause, at);
        [vec![fail], self.terminate(End::Failed, at)].concat()
    }

    pub(super) fn timed_out(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Loading => {
                let reached = self.process.reached.clone().unwrap_or_else(|| Starting::at(StartPhase::Launched));
                let (seconds, reached) = (self.settings.start_timeout.as_secs_f64(), Some(Box::new(reached)));
                self.fail(FailureCause::StartTimeout { seconds, reached, diagnosis: None }, at)
            }
            Phase::Serving(Vitals::Down { .. }) => self.fail(FailureCause::Unhealthy, at),
            Phase::DrainingToSleep(_) | Phase::Draining { .. } => self.drained(at),
            Phase::Terminating { reminded: false, end } => {
                self.enter(Phase::Terminating { reminded: true, end }, at);
                vec![Effect::Term]
            }
            Phase::Terminating { reminded: true, end } => {
                self.enter(Phase::Killing { end }, at);
                vec![Effect::Kill]
            }
            Phase::Killing { end } => {
                self.enter(Phase::CleaningUp { end }, at);
                vec![Effect::Abandon]
            }
            Phase::BackingOff => self.begin(at),
            Phase::Idle
            | Phase::Placing
            | Phase::Spawning
            | Phase::Serving(_)
            | Phase::FallingAsleep(_)
            | Phase::Asleep(_)
            | Phase::Waking(_)
            | Phase::CleaningUp { .. }
            | Phase::Failed
            | Phase::Stopped => vec![],
        }
    }

    pub(super) fn restart(&mut self, at: Moment) -> Vec<Effect> {
        match (&self.phase, self.phase.end()) {
            (Phase::Idle | Phase::BackingOff | Phase::Failed | Phase::Stopped, _) => self.begin(at),
            (_, Some(End::Failed)) => {
                self.end_as(End::Restart);
                vec![]
            }
            _ => self.drain(End::Restart, at),
        }
    }

    pub(super) fn stop(&mut self, at: Moment) -> Vec<Effect> {
        let stopping = Effect::Publish(EngineState::Stopping { reason: self.dismissed.unwrap_or(StopReason::Stop) });
        match (&self.phase, self.phase.end()) {
            (Phase::Idle | Phase::Placing | Phase::BackingOff | Phase::Failed, _) => self.ended(End::Stopped, at),
            (Phase::Draining { .. }, Some(End::Restart)) => {
                // The time that attempts may take begins anew.
                self.enter(Phase::Draining { end: End::Stopped }, at);
                vec![stopping]
            }
            (_, Some(End::Failed | End::Restart)) => {
                self.end_as(End::Stopped);
                vec![stopping]
            }
            _ => self.drain(End::Stopped, at),
        }
    }

    /// What it is about to end as is another thing now.
    fn end_as(&mut self, now: End) {
        match &mut self.phase {
            Phase::Draining { end }
            | Phase::Terminating { end, .. }
            | Phase::Killing { end }
            | Phase::CleaningUp { end } => *end = now,
            _ => {}
        }
    }

    /// Takes requests no more, and ends when those under way are done.
    fn drain(&mut self, end: End, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Loading
            | Phase::Serving(_)
            | Phase::DrainingToSleep(_)
            | Phase::FallingAsleep(_)
            | Phase::Asleep(_)
            | Phase::Waking(_) => {
                let reason =
                    if end == End::Restart { StopReason::Restart } else { self.dismissed.unwrap_or(StopReason::Stop) };
                self.enter(Phase::Draining { end }, at);
                vec![Effect::Publish(EngineState::Stopping { reason })]
            }
            _ => vec![],
        }
    }

    pub(super) fn drained(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Draining { end } => self.terminate(end, at),
            Phase::DrainingToSleep(level) => {
                self.enter(Phase::FallingAsleep(level), at);
                vec![Effect::Sleep(level)]
            }
            _ => vec![],
        }
    }

    /// Ends by force what was asked to end.
    pub(super) fn hurry(&mut self, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Draining { end } | Phase::Terminating { end, .. } => {
                self.enter(Phase::Killing { end }, at);
                vec![Effect::Kill]
            }
            _ => vec![],
        }
    }

    fn terminate(&mut self, end: End, at: Moment) -> Vec<Effect> {
        self.enter(Phase::Terminating { reminded: false, end }, at);
        vec![Effect::Term]
    }
}
