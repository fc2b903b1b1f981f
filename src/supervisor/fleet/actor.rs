//! The one owner of what should run and what does: hears requests, engines and demand, and has done what follows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::actual::Actual;
use super::desired::Desired;
use super::model::ManagedModel;
use super::reconcile::reconcile;
use super::request::Request;
use super::view::{FleetView, ModelView};
use super::work::Finished;
use crate::engines::{DemandReceiver, EngineRegistry};
use crate::ids::Name;
use crate::supervisor::engine::factory::EngineFactory;
use crate::supervisor::engine::handle::Notice;
use crate::supervisor::engine::shutdown_signal::{ShutdownMode, ShutdownSignal};
use crate::supervisor::launch::launcher::Launcher;
use crate::supervisor::process::port::{HeldPort, PortError, Ports};
use crate::supervisor::process::reaper;
use crate::supervisor::store::lock::LockKeeper;
use crate::supervisor::store::orders::Orders;
use crate::supervisor::store::orders_file::OrdersWriter;

/// How long what engines left behind may take to end after SIGKILL, when all is over.
const ORPHANS_WITHIN: Duration = Duration::from_secs(5);

/// After how long it is told which engines have not ended yet.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// How long a failed attempt to make an engine is not repeated.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Called after the names that can be served changed.
pub(crate) type OnNames = OnceLock<Box<dyn Fn() + Send + Sync>>;

/// What a fleet is made with.
pub(crate) struct FleetParts {
    /// Where requests find engines.
    pub(crate) registry: Arc<EngineRegistry>,
    /// Makes engines.
    pub(crate) factory: EngineFactory,
    /// Ports for them.
    pub(crate) ports: Arc<Mutex<Ports>>,
    /// Requests of operators.
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
    /// What actors tell of their engines.
    pub(crate) notices: mpsc::Receiver<Notice>,
    /// Models for which requests find no engine.
    pub(crate) demand: DemandReceiver,
    /// Tells that all ends.
    pub(crate) shutdown: ShutdownSignal,
    /// Where the fleet shows itself.
    pub(crate) view: Arc<ArcSwap<FleetView>>,
    /// Called after the names that can be served changed.
    pub(crate) on_names: Arc<OnNames>,
}

/// All engines that run here.
pub(crate) struct Fleet {
    pub(super) parts: FleetParts,
    /// What the state directory gives, once it is this gateway's.
    pub(super) home: Option<Home>,
    /// The models, in the order of the configuration; those that it has no more are last.
    pub(super) models: Vec<ManagedModel>,
    pub(super) orders: Orders,
    /// Names that mean something else than an adapter.
    pub(super) reserved: Vec<Name>,
    /// Ports that were held before engines were made.
    pub(super) spare_ports: Vec<HeldPort>,
    /// Actors of engines.
    pub(super) engines: JoinSet<()>,
    /// What takes long, and what it comes to.
    pub(super) work: JoinSet<Finished>,
    /// Ends what an earlier gateway left.
    pub(super) clearing: Option<JoinHandle<()>>,
    /// When what could not be done is tried again.
    pub(super) retry_at: Option<Instant>,
    /// Models of which an engine could not be made just now.
    pub(super) unmade: BTreeSet<Name>,
    /// When is looked again whose turn it is of the models that are loaded on demand.
    pub(super) look_at: Option<Instant>,
}

/// What the state directory gives.
pub(super) struct Home {
    pub(super) launcher: Launcher,
    pub(super) orders: OrdersWriter,
    /// Reaps what engines leave behind.
    pub(super) orphans: JoinHandle<()>,
    /// Given back when all is over.
    pub(super) lock: LockKeeper,
}

/// What the fleet wakes up for.
enum Wakeup {
    Shutdown(ShutdownMode),
    Ended(Result<tokio::task::Id, JoinError>),
    Notice(Notice),
    Finished(Result<Finished, JoinError>),
    Cleared,
    Request(Request),
    Demand(Name),
    Retry,
    Look,
}

