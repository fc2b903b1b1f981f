//! A saved configuration as answers, and the same text with other answers: comments, order and all other keys stay. Pure.

use serde_json::{Map, Value};

use super::differences::{asked_for, bare, change, differences, entry, loses_idle};
use super::shortcut;
use crate::config::{Answers, ModelAnswers, as_written, changed, draft, texts};

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
        if let Some(entry) = value.as_object().filter(|entry| entry.get("source").is_some_and(Value::is_string)) {
            let not_understood = |key| format!("`{key}` of `{name}` is not understood. {BY_HAND}");
            models.push(ModelAnswers::read(name, entry).map_err(not_understood)?);
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
    let escaped = as_written(&draft(&asked_for(after))).ok_or_else(by_hand)?;
    let mut old = bare(as_written(&draft(&asked_for(before))).ok_or_else(by_hand)?);
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
            let entry = shortcut::entry(model)?.map(|text| as_written(&text).map(Value::Object).ok_or_else(by_hand));
            changes.push(change(&["models", key], Some(entry.transpose()?.unwrap_or_else(|| value.clone()))));
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
    changes.extend(lost_idle(&root, before, after, origins).map(|name| change(&["models", name, "idle"], None)));
    aliases::differences(&root, (before, after), origins, &mut changes)?;
    let told = |why| format!("This file cannot be changed here: {why}.");
    let new = changed(text, &changes).map_err(told)?;
    let is_empty =
        |root: &Map<String, Value>| root.get("aliases").and_then(Value::as_object).is_some_and(Map::is_empty);
    if is_empty(&as_written(&new).ok_or_else(by_hand)?) && !is_empty(&root) {
        // The last alias takes its section with it.
        return changed(&new, &[change(&["aliases"], None)]).map_err(told);
    }
    Ok(new)
}

/// Whether a model is called otherwise than in the file: it is written anew then, without the comments inside it.
pub(super) fn renames(after: &Answers, origins: &[Option<String>]) -> bool {
    let mut all = after.models.iter().zip(origins);
    all.any(|(model, origin)| origin.as_ref().is_some_and(|origin| *origin != model.name))
}

/// Whether a model keeps its GPUs now that had times after which it gave them back.
pub(super) fn loses_times(text: &str, before: &Answers, after: &Answers, origins: &[Option<String>]) -> bool {
    as_written(text).is_some_and(|root| lost_idle(&root, before, after, origins).next().is_some())
}

/// The models of `after` that keep their GPUs now and have `idle` in the file.
fn lost_idle<'a>(
    root: &'a Map<String, Value>,
    before: &'a Answers,
    after: &'a Answers,
    origins: &'a [Option<String>],
) -> impl Iterator<Item = &'a str> {
    after.models.iter().zip(origins).filter_map(|(model, origin)| {
        let origin = origin.as_ref()?;
        let was = before.models.iter().find(|was| was.name == *origin)?;
        let written = entry(root, "models", origin).and_then(Value::as_object);
        loses_idle(was, model, written).then_some(model.name.as_str())
    })
}

fn taken(root: &mut Map<String, Value>, section: &str) -> Map<String, Value> {
    match root.shift_remove(section) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The model that an alias without settings of its own points at.
fn plain(alias: &Value) -> Option<&str> {
    let members = alias.as_object().filter(|members| members.len() == 1)?;
    members.get("model")?.as_str()
}

mod aliases;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Gpus;

    const FILE: &str = "# My gateway\nlisten: 127.0.0.1:8000 # ours\nqueue: { size: 5 }\n\nmodels:\n  # The big one\n  big:\n    source: b # weights\n    \
                        gpus: [0] # the first\n    args:\n      seed: 1 # always\n  far:\n    urls: [\"http://a:1\"]\n\n# Names\naliases:\n  a:\n    model: big\n";

    #[test]
    fn the_last_alias_takes_its_section_with_it() {
        let text = "models:\n  m:\n    source: s\n# Names\naliases:\n  a:\n    model: m\n";
        let answers = read(text).expect("understood");
        let mut after = answers.clone();
        after.models[0].aliases.clear();
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        assert!(!new.contains("aliases"), "{new}");
    }

    #[test]
    fn a_renamed_model_is_followed_wherever_aliases_name_it() {
        let text = "models:\n  m:\n    source: s\n  n:\n    source: t\naliases:\n  a:\n    split: { m: 90, n: 10 }\n    fallback: [n, m]\n    \
                    mirror: { to: m, percent: 5 }\n  b:\n    model: n\n    fallback: [a]\n";
        let answers = read(text).expect("understood");
        let mut after = answers.clone();
        (after.models[0].name, after.models[1].name) = ("n".into(), "o".into());
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        let said = Value::Object(as_written(&new).expect("a mapping"));
        let aliases = serde_json::json!({
            "a": { "split": { "n": 90, "o": 10 }, "fallback": ["o", "n"], "mirror": { "to": "n", "percent": 5 } },
            "b": { "model": "o", "fallback": ["a"] },
        });
        assert_eq!(said["aliases"], aliases, "{new}");
    }

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
    fn when_a_model_is_loaded_is_kept_or_changed() {
        let text = "models:\n  # The big one\n  big:\n    source: b # weights\n    load: on_demand # rarely used\n    idle: # at night\n      \
                    stop_after: 2h\n  small:\n    source: s\n    load: eager # always\n";
        let answers = read(text).expect("understood");
        assert_eq!(answers.models.iter().map(|model| model.on_demand).collect::<Vec<_>>(), [true, false]);
        assert_eq!(write(text, &answers, &answers, &origins(&answers)).as_deref(), Ok(text));
        let mut after = answers.clone();
        after.models[0].port = Some(9001);
        after.models[1].on_demand = true;
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        for kept in [
            "# The big one",
            "# weights",
            "load: on_demand # rarely used\n    idle: # at night\n      stop_after: 2h\n",
        ] {
            assert!(new.contains(kept), "{kept} in {new}");
        }
        let models = Value::Object(as_written(&new).expect("a mapping"));
        assert_eq!(models["models"]["small"]["load"], "on_demand");
        assert!(!loses_times(text, &answers, &after, &origins(&answers)));
        after.models[0].on_demand = false;
        assert!(loses_times(text, &answers, &after, &origins(&answers)));
        let new = write(text, &answers, &after, &origins(&answers)).expect("changed");
        let models = Value::Object(as_written(&new).expect("a mapping"));
        assert_eq!(models["models"]["big"], serde_json::json!({ "source": "b", "port": 9001 }), "{new}");
        assert!(crate::config::parse(&new, &|_| None).is_ok(), "{new}");
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
