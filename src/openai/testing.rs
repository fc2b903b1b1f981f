//! Strategies and the naive reference that the tests of this folder share.

use std::collections::BTreeSet;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::apply::Part;
use super::{Endpoint, Request};
use crate::settings::{Condition, FieldPath, Settings, Test, When};

/// Keys from a small pool, so that bodies and rules meet.
pub(super) fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "max_tokens", "temperature", "é", "x\"y", "tab\t"]).prop_map(String::from)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-20i64..20).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6f64..1e6).prop_map(Value::from),
        "[a-z\"\\\\\n\u{0}é😀{}:,]{0,12}".prop_map(Value::from),
        (0i64..40).prop_map(|n| Value::from(n.to_string())),
    ]
}

/// Any JSON value, `depth` levels deep.
pub(super) fn json(depth: u32) -> impl Strategy<Value = Value> {
    scalar().prop_recursive(depth, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Any JSON object.
pub(super) fn object(depth: u32) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), json(depth)), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

/// A request to chat without headers.
pub(super) fn chat(headers: &HeaderMap) -> Request<'_> {
    Request {
        asked: Endpoint::ChatCompletions,
        endpoint: Endpoint::ChatCompletions,
        headers,
        caller: None,
        ask_usage: false,
    }
}

/// Settings as a user writes them.
pub(super) fn set(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Settings {
    let map = |value: Value| value.as_object().cloned().expect("an object");
    Settings {
        remove: remove.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect(),
        defaults: map(defaults),
        limits: map(limits),
        overrides: map(overrides),
        ..Settings::default()
    }
}

/// `settings` for requests that have a field at `path`.
pub(super) fn when(path: FieldPath, settings: Settings) -> When {
    When { condition: Condition { body: vec![(path, Test::Present(true))], ..Condition::default() }, settings }
}

/// Whether `settings` may change the field `key`.
pub(super) fn names(settings: &Settings, key: &str) -> bool {
    // One name stands for all of them.
    let is_length = matches!(key, "max_completion_tokens" | "max_output_tokens");
    if is_length && names(settings, "max_tokens") {
        return true;
    }
    let mut paths = settings.remove.iter().chain(settings.map.iter().map(|(path, _)| path));
    paths.any(|path| path[0] == key)
        || [&settings.defaults, &settings.limits, &settings.overrides].iter().any(|map| map.contains_key(key))
        || settings.when.iter().any(|when| names(&when.settings, key))
}

/// A body as a tree, with the members that were added where the client was silent.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) body: Value,
    defaulted: BTreeSet<Vec<String>>,
}

impl Naive {
    pub(super) fn of(body: Map<String, Value>) -> Self {
        let mut naive = Self { body: body.into(), defaulted: BTreeSet::new() };
        let mut silent = Vec::new();
        nulls(&naive.body, &mut Vec::new(), &mut silent);
        naive.defaulted.extend(silent);
        naive
    }

    fn at(&mut self, path: &[String]) -> Option<&mut Value> {
        path.iter().try_fold(&mut self.body, |value, key| value.as_object_mut()?.get_mut(key))
    }

    fn mark(&mut self, path: &[String], defaulted: bool) {
        self.defaulted.retain(|other| !other.starts_with(path));
        if defaulted {
            self.defaulted.insert(path.to_vec());
            let below = self.at(path).and_then(|value| value.as_object().cloned());
            for key in below.iter().flat_map(Map::keys) {
                self.mark(&[path, std::slice::from_ref(key)].concat(), true);
            }
        }
    }

    fn set(&mut self, path: &[String], value: Value, defaulted: bool) {
        let Some((key, outer)) = path.split_last() else { return };
        if let Some(Value::Object(members)) = self.at(outer) {
            members.insert(key.clone(), value);
        }
        self.mark(path, defaulted);
    }

