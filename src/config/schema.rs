//! The JSON Schema of the configuration, made from the raw types; nothing but keys that are written.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value};

use super::raw::Raw;

/// JSON Schema (draft 2020-12) of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(NoNull);
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>();
    schema.insert("$id".into(), "enginehouse.schema.json".into());
    schema.to_value()
}

/// A key is written with a value or not at all: removes the `null` that optional fields bring along.
#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            strip(object);
        }
        transform_subschemas(self, schema);
    }
}

fn strip(object: &mut Map<String, Value>) {
    let null = Value::from("null");
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| *name != null);
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&null));
        if let [only] = choices.as_mut_slice() {
            let only = only.take();
            object.remove("anyOf");
            if let Value::Object(only) = only {
                object.extend(only);
            }
        }
    }
}

/// The schema that `node` stands for, `$ref` followed.
pub(super) fn follow<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|at| root.pointer(at.strip_prefix('#')?));
    target.unwrap_or(node)
}

/// The schema of the member `key` of what `node` describes; `None`: no such key.
pub(super) fn member<'a>(root: &'a Value, node: &'a Value, key: &str) -> Option<&'a Value> {
    shapes(root, node).into_iter().find_map(|shape| {
        shape.get("properties").and_then(|all| all.get(key)).or_else(|| {
            shape.get("additionalProperties").filter(|other| other.is_object() || other.as_bool() == Some(true))
        })
    })
}

/// The schema of the elements of what `node` describes.
pub(super) fn element<'a>(root: &'a Value, node: &'a Value) -> Option<&'a Value> {
    shapes(root, node).into_iter().find_map(|shape| shape.get("items"))
}

/// The JSON types that `node` allows; empty: any.
pub(super) fn types<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a str> {
    let mut all = Vec::new();
    for shape in shapes(root, node) {
        match shape.get("type") {
            Some(Value::String(name)) => all.push(name.as_str()),
            Some(Value::Array(names)) => all.extend(names.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    all
}

/// `node` and its alternatives, `$ref` followed.
pub(super) fn shapes<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    let node = follow(root, node);
    let mut all = vec![node];
    for word in ["anyOf", "oneOf"] {
        for choice in node.get(word).and_then(Value::as_array).into_iter().flatten() {
            all.extend(shapes(root, choice));
        }
    }
    all
}
