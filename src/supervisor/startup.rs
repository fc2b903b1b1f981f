//! Prepares what a configuration wants run: claims the state directory, finds what an earlier gateway left there, holds
//! ports. Everything that can fail is here, and nothing is changed by it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::engine::memory::Memory;
use super::engine::shutdown_signal::ShutdownSignal;
use super::folder::{self, FolderError};
use super::launch::launcher::Launcher;
use super::launch::spec::{LaunchSpec, StartedWith};
use super::process::port::{HeldPort, PortError, Ports};
use super::process::process_tree::ProcessTree;
use super::process::procfs::Identity;
use super::process::reaper;
use super::shutdown;
use super::store::lock::{Lock, LockError};
use super::store::orders::Orders;
use super::store::orders_file;
use super::store::record::{Record, Records};
use crate::config::{Config, Engines};
use crate::ids::{EngineId, Name};
use crate::inventory::Monitor;

/// How long an engine that is not wanted any more may take to end. Its requests went with the gateway that had them.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Why no engine was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("{0}; engine logs and records are kept there")]
    StateDir(String),
    /// Another gateway uses the state directory.
    #[error("{0}")]
    Locked(String),
    /// What operators ordered cannot be read.
    #[error(
        "`{}` cannot be read: {why}. It holds what operators ordered of earlier gateways (numbers of replicas, stopped engines). \
         Correct its permissions or its disk, or set `state_dir` to another folder; to do without those orders, move the file away.",
        path.display()
    )]
    Orders {
        /// The file.
        path: PathBuf,
        /// What the system says. It is told already, so it is no source.
        why: std::io::Error,
    },
    /// There is no port for an engine.
    #[error("an engine of `{model}` has no port: {why}")]
    Port {
        /// The model.
        model: Name,
        /// What is wrong, and what to do.
        why: String,
    },
}

impl From<FolderError> for StartError {
    fn from(error: FolderError) -> Self {
        Self::StateDir(error.to_string())
    }
}

impl From<LockError> for StartError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Folder(error) => error.into(),
            other => Self::Locked(other.to_string()),
        }
    }
}

/// What the supervisor is given by whoever starts it.
#[derive(Clone, Debug)]
pub struct Home {
    /// Where engine logs and records are kept. One gateway at a time.
    pub state_dir: PathBuf,
    /// This binary, which `command: [enginehouse, …]` means.
    pub own_exe: PathBuf,
}

impl Home {
    /// Makes sure that the state directory can be written and that no other gateway uses it. It is given back on drop.
    /// Where no engine is run here, now or by an earlier gateway, it need not be fit for use: nothing is claimed then.
    ///
    /// # Errors
    /// What is wrong, with the remedy; when another gateway has it, its pid.
    pub fn claim(self, config: &Config) -> Result<Claim, StartError> {
        let needs_it = runs_engines(config) || Records::are_in(&self.state_dir);
        let lock = match self.lock() {
            Err(StartError::StateDir(why)) if !needs_it => {
                tracing::warn!(
                    "{why}. This gateway runs no engines and goes on without that folder: changes by `enginehouse add` and `remove` \
                     are refused, unless they go to the file (--persist)"
                );
                None
            }
            lock => Some(lock?),
        };
        Ok(Claim { home: self, lock })
    }

    /// Makes the state directory ours alone. The lock comes first: whether files can be written is tried by one gateway at a time.
    pub(super) fn lock(&self) -> Result<Lock, StartError> {
        let lock = folder::make(&self.state_dir).map_err(StartError::from);
        let lock = lock.and_then(|()| Lock::take(&self.state_dir).map_err(StartError::from));
        if let Err(StartError::Locked(_)) = lock {
            return lock;
        }
        if let Err(error) = folder::writable(&self.state_dir.join("logs")) {
            let left = shutdown::processes(&self.state_dir).len();
            if left == 0 {
                return Err(error.into());
            }
            tracing::error!(
                processes = left,
                "{error}. Engines of an earlier gateway run and are taken over all the same. Until this is corrected, engines \
                 that are started have no log, and if this gateway is killed the next one may not find them"
            );
        }
        lock
    }
}

