//! Lives the life of one engine: owns its process, hears what happens to it, and has done what its lifecycle decides.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::handle::{Message, Notice};
use super::memory::Memory;
use super::shutdown_signal::{ShutdownMode, ShutdownSignal};
use crate::engines::health::Prober;
use crate::engines::{Engine, EngineClient};
use crate::supervisor::allocator::{GpuAllocator, GpuGrant};
use crate::supervisor::diagnose::progress::Loading;
use crate::supervisor::launch::launcher::Job;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::machine::Lifecycle;
use crate::supervisor::lifecycle::orders::{Goal, Order};
use crate::supervisor::lifecycle::terms::{Effect, Event, Level, Moment, Phase, Stage};
use crate::telemetry::EventBus;

/// One engine that runs here.
pub(super) struct Actor {
    pub(super) engine: Arc<Engine>,
    pub(super) replica: usize,
    pub(super) spec: Arc<LaunchSpec>,
    pub(super) lifecycle: Lifecycle,
    pub(super) job: Job,
    pub(super) gpus: GpuShare,
    pub(super) client: Arc<EngineClient>,
    pub(super) prober: Prober,
    /// What its log says while it loads.
    pub(super) loading: Option<Loading>,
    /// What takes long and belongs to the phase.
    pub(super) operation: Option<Operation>,
    pub(super) inbox: Inbox,
    pub(super) listeners: Listeners,
}

/// What an engine has of GPUs.
pub(super) struct GpuShare {
    pub(super) allocator: GpuAllocator,
    /// What it was given; kept over restarts, until it is stopped.
    pub(super) grant: Option<GpuGrant>,
    pub(super) memory: Memory,
}

/// Who tells an actor what to do.
pub(super) struct Inbox {
    pub(super) messages: mpsc::UnboundedReceiver<Message>,
    pub(super) shutdown: ShutdownSignal,
    /// Orders that are not done yet.
    pub(super) waiting: Vec<Order>,
}

/// Who hears of the engine.
pub(super) struct Listeners {
    /// The fleet.
    pub(super) notices: mpsc::Sender<Notice>,
    /// What the fleet heard last.
    pub(super) told: Stage,
    /// Everybody else.
    pub(super) events: EventBus,
}

/// Something that takes long, and what it comes to.
pub(super) type Operation = Pin<Box<dyn Future<Output = Completed> + Send>>;

/// What an operation comes to.
pub(super) enum Completed {
    /// GPUs were found, or every reason why not.
    Placed(Result<GpuGrant, String>),
    /// Anything else.
    Event(Event),
}

/// What an actor wakes up for.
enum Wakeup {
    Event(Event),
    Completed(Completed),
    Message(Message),
    Tidy,
    Leave,
}

impl Actor {
    /// Stays with the engine until that has ended for good, or is left alone. `found`: it runs already; whether it sleeps.
    pub(super) async fn run(mut self, found: Option<Option<Level>>) {
        if let Some(asleep) = found {
            self.apply(Event::Adopted { asleep }).await;
            self.lend_gpus();
            self.look_at_log().await;
        }
        while !self.lifecycle.is_over() {
            match self.wake().await {
                Wakeup::Event(event) => {
                    if matches!(event, Event::Probed(_)) {
                        self.look_at_log().await;
                    }
                    self.apply(event).await;
                }
                Wakeup::Completed(completed) => {
                    let event = self.completed(completed);
                    self.apply(event).await;
                }
                Wakeup::Message(message) => self.receive(message).await,
                Wakeup::Tidy => self.job.tidy().await,
                Wakeup::Leave => return self.job.release(),
            }
        }
    }

