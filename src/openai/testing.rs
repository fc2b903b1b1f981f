//! Strategies and the naive reference that the tests of this folder share.

use std::collections::BTreeSet;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{Block, Condition, Endpoint, Request, Rules, Test};

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
    Request { asked: Endpoint::ChatCompletions, endpoint: Endpoint::ChatCompletions, headers, caller: None }
}

/// A block of settings as a user writes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) remove: Vec<Vec<String>>,
    pub(super) map: Vec<(Vec<String>, Map<String, Value>)>,
    pub(super) defaults: Map<String, Value>,
    pub(super) limits: Map<String, Value>,
    pub(super) overrides: Map<String, Value>,
    /// Changes for requests that have this member.
    pub(super) when: Vec<(Vec<String>, Self)>,
}

impl Settings {
    pub(super) fn new(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Self {
        let map = |value: Value| value.as_object().cloned().expect("an object");
        let remove = remove.iter().map(|way| way.split('.').map(str::to_owned).collect()).collect();
        let (defaults, limits, overrides) = (map(defaults), map(limits), map(overrides));
        Self { remove, defaults, limits, overrides, ..Self::default() }
    }

    pub(super) fn block(&self) -> Block {
        let when = self.when.iter().map(|(way, settings)| {
            let condition = Condition { body: vec![(way.clone(), Test::Present(true))], ..Condition::default() };
            (condition, settings.block())
        });
        Block {
            when: when.collect(),
            remove: self.remove.clone(),
            map: self.map.clone(),
            defaults: self.defaults.clone(),
            limits: self.limits.clone(),
            overrides: self.overrides.clone(),
            ..Block::default()
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules::new(vec![self.block()])
    }

    pub(super) fn names(&self, key: &str) -> bool {
        let ways = self.remove.iter().chain(self.map.iter().map(|(way, _)| way));
        ways.into_iter().any(|way| way[0] == key)
            || [&self.defaults, &self.limits, &self.overrides].iter().any(|map| map.contains_key(key))
            || self.when.iter().any(|(_, settings)| settings.names(key))
    }
}

/// A body as a tree, with the members that were added where the client was silent.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) body: Value,
    filled: BTreeSet<Vec<String>>,
}

impl Naive {
    pub(super) fn of(body: Map<String, Value>) -> Self {
        Self { body: body.into(), filled: BTreeSet::new() }
    }

    fn at(&mut self, way: &[String]) -> Option<&mut Value> {
        way.iter().try_fold(&mut self.body, |value, key| value.as_object_mut()?.get_mut(key))
    }

    fn mark(&mut self, way: &[String], filled: bool) {
        self.filled.retain(|other| !other.starts_with(way));
        if filled {
            self.filled.insert(way.to_vec());
            let below = self.at(way).and_then(|value| value.as_object().cloned());
            for key in below.iter().flat_map(Map::keys) {
                self.mark(&[way, std::slice::from_ref(key)].concat(), true);
            }
        }
    }

    fn set(&mut self, way: &[String], value: Value, filled: bool) {
        let Some((key, outer)) = way.split_last() else { return };
        if let Some(Value::Object(members)) = self.at(outer) {
            members.insert(key.clone(), value);
        }
        self.mark(way, filled);
    }

    /// What a block of settings means, said with trees.
    pub(super) fn apply(&mut self, settings: &Settings) {
        let follow: Vec<&Settings> =
            settings.when.iter().filter(|(way, _)| self.at(way).is_some()).map(|(_, settings)| settings).collect();
        for way in &settings.remove {
            let Some((key, outer)) = way.split_last() else { continue };
            if let Some(Value::Object(members)) = self.at(outer) {
                members.shift_remove(key);
            }
            self.mark(way, false);
        }
        for (way, values) in &settings.map {
            let text = match self.at(way) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Object(_) | Value::Array(_)) | None => continue,
                Some(other) => other.to_string(),
            };
            if let Some(new) = values.get(&text) {
                let filled = self.filled.contains(way);
                self.set(way, new.clone(), filled);
            }
        }
        self.fill(&[], &settings.defaults, &settings.overrides);
        self.clamp(&[], &settings.limits);
        self.win(&[], &settings.overrides);
        follow.into_iter().for_each(|settings| self.apply(settings));
    }

    fn fill(&mut self, outer: &[String], defaults: &Map<String, Value>, overrides: &Map<String, Value>) {
        for (key, default) in defaults {
            let way = [outer, std::slice::from_ref(key)].concat();
            let filled = self.filled.contains(&way);
            match (self.at(&way), default) {
                (None, _) => self.set(&way, default.clone(), true),
                (Some(Value::Object(_)), Value::Object(default)) => {
                    let none = Map::new();
                    self.fill(&way, default, overrides.get(key).and_then(Value::as_object).unwrap_or(&none));
                }
                (_, Value::Object(_)) if overrides.get(key).is_some_and(Value::is_object) => {
                    self.set(&way, default.clone(), true);
                }
                _ if filled => self.set(&way, default.clone(), true),
                _ => {}
            }
        }
    }

    fn clamp(&mut self, outer: &[String], limits: &Map<String, Value>) {
        for (key, limit) in limits {
            let way = [outer, std::slice::from_ref(key)].concat();
            let filled = self.filled.contains(&way);
            match (self.at(&way), limit) {
                (Some(Value::Object(_)), Value::Object(limits)) => self.clamp(&way, limits),
                (Some(own), Value::Number(bound)) if above(own, bound) => self.set(&way, limit.clone(), filled),
                _ => {}
            }
        }
    }

    fn win(&mut self, outer: &[String], overrides: &Map<String, Value>) {
        for (key, value) in overrides {
            let way = [outer, std::slice::from_ref(key)].concat();
            match (self.at(&way), value) {
                (Some(Value::Object(_)), Value::Object(value)) => self.win(&way, value),
                _ => self.set(&way, value.clone(), false),
            }
        }
    }
}

/// The way to a member, one or two keys long.
pub(super) fn way() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(key(), 1..3)
}

/// Any settings without `map` and `when`.
pub(super) fn settings() -> impl Strategy<Value = Settings> {
    (prop::collection::vec(way(), 0..3), object(2), object(2), object(2)).prop_map(
        |(remove, defaults, limits, overrides)| Settings { remove, defaults, limits, overrides, ..Settings::default() },
    )
}

/// Any settings.
pub(super) fn all_settings() -> impl Strategy<Value = Settings> {
    let values = || prop::collection::vec((prop_oneof![key(), (-9i64..9).prop_map(|n| n.to_string())], json(1)), 0..4);
    let mapped = (way(), values()).prop_map(|(way, values)| (way, values.into_iter().collect::<Map<_, _>>()));
    let when = prop::collection::vec((way(), settings()), 0..2);
    (settings(), prop::collection::vec(mapped, 0..3), when).prop_map(|(settings, map, when)| Settings {
        map,
        when,
        ..settings
    })
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
