//! The engines of one model, as requests see them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, mpsc};

use super::{Engine, EngineState, History, RetryBudget};
use crate::api::NextStep;
use crate::ids::{EngineId, Name};

/// With so many engines that came and went, what happened to those that are gone is forgotten.
const MOST_HISTORIES: usize = 1024;

/// Who runs an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This gateway does, at an address that it chose.
    Us,
    /// Others run it: the address of its host name may change, and the engine is asked which name it has for the model.
    SomebodyElse,
}

/// The engines of a model at one moment.
pub type Members = arc_swap::Guard<Arc<Vec<Arc<Engine>>>>;

/// The engines of one model.
#[derive(Debug)]
pub struct Pool {
    /// The model.
    pub model: Name,
    /// What its requests may spend on further attempts.
    pub budget: RetryBudget,
    /// Those of both owners.
    engines: ArcSwap<Vec<Arc<Engine>>>,
    /// Those that we run, and those that others run: while a model passes from one to the other there are both. Held while
    /// `engines` is made of them.
    owned: Mutex<[Vec<Arc<Engine>>; 2]>,
    /// What happened to engines, by id: it stays when an engine is replaced by another one.
    histories: Mutex<HashMap<EngineId, Arc<History>>>,
    /// The name its engines know it by; `None` until one was asked.
    served_name: ArcSwapOption<Name>,
    /// LoRA adapters that its engines serve, by name.
    adapters: ArcSwap<Vec<Name>>,
    /// Round-robin position.
    cursor: AtomicUsize,
    changed: Arc<Notify>,
    /// Requests that found no engine.
    unserved: AtomicU64,
    /// Requests that wait for an engine.
    waiting: AtomicUsize,
    /// Whether a request has engines loaded.
    loads_on_demand: AtomicBool,
    /// Whether a request went elsewhere because they were not loaded.
    passed_over: AtomicBool,
    /// Why they cannot be loaded at the moment.
    obstacle: ArcSwapOption<String>,
    demand: mpsc::Sender<Name>,
    /// Whether the gateway is not ready without it.
    is_expected: AtomicBool,
}

impl Pool {
    /// A model without engines. `demand` gets the name of the model when a request finds no engine. `is_expected`: the
    /// model was there from the start.
    pub(super) fn new(model: Name, demand: mpsc::Sender<Name>, is_expected: bool) -> Self {
        Self {
            model,
            budget: RetryBudget::default(),
            engines: ArcSwap::default(),
            owned: Mutex::default(),
            histories: Mutex::default(),
            served_name: ArcSwapOption::empty(),
            adapters: ArcSwap::default(),
            cursor: AtomicUsize::new(0),
            changed: Arc::default(),
            unserved: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            loads_on_demand: AtomicBool::new(false),
            passed_over: AtomicBool::new(false),
            obstacle: ArcSwapOption::empty(),
            demand,
            is_expected: AtomicBool::new(is_expected),
        }
    }

    /// Its engines: those that run here in replica order, then those that others run.
    #[must_use]
    pub fn engines(&self) -> Members {
        self.engines.load()
    }

