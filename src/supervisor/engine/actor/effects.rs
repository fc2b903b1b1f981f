//! What an actor does with its engine's process: starts it, speaks of it, signals it, and clears up after it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::{Actor, Plan};
use crate::api::{Failure, NextStep, Starting};
use crate::engines::EngineState;
use crate::supervisor::diagnose::logtail;
use crate::supervisor::diagnose::progress::{Loading, Reached};
use crate::supervisor::diagnose::reason;
use crate::supervisor::engine::sleep;
use crate::supervisor::lifecycle::backoff::Verdict;
use crate::supervisor::lifecycle::machine::{Cause, Effect, Event, Level, SpawnError, Wait};
use crate::supervisor::process::marker::Marker;
use crate::supervisor::process::spawn::Process;
use crate::supervisor::store::record::Recorded;

/// How long SIGKILL may take; a process that the kernel holds on to (a driver that hangs) is then given up.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// After how long an engine that never was ready is told again to end: vLLM loses a SIGTERM that comes while it loads.
const REMIND_LOADING: Duration = Duration::from_secs(1);

/// How long an engine that hung may take to end after SIGTERM.
const END_HUNG: Duration = Duration::from_secs(3);

impl Actor {
    /// Does what the machine decided; what follows from it at once.
    pub(super) async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn => return Some(self.spawn().await),
            Effect::Publish(state) => self.say(state).await,
            Effect::Note(why) => self.refusal = Some(why),
            Effect::Fail(cause) => self.fail(&cause),
            Effect::Judge => return Some(if self.rest.is_some() { Event::Rest } else { Event::GiveUp }),
            Effect::Wait(wait) => self.deadline = self.until(wait),
            Effect::NoWait => self.deadline = None,
            Effect::Sleep(level) => {
                let errand =
                    sleep::sleep(self.plan.client.clone(), self.plan.engine.clone(), level, self.plan.log.clone());
                self.errand = Some(Box::pin(async move { Event::Slept(errand.await) }));
            }
            Effect::Wake(level) => {
                let errand =
                    sleep::wake(self.plan.client.clone(), self.plan.engine.clone(), level, self.plan.start_timeout);
                self.errand = Some(Box::pin(async move { Event::Woke(errand.await) }));
                self.prober.renew();
            }
            Effect::Term => self.signal(Signal::TERM),
            Effect::Kill => self.process.iter().for_each(Process::kill),
            Effect::Sweep => self.sweep().await,
            Effect::Abandon => {
                let pid = self.process.take().map(|process| process.pid());
                tracing::error!(engine = %self.plan.engine.id, pid, "a process survives SIGKILL and is given up");
            }
        }
        None
    }

    /// Publishes `state`, with what only we know: how far loading is, and what went wrong before.
    async fn say(&mut self, state: EngineState) {
        let state = match state {
            EngineState::Starting(starting) => {
                let reached = self.loading.as_mut().and_then(|loading| {
                    loading.look();
                    loading.reached()
                });
                let starting = reached.map_or(starting, Reached::starting);
                EngineState::Starting(Starting { previous_failure: self.trouble.clone(), ..starting })
            }
            EngineState::Ready => {
                if !self.served {
                    let took = self.spawned.elapsed();
                    tracing::info!(engine = %self.plan.engine.id, took = ?took, "engine was ready after {took:.1?}");
                }
                if !self.served
                    && let Some(process) = &self.process
                {
                    // Who holds GPU memory is here now, and may be dead when that is looked for.
                    process.remember();
                }
                self.served = true;
                self.trouble = None;
                self.loading = None;
                if let Some(crashes) = &mut self.plan.crashes {
                    crashes.ready(Instant::now());
                }
                EngineState::Ready
            }
            other => other,
        };
        self.plan.engine.publish(state.clone());
        // Requests come first, then those who come after us.
        match state {
            EngineState::Ready => {
                _ = self.plan.record.update(|record| (record.served, record.asleep) = (true, None)).await
            }
            EngineState::Asleep(nap) => _ = self.plan.record.update(|record| record.asleep = Some(nap.level)).await,
            _ => {}
        }
    }

    /// Takes over a process that was found.
    pub(super) fn adopt(&mut self, process: Process, asleep: Option<Level>) -> Event {
        let (pid, port) = (process.pid(), self.plan.engine.address.url.port);
        tracing::info!(engine = %self.plan.engine.id, pid, port, "engine process found running and taken over");
        self.plan.engine.process.count_adopted();
        self.loading = Some(Loading::new(&self.plan.log));
        self.process = Some(process);
        Event::Adopted { asleep }
    }

    async fn spawn(&mut self) -> Event {
        (self.served, self.hung, self.rest, self.spawned) = (false, false, None, Instant::now());
        if let Err(why) = self.find_gpus().await {
            return Event::SpawnFailed(SpawnError::NoGpus(why));
        }
        self.plan.port.renew();
        self.plan.memory.remember();
        let launch = self.plan.recipe.launch();
        let Plan { engine, log, record, recipe, .. } = &mut self.plan;
        // Written down before: if we are killed right after the spawn, the next one finds the process by its marker.
        let marker = Marker::fresh(engine.id.as_str());
        record.update(|record| *record = recipe.record(&marker, &log.path)).await;
        match Process::spawn(&launch, engine.id.as_str(), log, &marker) {
            Ok(process) => {
                let (pid, port) = (process.pid(), engine.address.url.port);
                tracing::info!(engine = %engine.id, pid, port, log = %log.path.display(), "engine process started");
                engine.process.set_pid(u32::try_from(pid).ok());
                engine.process.count_start();
                let (who, from) = (Recorded::now(process.identity()), log.from);
                self.loading = Some(Loading::new(log));
                self.process = Some(process);
                self.prober.renew();
                record.update(|record| (record.process, record.log_from) = (Some(who), from)).await;
                Event::Spawned
            }
            Err(why) => {
                record.remove().await;
                Event::SpawnFailed(SpawnError::System(why))
            }
        }
    }

    /// Makes sure that it has GPUs, if it wants any, and that none of them fell off the bus.
    async fn find_gpus(&mut self) -> Result<(), String> {
        let Plan { yard, wanting, engine, recipe, memory, .. } = &mut self.plan;
        if *wanting || memory.misplaced() {
            *wanting = true;
            // A driver may take long to tell which there are.
            tokio::select! {
                found = yard.find(engine, recipe) => found?,
                _ = self.stopping.asked() => return Err("the gateway is stopping".to_owned()),
            }
            memory.set_gpus(recipe.gpus.clone().unwrap_or_default());
            *wanting = false;
        }
        Ok(())
    }

    /// Puts the log aside when it is due.
    pub(super) async fn tidy(&mut self) {
        let Plan { log, rotator, record, .. } = &mut self.plan;
        if rotator.look(log).await > 0 {
            let from = log.from;
            record.update(|record| record.log_from = from).await;
        }
    }

    /// Publishes a failure, and decides whether and when the engine is started again.
    fn fail(&mut self, cause: &Cause) {
        self.hung = matches!(cause, Cause::Stalled(_) | Cause::Unhealthy);
        let Plan { engine, log, start_timeout, crashes, wanting, .. } = &mut self.plan;
        if self.hung {
            engine.process.count_stall();
        }
        let lines = match cause {
            Cause::Spawn(_) => vec![],
            _ => logtail::tail(log, engine.address.api_key.as_ref()),
        };
        let reached = match &*engine.state() {
            EngineState::Starting(starting) => Some(starting.clone()),
            _ => None,
        };
        let cause = reason::failure_cause(cause, reached, *start_timeout, &lines);
        let verdict = crashes.as_mut().map(|crashes| match crashes.crashed(Instant::now(), fastrand::f64()) {
            // Without GPUs nothing was tried: sooner or later there is room.
            Verdict::Loop { .. } if *wanting => crashes.keep_trying(),
            verdict => verdict,
        });
        let next = next_step(verdict);
        self.rest = match verdict {
            Some(Verdict::After(pause)) => Some(pause),
            Some(Verdict::Loop { .. }) | None => None,
        };
        self.trouble = Some(cause.clone());
        engine.publish(EngineState::Failed(Failure { cause, log: reason::shown(lines), next }));
    }

    /// Ends what is left, and waits until its GPU memory is free.
    async fn sweep(&mut self) {
        self.plan.engine.process.set_pid(None);
        self.loading = None;
        let Some(process) = self.process.take() else { return };
        let watch = self.plan.memory.watch(&process);
        let left = process.sweep().await;
        for survivor in &left {
            let (pid, name) = (survivor.who.pid, &survivor.name);
            let engine = &self.plan.engine.id;
            tracing::error!(%engine, pid, name, "a process of an engine survives SIGKILL; it may hold its GPU and port");
        }
        self.plan.record.remove().await;
        watch.freed(&self.plan.engine.id).await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.remember();
            process.signal(signal);
        }
    }

    fn until(&self, wait: Wait) -> Option<Instant> {
        let plan = &self.plan;
        // What made no progress for so long is not about to: its callers need not wait for more.
        let stop_timeout = if self.hung { plan.stop_timeout.min(END_HUNG) } else { plan.stop_timeout };
        let patience = stop_timeout / 3;
        let first_term = if self.served { patience } else { patience.min(REMIND_LOADING) };
        let time = match wait {
            Wait::Drain => match self.stopping.drain_until() {
                Some(until) => return Some(until),
                None => plan.drain,
            },
            Wait::Ready => plan.start_timeout,
            Wait::Recover => plan.hang_after?,
            Wait::Term => first_term,
            Wait::TermAgain => stop_timeout - first_term,
            Wait::Kill => KILL_WITHIN,
            Wait::Rest => self.rest?,
        };
        Some(Instant::now() + time)
    }

    /// Lets the engine run on without us.
    pub(super) fn leave(mut self) {
        if let Some(process) = self.process.take() {
            let who = process.release();
            tracing::info!(engine = %self.plan.engine.id, pid = who.pid, "engine left running");
        }
    }
}

/// What happens after a failure.
fn next_step(verdict: Option<Verdict>) -> NextStep {
    match verdict {
        Some(Verdict::After(pause)) => NextStep::Restart { seconds: pause.as_secs_f64() },
        Some(Verdict::Loop { crashes, within }) => NextStep::CrashLoop { crashes, seconds: within.as_secs_f64() },
        None => NextStep::NoRestart,
    }
}
