//! Everything in vllm-cli's files to one configuration.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::input::File;
use super::super::names::is_name;
use super::super::ports::{CALLERS, OPERATORS};
use super::super::report::Outcome;
use super::super::values::text;
use super::engine_ports::EnginePorts;
use super::found::{Found, find};
use super::gateway::gateway;
use super::model::{Shared, model};
use super::profiles::profiles;

/// Settings of config.yaml that go to the engines.
const OF_ENGINES: &[&str] = &["universal_environment", "hf_token"];

/// An engine that becomes a model.
struct Entry<'a> {
    path: String,
    name: String,
    /// Whether it is written as it is, or as a comment.
    enabled: bool,
    of_proxy: bool,
    fields: &'a Map<String, Value>,
}

/// Converts them.
///
/// # Errors
/// Each file that is none of vllm-cli's.
pub(super) fn convert(files: Vec<File>) -> Result<Outcome, Vec<String>> {
    let mut draft = Draft::default();
    files.iter().for_each(|file| draft.secrets.add_all(&file.tree));
    let count = files.len();
    let found = find(files)?;
    let ports = found.proxy.as_ref().map_or([CALLERS, OPERATORS], |proxy| gateway(proxy, &mut draft));
    for key in found.settings.keys().filter(|key| !OF_ENGINES.contains(&key.as_str())) {
        draft.notes.say(&mut draft.top, key, "was left out: it is about vllm-cli itself.");
    }
    let mut section = Section::default();
    let profiles = profiles(&found.profiles, &mut draft, &mut section);
    let is_part =
        found.proxy.is_none() && found.models.is_empty() && found.shortcuts.is_empty() && !profiles.is_empty();
    draft.top.nest_any("profiles", section);
    let entries = entries(&found, &mut draft);
    let mut shared = Shared {
        profiles: &profiles,
        settings: &found.settings,
        told: HashSet::new(),
        ports: EnginePorts::new(&ports),
    };
    models(&entries, &mut draft, &mut shared);
    let outcome = draft.outcome(Section::default(), count);
    Ok(if is_part { outcome.part("Profiles for a configuration: put them into one.") } else { outcome })
}

/// Everything that becomes a model, with its name, which is taken.
fn entries<'a>(found: &'a Found, draft: &mut Draft) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (at, value) in found.models.iter().enumerate() {
        let path = format!("models[{at}]");
        let Some(fields) = value.as_object() else {
            draft.notes.say(&mut draft.models, &path, "was left out: it is not a mapping.");
            continue;
        };
        let enabled = fields.get("enabled").is_none_or(|enabled| *enabled != false);
        entries.extend(named(draft, path, fields.get("name").and_then(text).as_deref(), enabled, true, fields));
    }
    for (name, value) in &found.shortcuts {
        let path = format!("shortcuts.{name}");
        match value.as_object() {
            Some(fields) => entries.extend(named(draft, path, Some(name), true, false, fields)),
            None => draft.notes.say(&mut draft.models, &path, "was left out: it is not a mapping."),
        }
    }
    if found.shortcuts.len() > 1 {
        let text = "each shortcut is a model here, and all models are started together. Remove those that you do not want, or \
            have them loaded when a request needs them, in turns on their GPUs: `load: on_demand` and `gpus` at each.";
        draft.notes.say(&mut draft.models, "shortcuts", text);
    }
    entries
}

/// An entry under a name that is free. One that stands for all names is called as what it loads.
fn named<'a>(
    draft: &mut Draft,
    path: String,
    name: Option<&str>,
    enabled: bool,
    of_proxy: bool,
    fields: &'a Map<String, Value>,
) -> Option<Entry<'a>> {
    let wish = match name {
        Some("*") => {
            fields.get("model_path").and_then(text).and_then(|path| path.rsplit('/').next().map(str::to_owned))
        }
        name => name.map(str::to_owned),
    };
    let Some(wish) = wish.filter(|wish| is_name(wish)) else {
        draft.notes.say(&mut draft.models, &path, "was left out: it has no name that a model can have.");
        return None;
    };
    let name = draft.names.take_free(&wish);
    if name != wish {
        draft.notes.say(
            &mut draft.models,
            &path,
            format!("is called `{}` here: its name is that of another.", draft.secrets.without(&name)),
        );
    }
    Some(Entry { path, name, enabled, of_proxy, fields })
}

fn models(entries: &[Entry<'_>], draft: &mut Draft, shared: &mut Shared<'_>) {
    let mut aliases: Vec<(&Entry<'_>, String)> = Vec::new();
    for entry in entries {
        let Some(mut one) = model(draft, shared, &entry.path, &entry.name, entry.fields, entry.of_proxy) else {
            draft.names.release(&entry.name);
            continue;
        };
        if let Some(description) = entry.fields.get("description").and_then(text) {
            let description = draft.secrets.without(&description);
            let mut described = Section::default();
            described.comment(description);
            described.append(one.section);
            one.section = described;
        }
        if entry.fields.get("name").is_some_and(|name| name == "*") {
            one.names.push("*".into());
        }
        if entry.enabled {
            draft.model(&entry.name, one.section);
            aliases.extend(one.names.into_iter().filter(|name| *name != entry.name).map(|name| (entry, name)));
        } else {
            draft.notes.say(
                &mut draft.models,
                &entry.path,
                "it is not enabled, and so here as a comment: take the signs away to start it.",
            );
            if !one.names.is_empty() {
                draft.models.comment(format!("Its aliases: {}", draft.secrets.without(&one.names.join(", "))));
            }
            draft.models.nest_off(entry.name.clone(), one.section);
        }
    }
    for (entry, name) in aliases {
        let mut alias = Section::default();
        alias.put("model", entry.name.clone());
        // Of two engines with one name its proxy uses the first.
        draft.alias(&entry.path, &name, alias);
    }
}
