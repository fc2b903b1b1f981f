//! What an alias changes in requests, compiled: everything that may have to be written is serialised beforehand.
//!
//! Order: remove, defaults, limits, overrides. Objects merge deeply; arrays and scalars replace.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::text::decode;

/// Compiled changes to the members of one object.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Sorted by key.
    nodes: Box<[Node]>,
}

/// What happens to one key.
#[derive(Clone, Debug)]
pub(super) struct Node {
    key: Box<str>,
    /// Added when the client did not send the key.
    pub(super) absent: Option<Fill>,
    /// Done with what the client sent.
    pub(super) present: Present,
}

#[derive(Clone, Debug)]
pub(super) enum Present {
    /// Left alone.
    Keep,
    /// Taken out.
    Strip,
    /// Replaced, whatever it is.
    Fixed(Fill),
    /// Depends on what it is.
    Shape {
        /// A number above is brought down to it.
        limit: Option<Limit>,
        /// For an object's members.
        children: Rules,
        /// Replaces anything but an object.
        other: Option<Fill>,
    },
}

/// A value ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    /// `,"key":value`
    json: Box<[u8]>,
    /// Offset of the value.
    value: usize,
    /// As the content of a form field; `None` for `null`, which a form cannot say.
    pub(super) text: Option<Box<[u8]>>,
}

impl Fill {
    pub(super) fn new(key: &str, value: &Value) -> Self {
        let head = format!(",{}:", Value::from(key));
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().into()),
            other => Some(other.to_string().into_bytes().into()),
        };
        Self { value: head.len(), json: format!("{head}{value}").into_bytes().into(), text }
    }

    /// The value as JSON.
    pub(super) fn value(&self) -> &[u8] {
        self.json.get(self.value..).unwrap_or_default()
    }

    /// Key and value, with a comma before unless it is the `first` member.
    pub(super) fn member(&self, first: bool) -> &[u8] {
        self.json.get(usize::from(first)..).unwrap_or_default()
    }
}

/// An upper bound.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    bound: Number,
    pub(super) fill: Fill,
}

impl Limit {
    /// Whether the JSON value `raw` is a number above the bound, or a string that says one: vLLM reads `"5"` as 5.
    pub(super) fn exceeded_by_json(&self, raw: &[u8]) -> bool {
        match raw {
            [b'"', inside @ .., b'"'] => decode(inside).is_some_and(|text| self.exceeded_by_text(&text)),
            [b'-' | b'0'..=b'9', ..] => std::str::from_utf8(raw).is_ok_and(|text| self.exceeded_by(text)),
            _ => false,
        }
    }

    /// The same for text that is not JSON, in the spellings Python takes for numbers.
    pub(super) fn exceeded_by_text(&self, text: &str) -> bool {
        let text = text.trim();
        if text.contains('_') { self.exceeded_by(&text.replace('_', "")) } else { self.exceeded_by(text) }
    }

    /// Whole numbers are compared exactly, others as 64-bit floats.
    fn exceeded_by(&self, text: &str) -> bool {
        match (text.parse::<i128>(), self.bound.as_i128()) {
            (Ok(own), Some(bound)) => own > bound,
            _ => match (text.parse::<f64>(), self.bound.as_f64()) {
                (Ok(own), Some(bound)) => own > bound,
                _ => false,
            },
        }
    }
}

impl Rules {
    /// Compiles settings. `model` is not theirs to change: rules for it are left out.
    #[must_use]
    pub fn compile(
        remove: &[String],
        defaults: &Map<String, Value>,
        limits: &Map<String, Value>,
        overrides: &Map<String, Value>,
    ) -> Self {
        let mut rules = level(remove, Some(defaults), Some(limits), Some(overrides));
        if rules.find(b"model").is_some() {
            rules.nodes = rules.nodes.into_iter().filter(|node| &*node.key != "model").collect();
        }
        rules
    }

    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The position of the rule for the key with the inside `raw`, escapes and all.
    pub(super) fn find(&self, raw: &[u8]) -> Option<usize> {
        if raw.contains(&b'\\') { self.find_text(&decode(raw)?) } else { self.find_bytes(raw) }
    }

    /// The position of the rule for `key`.
    pub(super) fn find_text(&self, key: &str) -> Option<usize> {
        self.find_bytes(key.as_bytes())
    }

    fn find_bytes(&self, key: &[u8]) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.key.as_bytes().cmp(key)).ok()
    }
}

