//! Reloads the configuration while requests are served: read, check, compare, prepare everything that can fail, and only then
//! change what is in use.

mod difference;
mod entries;
mod publisher;
mod report;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

pub(super) use self::publisher::Publisher;
use self::report::{engine_error, errors, listen_error};
use super::AppError;
use super::listeners::AddressPlan;
use super::ready_file::ReadyFile;
use super::source::{Basis, Source};
use crate::admin::{Configuration, ConfigurationError, EntryChange, Token};
use crate::api::{
    ConfigChange, ConfigError, Event, OverlayView, ReloadCause, ReloadOutcome, ReloadReport, SettingChange,
};
use crate::config::{Config, Diagnostics};
use crate::discovery::Discovery;
use crate::net::Listeners;
use crate::proxy::ProxyState;
use crate::supervisor::Control;
use crate::telemetry::{EventBus, Logs, Metrics, RequestHistory};

/// What a reload changes, besides the snapshot.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) listeners: Arc<Listeners>,
    pub(super) state: Arc<ProxyState>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) control: Control,
    pub(super) discovery: Arc<Discovery>,
    pub(super) logs: Logs,
    pub(super) token: Token,
    /// Where the operators' server listens as long as this process lives.
    pub(super) admin: SocketAddr,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: EventBus,
    pub(super) requests: RequestHistory,
    pub(super) ready_file: Option<ReadyFile>,
}

/// How long the file may take to be read.
const READ: Duration = Duration::from_secs(10);

/// Reloads the configuration, one at a time.
#[derive(Debug)]
pub(super) struct Reloader {
    source: Source,
    parts: Parts,
    /// What the configuration in use was made of.
    basis: ArcSwap<Basis>,
    /// Held from the reading of the file to the last change.
    one: Mutex<()>,
    /// The gateway ends.
    is_closed: AtomicBool,
    last: ArcSwapOption<ReloadReport>,
    /// `watch` of the configuration in use.
    watch: watch::Sender<bool>,
}

impl Reloader {
    /// # Errors
    /// When the ready file cannot be written.
    pub(super) fn new(source: Source, basis: Basis, parts: Parts) -> Result<Self, AppError> {
        parts.metrics.config.overlaid(basis.overlay.0.len(), basis.disabled.len());
        basis.disabled.iter().map(report::disabled_view).for_each(|entry| report::log_disabled(&entry));
        let watch = watch::Sender::new(parts.publisher.config().watch);
        if let Some(file) = &parts.ready_file {
            file.write(&parts.listeners, parts.state.snapshot().entries()).map_err(AppError::ReadyFile)?;
        }
        Ok(Self {
            source,
            parts,
            basis: ArcSwap::from_pointee(basis),
            one: Mutex::default(),
            is_closed: AtomicBool::default(),
            last: ArcSwapOption::empty(),
            watch,
        })
    }

