//! Reads the members of a request, and says which one is wrong and why.

use serde_json::{Map, Value, json};

use crate::openai::{ApiError, Code};

/// A JSON object.
pub(super) type Members = Map<String, Value>;

/// The caller's fault, in the member `param`.
pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidValue, message).param(param)
}

/// Something the real API has and a chat engine has not.
pub(super) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::new(Code::UnsupportedValue, message).param(param)
}

/// The members of a request's body.
pub(super) fn members(body: &[u8]) -> Result<Members, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => {
            Err(ApiError::new(Code::InvalidJson, format!("The body must be an object, not {}.", kind(&other))))
        }
        Err(error) => Err(ApiError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))),
    }
}

/// Takes the member `name`; null counts as absent.
pub(super) fn take(members: &mut Members, name: &str) -> Option<Value> {
    members.shift_remove(name).filter(|value| !value.is_null())
}

/// The text that `value` must be.
pub(super) fn text(value: Value, param: &str) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(invalid(param, format!("`{param}` must be a string, not {}.", kind(&other)))),
    }
}

/// The array that `value` must be.
pub(super) fn array(value: Value, param: &str) -> Result<Vec<Value>, ApiError> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(invalid(param, format!("`{param}` must be an array, not {}.", kind(&other)))),
    }
}

/// The object that `value` must be.
pub(super) fn object(value: Value, param: &str) -> Result<Members, ApiError> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(invalid(param, format!("`{param}` must be an object, not {}.", kind(&other)))),
    }
}

/// The member `name` of the object at `param`, which must be a text and be there.
pub(super) fn required(members: &mut Members, name: &str, param: &str) -> Result<String, ApiError> {
    let path = format!("{param}.{name}");
    match take(members, name) {
        Some(value) => text(value, &path),
        None => Err(invalid(path.clone(), format!("`{path}` is missing."))),
    }
}

/// The text of the member `name`, when it is one.
pub(super) fn peek<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

/// Whether the member `name`, a boolean, is true.
pub(super) fn flag(members: &Members, name: &str) -> Result<bool, ApiError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is)) => Ok(*is),
        Some(other) => Err(invalid(name, format!("`{name}` must be true or false, not {}.", kind(other)))),
    }
}

/// Chat's function tool.
pub(super) fn function(
    name: String,
    description: Option<Value>,
    parameters: Option<Value>,
    strict: Option<Value>,
) -> Value {
    let mut function = Members::new();
    function.insert("name".into(), name.into());
    for (key, value) in [("description", description), ("parameters", parameters), ("strict", strict)] {
        if let Some(value) = value {
            function.insert(key.into(), value);
        }
    }
    json!({ "type": "function", "function": function })
}

/// Chat's way to demand one function.
pub(super) fn choose(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name } })
}

/// Chat's text part.
pub(super) fn text_part(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// Chat's image part.
pub(super) fn image_part(url: &str, detail: Option<&str>) -> Value {
    let mut image = json!({ "url": url });
    // What chat engines know; the Responses API has more words.
    if let Some(detail @ ("auto" | "low" | "high")) = detail {
        image["detail"] = detail.into();
    }
    json!({ "type": "image_url", "image_url": image })
}

/// Chat's demand for JSON of a schema.
pub(super) fn schema_format(name: Value, schema: Option<Value>, rest: [(&str, Option<Value>); 2]) -> Value {
    let mut format = Members::new();
    format.insert("name".into(), name);
    for (key, value) in [("schema", schema)].into_iter().chain(rest) {
        if let Some(value) = value {
            format.insert(key.into(), value);
        }
    }
    json!({ "type": "json_schema", "json_schema": format })
}

/// The kind of a value, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The text of `value`, as the engine must get it when it must be a string: itself, or its JSON.
pub(super) fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
