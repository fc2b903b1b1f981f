//! The life of one engine that runs here, as a pure function: (state, event, time) → (state, effects).
//!
//! All decisions about an engine are made here: what an event means in a phase (`up`: on its way up and while it serves,
//! `down`: on its way down), how long each phase may take, whether and when a failed engine is started again.

mod down;
mod up;

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Crashes, Verdict};
use super::orders::{self, Done, Goal};
use super::terms::{Effect, End, Event, Moment, Phase, Settings, Stage};
use crate::api::{FailureCause, NextStep, StartPhase, Starting, StopReason};
use crate::engines::EngineState;
use crate::engines::health::Vitals;
use crate::supervisor::terms::ControlError;

/// How long SIGKILL may take; a process that the kernel holds on to (a driver that hangs) is then given up.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// After how long an engine that never was ready is told again to end: vLLM loses a SIGTERM that comes while it loads.
const REMIND_LOADING: Duration = Duration::from_secs(1);

/// How long an engine that made no progress may take to end after SIGTERM.
const END_STALLED: Duration = Duration::from_secs(3);

/// One engine's life so far.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    settings: Settings,
    phase: Phase,
    /// Since when its phase lasts, or the part of it that is timed.
    since: Instant,
    process: ProcessLife,
    crashes: Option<Crashes>,
    /// The pause before the next start after a failure; `None`: it is not started again.
    pause: Option<Duration>,
    /// Why it failed last, until it is ready again.
    last_failure: Option<FailureCause>,
    /// How often it failed since then.
    failures: u32,
    /// What went wrong with an order that was not carried out.
    refusal: Option<String>,
    /// Why it is to end for good, if it is.
    dismissed: Option<StopReason>,
    /// Whether it is to sleep only when attempts under way have ended, however long that takes.
    rests: bool,
    /// Until when attempts under way may go on, once the gateway ends.
    drain_until: Option<Instant>,
}

/// What happened to its process.
#[derive(Clone, Debug, Default)]
struct ProcessLife {
    /// When it was started; `None`: an earlier gateway did, or there is none.
    started: Option<Instant>,
    /// Whether it was ever ready.
    served: bool,
    /// Whether it is ended because it made no progress.
    stalled: bool,
    /// How far its log says that it has loaded.
    reached: Option<Starting>,
}

