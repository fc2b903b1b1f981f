//! Opens a house: finds what an earlier supervisor left, takes over what fits, ends what does not, starts the rest in order.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::control::Control;
use super::crew::Crew;
use super::engine::memory::Memory;
use super::engine::shutdown_signal::{self, ShutdownMode, ShutdownSender, ShutdownSignal};
use super::engine::watcher;
use super::lifecycle::orders::Goal;
use super::process::port::{PortError, Ports};
use super::process::process_tree::ProcessTree;
use super::process::reaper;
use super::process::spawn::Process;
use super::store::adopt::{self, Verdict, Wanted};
use super::store::folder::FolderError;
use super::store::lock::{Lock, LockError};
use super::store::record::{Record, Records};
use super::store::rotate::Rotation;
use super::yard::{Line, Yard};
use super::{Claim, Home, Own, Supervisor};
use crate::api::{StartPhase, Starting};
use crate::config::{Config, EngineUrl, Engines, Gpus, Model};
use crate::engines::health::{Owner, Prober};
use crate::engines::{Address, Engine, EngineClient, EngineRegistry, EngineState, Pool};
use crate::ids::{EngineId, Name};
use crate::inventory::Monitor;
use crate::placement::{self, Demand};

/// How long the start waits for engines that were taken over; one that loads takes longer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// How long an engine that nobody wants any more may take to end. Its requests went with the gateway that had them.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Why no engine was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is of no use.
    #[error("{0}; engine logs and records are kept there")]
    StateDir(String),
    /// Another gateway uses the state directory.
    #[error("{0}")]
    Locked(String),
    /// There is no port for an engine.
    #[error("an engine of `{model}` has no port: {why}")]
    Port {
        /// The model.
        model: Name,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The house was not made from this configuration.
    #[error("the house has no pool for model `{0}`; it must be built from the same configuration")]
    NoPool(Name),
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

/// What an earlier supervisor left.
#[derive(Default)]
struct Left {
    /// To be taken over, by model and replica.
    fit: HashMap<(String, usize), (Record, Process)>,
    /// To be ended, with the reason.
    unfit: Vec<(Record, String)>,
}

/// See [`Supervisor::start`].
pub(super) async fn open(
    config: &Config,
    registry: &EngineRegistry,
    claim: Claim,
    monitor: Monitor,
) -> Result<Supervisor, StartError> {
    let (stopper, stopping) = shutdown_signal::channel();
    let client = Arc::new(EngineClient::default());
    let own = match claim.lock {
        Some(lock) => Some(own(config, registry, &claim.home, lock, monitor, &client, (&stopper, &stopping)).await?),
        None => None,
    };
    let mut guests = Vec::new();
    for model in &config.models {
        if let Engines::Urls(urls) = &model.engines {
            guests.extend(watch(model, &pool_of(registry, model)?, urls, &client, &stopping));
        }
    }
    Ok(Supervisor { own, guests, stopper })
}

fn pool_of(registry: &EngineRegistry, model: &Model) -> Result<Arc<Pool>, StartError> {
    registry.pool(&model.name).ok_or_else(|| StartError::NoPool(model.name.clone()))
}

/// Everything about engines of ours.
async fn own(
    config: &Config,
    registry: &EngineRegistry,
    home: &Home,
    lock: Lock,
    monitor: Monitor,
    client: &Arc<EngineClient>,
    (stopper, stopping): (&ShutdownSender, &ShutdownSignal),
) -> Result<Own, StartError> {
    if let Err(error) = reaper::become_subreaper() {
        tracing::warn!(%error, "orphans of engines go to process 1, and are found by their environment only");
    }
    let records = Records::of(&home.state_dir)?;
    let found = records.load()?;
    let yard = Arc::new(Yard {
        logs: home.state_dir.join("logs"),
        records,
        own_exe: home.own_exe.clone(),
        drain: config.timeouts.drain,
        rotation: Rotation {
            size: config.engine_logs.size,
            age: Some(config.engine_logs.age),
            keep: config.engine_logs.keep,
        },
        client: client.clone(),
        stopping: stopping.clone(),
        ports: Mutex::new(Ports::within(config.ports.clone())),
        monitor,
        placed: Mutex::default(),
        placing: Arc::default(),
    });
    let mut crews = Vec::new();
    for model in &config.models {
        if let Engines::Spawn(spawn) = &model.engines {
            let pool = pool_of(registry, model)?;
            pool.set_served_name(Some(model.served_name.as_ref().unwrap_or(&model.name).clone()));
            crews.push(Arc::new(Crew::new(model.clone(), spawn.clone(), pool.clone())));
        }
    }
    let left = sort(&yard, &crews, found).await;
    let (groups, wanting) = match man(&yard, &crews, left.fit) {
        Ok(made) => made,
        Err(error) => {
            // What runs is left as it is, for a start that does not fail.
            stopper.say(ShutdownMode::Leave);
            for member in crews.iter().flat_map(|crew| crew.disband()) {
                let _ = member.task.await;
            }
            return Err(error);
        }
    };
    let engines = crews.iter().flat_map(|crew| crew.lines()).map(|line| line.engine);
    let adopted: Vec<_> = engines.filter(|engine| engine.process.pid().is_some()).collect();
    let opening = tokio::spawn({
        let (yard, mut stopping) = (yard.clone(), stopping.clone());
        async move {
            clear(&yard, left.unfit, &stopping).await;
            // Before anybody starts, so that nobody who wants GPUs looks for them before; and beside the start of the
            // others, as a driver may take long to tell.
            let placing = yard.placing.clone().lock_owned().await;
            let reserved = async {
                tokio::select! {
                    () = yard.reserve(wanting) => {}
                    _ = stopping.asked() => {}
                }
                drop(placing);
            };
            tokio::join!(reserved, start(groups));
        }
    });
    answered(&adopted).await;
    let orphans = tokio::spawn(async {
        if let Err(error) = reaper::run().await {
            tracing::warn!(%error, "orphans of engines are reaped at the end only");
        }
    });
    Ok(Own { control: Control::new(config, yard, crews.clone()), crews, opening, orphans, lock })
}

/// Returns when engines that were taken over have answered, or soon: callers who come at once need not hear that a model
/// which serves is loading.
async fn answered(adopted: &[Arc<Engine>]) {
    let answered = adopted.iter().map(|engine| engine.reached(|state| !matches!(state, EngineState::Starting(_))));
    let _ = timeout(ANSWERED_WITHIN, futures::future::join_all(answered)).await;
}

/// Tells what fits the configuration from what does not.
async fn sort(yard: &Yard, crews: &[Arc<Crew>], found: Vec<Record>) -> Left {
    let mut left = Left::default();
    for record in found {
        let crew = crews.iter().find(|crew| *crew.model.name == *record.model && record.replica < crew.spawn.replicas);
        let gpus = Some(record.gpus.clone()).filter(|gpus| !gpus.is_empty());
        let wanted = crew.map(|crew| {
            let spec = yard.recipe(crew, record.replica, gpus, record.port).fingerprint();
            // Where any will do, those it has are wanted.
            let gpus = match &crew.spawn.gpus {
                Gpus::Any(count) if *count == record.gpus.len() => record.gpus.clone(),
                Gpus::Any(_) | Gpus::AsVisible => vec![],
                Gpus::Listed(gpus) => match placement::share(gpus, crew.spawn.replicas, record.replica) {
                    same if same == record.listed => record.gpus.clone(),
                    other => other.to_vec(),
                },
            };
            (spec, gpus)
        });
        let looked = record.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let wanted = wanted.as_ref().map(|(spec, gpus)| Wanted { spec, gpus: Some(gpus) });
            adopt::judge(&looked, &adopt::facts(&looked), wanted.as_ref())
        })
        .await;
        match judged {
            Ok(Verdict::Adopt(leader)) => match Process::adopt(leader, &record.marker()) {
                Ok(process) => {
                    left.fit.insert((record.model.clone(), record.replica), (record, process));
                }
                // It ended just now.
                Err(why) => left.unfit.push((record, why)),
            },
            Ok(Verdict::Misfit(why)) => left.unfit.push((record, why)),
            Ok(Verdict::Dead { .. }) if record.process.is_none() => {
                left.unfit.push((record, "its gateway was killed while it was being started".into()));
            }
            Ok(Verdict::Dead { .. }) => left.unfit.push((record, "its first process is gone".into())),
            Err(error) => left.unfit.push((record, error.to_string())),
        }
    }
    left
}

