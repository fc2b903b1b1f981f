//! The life of engines: starts those of ours, watches all, stops what it started.
//!
//! Read in the order of an engine's life: `command` (what is run), `port`, `spawn` and `group` (the process),
//! `machine` and `vitals` (what is decided), `actor` and `watcher` (who does it), `probe`, `ask`, `cards`
//! and `resolve` (looking at an engine), `logtail` and `reason` (why it failed), `announce` and `stopping`.

mod actor;
mod announce;
mod ask;
mod cards;
mod command;
mod group;
mod logtail;
mod machine;
mod port;
mod probe;
mod ranks;
mod reason;
mod resolve;
mod spawn;
mod stopping;
mod vitals;
mod watcher;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::actor::{Actor, Plan};
use self::ask::Asker;
use self::port::Ports;
use self::probe::Prober;
use self::spawn::Log;
use self::stopping::{Stopper, Stopping};
use crate::config::{Config, EngineUrl, Engines, Gpus, Model, Spawn};
use crate::engines::{Address, Engine, House, Pool};
use crate::ids::{EngineId, Name};

/// What the supervisor is given by whoever starts it.
#[derive(Clone, Debug)]
pub struct Home {
    /// Where engine logs are kept, under `logs/`.
    pub state_dir: PathBuf,
    /// This binary, which `command: [enginehouse, …]` means.
    pub own_exe: PathBuf,
}

/// Why no engine was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is of no use.
    #[error(
        "cannot write to `{path}`: {source}; engine logs are kept there: mend its permissions, make room, or set `state_dir`"
    )]
    StateDir {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no port for an engine.
    #[error("no free port on 127.0.0.1 for an engine of `{model}`: {source}; stop what holds so many")]
    Port {
        /// The model.
        model: Name,
        /// What the system says.
        source: io::Error,
    },
    /// The house was not made from this configuration.
    #[error("the house has no pool for model `{0}`; it must be built from the same configuration")]
    NoPool(Name),
}

/// Everybody who looks after an engine. Dropped without [`Supervisor::stop`], engines run on until the runtime ends,
/// and are killed then.
#[derive(Debug)]
pub struct Supervisor {
    stopper: Stopper,
    tasks: Vec<(EngineId, JoinHandle<()>)>,
}

impl Supervisor {
    /// Puts the engines of every model into its pool in `house`, starts those of ours and watches all. Returns at once:
    /// how each does is told by its state. Call it on a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// When nothing could be started at all; then nothing was.
    pub async fn start(config: &Config, house: &House, home: &Home) -> Result<Self, StartError> {
        let logs = home.state_dir.join("logs");
        if config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_))) {
            writable(&logs).map_err(|(path, source)| StartError::StateDir { path, source })?;
        }
        let (stopper, stopping) = stopping::channel();
        let context = Context { config, home, logs: &logs, asker: Arc::new(Asker::new()), stopping };
        let mut ports = Ports::default();
        let mut crews = Vec::new();
        for model in &config.models {
            let pool = house.pool(&model.name).ok_or_else(|| StartError::NoPool(model.name.clone()))?;
            crews.push((pool, context.crew(model, pool, &mut ports)?));
        }
        let mut tasks = Vec::new();
        for (pool, crew) in crews {
            pool.set_engines(crew.iter().map(|member| member.engine.clone()).collect());
            tasks.extend(crew.into_iter().map(|member| (member.engine.id.clone(), member.start())));
        }
        Ok(Self { stopper, tasks })
    }

    /// Stops all engines at once: they get no more requests, attempts under way may go on for `drain`, then SIGTERM to
    /// the process group, after `stop_timeout` SIGKILL. Returns when nothing of ours is left.
    pub async fn stop(self, drain: Duration) {
        self.stopper.stop(Instant::now() + drain);
        for (engine, task) in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%engine, %error, "whoever looked after an engine came to a bad end; the engine was killed");
            }
        }
    }
}