    /// What happens next. The end of the process comes first: no request must go to a dead engine.
    async fn wake(&mut self) -> Wakeup {
        let Self { engine, lifecycle, job, prober, operation, inbox, .. } = self;
        let (phase, deadline, tidy_due) = (lifecycle.phase(), lifecycle.deadline(), job.tidy_due());
        tokio::select! {
            biased;
            exit = job.exited() => Wakeup::Event(Event::Exited(exit)),
            mode = inbox.shutdown.asked(), if !lifecycle.is_leaving() => match mode {
                ShutdownMode::Leave => Wakeup::Leave,
                ShutdownMode::Stop(drain_until) => Wakeup::Event(Event::Shutdown(drain_until)),
            },
            () = inbox.shutdown.hurried(), if phase.can_be_hurried() => Wakeup::Event(Event::Hurry),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Wakeup::Event(Event::Deadline)
            }
            Some(message) = inbox.messages.recv() => Wakeup::Message(message),
            completed = run(operation.as_mut()) => {
                *operation = None;
                Wakeup::Completed(completed)
            }
            () = engine.drained(), if phase.is_draining() => Wakeup::Event(Event::Drained),
            () = tidy_due.notified() => Wakeup::Tidy,
            probe = prober.next(*phase == Phase::Loading), if phase.is_probed() => {
                Wakeup::Event(Event::Probed(probe))
            }
        }
    }

    async fn receive(&mut self, message: Message) {
        match message {
            Message::Order(order) => self.accept(order).await,
            Message::WaitsFor(order) => self.apply(Event::WaitsFor(order)).await,
            Message::Grant(grant) => self.take_grant(grant),
            Message::Retune(spec, prober) => {
                self.lifecycle.retune(spec.settings());
                self.job.set_rotation(spec.rotation);
                if let Some(grant) = &self.gpus.grant {
                    grant.set_share(spec.demand(self.replica).share);
                }
                (self.spec, self.prober) = (spec, *prober);
                self.lend_gpus();
            }
            Message::NoteAdapters => {
                let (added, removed) = self.spec.adapter_changes();
                self.job.note(|record| (record.lora_added, record.lora_removed) = (added, removed)).await;
            }
        }
    }

    /// Accepts an order or refuses it.
    async fn accept(&mut self, order: Order) {
        let before = self.lifecycle.phase().clone();
        match self.lifecycle.order(order.goal, Moment::now()) {
            Err(why) => _ = order.reply.send(Err(why)),
            Ok(effects) => {
                self.inbox.waiting.push(order);
                self.carry_out(&before, effects).await;
            }
        }
    }

    /// Reads how far the engine has loaded.
    async fn look_at_log(&mut self) {
        if *self.lifecycle.phase() == Phase::Loading
            && let Some(reached) = self.loading.as_mut().and_then(Loading::look)
        {
            self.apply(Event::Progressed(reached.starting())).await;
        }
    }

    /// Has decided what `event` means, and done what follows.
    async fn apply(&mut self, event: Event) {
        let before = self.lifecycle.phase().clone();
        let effects = self.lifecycle.step(event, Moment::now());
        self.carry_out(&before, effects).await;
    }

    async fn carry_out(&mut self, before: &Phase, effects: Vec<Effect>) {
        let (mut before, mut effects) = (before.clone(), effects);
        let mut events = VecDeque::new();
        loop {
            if std::mem::discriminant(self.lifecycle.phase()) != std::mem::discriminant(&before) {
                // What was under way belonged to the phase.
                self.operation = None;
            }
            for effect in effects {
                if let Some(event) = self.perform(effect).await {
                    events.push_back(event);
                }
            }
            let Some(event) = events.pop_front() else { break };
            before = self.lifecycle.phase().clone();
            effects = self.lifecycle.step(event, Moment::now());
        }
        self.tell_fleet().await;
        self.answer_orders();
    }

    /// Tells the fleet where the engine is, where that is news.
    pub(super) async fn tell_fleet(&mut self) {
        let stage = self.lifecycle.stage();
        if std::mem::replace(&mut self.listeners.told, stage) != stage {
            // A fleet that is gone needs to know nothing.
            let _ = self.listeners.notices.send(Notice { engine: self.engine.id.clone(), stage }).await;
        }
    }

    /// Tells those who wait for orders that are done, or never will be.
    fn answer_orders(&mut self) {
        let lifecycle = &self.lifecycle;
        let outcome = |goal: Goal| lifecycle.outcome(goal);
        self.inbox.waiting.retain_mut(|order| {
            let Some(outcome) = outcome(order.goal) else { return true };
            let (nobody, _) = oneshot::channel();
            let _ = std::mem::replace(&mut order.reply, nobody).send(outcome);
            false
        });
    }
}

async fn run(operation: Option<&mut Operation>) -> Completed {
    match operation {
        Some(operation) => operation.await,
        None => pending().await,
    }
}