    /// Replaces the engines of `owner`; those of the other one stay.
    pub fn set_engines(&self, owner: Owner, engines: Vec<Arc<Engine>>) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let [ours, others] = &mut *owned;
        let before = if owner == Owner::Us { ours } else { others };
        if before.len() == engines.len() && before.iter().zip(&engines).all(|(a, b)| Arc::ptr_eq(a, b)) {
            return;
        }
        for engine in &engines {
            engine.tell_changes_to(&self.changed);
        }
        *before = engines;
        self.engines.store(Arc::new(owned.concat()));
        self.changed.notify_waiters();
    }

    /// What happened to the engine called `id`, also before this one was made.
    #[must_use]
    pub fn history(&self, id: &EngineId) -> Arc<History> {
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        if histories.len() >= MOST_HISTORIES {
            histories.retain(|_, history| Arc::strong_count(history) > 1);
        }
        histories.entry(id.clone()).or_default().clone()
    }

    /// Whether its retiring engines are needed no more: another one takes requests, or they themselves take none.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        let engines = self.engines();
        let serves = |retiring: bool| engines.iter().any(|it| it.is_ready() && it.is_retiring() == retiring);
        serves(false) || !serves(true)
    }

    /// Returns when its retiring engines are needed no more.
    pub async fn handed_over(&self) {
        loop {
            let changed = self.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_handed_over() {
                return;
            }
            changed.await;
        }
    }

    /// Whether requests may say `name` from now on: no retiring engine that is still needed knows the model only by another
    /// one.
    #[must_use]
    pub fn may_be_named(&self, name: &str) -> bool {
        self.is_handed_over() || self.engines().iter().all(|engine| !engine.is_retiring() || engine.serves(name))
    }

    /// The name its engines know it by.
    #[must_use]
    pub fn served_name(&self) -> Option<Name> {
        self.served_name.load().as_ref().map(|name| Name::clone(name))
    }

    /// Notes the name its engines know it by.
    pub fn set_served_name(&self, name: Option<Name>) {
        self.served_name.store(name.map(Arc::new));
    }

    /// The names of LoRA adapters that its engines serve.
    #[must_use]
    pub fn adapters(&self) -> Arc<Vec<Name>> {
        self.adapters.load_full()
    }

    /// Replaces the names of adapters.
    pub fn set_adapters(&self, adapters: Vec<Name>) {
        self.adapters.store(Arc::new(adapters));
    }

    /// Whether an operator drained an engine that would take requests.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        let held = |engine: &Arc<Engine>| engine.is_withheld() && *engine.state() == EngineState::Ready;
        self.engines().iter().any(held)
    }

    /// Whether an engine takes requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.engines().iter().any(|engine| engine.is_ready())
    }

    /// Whether a request is answered now, or once engines have been loaded for it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.is_ready() || self.may_be_loaded() && !matches!(*self.best_state(), EngineState::Failed(_))
    }

    /// Whether it should be served and is not: it was there from the start or could be served before, and nobody stopped it or
    /// drained it or put it to sleep. One that a reload added may load for minutes.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        let is_ready = self.is_ready();
        let is_expected = self.is_expected.fetch_or(is_ready, Ordering::Relaxed);
        is_expected && !self.is_available() && !self.rests()
    }

    /// Whether all of its engines were stopped, drained or put to sleep; there are none where they are loaded on demand only.
    fn rests(&self) -> bool {
        let engines = self.engines();
        if engines.is_empty() && self.loads_on_demand() {
            return true;
        }
        let rests = |engine: &Arc<Engine>| {
            engine.is_withheld() || matches!(*engine.state(), EngineState::Stopped | EngineState::Asleep(_))
        };
        !engines.is_empty() && engines.iter().all(rests)
    }

    /// The round-robin position of the next attempt.
    #[must_use]
    pub fn turn(&self) -> usize {
        self.cursor.load(Ordering::Relaxed)
    }

    /// An attempt was sent: the next one goes to the next engine.
    pub fn advance(&self) {
        self.cursor.fetch_add(1, Ordering::Relaxed);
    }

    /// Becomes ready when an engine changes its state, comes or goes. Create it, look, then wait for it: a change between
    /// the look and the wait is not missed once it was enabled.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Reports that a request found no engine, so that the supervisor may start one.
    pub fn ask_for_engine(&self) {
        self.unserved.fetch_add(1, Ordering::Relaxed);
        self.report();
    }

    fn report(&self) {
        // A full queue means that it was told often enough.
        let _ = self.demand.try_send(self.model.clone());
    }

    /// Whether a request has its engines loaded, where they are not.
    #[must_use]
    pub fn loads_on_demand(&self) -> bool {
        self.loads_on_demand.load(Ordering::Relaxed)
    }

    /// Notes whether a request has its engines loaded.
    pub fn set_loads_on_demand(&self, does: bool) {
        if self.loads_on_demand.swap(does, Ordering::Relaxed) != does {
            self.changed.notify_waiters();
        }
    }

    /// Whether a request that waits may get an engine: they are loaded on demand, and have not failed for good.
    #[must_use]
    pub fn may_be_loaded(&self) -> bool {
        let is_over = |engine: &Arc<Engine>| match &*engine.state() {
            EngineState::Failed(failure) => !matches!(failure.next, NextStep::Restart { .. }),
            _ => engine.is_withheld(),
        };
        let engines = self.engines();
        self.loads_on_demand() && (engines.is_empty() || !engines.iter().all(is_over))
    }

    /// Why its engines cannot be loaded at the moment, in words; `None`: nothing is known to be in the way.
    #[must_use]
    pub fn obstacle(&self) -> Option<Arc<String>> {
        self.obstacle.load_full()
    }

    /// Notes what is in the way of loading its engines.
    pub fn set_obstacle(&self, why: Option<String>) {
        self.obstacle.store(why.map(Arc::new));
    }

    /// Reports that a request went elsewhere because its engines are not loaded: later ones are to find some.
    pub fn pass_over(&self) {
        self.passed_over.store(true, Ordering::Relaxed);
        self.ask_for_engine();
    }

    /// Whether requests went elsewhere since this was asked last.
    #[must_use]
    pub fn was_passed_over(&self) -> bool {
        self.passed_over.swap(false, Ordering::Relaxed)
    }

    /// Counts a request as one that waits for an engine, until what is returned is dropped; reports that one is needed.
    pub fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.report();
        Waiting(self.clone())
    }

    /// Requests that wait for an engine.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Requests that found no engine so far.
    #[must_use]
    pub fn unserved(&self) -> u64 {
        self.unserved.load(Ordering::Relaxed)
    }

    /// The state that says most about when the model will be served again: starting before unhealthy before failed.
    #[must_use]
    pub fn best_state(&self) -> Arc<EngineState> {
        let rank = |state: &EngineState| match state {
            EngineState::Starting(_) => 0,
            EngineState::Unhealthy { .. } => 1,
            EngineState::Failed(_) => 2,
            EngineState::Stopping { .. } => 3,
            EngineState::Asleep(_) => 4,
            EngineState::Stopped => 5,
            EngineState::Ready => 6,
        };
        self.engines()
            .iter()
            .map(|engine| engine.state())
            .min_by_key(|state| rank(state))
            .unwrap_or_else(|| Arc::new(EngineState::Stopped))
    }
}

/// A request that waits for an engine of a model, until this is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Pool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
