//! The Prometheus metrics of one process. Label values come from the configuration, never from callers.

mod collectors;
mod config;
mod engines;
mod gpus;
mod history;
mod models;
mod openmetrics;
mod process;
mod register;
mod reported;
pub(super) mod requests;
pub(super) mod series;

use std::convert::Infallible;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Error, IntCounter, TextEncoder};

use self::collectors::Collectors;
pub use self::config::ConfigMetrics;
pub use self::requests::GatewayMetrics;

use self::engines::EngineMetrics;
use self::gpus::GpuGauges;
use self::models::ModelMetrics;
use self::process::ProcessMetrics;
use self::register::Register;
use self::requests::{CallerMetrics, RequestMetrics, TokenMetrics};
use self::series::SeriesBook;
use super::book::Book;
use super::caller_meters::CallerMeters;
use super::exemplars::ExemplarBook;
use super::meters::{Meters, RouteKey, RouteMetrics};
use crate::api::{EngineView, GpusView, ModelView};

/// `model` of requests that named none we know.
pub const NO_ROUTE: &str = "none";

/// What is not counted but looked at for each scrape.
#[derive(Debug, Default)]
pub struct Sampled {
    /// All engines.
    pub engines: Vec<EngineView>,
    /// All models.
    pub models: Vec<ModelView>,
    /// GPUs of this machine.
    pub gpus: GpusView,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// What concerns the gateway as a whole.
    pub gateway: GatewayMetrics,
    /// Whether the configuration is the one in the file.
    pub config: ConfigMetrics,
    /// What is counted of requests, by route.
    meters: Arc<Book<Meters>>,
    /// What is counted of callers.
    callers: Arc<Book<CallerMeters>>,
    engines: EngineMetrics,
    models: ModelMetrics,
    gpus: GpuGauges,
    process: ProcessMetrics,
    series: Arc<SeriesBook>,
    /// Traces that stand for what histograms count.
    pub exemplars: ExemplarBook,
    /// Held while engines are sampled: two scrapes at once must not mix.
    sampling: Mutex<()>,
    collectors: Collectors,
}

impl Metrics {
    /// Fresh metrics.
    ///
    /// # Errors
    /// Never in practice: only if two metrics had one name.
    pub fn new() -> Result<Self, Error> {
        let mut register = Register::default();
        register.info("build_info", "Always 1; the label has the version.", ("version", env!("CARGO_PKG_VERSION")))?;
        let (requests, tokens) = (RequestMetrics::new(&mut register)?, TokenMetrics::new(&mut register)?);
        let callers = CallerMetrics::new(&mut register)?;
        let (engines, models) = (EngineMetrics::new(&mut register)?, ModelMetrics::new(&mut register)?);
        let gpus = GpuGauges::new(&mut register)?;
        let (gateway, config) = (GatewayMetrics::new(&register)?, ConfigMetrics::new(&register)?);
        let process = ProcessMetrics::new(&register)?;
        let Register { collectors, series } = register;
        let series = Arc::new(SeriesBook::new(series));
        let meters = Arc::new(Book::new(RouteMetrics { requests, tokens }, series.clone()));
        let callers = Arc::new(Book::new(callers, series.clone()));
        Ok(Self {
            gateway,
            config,
            meters,
            callers,
            engines,
            models,
            gpus,
            process,
            series,
            exemplars: ExemplarBook::default(),
            sampling: Mutex::new(()),
            collectors,
        })
    }

    /// Publishes counters that were there before.
    ///
    /// # Errors
    /// They are published already.
    pub fn publish(&self, counters: &[IntCounter]) -> Result<(), Error> {
        counters.iter().try_for_each(|counter| self.collectors.add(counter.clone()))
    }

    /// The meters of `model` as reached through `alias` (empty: by its own name).
    #[must_use]
    pub fn meters(&self, model: &str, alias: &str) -> Arc<Meters> {
        self.meters.meters(RouteKey { model: model.to_owned(), alias: alias.to_owned() })
    }

    /// The meters of the caller called `name`.
    #[must_use]
    pub fn caller_meters(&self, name: &str) -> Arc<CallerMeters> {
        self.callers.meters(name.into())
    }

    /// Requests of a caller since the start, and its tokens for prompt and completion.
    #[must_use]
    pub fn caller_totals(&self, caller: &str) -> (u64, [u64; 2]) {
        self.callers.totals(caller)
    }

    /// The Prometheus text format (version 0.0.4), with what is `sampled` as it is now.
    ///
    /// # Errors
    /// Never in practice: only if a metric were inconsistent.
    pub fn render(&self, sampled: &Sampled) -> Result<Vec<u8>, Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        self.each(sampled, |family| TextEncoder::new().encode(slice::from_ref(family), &mut text))?;
        Ok(text)
    }

    /// The same as OpenMetrics (version 1.0.0), with the traces that stand for what histograms count.
    #[must_use]
    pub fn render_openmetrics(&self, sampled: &Sampled) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let Ok(()) = self.each::<Infallible>(sampled, |family| {
            openmetrics::write_family(&mut text, family, &self.exemplars);
            Ok(())
        });
        text + openmetrics::END
    }

    /// Hands over all that is measured, metric by metric.
    fn each<E>(&self, sampled: &Sampled, tell: impl FnMut(&MetricFamily) -> Result<(), E>) -> Result<(), E> {
        let _sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
        self.meters.publish();
        self.callers.publish();
        self.series.forget();
        self.engines.set(&sampled.engines);
        self.models.set(&sampled.models);
        self.gpus.set(&sampled.gpus);
        self.process.read();
        self.collectors.each(tell)
    }
}
