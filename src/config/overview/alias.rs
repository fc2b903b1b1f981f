//! What an alias does with requests, in words for people.

use serde_json::{Map, Value};

use crate::config::types::{Alias, Dialects, FieldPath, LateSystem, ResponseModel, SESSION, Settings, Via};

/// All that it does.
pub(super) fn told(alias: &Alias) -> Vec<String> {
    let mut changes = alias_changes(alias);
    changes.extend(ways(alias));
    match alias.wildcard() {
        Some("") => changes.push("answers to all names that mean nothing else".into()),
        Some(beginning) => changes.push(format!("answers to names that begin with {beginning}")),
        None => {}
    }
    if alias.hidden {
        changes.push("hidden".into());
    }
    if !alias.access_log {
        changes.push("not in the access log".into());
    }
    changes
}

/// What an alias changes in requests, in the order in which it is changed; words for people.
#[must_use]
pub fn alias_changes(alias: &Alias) -> Vec<String> {
    alias.settings.iter().flat_map(changes).collect()
}

/// Where else requests of the alias go, how they come, and what becomes of their answers.
fn ways(alias: &Alias) -> Vec<String> {
    let mut ways = Vec::new();
    if !alias.split.is_empty() {
        let parts: Vec<String> = alias.split.iter().map(|(name, weight)| format!("{name} {weight}")).collect();
        let by = if alias.sticky == SESSION { String::new() } else { format!(" by {}", alias.sticky) };
        ways.push(format!("split{by}: {}", parts.join(", ")));
    }
    if !alias.fallback.is_empty() {
        ways.push(format!("fall back to {}", alias.fallback.join(", then ")));
    }
    if let Some(mirror) = &alias.mirror {
        ways.push(format!("copy {} % to {}", mirror.percent, mirror.to));
    }
    if let Some(capture) = &alias.capture {
        let mask = if capture.mask.is_empty() { "unmasked" } else { "masked" };
        ways.push(format!("keep bodies ({} newest, {mask})", capture.requests));
    }
    if let Some(address) = alias.listen {
        ways.push(format!("listen on {address}"));
    }
    if alias.gym.is_some() {
        ways.push("NeMo Gym's rules".into());
    }
    let Dialects { responses, messages, late_system } = alias.dialect;
    let translated: Vec<&str> = [("responses", responses), ("messages", messages)]
        .into_iter()
        .filter_map(|(api, via)| (via == Via::Chat).then_some(api))
        .collect();
    if !translated.is_empty() {
        let late = match late_system {
            LateSystem::User => "",
            LateSystem::First => ", late system messages first",
            LateSystem::Keep => ", late system messages as they are",
        };
        ways.push(format!("translate {} to chat{late}", translated.join(" and ")));
    }
    if alias.response_model == ResponseModel::Engine {
        ways.push("answer with the engine's model name".into());
    }
    ways
}

fn changes(settings: &Settings) -> Vec<String> {
    let each = |members: &Map<String, Value>, sign: &str| {
        members.iter().map(|(name, value)| format!("{name}{sign}{value}")).collect::<Vec<_>>().join(", ")
    };
    let names = |paths: &[FieldPath]| paths.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(", ");
    let mapped: Vec<FieldPath> = settings.map.iter().map(|(path, _)| path.clone()).collect();
    let headers: Vec<&str> = settings.headers.iter().map(|(name, _)| name.as_str()).collect();
    let prompt = settings.prompt.as_ref().map_or("", |_| "a system prompt");
    let when = match settings.when.len() {
        0 => String::new(),
        count => format!("{count} conditions"),
    };
    let parts = [
        ("remove", names(&settings.remove)),
        ("map", names(&mapped)),
        ("default", each(&settings.defaults, "=")),
        ("limit", each(&settings.limits, "<=")),
        ("override", each(&settings.overrides, "=")),
        ("add", prompt.to_owned()),
        ("send", headers.join(", ")),
        ("more for", when),
    ];
    parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word} {text}")).collect()
}