/// Engines that are started together, by start order; those without one come last.
type Groups = BTreeMap<(bool, u32), Vec<Turn>>;

/// An engine of a group.
struct Turn {
    line: Line,
    /// Whether it was taken over: it runs, and the next group waits for it all the same.
    adopted: bool,
}

/// The group of a crew's engines.
fn group(crew: &Crew) -> (bool, u32) {
    (crew.spawn.start_order.is_none(), crew.spawn.start_order.unwrap_or_default())
}

/// Engines that are to be given GPUs, and what each wants.
type Wanting = Vec<(Arc<Engine>, Demand)>;

/// Makes the engines of all crews: those that were left are taken over at once, the others wait for their group's turn.
fn man(
    yard: &Arc<Yard>,
    crews: &[Arc<Crew>],
    mut fit: HashMap<(String, usize), (Record, Process)>,
) -> Result<(Groups, Wanting), StartError> {
    // Everything that can fail comes first: nothing is taken over or started by a start that fails.
    let mut adopted = Vec::new();
    let mut fresh = Vec::new();
    for crew in crews {
        let port_error = |error: PortError| StartError::Port { model: crew.model.name.clone(), why: error.to_string() };
        for replica in 0..crew.spawn.replicas {
            if let Some((record, process)) = fit.remove(&(crew.model.name.to_string(), replica)) {
                if let Some(port) = yard.port_of(&record).map_err(port_error)? {
                    adopted.push((crew, record, port, process));
                    continue;
                }
                let why = format!("another gateway claims the port {} of {}", record.port, record.engine);
                release_all(adopted.into_iter().map(|(.., process)| process).chain([process]));
                return Err(StartError::Port { model: crew.model.name.clone(), why });
            }
            fresh.push((crew, replica));
        }
    }
    let mut made = Vec::new();
    for (crew, replica) in fresh {
        let port_error = |error: PortError| StartError::Port { model: crew.model.name.clone(), why: error.to_string() };
        match yard.port().map_err(port_error) {
            Ok(port) => made.push((crew, replica, port)),
            Err(error) => {
                release_all(adopted.into_iter().map(|(.., process)| process));
                return Err(error);
            }
        }
    }
    // What runs keeps its GPUs; the others are placed around it.
    let (mut groups, mut wanting) = (Groups::new(), Wanting::new());
    for (crew, record, port, process) in adopted {
        crew.learn_adapters(&record);
        let member = yard.adopt(crew, record, port, process);
        groups.entry(group(crew)).or_default().push(Turn { line: member.line(), adopted: true });
        crew.add(member);
    }
    for (crew, replica, port) in made {
        let member = yard.make(crew, replica, None, port);
        if crew.spawn.gpus != Gpus::AsVisible {
            wanting.push((member.engine.clone(), placement::demand(&crew.model, &crew.spawn, replica)));
        }
        groups.entry(group(crew)).or_default().push(Turn { line: member.line(), adopted: false });
        crew.add(member);
    }
    for crew in crews {
        crew.pool.set_adapters(crew.adapters.load().keys().cloned().collect());
    }
    Ok((groups, wanting))
}

