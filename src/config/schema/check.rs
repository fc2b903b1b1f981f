//! Checks a value against the JSON Schema of the raw types, and says in plain words what does not match.

use std::collections::HashSet;
use std::str::FromStr;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::{Map, Value};

use super::lookup::{element, member, shapes, types};
use super::replaced::replaced;
use crate::config::diagnostic::Draft;
use crate::config::path::{Path, Step};
use crate::config::suggest;
use crate::config::units::{SIZE_FORMAT, Size, TIME_FORMAT, TIME_OR_ZERO_FORMAT, Time, explain_time, likely_size};

/// Everything in `value` that does not match `schema`; at most one draft for each path.
pub(in crate::config) fn check(schema: &Value, value: &Value) -> Vec<Draft> {
    let mut out = Vec::new();
    let options = jsonschema::options()
        .should_validate_formats(true)
        .with_format(TIME_FORMAT, Time::is_fit)
        .with_format(TIME_OR_ZERO_FORMAT, |text: &str| Time::from_str(text).is_ok())
        .with_format(SIZE_FORMAT, |text: &str| Size::from_str(text).is_ok());
    match options.build(schema) {
        Ok(validator) => validator.iter_errors(value).for_each(|error| translate(schema, value, &error, &mut out)),
        Err(error) => out.push(Draft::of_text(
            format!("The schema of this program is wrong: {error}."),
            "This is a mistake in Enginehouse; please report it.",
        )),
    }
    let mut seen = HashSet::new();
    out.retain(|draft| seen.insert(draft.path.clone()));
    out
}

fn translate(root: &Value, whole: &Value, error: &ValidationError<'_>, out: &mut Vec<Draft>) {
    let path = path_of(error, whole);
    // The schema that holds the keyword which failed.
    let holder = error.schema_path().as_str().rsplit_once('/').map_or("", |(holder, _)| holder);
    let node = root.pointer(holder).unwrap_or(&Value::Null);
    let found = error.instance().as_ref();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            out.extend(unexpected.iter().map(|key| unknown_key(node, found, &path, key)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The alternative that was meant is the one whose type fits; its complaints are the useful ones.
            let here = error.instance_path().as_str();
            let meant = context.iter().find(|branch| branch.iter().all(|inner| is_detail(inner, here)));
            match meant {
                Some(branch) => branch.iter().for_each(|inner| translate(root, whole, inner, out)),
                None => out.push(none_of(root, node, path, found)),
            }
        }
        ValidationErrorKind::Type { kind } => out.push(wrong_type(node, path, kind, found)),
        ValidationErrorKind::Format { .. } | ValidationErrorKind::Pattern { .. } => {
            out.push(wrong_format(node, path, found));
        }
        ValidationErrorKind::Minimum { limit } => {
            out.push(Draft::new(path, format!("It must be at least {limit}."), format!("Write {limit} or more.")));
        }
        ValidationErrorKind::Maximum { limit } => {
            out.push(Draft::new(path, format!("It must be at most {limit}."), format!("Write {limit} or less.")));
        }
        ValidationErrorKind::MinItems { .. } => {
            out.push(Draft::new(path, "The list is empty.", "Name at least one, or remove the key."));
        }
        _ => {
            let reason = format!("It does not fit: {}.", error.masked());
            out.push(Draft::new(path, reason, "See `enginehouse schema` for what can stand here.").hidden());
        }
    }
}

fn is_detail(error: &ValidationError<'_>, here: &str) -> bool {
    let of_value = matches!(
        error.kind(),
        ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::AnyOf { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
    );
    !(of_value && error.instance_path().as_str() == here)
}

/// The path of an error; list positions are told from keys that are numbers by looking at the value.
fn path_of(error: &ValidationError<'_>, whole: &Value) -> Path {
    let mut path = Path::default();
    let mut at = Some(whole);
    for part in error.instance_path().as_str().split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let index = at.filter(|value| value.is_array()).and_then(|_| key.parse::<usize>().ok());
        (path, at) = match index {
            Some(index) => (path.index(index), at.and_then(|value| value.get(index))),
            None => (path.key(&key), at.and_then(|value| value.get(&key))),
        };
    }
    path
}