    /// Where the configuration comes from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// What it changes.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Nothing is reloaded any more once this returns; but one reload that hangs is not waited for.
    pub(super) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        drop(timeout(READ, self.one.lock()).await);
    }

    /// Whether the file is to be watched.
    pub(super) fn watched(&self) -> watch::Receiver<bool> {
        self.watch.subscribe()
    }

    /// Reloads the file and tells everybody what became of it.
    ///
    /// # Errors
    /// When the gateway is shutting down.
    pub(super) async fn reload(&self, cause: ReloadCause) -> Result<ReloadReport, ConfigurationError> {
        let _one = self.one.lock().await;
        self.still_open()?;
        let result = match self.read().await {
            Ok(made) => self.apply(made, async || Ok(())).await,
            Err(errors) => Err(ConfigurationError::Invalid(errors)),
        };
        let (outcome, change, errors) = match result {
            Ok(change) if change.changes_nothing() => (ReloadOutcome::Unchanged, change, vec![]),
            Ok(change) => (ReloadOutcome::Applied, change, vec![]),
            Err(ConfigurationError::Invalid(errors)) => (ReloadOutcome::Rejected, ConfigChange::default(), errors),
            Err(error) => return Err(error),
        };
        let report = self.report(outcome, cause, change, errors);
        match outcome {
            ReloadOutcome::Rejected => self.parts.metrics.config.rejected(),
            _ => self.parts.metrics.config.loaded(report.change.restart_required.len()),
        }
        self.last.store(Some(Arc::new(report.clone())));
        self.tell(&report);
        Ok(report)
    }

    fn still_open(&self) -> Result<(), ConfigurationError> {
        if self.is_closed.load(Ordering::Acquire) { Err(ConfigurationError::ShuttingDown) } else { Ok(()) }
    }

    /// A file system may hang: it must not keep a worker.
    async fn read(&self) -> Result<(Config, Basis), Vec<ConfigError>> {
        let (source, overlay) = (self.source.clone(), self.basis.load().overlay.clone());
        let read = tokio::task::spawn_blocking(move || {
            if source.is_pipe() {
                let text = "This is a pipe or a device, which can be read only once. Start the gateway with a file to reload it.";
                return Err(vec![report::error(text.into())]);
            }
            source.read().and_then(|layers| source.merge(layers, overlay)).map_err(|found| errors(&found))
        });
        let failed = |why: String| Err(vec![report::error(format!("The file could not be read: {why}."))]);
        match timeout(READ, read).await {
            Ok(result) => result.unwrap_or_else(|error| failed(error.to_string())),
            Err(_) => failed(format!("its file system did not answer in {} seconds", READ.as_secs())),
        }
    }

    /// Puts a configuration in use, after `commit` has written what is to last: what changed.
    async fn apply(
        &self,
        (mut config, basis): (Config, Basis),
        commit: impl AsyncFnOnce() -> Result<(), ConfigurationError>,
    ) -> Result<ConfigChange, ConfigurationError> {
        let parts = &self.parts;
        let running = parts.publisher.config();
        let restart_required = difference::difference(&running, &config).restart_required;
        difference::keep_what_needs_a_restart(&running, &mut config);
        let addresses = self.addresses(&config);
        let change = self.compared(&running, &config, &addresses, restart_required).await;
        if change.changes_nothing() {
            commit().await?;
            parts.publisher.keep(config.into());
            self.keep(basis);
            return Ok(change);
        }
        let invalid = ConfigurationError::Invalid;
        let taken = |error| invalid(listen_error(&error, &config));
        addresses.check(parts.admin).map_err(taken)?;
        let addresses = addresses.bind(&parts.listeners).await.map_err(taken)?;
        let engines = parts.control.prepare(&config).await.map_err(|error| invalid(engine_error(error)))?;
        parts.logs.apply(&config.log).map_err(|text| invalid(vec![report::error(text)]))?;
        commit().await?;

        // From here on nothing can fail.
        self.keep(basis);
        let config = Arc::new(config);
        // Before the snapshot: what is gathered by other terms from here on is not kept.
        parts.requests.keep_bodies(&config.aliases);
        parts.publisher.publish(config.clone(), addresses.entries());
        // After the snapshot: a name may lead elsewhere now, and its model be one that ends.
        parts.control.apply(engines).await;
        parts.discovery.apply(&config).await;
        addresses.apply(&parts.listeners, &parts.state).await;
        parts.token.set(config.admin.token.clone());
        self.watch.send_replace(config.watch);
        if let Some(Err(error)) =
            parts.ready_file.as_ref().map(|file| file.write(&parts.listeners, parts.state.snapshot().entries()))
        {
            tracing::warn!(%error, "cannot write --ready-file");
        }
        Ok(change)
    }

    fn keep(&self, basis: Basis) {
        self.parts.metrics.config.overlaid(basis.overlay.0.len(), basis.disabled.len());
        self.basis.store(Arc::new(basis));
    }

    /// What `config` changes, compared with what is `running`.
    async fn compared(
        &self,
        running: &Config,
        config: &Config,
        addresses: &AddressPlan,
        restart_required: Vec<SettingChange>,
    ) -> ConfigChange {
        let difference = difference::difference(running, config);
        ConfigChange {
            models: difference.models,
            aliases: difference.aliases,
            callers: difference.callers,
            engines: self.parts.control.plan(config).await,
            listeners: addresses.changes(),
            settings: difference.settings,
            restart_required,
        }
    }

    fn addresses(&self, config: &Config) -> AddressPlan {
        AddressPlan::new(config, &self.parts.listeners, self.parts.state.snapshot().entries())
    }

    fn tell(&self, report: &ReloadReport) {
        report::log(report, &self.source.title());
        self.parts.events.publish(&Event::Reload(report.clone()));
    }
}

#[async_trait]
impl Configuration for Reloader {
    async fn reload(&self) -> Result<ReloadReport, ConfigurationError> {
        Self::reload(self, ReloadCause::Api).await
    }

    async fn plan(&self, text: &str) -> Result<ConfigChange, ConfigurationError> {
        self.still_open()?;
        let running = self.parts.publisher.config();
        let invalid = |found: Diagnostics| ConfigurationError::Invalid(errors(&found));
        let basis = self.basis.load_full();
        let (source, layers) = (self.source.clone(), basis.layers.in_place(text));
        // It takes as long as the text is, and reads files: no thread that serves callers does it.
        let merging = tokio::task::spawn_blocking(move || source.merge_anew(layers, basis.overlay.clone()));
        let broken =
            |error| ConfigurationError::Invalid(vec![report::error(format!("the text was not read: {error}"))]);
        let (mut config, _) = merging.await.map_err(broken)?.map_err(invalid)?;
        let restart_required = difference::difference(&running, &config).restart_required;
        difference::keep_what_needs_a_restart(&running, &mut config);
        let addresses = self.addresses(&config);
        let taken = |error| ConfigurationError::Invalid(listen_error(&error, &config));
        addresses.check(self.parts.admin).and_then(|()| addresses.probe()).map_err(taken)?;
        Ok(self.compared(&running, &config, &addresses, restart_required).await)
    }

    async fn change(&self, change: EntryChange) -> Result<ReloadReport, ConfigurationError> {
        self.change_entry(change).await
    }

    fn overlay(&self) -> OverlayView {
        Self::overlay(self)
    }

    fn current(&self) -> Arc<Config> {
        self.parts.publisher.config()
    }

    fn file(&self) -> String {
        self.source.title()
    }

    fn last(&self) -> Option<Arc<ReloadReport>> {
        self.last.load_full()
    }
}