impl Fleet {
    /// One without engines.
    pub(crate) fn new(parts: FleetParts) -> Self {
        Self {
            parts,
            home: None,
            models: vec![],
            orders: Orders::default(),
            reserved: vec![],
            spare_ports: vec![],
            engines: JoinSet::new(),
            work: JoinSet::new(),
            clearing: None,
            retry_at: None,
            unmade: BTreeSet::new(),
            look_at: None,
        }
    }

    /// Keeps the fleet until it is to end; returns when all its engines have ended or are left alone.
    pub(crate) async fn run(mut self) {
        loop {
            match self.wake().await {
                Wakeup::Shutdown(mode) => return self.end(mode).await,
                Wakeup::Ended(ended) => self.engine_ended(ended),
                Wakeup::Notice(notice) => self.heard(&notice),
                Wakeup::Finished(Ok(Finished::Placed(placed))) => self.placed(placed),
                Wakeup::Finished(Ok(Finished::Scaled(room))) => self.scale_up(room),
                Wakeup::Finished(Ok(Finished::Rested(task, done))) => self.rested(task, done),
                Wakeup::Finished(Ok(Finished::Adapter(change))) => self.adapter_changed(change),
                Wakeup::Finished(Ok(Finished::HandedOver(model))) => {
                    let models = self.models.iter_mut().filter(|it| *it.name() == model);
                    models.for_each(|model| model.is_handover_awaited = false);
                }
                Wakeup::Finished(Err(error)) => {
                    tracing::error!(%error, "a task of the fleet failed");
                    self.models.iter_mut().for_each(|model| (model.change, model.new_adapter) = (None, None));
                }
                Wakeup::Cleared => self.clearing = None,
                Wakeup::Request(request) => self.request(request),
                Wakeup::Demand(model) => self.demanded(&model),
                Wakeup::Retry => self.retry_now(),
                Wakeup::Look => {}
            }
            self.settle();
        }
    }

    async fn wake(&mut self) -> Wakeup {
        let Self { parts, engines, work, clearing, retry_at, look_at, .. } = self;
        tokio::select! {
            biased;
            mode = parts.shutdown.asked() => Wakeup::Shutdown(mode),
            Some(ended) = engines.join_next_with_id() => Wakeup::Ended(ended.map(|(id, ())| id)),
            Some(notice) = parts.notices.recv() => Wakeup::Notice(notice),
            Some(finished) = work.join_next() => Wakeup::Finished(finished),
            () = cleared(clearing.as_mut()) => Wakeup::Cleared,
            Some(request) = parts.requests.recv() => Wakeup::Request(request),
            Some(model) = parts.demand.next() => Wakeup::Demand(model),
            () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => Wakeup::Retry,
            () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => Wakeup::Look,
        }
    }

    /// Has done what is to be done, until nothing is; then shows itself.
    pub(super) fn settle(&mut self) {
        self.take_turns();
        loop {
            let actions = reconcile(&self.desired(), &self.actual(), &|model| self.has_room(model));
            // Each one that is performed shows in what is compared next, so this ends.
            if actions.into_iter().filter(|action| self.perform(action)).count() == 0 {
                break;
            }
        }
        self.await_handovers();
        self.show();
    }

    fn desired(&self) -> Desired {
        let wanted = self.models.iter().filter(|model| model.is_wanted);
        Desired { models: wanted.map(|model| model.desired(&self.orders)).collect() }
    }

    fn actual(&self) -> Actual {
        let models = self.models.iter().map(|model| (model.name().clone(), model.actual())).collect();
        let serving_on = self.models.iter().filter(|model| self.serves_on(model)).map(|model| model.name().clone());
        Actual { models, serving_on: serving_on.collect(), is_clearing: self.clearing.is_some() }
    }

    /// Whether `model` is run by others from now on, of which none serves yet.
    fn serves_on(&self, model: &ManagedModel) -> bool {
        let is_known = || self.parts.registry.pool(model.name()).is_some_and(|pool| Arc::ptr_eq(&pool, &model.pool));
        !model.is_wanted && is_known() && !model.pool.is_handed_over()
    }

