//! One engine of vllm-cli, of its proxy or of a shortcut, to a model.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::engine::{Engine, gpus};
use super::super::values::{map, text, texts, whole};
use super::engine_ports::EnginePorts;
use super::overrides::{source, take};
use super::profiles::{Profiles, difference, is_builtin};

/// Largest value of `start_order`.
const LAST_ORDER: u64 = 1_000_000;

/// What is the same for all of them.
pub(super) struct Shared<'a> {
    /// The profiles of the files.
    pub(super) profiles: &'a Profiles,
    /// config.yaml.
    pub(super) settings: &'a Map<String, Value>,
    /// Built-in profiles whose difference was told.
    pub(super) told: HashSet<String>,
    /// The ports that are taken.
    pub(super) ports: EnginePorts,
}

/// A model that was converted.
pub(super) struct Model {
    /// What is written for it.
    pub(super) section: Section,
    /// Further names that clients use.
    pub(super) names: Vec<String>,
}

/// Converts `entry`, which is called `name`; `None` where it loads nothing. `of_proxy`: whether it is one of its proxy, so that its port is
/// written.
pub(super) fn model(
    draft: &mut Draft,
    shared: &mut Shared<'_>,
    path: &str,
    name: &str,
    entry: &Map<String, Value>,
    of_proxy: bool,
) -> Option<Model> {
    let mut section = Section::default();
    let mut middle = Section::default();
    let mut engine = Engine::default();
    let profile = entry.get("profile").and_then(text);
    let known = profile.as_ref().and_then(|name| shared.profiles.get(name));
    if let Some(profile) = known {
        engine = profile.carried();
    }
    if let Some(name) = &profile {
        write_profile(draft, shared, path, name, &mut middle);
    }
    universal(&mut engine, shared.settings, known.map_or(&[], |profile| profile.env.as_slice()));
    ["model", "model_path"].iter().filter_map(|key| entry.get(*key)).for_each(|value| source(&mut engine, value));
    let from = engine.source.clone();
    engine.port = entry.get("port").and_then(whole).or(engine.port);
    match entry.get("gpu_ids").map(|ids| (ids, gpus(ids))) {
        Some((_, Some(gpus))) if !gpus.is_empty() => engine.gpus = gpus,
        Some((ids, None)) if !ids.is_null() => {
            draft.notes.say(&mut section, &format!("{path}.gpu_ids"), "was left out: it is no list of GPUs.")
        }
        _ => {}
    }
    if of_proxy {
        // Its proxy has each of its engines take that, unless an override says otherwise.
        engine.sleep_mode = Some(true);
    }
    let overrides = map(entry, "config_overrides");
    take(&mut engine, overrides);
    if engine.source.is_none() {
        draft.notes.say(&mut draft.models, path, "was left out: it does not say which model it loads.");
        return None;
    }
    if let Some(profile) = known.filter(|_| !engine.gpus.is_empty()) {
        engine.cleared = profile.too_large_for(engine.gpus.len());
        engine.cleared.retain(|flag| !engine.args.contains_key(flag));
    }
    if let Some(priority) = entry.get("loading_priority").filter(|it| !it.is_null()) {
        match whole(priority).filter(|order| (1..=LAST_ORDER).contains(order)) {
            Some(order) => middle.put("start_order", json!(order)),
            None => draft.notes.say(
                &mut middle,
                &format!("{path}.loading_priority"),
                "was left out: it is no number from 1 on.",
            ),
        }
    }
    let mut names = texts(overrides.get("aliases").unwrap_or(&Value::Null));
    names.append(&mut engine.served);
    // What its proxy routes by, without a name that is served.
    names.extend(from.filter(|from| from != name && names.is_empty()));
    if let Some(port) = engine.port.filter(|_| of_proxy) {
        shared.ports.write(draft, path, port, &mut middle);
    }
    engine.write(draft, path, name, &mut section, middle);
    Some(Model { section, names })
}

fn write_profile(draft: &mut Draft, shared: &mut Shared<'_>, path: &str, name: &str, out: &mut Section) {
    let path = format!("{path}.profile");
    if shared.profiles.contains_key(name) {
        out.put("profile", name);
    } else if is_builtin(name) {
        if let Some(more) = difference(name).filter(|_| shared.told.insert(name.to_owned())) {
            let text = format!(
                "the built-in profile `{name}` of Enginehouse does not have {more}, which \
                  vllm-cli's has. Add it \
                    under `args` if the model needs it."
            );
            draft.notes.say(out, &path, text);
        }
        out.put("profile", name);
    } else {
        let name = draft.secrets.without(name);
        let text = format!(
            "`{name}` was left out: there is no such profile. If it is one of yours, give its file, too \
                (user_profiles.json)."
        );
        draft.notes.say(out, &path, text);
    }
}

/// Variables that every engine gets, where its profile does not have them.
fn universal(engine: &mut Engine, settings: &Map<String, Value>, of_profile: &[String]) {
    for (name, value) in map(settings, "universal_environment").iter().filter(|(name, _)| !of_profile.contains(*name)) {
        engine.variable(name, value.clone());
    }
    if let Some(token) = settings.get("hf_token").filter(|token| text(token).is_some()) {
        engine.variable("HF_TOKEN", token.clone());
    }
}
