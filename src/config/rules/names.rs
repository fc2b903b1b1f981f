//! Names callers say: there are some, they can be said, and each means one thing.

use std::collections::HashMap;

use super::super::faces::{Face, faces};
use super::super::finding::Finding;
use super::super::path::Path;
use super::super::raw::Raw;
use super::models;

/// Longest name, in bytes: it goes into headers, labels and file names.
const LONGEST: usize = 256;

/// A name of a model.
const EXAMPLE: &str = "qwen3-32b";

pub(super) fn something_is_served(raw: &Raw, out: &mut Vec<Finding>) {
    if raw.models.0.is_empty() {
        let remedy = "Add one: `models: {name: {source: Qwen/Qwen3-0.6B}}`, or see conf/demo.yaml.";
        out.push(Finding::new(Path::of(["models"]), "No model is configured: there is nothing to serve.", remedy));
    }
}

/// Every servable name: where it is written, what it is.
fn all<'a>(raw: &'a Raw, faces: &'a [Face<'a>]) -> Vec<(Path, &'a str, &'static str)> {
    let mut all = Vec::new();
    for (path, name, model) in models(raw) {
        for (adapter, _) in model.lora.iter().flat_map(|lora| lora.iter()) {
            all.push((path.key("lora").key(adapter), adapter, "LoRA adapter"));
        }
        all.push((path, name, "model"));
    }
    all.extend(faces.iter().map(|face| (face.path.clone(), face.name.as_str(), "alias")));
    all
}

pub(super) fn names_are_fit(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, name, kind) in all(raw, &faces(raw)) {
        check(path, name, kind, EXAMPLE, out);
    }
    for (path, _, model) in models(raw) {
        if let Some(name) = &model.served_name {
            check(path.key("served_name"), name, "served name", EXAMPLE, out);
        }
    }
}

/// Tells what is wrong with the `name` of a `kind` of thing; `example` is one that would do.
pub(super) fn check(path: Path, name: &str, kind: &str, example: &str, out: &mut Vec<Finding>) {
    let reason = if name.trim().is_empty() {
        format!("The name of this {kind} is empty.")
    } else if name.len() > LONGEST {
        format!("The name of this {kind} is {} bytes long; {LONGEST} is the limit.", name.len())
    } else if name.chars().any(char::is_control) {
        format!("The name of this {kind} holds a control character.")
    } else if name.trim() != name {
        format!("The name of this {kind} begins or ends with a blank.")
    } else {
        return;
    };
    out.push(Finding::new(path, reason, format!("Use a short visible name, such as {example}.")).hidden());
}

pub(super) fn names_are_used_once(raw: &Raw, out: &mut Vec<Finding>) {
    let mut taken: HashMap<&str, (Path, &str)> = HashMap::new();
    let faces = faces(raw);
    let mut all = all(raw, &faces);
    // Models keep their names; an adapter or alias of the same name is the intruder.
    all.sort_by_key(|(_, _, kind)| *kind != "model");
    for (path, name, kind) in all {
        match taken.get(name) {
            Some((other, other_kind)) => out.push(
                Finding::new(
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
