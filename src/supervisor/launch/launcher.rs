//! Runs engines on this machine, as processes of our own, and keeps what the next gateway must know of them.
//!
//! The verbs are those that any place to run engines has: [`Job::submit`] (does nothing where the engine runs already),
//! [`Launcher::observe`], a stop that is asked for ([`Job::terminate`], [`Job::kill`]) and confirmed later
//! ([`Job::exited`], [`Job::clean_up`]), and [`Launcher::list`] of what is ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Notify;

use super::spec::LaunchSpec;
use crate::ids::EngineId;
use crate::supervisor::folder::FolderError;
use crate::supervisor::process::group::Exit;
use crate::supervisor::process::marker::Marker;
use crate::supervisor::process::port::HeldPort;
use crate::supervisor::process::procfs::{Identity, ProcessInfo};
use crate::supervisor::process::spawn::{Log, Process};
use crate::supervisor::store::adopt;
use crate::supervisor::store::lost::{self, Deployment, RECORD_VARIABLE};
use crate::supervisor::store::record::{Record, RecordKeeper, Recorded, Records};
use crate::supervisor::store::rotate::{Rotation, Rotator};
use crate::supervisor::store::upkeep::Upkeep;

/// Runs engines on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    records: Records,
    /// Where engine logs are.
    logs: PathBuf,
    /// Whose engines they are.
    deployment: Arc<Deployment>,
}

impl Launcher {
    /// One that keeps records and logs under `state_dir`.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub(crate) fn new(state_dir: &Path) -> Result<Self, FolderError> {
        let deployment = Deployment::of(state_dir).into();
        Ok(Self { records: Records::of(state_dir)?, logs: state_dir.join("logs"), deployment })
    }

    /// The engines that gateways started here, as they wrote it down or as the engines tell it themselves.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) async fn list(&self) -> Result<Vec<Record>, FolderError> {
        let (records, deployment) = (self.records.clone(), self.deployment.clone());
        let listed = tokio::task::spawn_blocking(move || lost::all(&records, &deployment));
        listed.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// The first process of a recorded engine; `None`: that is gone.
    ///
    /// # Errors
    /// When that cannot be found out: then nothing is known, and it is not gone.
    pub(crate) async fn observe(record: &Record) -> Result<Option<Identity>, String> {
        let record = record.clone();
        let observed = tokio::task::spawn_blocking(move || adopt::observe(&record)).await;
        observed.map_err(|error| error.to_string())
    }

    /// Ends all that is left of a recorded engine, and forgets it; those that survive SIGKILL.
    pub(crate) async fn end(&self, record: &Record, within: Duration) -> Vec<ProcessInfo> {
        adopt::end(&self.records, record, within).await
    }

    /// An engine that is not started yet, which is to listen on `port`.
    pub(crate) fn job(&self, spec: &LaunchSpec, replica: usize, port: HeldPort) -> Job {
        let engine = spec.engine_id(replica);
        let log = Log { path: self.logs.join(format!("{}.log", engine.file_stem())), from: 0 };
        let record = Record::about_to_start(&spec.model.name, replica, &Marker::fresh(engine.as_str()));
        self.job_of(record, log, port, spec.rotation, None)
    }

    /// A recorded engine that runs, whose first process is `leader` and which listens on `port`.
    ///
    /// # Errors
    /// In words: it ended just now, or cannot be watched. Nothing is changed then.
    pub(crate) fn attach(
        &self,
        record: Box<Record>,
        leader: Identity,
        port: HeldPort,
        rotation: Rotation,
    ) -> Result<Job, (Box<Record>, String)> {
        match Process::adopt(leader, &record.marker()) {
            Ok(process) => {
                let log = Log { path: record.log.clone(), from: record.log_from };
                Ok(self.job_of(*record, log, port, rotation, Some(process)))
            }
            Err(why) => Err((record, why)),
        }
    }

    fn job_of(&self, record: Record, log: Log, port: HeldPort, rotation: Rotation, process: Option<Process>) -> Job {
        let engine = EngineId::new(&record.model, record.replica);
        let record = RecordKeeper::new(self.records.clone(), record);
        Job {
            engine,
            process,
            upkeep: Upkeep::start(log.path.clone(), rotation, record.path()),
            log,
            record,
            deployment: self.deployment.clone(),
            port,
            rotator: Rotator::new(rotation),
        }
    }
}