impl Lifecycle {
    /// An engine of which nothing runs.
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            phase: Phase::Idle,
            since: now,
            process: ProcessLife::default(),
            crashes: settings.restart.map(Crashes::new),
            pause: None,
            last_failure: None,
            failures: 0,
            refusal: None,
            dismissed: None,
            rests: false,
            drain_until: None,
            settings,
        }
    }

    /// What `event` changes, and what is to be done. An event that means nothing in a phase changes nothing.
    pub(crate) fn step(&mut self, event: Event, at: Moment) -> Vec<Effect> {
        match event {
            Event::Adopted { asleep } => self.adopted(asleep, at),
            Event::WaitsFor(order) => self.waits_for(order),
            Event::Start => self.start(at),
            Event::Placed(result) => self.placed(result, at),
            Event::Spawned => self.spawned(at),
            Event::SpawnFailed(why) => self.spawn_failed(why, at),
            Event::Progressed(reached) => self.progressed(reached),
            Event::Probed(probe) => self.probed(probe, at),
            Event::Exited(exit) => self.exited(exit, at),
            Event::CleanedUp => self.cleaned_up(at),
            Event::Diagnosed(cause) => {
                self.last_failure = Some(cause);
                self.failures = self.failures.saturating_add(1);
                vec![]
            }
            Event::Deadline => self.timed_out(at),
            Event::Restart => self.restart(at),
            Event::Sleep(level) => self.sleep(level, at),
            Event::Slept(result) => self.slept(result, at),
            Event::Wake => self.wake(at),
            Event::Woke(result) => self.woke(result, at),
            Event::Stop => self.stop(at),
            Event::Dismiss(reason) => {
                self.dismissed = Some(reason);
                self.stop(at)
            }
            Event::Shutdown(drain_until) => {
                (self.dismissed, self.drain_until) = (Some(StopReason::GatewayExit), Some(drain_until));
                self.stop(at)
            }
            Event::Drained => self.drained(at),
            Event::Hurry => self.hurry(at),
        }
    }

    /// What an order has done at once.
    ///
    /// # Errors
    /// Why it makes no sense as things are.
    pub(crate) fn order(&mut self, goal: Goal, at: Moment) -> Result<Vec<Effect>, ControlError> {
        let event = orders::answer(goal, &self.phase, self.settings.may_sleep).map_err(ControlError::Refused)?;
        if matches!(goal, Goal::Start | Goal::Restart)
            && let Some(crashes) = &mut self.crashes
        {
            crashes.forget();
        }
        self.refusal = None;
        if matches!(event, Some(Event::Sleep(_))) {
            self.rests = matches!(goal, Goal::Rest(_));
        }
        Ok(event.map_or_else(Vec::new, |event| self.step(event, at)))
    }

    /// Whether an order is carried out, or never will be; `None`: it may still be.
    pub(crate) fn outcome(&self, goal: Goal) -> Option<Done> {
        let outcome = orders::outcome(goal, &self.phase)?;
        let told = || self.last_failure.as_ref().map(ToString::to_string).or_else(|| self.refusal.clone());
        Some(outcome.map_err(|short| ControlError::Failed(told().unwrap_or_else(|| short.to_owned()))))
    }

    /// Takes other settings, for what happens from now on and for what is waited for now.
    pub(crate) fn retune(&mut self, settings: Settings) {
        match (&mut self.crashes, settings.restart) {
            (Some(crashes), Some(policy)) => crashes.set_policy(policy),
            (crashes, policy) => *crashes = policy.map(Crashes::new),
        }
        self.settings = settings;
    }

    /// Where it is.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The same for the fleet.
    pub(crate) fn stage(&self) -> Stage {
        self.phase.stage()
    }

    /// Whether it was told to end for good and is about to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.dismissed.is_some() && self.phase.is_stopping()
    }

    /// Whether it has ended for good.
    pub(crate) fn is_over(&self) -> bool {
        self.dismissed.is_some() && self.phase == Phase::Stopped
    }

    /// When [`Event::Deadline`] is due; `None`: what it waits for may take for ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let settings = &self.settings;
        let time = match self.phase {
            Phase::Loading => settings.start_timeout,
            // It is about to end, as after SIGTERM, and never opens its port again.
            Phase::Serving(Vitals::Down { closed: true, .. }) => settings.stop_timeout.min(settings.stall_timeout?),
            Phase::Serving(Vitals::Down { .. }) => settings.stall_timeout?,
            Phase::DrainingToSleep(_) if self.rests && self.drain_until.is_none() => return None,
            Phase::DrainingToSleep(_) | Phase::Draining { .. } => match (self.drain_until, self.dismissed) {
                (Some(until), _) => return Some(until),
                // Nobody is in a hurry: a reload, a roll or a smaller number of engines cuts no request.
                (None, Some(_)) => return None,
                (None, None) => settings.drain,
            },
            Phase::Terminating { reminded: false, .. } => self.first_term(),
            Phase::Terminating { reminded: true, .. } => self.stop_timeout().saturating_sub(self.first_term()),
            Phase::Killing { .. } => KILL_WITHIN,
            Phase::BackingOff => self.pause?,
            _ => return None,
        };
        self.since.checked_add(time)
    }

    /// From SIGTERM to SIGKILL. What made no progress for so long is not about to: its callers need not wait for more.
    fn stop_timeout(&self) -> Duration {
        let all = self.settings.stop_timeout;
        if self.process.stalled { all.min(END_STALLED) } else { all }
    }

    /// From the first SIGTERM to the second.
    fn first_term(&self) -> Duration {
        let third = self.stop_timeout() / 3;
        if self.process.served { third } else { third.min(REMIND_LOADING) }
    }

    fn enter(&mut self, phase: Phase, at: Moment) {
        (self.phase, self.since) = (phase, at.now);
    }

    /// Says that it failed, and decides whether and when it is started again.
    fn failure(&mut self, cause: FailureCause, at: Moment) -> Effect {
        self.process.stalled = matches!(cause, FailureCause::Stalled(_) | FailureCause::Unhealthy);
        let verdict = self.crashes.as_mut().map(|crashes| match crashes.crashed(at.now, at.chance) {
            // Nothing was tried: sooner or later there is room.
            Verdict::Loop { .. } if matches!(cause, FailureCause::NoGpus { .. }) => crashes.keep_trying(),
            verdict => verdict,
        });
        let next = match verdict {
            Some(Verdict::After(pause)) => NextStep::Restart { seconds: pause.as_secs_f64() },
            Some(Verdict::Loop { crashes, within }) => NextStep::CrashLoop { crashes, seconds: within.as_secs_f64() },
            None => NextStep::NoRestart,
        };
        self.pause = match verdict {
            Some(Verdict::After(pause)) => Some(pause),
            Some(Verdict::Loop { .. }) | None => None,
        };
        Effect::Fail { cause, next }
    }

    /// Nothing of its process is left.
    fn ended(&mut self, end: End, at: Moment) -> Vec<Effect> {
        match end {
            End::Failed => {
                self.enter(if self.pause.is_some() { Phase::BackingOff } else { Phase::Failed }, at);
                vec![]
            }
            End::Stopped => {
                self.enter(Phase::Stopped, at);
                vec![Effect::ReleaseGpus, Effect::Publish(EngineState::Stopped)]
            }
            End::Restart => self.begin(at),
        }
    }

    /// A start in `phase`, with what is known beyond that.
    fn starting(&self, starting: Starting) -> Effect {
        let starting = self.process.reached.clone().unwrap_or(starting);
        let (previous_failure, failures) = (self.last_failure.clone(), self.failures);
        Effect::Publish(EngineState::Starting(Starting { previous_failure, failures, ..starting }))
    }

    fn starting_at(&self, phase: StartPhase) -> Effect {
        self.starting(Starting::at(phase))
    }
}

#[cfg(test)]
mod tests;
