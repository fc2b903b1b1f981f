//! A saved configuration as answers, and the same text with other answers: comments, order and all other keys stay. Pure.

use serde_json::{Map, Value};

use crate::config::{Answers, Change, Gpus, ModelAnswers, as_written, changed, draft};

/// What is said of files that have to be edited by hand.
const BY_HAND: &str = "It cannot be changed step by step: edit it with e.";

/// What `text` says of what the wizard asks for.
///
/// # Errors
/// Why it cannot be changed step by step.
pub(super) fn read(text: &str) -> Result<Answers, String> {
    let root = as_written(text).ok_or_else(|| BY_HAND.to_owned())?;
    let usual = Answers::usual();
    let at = |section: &str, key: &str| root.get(section).and_then(|section| section.get(key));
    let address = |value: Option<&Value>, usual: std::net::SocketAddr, key: &str| match value {
        None => Ok(usual),
        Some(value) => {
            let read = value.as_str().and_then(|text| text.parse().ok());
            read.ok_or_else(|| format!("`{key}` is no plain address. {BY_HAND}"))
        }
    };
    let mut models = Vec::new();
    for (name, value) in root.get("models").and_then(Value::as_object).into_iter().flatten() {
        // Engines that others run are not asked for, and stay as they are.
        if let Some(source) = value.get("source").and_then(Value::as_str) {
            models.push(model(name, source, value)?);
        }
    }
    for (alias, value) in root.get("aliases").and_then(Value::as_object).into_iter().flatten() {
        // Those with settings of their own are not asked for.
        if let Some(model) = plain(value).and_then(|target| models.iter_mut().find(|model| model.name == target)) {
            model.aliases.push(alias.clone());
        }
    }
    Ok(Answers {
        about: String::new(),
        listen: address(root.get("listen"), usual.listen, "listen")?,
        admin: address(at("admin", "listen"), usual.admin, "admin.listen")?,
        cors: at("cors", "origins").map(texts).unwrap_or_default(),
        metrics: at("admin", "metrics").and_then(Value::as_bool).unwrap_or(usual.metrics),
        request_log: at("log", "access").and_then(Value::as_bool).unwrap_or(usual.request_log),
        models,
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn model(name: &str, source: &str, value: &Value) -> Result<ModelAnswers, String> {
    let gpus = match value.get("gpus") {
        None => Gpus::AsVisible,
        Some(Value::Number(number)) => {
            let count = number.as_u64().and_then(|count| usize::try_from(count).ok());
            Gpus::Any(count.ok_or_else(|| format!("`gpus` of `{name}` is not understood. {BY_HAND}"))?)
        }
        Some(value @ Value::Array(_)) => Gpus::Listed(texts(value)),
        Some(_) => return Err(format!("`gpus` of `{name}` is not understood. {BY_HAND}")),
    };
    let adapters = value.get("lora").and_then(Value::as_object).into_iter().flatten();
    Ok(ModelAnswers {
        name: name.to_owned(),
        source: source.to_owned(),
        command: value.get("command").map(texts).unwrap_or_default(),
        adapters: adapters.filter_map(|(name, path)| Some((name.clone(), text(path)?))).collect(),
        gpus,
        gpu_memory: value.get("gpu_memory").and_then(Value::as_f64),
        port: value.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()),
        profile: value.get("profile").and_then(Value::as_str).map(str::to_owned),
        ..ModelAnswers::default()
    })
}

/// `text`, which says `before`, with `after` in it. `origins`: for each model of `after` the name that it has in `text`, where it is
/// there.
///
/// # Errors
/// Why it cannot be changed line by line.
pub(super) fn write(
    text: &str,
    before: &Answers,
    after: &Answers,
    origins: &[Option<String>],
) -> Result<String, String> {
    let by_hand = || BY_HAND.to_owned();
    let root = as_written(text).ok_or_else(by_hand)?;
    let mut changes = Vec::new();
    let escaped = as_written(&draft(after)).ok_or_else(by_hand)?;
    let mut old = bare(as_written(&draft(before)).ok_or_else(by_hand)?);
    let mut new = bare(escaped.clone());
    let models = (taken(&mut old, "models"), taken(&mut new, "models"));
    for section in [&mut old, &mut new] {
        section.shift_remove("aliases");
    }
    differences((&old, &new), Some(&root), &mut Vec::new(), &mut changes);

    let is_kept = |name: &str| {
        after.models.iter().zip(origins).any(|(model, from)| model.name == name && from.as_deref() == Some(name))
    };
    let gone = before.models.iter().filter(|model| !is_kept(&model.name));
    changes.extend(gone.map(|model| change(&["models", &model.name], None)));
    let drafted = escaped.get("models").and_then(Value::as_object).into_iter().flatten();
    for ((model, origin), (key, value)) in after.models.iter().zip(origins).zip(drafted) {
        let name = model.name.as_str();
        let is_asked_for = before.models.iter().any(|known| known.name == name);
        if origin.as_deref() != Some(name) && !is_asked_for && entry(&root, "models", name).is_some() {
            return Err(format!("The file has another model `{name}`: give this one another name."));
        }
        let Some(origin) = origin else {
            changes.push(change(&["models", key], Some(value.clone())));
            continue;
        };
        let written = entry(&root, "models", origin);
        if origin != name {
            // With all that it says beside the answers.
            changes.push(change(&["models", name], written.cloned()));
        }
        if let (Some(Value::Object(old)), Some(Value::Object(new))) = (models.0.get(origin), models.1.get(name)) {
            let mut keys = vec!["models".to_owned(), name.to_owned()];
            differences((old, new), written.and_then(Value::as_object), &mut keys, &mut changes);
        }
    }
    aliases(&root, (before, after), origins, &mut changes)?;
    changed(text, &changes).map_err(|why| format!("This file cannot be changed here: {why}."))
}

/// Whether a model is called otherwise than in the file: it is written anew then, without the comments inside it.
pub(super) fn renames(after: &Answers, origins: &[Option<String>]) -> bool {
    let mut all = after.models.iter().zip(origins);
    all.any(|(model, origin)| origin.as_ref().is_some_and(|origin| *origin != model.name))
}

fn change(keys: &[&str], value: Option<Value>) -> Change {
    Change { keys: keys.iter().map(|key| (*key).to_owned()).collect(), value }
}

fn entry<'r>(root: &'r Map<String, Value>, section: &str, name: &str) -> Option<&'r Value> {
    root.get(section)?.get(name)
}