impl Node {
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

type Object = Map<String, Value>;

/// The rules for one object's members.
fn level(remove: &[String], defaults: Option<&Object>, limits: Option<&Object>, overrides: Option<&Object>) -> Rules {
    let keys: BTreeSet<&str> = remove
        .iter()
        .chain([defaults, limits, overrides].into_iter().flatten().flat_map(Map::keys))
        .map(String::as_str)
        .collect();
    let get = |map: Option<&'_ Object>, key: &str| map.and_then(|map| map.get(key)).cloned();
    let nodes = keys.into_iter().filter_map(|key| {
        let removed = remove.iter().any(|name| name == key);
        node(key, removed, get(defaults, key), get(limits, key), get(overrides, key))
    });
    Rules { nodes: nodes.collect() }
}

fn node(key: &str, removed: bool, default: Option<Value>, limit: Option<Value>, over: Option<Value>) -> Option<Node> {
    let absent = alone(default.clone(), limit.as_ref(), over.as_ref()).map(|value| Fill::new(key, &value));
    let object = |value: &'_ Option<Value>| value.as_ref().and_then(Value::as_object).cloned();
    let present = match (removed, over) {
        (true, _) => absent.clone().map_or(Present::Strip, Present::Fixed),
        (false, Some(over)) if !over.is_object() => Present::Fixed(Fill::new(key, &over)),
        (false, over) => {
            let children = level(&[], object(&default).as_ref(), object(&limit).as_ref(), object(&over).as_ref());
            let other = over.map(|over| Fill::new(key, &over));
            let limit = match limit {
                Some(Value::Number(bound)) => {
                    Some(Limit { fill: Fill::new(key, &Value::Number(bound.clone())), bound })
                }
                _ => None,
            };
            if limit.is_none() && children.is_empty() && other.is_none() {
                Present::Keep
            } else {
                Present::Shape { limit, children, other }
            }
        }
    };
    match (&present, &absent) {
        (Present::Keep, None) => None,
        _ => Some(Node { key: key.into(), absent, present }),
    }
}

/// The value a key gets that the client did not send.
fn alone(default: Option<Value>, limit: Option<&Value>, over: Option<&Value>) -> Option<Value> {
    let mut value = default;
    if let (Some(value), Some(limit)) = (&mut value, limit) {
        clamp(value, limit);
    }
    match (value, over) {
        (Some(mut value), Some(over)) => {
            win(&mut value, over);
            Some(value)
        }
        (value, over) => value.or_else(|| over.cloned()),
    }
}

fn clamp(value: &mut Value, limit: &Value) {
    match (value, limit) {
        (Value::Object(own), Value::Object(limits)) => {
            for (key, limit) in limits {
                if let Some(own) = own.get_mut(key) {
                    clamp(own, limit);
                }
            }
        }
        (value @ (Value::Number(_) | Value::String(_)), Value::Number(bound)) => {
            let limit = Limit { fill: Fill::new("", &Value::Null), bound: bound.clone() };
            if limit.exceeded_by_json(value.to_string().as_bytes()) {
                *value = Value::Number(bound.clone());
            }
        }
        _ => {}
    }
}

fn win(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(own), Value::Object(over)) => {
            for (key, over) in over {
                match own.get_mut(key) {
                    Some(own) => win(own, over),
                    None => drop(own.insert(key.clone(), over.clone())),
                }
            }
        }
        (value, over) => *value = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Rules {
        let remove: Vec<String> = remove.iter().map(ToString::to_string).collect();
        let map = |value: Value| value.as_object().cloned().expect("an object");
        Rules::compile(&remove, &map(defaults), &map(limits), &map(overrides))
    }

    fn absent(rules: &Rules, key: &str) -> Option<String> {
        let node = &rules.nodes()[rules.find_text(key)?];
        Some(String::from_utf8_lossy(node.absent.as_ref()?.value()).into_owned())
    }

    #[test]
    fn nothing_to_do_is_empty() {
        assert!(rules(&[], json!({}), json!({}), json!({})).is_empty());
        assert!(rules(&[], json!({}), json!({"a": {}, "b": null}), json!({})).is_empty());
        assert!(!rules(&["a"], json!({}), json!({}), json!({})).is_empty());
    }

    #[test]
    fn what_an_absent_key_gets_is_computed_beforehand() {
        let rules = rules(
            &["r"],
            json!({"n": 10, "o": {"x": 10, "y": 1}, "r": 1}),
            json!({"n": 5, "o": {"x": 3}, "l": 5}),
            json!({"o": {"y": 2, "z": [1]}, "v": {"w": null}}),
        );
        assert_eq!(absent(&rules, "n").as_deref(), Some("5"));
        assert_eq!(absent(&rules, "o").as_deref(), Some(r#"{"x":3,"y":2,"z":[1]}"#));
        assert_eq!(absent(&rules, "r").as_deref(), Some("1"));
        assert_eq!(absent(&rules, "v").as_deref(), Some(r#"{"w":null}"#));
        assert_eq!(absent(&rules, "l"), None);
    }

    #[test]
    fn the_model_is_not_a_setting() {
        assert!(rules(&["model"], json!({"model": "a"}), json!({}), json!({"model": "b"})).is_empty());
    }

    #[test]
    fn limits_compare_exactly_where_they_can() {
        let limit =
            |bound: Value| Limit { bound: bound.as_number().cloned().expect("a number"), fill: Fill::new("k", &bound) };
        for (bound, raw, exceeded) in [
            (json!(5), "5", false),
            (json!(5), "6", true),
            (json!(5), "5.0", false),
            (json!(5), "5.1", true),
            (json!(5), "1e3", true),
            (json!(5), "1e999", true),
            (json!(5), "-1e999", false),
            (json!(5), "-6", false),
            (json!(1.5), "2", true),
            (json!(9_007_199_254_740_992_u64), "9007199254740993", true),
            (json!(u64::MAX), "18446744073709551615", false),
            (json!(u64::MAX), "18446744073709551616", true),
            (json!(5), "99999999999999999999999999999999999999999999999999", true),
            (json!(5), "\"6\"", true),
            (json!(5), "\" 1_000 \"", true),
            (json!(5), "\"\\u0036\"", true),
            (json!(5), "\"six\"", false),
            (json!(5), "null", false),
            (json!(5), "[6]", false),
            (json!(5), "true", false),
        ] {
            assert_eq!(limit(bound.clone()).exceeded_by_json(raw.as_bytes()), exceeded, "{raw} over {bound}");
        }
    }

    #[test]
    fn forms_get_text_and_no_null() {
        let text = |value: Value| Fill::new("k", &value).text.map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(text(json!("a\"b")).as_deref(), Some("a\"b"));
        assert_eq!(text(json!(0.5)).as_deref(), Some("0.5"));
        assert_eq!(text(json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
        assert_eq!(text(json!(null)), None);
    }
}
