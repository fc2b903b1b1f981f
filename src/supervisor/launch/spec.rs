//! How the engines of one model are run: all that its configuration says of that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::command::{self, LaunchCommand};
use super::ranks;
use crate::config::{Config, Engines, Gpus, Model, SHUTDOWN_TIMEOUT, Spawn, is_vllm};
use crate::engines::health::Prober;
use crate::flags;
use crate::ids::{EngineId, Name};
use crate::placement::{self, Demand};
use crate::supervisor::lifecycle::terms::Settings;
use crate::supervisor::process::marker::Marker;
use crate::supervisor::store::record::Record;
use crate::supervisor::store::rotate::Rotation;

/// LoRA adapters of a model by name: where each is loaded from. Shared by all its engines; the fleet changes them.
pub(crate) type Adapters = Arc<ArcSwap<BTreeMap<Name, String>>>;

/// How the engines of one model are run.
pub(crate) struct LaunchSpec {
    /// The model.
    pub(crate) model: Model,
    /// How its engines are started.
    pub(crate) spawn: Spawn,
    /// How long attempts under way may take when an engine is told to end.
    pub(crate) drain: Duration,
    /// How long vLLM itself may go on with requests after SIGTERM; zero: it is not told, as it does not know the flag.
    vllm_drain: Duration,
    /// When engine logs are put aside.
    pub(crate) rotation: Rotation,
    /// The adapters that its engines serve.
    pub(crate) adapters: Adapters,
    /// This program.
    own_exe: PathBuf,
    fingerprint: String,
}

/// What an engine was started with, as far as another start may differ in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartedWith {
    /// See [`LaunchSpec::fingerprint`].
    pub(crate) fingerprint: String,
    /// The GPUs that were listed for it; empty where none were.
    pub(crate) listed: Vec<String>,
    /// The GPUs it has.
    pub(crate) gpus: Vec<String>,
}

impl LaunchSpec {
    /// Those of all models of `config` whose engines are run here. Reads the configurations of adapters on this disk.
    pub(crate) fn of_all(config: &Config, own_exe: &Path) -> Vec<Self> {
        let spawned = config.models.iter().filter_map(|model| match &model.engines {
            Engines::Spawn(spawn) => Some(Self::new(model, spawn, config, own_exe)),
            Engines::Urls(_) => None,
        });
        spawned.collect()
    }

