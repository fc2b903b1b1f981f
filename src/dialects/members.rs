//! Reads the members of a request; an error names the member that is wrong, and why.

use serde_json::{Map, Value};

use crate::openai::{ApiError, Code};

/// The members of a JSON object.
pub(super) type Members = Map<String, Value>;

/// The client's fault, in the member `param`.
pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidValue, message).param(param)
}

/// Something that the real API has and a chat engine has not.
pub(super) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::new(Code::UnsupportedValue, message).param(param)
}

/// The error for the member `param`, which must be there.
pub(super) fn missing(param: impl Into<String>) -> ApiError {
    let param = param.into();
    let message = format!("`{param}` is missing.");
    invalid(param, message)
}

/// The members of a request's body.
pub(super) fn parse(body: &[u8]) -> Result<Members, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => {
            Err(ApiError::new(Code::InvalidJson, format!("The body must be an object, not {}.", type_of(&other))))
        }
        Err(error) => Err(ApiError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))),
    }
}

/// Takes the member `name`; null counts as absent.
pub(super) fn take(members: &mut Members, name: &str) -> Option<Value> {
    members.shift_remove(name).filter(|value| !value.is_null())
}

/// The string that `value` must be.
pub(super) fn text(value: Value, param: &str) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(param, "a string", &other)),
    }
}

/// The array that `value` must be.
pub(super) fn array(value: Value, param: &str) -> Result<Vec<Value>, ApiError> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(wrong_type(param, "an array", &other)),
    }
}

/// The object that `value` must be.
pub(super) fn object(value: Value, param: &str) -> Result<Members, ApiError> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(wrong_type(param, "an object", &other)),
    }
}

/// The objects of an array, each with its path.
pub(super) fn objects(list: Vec<Value>, param: &str) -> impl Iterator<Item = Result<(Members, String), ApiError>> {
    let each = list.into_iter().enumerate().map(move |(at, value)| (value, format!("{param}[{at}]")));
    each.map(|(value, param)| Ok((object(value, &param)?, param)))
}

/// Takes the member `name`, a list; absent, it is empty.
pub(super) fn take_array(members: &mut Members, name: &str, param: &str) -> Result<Vec<Value>, ApiError> {
    take(members, name).map_or_else(|| Ok(Vec::new()), |value| array(value, param))
}

/// Takes the member `name`, an object; absent, there is none.
pub(super) fn take_object(members: &mut Members, name: &str) -> Result<Option<Members>, ApiError> {
    take(members, name).map(|value| object(value, name)).transpose()
}

/// The member `name` of the object at `param`, which must be a string and be there.
pub(super) fn required(members: &mut Members, name: &str, param: &str) -> Result<String, ApiError> {
    let path = format!("{param}.{name}");
    match take(members, name) {
        Some(value) => text(value, &path),
        None => Err(missing(path)),
    }
}

/// The member `name`, if it is a string.
pub(super) fn peek<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

/// Whether the member `name`, a boolean, is true.
pub(super) fn flag(members: &Members, name: &str) -> Result<bool, ApiError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is)) => Ok(*is),
        Some(other) => Err(wrong_type(name, "true or false", other)),
    }
}

fn wrong_type(param: &str, wanted: &str, found: &Value) -> ApiError {
    invalid(param, format!("`{param}` must be {wanted}, not {}.", type_of(found)))
}

/// The type of a value, in words.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value as the string that the engine must get: itself if it is one, or its JSON.
pub(super) fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
