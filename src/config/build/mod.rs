//! From what was written and found good to what the program trusts.

mod aliases;
mod settings;

use std::time::Duration;

use aliases::{aliases, dialects, of_model};

use super::address;
use super::callers::callers;
use super::finding::{Finding, Why};
use super::path::Path;
use super::profiles::merged;
use super::raw::{Named, Raw, RawChecks, RawGpus, RawHealth, RawModel, RawPatience, RawPolicy, RawProfile, RawRestart};
use super::rules::gpu_text;
use super::types::{
    Admin, Config, EngineLogs, Engines, Gpus, Health, Limits, Log, Model, Restart, Retry, Spawn, Timeouts,
};
use super::units::Size;
use crate::secret::Secret;

/// The validated configuration; the house is called `name` where it does not say.
///
/// # Errors
/// What no rule has found although it should have: the rules run first.
pub(super) fn build(raw: Raw, name: &str) -> Result<Config, Finding> {
    let listen = address::listen(&raw.listen).map_err(|why| why.at(Path::of(["listen"])))?;
    let admin = address::listen(&raw.admin.listen).map_err(|why| why.at(Path::of(["admin", "listen"])))?;
    let ports = address::ports(&raw.ports).map_err(|why| why.at(Path::of(["ports"])))?;
    let (aliases, callers) = (aliases(&raw)?, callers(&raw.callers)?);
    let profiles = raw.profiles;
    let models = raw.models.0.into_iter().map(|(name, it)| model(name, it, &profiles)).collect::<Result<_, _>>()?;
    let t = raw.timeouts;
    Ok(Config {
        listen,
        admin: Admin { listen: admin, token: secret(raw.admin.token) },
        name: raw.name.unwrap_or_else(|| name.to_owned()),
        state_dir: raw.state_dir,
        on_exit: raw.on_exit,
        watch: raw.watch,
        ports,
        engine_logs: EngineLogs {
            size: raw.engine_logs.size.0,
            age: raw.engine_logs.age.0,
            keep: raw.engine_logs.keep,
        },
        threads: raw.threads,
        models,
        aliases,
        anonymous: callers.is_empty() || raw.anonymous.unwrap_or_default(),
        callers,
        limits: Limits {
            body: bytes(raw.limits.body),
            body_memory: bytes(raw.limits.body_memory),
            head: bytes(raw.limits.head),
            connections: raw.limits.connections,
        },
        timeouts: Timeouts {
            connect: t.connect.0,
            read: t.read.0,
            write: t.write.0,
            body: t.body.0,
            client_write: t.client_write.0,
            keepalive: t.keepalive.0,
            drain: t.drain.0,
        },
        retry: Retry { attempts: raw.retry.attempts, budget: raw.retry.budget },
        log: Log { level: raw.log.level, format: raw.log.format, access: raw.log.access },
    })
}

fn model(name: String, raw: RawModel, profiles: &Named<RawProfile>) -> Result<Model, Finding> {
    let path = Path::of(["models", &name]);
    let served_name = raw.served_name.clone().map(Into::into);
    let (api_key, balance) = (secret(raw.api_key.clone()), raw.balance.unwrap_or_default());
    let (dialect, settings) = (dialects(&raw.dialect), of_model(&name, &raw)?);
    let response_model = raw.response_model.unwrap_or_default();
    let health = match raw.health {
        Some(RawHealth::Off(_)) => None,
        Some(RawHealth::Checks(ref checks)) => Some(health(checks)),
        None => Some(health(&RawChecks::default())),
    };
    let engines = match (raw.source.clone(), &raw.urls) {
        (Some(source), _) => Engines::Spawn(spawn(source, raw, profiles)),
        (None, Some(urls)) => {
            let parse = |(at, url): (usize, &String)| {
                address::engine_url(url).map_err(|why| why.at(path.key("urls").index(at)))
            };
            Engines::Urls(urls.iter().enumerate().map(parse).collect::<Result<_, _>>()?)
        }
        (None, None) => return Err(Why::new("It has no engines.", "Add `source` or `urls`.").at(path)),
    };
    Ok(Model { name: name.into(), engines, served_name, api_key, health, balance, dialect, response_model, settings })
}

/// A prompt of a million tokens is silent for minutes.
const STALL_TIMEOUT: Duration = Duration::from_secs(600);

fn spawn(source: String, raw: RawModel, profiles: &Named<RawProfile>) -> Spawn {
    let merged = merged(profiles, &raw);
    let defaults = (Duration::from_secs(600), Duration::from_secs(30));
    let takes_lora = raw.lora.is_some();
    // One that is `off` is a mere name, for aliases, until somebody adds it.
    let (later, lora): (Vec<_>, Vec<_>) =
        raw.lora.unwrap_or_default().0.into_iter().partition(|(_, path)| path == "off");
    Spawn {
        source,
        command: raw.command.unwrap_or_else(|| vec!["vllm".into(), "serve".into()]),
        gpus: match raw.gpus {
            None => Gpus::AsVisible,
            Some(RawGpus::Count(count)) => Gpus::Any(count),
            Some(RawGpus::List(gpus)) => Gpus::Listed(gpus.iter().map(gpu_text).collect()),
        },
        profile: raw.profile,
        start_order: raw.start_order,
        takes_lora,
        restart: match raw.restart {
            None => Some(restart(&RawPolicy::default())),
            Some(RawRestart::Policy(policy)) => Some(restart(&policy)),
            Some(RawRestart::Off(_)) => None,
        },
        stall_timeout: match raw.stall_timeout {
            None => Some(STALL_TIMEOUT),
            Some(RawPatience::For(time)) => Some(time.0),
            Some(RawPatience::Off(_)) => None,
        },
        sleep_mode: raw.sleep_mode.unwrap_or_default(),
        gpu_memory: merged.gpu_memory,
        replicas: raw.replicas.unwrap_or(1),
        args: merged.args,
        env: merged.env,
        lora: lora.into_iter().map(|(name, path)| (name.into(), path)).collect(),
        lora_later: later.into_iter().map(|(name, _)| name.into()).collect(),
        start_timeout: raw.start_timeout.map_or(defaults.0, |time| time.0),
        stop_timeout: raw.stop_timeout.map_or(defaults.1, |time| time.0),
    }
}

fn restart(raw: &RawPolicy) -> Restart {
    Restart {
        initial_backoff: raw.initial_backoff.0,
        max_backoff: raw.max_backoff.0,
        crashes: raw.crashes,
        within: raw.within.0,
    }
}

fn health(raw: &RawChecks) -> Health {
    Health {
        path: raw.path.clone(),
        interval: raw.interval.0,
        timeout: raw.timeout.0,
        failures: raw.failures,
        successes: raw.successes,
    }
}

/// An empty key (`${KEY:-}`) is none.
fn secret(text: Option<String>) -> Option<Secret> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
}

fn bytes(size: Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}
