//! A gateway with all its parts: how it starts, and how it ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};

use super::listeners::{AddressPlan, BoundPlan};
use super::operators::Operators;
use super::ready_file::ReadyFile;
use super::reload::{Parts, Publisher, Reloader};
use super::running_file::RunningFile;
use super::source::Source;
use super::watch::watch_file;
use super::{AppError, Request, limits, state_dir, traces};
use crate::admin::{Admin, AuditLog, Operations, Snapshots, Started, Token};
use crate::api::ReloadCause;
use crate::config::{Config, OnExit, Severity};
use crate::discovery::Discovery;
use crate::engines::{EngineClient, EngineRegistry};
use crate::flags;
use crate::inventory::{self, Monitor};
use crate::net::Listeners;
use crate::proxy::ProxyState;
use crate::routing::Snapshot;
use crate::supervisor::{Claim, Dependencies, Home, Supervisor};
use crate::telemetry::{Collector, EventBus, LogHistory, Logs, Metrics, RequestHistory, Traces};

/// Everything that runs.
pub(super) struct Gateway {
    listeners: Arc<Listeners>,
    state: Arc<ProxyState>,
    publisher: Arc<Publisher>,
    reloader: Arc<Reloader>,
    supervisor: Supervisor,
    discovery: Arc<Discovery>,
    operators: Operators,
    traces: Option<Traces>,
    /// Told when an operator wants all to end.
    shutdown: Arc<Notify>,
    running: RunningFile,
}

/// All engines, and those who look after them.
struct Engines {
    registry: Arc<EngineRegistry>,
    supervisor: Supervisor,
    discovery: Arc<Discovery>,
    client: Arc<EngineClient>,
    monitor: Monitor,
    events: EventBus,
}

impl Engines {
    async fn start(config: &Config, claim: Claim) -> Result<Self, AppError> {
        let (registry, demand) = EngineRegistry::new(config.models.iter().map(|model| model.name.clone()));
        registry.set_required(config.readiness.required.iter().map(|name| name.as_str().into()));
        // A driver that hangs must keep nobody waiting: a thread of its own asks it.
        let monitor = Monitor::start(inventory::named_library().as_deref());
        tell_flags(config);
        let (client, events) = (Arc::new(EngineClient::default()), EventBus::default());
        let dependencies = Dependencies {
            registry: registry.clone(),
            demand,
            client: client.clone(),
            monitor: monitor.clone(),
            events: events.clone(),
        };
        let supervisor = Supervisor::start(config, claim, dependencies).await?;
        let discovery = Arc::new(Discovery::start(config, registry.clone(), client.clone(), events.clone()));
        Ok(Self { registry, supervisor, discovery, client, monitor, events })
    }
}

/// Addresses that are ours, before anything serves there.
struct Bound {
    addresses: BoundPlan,
    admin: std::net::TcpListener,
    admin_address: SocketAddr,
}

impl Bound {
    async fn new(config: &Config) -> Result<Self, AppError> {
        let addresses =
            AddressPlan::new(config, &Listeners::default(), &HashMap::new()).bind(&Listeners::default()).await?;
        let address = config.admin.listen;
        let failed = |why| AppError::Listen { address, key: "admin.listen".into(), why };
        let admin = TcpListener::bind(address).await.and_then(TcpListener::into_std).map_err(failed)?;
        let admin_address = admin.local_addr().map_err(failed)?;
        Ok(Self { addresses, admin, admin_address })
    }
}

/// Says where it serves: callers, and operators.
fn tell_addresses(config: &Config, listeners: &Listeners, (callers, operators): (SocketAddr, SocketAddr)) {
    if config.callers.is_empty() {
        warn_of_open(listeners.all().into_iter().map(|(.., bound)| bound));
    }
    let (version, models, aliases) = (env!("CARGO_PKG_VERSION"), config.models.len(), config.aliases.len());
    tracing::info!(version, models, aliases, "serving http://{callers}/v1, admin on http://{operators}");
}

