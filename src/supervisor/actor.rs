//! Lives the life of one engine of ours: owns its process, performs what the machine decides.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use super::announce::publish;
use super::command::Launch;
use super::logtail;
use super::machine::{self, Cause, Effect, Event, Exit, Phase, Wait};
use super::probe::Prober;
use super::reason;
use super::spawn::{Log, Process};
use super::stopping::Stopping;
use super::vitals::Thresholds;
use crate::engines::{Engine, State};

/// How long SIGKILL may take; a process that the kernel holds on to (a driver that hangs) is then given up.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// After how long an engine that never was ready is told again to end: vLLM loses a SIGTERM that comes while it loads.
const REMIND_LOADING: Duration = Duration::from_secs(1);

/// What an actor needs to know.
pub(super) struct Plan {
    /// The engine.
    pub(super) engine: Arc<Engine>,
    /// What is run.
    pub(super) launch: Launch,
    /// Where it writes.
    pub(super) log: Log,
    /// From spawn to ready.
    pub(super) start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub(super) stop_timeout: Duration,
    /// How many looks in a row change our mind.
    pub(super) needed: Thresholds,
}

/// Lives the life of one engine.
pub(super) struct Actor {
    plan: Plan,
    prober: Prober,
    stopping: Stopping,
    process: Option<Process>,
    phase: Phase,
    deadline: Option<Instant>,
    /// Whether the process was ever ready.
    served: bool,
}

impl Actor {
    /// An actor whose engine does not run yet.
    pub(super) fn new(plan: Plan, prober: Prober, stopping: Stopping) -> Self {
        Self { plan, prober, stopping, process: None, phase: Phase::Idle, deadline: None, served: false }
    }

    /// Starts the engine and stays with it until it was asked to stop and nothing of it is left.
    pub(super) async fn run(mut self) {
        let mut next = Some(Event::Start);
        while self.phase != Phase::Stopped {
            let event = match next.take() {
                Some(event) => event,
                None => self.event().await,
            };
            let (phase, effects) = machine::step(self.phase.clone(), event, self.plan.needed);
            self.phase = phase;
            for effect in effects {
                if let Some(event) = self.perform(effect).await {
                    next = Some(event);
                }
            }
        }
    }

    /// What happens next. The end of the process comes first: no request must go to a dead engine.
    async fn event(&mut self) -> Event {
        let Self { plan, prober, stopping, process, phase, deadline, .. } = self;
        let until = deadline.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            exit = exited(process.as_mut()) => Event::Exited(exit),
            () = stopping.asked(), if !phase.is_stopping() => Event::Stop,
            () = sleep_until(until), if deadline.is_some() => {
                *deadline = None;
                Event::Deadline
            }
            () = plan.engine.drained(), if *phase == Phase::Draining => Event::Drained,
            probe = prober.next(*phase == Phase::Loading), if phase.is_watched() => Event::Probed(probe),
        }
    }

    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn => return Some(self.spawn()),
            Effect::Publish(state) => {
                self.served |= state == State::Ready;
                publish(&self.plan.engine, state);
            }
            Effect::Fail(cause) => self.fail(&cause),
            Effect::Wait(wait) => self.deadline = Some(self.until(wait)),
            Effect::NoWait => self.deadline = None,
            Effect::Term => self.signal(Signal::TERM),
            Effect::Kill => self.signal(Signal::KILL),
            Effect::Sweep => {
                self.plan.engine.set_pid(None);
                if let Some(process) = self.process.take() {
                    process.sweep().await;
                }
            }
            Effect::Abandon => {
                let pid = self.process.take().map(|process| process.pid());
                tracing::error!(engine = %self.plan.engine.id, pid, "a process survives SIGKILL and is given up");
            }
        }
        None
    }

    fn spawn(&mut self) -> Event {
        self.served = false;
        let Plan { engine, launch, log, .. } = &mut self.plan;
        match Process::spawn(launch, engine.id.as_str(), log) {
            Ok(process) => {
                let (pid, port) = (process.pid(), engine.address.url.port);
                tracing::info!(engine = %engine.id, pid, port, log = %log.path.display(), "engine process started");
                engine.set_pid(u32::try_from(pid).ok());
                self.process = Some(process);
                self.prober.renew();
                Event::Spawned
            }
            Err(why) => Event::SpawnFailed(why),
        }
    }

    fn fail(&self, cause: &Cause) {
        let Plan { engine, log, start_timeout, .. } = &self.plan;
        let lines = match cause {
            Cause::Spawn(_) => vec![],
            Cause::Exited { .. } | Cause::NeverReady => logtail::tail(log, engine.address.api_key.as_ref()),
        };
        let waiting = match &*engine.state() {
            State::Starting(text) => Some(text.clone()),
            _ => None,
        };
        publish(engine, State::Failed(reason::failure(cause, waiting.as_deref(), *start_timeout, lines)));
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    fn until(&self, wait: Wait) -> Instant {
        let plan = &self.plan;
        let patience = plan.stop_timeout / 3;
        let first_term = if self.served { patience } else { patience.min(REMIND_LOADING) };
        let time = match wait {
            Wait::Drain => return self.stopping.drain_until(),
            Wait::Ready => plan.start_timeout,
            Wait::Term => first_term,
            Wait::TermAgain => plan.stop_timeout - first_term,
            Wait::Kill => KILL_WITHIN,
        };
        Instant::now() + time
    }
}

async fn exited(process: Option<&mut Process>) -> Exit {
    match process {
        Some(process) => process.exited().await,
        None => pending().await,
    }
}
