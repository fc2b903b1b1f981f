//! Aliases: where they point and what they change.

use serde_json::{Map, Value};

use super::super::finding::Finding;
use super::super::path::Path;
use super::super::raw::{Raw, RawAlias};
use super::super::suggest;
use super::models;

fn aliases(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawAlias)> {
    raw.aliases.iter().map(|(name, alias)| (Path::of(["aliases", name]), name, alias))
}

pub(super) fn aliases_point_at_models(raw: &Raw, out: &mut Vec<Finding>) {
    let mut known: Vec<&str> = Vec::new();
    for (_, name, model) in models(raw) {
        known.push(name);
        known.extend(model.lora.iter().flat_map(|lora| lora.iter()).map(|(adapter, _)| adapter));
    }
    for (path, name, alias) in aliases(raw) {
        let path = path.key("model");
        let Some(target) = alias.model.as_deref() else {
            let reason = format!("The alias `{name}` does not say which model it stands for.");
            let (remedy, _) = suggest::remedy(name, &known, "Write `model: …`. Models and adapters here");
            out.push(Finding::new(path, reason, remedy));
            continue;
        };
        if known.is_empty() || known.contains(&target) {
            continue;
        }
        if let Some((_, other)) = raw.aliases.iter().find(|(other, _)| *other == target) {
            let reason = format!("`{target}` is an alias itself; an alias points at a model.");
            let remedy = match other.model.as_deref().filter(|_| target != name) {
                Some(model) => {
                    format!("Write `model: {model}`, and repeat the settings of `{target}` if they are wanted.")
                }
                None => suggest::remedy(target, &known, "Models and adapters here").0,
            };
            out.push(Finding::new(path, reason, remedy));
        } else {
            let (remedy, _) = suggest::remedy(target, &known, "Models and adapters here");
            out.push(Finding::new(path, format!("There is no model `{target}`."), remedy));
        }
    }
}

/// The sections of an alias that hold members by name.
fn sections<'a>(path: &Path, alias: &'a RawAlias) -> [(Path, &'a Map<String, Value>); 3] {
    [
        (path.key("defaults"), &alias.defaults),
        (path.key("limits"), &alias.limits),
        (path.key("overrides"), &alias.overrides),
    ]
}

pub(super) fn the_model_is_not_a_setting(raw: &Raw, out: &mut Vec<Finding>) {
    let reason = "`model` is what the alias is found by, and is replaced by the engine's name for it.";
    for (path, _, alias) in aliases(raw) {
        for (section, members) in sections(&path, alias) {
            if members.contains_key("model") {
                let remedy = "Take it out; `model:` of the alias itself says where it points.";
                out.push(Finding::new(section.key("model"), reason, remedy));
            }
        }
        for (at, member) in alias.remove.iter().enumerate() {
            if member == "model" {
                out.push(Finding::new(
                    path.key("remove").index(at),
                    reason,
                    "Take it out: every request needs a model.",
                ));
            }
        }
    }
}

pub(super) fn streaming_stays_a_truth_value(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, alias) in aliases(raw) {
        for (section, members) in sections(&path, alias) {
            if members.get("stream").is_some_and(|value| !value.is_boolean()) {
                out.push(Finding::new(section.key("stream"), "`stream` is true or false.", "Write true or false."));
            }
        }
    }
}

pub(super) fn removals_are_top_level_members(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, alias) in aliases(raw) {
        for (at, member) in alias.remove.iter().enumerate() {
            let path = path.key("remove").index(at);
            if member.is_empty() {
                out.push(Finding::new(
                    path,
                    "The name is empty.",
                    "Write the name of a request's member, such as logit_bias.",
                ));
            } else if let Some((top, _)) = member.split_once('.') {
                let reason = "Only top-level members of a request can be removed.";
                let remedy = format!("Write `{top}` to remove all of it, or set the inner member under `overrides`.");
                out.push(Finding::new(path, reason, remedy));
            } else if alias.remove[..at].contains(member) {
                out.push(Finding::new(path, "It is listed twice.", "List it once."));
            }
        }
    }
}

pub(super) fn limits_are_numbers(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, alias) in aliases(raw) {
        numbers(&path.key("limits"), &alias.limits, out);
    }
}

fn numbers(path: &Path, members: &Map<String, Value>, out: &mut Vec<Finding>) {
    for (name, value) in members {
        let path = path.key(name);
        match value {
            Value::Number(_) => {}
            Value::Object(inner) => numbers(&path, inner, out),
            _ if name == "model" => {}
            _ => out.push(Finding::new(
                path,
                "A limit is the largest number a request may ask for.",
                format!("Write a number, such as `{name}: 8192`; for anything else use `overrides`."),
            )),
        }
    }
}
