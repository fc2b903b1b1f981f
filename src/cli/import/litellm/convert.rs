//! LiteLLM's files to one configuration.

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::input::{File, escaped};
use super::super::names::{is_alias, is_name};
use super::super::ports::addresses;
use super::super::report::Outcome;
use super::super::values::{map, text};
use super::deployment::deployment;
use super::group::{Group, Written, write};
use super::settings::{Router, settings};
use crate::config::is_variable;

/// What begins a value that is in an environment variable.
const VARIABLE: &str = "os.environ/";

/// Converts them.
pub(super) fn convert(files: Vec<File>) -> Outcome {
    let mut draft = Draft::default();
    let count = files.len();
    let mut all = Map::new();
    for file in files {
        let Value::Object(tree) = ours(file.tree.into()) else { continue };
        draft.secrets.add_all(&tree);
        add(&mut all, tree);
    }
    let router = settings(&all, &mut draft);
    let groups = groups(&all, &mut draft);
    for group in groups.iter().filter(|group| is_name(&group.name)) {
        draft.names.take(&group.name);
    }
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    let mut written = Vec::new();
    for group in groups {
        let is_here = |target: &&str| names.iter().any(|name| name == router.group_of(target));
        let alone = !router.fallbacks.of(&group.name).iter().any(is_here);
        written.push(write(&mut draft, group, alone, router.random));
    }
    aliases(&router, &written, &mut draft);
    let first = addresses(&draft.models.value(), &draft.aliases.value());
    draft.outcome(first, count)
}

/// Values with environment variables as our configuration writes them.
fn ours(value: Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix(VARIABLE).map(str::trim).filter(|name| is_variable(name)) {
            Some(name) => format!("${{{name}}}").into(),
            None => escaped(Value::String(text)),
        },
        Value::Array(items) => items.into_iter().map(ours).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, ours(value))).collect()),
        other => other,
    }
}

/// Lists of a further file go behind those before, mappings over them.
fn add(all: &mut Map<String, Value>, tree: Map<String, Value>) {
    for (key, value) in tree {
        match (all.get_mut(&key), value) {
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => drop(all.insert(key, value)),
        }
    }
}

/// Entries by their names, in the order of the first of each name.
fn groups(all: &Map<String, Value>, draft: &mut Draft) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let list = all.get("model_list").and_then(Value::as_array).into_iter().flatten();
    for (at, entry) in list.enumerate() {
        let path = format!("model_list[{at}]");
        let name = entry.get("model_name").and_then(text).filter(|name| is_alias(name));
        let result = match (entry.as_object(), name) {
            (Some(entry), Some(name)) => {
                let params = with_credentials(map(entry, "litellm_params"), all);
                deployment(&path, &params, map(entry, "model_info")).map(|one| (name, one))
            }
            _ => Err("it has no `model_name` that can be a name here.".to_owned()),
        };
        match result {
            Ok((name, one)) => match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.deployments.push(one),
                None => groups.push(Group { name, deployments: vec![one] }),
            },
            Err(why) => draft.notes.say(&mut draft.models, &path, format!("was left out: {why}")),
        }
    }
    groups
}

/// Parameters of an entry over those of the credential that it names.
fn with_credentials(params: &Map<String, Value>, all: &Map<String, Value>) -> Map<String, Value> {
    let name = params.get("litellm_credential_name").and_then(Value::as_str);
    let mut credentials = all.get("credential_list").and_then(Value::as_array).into_iter().flatten();
    let found = name.and_then(|name| credentials.find(|one| one.get("credential_name").is_some_and(|it| it == name)));
    let mut params_of_it = found.and_then(|one| one.get("credential_values")?.as_object().cloned()).unwrap_or_default();
    params_of_it.extend(params.clone());
    params_of_it
}

fn aliases(router: &Router, written: &[Written], draft: &mut Draft) {
    let find = |name: &str| written.iter().find(|group| group.name == name);
    let group_of = |name: &str| find(router.group_of(name));
    for name in router.fallbacks.names().filter(|name| group_of(name).is_none()) {
        let text = format!("`{}` is in fallbacks, and is no model here.", draft.secrets.without(name));
        draft.notes.say(&mut draft.aliases, "fallbacks", text);
    }
    for group in written.iter().filter(|group| group.has_alias) {
        let after = router.fallbacks.of(&group.name).into_iter().filter_map(group_of);
        let fallback = after.filter(|other| other.name != group.name).flat_map(Written::targets).collect();
        let alias = group.alias(fallback);
        if is_name(&group.name) {
            draft.own_alias(&group.name, alias)
        } else {
            draft.alias("model_list", &group.name, alias);
        }
    }
    for (name, group, hidden) in &router.aliases {
        let path = "router_settings.model_group_alias";
        if !find(group).is_some_and(|group| is_name(&group.name)) {
            let text = format!("`{}` was left out: what it stands for is not here.", draft.secrets.without(name));
            draft.notes.say(&mut draft.aliases, path, text);
            continue;
        }
        let mut alias = Section::default();
        alias.put("model", group.clone());
        if *hidden {
            alias.put("hidden", true);
        }
        draft.alias(path, name, alias);
    }
}