/// What all engines are made from.
struct Context<'a> {
    config: &'a Config,
    home: &'a Home,
    logs: &'a Path,
    asker: Arc<Asker>,
    stopping: Stopping,
}

/// An engine and whoever will look after it.
struct Member {
    engine: Arc<Engine>,
    keeper: Keeper,
}

enum Keeper {
    Actor(Box<Actor>),
    Watcher(Box<Prober>, vitals::Thresholds, Stopping),
}

impl Member {
    fn start(self) -> JoinHandle<()> {
        match self.keeper {
            Keeper::Actor(actor) => tokio::spawn(actor.run()),
            Keeper::Watcher(prober, needed, stopping) => {
                tokio::spawn(watcher::watch(self.engine, *prober, needed, stopping))
            }
        }
    }
}

impl Context<'_> {
    /// The engines of one model, not started yet.
    fn crew(&self, model: &Model, pool: &Arc<Pool>, ports: &mut Ports) -> Result<Vec<Member>, StartError> {
        match &model.engines {
            Engines::Urls(urls) => {
                Ok(urls.iter().enumerate().map(|(replica, url)| self.guest(model, pool, replica, url)).collect())
            }
            Engines::Spawn(spawn) => {
                pool.set_served_name(model.served_name.as_ref().unwrap_or(&model.name).clone());
                (0..spawn.replicas)
                    .map(|replica| {
                        let port = ports.take();
                        let port = port.map_err(|source| StartError::Port { model: model.name.clone(), source })?;
                        Ok(self.own(model, spawn, pool, replica, port))
                    })
                    .collect()
            }
        }
    }

    /// An engine of ours.
    fn own(&self, model: &Model, spawn: &Spawn, pool: &Arc<Pool>, replica: usize, port: u16) -> Member {
        let id = EngineId::new(&model.name, replica);
        let url = EngineUrl { tls: false, host: "127.0.0.1".into(), port };
        let address = Address { url, api_key: model.api_key.clone() };
        let gpus = match &spawn.gpus {
            Gpus::Listed(gpus) => Some(command::share(gpus, spawn.replicas, replica)),
            Gpus::AsVisible | Gpus::Any(_) => None,
        };
        let log = Log { path: self.logs.join(format!("{}.log", id.file_stem())), from: 0 };
        let engine = Engine::new(id, address, Some(SocketAddr::from(([127, 0, 0, 1], port))));
        let engine = Arc::new(match command::keep_alive(spawn) {
            Some(time) => engine.with_keep_alive(time),
            None => engine,
        });
        let prober = Prober::new(model, engine.clone(), pool.clone(), self.asker.clone(), false);
        let plan = Plan {
            engine: engine.clone(),
            launch: command::launch(model, spawn, gpus, port, self.config.timeouts.drain, &self.home.own_exe),
            log,
            start_timeout: spawn.start_timeout,
            stop_timeout: spawn.stop_timeout,
            needed: Prober::thresholds(model),
        };
        Member { engine, keeper: Keeper::Actor(Box::new(Actor::new(plan, prober, self.stopping.clone()))) }
    }

    /// An engine that somebody else runs.
    fn guest(&self, model: &Model, pool: &Arc<Pool>, replica: usize, url: &EngineUrl) -> Member {
        let address = Address { url: url.clone(), api_key: model.api_key.clone() };
        let engine = Arc::new(Engine::new(EngineId::new(&model.name, replica), address, None));
        let prober = Prober::new(model, engine.clone(), pool.clone(), self.asker.clone(), true);
        let keeper = Keeper::Watcher(Box::new(prober), Prober::thresholds(model), self.stopping.clone());
        Member { engine, keeper }
    }
}

/// Makes `folder` where it is missing and proves that files in it can be written. Only for us: prompts may be logged.
fn writable(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| (folder.into(), error))?;
    let path = folder.join(".writable");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(b"enginehouse\n"));
    let removed = written.and_then(|()| fs::remove_file(&path));
    removed.map_err(|error| (path, error))
}
