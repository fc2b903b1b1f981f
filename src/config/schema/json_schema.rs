//! The JSON Schema of the configuration, made from the raw types; nothing but keys that are written.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value};

use crate::config::raw::Raw;

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
                // What is said of the key is more than what is said of its type.
                for (word, value) in only {
                    object.entry(word).or_insert(value);
                }
            }
        }
    }
}