/// Warns of addresses that other machines can reach, where nobody needs a key.
fn warn_of_open(bound: impl Iterator<Item = SocketAddr>) {
    let open: Vec<String> = bound.filter(|it| !it.ip().to_canonical().is_loopback()).map(|it| it.to_string()).collect();
    if !open.is_empty() {
        let open = open.join(" or ");
        tracing::warn!("everybody who can reach {open} may send requests: the configuration has no `callers`");
    }
}

impl Gateway {
    /// Starts every part of `config`.
    pub(super) async fn start(
        source: Source,
        config: Config,
        logs: Logs,
        ready_file: Option<PathBuf>,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new()?);
        metrics.publish(logs.lost())?;
        let traces = traces::start(&metrics)?;
        // Claim and addresses first: a taken port must not cost the loading of a model.
        let claim = home(&config).claim(&config)?;
        let (config, basis) = source.with_overlay(&config)?;
        limits::raise_open_files(&config);
        let bound = Bound::new(&config).await?;
        let Engines { registry, supervisor, discovery, client, monitor, events } =
            Engines::start(&config, claim).await?;
        let (control, config) = (supervisor.control(), Arc::new(config));
        let (collector, requests) = Collector::new(events.clone(), logs.lost_requests());
        collector.history().keep_bodies(&config.aliases);
        let state = Arc::new(ProxyState::new(
            Snapshot::new(&config, &registry, &metrics, bound.addresses.entries()),
            registry.clone(),
            client.clone(),
            metrics.clone(),
            (logs.access(), requests, traces.as_ref().map(Traces::tracer)),
        ));
        let publisher = Arc::new(Publisher::new(state.clone(), registry.clone(), metrics.clone(), config.clone()));
        control.on_names({
            // Adapters come and go: so do names.
            let publisher = publisher.clone();
            move || publisher.refresh()
        });
        // At a start nothing has to go first, so nothing can fail.
        let listeners = Arc::new(Listeners::default());
        bound.addresses.apply(&listeners, &state).await;
        let history = logs.history();
        let parts = Parts {
            listeners: listeners.clone(),
            state: state.clone(),
            publisher: publisher.clone(),
            control,
            discovery: discovery.clone(),
            logs,
            token: Token::of(config.admin.token.clone()),
            admin: bound.admin_address,
            metrics: metrics.clone(),
            events,
            requests: collector.history(),
            ready_file: ready_file.map(|file| ReadyFile::new(file, bound.admin_address)),
        };
        // Before the ready file: who has waited for that one finds the gateway.
        let running = RunningFile::write(
            &publisher.config(),
            Path::new(&source.title()),
            bound.admin_address,
            parts.token.local(),
        );
        let reloader = Arc::new(Reloader::new(source, basis, parts)?);
        let address = listeners.all().first().map_or(config.listen, |(.., bound)| *bound);
        let shutdown = Arc::new(Notify::new());
        let admin = admin(&reloader, (registry, client, monitor), (collector.history(), history), shutdown.clone());
        let operators = Operators::start(admin, collector, bound.admin).map_err(AppError::Thread)?;
        tell_addresses(&config, &listeners, (address, bound.admin_address));
        Ok(Self { listeners, state, publisher, reloader, supervisor, discovery, operators, traces, shutdown, running })
    }

    /// Serves until it is asked to stop. A reload that takes its time keeps nobody from stopping.
    pub(super) async fn serve(&self, requests: &mut mpsc::Receiver<Request>) {
        let reload = async |cause| {
            let reloader = self.reloader.clone();
            // In a task of its own: it is not to be left half done.
            let _ = tokio::spawn(async move { reloader.reload(cause).await.map(drop) }).await;
        };
        let watching =
            watch_file(self.reloader.source(), self.reloader.watched(), async || reload(ReloadCause::Watch).await);
        let (ask, mut asked) = mpsc::channel(1);
        let reloading = async {
            while asked.recv().await.is_some() {
                reload(ReloadCause::Signal).await;
            }
        };
        let listening = async {
            while let Some(Request::Reload) = requests.recv().await {
                // One that waits already will read the file as it is now.
                let _ = ask.try_send(());
            }
        };
        tokio::select! {
            () = listening => {}
            () = reloading => {}
            () = watching => {}
            () = self.shutdown.notified() => tracing::info!("an operator shuts the gateway down"),
        }
    }

    /// Lets requests finish, then ends the engines or leaves them, as the configuration says.
    pub(super) async fn stop(self, requests: mpsc::Receiver<Request>) {
        self.supervisor.control().close();
        self.reloader.close().await;
        let config = self.publisher.config();
        tracing::info!(patience = ?config.timeouts.drain, "stopping: requests under way may finish");
        self.state.drain();
        let signals = Signals::count(requests);
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(config.timeouts.drain) => {
                    tracing::warn!("some requests did not finish within timeouts.drain and are cut");
                }
                () = signals.reach(2) => tracing::warn!("a second signal to stop came: requests under way are cut"),
            }
        };
        self.listeners.drain(patience, || self.state.abort()).await;
        let flushing = self.traces.map(|traces| tokio::spawn(traces.stop()));
        // Whoever had leases is gone or was cut.
        self.discovery.stop(Duration::ZERO).await;
        match config.on_exit {
            OnExit::Stop => {
                let hurry = async {
                    signals.reach(2).await;
                    tracing::warn!("engines are waited for; a third signal to stop kills them");
                    signals.reach(3).await;
                    tracing::warn!("a third signal to stop came: engines that have not ended are killed");
                };
                self.supervisor.stop(Duration::ZERO, hurry).await;
            }
            OnExit::Keep => self.supervisor.leave().await,
        }
        if let Some(flushing) = flushing {
            let _ = flushing.await;
        }
        self.running.remove();
        self.operators.stop().await;
        match config.on_exit {
            OnExit::Stop => tracing::info!("stopped: all engines have ended"),
            OnExit::Keep => {
                tracing::info!("stopped: engines run on (`on_exit: keep`); the next gateway takes them over");
            }
        }
    }
}

