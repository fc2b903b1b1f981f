//! The configuration as a whole.

use std::sync::Arc;

use super::alias::aliases;
use super::model::{model, secret};
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::{Named, Raw, RawCaller};
use crate::config::secrets::caller_key;
use crate::config::types::{Admin, Anonymous, Caller, Config, Cors};

/// The validated configuration; the gateway is called `name` where the configuration does not say.
///
/// # Errors
/// What no rule has found although it should have: the rules run first.
pub(in crate::config) fn convert(raw: Raw, name: &str) -> Result<Config, Draft> {
    let listen = address::listen(&raw.listen).map_err(|draft| draft.at(Path::of(&["listen"])))?;
    let admin = address::listen(&raw.admin.listen).map_err(|draft| draft.at(Path::of(&["admin", "listen"])))?;
    let ports = address::ports(&raw.ports).map_err(|draft| draft.at(Path::of(&["ports"])))?;
    let (aliases, callers) = (aliases(&raw)?, callers(&raw.callers)?);
    let profiles = raw.profiles;
    Ok(Config {
        listen,
        admin: Admin { listen: admin, token: secret(raw.admin.token), metrics: raw.admin.metrics },
        name: raw.name.unwrap_or_else(|| name.to_owned()),
        state_dir: raw.state_dir,
        on_exit: raw.on_exit,
        watch: raw.watch,
        ports,
        engine_logs: raw.engine_logs,
        threads: raw.threads,
        models: raw.models.0.into_iter().map(|(name, raw)| model(name, raw, &profiles)).collect::<Result<_, _>>()?,
        aliases,
        anonymous: if callers.is_empty() {
            Some(Anonymous::default())
        } else {
            raw.anonymous.and_then(|anonymous| anonymous.accepted())
        },
        callers,
        // As browsers write them.
        cors: Cors { origins: raw.cors.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect() },
        hosts: raw.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        readiness: raw.readiness,
        limits: raw.limits,
        timeouts: raw.timeouts,
        retry: raw.retry,
        log: raw.log,
        source_map: Arc::default(),
    })
}

fn callers(raw: &Named<RawCaller>) -> Result<Vec<Caller>, Draft> {
    let caller = |(name, raw): (&str, &RawCaller)| {
        let path = Path::of(&["callers", name, "keys"]);
        let keys = raw.keys.iter().enumerate();
        let keys = keys.map(|(at, text)| caller_key(text).map_err(|draft| draft.at(path.index(at))));
        Ok(Caller { name: name.into(), keys: keys.collect::<Result<_, Draft>>()? })
    };
    raw.iter().map(caller).collect()
}