fn taken(root: &mut Map<String, Value>, section: &str) -> Map<String, Value> {
    match root.shift_remove(section) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A draft's values as answers have them, which were read as they are written: `${VAR}` is a variable there, too.
fn bare(members: Map<String, Value>) -> Map<String, Value> {
    fn value(given: Value) -> Value {
        match given {
            Value::String(text) => Value::String(text.replace("$${", "${")),
            Value::Array(items) => Value::Array(items.into_iter().map(value).collect()),
            Value::Object(members) => Value::Object(bare(members)),
            other => other,
        }
    }
    members.into_iter().map(|(key, given)| (key.replace("$${", "${"), value(given))).collect()
}

/// The model that an alias without settings of its own points at.
fn plain(alias: &Value) -> Option<&str> {
    let members = alias.as_object().filter(|members| members.len() == 1)?;
    members.get("model")?.as_str()
}

/// What is different of the aliases that are further names, and of those that point at a model with another name now.
fn aliases(
    root: &Map<String, Value>,
    (before, after): (&Answers, &Answers),
    origins: &[Option<String>],
    out: &mut Vec<Change>,
) -> Result<(), String> {
    fn pairs(answers: &Answers) -> Vec<(&str, &str)> {
        let models = answers.models.iter();
        models.flat_map(|model| model.aliases.iter().map(|alias| (alias.as_str(), model.name.as_str()))).collect()
    }
    let (old, new) = (pairs(before), pairs(after));
    let gone = old.iter().filter(|(alias, _)| new.iter().all(|(other, _)| other != alias));
    out.extend(gone.map(|(alias, _)| change(&["aliases", alias], None)));
    for (alias, model) in &new {
        let known = old.iter().find(|(other, _)| other == alias);
        if known.is_none() && entry(root, "aliases", alias).is_some() {
            return Err(format!(
                "The file has an alias `{alias}` with settings of its own: give another further name."
            ));
        }
        if known.is_none_or(|(_, was)| was != model) {
            out.push(change(&["aliases", alias, "model"], Some((*model).into())));
        }
    }
    for (alias, value) in root.get("aliases").and_then(Value::as_object).into_iter().flatten() {
        let target = value.get("model").and_then(Value::as_str).filter(|_| old.iter().all(|(known, _)| known != alias));
        let renamed =
            after.models.iter().zip(origins).find(|(_, origin)| target.is_some() && origin.as_deref() == target);
        if let Some((model, _)) = renamed.filter(|(model, _)| target != Some(model.name.as_str())) {
            out.push(change(&["aliases", alias, "model"], Some(model.name.as_str().into())));
        }
    }
    Ok(())
}

/// What is different, each as deep inside as it can be told: what `file` has beside it stays.
fn differences(
    (before, after): (&Map<String, Value>, &Map<String, Value>),
    file: Option<&Map<String, Value>>,
    keys: &mut Vec<String>,
    out: &mut Vec<Change>,
) {
    let empty = Map::new();
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let all: Vec<&String> = gone.chain(after.keys()).collect();
    for key in all {
        let (old, new) = (before.get(key), after.get(key));
        let inner = file.and_then(|file| file.get(key)).and_then(Value::as_object);
        let has_more =
            |old: &Map<String, Value>| inner.is_some_and(|inner| inner.keys().any(|key| !old.contains_key(key)));
        keys.push(key.clone());
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => differences((old, new), inner, keys, out),
            (None, Some(Value::Object(new))) => differences((&empty, new), inner, keys, out),
            (Some(Value::Object(old)), None) if has_more(old) => differences((old, &empty), inner, keys, out),
            (old, new) if old != new => out.push(Change { keys: keys.clone(), value: new.cloned() }),
            _ => {}
        }
        keys.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# My gateway\nlisten: 127.0.0.1:8000 # ours\nqueue: { size: 5 }\n\nmodels:\n  # The big one\n  big:\n    source: b # weights\n    \
                        gpus: [0] # the first\n    args:\n      seed: 1 # always\n  far:\n    urls: [\"http://a:1\"]\n\n# Names\naliases:\n  a:\n    model: big\n";

    fn origins(answers: &Answers) -> Vec<Option<String>> {
        answers.models.iter().map(|model| Some(model.name.clone())).collect()
    }

    #[test]
    fn sections_keep_what_is_not_asked_for() {
        let text = "log: { level: debug }\nmodels:\n  m:\n    source: ${DIR}/m\n    lora:\n      a: /a\n      b: { path: /b }\naliases:\n  \
                    x: { model: m }\n  y:\n    model: m\n    hidden: true\n";
        let answers = read(text).expect("understood");
        assert_eq!(answers.models[0].aliases, ["x"], "plain ones alone");
        let mut after = answers.clone();
        after.request_log = false;
        after.models[0].aliases.push("z".into());
        after.models[0].adapters.clear();
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        let said = Value::Object(as_written(&new).expect("a mapping"));
        assert_eq!(said["log"], serde_json::json!({ "level": "debug", "access": false }));
        let entries =
            serde_json::json!({ "x": { "model": "m" }, "y": { "model": "m", "hidden": true }, "z": { "model": "m" } });
        assert_eq!(said["aliases"], entries);
        assert_eq!(said["models"]["m"], serde_json::json!({ "source": "${DIR}/m", "lora": { "b": { "path": "/b" } } }));
        let back = write(&new, &read(&new).expect("understood"), &answers, &origins(&answers)).expect("changed");
        let said = Value::Object(as_written(&back).expect("a mapping"));
        assert_eq!((&said["log"], said["aliases"].get("z")), (&serde_json::json!({ "level": "debug" }), None));
        after.models[0].aliases.push("y".into());
        assert!(write(text, &answers, &after, &origins(&answers)).is_err_and(|why| why.contains("alias `y`")));
    }

    #[test]
    fn a_renamed_model_keeps_its_other_settings_and_variables() {
        let text = "models:\n  m:\n    source: ${DIR}/m\n    replicas: 2\n    args:\n      seed: 1\n    env:\n      A: ${B}\naliases:\n  \
                    x:\n    model: m\n  y:\n    model: m\n    hidden: true\n";
        let answers = read(text).expect("understood");
        let mut after = answers.clone();
        after.models[0].name = "n".into();
        after.models[0].port = Some(9001);
        assert!(renames(&after, &origins(&answers)) && !renames(&answers, &origins(&answers)));
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        let said = Value::Object(as_written(&new).expect("a mapping"));
        let model = serde_json::json!({ "source": "${DIR}/m", "replicas": 2, "args": { "seed": 1 }, "env": { "A": "${B}" }, "port": 9001 });
        assert_eq!(said["models"], serde_json::json!({ "n": model }));
        let aliases = serde_json::json!({ "x": { "model": "n" }, "y": { "model": "n", "hidden": true } });
        assert_eq!(said["aliases"], aliases);
    }

    #[test]
    fn what_is_not_changed_stays_as_it_is_written() {
        let answers = read(FILE).expect("understood");
        assert_eq!(answers.models.len(), 1);
        assert_eq!(write(FILE, &answers, &answers, &origins(&answers)).as_deref(), Ok(FILE));
        let mut after = answers.clone();
        after.listen = "0.0.0.0:9000".parse().expect("an address");
        after.models[0].gpus = Gpus::Listed(vec!["1".into()]);
        after.models.push(ModelAnswers { name: "new".into(), source: "n".into(), ..ModelAnswers::default() });
        after.metrics = false;
        let mut from = origins(&answers);
        from.push(None);
        let text = write(FILE, &answers, &after, &from).expect("changed");
        for kept in [
            "# My gateway",
            "# ours",
            "# The big one",
            "# weights",
            "seed: 1 # always",
            "urls: [\"http://a:1\"]",
            "# Names",
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert_eq!(
            read(&text).map(|read| (read.listen, read.models.len(), read.metrics)),
            Ok((after.listen, 2, false))
        );
        after.models.remove(0);
        let text = write(FILE, &answers, &after, &[None]).expect("changed");
        assert!(!text.contains("The weights") && text.contains("new:") && !text.contains("source: b"), "{text}");
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_editor() {
        for text in
            ["- a\n", "listen: \"${HOST}:80\"\nmodels: {}\n", "models:\n  m:\n    source: s\n    gpus: \"${GPUS}\"\n"]
        {
            assert!(read(text).expect_err(text).contains("edit it with e"), "{text}");
        }
    }
}
