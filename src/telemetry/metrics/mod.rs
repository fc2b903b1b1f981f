//! The Prometheus metrics of one process. Label values come from the configuration, never from callers.

mod config;
mod engines;
mod gpus;
mod register;
mod requests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{Encoder, Error, TextEncoder};

pub use self::config::ConfigMetrics;
pub use self::engines::EngineSample;
pub use self::gpus::GpuSample;
pub use self::requests::GatewayMetrics;

use self::config::unix_time;
use self::engines::EngineMetrics;
use self::gpus::GpuGauges;
use self::register::Register;
use self::requests::{RequestMetrics, TokenMetrics};

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
    /// How many count in the series with each set of labels.
    counting: Mutex<HashMap<Vec<(&'static str, String)>, usize>>,
    /// Held while engines are sampled: two scrapes at once must not mix.
    sampling: Mutex<()>,
    register: Register,
}

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
            counting: Mutex::default(),
            sampling: Mutex::new(()),
            register,
        })
    }

    /// Somebody counts in series with these labels from now on.
    pub(super) fn begin_series(&self, labels: &[Label<'_>]) {
        *lock(&self.counting).entry(owned(labels)).or_default() += 1;
    }

    /// Somebody counts there no more. With the last one the series end, of all metrics that have these labels.
    pub(super) fn end_series(&self, labels: &[Label<'_>]) {
        let mut counting = lock(&self.counting);
        let key = owned(labels);
        let Some(count) = counting.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            counting.remove(&key);
            self.register.series.iter().for_each(|series| series.forget(labels));
        }
    }

    /// The Prometheus text format (version 0.0.4), with `engines` and `gpus` as they are now.
    ///
    /// # Errors
    /// Never in practice: only if a metric were inconsistent.
    pub fn render(&self, engines: &[EngineSample], gpus: &GpuSample) -> Result<Vec<u8>, Error> {
        let _sampling = lock(&self.sampling);
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

fn owned(labels: &[Label<'_>]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
