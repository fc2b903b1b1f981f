//! The composition root: builds every part from the configuration, announces, waits, drains.

mod error;
mod limits;
mod listeners;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use self::error::AppError;
use self::listeners::ListenerChange;
use crate::admin::Admin;
use crate::config::{Config, OnExit};
use crate::discovery::Discovery;
use crate::engines::{EngineClient, EngineRegistry};
use crate::flags;
use crate::inventory::{self, Monitor};
use crate::net::Listeners;
use crate::proxy::ProxyState;
use crate::routing::Snapshot;
use crate::supervisor::{self, Dependencies, Supervisor};
use crate::telemetry::{AccessLog, EventBus, Metrics};

/// Serves `config` until `stop` is ready, then drains and stops the engines. `hurry` cuts the drain short.
///
/// # Errors
/// When an address cannot be bound or the supervisor cannot start; nothing is left running then.
pub async fn serve(
    config: Config,
    access: AccessLog,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> Result<(), AppError> {
    limits::raise_open_files(config.limits.connections);
    let metrics = Arc::new(Metrics::new()?);
    let claim = home(&config).claim(&config)?;
    let (registry, demand) = EngineRegistry::new(config.models.iter().map(|model| model.name.clone()));
    for (pool, model) in registry.pools().iter().zip(&config.models) {
        pool.set_served_name(model.served_name.clone());
    }

    // Claim and addresses first: a taken port must not cost the loading of a model.
    let listeners = Listeners::default();
    let change = ListenerChange::prepare(&config, &listeners, &HashMap::new()).await?;
    let admin_address = config.admin.listen;
    let listen = |source| AppError::Listen { address: admin_address, key: "admin.listen".into(), source };
    let admin_listener = TcpListener::bind(admin_address).await.map_err(listen)?;
    let admin_address = admin_listener.local_addr().map_err(listen)?;

    // A driver that hangs must keep nobody waiting: a thread of its own asks it.
    let monitor = Monitor::start(inventory::named_library().as_deref());
    tell_flags(&config);
    let (client, events) = (Arc::new(EngineClient::default()), EventBus::default());
    let dependencies = Dependencies {
        registry: registry.clone(),
        demand,
        client: client.clone(),
        monitor: monitor.clone(),
        events: events.clone(),
    };
    let supervisor = Supervisor::start(&config, claim, dependencies).await?;
    let discovery = Discovery::start(&config, registry.clone(), client.clone(), events.clone());
    let snapshot = Snapshot::new(&config, &registry, &metrics, change.entries());
    let state = Arc::new(ProxyState::new(snapshot, registry.clone(), client, metrics.clone(), (access, events)));
    let control = supervisor.control();
    control.on_names({
        // Adapters come and go: so do names.
        let (state, config, registry, metrics) = (state.clone(), config.clone(), registry.clone(), metrics.clone());
        move || {
            let entries = state.snapshot().entries().clone();
            state.swap(Snapshot::new(&config, &registry, &metrics, entries));
        }
    });
    change.apply(&listeners, &state);
    let address = listeners.all().first().map_or(config.listen, |(.., bound)| *bound);
    let admin = Admin { registry, control, metrics, monitor, token: config.admin.token.clone() };
    let (admin_stop, admin_stopped) = oneshot::channel::<()>();
    let admin = tokio::spawn(admin.serve(admin_listener, async {
        let _ = admin_stopped.await;
    }));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        models = config.models.len(),
        aliases = config.aliases.len(),
        "serving http://{address}/v1, admin on http://{admin_address}"
    );

    stop.await;
    tracing::info!(patience = ?config.timeouts.drain, "stopping: requests under way may finish");
    state.drain();
    let patience = async {
        tokio::select! {
            () = tokio::time::sleep(config.timeouts.drain) => {
                tracing::warn!("some requests did not finish within timeouts.drain and are cut");
            }
            () = hurry => tracing::warn!("told twice to stop: requests under way are cut"),
        }
    };
    listeners.drain(patience, || state.abort()).await;
    // Whoever had leases is gone or was cut.
    discovery.stop(std::time::Duration::ZERO).await;
    match config.on_exit {
        OnExit::Stop => supervisor.stop(std::time::Duration::ZERO).await,
        OnExit::Keep => supervisor.leave().await,
    }
    let _ = admin_stop.send(());
    // A scraper that does not hang up must not keep us.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), admin).await;
    match config.on_exit {
        OnExit::Stop => tracing::info!("stopped: no engine of ours is left"),
        OnExit::Keep => tracing::info!("stopped: engines run on (`on_exit: keep`); the next gateway takes them over"),
    }
    Ok(())
}

/// Warns of flags that the installed vLLM does not know, as far as `enginehouse check` asked it before: asking takes longer
/// than many an engine takes to fail and say so itself.
fn tell_flags(config: &Config) {
    let options = flags::Options { limit: None, ..flags::Options::from_env(&|name| std::env::var_os(name)) };
    for diagnostic in flags::check(config, &options) {
        match diagnostic.severity {
            flags::Severity::Note => tracing::debug!("{diagnostic}"),
            flags::Severity::Warning | flags::Severity::Error => tracing::warn!("{diagnostic}"),
        }
    }
}

fn home(config: &Config) -> supervisor::Home {
    supervisor::Home {
        state_dir: state_dir(config),
        own_exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("enginehouse")),
    }
}

/// Where the house of `config` keeps its records and engine logs.
#[must_use]
pub fn state_dir(config: &Config) -> PathBuf {
    let folder = config.state_dir.clone().unwrap_or_else(|| state_dirs().join(&config.name));
    // What is written down there is read by those who work elsewhere.
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Where houses have their state directories unless they say otherwise: `$XDG_STATE_HOME/enginehouse`, or
/// `~/.local/state/enginehouse` (XDG Base Directory Specification).
#[must_use]
pub fn state_dirs() -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    var("XDG_STATE_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("enginehouse")
}
