//! Names that clients use: there is one, each can be written in a request, and each means one thing.

use std::collections::HashMap;

use super::entries::models;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::ExpandedAliases;
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::suggest;

/// Longest name, in bytes: it goes into headers, labels and file names.
const LONGEST: usize = 256;

/// A name of a model.
const EXAMPLE: &str = "qwen3-32b";

pub(super) fn something_is_served(raw: &Raw, out: &mut Vec<Draft>) {
    if raw.models.0.is_empty() {
        let remedy = "Add one: `models: {name: {source: Qwen/Qwen3-0.6B}}`, or see conf/demo.yaml.";
        out.push(Draft::new(Path::of(&["models"]), "No model is configured: there is nothing to serve.", remedy));
    }
}

/// Every servable name: where it is written, what it is.
fn all<'a>(raw: &'a Raw, aliases: &'a ExpandedAliases<'a>) -> Vec<(Path, &'a str, &'static str)> {
    let mut all = Vec::new();
    for (path, name, model) in models(raw) {
        for (adapter, _) in model.adapters() {
            all.push((path.key("lora").key(adapter), adapter, "LoRA adapter"));
        }
        all.push((path, name, "model"));
    }
    all.extend(aliases.iter().map(|alias| (alias.path.clone(), alias.name.as_str(), "alias")));
    all
}

pub(super) fn names_are_fit(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, kind) in all(raw, &ExpandedAliases::of(raw)) {
        check(path, name, kind, EXAMPLE, out);
    }
    for (path, _, model) in models(raw) {
        if let Some(name) = &model.served_name {
            check(path.key("served_name"), name, "served name", EXAMPLE, out);
        }
    }
}

/// Reports what is wrong with the `name` of a `kind` of thing; `example` is one that would do.
pub(super) fn check(path: Path, name: &str, kind: &str, example: &str, out: &mut Vec<Draft>) {
    let reason = if name.trim().is_empty() {
        format!("The name of this {kind} is empty.")
    } else if name.len() > LONGEST {
        format!("The name of this {kind} is {} bytes long; {LONGEST} is the limit.", name.len())
    } else if name.chars().any(char::is_control) {
        format!("The name of this {kind} has a control character.")
    } else if name.trim() != name {
        format!("The name of this {kind} begins or ends with a space.")
    } else {
        return;
    };
    out.push(Draft::new(path, reason, format!("Use a short visible name, such as {example}.")).hidden());
}

pub(super) fn required_models_exist(raw: &Raw, out: &mut Vec<Draft>) {
    let known: Vec<&str> = raw.models.iter().map(|(name, _)| name).collect();
    for (at, name) in raw.readiness.required.iter().enumerate() {
        if !known.is_empty() && !known.contains(&name.as_str()) {
            let path = Path::of(&["readiness", "required"]).index(at);
            let (remedy, _) = suggest::remedy(name, &known, "Models here");
            out.push(Draft::new(path, format!("There is no model `{name}`."), remedy));
        }
    }
}

pub(super) fn names_are_used_once(raw: &Raw, out: &mut Vec<Draft>) {
    let mut taken: HashMap<&str, (Path, &str)> = HashMap::new();
    let aliases = ExpandedAliases::of(raw);
    let mut all = all(raw, &aliases);
    // Models keep their names; an adapter or alias of the same name is the one to change.
    all.sort_by_key(|(_, _, kind)| *kind != "model");
    for (path, name, kind) in all {
        match taken.get(name) {
            Some((other, other_kind)) => out.push(
                Draft::new(
                    path,
                    format!("The name `{name}` is taken by the {other_kind} at {other}."),
                    format!("Give this {kind} another name."),
                )
                .hidden(),
            ),
            None => drop(taken.insert(name, (path, kind))),
        }
    }
}
