//! Models: where their engines come from, with profiles applied and defaults filled in.

use std::time::Duration;

use super::settings::settings;
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::profiles::merged;
use crate::config::raw::{Named, RawDialects, RawGpu, RawGpus, RawLoad, RawModel, RawProfile};
use crate::config::types::{Dialects, Engines, Gpus, Health, Load, Model, Restart, Spawn};
use crate::secret::Secret;

/// An engine that is busy with a prompt of a million tokens makes no visible progress for minutes.
const STALL_TIMEOUT: Duration = Duration::from_secs(600);

/// A large model takes minutes to load.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// From SIGTERM to SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The model called `name`.
pub(super) fn model(name: String, raw: RawModel, profiles: &Named<RawProfile>) -> Result<Model, Draft> {
    let path = Path::of(&["models", &name]);
    let settings = settings(&path, &format!("model {name}").into(), &raw.settings)?;
    let health = raw.health.as_ref().map_or_else(|| Some(Health::default()), |health| health.on().cloned());
    let (served_name, api_key) = (raw.served_name.as_deref().map(Into::into), secret(raw.api_key.clone()));
    let (balance, response_model) = (raw.balance.unwrap_or_default(), raw.response_model.unwrap_or_default());
    let (dialect, usage) = (dialects([&raw.dialect]), raw.usage.unwrap_or_default());
    let engines = match (raw.source.clone(), &raw.urls) {
        (Some(source), _) => Engines::Spawn(spawn(source, raw, profiles)),
        (None, Some(urls)) => {
            let parse = |(at, url): (usize, &String)| {
                address::engine_url(url).map_err(|draft| draft.at(path.key("urls").index(at)))
            };
            Engines::Urls(urls.iter().enumerate().map(parse).collect::<Result<_, _>>()?)
        }
        (None, None) => return Err(Draft::new(path, "It has no engines.", "Add `source` or `urls`.")),
    };
    let name = name.into();
    Ok(Model { name, engines, served_name, api_key, health, balance, usage, dialect, response_model, settings })
}

fn spawn(source: String, raw: RawModel, profiles: &Named<RawProfile>) -> Spawn {
    let merged = merged(profiles, &raw);
    let takes_lora = raw.lora.is_some();
    // One that is `off` is only a name, for aliases, until an operator adds the adapter.
    let (later, lora): (Vec<_>, Vec<_>) =
        raw.lora.unwrap_or_default().0.into_iter().partition(|(_, path)| path == "off");
    let restart = raw.restart.as_ref().map_or_else(|| Some(Restart::default()), |restart| restart.on().copied());
    let stall_timeout = raw.stall_timeout.map_or(Some(STALL_TIMEOUT), |time| time.on().map(|time| time.0));
    Spawn {
        source,
        command: raw.command.unwrap_or_else(|| vec!["vllm".into(), "serve".into()]),
        gpus: match raw.gpus {
            None => Gpus::AsVisible,
            Some(RawGpus::Count(count)) => Gpus::Any(count),
            Some(RawGpus::List(gpus)) => Gpus::Listed(gpus.iter().map(RawGpu::text).collect()),
        },
        profile: raw.profile,
        start_order: raw.start_order,
        takes_lora,
        restart,
        stall_timeout,
        sleep_mode: raw.sleep_mode.unwrap_or_default(),
        load: match raw.load {
            None | Some(RawLoad::Eager) => Load::Eager,
            Some(RawLoad::OnDemand) => Load::OnDemand(raw.idle.unwrap_or_default()),
        },
        gpu_memory: merged.gpu_memory,
        replicas: raw.replicas.unwrap_or(1),
        port: raw.port,
        args: merged.args,
        overruled: merged.overruled,
        env: merged.env,
        lora: lora.into_iter().map(|(name, path)| (name.into(), path)).collect(),
        lora_later: later.into_iter().map(|(name, _)| name.into()).collect(),
        start_timeout: raw.start_timeout.map_or(START_TIMEOUT, |time| time.0),
        stop_timeout: raw.stop_timeout.map_or(STOP_TIMEOUT, |time| time.0),
    }
}

/// For each API the first of `written` that says who speaks it.
pub(super) fn dialects<'a>(written: impl IntoIterator<Item = &'a RawDialects> + Clone) -> Dialects {
    let responses = written.clone().into_iter().find_map(|raw| raw.responses);
    let messages = written.clone().into_iter().find_map(|raw| raw.messages);
    let late_system = written.into_iter().find_map(|raw| raw.late_system);
    Dialects {
        responses: responses.unwrap_or_default(),
        messages: messages.unwrap_or_default(),
        late_system: late_system.unwrap_or_default(),
    }
}

/// An empty key (`${KEY:-}`) is none.
pub(super) fn secret(text: Option<String>) -> Option<Secret> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
}
