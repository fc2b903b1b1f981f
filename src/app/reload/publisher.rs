//! The one writer of the snapshot that requests are served by.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::engines::EngineRegistry;
use crate::ids::Name;
use crate::net::ListenerId;
use crate::proxy::ProxyState;
use crate::routing::Snapshot;
use crate::telemetry::Metrics;

/// Publishes snapshots, one after the other.
#[derive(Debug)]
pub(in crate::app) struct Publisher {
    state: Arc<ProxyState>,
    registry: Arc<EngineRegistry>,
    metrics: Arc<Metrics>,
    /// The configuration in use; held while a snapshot is made of it and put in place.
    config: Mutex<Arc<Config>>,
}

impl Publisher {
    /// For `state`, whose snapshot was made of `config`.
    pub(in crate::app) fn new(
        state: Arc<ProxyState>,
        registry: Arc<EngineRegistry>,
        metrics: Arc<Metrics>,
        config: Arc<Config>,
    ) -> Self {
        Self { state, registry, metrics, config: Mutex::new(config) }
    }

    /// The configuration in use.
    pub(in crate::app) fn config(&self) -> Arc<Config> {
        self.lock().clone()
    }

    /// Serves later requests by `config`, with these aliases of listeners.
    pub(super) fn publish(&self, config: Arc<Config>, entries: HashMap<ListenerId, Name>) {
        let mut current = self.lock();
        self.registry.set_models(config.models.iter().map(|model| model.name.clone()));
        self.registry.set_required(config.readiness.required.iter().map(|name| name.as_str().into()));
        self.swap(&config, entries);
        *current = config;
    }

    /// Takes `config` in place of the one in use, which means the same.
    pub(super) fn keep(&self, config: Arc<Config>) {
        *self.lock() = config;
    }

    /// The names that engines serve changed: adapters came or went.
    pub(in crate::app) fn refresh(&self) {
        let current = self.lock();
        self.swap(&current, self.state.snapshot().entries().clone());
    }

    fn swap(&self, config: &Config, entries: HashMap<ListenerId, Name>) {
        self.state.swap(Snapshot::new(config, &self.registry, &self.metrics, entries));
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Config>> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
