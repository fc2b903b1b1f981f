//! From what was written and found good to what the program trusts.

use super::address;
use super::finding::{Finding, Why};
use super::path::Path;
use super::raw::{Raw, RawAlias, RawChecks, RawHealth, RawModel};
use super::rules::gpu_text;
use super::types::{Admin, Alias, Config, Engines, Health, Limits, Log, Model, Retry, Settings, Spawn, Timeouts};
use super::units::Size;
use crate::secret::Secret;

/// The validated configuration.
///
/// # Errors
/// What no rule has found although it should have: the rules run first.
pub(super) fn build(raw: Raw) -> Result<Config, Finding> {
    let listen = address::listen(&raw.listen).map_err(|why| why.at(Path::of(["listen"])))?;
    let admin = address::listen(&raw.admin.listen).map_err(|why| why.at(Path::of(["admin", "listen"])))?;
    let models = raw.models.0.into_iter().map(|(name, it)| model(name, it)).collect::<Result<_, _>>()?;
    let t = raw.timeouts;
    Ok(Config {
        listen,
        admin: Admin { listen: admin, token: secret(raw.admin.token) },
        state_dir: raw.state_dir,
        threads: raw.threads,
        models,
        aliases: raw.aliases.0.into_iter().map(|(name, it)| alias(name, it)).collect::<Result<_, _>>()?,
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

fn model(name: String, raw: RawModel) -> Result<Model, Finding> {
    let path = Path::of(["models", &name]);
    let served_name = raw.served_name.clone().map(Into::into);
    let (api_key, balance) = (secret(raw.api_key.clone()), raw.balance.unwrap_or_default());
    let health = match raw.health {
        Some(RawHealth::Off(_)) => None,
        Some(RawHealth::Checks(ref checks)) => Some(health(checks)),
        None => Some(health(&RawChecks::default())),
    };
    let engines = match (raw.source.clone(), &raw.urls) {
        (Some(source), _) => Engines::Spawn(spawn(source, raw)),
        (None, Some(urls)) => {
            let parse = |(at, url): (usize, &String)| {
                address::engine_url(url).map_err(|why| why.at(path.key("urls").index(at)))
            };
            Engines::Urls(urls.iter().enumerate().map(parse).collect::<Result<_, _>>()?)
        }
        (None, None) => return Err(Why::new("It has no engines.", "Add `source` or `urls`.").at(path)),
    };
    Ok(Model { name: name.into(), engines, served_name, api_key, health, balance })
}

fn spawn(source: String, raw: RawModel) -> Spawn {
    let defaults = (std::time::Duration::from_secs(600), std::time::Duration::from_secs(30));
    Spawn {
        source,
        command: raw.command.unwrap_or_else(|| vec!["vllm".into(), "serve".into()]),
        gpus: raw.gpus.map(|gpus| gpus.iter().map(gpu_text).collect()),
        gpu_memory: raw.gpu_memory,
        replicas: raw.replicas.unwrap_or(1),
        args: raw.args.unwrap_or_default(),
        env: raw.env.unwrap_or_default().0.into_iter().map(|(name, value)| (name, value.0)).collect(),
        lora: raw.lora.unwrap_or_default().0.into_iter().map(|(name, path)| (name.into(), path)).collect(),
        start_timeout: raw.start_timeout.map_or(defaults.0, |time| time.0),
        stop_timeout: raw.stop_timeout.map_or(defaults.1, |time| time.0),
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

fn alias(name: String, raw: RawAlias) -> Result<Alias, Finding> {
    let missing = || Why::new("It points nowhere.", "Add `model`.").at(Path::of(["aliases", &name]));
    Ok(Alias {
        model: raw.model.ok_or_else(missing)?.into(),
        settings: Settings { remove: raw.remove, defaults: raw.defaults, limits: raw.limits, overrides: raw.overrides },
        hidden: raw.hidden,
        name: name.into(),
    })
}

/// An empty key (`${KEY:-}`) is none.
fn secret(text: Option<String>) -> Option<Secret> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
}

fn bytes(size: Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}
