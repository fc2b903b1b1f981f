//! llama-swap's files to one configuration.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::changes::members;
use super::super::document::Section;
use super::super::draft::Draft;
use super::super::input::File;
use super::super::names::is_name;
use super::super::ports::addresses;
use super::super::report::Outcome;
use super::super::values::{map, texts, whole};
use super::gateway::gateway;
use super::loading::{Loaded, YEAR, first_gpu, loading};
use super::macros::{Macros, ours, unknown};
use super::model::{Common, model};
use super::peers::{peers, selectors};

/// The first port of llama-swap's engines.
const START_PORT: u64 = 5800;

/// Least of `healthCheckTimeout`: seconds.
const LEAST_HEALTH_CHECK: u64 = 15;

/// Converts them.
pub(super) fn convert(files: Vec<File>) -> Outcome {
    let mut draft = Draft::default();
    let count = files.len();
    let mut all = Value::Object(Map::new());
    for file in files {
        draft.secrets.add_all(&file.tree);
        layer(&mut all, Value::Object(file.tree));
    }
    let all = if let Value::Object(all) = all { all } else { Map::new() };
    texts(all.get("apiKeys").unwrap_or(&Value::Null)).iter().for_each(|key| draft.secrets.add(key));
    let macros = Macros::of(all.get("macros"));
    let top: Map<String, Value> = all
        .iter()
        .filter(|(key, _)| !["models", "macros"].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), ours(macros.expand(value))))
        .collect();
    gateway(&top, &mut draft);
    models(map(&all, "models"), &top, &macros, &mut draft);
    let first = addresses(&draft.models.value(), &draft.aliases.value());
    draft.outcome(first, count)
}

/// Puts `from` over `into`: mappings merge deeply, everything else is replaced.
fn layer(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(old) => layer(old, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn models(models: &Map<String, Value>, top: &Map<String, Value>, macros: &Macros, draft: &mut Draft) {
    let seconds = |key: &str| top.get(key).and_then(whole).filter(|seconds| (1..=YEAR).contains(seconds));
    let common = Common {
        start_timeout: seconds("healthCheckTimeout").map(|seconds| seconds.max(LEAST_HEALTH_CHECK)),
        stop_timeout: seconds("unloadTimeout"),
        ttl: seconds("globalTTL").unwrap_or(0),
        aliases_listed: top.get("includeAliasesInList").is_some_and(|listed| *listed == true),
    };
    let expanded = expanded(
        models,
        macros,
        top.get("startPort").and_then(whole).filter(|port| *port <= u64::from(u16::MAX)).unwrap_or(START_PORT),
    );
    let named = |draft: &mut Draft, id: &str| is_name(id) && draft.names.take(id);
    let good: Vec<&String> = models.keys().filter(|id| named(draft, id)).collect();
    let (mut aliases, mut loaded, mut on_first) = (Vec::new(), Vec::new(), Vec::new());
    for (id, (value, port)) in models.keys().zip(expanded) {
        let path = format!("models.{id}");
        let why = match &value {
            _ if !good.contains(&id) => "was left out: this cannot be the name of a model.".to_owned(),
            Value::Object(fields) => match unknown(fields.get("cmd").unwrap_or(&Value::Null)) {
                Some(word) => {
                    format!(
                        "was left out: there is no macro `{}`, which its `cmd` \
                        uses.",
                        draft.secrets.without(&word)
                    )
                }
                None => {
                    let Value::Object(fields) = ours(value.clone()) else { continue };
                    match model(draft, &common, &path, id, (&fields, port)) {
                        Some(one) => {
                            loaded.push(Loaded {
                                id: id.clone(),
                                ttl: one.ttl,
                                aliases: one.aliases.iter().map(|(alias, _)| alias.clone()).collect(),
                                model: one.section.value(),
                            });
                            on_first.extend(one.has_first_gpu.then_some(id.as_str()));
                            draft.model(id, one.section);
                            aliases.extend(one.aliases.into_iter().map(|alias| (id, alias)));
                        }
                        None => draft.names.release(id),
                    }
                    continue;
                }
            },
            _ => "was left out: it is not a mapping.".to_owned(),
        };
        draft.notes.say(&mut draft.models, &path, why);
        if good.contains(&id) {
            draft.names.release(id);
        }
    }
    first_gpu(&on_first, draft);
    loading(top, &loaded, draft);
    peers(map(top, "peers"), draft);
    write_aliases(aliases, common.aliases_listed, draft);
    selectors(map(top, "selectors"), draft);
}

/// The id of a model, a further name of it, and what requests by that name have overridden.
type Alias<'a> = (&'a String, (String, Map<String, Value>));

/// Further names of models.
fn write_aliases(aliases: Vec<Alias<'_>>, are_listed: bool, draft: &mut Draft) {
    for (id, (name, changes)) in aliases {
        let path = format!("models.{id}.aliases");
        let mut alias = Section::default();
        alias.put("model", id.clone());
        members(draft, &format!("models.{id}.filters.setParamsByID"), &name, "overrides", &changes, &mut alias);
        if !are_listed {
            alias.put("hidden", true);
        }
        draft.alias(&path, &name, alias);
    }
}

/// Each model with its macros replaced, and with its port, which are counted by their ids.
fn expanded(models: &Map<String, Value>, macros: &Macros, start: u64) -> Vec<(Value, Option<u64>)> {
    let cmd = |value: &Value| value.get("cmd").and_then(Value::as_str).unwrap_or_default().to_owned();
    let with = |id: &str, value: &Value| {
        let mut value = value.clone();
        if let Some(cmd) = value.get_mut("cmd")
            && let Some(text) = cmd.as_str()
        {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            *cmd = lines.collect::<Vec<_>>().join("\n").into();
        }
        macros.with(&Macros::of(value.get("macros")), id).expand(&value)
    };
    let all: Vec<(&String, Value)> = models.iter().map(|(id, value)| (id, with(id, value))).collect();
    let mut ids: Vec<&String> =
        all.iter().filter(|(_, value)| cmd(value).contains("${PORT}")).map(|(id, _)| *id).collect();
    ids.sort();
    let ports: HashMap<&String, u64> = ids.into_iter().zip(start..).collect();
    let port = |id: &String, value: Value| match ports.get(id) {
        Some(port) => (Macros::default().first("PORT", *port).expand(&value), Some(*port)),
        None => (value, None),
    };
    all.into_iter().map(|(id, value)| port(id, value)).collect()
}
