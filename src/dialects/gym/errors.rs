//! Why a request cannot be served, and the answers that say so.

use serde_json::{Map, Value, json};

use super::routes::GymRoute;
use super::schema::ValidationError;
use super::step::{Answer, JSON};
use crate::openai::{ApiError, Code};

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum RequestError {
    /// It does not fit the schema: 422 with every error, as FastAPI answers.
    Invalid(Vec<ValidationError>),
    /// Anything else.
    Other(ApiError),
}

impl From<Vec<ValidationError>> for RequestError {
    fn from(errors: Vec<ValidationError>) -> Self {
        Self::Invalid(errors)
    }
}

impl From<ApiError> for RequestError {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

/// The request is valid but cannot be served here: an error of the client's, where Gym answers 500.
pub(super) fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::UnsupportedByGym, message)
}

/// The alias' settings exclude each other, whatever the request.
pub(super) fn conflicting_settings(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::NotImplemented, message)
}

/// The engine's answer cannot be used.
pub(super) fn bad_engine_answer(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::EngineAnswer, message)
}

/// The engine's answer does not fit the schema.
pub(super) fn invalid_engine_answer(errors: &[ValidationError]) -> ApiError {
    let first = errors.first().map(|error| format!(": `{}`: {}", error.path(), error.message)).unwrap_or_default();
    bad_engine_answer(format!(
        "The engine's answer does not have the shape of the API{first}. Check the engine's version and flags."
    ))
}

/// The errors in one sentence, where Gym has no 422 for them.
pub(super) fn in_words(errors: &[ValidationError]) -> ApiError {
    let each: Vec<String> =
        errors.iter().take(5).map(|error| format!("`{}`: {}", error.path(), error.message)).collect();
    unsupported(format!("The request cannot be expressed as a chat completion: {}.", each.join("; ")))
}

/// FastAPI's answer to a request that does not fit the schema.
pub(super) fn unprocessable(errors: &[ValidationError]) -> Answer {
    let detail: Vec<Value> = errors.iter().map(ValidationError::detail).collect();
    Answer::json(422, &json!({ "detail": detail }))
}

/// An error in the route's own shape.
pub(super) fn failed(route: GymRoute, error: &ApiError) -> Answer {
    let body = error.body(route.dialect()).into_bytes();
    Answer { status: error.status, content_type: JSON, body, error: Some(Box::new(error.clone())) }
}

/// The members of a body.
///
/// # Errors
/// It is not a JSON object, in FastAPI's words.
pub(super) fn parse_body(body: &[u8]) -> Result<Map<String, Value>, RequestError> {
    let (kind, message, input) = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => return Ok(members),
        Ok(other) => ("dict_type", "Input should be a valid dictionary".to_owned(), other),
        Err(_) if body.is_empty() => ("missing", "Field required".to_owned(), Value::Null),
        Err(error) => ("json_invalid", format!("JSON decode error: {error}"), json!({})),
    };
    Err(vec![ValidationError { kind, location: Vec::new(), message, input }].into())
}

/// Most of an engine's text that is repeated, in characters, where it has no error object.
const MAX_TEXT: usize = 2000;

/// The engine's error with its status and its own words, in the route's shape.
pub(super) fn engine_error(route: GymRoute, status: u16, body: &[u8]) -> Answer {
    let reply: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let status = if (400..600).contains(&status) { status } else { 502 };
    let error = if reply["error"].is_object() {
        reply["error"].clone()
    } else {
        let kind = if status < 500 { "invalid_request_error" } else { "service_unavailable_error" };
        json!({ "message": engine_message(body), "type": kind, "param": null, "code": status })
    };
    match route {
        GymRoute::Messages => Answer::json(status, &json!({ "type": "error", "error": error })),
        GymRoute::Chat | GymRoute::Responses => Answer::json(status, &json!({ "error": error })),
    }
}

/// The message in an engine's error body; the body itself if there is none.
pub(super) fn engine_message(body: &[u8]) -> String {
    let reply: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let message = reply.pointer("/error/message").or_else(|| reply.get("error")).or_else(|| reply.get("message"));
    match message.and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(body).chars().take(MAX_TEXT).collect(),
    }
}