/// A start that fails leaves what runs as it is, for the next one.
fn release_all(processes: impl Iterator<Item = Process>) {
    for process in processes {
        process.release();
    }
}

/// Ends what an earlier supervisor left and nobody wants any more, before anything new needs its memory.
async fn clear(yard: &Yard, unfit: Vec<(Record, String)>, stopping: &ShutdownSignal) {
    let ended = unfit.into_iter().map(|(record, why)| async move {
        let engine = &record.engine;
        let pid = record.process.as_ref().map(|process| process.pid);
        tracing::info!(%engine, pid, why, "an engine that an earlier gateway left is ended");
        let memory = Memory::new(yard.monitor.clone(), record.gpus.clone());
        let kin = ProcessTree::new(record.marker(), None);
        let pids =
            tokio::task::spawn_blocking(move || kin.find().iter().map(|seen| seen.who.pid.cast_unsigned()).collect());
        let watch = memory.watch_pids(pids.await.unwrap_or_default());
        for survivor in adopt::end(&yard.records, &record, END_WITHIN).await {
            tracing::error!(%engine, process = %survivor, "it survives SIGKILL; it may hold a GPU and a port");
        }
        let (id, mut stopping) = (EngineId::new(&record.model, record.replica), stopping.clone());
        tokio::select! {
            () = watch.freed(&id) => {}
            _ = stopping.asked() => {}
        }
    });
    futures::future::join_all(ended).await;
}

/// Starts one group after the other: the next one when all of the one before are ready or have failed.
async fn start(groups: Groups) {
    for (group, turns) in &groups {
        let (_, order) = group;
        for Turn { line, adopted } in groups.range((Excluded(group), Unbounded)).flat_map(|(_, turns)| turns) {
            // Not those that an operator has started or stopped meanwhile.
            if !adopted
                && line.engine.process.pid().is_none()
                && matches!(*line.engine.state(), EngineState::Starting(_))
            {
                let waiting = Starting { waits_for: Some(*order), ..Starting::at(StartPhase::Waiting) };
                line.engine.publish(EngineState::Starting(waiting));
            }
        }
        futures::future::join_all(turns.iter().map(|turn| turn.line.order(Goal::Start))).await;
    }
}

/// Watches engines that somebody else runs.
fn watch(
    model: &Model,
    pool: &Arc<Pool>,
    urls: &[EngineUrl],
    client: &Arc<EngineClient>,
    stopping: &ShutdownSignal,
) -> Vec<(EngineId, JoinHandle<()>)> {
    let guest = |(replica, url): (usize, &EngineUrl)| {
        let address = Address { url: url.clone(), api_key: model.api_key.clone() };
        Arc::new(Engine::new(EngineId::new(&model.name, replica), address, None))
    };
    let engines: Vec<_> = urls.iter().enumerate().map(guest).collect();
    pool.set_engines(engines.clone());
    let watched = engines.into_iter().map(|engine| {
        let prober = Prober::new(model, engine.clone(), pool.clone(), client.clone(), Owner::SomebodyElse);
        let watch = watcher::watch(engine.clone(), prober, Prober::thresholds(model), stopping.clone());
        (engine.id.clone(), tokio::spawn(watch))
    });
    watched.collect()
}
