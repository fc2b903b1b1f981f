//! The Prometheus metrics of one process. Label values come from the configuration, never from callers.

mod config;
mod engines;
mod gpus;
mod register;
mod requests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use prometheus::{Encoder, Error, IntCounter, TextEncoder};

pub use self::config::ConfigMetrics;
pub use self::requests::GatewayMetrics;

use self::config::unix_time;
use self::engines::EngineMetrics;
use self::gpus::GpuGauges;
use self::register::{Ended, Labels, Register};
use self::requests::{RequestMetrics, TokenMetrics};
use super::meters::Meters;
use crate::api::{EngineView, GpusView};

/// `model` of requests that named none we know.
pub const NO_ROUTE: &str = "none";

/// A label that belongs to something that may go: its name and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// All metrics, and the registry they are in.
#[derive(Debug)]
pub struct Metrics {
    /// What concerns the gateway as a whole.
    pub gateway: GatewayMetrics,
    /// Whether the configuration is the one in the file.
    pub config: ConfigMetrics,
    pub(super) requests: RequestMetrics,
    pub(super) tokens: TokenMetrics,
    engines: EngineMetrics,
    gpus: GpuGauges,
    /// The meters of routes, by model and alias.
    meters: Mutex<HashMap<(String, String), Weak<Meters>>>,
    counting: Mutex<Counting>,
    /// Held while engines are sampled: two scrapes at once must not mix.
    sampling: Mutex<()>,
    register: Register,
}

/// Who counts where.
#[derive(Debug, Default)]
struct Counting {
    /// How many count in the series with each set of labels.
    users: HashMap<Labels, usize>,
    /// Series that end before the next look at the metrics: all at once, because finding them means to look at all.
    ended: Ended,
}

/// After so many sets of labels, or a quarter of those in use, ended series go also if nobody looks at the metrics.
const MOST_ENDED: usize = 8;

impl Metrics {
    /// Fresh metrics in a registry of their own.
    ///
    /// # Errors
    /// Never in practice: only if two metrics had one name.
    pub fn new() -> Result<Self, Error> {
        let mut register = Register::default();
        register.info("build_info", "Always 1; the label has the version.", ("version", env!("CARGO_PKG_VERSION")))?;
        register.gauge("start_time_seconds", "Start time of this process, Unix time.")?.set(unix_time());
        Ok(Self {
            gateway: GatewayMetrics::new(&register)?,
            config: ConfigMetrics::new(&register)?,
            requests: RequestMetrics::new(&mut register)?,
            tokens: TokenMetrics::new(&mut register)?,
            engines: EngineMetrics::new(&mut register)?,
            gpus: GpuGauges::new(&mut register)?,
            meters: Mutex::default(),
            counting: Mutex::default(),
            sampling: Mutex::new(()),
            register,
        })
    }

    /// Publishes counters that were there before.
    ///
    /// # Errors
    /// They are published already.
    pub fn publish(&self, counters: &[IntCounter]) -> Result<(), Error> {
        counters.iter().try_for_each(|counter| self.register.registry.register(Box::new(counter.clone())))
    }

    /// Requests of a caller since the start, and its tokens for prompt and completion.
    #[must_use]
    pub fn caller_totals(&self, caller: &str) -> (u64, [u64; 2]) {
        let tokens = |kind| self.tokens.caller_tokens.with_label_values(&[caller, kind]).get();
        let requests = self.tokens.caller_requests.with_label_values(&[caller]).get();
        (requests, [tokens("prompt"), tokens("completion")])
    }

    /// The meters of a route; made where there are none.
    pub(super) fn meters(&self, model: &str, alias: &str, make: impl FnOnce() -> Meters) -> Arc<Meters> {
        let mut all = lock(&self.meters);
        let entry = all.entry((model.to_owned(), alias.to_owned())).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *entry = Arc::downgrade(&made);
            made
        })
    }

    /// These are gone.
    pub(super) fn forget_meters(&self, gone: &Meters) {
        let (model, alias) = gone.key();
        let mut all = lock(&self.meters);
        let key = (model.to_owned(), alias.to_owned());
        // Others may have been made meanwhile.
        if all.get(&key).is_some_and(|meters| std::ptr::eq(meters.as_ptr(), gone)) {
            all.remove(&key);
        }
    }

    /// Somebody counts in series with these labels from now on.
    pub(super) fn begin_series(&self, labels: &[Label<'_>]) {
        let (mut counting, labels) = (lock(&self.counting), owned(labels));
        counting.ended.remove(&labels);
        *counting.users.entry(labels).or_default() += 1;
    }

    /// Somebody counts there no more. With the last one the series end, of all metrics that have these labels.
    pub(super) fn end_series(&self, labels: &[Label<'_>]) {
        let mut counting = lock(&self.counting);
        let key = owned(labels);
        let Some(count) = counting.users.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            counting.users.remove(&key);
            counting.ended.insert(key);
        }
        if counting.ended.len() > MOST_ENDED.max(counting.users.len() / 4) {
            self.forget(&mut counting);
        }
    }

    /// Removes the series that have ended.
    fn forget(&self, counting: &mut Counting) {
        let ended = std::mem::take(&mut counting.ended);
        if ended.len() > 0 {
            self.register.series.iter().for_each(|series| series.forget(&ended));
        }
    }

    /// The Prometheus text format (version 0.0.4), with `engines` and `gpus` as they are now.
    ///
    /// # Errors
    /// Never in practice: only if a metric were inconsistent.
    pub fn render(&self, engines: &[EngineView], gpus: &GpusView) -> Result<Vec<u8>, Error> {
        let _sampling = lock(&self.sampling);
        // Collected first: the last of some may go here, which takes the same lock.
        let meters: Vec<_> = lock(&self.meters).values().filter_map(Weak::upgrade).collect();
        meters.iter().for_each(|meters| meters.publish());
        drop(meters);
        self.forget(&mut lock(&self.counting));
        self.engines.set(engines);
        self.gpus.set(gpus);
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.register.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owned(labels: &[Label<'_>]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
