//! What becomes of a file's aliases: further names of models come and go, and names of models that are called otherwise are
//! followed.

use serde_json::{Map, Value};

use crate::config::{Answers, Change};
use crate::tui::wizard::differences::{change, entry};

/// What is different of the aliases that are further names, and of those that name a model which has another name now.
pub(super) fn differences(
    root: &Map<String, Value>,
    (before, after): (&Answers, &Answers),
    origins: &[Option<String>],
    out: &mut Vec<Change>,
) -> Result<(), String> {
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
    let called = |name: &str| {
        let mut all = after.models.iter().zip(origins);
        let found = all.find(|(_, origin)| origin.as_deref() == Some(name));
        found.map_or_else(|| name.to_owned(), |(model, _)| model.name.clone())
    };
    for (alias, value) in root.get("aliases").and_then(Value::as_object).into_iter().flatten() {
        if old.iter().all(|(known, _)| known != alias) {
            follow(alias, value, &called, out);
        }
    }
    Ok(())
}

/// Each further name, and the model that it means.
fn pairs(answers: &Answers) -> Vec<(&str, &str)> {
    let models = answers.models.iter();
    models.flat_map(|model| model.aliases.iter().map(|alias| (alias.as_str(), model.name.as_str()))).collect()
}

/// Changes what an alias says of models that are `called` otherwise now.
fn follow(alias: &str, value: &Value, called: &dyn Fn(&str) -> String, out: &mut Vec<Change>) {
    let name = |value: &Value| value.as_str().map_or_else(|| value.clone(), |name| Value::from(called(name)));
    let split = |value: &Value| {
        let parts = value.as_object()?.iter();
        Some(Value::Object(parts.map(|(name, weight)| (called(name), weight.clone())).collect()))
    };
    let fallback = |value: &Value| Some(Value::Array(value.as_array()?.iter().map(name).collect()));
    let mirrored = value.get("mirror").and_then(|mirror| mirror.get("to"));
    let all = [
        (&["model"][..], value.get("model"), value.get("model").map(name)),
        (&["split"][..], value.get("split"), value.get("split").and_then(split)),
        (&["fallback"][..], value.get("fallback"), value.get("fallback").and_then(fallback)),
        (&["mirror", "to"][..], mirrored, mirrored.map(name)),
    ];
    for (keys, old, new) in all {
        if new.is_some() && new.as_ref() != old {
            out.push(change(&[&["aliases", alias], keys].concat(), new));
        }
    }
}
