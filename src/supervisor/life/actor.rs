//! Lives the life of one engine of ours: owns its process, performs what the machine decides.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::announce::publish;
use super::backoff::{Crashes, Verdict};
use super::machine::{self, Cause, Effect, Event, Exit, Phase, Wait};
use super::memory::Memory;
use super::nap;
use super::orders::{self, Answer, Goal, NotDone, Order};
use super::stopping::{Farewell, Stopping};
use super::vitals::Thresholds;
use crate::engines::{Engine, Failure, State};
use crate::supervisor::launch::recipe::Recipe;
use crate::supervisor::look::logtail;
use crate::supervisor::look::probe::Prober;
use crate::supervisor::look::progress::Loading;
use crate::supervisor::look::reason;
use crate::supervisor::process::kin::Marker;
use crate::supervisor::process::port::Held;
use crate::supervisor::process::spawn::{Log, Process};
use crate::supervisor::state::record::{Keeper, Recorded};
use crate::supervisor::state::rotate::Rotator;
use crate::supervisor::yard::Yard;

/// How long SIGKILL may take; a process that the kernel holds on to (a driver that hangs) is then given up.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// After how long an engine that never was ready is told again to end: vLLM loses a SIGTERM that comes while it loads.
const REMIND_LOADING: Duration = Duration::from_secs(1);

/// How long an engine that hung may take to end after SIGTERM.
const END_HUNG: Duration = Duration::from_secs(3);

/// Time between two looks at the size of an engine's log.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// What an actor needs to know.
pub(crate) struct Plan {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
    /// What is run.
    pub(crate) recipe: Recipe,
    /// Where it writes.
    pub(crate) log: Log,
    /// What is kept of it for those who come after us.
    pub(crate) record: Keeper,
    /// Its port, held for as long as it may be started again.
    pub(crate) port: Held,
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
    stopping: Stopping,
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
    trouble: Option<String>,
}

impl Actor {
    /// An actor that has not begun.
    pub(crate) fn new(plan: Plan, prober: Prober, stopping: Stopping, orders: mpsc::Receiver<Order>) -> Self {
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
                Farewell::Leave => Happened::Left,
                Farewell::Stop(_) => {
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
        let (phase, trouble) = (&self.phase, &self.trouble);
        self.waiting.retain_mut(|order| {
            let Some(outcome) = orders::outcome(order.goal, phase) else { return true };
            let (reply, _) = tokio::sync::oneshot::channel();
            let reply = std::mem::replace(&mut order.reply, reply);
            let why = |short: &str| NotDone::Failed(trouble.clone().unwrap_or_else(|| short.to_owned()));
            let _ = reply.send(outcome.map_err(why));
            false
        });
    }

    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn => return Some(self.spawn().await),
            Effect::Publish(state) => self.say(state).await,
            Effect::Fail(cause) => self.fail(&cause),
            Effect::Judge => return Some(if self.rest.is_some() { Event::Rest } else { Event::GiveUp }),
            Effect::Wait(wait) => self.deadline = self.until(wait),
            Effect::NoWait => self.deadline = None,
            Effect::Sleep(level) => {
                let errand = nap::sleep(self.prober.asker(), self.plan.engine.clone(), level, self.plan.log.clone());
                self.errand = Some(Box::pin(async move { Event::Slept(errand.await) }));
            }
            Effect::Wake(level) => {
                let errand = nap::wake(self.prober.asker(), self.plan.engine.clone(), level, self.plan.start_timeout);
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
    async fn say(&mut self, state: State) {
        let state = match state {
            State::Starting(text) => {
                let progress = self.loading.as_mut().and_then(|loading| {
                    loading.look();
                    loading.reached()
                });
                let text = progress.map_or(text, |progress| progress.to_string());
                State::Starting(match &self.trouble {
                    Some(trouble) => format!("{text}; before: {trouble}"),
                    None => text,
                })
            }
            State::Ready => {
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
                State::Ready
            }
            other => other,
        };
        publish(&self.plan.engine, state.clone());
        // Requests come first, then those who come after us.
        match state {
            State::Ready => _ = self.plan.record.update(|record| (record.served, record.asleep) = (true, None)).await,
            State::Asleep(nap) => _ = self.plan.record.update(|record| record.asleep = Some(nap.level)).await,
            _ => {}
        }
    }

    fn adopt(&mut self, process: Process, asleep: Option<machine::Level>) -> Event {
        let (pid, port) = (process.pid(), self.plan.engine.address.url.port);
        tracing::info!(engine = %self.plan.engine.id, pid, port, "engine process found running and taken over");
        self.plan.engine.count_found();
        self.loading = Some(Loading::new(&self.plan.log));
        self.process = Some(process);
        Event::Adopted { asleep }
    }

    async fn spawn(&mut self) -> Event {
        (self.served, self.hung, self.rest, self.spawned) = (false, false, None, Instant::now());
        if let Err(why) = self.find_gpus().await {
            return Event::SpawnFailed(why);
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
                engine.set_pid(u32::try_from(pid).ok());
                engine.count_start();
                let (who, from) = (Recorded::now(process.identity()), log.from);
                self.loading = Some(Loading::new(log));
                self.process = Some(process);
                self.prober.renew();
                record.update(|record| (record.process, record.log_from) = (Some(who), from)).await;
                Event::Spawned
            }
            Err(why) => {
                record.remove().await;
                Event::SpawnFailed(why)
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
    async fn tidy(&mut self) {
        let Plan { log, rotator, record, .. } = &mut self.plan;
        if rotator.look(log).await > 0 {
            let from = log.from;
            record.update(|record| record.log_from = from).await;
        }
    }

    /// Publishes a failure, and decides whether and when the engine is started again.
    fn fail(&mut self, cause: &Cause) {
        self.hung = matches!(cause, Cause::Hung(_));
        let Plan { engine, log, start_timeout, crashes, wanting, .. } = &mut self.plan;
        if let Cause::Hung(_) = cause {
            engine.count_hang();
        }
        let lines = match cause {
            Cause::Spawn(_) => vec![],
            _ => logtail::tail(log, engine.address.api_key.as_ref()),
        };
        let waiting = match &*engine.state() {
            State::Starting(text) => Some(text.clone()),
            _ => None,
        };
        let failure = reason::failure(cause, waiting.as_deref(), *start_timeout, lines);
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
        self.trouble = Some(failure.reason.clone());
        publish(engine, State::Failed(Failure { next, ..failure }));
    }

    /// Ends what is left, and waits until its GPU memory is free.
    async fn sweep(&mut self) {
        self.plan.engine.set_pid(None);
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
    fn leave(mut self) {
        if let Some(process) = self.process.take() {
            let who = process.release();
            tracing::info!(engine = %self.plan.engine.id, pid = who.pid, "engine left running");
        }
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

/// What happens after a failure, for people.
fn next_step(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(Verdict::After(pause)) => {
            let pause = Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
            format!("It is started again in {}.", humantime::format_duration(pause))
        }
        Some(Verdict::Loop { crashes, within }) => format!(
            "It failed {crashes} times within {} and stays down: mend the cause, then restart it.",
            humantime::format_duration(Duration::from_secs(within.as_secs().max(1)))
        ),
        None => "It stays down until it is restarted (`restart: off`).".to_owned(),
    }
}
