//! What an actor does because its lifecycle decided it. Nothing is decided here.

use std::sync::Arc;

use super::actor::{Actor, Completed, Operation};
use super::sleep;
use crate::api::{self, Failure, FailureCause, NextStep};
use crate::engines::EngineState;
use crate::supervisor::allocator::GpuGrant;
use crate::supervisor::diagnose::progress::Loading;
use crate::supervisor::diagnose::{logtail, reason};
use crate::supervisor::lifecycle::terms::{Effect, Event, Level, Phase};

impl Actor {
    /// Does it; what follows from it at once.
    pub(super) async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Publish(state) => self.publish(state).await,
            Effect::Place => self.operation = Some(self.place()),
            Effect::Spawn => return Some(self.spawn().await),
            Effect::Fail { cause, next } => return Some(self.fail(cause, next).await),
            Effect::FirstReady(took) => {
                if let Some(took) = took {
                    let engine = &self.engine.id;
                    tracing::debug!(%engine, ?took, "engine was ready after {took:.1?}");
                    self.job.note(|record| record.start_seconds = Some(took.as_secs_f64())).await;
                }
                // What holds GPU memory is here now, and may be dead when it is looked for.
                self.job.remember();
                self.loading = None;
            }
            Effect::RecordServing => {
                self.job.note(|record| (record.served, record.asleep) = (true, None)).await;
            }
            Effect::RecordAsleep(level) => {
                self.job.note(|record| record.asleep = Some(level)).await;
                self.lend_gpus();
            }
            Effect::Sleep(level) => {
                // Before it is told to: a gateway that comes after a killed one wakes it, whether it sleeps or not.
                self.job.note(|record| record.asleep = Some(level)).await;
                self.operation = Some(self.sleep(level));
            }
            Effect::Wake(level) => {
                self.prober.renew();
                self.operation = Some(self.wake_up(level));
            }
            Effect::Term => self.job.terminate(),
            Effect::Kill => {
                let (engine, pid) = (&self.engine.id, self.job.pid());
                tracing::warn!(%engine, pid, "the engine has not ended after SIGTERM and is killed");
                self.job.kill();
            }
            Effect::CleanUp => return Some(self.clean_up().await),
            Effect::Abandon => {
                self.job.abandon();
                self.is_without_process();
                return Some(Event::CleanedUp);
            }
            Effect::ReleaseGpus => {
                self.gpus.grant = None;
                self.show_gpus();
            }
        }
        None
    }

    /// Tells everybody what the engine does. Requests first: the fleet may end another engine because this one is ready.
    async fn publish(&mut self, state: EngineState) {
        if self.engine.publish(state) {
            self.listeners.events.publish(&api::Event::Engine {
                engine: self.engine.id.to_string(),
                model: self.spec.model.name.to_string(),
                state: EngineState::clone(&self.engine.state()),
            });
        }
        self.tell_fleet().await;
    }

    fn place(&mut self) -> Operation {
        let (allocator, grant) = (self.gpus.allocator.clone(), self.gpus.grant.take());
        let demand = self.spec.demand(self.replica);
        Box::pin(async move { Completed::Placed(allocator.renew(grant, &demand).await) })
    }

    fn sleep(&self, level: Level) -> Operation {
        let (client, engine, log) = (self.client.clone(), self.engine.clone(), self.job.log().clone());
        Box::pin(async move { Completed::Event(Event::Slept(sleep::sleep(client, engine, level, log).await)) })
    }

    fn wake_up(&self, level: Level) -> Operation {
        let (client, engine, within) = (self.client.clone(), self.engine.clone(), self.spec.spawn.start_timeout);
        Box::pin(async move { Completed::Event(Event::Woke(sleep::wake(client, engine, level, within).await)) })
    }

    /// What an operation came to, as the lifecycle knows it.
    pub(super) fn completed(&mut self, completed: Completed) -> Event {
        match completed {
            Completed::Event(event) => event,
            Completed::Placed(Ok(grant)) => {
                self.take_grant(grant);
                Event::Placed(Ok(()))
            }
            Completed::Placed(Err(why)) => {
                self.show_gpus();
                Event::Placed(Err(why))
            }
        }
    }

    /// Keeps what it was given.
    pub(super) fn take_grant(&mut self, grant: GpuGrant) {
        self.gpus.grant = Some(grant);
        self.show_gpus();
    }

    /// Lets models that are loaded on demand have its GPUs while it sleeps, if it is of such a model itself.
    pub(super) fn lend_gpus(&self) {
        let sleeps = matches!(self.lifecycle.phase(), Phase::Asleep(_));
        if let Some(grant) = self.gpus.grant.as_ref().filter(|_| sleeps && self.spec.spawn.load.is_on_demand()) {
            grant.rest();
        }
    }

    pub(super) fn show_gpus(&self) {
        let gpus = match &self.gpus.grant {
            Some(grant) => grant.gpus().map(<[String]>::to_vec),
            None => self.spec.wants_gpus().then(Vec::new),
        };
        self.engine.process.set_gpus(gpus);
    }

    async fn spawn(&mut self) -> Event {
        let gpus = self.gpus.grant.as_ref().and_then(GpuGrant::gpus);
        self.gpus.memory.started(gpus.unwrap_or_default());
        match self.job.submit(&self.spec, gpus).await {
            Ok(()) => {
                let pid = self.job.pid();
                self.engine.process.set_pid(pid);
                self.engine.process.is_started();
                self.engine.history.count_process();
                self.gpus.grant.iter().for_each(|grant| grant.set_leader(pid));
                self.loading = Some(Loading::new(self.job.log()));
                self.prober.renew();
                Event::Spawned
            }
            Err(why) => Event::SpawnFailed(why),
        }
    }

    /// Publishes a failure, with what the engine's log tells of it.
    async fn fail(&mut self, cause: FailureCause, next: NextStep) -> Event {
        let lines = match cause {
            FailureCause::NotStarted { .. } | FailureCause::NoGpus { .. } => vec![],
            _ => logtail::tail(self.job.log(), self.engine.address.api_key.as_ref()),
        };
        let cause = reason::diagnosed(cause, &lines);
        self.publish(EngineState::Failed(Failure { cause: cause.clone(), log: reason::shown(lines), next })).await;
        Event::Diagnosed(cause)
    }

    /// Ends what the process left, and waits until its GPU memory is free.
    async fn clean_up(&mut self) -> Event {
        let pids = if self.gpus.memory.is_known() { self.job.pids() } else { Vec::new() };
        self.is_without_process();
        self.job.clean_up().await;
        self.gpus.memory.freed(&self.engine.id, &pids).await;
        self.gpus.grant.iter().for_each(|grant| grant.set_leader(None));
        Event::CleanedUp
    }

    fn is_without_process(&mut self) {
        self.engine.process.set_pid(None);
        self.loading = None;
    }

    /// Shows a process that was found running.
    pub(super) fn show_found(&mut self) {
        let (engine, pid) = (Arc::clone(&self.engine), self.job.pid());
        tracing::info!(engine = %engine.id, pid, port = engine.address.url.port, "engine process found running and taken over");
        engine.history.count_process();
        engine.process.set_pid(pid);
        self.loading = Some(Loading::new(self.job.log()));
        self.show_gpus();
    }
}
