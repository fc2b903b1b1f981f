//! A value that conforms to a JSON Schema (draft 2020-12, as far as engines know it).

use serde_json::{Map, Number, Value, json};

use super::pattern;

/// From this depth on only what must be there is made: schemas may contain themselves.
const DEEP: usize = 4;
/// Deeper than this nothing is made: such a schema contains itself without an end.
const DEEPEST: usize = 16;

/// A value that conforms to `schema`.
pub(super) fn example(schema: &Value) -> Value {
    Example { root: schema }.value(schema, 0)
}

struct Example<'a> {
    root: &'a Value,
}

impl Example<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        let schema = self.flat(schema, depth);
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
            return first.clone();
        }
        match kind(&schema, depth) {
            "string" => text(&schema).into(),
            "integer" => number(&schema, true),
            "number" => number(&schema, false),
            "boolean" => true.into(),
            "array" => self.array(&schema, depth),
            "null" => Value::Null,
            _ => self.object(&schema, depth),
        }
    }

    /// The schema with all that it refers to and all that it is made of, as one.
    fn flat(&self, schema: &Value, depth: usize) -> Map<String, Value> {
        let mut flat = Map::new();
        self.gather(schema, depth, &mut Vec::new(), &mut flat);
        flat
    }

    /// Adds a schema to `flat`; `seen`: what was referred to already.
    fn gather(&self, schema: &Value, depth: usize, seen: &mut Vec<String>, flat: &mut Map<String, Value>) {
        let Value::Object(members) = schema else { return };
        let mut parts: Vec<&Value> = Vec::new();
        for (name, value) in members {
            match (name.as_str(), value) {
                ("$ref", Value::String(target)) if !seen.contains(target) => {
                    seen.push(target.clone());
                    parts.extend(self.target(target));
                }
                ("$ref", _) => {}
                ("allOf", Value::Array(all)) => parts.extend(all),
                ("anyOf" | "oneOf", Value::Array(all)) => parts.extend(self.choice(all, depth)),
                _ => merge(flat, name, value),
            }
        }
        for part in parts {
            self.gather(part, depth, seen, flat);
        }
    }

    fn target(&self, target: &str) -> Option<&Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }

    /// The first of these; deep down the one that ends soonest.
    fn choice<'s>(&self, all: &'s [Value], depth: usize) -> Option<&'s Value> {
        if depth < DEEP {
            return all.first();
        }
        let cost = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
            _ if schema.get("const").is_some() || schema.get("enum").is_some() => 0,
            Some("null") => 0,
            Some("string" | "integer" | "number" | "boolean") => 1,
            Some("array") => 2,
            _ => 3,
        };
        all.iter().min_by_key(|schema| cost(schema))
    }

    fn array(&self, schema: &Map<String, Value>, depth: usize) -> Value {
        let count = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let first = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others = schema.get("items").filter(|items| **items != Value::Bool(false));
        let usual = if depth < DEEP { usize::from(others.is_some()) + first.len() } else { first.len() };
        let wanted = usual.max(count("minItems").unwrap_or(0)).min(count("maxItems").unwrap_or(usize::MAX)).min(1000);
        let any = json!({ "type": "string" });
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut made: Vec<Value> = Vec::new();
        for at in 0..wanted {
            let of = first.get(at).or(others).unwrap_or(&any);
            let value = self.value(of, depth + 1);
            let value = if unique && made.contains(&value) { self.other(of, value, at) } else { value };
            made.push(value);
        }
        Value::Array(made)
    }

    /// Another value than this one for element number `at`.
    fn other(&self, schema: &Value, value: Value, at: usize) -> Value {
        let all = self.flat(schema, 0);
        match (all.get("enum").and_then(|all| all.get(at)), value) {
            (Some(other), _) => other.clone(),
            (None, Value::String(text)) => format!("{text}{at}").into(),
            (None, Value::Number(number)) => (number.as_i64().unwrap_or(0) + i64::try_from(at).unwrap_or(0)).into(),
            (None, value) => value,
        }
    }

    fn object(&self, schema: &Map<String, Value>, depth: usize) -> Value {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if depth < DEEP || required.contains(&name.as_str()) {
                made.insert(name.clone(), self.value(schema, depth + 1));
            }
        }
        let any = json!({ "type": "string" });
        let others = schema.get("additionalProperties").filter(|others| others.is_object()).unwrap_or(&any);
        let least = schema.get("minProperties").and_then(Value::as_u64).map_or(0, |least| least.min(1000) as usize);
        for name in required {
            if !made.contains_key(name) {
                made.insert(name.to_owned(), self.value(others, depth + 1));
            }
        }
        for number in 1.. {
            if made.len() >= least {
                break;
            }
            made.insert(format!("key{number}"), self.value(others, depth + 1));
        }
        Value::Object(made)
    }
}

/// Adds a member of a part to the whole: names and properties of both count, of the rest what was there before.
fn merge(whole: &mut Map<String, Value>, name: &str, value: &Value) {
    match (whole.get_mut(name), value) {
        (Some(Value::Object(have)), Value::Object(more)) if name == "properties" => {
            for (name, value) in more {
                have.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        (Some(Value::Array(have)), Value::Array(more)) if name == "required" => have.extend(more.iter().cloned()),
        (Some(_), _) => {}
        (None, _) => {
            whole.insert(name.to_owned(), value.clone());
        }
    }
}

/// The type of the value.
fn kind(schema: &Map<String, Value>, depth: usize) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            let mut names = several.iter().filter_map(Value::as_str);
            let is_null = |name: &&str| *name == "null";
            match depth < DEEP {
                true => names.clone().find(|name| !is_null(name)).or_else(|| names.next()).unwrap_or("null"),
                false => names.clone().find(is_null).or_else(|| names.next()).unwrap_or("null"),
            }
        }
        _ if schema.contains_key("properties") || schema.contains_key("required") => "object",
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => "array",
        _ if ["minimum", "maximum", "multipleOf"].iter().any(|name| schema.contains_key(*name)) => "number",
        _ if depth == 0 => "object",
        _ => "string",
    }
}