/// One engine's process while it has one, its log, its port, and what is written down of it. Dropped with a process, it
/// ends that and all that came from it.
pub(crate) struct Job {
    engine: EngineId,
    process: Option<Process>,
    log: Log,
    record: RecordKeeper,
    deployment: Arc<Deployment>,
    /// Held for as long as it may be started again.
    port: HeldPort,
    rotator: Rotator,
    /// Says when log and record need something.
    upkeep: Upkeep,
}

impl Job {
    /// Starts the engine, on `gpus` (`None`: those that we see); nothing is done where it runs already.
    ///
    /// # Errors
    /// In words for whoever reads the engine's state.
    pub(crate) async fn submit(&mut self, spec: &LaunchSpec, gpus: Option<&[String]>) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        self.port.renew();
        let port = self.port.port();
        let mut program = spec.command(gpus, port).program;
        // Written down before: if we are killed right after the spawn, the next gateway finds the process by its marker.
        let marker = Marker::fresh(self.engine.as_str()).of_deployment(self.deployment.id());
        let record = spec.record(self.record.record().replica, &marker, gpus, port);
        let log = self.log.path.clone();
        self.record.update(|before| *before = Record { log, ..record }).await;
        // The same with the process itself: the file may be deleted or damaged before the next gateway reads it.
        if let Ok(json) = serde_json::to_string(self.record.record()) {
            program.env.insert(RECORD_VARIABLE.to_owned(), json);
        }
        match Process::spawn(&program, self.engine.as_str(), &mut self.log, &marker) {
            Ok(process) => {
                let (who, from) = (Recorded::now(process.identity()), self.log.from);
                let (pid, log) = (process.pid(), self.log.path.display());
                tracing::info!(engine = %self.engine, pid, port, %log, "engine process started");
                self.process = Some(process);
                self.record.update(|record| (record.process, record.log_from) = (Some(who), from)).await;
                Ok(())
            }
            Err(why) => {
                self.record.remove().await;
                Err(why)
            }
        }
    }

    /// The number of its first process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| u32::try_from(process.pid()).ok())
    }

    /// The numbers of all its processes; see [`Process::pids`].
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.process.as_ref().map(Process::pids).unwrap_or_default()
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port.port()
    }

    /// What it writes to.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Returns when its first process ended; never while it has none. May be dropped at any point.
    pub(crate) async fn exited(&mut self) -> Exit {
        match &mut self.process {
            Some(process) => process.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Remembers its processes, which may have left it and lost their marks before they are looked for.
    pub(crate) fn remember(&self) {
        self.process.iter().for_each(Process::remember);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.remember();
        self.process.iter().for_each(|process| process.signal(Signal::TERM));
    }

    /// Ends it by force.
    pub(crate) fn kill(&self) {
        self.process.iter().for_each(Process::kill);
    }

    /// Ends what its first process left when that ended, and forgets the start.
    pub(crate) async fn clean_up(&mut self) {
        if let Some(process) = self.process.take() {
            process.sweep().await;
            self.record.remove().await;
        }
    }

    /// Gives up on a process that does not end.
    pub(crate) fn abandon(&mut self) {
        let pid = self.process.take().map(|process| process.pid());
        tracing::error!(engine = %self.engine, pid, "a process survives SIGKILL and is given up");
    }

    /// Lets the engine run on without us; the next gateway finds it by its record.
    pub(crate) fn release(mut self) {
        if let Some(process) = self.process.take() {
            let pid = process.release().pid;
            tracing::info!(engine = %self.engine, pid, "engine left running");
        }
    }

    /// Changes what is written down of this start.
    pub(crate) async fn note(&mut self, change: impl FnOnce(&mut Record)) {
        self.record.update(change).await;
    }

    /// Has its log rotated by other rules from now on.
    pub(crate) fn set_rotation(&mut self, rotation: Rotation) {
        self.rotator = Rotator::new(rotation);
        self.upkeep = Upkeep::start(self.log.path.clone(), rotation, self.record.path());
    }

    /// Notified when [`Job::tidy`] is due.
    pub(crate) fn tidy_due(&self) -> Arc<Notify> {
        self.upkeep.due()
    }

    /// Puts the log aside if it is large or old, and writes a record that is gone.
    pub(crate) async fn tidy(&mut self) {
        if self.process.is_some() {
            self.record.renew().await;
        }
        if self.rotator.look(&mut self.log).await > 0 {
            let from = self.log.from;
            self.note(|record| record.log_from = from).await;
        }
    }
}
