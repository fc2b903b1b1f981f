//! Strategies and the naive reference that the tests of this folder share.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Rules;

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

/// Settings as a user writes them.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) remove: Vec<String>,
    pub(super) defaults: Map<String, Value>,
    pub(super) limits: Map<String, Value>,
    pub(super) overrides: Map<String, Value>,
}

impl Settings {
    pub(super) fn rules(&self) -> Rules {
        Rules::compile(&self.remove, &self.defaults, &self.limits, &self.overrides)
    }

    pub(super) fn names(&self, key: &str) -> bool {
        self.remove.iter().any(|name| name == key)
            || [&self.defaults, &self.limits, &self.overrides].iter().any(|map| map.contains_key(key))
    }

    /// What rules mean, said with trees.
    pub(super) fn apply_tree(&self, body: Map<String, Value>) -> Map<String, Value> {
        let mut body = body;
        for key in &self.remove {
            body.remove(key);
        }
        fill(&mut body, &self.defaults);
        clamp(&mut body, &self.limits);
        win(&mut body, &self.overrides);
        body
    }
}

/// Any settings.
pub(super) fn settings() -> impl Strategy<Value = Settings> {
    (prop::collection::vec(key(), 0..3), object(2), object(2), object(2))
        .prop_map(|(remove, defaults, limits, overrides)| Settings { remove, defaults, limits, overrides })
}

fn fill(body: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (key, default) in defaults {
        match (body.get_mut(key), default) {
            (None, _) => drop(body.insert(key.clone(), default.clone())),
            (Some(Value::Object(own)), Value::Object(default)) => fill(own, default),
            _ => {}
        }
    }
}

fn clamp(body: &mut Map<String, Value>, limits: &Map<String, Value>) {
    for (key, limit) in limits {
        match (body.get_mut(key), limit) {
            (Some(Value::Object(own)), Value::Object(limit)) => clamp(own, limit),
            (Some(own), Value::Number(bound)) if above(own, bound) => *own = limit.clone(),
            _ => {}
        }
    }
}

fn above(own: &Value, bound: &serde_json::Number) -> bool {
    let own: serde_json::Number = match own {
        Value::Number(own) => own.clone(),
        Value::String(text) => match text.parse() {
            Ok(own) => own,
            Err(_) => return false,
        },
        _ => return false,
    };
    match (own.as_i128(), bound.as_i128()) {
        (Some(own), Some(bound)) => own > bound,
        _ => own.as_f64() > bound.as_f64(),
    }
}

fn win(body: &mut Map<String, Value>, overrides: &Map<String, Value>) {
    for (key, value) in overrides {
        match (body.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(value)) => win(own, value),
            _ => drop(body.insert(key.clone(), value.clone())),
        }
    }
}
