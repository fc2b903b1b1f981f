//! Lives the life of one engine of ours: owns its process, hears what happens, has done what the machine decides.

mod effects;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::memory::Memory;
use super::shutdown_signal::{ShutdownMode, ShutdownSignal};
use crate::api::FailureCause;
use crate::engines::health::{Prober, Thresholds};
use crate::engines::{Engine, EngineClient};
use crate::supervisor::diagnose::progress::Loading;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::backoff::Crashes;
use crate::supervisor::lifecycle::machine::{self, Event, Phase};
use crate::supervisor::lifecycle::orders::{self, Answer, Goal, NotDone, Order};
use crate::supervisor::process::group::Exit;
use crate::supervisor::process::port::HeldPort;
use crate::supervisor::process::spawn::{Log, Process};
use crate::supervisor::store::record::RecordKeeper;
use crate::supervisor::store::rotate::Rotator;
use crate::supervisor::yard::Yard;

/// Time between two looks at the size of an engine's log.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// What an actor needs to know.
pub(crate) struct Plan {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
    /// What is run.
    pub(crate) recipe: LaunchSpec,
    /// Where it writes.
    pub(crate) log: Log,
    /// What is kept of it for those who come after us.
    pub(crate) record: RecordKeeper,
    /// Its port, held for as long as it may be started again.
    pub(crate) port: HeldPort,
    /// Where GPUs are found for it.
    pub(crate) yard: Arc<Yard>,
    /// Whether it has none yet and wants some.
    pub(crate) wanting: bool,
    /// The memory of its GPUs.
    pub(crate) memory: Memory,
    /// When it is started again.
    pub(crate) crashes: Option<Crashes>,
    /// From spawn to ready.
    pub(crate) start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) stop_timeout: Duration,
    /// How long attempts under way may go on when it is stopped by itself.
    pub(crate) drain: Duration,
    /// How long its health checks may fail.
    pub(crate) hang_after: Option<Duration>,
    /// Asks the engine to sleep and to wake.
    pub(crate) client: Arc<EngineClient>,
    /// When its log is put aside.
    pub(crate) rotator: Rotator,
    /// How many looks in a row change our mind.
    pub(crate) needed: Thresholds,
}

/// How an actor begins.
pub(crate) enum Begin {
    /// With nothing: it waits for an order.
    Idle,
    /// With a process that an earlier supervisor left, which was put to sleep or not.
    Adopted(Process, Option<machine::Level>),
}

/// Something that takes long, and what it comes to.
type Errand = Pin<Box<dyn Future<Output = Event> + Send>>;

/// Lives the life of one engine.
pub(crate) struct Actor {
    plan: Plan,
    prober: Prober,
    stopping: ShutdownSignal,
    orders: mpsc::Receiver<Order>,
    /// Orders that are not done yet.
    waiting: Vec<Order>,
    process: Option<Process>,
    phase: Phase,
    deadline: Option<Instant>,
    errand: Option<Errand>,
    /// When its log is looked at next.
    tidy_at: Instant,
    loading: Option<Loading>,
    /// When the process came to be, as far as we saw it.
    spawned: Instant,
    /// Whether the process was ever ready.
    served: bool,
    /// Whether the process is ended because it hung.
    hung: bool,
    /// Whether it is to be forgotten once it has stopped.
    dismissed: bool,
    /// How long to rest before the next start.
    rest: Option<Duration>,
    /// Why it failed last, until it is ready again.
    trouble: Option<FailureCause>,
    /// What went wrong with an order that was not carried out.
    refusal: Option<String>,
}