/// Whether `config` has engines run here.
pub(super) fn runs_engines(config: &Config) -> bool {
    config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_)))
}

/// A state directory that is ours alone, or that is not needed yet.
#[derive(Debug)]
pub struct Claim {
    pub(super) home: Home,
    /// `None`: nothing is kept there.
    pub(super) lock: Option<Lock>,
}

/// All that is needed to run what a configuration wants; dropped, it changes nothing.
pub struct Prepared {
    /// How the engines of each model are run.
    pub(super) specs: Vec<LaunchSpec>,
    /// Names that mean something else than an adapter.
    pub(super) reserved: Vec<Name>,
    /// The state directory, where it was not ours before.
    pub(super) claimed: Option<Claimed>,
    /// What an earlier gateway left there.
    pub(super) found: Found,
    /// Ports of engines that are to be started.
    pub(super) ports: Vec<HeldPort>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("models", &self.specs.len()).finish_non_exhaustive()
    }
}

/// A state directory that is ours from now on.
pub(super) struct Claimed {
    pub(super) lock: Lock,
    pub(super) state_dir: PathBuf,
    pub(super) launcher: Launcher,
    /// What operators ordered of the gateway before us.
    pub(super) orders: Orders,
}

/// What an earlier gateway left.
#[derive(Default)]
pub(super) struct Found {
    /// To be taken over.
    pub(super) fit: Vec<FoundEngine>,
    /// To be ended.
    pub(super) unfit: Vec<Unfit>,
}

/// An engine that is to be taken over.
pub(super) struct FoundEngine {
    pub(super) record: Box<Record>,
    pub(super) leader: Identity,
    pub(super) port: HeldPort,
}

/// An engine that is to be ended, and why.
pub(super) type Unfit = (Box<Record>, String);

/// What runs already.
pub(super) struct Running {
    /// What operators ordered.
    pub(super) orders: Orders,
    /// The engines of each model that are not about to end.
    pub(super) engines: BTreeMap<Name, usize>,
}

/// Prepares what `config` wants, beside what is `running`. `lock`: of the state directory, where it was not ours before.
///
/// # Errors
/// What is wrong, with the remedy.
pub(super) async fn prepare(
    config: &Config,
    home: &Home,
    ports: &Mutex<Ports>,
    lock: Option<Lock>,
    mut running: Running,
) -> Result<Prepared, StartError> {
    let specs = LaunchSpec::read_all(config, &home.own_exe).await;
    let models = config.models.iter().map(|model| model.name.clone());
    let reserved = models.chain(config.aliases.iter().map(|alias| alias.name.clone())).collect();
    let (mut claimed, mut found) = (None, Found::default());
    if let Some(lock) = lock {
        if let Err(error) = reaper::become_subreaper() {
            tracing::warn!(%error, "orphans of engines go to process 1, and are found by their environment only");
        }
        let launcher = Launcher::new(&home.state_dir)?;
        found = survey(&launcher, &specs, ports).await?;
        running.orders = orders_file::read(&home.state_dir)
            .map_err(|why| StartError::Orders { path: orders_file::path(&home.state_dir), why })?;
        for engine in &found.fit {
            *running.engines.entry(engine.record.model.as_str().into()).or_default() += 1;
        }
        let orders = running.orders.clone();
        claimed = Some(Claimed { lock, state_dir: home.state_dir.clone(), launcher, orders });
    }
    let mut held = Vec::new();
    for spec in &specs {
        let name = &spec.model.name;
        let wanted = running.orders.replicas(name, spec.spawn.replicas);
        if spec.spawn.port.is_some() {
            for port in (0..wanted).filter_map(|replica| spec.port(replica)) {
                if !locked(ports).is_held(port) {
                    held.push(locked(ports).hold_exactly(port).map_err(|error| no_port(name, &error))?);
                }
            }
            continue;
        }
        for _ in running.engines.get(name).copied().unwrap_or(0)..wanted {
            let mut port = locked(ports).hold().map_err(|error| no_port(name, &error));
            if let Err(StartError::Port { why, .. }) = &mut port
                && wanted != spec.spawn.replicas
            {
                *why += &format!(
                    " (it was given {wanted} replicas at run time: to have `replicas` of the configuration count again, stop \
                     the gateway and remove orders.json from its state directory)"
                );
            }
            held.push(port?);
        }
    }
    Ok(Prepared { specs, reserved, claimed, found, ports: held })
}

