//! The handle that operators, the API and a reload use: asks the fleet, and reads what it shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::allocator::GpuAllocator;
use super::fleet::{self, FleetView, OnNames, Pending, Request};
use super::launch::spec::LaunchSpec;
use super::process::port::Ports;
use super::startup::{self, Home, Prepared, Running, StartError};
use super::store::lock::Lock;
use super::terms::{ControlError, Order};
use crate::api::{EngineChange, RollStatus, Turn};
use crate::config::Config;
use crate::engines::Engine;
use crate::ids::Name;

/// The way to the fleet. A cheap handle.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

/// What a control is made with.
pub(super) struct Inner {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) view: Arc<ArcSwap<FleetView>>,
    pub(super) home: Home,
    pub(super) ports: Arc<Mutex<Ports>>,
    pub(super) allocator: GpuAllocator,
    pub(super) on_names: Arc<OnNames>,
    /// The gateway is about to end: nothing is begun any more.
    pub(super) is_closed: AtomicBool,
}

/// An order that engines carry out, and that outlasts the gateway where it is one of those that do.
pub struct Begun(Pending);

/// What is known of a model whose engines run here.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// How many engines it is to have.
    pub wanted_replicas: usize,
    /// The last replacement of its engines; `None`: there was none.
    pub roll: Option<RollStatus>,
    /// When a request last found no engine.
    pub last_demand: Option<Instant>,
    /// Whether its engines have GPUs; `None`: it is not loaded on demand.
    pub turn: Option<Turn>,
    /// How often it was loaded on demand or woken.
    pub loads: u64,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("engines", &self.0.len()).finish()
    }
}

impl Begun {
    /// Waits until all engines have done it.
    ///
    /// # Errors
    /// When one does not do it.
    pub async fn done(self) -> Result<(), ControlError> {
        let (engines, waiting): (Vec<String>, Vec<_>) = self.0.into_iter().unzip();
        let done = join_all(waiting).await.into_iter();
        let refused = |_| Err(ControlError::shutting_down());
        let done = done.map(|done| done.unwrap_or_else(refused));
        let wrong = engines.into_iter().zip(done).filter_map(|(engine, done)| Some((engine, done.err()?))).collect();
        ControlError::of_all(wrong).map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Has nothing begun any more, because the gateway is about to end: orders are refused.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
    }

    /// Whether the gateway is about to end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Relaxed)
    }

    /// Has `call` called after the names that can be served changed. Only the first caller is heard.
    pub fn on_names(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.on_names.set(Box::new(call));
    }

    /// Has `order` begun, and written down what of it outlasts the gateway.
    ///
    /// # Errors
    /// When there is no such engine or model here, or the order makes no sense as things are. That of an adapter: also when
    /// an engine does not do it.
    pub async fn order(&self, order: Order) -> Result<Begun, ControlError> {
        if self.is_closed() {
            return Err(ControlError::shutting_down());
        }
        let (reply, answer) = oneshot::channel();
        self.0.requests.send(Request::Order(order, reply)).map_err(|_| ControlError::shutting_down())?;
        let pending = answer.await.map_err(|_| ControlError::shutting_down())??;
        let (done, written) = oneshot::channel();
        // A fleet that has ended has written down all.
        let _ = self.0.requests.send(Request::Written(done));
        let _ = written.await;
        Ok(Begun(pending))
    }

    /// The LoRA adapters of `model`: where each is loaded from; `None` when its engines are not run here.
    #[must_use]
    pub fn adapters(&self, model: &str) -> Option<Arc<BTreeMap<Name, String>>> {
        self.0.view.load().models.get(model).map(|model| model.spec.adapters.load_full())
    }

    /// What is known of `model`; `None` when its engines are not run here.
    #[must_use]
    pub fn status(&self, model: &str) -> Option<ModelStatus> {
        self.0.view.load().models.get(model).map(|model| ModelStatus {
            wanted_replicas: model.wanted_replicas,
            roll: model.roll.clone(),
            last_demand: model.last_demand,
            turn: model.turn,
            loads: model.loads,
        })
    }

    /// What `config` would change about the engines that run here. Reads the configurations of adapters on this disk.
    #[must_use]
    pub async fn plan(&self, config: &Config) -> Vec<EngineChange> {
        let specs = LaunchSpec::read_all(config, &self.0.home.own_exe).await;
        let allocator = &self.0.allocator;
        fleet::plan(&self.0.view.load(), &specs, &|spec, number| {
            spec.spawn.port.is_none() && allocator.has_room(&spec.demand(number), spec.uses_gpus())
        })
    }

    /// Does everything about `config` that can fail, and changes nothing.
    ///
    /// # Errors
    /// What is wrong, with the remedy.
    pub async fn prepare(&self, config: &Config) -> Result<Prepared, StartError> {
        let view = self.0.view.load_full();
        let needs_home = !view.is_claimed && startup::runs_engines(config);
        let lock = if needs_home { Some(self.0.home.lock()?) } else { None };
        self.prepare_with(config, lock).await
    }

    /// The same, with the state directory.
    pub(super) async fn prepare_with(&self, config: &Config, lock: Option<Lock>) -> Result<Prepared, StartError> {
        let view = self.0.view.load_full();
        let engines = view.models.iter().map(|(name, model)| (name.clone(), model.present.len())).collect();
        let running = Running { orders: view.orders.clone(), engines };
        startup::prepare(config, &self.0.home, &self.0.ports, lock, running).await
    }

    /// Has what was prepared run from now on: engines are started, replaced and ended in the background. The registry must
    /// have the models by now.
    pub async fn apply(&self, prepared: Prepared) {
        let _ = self.send_prepared(prepared).await;
    }

    /// The same; what is returned tells which engines were taken over, once they are.
    pub(super) fn send_prepared(&self, prepared: Prepared) -> oneshot::Receiver<Vec<Arc<Engine>>> {
        let (done, known) = oneshot::channel();
        // A fleet that has ended has nothing to run.
        let _ = self.0.requests.send(Request::Apply(Box::new(prepared), done));
        known
    }
}
