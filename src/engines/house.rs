//! All engines of all models.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Engine, State};
use crate::ids::Name;

/// The engines of one model.
#[derive(Debug)]
pub struct Pool {
    /// The model.
    pub model: Name,
    engines: ArcSwap<Vec<Arc<Engine>>>,
    /// The name its engines know it by; `None` until one was asked.
    served_name: ArcSwapOption<Name>,
    /// LoRA adapters that its engines serve, by name.
    adapters: ArcSwap<Vec<Name>>,
    /// Round-robin position.
    cursor: AtomicUsize,
}

impl Pool {
    /// A model without engines; `served_name` where it was configured.
    #[must_use]
    pub fn new(model: Name, served_name: Option<Name>) -> Self {
        Self {
            model,
            engines: ArcSwap::default(),
            served_name: ArcSwapOption::from_pointee(served_name),
            adapters: ArcSwap::default(),
            cursor: AtomicUsize::new(0),
        }
    }

    /// Its engines, in replica order.
    #[must_use]
    pub fn engines(&self) -> arc_swap::Guard<Arc<Vec<Arc<Engine>>>> {
        self.engines.load()
    }

    /// Replaces its engines.
    pub fn set_engines(&self, engines: Vec<Arc<Engine>>) {
        self.engines.store(Arc::new(engines));
    }

    /// The name its engines know it by.
    #[must_use]
    pub fn served_name(&self) -> Option<Name> {
        self.served_name.load().as_ref().map(|name| Name::clone(name))
    }

    /// Notes the name its engines know it by.
    pub fn set_served_name(&self, name: Name) {
        self.served_name.store(Some(Arc::new(name)));
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

    /// Whether an engine takes requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.engines().iter().any(|engine| engine.is_ready())
    }

    /// The next round-robin position.
    pub fn advance(&self) -> usize {
        self.cursor.fetch_add(1, Ordering::Relaxed)
    }

    /// The state that tells best when the model will be served again: starting before unhealthy before failed.
    #[must_use]
    pub fn why_not(&self) -> Arc<State> {
        let rank = |state: &State| match state {
            State::Starting(_) => 0,
            State::Unhealthy(_) => 1,
            State::Failed(_) => 2,
            State::Stopping(_) => 3,
            State::Asleep(_) => 4,
            State::Stopped => 5,
            State::Ready => 6,
        };
        self.engines()
            .iter()
            .map(|engine| engine.state())
            .min_by_key(|state| rank(state))
            .unwrap_or_else(|| Arc::new(State::Stopped))
    }
}

/// All models of this process.
#[derive(Debug, Default)]
pub struct House {
    pools: Vec<Arc<Pool>>,
}

impl House {
    /// A house of these models.
    #[must_use]
    pub fn new(pools: Vec<Arc<Pool>>) -> Self {
        Self { pools }
    }

    /// All models, in configuration order.
    #[must_use]
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// The model of that name.
    #[must_use]
    pub fn pool(&self, model: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| &*pool.model == model)
    }
}
