//! Looking up parts of a JSON Schema: members, elements, types, alternatives.

use serde_json::Value;

/// The schema that `node` stands for, `$ref` followed.
fn follow<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|at| root.pointer(at.strip_prefix('#')?));
    target.unwrap_or(node)
}

/// The schema of the member `key` of what `node` describes; `None`: no such key.
pub(in crate::config) fn member<'a>(root: &'a Value, node: &'a Value, key: &str) -> Option<&'a Value> {
    shapes(root, node).into_iter().find_map(|shape| {
        shape.get("properties").and_then(|all| all.get(key)).or_else(|| {
            shape.get("additionalProperties").filter(|other| other.is_object() || other.as_bool() == Some(true))
        })
    })
}

/// The schema of the elements of what `node` describes.
pub(in crate::config) fn element<'a>(root: &'a Value, node: &'a Value) -> Option<&'a Value> {
    shapes(root, node).into_iter().find_map(|shape| shape.get("items"))
}

/// The JSON types that `node` allows; empty: any.
pub(in crate::config) fn types<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a str> {
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
pub(in crate::config) fn shapes<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    let node = follow(root, node);
    let mut all = vec![node];
    for word in ["anyOf", "oneOf"] {
        for choice in node.get(word).and_then(Value::as_array).into_iter().flatten() {
            all.extend(shapes(root, choice));
        }
    }
    all
}