/// What the operators' server shows and changes.
fn admin(
    reloader: &Arc<Reloader>,
    (registry, client, monitor): (Arc<EngineRegistry>, Arc<EngineClient>, Monitor),
    (requests, logs): (RequestHistory, LogHistory),
    shutdown: Arc<Notify>,
) -> Admin {
    let parts = reloader.parts();
    Admin {
        registry,
        client,
        control: parts.control.clone(),
        metrics: parts.metrics.clone(),
        monitor,
        configuration: reloader.clone(),
        events: parts.events.clone(),
        snapshots: Snapshots::default(),
        requests,
        logs,
        log_level: parts.logs.level(),
        operations: Operations::new(parts.events.clone()),
        audit: AuditLog::of(&state_dir(&parts.publisher.config())),
        started: Started::now(),
        listeners: parts.listeners.clone(),
        runtime: Handle::current(),
        shutdown,
        token: parts.token.clone(),
    }
}

/// How often the gateway was asked to stop, the first time included.
struct Signals(watch::Receiver<usize>);

impl Signals {
    /// Counts on from the first.
    fn count(mut requests: mpsc::Receiver<Request>) -> Self {
        let (count, counted) = watch::channel(1);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                if request == Request::Stop {
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        Self(counted)
    }

    /// Returns when there were so many.
    async fn reach(&self, number: usize) {
        if self.0.clone().wait_for(|count| *count >= number).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Warns of flags that the installed vLLM does not know, as far as `enginehouse check` asked it before: asking takes longer
/// than many an engine takes to fail and say so itself.
fn tell_flags(config: &Config) {
    let options = flags::Options { limit: None, ..flags::Options::from_env(&|name| std::env::var_os(name)) };
    for diagnostic in flags::check(config, &options) {
        let (place, message) = (diagnostic.place(), diagnostic.message());
        match diagnostic.severity {
            Severity::Note => tracing::debug!("{place}: {message}"),
            Severity::Warning | Severity::Error => tracing::warn!("{place}: {message}"),
        }
    }
}

fn home(config: &Config) -> Home {
    let own_exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("enginehouse"));
    Home { state_dir: state_dir(config), own_exe }
}