    /// Has told when requests can go to the engines of others.
    fn await_handovers(&mut self) {
        for at in 0..self.models.len() {
            if self.serves_on(&self.models[at]) && !std::mem::replace(&mut self.models[at].is_handover_awaited, true) {
                let pool = self.models[at].pool.clone();
                let model = &pool.model;
                tracing::info!(%model, "the engines that run here serve until one that replaces them is ready");
                self.work.spawn(async move {
                    pool.handed_over().await;
                    Finished::HandedOver(pool.model.clone())
                });
            }
        }
    }

    fn has_room(&self, name: &Name) -> bool {
        let Some(model) = self.models.iter().find(|model| model.name() == name) else { return false };
        if model.spec.spawn.port.is_some() {
            // The one that it replaces has its port.
            return false;
        }
        let number = model.replicas.iter().map(|replica| replica.number + 1).max().unwrap_or(0);
        let has_port = || !self.spare_ports.is_empty() || self.ports().hold().is_ok();
        self.parts.factory.allocator.has_room(&model.spec.demand(number), model.spec.uses_gpus()) && has_port()
    }

    fn ports(&self) -> MutexGuard<'_, Ports> {
        self.parts.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&mut self) {
        let mut names_changed = false;
        for model in &mut self.models {
            let outdated = model.outdated();
            model.roll.progress(outdated);
            model.show_engines();
            // What a model that is wanted no more serves is for others to say.
            names_changed |= model.is_wanted && model.show();
        }
        self.models.retain(|model| model.is_wanted || !model.replicas.is_empty());
        let shown = self.models.iter().filter(|model| model.is_wanted);
        let models = shown.map(|model| (model.name().clone(), self.model_view(model))).collect();
        let view = FleetView { is_claimed: self.home.is_some(), orders: self.orders.clone(), models };
        self.parts.view.store(Arc::new(view));
        if let Some(home) = &self.home {
            home.orders.keep(&self.orders);
        }
        if let Some(call) = self.parts.on_names.get().filter(|_| names_changed) {
            call();
        }
    }

    fn model_view(&self, model: &ManagedModel) -> ModelView {
        let present = model.replicas.iter().filter(|replica| !replica.is_leaving);
        ModelView {
            spec: model.spec.clone(),
            wanted_replicas: model.wanted_replicas(&self.orders),
            ready: present.clone().filter(|replica| replica.handle.engine.is_ready()).count(),
            asleep: present.clone().filter(|replica| replica.stage.sleeps()).count(),
            present: present.map(|replica| replica.number).collect(),
            roll: model.roll.status.clone(),
            last_demand: model.last_demand,
            start_took: model.start_took(),
            turn: model.is_on_demand().then(|| match model.on_demand.turn {
                _ if self.orders.is_stopped(model.name()) => crate::api::Turn::Stopped,
                turn => turn.shown(),
            }),
            loads: model.on_demand.loads(),
        }
    }

    /// An actor tells where its engine is.
    fn heard(&mut self, notice: &Notice) {
        let replicas = self.models.iter_mut().flat_map(|model| &mut model.replicas);
        if let Some(replica) = replicas.into_iter().find(|replica| replica.handle.engine.id == notice.engine) {
            replica.set_stage(notice.stage);
        }
    }

    /// An actor has ended: its engine is no more.
    fn engine_ended(&mut self, ended: Result<tokio::task::Id, JoinError>) {
        let (task, failure) = match ended {
            Ok(task) => (task, None),
            Err(error) => (error.id(), Some(error)),
        };
        for model in &mut self.models {
            let Some(at) = model.replicas.iter().position(|replica| replica.task == task) else { continue };
            let replica = model.replicas.remove(at);
            if let Some(error) = failure {
                tracing::error!(engine = %replica.handle.engine.id, %error, "the task that ran an engine failed; the engine was killed");
            }
            replica.gone.into_iter().for_each(|waiting| _ = waiting.send(Ok(())));
            return;
        }
    }

    fn demanded(&mut self, name: &Name) {
        if let Some(model) = self.models.iter_mut().find(|model| model.name() == name) {
            tracing::debug!(model = %name, "a request found no engine");
            model.last_demand = Some(std::time::Instant::now());
        }
    }

    /// Forgets what could not be done: it is tried again.
    pub(super) fn retry_now(&mut self) {
        self.retry_at = None;
        self.unmade.clear();
    }

    /// Has an engine of `model` made again in a while.
    pub(super) fn retry_later(&mut self, model: &Name) {
        self.unmade.insert(model.clone());
        self.retry_at.get_or_insert_with(|| Instant::now() + RETRY_AFTER);
    }

    /// A port for replica number `number` of the model `name`: the one that it is configured to have, or any.
    pub(super) fn hold_port(&mut self, name: &Name, number: usize) -> Result<HeldPort, PortError> {
        let spec = self.models.iter().find(|model| model.name() == name).map(|model| model.spec.clone());
        let wanted = spec.and_then(|spec| spec.port(number));
        let is_named = |port: u16| {
            let mut specs = self.models.iter().map(|model| &model.spec);
            specs.any(|spec| (0..spec.spawn.replicas).any(|replica| spec.port(replica) == Some(port)))
        };
        let is_it = |port: &HeldPort| wanted.map_or_else(|| !is_named(port.port()), |wanted| port.port() == wanted);
        match (self.spare_ports.iter().rposition(is_it), wanted) {
            (Some(at), _) => Ok(self.spare_ports.remove(at)),
            (None, Some(wanted)) => self.ports().hold_exactly(wanted),
            (None, None) => self.ports().hold(),
        }
    }

    /// Returns when all actors of engines have ended; says whose end takes time.
    async fn end_engines(&mut self, mode: ShutdownMode) {
        let told = sleep(TELL_AFTER);
        tokio::pin!(told);
        let mut is_told = matches!(mode, ShutdownMode::Leave);
        let begun = Instant::now();
        loop {
            let ended = tokio::select! {
                ended = self.engines.join_next_with_id() => ended,
                () = &mut told, if !is_told => {
                    is_told = true;
                    self.tell_who_is_waited_for(mode, begun);
                    continue;
                }
            };
            match ended {
                Some(ended) => self.engine_ended(ended.map(|(id, ())| id)),
                None => return,
            }
        }
    }

    /// One line: the engines that have not ended, and until when they may.
    fn tell_who_is_waited_for(&self, mode: ShutdownMode, begun: Instant) {
        let told_to_end = if let ShutdownMode::Stop(drain_until) = mode { drain_until.max(begun) } else { begun };
        let engines = self.models.iter().flat_map(|model| {
            let left = (told_to_end + model.spec.spawn.stop_timeout).saturating_duration_since(Instant::now());
            model.replicas.iter().map(move |replica| format!("{} (at most {left:.0?})", replica.handle.engine.id))
        });
        let engines: Vec<String> = engines.collect();
        if !engines.is_empty() {
            let engines = engines.join(", ");
            tracing::warn!(
                "waiting for engines that were told to end (SIGTERM) and have not: {engines}; then they are killed"
            );
        }
    }

    /// Waits for all engines, which were told to end or are left alone, and gives the state directory back.
    async fn end(mut self, mode: ShutdownMode) {
        self.work.abort_all();
        // Nobody is told anything any more, and nobody waits to tell.
        self.parts.notices.close();
        self.parts.requests.close();
        while self.parts.requests.try_recv().is_ok() {}
        self.end_engines(mode).await;
        if let Some(clearing) = self.clearing.take() {
            match mode {
                ShutdownMode::Stop(_) => _ = clearing.await,
                ShutdownMode::Leave => clearing.abort(),
            }
        }
        if let Some(home) = self.home {
            home.orders.finish().await;
            if let ShutdownMode::Stop(_) = mode {
                for left in reaper::sweep_all(ORPHANS_WITHIN).await {
                    tracing::error!(process = %left, "it came from an engine and survives SIGKILL");
                }
            }
            home.orphans.abort();
            drop(home.lock);
        }
    }
}

async fn cleared(clearing: Option<&mut JoinHandle<()>>) {
    match clearing {
        Some(clearing) => _ = clearing.await,
        None => std::future::pending().await,
    }
}
