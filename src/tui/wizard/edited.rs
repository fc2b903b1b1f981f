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

/// `text`, which says `before`, with `after` in it.
///
/// # Errors
/// Why it cannot be changed line by line.
pub(super) fn write(text: &str, before: &Answers, after: &Answers) -> Result<String, String> {
    let read = |answers| as_written(&draft(answers)).ok_or_else(|| BY_HAND.to_owned());
    let (before, after) = (read(before)?, read(after)?);
    let mut changes = Vec::new();
    differences(&before, &after, &mut Vec::new(), &mut changes);
    changed(text, &changes).map_err(|why| format!("This file cannot be changed here: {why}."))
}

/// What is different, each as deep inside as it can be told.
fn differences(before: &Map<String, Value>, after: &Map<String, Value>, keys: &mut Vec<String>, out: &mut Vec<Change>) {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let all: Vec<&String> = gone.chain(after.keys()).collect();
    for key in all {
        let (old, new) = (before.get(key), after.get(key));
        keys.push(key.clone());
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => differences(old, new, keys, out),
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

    #[test]
    fn what_is_not_changed_stays_as_it_is_written() {
        let answers = read(FILE).expect("understood");
        assert_eq!(answers.models.len(), 1);
        assert_eq!(write(FILE, &answers, &answers).as_deref(), Ok(FILE));
        let mut after = answers.clone();
        after.listen = "0.0.0.0:9000".parse().expect("an address");
        after.models[0].gpus = Gpus::Listed(vec!["1".into()]);
        after.models.push(ModelAnswers { name: "new".into(), source: "n".into(), ..ModelAnswers::default() });
        after.metrics = false;
        let text = write(FILE, &answers, &after).expect("changed");
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
        let text = write(FILE, &answers, &after).expect("changed");
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