fn locked(ports: &Mutex<Ports>) -> std::sync::MutexGuard<'_, Ports> {
    ports.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_port(model: &Name, error: &PortError) -> StartError {
    StartError::Port { model: model.clone(), why: error.to_string() }
}

/// Tells what can be taken over from what is to be ended. What serves is taken over also where it was started otherwise:
/// it is replaced like after a change of the configuration, so that nobody misses it.
async fn survey(launcher: &Launcher, specs: &[LaunchSpec], ports: &Mutex<Ports>) -> Result<Found, StartError> {
    let mut found = Found::default();
    for record in launcher.list().await?.into_iter().map(Box::new) {
        let spec = specs.iter().find(|spec| *spec.model.name == *record.model);
        match (spec, Launcher::observe(&record).await) {
            (Some(spec), Ok(Some(leader))) => {
                let difference = spec.difference(record.replica, &StartedWith::from(&*record));
                if let Some(why) = difference.filter(|_| !record.served || record.asleep.is_some()) {
                    found.unfit.push((record, why));
                    continue;
                }
                let port = locked(ports).adopt(record.port).map_err(|error| no_port(&spec.model.name, &error))?;
                let Some(port) = port else {
                    let why = format!("another gateway claims the port {} of {}", record.port, record.engine);
                    return Err(StartError::Port { model: spec.model.name.clone(), why });
                };
                found.fit.push(FoundEngine { record, leader, port });
            }
            (None, Ok(Some(_))) => {
                found.unfit.push((record, "the configuration has no such model any more".into()));
            }
            (_, Ok(None)) if record.is_trail() => {
                found
                    .unfit
                    .push((record, "its record is damaged or gone, and its processes do not tell enough".into()));
            }
            (_, Ok(None)) if record.process.is_none() => {
                found.unfit.push((record, "its gateway was killed while it was being started".into()));
            }
            (_, Ok(None)) => found.unfit.push((record, "its first process is gone".into())),
            (_, Err(why)) => found.unfit.push((record, why)),
        }
    }
    Ok(found)
}

/// Ends what an earlier gateway left and is not wanted any more, and waits until its GPU memory is free.
pub(super) async fn clear(launcher: &Launcher, monitor: &Monitor, unfit: Vec<Unfit>, shutdown: &ShutdownSignal) {
    let ended = unfit.into_iter().map(|(record, why)| async move {
        let engine = &record.engine;
        let pid = record.process.as_ref().map(|process| process.pid);
        tracing::info!(%engine, pid, why, "an engine that an earlier gateway left is ended");
        let memory = Memory::new(monitor.clone(), record.gpus.clone());
        let tree = ProcessTree::new(record.marker(), None);
        let pids = tokio::task::spawn_blocking(move || {
            tree.find().iter().map(|info| info.who.pid.cast_unsigned()).collect::<Vec<_>>()
        });
        let pids = pids.await.unwrap_or_default();
        tokio::select! {
            _ = launcher.end(&record, END_WITHIN) => {}
            () = shutdown.hurried() => drop(launcher.end(&record, Duration::ZERO).await),
        }
        let id = EngineId::new(&record.model, record.replica);
        tokio::select! {
            () = memory.freed(&id, &pids) => {}
            _ = shutdown.asked() => {}
        }
    });
    futures::future::join_all(ended).await;
}