fn text(schema: &Map<String, Value>) -> String {
    let length = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Ok(text) = pattern::matching(pattern)
    {
        return text;
    }
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:30:00Z",
        Some("time") => "12:30:00Z",
        Some("duration") => "P1D",
        Some("email") => "name@example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "123e4567-e89b-42d3-a456-426614174000",
        Some("uri" | "url") => "https://example.com/",
        _ => {
            let least = length("minLength").unwrap_or(0).min(10_000);
            let most = length("maxLength").unwrap_or(usize::MAX);
            let wanted = least.max("text".len()).min(most);
            return "text ".chars().cycle().take(wanted).collect();
        }
    };
    text.to_owned()
}

/// A number within its bounds: 1 if it can be.
fn number(schema: &Map<String, Value>, whole: bool) -> Value {
    let of = |name: &str| schema.get(name).and_then(Value::as_f64);
    let beside = if whole { 1.0 } else { 0.5 };
    let up = |bound: f64| if whole { bound.floor() + 1.0 } else { bound + beside };
    let down = |bound: f64| if whole { bound.ceil() - 1.0 } else { bound - beside };
    let least = of("minimum").into_iter().chain(of("exclusiveMinimum").map(up)).reduce(f64::max);
    let most = of("maximum").into_iter().chain(of("exclusiveMaximum").map(down)).reduce(f64::min);
    let mut value = 1.0_f64.min(most.unwrap_or(1.0)).max(least.unwrap_or(f64::NEG_INFINITY));
    if let (Some(_), Some(most)) = (of("exclusiveMinimum").filter(|_| !whole), of("exclusiveMaximum").or(of("maximum")))
        && value > most
    {
        value = (of("exclusiveMinimum").unwrap_or(most) + most) / 2.0;
    }
    if whole {
        value = value.ceil();
    }
    if let Some(step) = of("multipleOf").filter(|step| *step > 0.0) {
        value = (value / step).ceil() * step;
        if most.is_some_and(|most| value > most) {
            value -= step;
        }
    }
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return (value as i64).into();
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(schema: &Value) -> Value {
        let value = example(schema);
        let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
        assert!(validator.is_valid(&value), "{value} does not fit {schema}");
        value
    }

    #[test]
    fn values_conform_to_their_schemas() {
        for schema in [
            json!({ "const": { "a": [1] } }),
            json!({ "enum": ["x", 2] }),
            json!({ "type": ["null", "string"] }),
            json!({ "type": "integer", "minimum": 7 }),
            json!({ "type": "integer", "exclusiveMaximum": -3, "multipleOf": 4 }),
            json!({ "type": "integer", "exclusiveMinimum": 9, "maximum": 20, "multipleOf": 5 }),
            json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25 }),
            json!({ "type": "number", "minimum": 0.5, "maximum": 0.75 }),
            json!({ "type": "string", "minLength": 30 }),
            json!({ "type": "string", "maxLength": 2 }),
            json!({ "type": "string", "pattern": "^[A-Z]{3}-\\d{2,}(x|y)?$" }),
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3, "uniqueItems": true }),
            json!({ "type": "array", "items": { "enum": ["a", "b", "c"] }, "minItems": 3, "uniqueItems": true }),
            json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "boolean" }], "items": false }),
            json!({ "type": "array", "maxItems": 0, "items": { "type": "string" } }),
            json!({ "type": "object", "additionalProperties": { "type": "integer" }, "minProperties": 2 }),
            json!({ "type": "object", "required": ["key9", "other"] }),
            json!({ "allOf": [
                { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
                { "properties": { "b": { "type": "integer" } }, "required": ["b"] },
            ] }),
            json!({ "oneOf": [{ "type": "object", "properties": { "a": { "const": 1 } }, "required": ["a"] }, { "type": "null" }] }),
        ] {
            fits(&schema);
        }
        for format in ["date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"] {
            fits(&json!({ "type": "string", "format": format }));
        }
    }

    /// As pydantic and zod write them: definitions, unions, a tree of itself.
    #[test]
    fn schemas_of_classes_and_of_themselves_end() {
        let tree = json!({
            "$defs": {
                "Node": {
                    "type": "object", "additionalProperties": false, "required": ["name", "next", "children"],
                    "properties": {
                        "name": { "type": "string", "description": "Its name." },
                        "next": { "anyOf": [{ "$ref": "#/$defs/Node" }, { "type": "null" }] },
                        "children": { "type": "array", "items": { "$ref": "#/$defs/Node" } },
                    },
                },
            },
            "type": "object", "properties": { "root": { "$ref": "#/$defs/Node" } }, "required": ["root"],
            "additionalProperties": false,
        });
        let value = fits(&tree);
        assert!(value["root"]["next"]["name"].is_string(), "shallow members are there: {value}");
        let endless = json!({ "$ref": "#" });
        assert!(example(&endless).is_object() || example(&endless).is_null());
        let inner = json!({ "properties": { "a": { "$ref": "#" } }, "required": ["a"] });
        assert!(example(&inner)["a"]["a"].is_object());
    }

    #[test]
    fn members_have_the_order_of_the_schema() {
        let schema = json!({ "properties": { "z": { "type": "integer" }, "a": { "type": "string" } } });
        assert_eq!(example(&schema).to_string(), r#"{"z":1,"a":"text"}"#);
    }
}
