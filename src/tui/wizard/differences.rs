//! What is different between answers, as changes of what a file says. Pure.

use serde_json::{Map, Value};

use crate::config::{Answers, Change, ModelAnswers};

/// The answers alone, without what else their entries say: the flags of a model are not asked for.
pub(super) fn asked_for(answers: &Answers) -> Answers {
    let model = |model: &ModelAnswers| ModelAnswers { entry: None, args: Map::new(), ..model.clone() };
    Answers { models: answers.models.iter().map(model).collect(), ..answers.clone() }
}

/// A draft's values as answers have them, which were read as they are written: `${VAR}` is a variable there, too.
pub(super) fn bare(members: Map<String, Value>) -> Map<String, Value> {
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

/// What is different, each as deep inside as it can be told: what `file` has beside it stays.
pub(super) fn differences(
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

/// Whether an entry has times after which engines give their GPU memory back, which only those may have that are loaded on demand:
/// they go where a model is that no more.
pub(super) fn loses_idle(before: &ModelAnswers, after: &ModelAnswers, entry: Option<&Map<String, Value>>) -> bool {
    before.on_demand && !after.on_demand && entry.is_some_and(|entry| entry.contains_key("idle"))
}

/// Another value at these keys; `None`: they go.
pub(super) fn change(keys: &[&str], value: Option<Value>) -> Change {
    Change { keys: keys.iter().map(|key| (*key).to_owned()).collect(), value }
}

/// What a section of a file says under a name.
pub(super) fn entry<'r>(root: &'r Map<String, Value>, section: &str, name: &str) -> Option<&'r Value> {
    root.get(section)?.get(name)
}