    /// The same, where a file system that hangs keeps no worker.
    pub(crate) async fn read_all(config: &Config, own_exe: &Path) -> Vec<Self> {
        let (config, own_exe) = (config.clone(), own_exe.to_owned());
        let work = tokio::task::spawn_blocking(move || Self::of_all(&config, &own_exe));
        work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn new(model: &Model, spawn: &Spawn, config: &Config, own_exe: &Path) -> Self {
        let logs = &config.engine_logs;
        let options = flags::Options::from_env(&|name| std::env::var_os(name));
        let is_known = is_vllm(&spawn.command) && flags::knows(spawn, SHUTDOWN_TIMEOUT, &options);
        let mut spec = Self {
            model: model.clone(),
            spawn: spawn.clone(),
            drain: config.timeouts.drain,
            vllm_drain: if is_known { config.timeouts.drain } else { Duration::ZERO },
            rotation: Rotation { size: logs.size, age: Some(logs.age), keep: logs.keep },
            adapters: Adapters::new(ArcSwap::from_pointee(spawn.lora.clone())),
            own_exe: own_exe.to_owned(),
            fingerprint: String::new(),
        };
        let gpus = match spec.demand(0).gpus {
            Gpus::AsVisible => None,
            Gpus::Any(count) => Some(vec![String::new(); count]),
            Gpus::Listed(gpus) => Some(gpus),
        };
        spec.fingerprint =
            spec.launch_with(spawn.lora.clone(), gpus.as_deref(), spawn.port.unwrap_or_default()).fingerprint();
        spec
    }

    /// What is run for an engine that sees `gpus` (`None`: those that we see) and listens on `port` of 127.0.0.1.
    pub(crate) fn command(&self, gpus: Option<&[String]>, port: u16) -> LaunchCommand {
        self.launch_with(self.adapters.load().as_ref().clone(), gpus, port)
    }

    /// What tells engines that were started alike: a hash over all that was configured of their command and environment,
    /// without ports that are chosen for them, which GPUs, adapters that were added at run time, and what can change while they run.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The name that engines know the model by.
    pub(crate) fn served_name(&self) -> &Name {
        self.model.served_name.as_ref().unwrap_or(&self.model.name)
    }

    /// The port that the configuration gives replica number `replica`; `None`: any free one.
    pub(crate) fn port(&self, replica: usize) -> Option<u16> {
        self.spawn.port.and_then(|first| first.checked_add(u16::try_from(replica).ok()?))
    }

    /// What replica number `replica` wants of the GPUs.
    pub(crate) fn demand(&self, replica: usize) -> Demand {
        placement::demand(&self.model, &self.spawn, replica)
    }

    /// Whether its engines use GPUs also where they are not given any.
    pub(crate) fn uses_gpus(&self) -> bool {
        is_vllm(&self.spawn.command)
    }

    /// The GPUs that are listed for replica number `replica`; empty where none are.
    pub(crate) fn listed(&self, replica: usize) -> Vec<String> {
        match self.demand(replica).gpus {
            Gpus::Listed(gpus) => gpus,
            Gpus::Any(_) | Gpus::AsVisible => vec![],
        }
    }

    /// What must be different about replica number `replica`, which was started with `before`; `None`: it is as wanted.
    pub(crate) fn difference(&self, replica: usize, before: &StartedWith) -> Option<String> {
        if before.fingerprint != self.fingerprint {
            return Some("its command or environment is configured otherwise".into());
        }
        let listed = self.listed(replica);
        // The same GPUs may be given under other names; where any will do, those it has are wanted.
        if listed.is_empty() || listed == before.listed || listed == before.gpus {
            return None;
        }
        Some(format!("it runs on GPUs {}, not {}", before.gpus.join(","), listed.join(",")))
    }

    /// What is configured of an engine's life.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            thresholds: Prober::thresholds(&self.model),
            restart: self.spawn.restart,
            start_timeout: self.spawn.start_timeout,
            stop_timeout: self.spawn.stop_timeout,
            drain: self.drain,
            stall_timeout: self.spawn.stall_timeout,
            may_sleep: self.spawn.sleep_mode,
        }
    }

    /// Whether engines that run with `other` must be told of other settings, though they need not be started anew.
    pub(crate) fn is_tuned_like(&self, other: &Self) -> bool {
        self.settings() == other.settings()
            && self.rotation == other.rotation
            && self.model.health == other.model.health
            && self.spawn.gpu_memory == other.spawn.gpu_memory
    }

    /// What is written down of a start of replica number `replica` with `marker`.
    pub(crate) fn record(&self, replica: usize, marker: &Marker, gpus: Option<&[String]>, port: u16) -> Record {
        let (lora_added, lora_removed) = self.adapter_changes();
        Record {
            port,
            spec: self.fingerprint.clone(),
            gpus: gpus.unwrap_or_default().to_vec(),
            listed: self.listed(replica),
            lora_added,
            lora_removed,
            ..Record::about_to_start(&self.model.name, replica, marker)
        }
    }

    /// The adapters that were added at run time, with their paths, and those of the configuration that were removed.
    pub(crate) fn adapter_changes(&self) -> (BTreeMap<String, String>, Vec<String>) {
        let (now, configured) = (self.adapters.load(), &self.spawn.lora);
        let added = now.iter().filter(|(name, path)| configured.get(*name) != Some(path));
        let removed = configured.keys().filter(|name| !now.contains_key(*name));
        (
            added.map(|(name, path)| (name.to_string(), path.clone())).collect(),
            removed.map(ToString::to_string).collect(),
        )
    }

    /// Takes over the adapters that were added and removed at run time, as a record tells them.
    pub(crate) fn learn_adapters(&self, record: &Record) {
        let mut adapters = self.adapters.load().as_ref().clone();
        adapters.extend(record.lora_added.iter().map(|(name, path)| (name.as_str().into(), path.clone())));
        record.lora_removed.iter().for_each(|name| _ = adapters.remove(name.as_str()));
        self.adapters.store(Arc::new(adapters));
    }

    /// Whether its engines are given GPUs.
    pub(crate) fn wants_gpus(&self) -> bool {
        self.spawn.gpus != Gpus::AsVisible
    }

    /// The id of replica number `replica`.
    pub(crate) fn engine_id(&self, replica: usize) -> EngineId {
        EngineId::new(&self.model.name, replica)
    }

    fn launch_with(&self, lora: BTreeMap<Name, String>, gpus: Option<&[String]>, port: u16) -> LaunchCommand {
        let spawn = Spawn { lora, ..self.spawn.clone() };
        let mut launch = command::launch(&self.model, &spawn, gpus, port, self.vllm_drain, &self.own_exe);
        launch.make_room_for_ranks(&ranks::of(&spawn));
        launch
    }
}

impl From<&Record> for StartedWith {
    fn from(record: &Record) -> Self {
        Self { fingerprint: record.spec.clone(), listed: record.listed.clone(), gpus: record.gpus.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vllm_of_which_nothing_is_known_is_not_given_a_flag_that_it_may_not_have() {
        let words = |command: &str, more: &str| {
            let text = format!("models: {{m: {{source: s, command: {command}, {more}}}}}");
            let config = crate::config::parse(&text, &|_| None).expect("valid");
            LaunchSpec::of_all(&config, Path::new("/e"))[0].command(None, 9001).program.args.join(" ")
        };
        let container = "[docker, run, 'vllm/vllm-openai:v0.9.0']";
        let plain = words(container, "");
        assert!(plain.contains("--served-model-name m") && !plain.contains("shutdown-timeout"), "{plain}");
        assert!(!words("[/no/such/vllm, serve]", "").contains("shutdown-timeout"));
        let asked_for = words(container, "args: {shutdown-timeout: 9}");
        assert!(asked_for.ends_with("--shutdown-timeout 9"), "{asked_for}");
    }
}