impl Actor {
    /// An actor that has not begun.
    pub(crate) fn new(plan: Plan, prober: Prober, stopping: ShutdownSignal, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            plan,
            prober,
            stopping,
            orders,
            waiting: vec![],
            process: None,
            phase: Phase::Idle,
            deadline: None,
            errand: None,
            tidy_at: Instant::now() + TIDY_EVERY,
            loading: None,
            spawned: Instant::now(),
            served: false,
            hung: false,
            dismissed: false,
            rest: None,
            trouble: None,
            refusal: None,
        }
    }

    /// Stays with the engine until it was asked to end and nothing of it is left, or until it is left alone.
    pub(crate) async fn run(mut self, begin: Begin) {
        let mut next = match begin {
            Begin::Idle => None,
            Begin::Adopted(process, asleep) => Some(self.adopt(process, asleep)),
        };
        while !(self.dismissed && self.phase == Phase::Stopped) {
            let event = match next.take() {
                Some(event) => event,
                None => match self.event().await {
                    Happened::Event(event) => event,
                    Happened::Order(order) => match self.take(order).await {
                        Some(event) => event,
                        None => continue,
                    },
                    Happened::Tidy => {
                        self.tidy().await;
                        continue;
                    }
                    Happened::Left => return self.leave(),
                },
            };
            let (phase, effects) = machine::step(self.phase.clone(), event, self.plan.needed);
            if std::mem::discriminant(&phase) != std::mem::discriminant(&self.phase) {
                // Whatever was under way belonged to the phase.
                self.errand = None;
            }
            self.phase = phase;
            for effect in effects {
                if let Some(event) = self.perform(effect).await {
                    next = Some(event);
                }
            }
            if next.is_none() {
                self.tell();
            }
        }
    }

    /// What happens next. The end of the process comes first: no request must go to a dead engine.
    async fn event(&mut self) -> Happened {
        let Self { plan, prober, stopping, orders, process, phase, deadline, errand, dismissed, tidy_at, .. } = self;
        let until = deadline.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            exit = exited(process.as_mut()) => Happened::Event(Event::Exited(exit)),
            farewell = stopping.asked(), if !(*dismissed && phase.is_stopping()) => match farewell {
                ShutdownMode::Leave => Happened::Left,
                ShutdownMode::Stop(_) => {
                    *dismissed = true;
                    Happened::Event(Event::Stop)
                }
            },
            () = sleep_until(until), if deadline.is_some() => {
                *deadline = None;
                Happened::Event(Event::Deadline)
            }
            Some(order) = orders.recv() => Happened::Order(order),
            event = run(errand.as_mut()) => {
                *errand = None;
                Happened::Event(event)
            }
            () = plan.engine.drained(), if phase.is_draining() => Happened::Event(Event::Drained),
            () = sleep_until(*tidy_at) => {
                *tidy_at = Instant::now() + TIDY_EVERY;
                Happened::Tidy
            }
            probe = prober.next(*phase == Phase::Loading), if phase.is_watched() => Happened::Event(Event::Probed(probe)),
        }
    }

    /// Accepts an order or refuses it.
    async fn take(&mut self, order: Order) -> Option<Event> {
        if order.goal == Goal::Note {
            let Plan { record, recipe, .. } = &mut self.plan;
            let now = recipe.record(&record.record().marker(), &record.record().log.clone());
            record.update(|record| (record.lora_added, record.lora_removed) = (now.lora_added, now.lora_removed)).await;
        }
        match orders::answer(order.goal, &self.phase, self.plan.recipe.may_sleep()) {
            Answer::No(why) => {
                let _ = order.reply.send(Err(NotDone::Refused(why)));
                None
            }
            Answer::Go(event) => {
                if matches!(order.goal, Goal::Start | Goal::Restart)
                    && let Some(crashes) = &mut self.plan.crashes
                {
                    crashes.forget();
                }
                self.dismissed |= order.goal == Goal::Dismiss;
                self.waiting.push(order);
                if event.is_none() {
                    self.tell();
                }
                event
            }
        }
    }

    /// Tells those who wait for orders that are done, or never will be.
    fn tell(&mut self) {
        let (phase, trouble) = (&self.phase, self.trouble.as_ref().map(ToString::to_string).or(self.refusal.take()));
        self.waiting.retain_mut(|order| {
            let Some(outcome) = orders::outcome(order.goal, phase) else { return true };
            let (reply, _) = tokio::sync::oneshot::channel();
            let reply = std::mem::replace(&mut order.reply, reply);
            let why = |short: &str| NotDone::Failed(trouble.clone().unwrap_or_else(|| short.to_owned()));
            let _ = reply.send(outcome.map_err(why));
            false
        });
    }
}

/// What an actor wakes up for.
enum Happened {
    Event(Event),
    Order(Order),
    Tidy,
    Left,
}

async fn exited(process: Option<&mut Process>) -> Exit {
    match process {
        Some(process) => process.exited().await,
        None => pending().await,
    }
}

async fn run(errand: Option<&mut Errand>) -> Event {
    match errand {
        Some(errand) => errand.await,
        None => pending().await,
    }
}
