//! Opens a house: finds what an earlier supervisor left, takes over what fits, ends what does not, starts the rest in order.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::adopt::{self, Verdict, Wanted};
use super::ask::Asker;
use super::control::Control;
use super::crew::Crew;
use super::folder::{self, FolderError};
use super::lock::{Lock, LockError};
use super::orders::Goal;
use super::port::{PortError, Ports};
use super::probe::Prober;
use super::record::{Record, Records};
use super::spawn::Process;
use super::stopping::{self, Stopping};
use super::yard::{Line, Yard};
use super::{Home, Supervisor, reaper, watcher};
use crate::config::{Config, EngineUrl, Engines, Gpus, Model};
use crate::engines::{Address, Engine, House, Pool, State};
use crate::ids::{EngineId, Name};

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
    /// There are no GPUs for an engine.
    #[error("{0}")]
    Place(String),
    /// The system does not let us watch over processes.
    #[error("cannot watch over engine processes: {0}")]
    System(#[from] io::Error),
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
    /// To be ended.
    unfit: Vec<Record>,
}

/// See [`Supervisor::start`].
pub(super) async fn open(config: &Config, house: &House, home: &Home) -> Result<Supervisor, StartError> {
    let owns = config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_)));
    // Without engines of ours there may still be some of an earlier configuration.
    let used = owns || home.state_dir.join("engines").is_dir();
    let logs = home.state_dir.join("logs");
    let lock = if used {
        folder::writable(&logs)?;
        Some(Lock::take(&home.state_dir)?)
    } else {
        None
    };
    if owns && let Err(error) = reaper::become_subreaper() {
        tracing::warn!(%error, "orphans of engines go to process 1, and are found by their environment only");
    }
    let records = if used { Records::of(&home.state_dir)? } else { Records::none() };
    let left_records = if used { records.load()? } else { vec![] };

    let (stopper, stopping) = stopping::channel();
    let yard = Arc::new(Yard {
        logs,
        records,
        own_exe: home.own_exe.clone(),
        drain: config.timeouts.drain,
        rotation: config.engine_logs,
        asker: Arc::new(Asker::new()),
        stopping: stopping.clone(),
        ports: Mutex::new(Ports::within(config.ports.clone())),
    });
    let mut crews = Vec::new();
    let mut guests = Vec::new();
    for model in &config.models {
        let pool = house.pool(&model.name).ok_or_else(|| StartError::NoPool(model.name.clone()))?;
        match &model.engines {
            Engines::Urls(urls) => guests.push((model, pool, urls)),
            Engines::Spawn(spawn) => {
                pool.set_served_name(model.served_name.as_ref().unwrap_or(&model.name).clone());
                pool.set_adapters(spawn.lora.keys().cloned().collect());
                crews.push(Arc::new(Crew::new(model.clone(), spawn.clone(), pool.clone())));
            }
        }
    }
    let mut left = sort(&yard, &crews, left_records).await;
    let (begun, fresh) = man(&yard, &crews, &mut left)?;
    for (crew, member) in begun {
        crew.add(member);
    }
    let guests = guests.into_iter().flat_map(|(model, pool, urls)| watch(model, pool, urls, &yard.asker, &stopping));
    let guests = guests.collect();
    let strays = tokio::spawn(async {
        if let Err(error) = reaper::run().await {
            tracing::warn!(%error, "orphans of engines are not reaped until the end");
        }
    });
    let opening = tokio::spawn({
        let yard = yard.clone();
        async move {
            clear(&yard, &left.unfit).await;
            start(fresh).await;
        }
    });
    Ok(Supervisor { control: Control::new(config, yard, crews.clone()), crews, guests, opening, strays, stopper, lock })
}