    /// What settings mean, said with trees.
    pub(super) fn apply(&mut self, settings: &Settings) {
        let is_met = |when: &&When| self.at(&when.condition.body[0].0).is_some();
        let follow: Vec<&When> = settings.when.iter().filter(is_met).collect();
        for path in &settings.remove {
            let Some((key, outer)) = path.split_last() else { continue };
            if let Some(Value::Object(members)) = self.at(outer) {
                members.shift_remove(key);
            }
            self.mark(path, false);
        }
        for (path, values) in &settings.map {
            let text = match self.at(path) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Object(_) | Value::Array(_)) | None => continue,
                Some(other) => other.to_string(),
            };
            if let Some(new) = values.get(&text) {
                let defaulted = self.defaulted.contains(path);
                self.set(path, new.clone(), defaulted);
            }
        }
        self.apply_fields(&[], &settings.defaults, Part::Defaults, Some(&settings.overrides));
        self.apply_fields(&[], &settings.limits, Part::Limits, None);
        self.apply_fields(&[], &settings.overrides, Part::Overrides, None);
        follow.into_iter().for_each(|when| self.apply(&when.settings));
    }

    fn apply_fields(
        &mut self,
        outer: &[String],
        fields: &Map<String, Value>,
        part: Part,
        overrides: Option<&Map<String, Value>>,
    ) {
        for (key, value) in fields {
            let path = [outer, std::slice::from_ref(key)].concat();
            let defaulted = self.defaulted.contains(&path);
            let overridden = overrides.and_then(|overrides| overrides.get(key)?.as_object());
            let (replaces, defaulted) = match (self.at(&path), value, part) {
                (Some(Value::Object(_)), Value::Object(fields), _) => {
                    self.apply_fields(&path, fields, part, overridden);
                    continue;
                }
                (own, _, Part::Defaults) => {
                    (own.is_none() || defaulted || value.is_object() && overridden.is_some(), true)
                }
                (own, _, Part::Limits) => (own.is_some_and(|own| above(own, value)), defaulted),
                (_, _, Part::Overrides) => (true, false),
            };
            if replaces {
                self.set(&path, value.clone(), defaulted);
            }
        }
    }
}

/// The paths to members that are null: a client that sends that has said nothing.
fn nulls(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let Value::Object(members) = value else { return };
    for (key, value) in members {
        path.push(key.clone());
        if value.is_null() {
            found.push(path.clone());
        }
        nulls(value, path, found);
        path.pop();
    }
}

/// The path to a field, one or two keys long.
fn path() -> impl Strategy<Value = FieldPath> {
    prop::collection::vec(key(), 1..3)
}

/// Any settings without `map` and `when`.
pub(super) fn settings() -> impl Strategy<Value = Settings> {
    (prop::collection::vec(path(), 0..3), object(2), object(2), object(2)).prop_map(
        |(remove, defaults, limits, overrides)| Settings { remove, defaults, limits, overrides, ..Settings::default() },
    )
}

/// Any settings.
pub(super) fn all_settings() -> impl Strategy<Value = Settings> {
    let values = || prop::collection::vec((prop_oneof![key(), (-9i64..9).prop_map(|n| n.to_string())], json(1)), 0..4);
    let mapped = (path(), values()).prop_map(|(path, values)| (path, values.into_iter().collect::<Map<_, _>>()));
    let when = prop::collection::vec((path(), settings()).prop_map(|(path, settings)| when(path, settings)), 0..2);
    (settings(), prop::collection::vec(mapped, 0..3), when).prop_map(|(settings, map, when)| Settings {
        map,
        when,
        ..settings
    })
}

fn above(own: &Value, bound: &Value) -> bool {
    let own: serde_json::Number = match own {
        Value::Number(own) => own.clone(),
        Value::String(text) => match text.parse() {
            Ok(own) => own,
            Err(_) => return false,
        },
        _ => return false,
    };
    let Value::Number(bound) = bound else { return false };
    match (own.as_i128(), bound.as_i128()) {
        (Some(own), Some(bound)) => own > bound,
        _ => own.as_f64() > bound.as_f64(),
    }
}
