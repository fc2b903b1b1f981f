//! What would run where, as data. Names of environment variables, never their values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::alias;
use crate::config::command::{flag_words, is_template};
use crate::config::types::{Alias, Config, Engines, Gpus, Idle, Load, Model, Spawn};

/// Addresses, models and aliases of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Where callers connect: `HOST:PORT`.
    pub listen: String,
    /// Where operators connect.
    pub admin: String,
    /// Operators need a token.
    pub admin_token: bool,
    /// `state_dir`, where the configuration says one.
    pub state_dir: Option<String>,
    /// Callers with keys.
    pub callers: Vec<String>,
    /// Requests without a key are served.
    pub anonymous: bool,
    /// Models, in their order.
    pub models: Vec<ModelOverview>,
    /// Aliases, in their order.
    pub aliases: Vec<AliasOverview>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelOverview {
    /// Its name.
    pub model: String,
    /// How many engines it has.
    pub engines: usize,
    /// What is started for each of them, as words; empty: others run them.
    pub command: Vec<String>,
    /// Where engines that others run are.
    pub urls: Vec<String>,
    /// GPUs of engines that are started; `null`: those that the environment shows.
    pub gpus: Option<GpusOverview>,
    /// Share of the memory of each of these.
    pub gpu_memory: Option<f64>,
    /// When engines give their GPU memory back without requests, where they are loaded when a request needs them; `null`: they are
    /// loaded when the gateway starts, and keep it.
    pub on_demand: Option<Idle>,
    /// Names of variables that are set for engines.
    pub env: Vec<String>,
    /// The port of the first engine, where one is given; the others have the next ones.
    pub port: Option<u16>,
    /// LoRA adapters and where they are.
    pub adapters: BTreeMap<String, String>,
    /// The name that engines know it by, where the configuration says one.
    pub served_name: Option<String>,
    /// Whether its engines are asked how they are.
    pub health_checks: bool,
}

/// Which GPUs engines get.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum GpusOverview {
    /// So many each.
    Any(usize),
    /// These, for each engine.
    Listed(Vec<Vec<String>>),
}

/// One alias.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AliasOverview {
    /// Its name.
    pub alias: String,
    /// Where it leads.
    pub model: String,
    /// What it does with requests, in words; empty: nothing.
    pub changes: Vec<String>,
}

impl Overview {
    /// That of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.to_string(),
            admin: config.admin.listen.to_string(),
            admin_token: config.admin.token.is_some(),
            state_dir: config.state_dir.as_ref().map(|folder| folder.display().to_string()),
            callers: config.callers.iter().map(|caller| caller.name.to_string()).collect(),
            anonymous: config.callers.is_empty() || config.anonymous.is_some(),
            models: config.models.iter().map(model).collect(),
            aliases: config.aliases.iter().map(alias).collect(),
        }
    }
}

fn model(model: &Model) -> ModelOverview {
    let other = ModelOverview {
        model: model.name.to_string(),
        engines: 0,
        command: Vec::new(),
        urls: Vec::new(),
        gpus: None,
        gpu_memory: None,
        on_demand: None,
        env: Vec::new(),
        port: None,
        adapters: BTreeMap::new(),
        served_name: model.served_name.as_ref().map(ToString::to_string),
        health_checks: model.health.is_some(),
    };
    match &model.engines {
        Engines::Spawn(spawn) => ModelOverview {
            engines: spawn.replicas,
            command: command(spawn),
            gpus: gpus(spawn),
            gpu_memory: spawn.gpu_memory,
            on_demand: match spawn.load {
                Load::Eager => None,
                Load::OnDemand(idle) => Some(idle),
            },
            env: spawn.env.keys().cloned().collect(),
            port: spawn.port,
            adapters: spawn.lora.iter().map(|(name, source)| (name.to_string(), source.clone())).collect(),
            ..other
        },
        Engines::Urls(urls) => {
            ModelOverview { engines: urls.len(), urls: urls.iter().map(ToString::to_string).collect(), ..other }
        }
    }
}

fn gpus(spawn: &Spawn) -> Option<GpusOverview> {
    match &spawn.gpus {
        Gpus::Listed(gpus) => {
            let each = gpus.chunks((gpus.len() / spawn.replicas.max(1)).max(1));
            Some(GpusOverview::Listed(each.map(<[String]>::to_vec).collect()))
        }
        Gpus::Any(count) => Some(GpusOverview::Any(*count)),
        Gpus::AsVisible => None,
    }
}

fn command(spawn: &Spawn) -> Vec<String> {
    let mut words = spawn.command.clone();
    // Placeholders stay: they have their values when an engine starts.
    if !is_template(&spawn.command) {
        words.push(spawn.source.clone());
    }
    words.extend(spawn.args.iter().flat_map(|(flag, value)| flag_words(flag, value)));
    words
}

fn alias(alias: &Alias) -> AliasOverview {
    AliasOverview { alias: alias.name.to_string(), model: alias.model.to_string(), changes: alias::told(alias) }
}
