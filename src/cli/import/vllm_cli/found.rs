//! What each of vllm-cli's files is: it does not say so itself.

use serde_json::{Map, Value};

use super::super::input::{File, escaped};
use super::super::values::text;

/// Keys at the top of config.yaml.
const SETTINGS: &[&str] = &[
    "universal_environment",
    "hf_token",
    "server_defaults",
    "ui_preferences",
    "model_directories",
    "recent_models",
    "last_config",
];

/// Everything in the files.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Settings of the proxy; those of a later file win.
    pub(super) proxy: Option<Map<String, Value>>,
    /// Models of the proxy, in their order.
    pub(super) models: Vec<Value>,
    /// Profiles by name; a later one wins.
    pub(super) profiles: Map<String, Value>,
    /// Shortcuts by name; a later one wins.
    pub(super) shortcuts: Map<String, Value>,
    /// config.yaml.
    pub(super) settings: Map<String, Value>,
}

/// Sorts them.
///
/// # Errors
/// Each file that is none of vllm-cli's.
pub(super) fn find(files: Vec<File>) -> Result<Found, Vec<String>> {
    let (mut found, mut errors) = (Found::default(), Vec::new());
    for file in files {
        let tree = match escaped(Value::Object(file.tree)) {
            Value::Object(tree) => tree,
            _ => Map::new(),
        };
        if !add(&file.name, tree, &mut found) {
            errors.push(format!(
                "{}: this is no file of vllm-cli. Give a proxy configuration (`proxy`, `models`), \
                    user_profiles.json, shortcuts.json or config.yaml.",
                file.name
            ));
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn add(file: &str, mut tree: Map<String, Value>, found: &mut Found) -> bool {
    let stem = file.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
    let members = |value: Option<Value>| match value {
        Some(Value::Object(map)) => Some(map),
        _ => None,
    };
    if matches!(tree.get("models"), Some(Value::Array(_))) || matches!(tree.get("proxy"), Some(Value::Object(_))) {
        if let Some(Value::Array(models)) = tree.shift_remove("models") {
            found.models.extend(models);
        }
        found.proxy.get_or_insert_default().extend(members(tree.shift_remove("proxy")).unwrap_or_default());
    } else if let Some(shortcuts) = members(tree.get("shortcuts").cloned()) {
        found.shortcuts.extend(shortcuts);
    } else if let Some(shortcut) = members(tree.get("shortcut").cloned()) {
        found.shortcuts.insert(named(&shortcut, stem), shortcut.into());
    } else if let Some(profiles) = members(tree.get("profiles").cloned()) {
        found.profiles.extend(profiles);
    } else if let Some(profile) = members(tree.get("profile").cloned()) {
        found.profiles.insert(named(&profile, stem), profile.into());
    } else if SETTINGS.iter().any(|key| tree.contains_key(*key)) {
        found.settings.extend(tree);
    } else if !tree.is_empty() && tree.values().all(Value::is_object) {
        let is_shortcut = |one: &Value| one.get("model").is_some() && one.get("config").is_none();
        if tree.values().all(is_shortcut) { found.shortcuts.extend(tree) } else { found.profiles.extend(tree) }
    } else {
        return false;
    }
    true
}

/// The name that is written in it, or the file's.
fn named(entry: &Map<String, Value>, stem: &str) -> String {
    entry.get("name").and_then(text).unwrap_or_else(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_told_apart_by_what_is_in_them() {
        let of = |name: &str, tree: Value| {
            let Value::Object(tree) = tree else { panic!("a mapping") };
            find(vec![File { name: name.into(), tree }]).map(|found| {
                let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>().join(",");
                (found.models.len(), names(&found.profiles), names(&found.shortcuts), names(&found.settings))
            })
        };
        let none = String::new;
        assert_eq!(of("p.yaml", json!({ "proxy": {}, "models": [1, 2] })), Ok((2, none(), none(), none())));
        assert_eq!(
            of("x/user_profiles.json", json!({ "fast": { "config": {} }, "flat": { "seed": 1 } })),
            Ok((0, "fast,flat".into(), none(), none()))
        );
        assert_eq!(
            of("a.json", json!({ "version": "1.0", "profile": { "config": {} } })),
            Ok((0, "a".into(), none(), none()))
        );
        assert_eq!(
            of("s.json", json!({ "shortcuts": { "q": { "model": "m" } } })),
            Ok((0, none(), "q".into(), none()))
        );
        assert_eq!(of("s.json", json!({ "q": { "model": "m", "profile": "p" } })), Ok((0, none(), "q".into(), none())));
        assert_eq!(
            of("/d/s.json", json!({ "type": "vllm-cli-shortcut", "shortcut": { "name": "q q" } })),
            Ok((0, none(), "q q".into(), none()))
        );
        assert_eq!(of("config.yaml", json!({ "hf_token": "x" })), Ok((0, none(), none(), "hf_token".into())));
        assert!(of("o.yaml", json!({ "a": 1 })).is_err_and(|errors| errors[0].starts_with("o.yaml: this is no file")));
        assert!(of("o.yaml", json!({})).is_err());
    }
}