fn unknown_key(node: &Value, found: &Value, place: &Path, key: &str) -> Draft {
    if let Some(draft) = replaced(place, key, &found[key]) {
        return draft;
    }
    let known: Vec<&str> = match node.get("properties") {
        Some(Value::Object(properties)) => properties.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let (remedy, near) = suggest::remedy(key, &known, "Known keys here");
    // A setting that is missing was probably meant by this key.
    let meant = near.filter(|near| found.get(near).is_none()).map(|near| place.key(near));
    Draft { meant, ..Draft::new(place.key(key), format!("There is no key `{key}` here."), remedy).hidden() }
}

fn none_of(root: &Value, node: &Value, path: Path, found: &Value) -> Draft {
    let choices = shapes(root, node);
    let mut words: Vec<&str> = choices.iter().filter_map(|choice| choice.get("const")?.as_str()).collect();
    let lists = choices.iter().filter_map(|choice| choice.get("enum")?.as_array());
    words.extend(lists.flatten().filter_map(Value::as_str));
    let (remedy, _) = suggest::remedy(found.as_str().unwrap_or(""), &words, "Known words here");
    let mut others: Vec<&str> = types(root, node);
    others.retain(|name| *name != "string" || words.is_empty());
    others.dedup();
    if words.is_empty() || others.contains(&"object") {
        let mut kinds: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        kinds.extend(
            others.iter().filter(|name| words.is_empty() || **name != "boolean").map(|name| phrase(name).into()),
        );
        let kinds = kinds.join(" or ");
        return Draft::new(path, format!("Expected {kinds}, found {}.", kind_of(found)), format!("Write {kinds}."));
    }
    Draft::new(path, "This word is not known here.", remedy)
}

fn wrong_type(node: &Value, path: Path, kind: &TypeKind, found: &Value) -> Draft {
    let wanted: Vec<&str> = match kind {
        TypeKind::Single(one) => vec![name_of(*one)],
        TypeKind::Multiple(many) => many.iter().map(name_of).collect(),
    };
    let expected = wanted.iter().map(|name| phrase(name)).collect::<Vec<_>>().join(" or ");
    if found.is_null() {
        return Draft::new(
            path,
            format!("Nothing is written here; expected {expected}."),
            "Write a value, or remove the key.",
        );
    }
    let example = || node.get("examples")?.get(0).or_else(|| node.get("default")).map(Value::to_string);
    let reason = format!("Expected {expected}, found {}.", kind_of(found));
    let remedy = match (wanted.first().copied().unwrap_or_default(), found) {
        ("array", Value::String(text)) if path.last_key() == Some("command") => {
            format!("Write it as a list: [{}].", text.split_whitespace().collect::<Vec<_>>().join(", "))
        }
        ("array", Value::String(_) | Value::Number(_)) => match example() {
            Some(example) => format!("Put it into a list, even a single one, like {example}."),
            None => "Put it into a list, even a single one: [ … ].".into(),
        },
        ("boolean", Value::String(text)) => match text.to_lowercase().as_str() {
            word @ ("true" | "false") => format!("Write {word} (without quotes)."),
            "yes" | "on" | "y" | "enabled" => format!("Write true; `{text}` is a text in YAML 1.2."),
            "no" | "off" | "n" | "disabled" => format!("Write false; `{text}` is a text in YAML 1.2."),
            _ => "Write true or false.".into(),
        },
        ("integer" | "number", Value::String(text)) if text.trim().parse::<f64>().is_ok() => {
            format!("Write the number without quotes: {}.", text.trim())
        }
        ("object", _) => {
            let keys: Vec<&str> = match node.get("properties") {
                Some(Value::Object(properties)) => properties.keys().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            let what = if keys.is_empty() { "name: value".into() } else { keys.join(", ") };
            // What stands in place of a mapping may be a secret that lost its key.
            return Draft::new(path, reason, format!("Write a mapping, one `key: value` a line, indented ({what})."))
                .hidden();
        }
        _ => match example() {
            Some(example) => format!("Write {expected}, like {example}."),
            None => format!("Write {expected}."),
        },
    };
    Draft::new(path, reason, remedy)
}

fn wrong_format(node: &Value, path: Path, found: &Value) -> Draft {
    let text = found.as_str().unwrap_or("");
    match node.get("format").and_then(Value::as_str).unwrap_or("") {
        TIME_FORMAT | TIME_OR_ZERO_FORMAT => {
            let (reason, remedy) = explain_time(text);
            Draft::new(path, reason, remedy)
        }
        SIZE_FORMAT => Draft::new(path, "This is not a size.", likely_size(text)),
        _ => {
            let what = node.get("description").and_then(Value::as_str).unwrap_or("text of the right form.");
            let example = node.get("examples").and_then(|all| all.get(0)).or_else(|| node.get("default"));
            let remedy = match example.and_then(Value::as_str).filter(|example| !example.is_empty()) {
                Some(example) => format!("Write it like {example}. {what}"),
                None => format!("Write this: {what}"),
            };
            Draft::new(path, "This cannot stand here.", remedy)
        }
    }
}

fn name_of(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "array",
        JsonType::Boolean => "boolean",
        JsonType::Integer => "integer",
        JsonType::Null => "null",
        JsonType::Number => "number",
        JsonType::Object => "object",
        JsonType::String => "string",
    }
}

fn phrase(name: &str) -> &str {
    match name {
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "null" => "nothing",
        "number" => "a number",
        "object" => "a mapping",
        "string" => "text",
        other => other,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Removes the settings at `paths` from `value`, so that the rest can be checked.
pub(in crate::config) fn prune(value: &mut Value, schema: &Value, paths: &[Path]) {
    for path in paths {
        take_out(value, schema, schema, path.steps());
    }
}

fn take_out(value: &mut Value, root: &Value, schema: &Value, steps: &[Step]) {
    if let (Some((Step::Index(at), rest)), Value::Array(items)) = (steps.split_first(), &mut *value) {
        if let (Some(item), Some(below)) = (items.get_mut(*at), element(root, schema)) {
            take_out(item, root, below, rest);
        }
        return;
    }
    let (Some((Step::Key(key), rest)), Value::Object(map)) = (steps.split_first(), value) else { return };
    let below = member(root, schema, key);
    let named = !shapes(root, schema).iter().any(|shape| shape.get("properties").is_some());
    match (map.get_mut(key), below) {
        (Some(value), Some(below)) if !rest.is_empty() => take_out(value, root, below, rest),
        // A model or alias that is no mapping still takes its name.
        (Some(value), Some(below)) if named && types(root, below).contains(&"object") => {
            *value = Value::Object(Map::new())
        }
        _ if rest.is_empty() => drop(map.remove(key)),
        _ => {}
    }
}
