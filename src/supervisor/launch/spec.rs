//! What is run for one engine each time it starts: fixed but for the adapters, which come and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::command::{self, LaunchCommand};
use super::ranks;
use crate::config::{Gpus, Model, Spawn};
use crate::ids::Name;
use crate::placement::{self, Demand};
use crate::supervisor::process::marker::Marker;
use crate::supervisor::store::record::Record;

/// LoRA adapters of a model by name: where each is loaded from. Shared by all its engines.
pub(crate) type Adapters = Arc<ArcSwap<BTreeMap<Name, String>>>;

/// From what an engine is started.
#[derive(Clone)]
pub(crate) struct LaunchSpec {
    /// Its model.
    pub(crate) model: Arc<Model>,
    /// Which engine of the model, from 0.
    pub(crate) replica: usize,
    /// How engines of the model are started.
    pub(crate) spawn: Arc<Spawn>,
    /// The GPUs it sees; `None`: those that we see.
    pub(crate) gpus: Option<Vec<String>>,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    /// How long attempts under way may take when it is told to end.
    pub(crate) drain: Duration,
    /// This program.
    pub(crate) own_exe: PathBuf,
    /// The adapters it serves.
    pub(crate) adapters: Adapters,
}

impl LaunchSpec {
    /// What to run now.
    pub(crate) fn launch(&self) -> LaunchCommand {
        self.launch_with(self.adapters.load().as_ref().clone())
    }

    /// What tells engines that were started alike: a hash over all that was configured, without port, GPUs and adapters
    /// that were added at run time.
    pub(crate) fn fingerprint(&self) -> String {
        self.launch_with(self.spawn.lora.clone()).fingerprint()
    }

    /// What is written down of a start with `marker`, whose log is at `log`.
    pub(crate) fn record(&self, marker: &Marker, log: &Path) -> Record {
        let (now, configured) = (self.adapters.load(), &self.spawn.lora);
        let added = now.iter().filter(|(name, path)| configured.get(*name) != Some(path));
        let removed = configured.keys().filter(|name| !now.contains_key(*name));
        let listed = match self.demand().gpus {
            Gpus::Listed(texts) => texts,
            Gpus::Any(_) | Gpus::AsVisible => vec![],
        };
        Record {
            port: self.port,
            spec: self.fingerprint(),
            gpus: self.gpus.clone().unwrap_or_default(),
            listed,
            log: log.to_owned(),
            lora_added: added.map(|(name, path)| (name.to_string(), path.clone())).collect(),
            lora_removed: removed.map(ToString::to_string).collect(),
            ..Record::about_to_start(&self.model.name, self.replica, marker)
        }
    }

    /// What it wants of the GPUs.
    pub(crate) fn demand(&self) -> Demand {
        placement::demand(&self.model, &self.spawn, self.replica)
    }

    /// Whether it can be put to sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.spawn.sleep_mode
    }

    fn launch_with(&self, lora: BTreeMap<Name, String>) -> LaunchCommand {
        let spawn = Spawn { lora, ..Spawn::clone(&self.spawn) };
        let gpus = self.gpus.as_deref();
        let mut launch = command::launch(&self.model, &spawn, gpus, self.port, self.drain, &self.own_exe);
        launch.make_room_for_ranks(&ranks::of(&spawn));
        launch
    }
}
