//! All models of this process, each with its engines. Models come and go when the configuration changes.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::{Engine, Pool};
use crate::ids::Name;

/// How many models may wait in the queue of demand; a second report of the same model adds nothing.
const DEMANDS: usize = 64;

/// All models of this process.
#[derive(Debug)]
pub struct EngineRegistry {
    pools: ArcSwap<Vec<Arc<Pool>>>,
    /// Models without which nothing is ready.
    required: ArcSwap<Vec<Name>>,
    /// Held by who changes `pools`.
    changing: Mutex<()>,
    demand: mpsc::Sender<Name>,
}

/// Names models for which requests found no engine.
#[derive(Debug)]
pub struct DemandReceiver(mpsc::Receiver<Name>);

impl DemandReceiver {
    /// The next model that a request needs; `None` once the registry was dropped.
    pub async fn next(&mut self) -> Option<Name> {
        self.0.recv().await
    }
}

impl EngineRegistry {
    /// A registry of `models`, without engines.
    #[must_use]
    pub fn new(models: impl IntoIterator<Item = Name>) -> (Arc<Self>, DemandReceiver) {
        let (demand, heard) = mpsc::channel(DEMANDS);
        let registry =
            Self { pools: ArcSwap::default(), required: ArcSwap::default(), changing: Mutex::new(()), demand };
        registry.replace(models, true);
        (Arc::new(registry), DemandReceiver(heard))
    }

    /// Makes `models` the ones there are, in this order. Those that stay keep their pools, with all that is in them.
    pub fn set_models(&self, models: impl IntoIterator<Item = Name>) {
        self.replace(models, false);
    }

    fn replace(&self, models: impl IntoIterator<Item = Name>, are_expected: bool) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = |model: Name| {
            let known = self.pools.load().iter().find(|pool| pool.model == model).cloned();
            known.unwrap_or_else(|| Arc::new(Pool::new(model, self.demand.clone(), are_expected)))
        };
        let pools = models.into_iter().map(pool).collect();
        self.pools.store(Arc::new(pools));
    }

    /// All models, in configuration order.
    #[must_use]
    pub fn pools(&self) -> Arc<Vec<Arc<Pool>>> {
        self.pools.load_full()
    }

    /// The model of that name.
    #[must_use]
    pub fn pool(&self, model: &str) -> Option<Arc<Pool>> {
        self.pools.load().iter().find(|pool| &*pool.model == model).cloned()
    }

    /// Has [`readiness`](Self::readiness) ask that each of these models is served.
    pub fn set_required(&self, models: impl IntoIterator<Item = Name>) {
        self.required.store(Arc::new(models.into_iter().collect()));
    }

    /// Whether requests can be served.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let (pools, required) = (self.pools.load(), self.required.load());
        let is_lacking = |pool: &&Arc<Pool>| required.contains(&pool.model) && !pool.is_available();
        let lacking: Vec<Arc<Pool>> = pools.iter().filter(is_lacking).cloned().collect();
        if !lacking.is_empty() {
            return Readiness { is_ready: false, models: pools.len(), missed: lacking };
        }
        let missed: Vec<Arc<Pool>> = pools.iter().filter(|pool| pool.is_missed()).cloned().collect();
        let is_ready = missed.is_empty() || pools.iter().any(|pool| pool.is_available());
        Readiness { is_ready, models: pools.len(), missed }
    }

    /// All engines, with their models.
    #[must_use]
    pub fn engines(&self) -> Vec<(Arc<Pool>, Arc<Engine>)> {
        let of =
            |pool: &Arc<Pool>| pool.engines().iter().map(|engine| (pool.clone(), engine.clone())).collect::<Vec<_>>();
        self.pools.load().iter().flat_map(of).collect()
    }

    /// The engine called `id`, with its model.
    #[must_use]
    pub fn engine(&self, id: &str) -> Option<(Arc<Pool>, Arc<Engine>)> {
        self.engines().into_iter().find(|(_, engine)| engine.id.as_str() == id)
    }
}

/// Whether requests can be served.
#[derive(Debug)]
pub struct Readiness {
    /// A model is served, or none is due.
    pub is_ready: bool,
    /// How many models there are.
    pub models: usize,
    /// Those that should be served and are not.
    pub missed: Vec<Arc<Pool>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn models_that_stay_keep_their_pools_and_demand_is_heard() {
        let (registry, mut demand) = EngineRegistry::new(["a", "b"].map(Name::from));
        let (a, b) = (registry.pool("a").expect("a"), registry.pool("b").expect("b"));
        registry.set_models(["b", "c"].map(Name::from));
        assert!(registry.pool("a").is_none());
        assert!(Arc::ptr_eq(&b, &registry.pool("b").expect("b")));
        let c = registry.pool("c").expect("c");
        assert!(b.is_missed() && !c.is_missed(), "one that came later is not waited for");
        for _ in 0..1000 {
            a.ask_for_engine();
        }
        assert_eq!((demand.next().await.as_deref(), a.unserved()), (Some("a"), 1000));
    }
}
