//! What all requests share: the table, the limits, the meters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::auth::Known;
use super::table::{self, Budgets};
use super::{Table, mirror};
use crate::config::{Config, Limits, Retry, Timeouts};
use crate::engines::{EngineClient, EngineRegistry};
use crate::openai::ApiError;
use crate::telemetry::{AccessLog, Meters, Metrics, NO_ROUTE};

/// State of the data path. Requests read it; `app` has the table made anew.
#[derive(Debug)]
pub struct Shared {
    table: ArcSwap<Table>,
    budgets: Budgets,
    /// Held by who makes a new table: the last one made must not be the first one seen.
    making: Mutex<()>,
    pub(super) registry: Arc<EngineRegistry>,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) retry: Retry,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access: AccessLog,
    pub(super) no_route: Meters,
    pub(super) held: AtomicUsize,
    /// Open connections of callers.
    pub(super) connections: AtomicUsize,
    /// For requests of our own.
    pub(super) client: EngineClient,
    /// Room for copies of requests.
    pub(super) mirrors: Arc<Semaphore>,
    draining: AtomicBool,
    cut: CancellationToken,
}

impl Shared {
    /// The data path of `config` over `registry`.
    #[must_use]
    pub fn new(config: &Config, registry: Arc<EngineRegistry>, metrics: Arc<Metrics>, access: AccessLog) -> Self {
        let budgets = table::budgets(config);
        Self {
            table: ArcSwap::from_pointee(Table::new(config, &registry, &metrics, &budgets)),
            budgets,
            making: Mutex::new(()),
            registry,
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            retry: config.retry.clone(),
            no_route: Meters::new(&metrics, NO_ROUTE, ""),
            metrics,
            access,
            held: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            client: EngineClient::default(),
            mirrors: Arc::new(Semaphore::new(mirror::MOST)),
            draining: AtomicBool::new(false),
            cut: CancellationToken::new(),
        }
    }

    /// The table a request keeps from here on.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Who asks for `path` with these `headers`; see [`super::auth::Callers::who`].
    pub(super) fn who(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<Known>>, ApiError> {
        self.table.load().callers.who(path, headers)
    }

    /// Makes the table anew, with the adapters that engines serve now. `config` is the one this was made from. Requests
    /// under way go on with the table they have.
    pub fn refresh(&self, config: &Config) {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.table.store(Arc::new(Table::new(config, &self.registry, &self.metrics, &self.budgets)));
    }

    /// `/readyz` fails from now on, so that whoever balances over us looks elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether we were told to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Gives up all answers under way; their callers are told so.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Tells one request when its answer is given up. Its own, so that requests do not wait for each other here.
    pub(super) fn cuts(&self) -> CancellationToken {
        self.cut.child_token()
    }

    /// Reserves memory for `bytes` of a body; `None` when `limits.body_memory` would be exceeded.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { shared: self.clone(), bytes: 0 };
        held.grow_to(bytes).then_some(held)
    }
}

/// A share of `limits.body_memory`, given back on drop.
#[derive(Debug)]
pub(super) struct Held {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Held {
    /// Makes the share `bytes` large (never smaller than it is); `false` when there is not enough left.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let limit = self.shared.limits.body_memory;
        if self.shared.held.fetch_add(more, Ordering::AcqRel) + more > limit {
            self.shared.held.fetch_sub(more, Ordering::AcqRel);
            return false;
        }
        self.bytes += more;
        self.shared.metrics.body_bytes.add(i64::try_from(more).unwrap_or(i64::MAX));
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.held.fetch_sub(self.bytes, Ordering::AcqRel);
        self.shared.metrics.body_bytes.sub(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_shows_what_is_served_now_and_forgets_nothing_that_was_counted() {
        let yaml = "models: { base: { source: m, lora: {} } }\naliases: { quick: { model: base } }\n";
        let config = crate::config::parse(yaml, &|_| None).expect("a configuration");
        let (registry, _demand) = EngineRegistry::new(["base".into()]);
        let pool = registry.pool("base").expect("the model");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let shared = Shared::new(&config, registry, metrics.clone(), AccessLog::off());
        let old = shared.table();
        let target = |table: &Arc<Table>, name: &str| table.find(name).expect("a target");
        let base = &old.targets[target(&old, "base")];
        while base.budget.spend() {}
        let under_way = base.meters.enter();

        pool.set_adapters(vec!["sql".into()]);
        shared.refresh(&config);
        let new = shared.table();
        assert!(old.find("sql").is_none(), "whoever has the old table keeps it");
        for name in ["base", "quick", "sql"] {
            assert!(!new.targets[target(&new, name)].budget.spend(), "{name}: the budget is still spent");
        }
        let in_flight = || {
            let text = String::from_utf8(metrics.render(&[], &crate::telemetry::GpuSample::default()).expect("text"))
                .expect("UTF-8");
            let line = "enginehouse_requests_in_flight{alias=\"\",model=\"base\"} ";
            text.lines().find_map(|found| found.strip_prefix(line).map(str::to_owned)).expect("the gauge")
        };
        let later = new.targets[target(&new, "sql")].meters.enter();
        assert_eq!(in_flight(), "2");
        drop((under_way, later));
        assert_eq!(in_flight(), "0");

        pool.set_adapters(vec![]);
        shared.refresh(&config);
        assert!(shared.table().find("sql").is_none() && new.find("sql").is_some());
    }
}
