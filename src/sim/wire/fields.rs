//! Members of a request body, read with FastAPI's manners: lax about numbers in strings, clear about the rest.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::errors::Fail;

/// A JSON body that is an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// Parses the body of a request.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fail> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            let fault = "Unsupported Media Type: Only 'application/json' is allowed";
            return Err(Fail::validation(&[fault.into()], None));
        }
        if body.is_empty() {
            let fault = "{'type': 'missing', 'loc': 'body', 'msg': 'Field required', 'input': 'None'}";
            return Err(Fail::validation(&[fault.into()], Some("body")));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(other) => {
                let fault = format!(
                    "{{'type': 'model_attributes_type', 'loc': 'body', 'msg': 'Input should be a valid dictionary or \
                     object to extract fields from', 'input': '{other}'}}"
                );
                Err(Fail::validation(&[fault], Some("body")))
            }
            Err(why) => {
                let at = offset(body, why.line(), why.column());
                let why =
                    if why.is_eof() { "Expecting property name enclosed in double quotes" } else { "Expecting value" };
                let fault = format!(
                    "{{'type': 'json_invalid', 'loc': 'body.{at}', 'msg': 'JSON decode error', 'input': '<dict of 0 \
                     items>', 'ctx': {{'error': '{why}'}}}}"
                );
                Err(Fail::validation(&[fault], Some(&format!("body.{at}"))))
            }
        }
    }

    /// All of `names` must be there.
    pub(crate) fn require(&self, names: &[&str]) -> Result<(), Fail> {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !self.0.contains_key(*name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Fail::missing(&missing, self.0.len())) }
    }

    /// A member that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Fail> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(Fail::wrong_type(name, "string_type", "Input should be a valid string", &other.to_string()))
            }
        }
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, Fail> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| {
                    number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < 9e15).map(|value| value as i64)
                });
                let fraction = "Input should be a valid integer, got a number with a fractional part";
                whole.map(Some).ok_or_else(|| Fail::wrong_type(name, "int_from_float", fraction, &number.to_string()))
            }
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| {
                let msg = "Input should be a valid integer, unable to parse string as an integer";
                Fail::wrong_type(name, "int_parsing", msg, text)
            }),
            Some(other) => {
                Err(Fail::wrong_type(name, "int_type", "Input should be a valid integer", &other.to_string()))
            }
        }
    }

    /// A number.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f64>, Fail> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| {
                let msg = "Input should be a valid number, unable to parse string as a number";
                Fail::wrong_type(name, "float_parsing", msg, text)
            }),
            Some(other) => {
                Err(Fail::wrong_type(name, "float_type", "Input should be a valid number", &other.to_string()))
            }
        }
    }

    /// A switch; absent is off.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fail> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(Value::Number(number)) if number.as_i64() == Some(1) => Ok(true),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => Ok(false),
            Some(other) => {
                Err(Fail::wrong_type(name, "bool_type", "Input should be a valid boolean", &other.to_string()))
            }
        }
    }
}

fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column).min(body.len())
}

/// The text of `content`: a string, or parts of which only the text counts, and what a tool said; other parts appear as `[type]`.
pub(crate) fn content_text(content: &Value) -> std::borrow::Cow<'_, str> {
    match content {
        Value::String(text) => text.into(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| match (part.get("text").and_then(Value::as_str), part.get("type").and_then(Value::as_str)) {
                (Some(text), _) => text.to_owned(),
                (None, Some("tool_result")) => part.get("content").map(content_text).unwrap_or_default().into_owned(),
                (None, kind) => format!("[{}]", kind.unwrap_or("part")),
            })
            .collect::<Vec<_>>()
            .join(" ")
            .into(),
        _ => "".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(body: &str) -> Result<Fields, Fail> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        Fields::read(&headers, body.as_bytes())
    }

    #[test]
    fn numbers_are_lax_and_faults_are_named() {
        let fields = read(r#"{"a": "5", "b": 5.0, "c": 1.5, "d": "x", "e": null}"#).unwrap();
        assert_eq!(fields.int("a"), Ok(Some(5)));
        assert_eq!(fields.int("b"), Ok(Some(5)));
        assert_eq!(fields.int("e"), Ok(None));
        assert_eq!(fields.int("c").unwrap_err().param.as_deref(), Some("body.c"));
        assert!(fields.int("d").unwrap_err().message.contains("int_parsing"));
        assert!(fields.require(&["e", "zz"]).unwrap_err().message.contains("body.zz"));
        assert!(read("{\"model\":\"tiny\",\"messages\":[{").unwrap_err().message.contains("body.29"));
        assert!(Fields::read(&HeaderMap::new(), b"{}").unwrap_err().message.contains("Unsupported Media Type"));
    }
}
