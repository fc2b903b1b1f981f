//! What would run where: a configuration as a table for people.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::command::{flag_words, is_template};
use super::types::{
    Alias, Config, Dialects, Engines, FieldPath, Gpus, LateSystem, Model, ResponseModel, SESSION, Settings, Spawn, Via,
};
use crate::text_table::aligned;

/// The overview: addresses, models and aliases in aligned columns. Names of environment variables, never their values.
#[must_use]
pub fn overview(config: &Config) -> String {
    let mut out = String::new();
    let token = if config.admin.token.is_some() { " (token required)" } else { "" };
    let _ = writeln!(out, "callers    http://{}/v1{}", config.listen, keys(config));
    let _ = writeln!(out, "operators  http://{}{token}", config.admin.listen);
    if let Some(folder) = &config.state_dir {
        let _ = writeln!(out, "state      {}", folder.display());
    }
    let mut models = vec![["MODEL", "ENGINES", "GPUS", "WHAT RUNS"].map(str::to_owned)];
    config.models.iter().for_each(|model| rows(model, &mut models));
    let _ = write!(out, "\n{}", aligned(&models));
    if !config.aliases.is_empty() {
        let mut aliases = vec![["ALIAS", "MODEL", "CHANGES"].map(str::to_owned)];
        aliases.extend(config.aliases.iter().map(alias_row));
        let _ = write!(out, "\n{}", aligned(&aliases));
    }
    out
}

/// Who needs a key.
fn keys(config: &Config) -> String {
    if config.callers.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = config.callers.iter().map(|caller| &*caller.name).collect();
    let rest = if config.anonymous.is_some() { "; anybody without a key" } else { "" };
    format!(" (with a key: {}{rest})", names.join(", "))
}

fn rows(model: &Model, out: &mut Vec<[String; 4]>) {
    let mut first = [model.name.to_string(), String::new(), String::new(), String::new()];
    let mut more = Vec::new();
    match &model.engines {
        Engines::Spawn(spawn) => {
            first[1] = format!("{} started", spawn.replicas);
            first[2] = gpus(spawn);
            first[3] = command(spawn);
            if !spawn.env.is_empty() {
                let names: Vec<_> = spawn.env.keys().map(String::as_str).collect();
                more.push(format!("with {} set", names.join(", ")));
            }
            if let Some(port) = spawn.port {
                let last = usize::from(port).saturating_add(spawn.replicas.saturating_sub(1));
                more.push(if spawn.replicas > 1 {
                    format!("on ports {port} to {last}")
                } else {
                    format!("on port {port}")
                });
            }
            more.extend(spawn.lora.iter().map(|(name, source)| format!("adapter {name}: {source}")));
        }
        Engines::Urls(urls) => {
            let mut urls = urls.iter().map(ToString::to_string);
            first[1] = format!("{} running", urls.len());
            first[2] = "-".into();
            first[3] = urls.next().unwrap_or_default();
            more.extend(urls);
        }
    }
    if let Some(name) = &model.served_name {
        more.push(format!("served as {name}"));
    }
    if model.health.is_none() {
        more.push("never checked: always considered up".into());
    }
    out.push(first);
    out.extend(more.into_iter().map(|text| [String::new(), String::new(), String::new(), text]));
}

/// The GPUs of each engine, and the share it takes.
fn gpus(spawn: &Spawn) -> String {
    let share = spawn.gpu_memory.map_or_else(String::new, |share| format!(" at {share}"));
    match &spawn.gpus {
        Gpus::Listed(gpus) => {
            let each = gpus.chunks((gpus.len() / spawn.replicas.max(1)).max(1));
            format!("{}{share}", each.map(|gpus| gpus.join(",")).collect::<Vec<_>>().join(" | "))
        }
        Gpus::Any(count) => format!("any {count}{share}"),
        Gpus::AsVisible => format!("as visible{share}"),
    }
}

fn command(spawn: &Spawn) -> String {
    let mut words: Vec<String> = spawn.command.iter().map(|word| quoted(word)).collect();
    // Placeholders stay: they have their values when an engine starts.
    if !is_template(&spawn.command) {
        words.push(quoted(&spawn.source));
    }
    for (flag, value) in &spawn.args {
        words.extend(flag_words(flag, value).iter().map(|word| quoted(word)));
    }
    words.join(" ")
}

/// As a shell would want it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

fn alias_row(alias: &Alias) -> [String; 3] {
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
    let changes = if changes.is_empty() { "nothing but the name".into() } else { changes.join("; ") };
    [alias.name.to_string(), alias.model.to_string(), changes]
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
