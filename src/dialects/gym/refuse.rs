//! Why a request is not served, and the answers that say so.

use serde_json::{Map, Value, json};

use super::schema::{Location, ValidationError};
use super::{Answer, GymRoute};
use crate::openai::{ApiError, Code, Dialect};

/// Why a request is not served.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It does not fit the schema: 422 with every misfit, as FastAPI says it.
    Invalid(Vec<ValidationError>),
    /// Anything else.
    Error(ApiError),
}

impl From<Vec<ValidationError>> for Refusal {
    fn from(misfits: Vec<ValidationError>) -> Self {
        Self::Invalid(misfits)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// What a caller asks is valid but cannot be done here. Gym answers 500 to it; the fault is the caller's.
pub(super) fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::UnsupportedByGym, message)
}

/// What the alias's settings rule out, whatever is asked.
pub(super) fn ruled_out(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::NotImplemented, message)
}

/// The engine's answer cannot be used.
pub(super) fn bad_answer(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::EngineAnswer, message)
}

/// The engine's answer does not have the shape it should have.
pub(super) fn misshapen(misfits: &[ValidationError]) -> ApiError {
    let place = |error: &ValidationError| {
        let steps = error.location.iter().map(|step| match step {
            Location::Member(name) => name.clone(),
            Location::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    };
    let first = misfits.first().map(|misfit| format!(": {}: {}", place(misfit), misfit.message)).unwrap_or_default();
    bad_answer(format!(
        "The engine's answer is not what the API promises{first}. Look at the engine's version and flags."
    ))
}

/// What does not fit, in one sentence, where Gym has no 422 for it.
pub(super) fn in_words(misfits: &[ValidationError]) -> ApiError {
    let each: Vec<String> =
        misfits.iter().take(5).map(|misfit| format!("{}: {}", misfit.detail()["loc"], misfit.message)).collect();
    unsupported(format!("The request cannot be expressed as a chat completion: {}.", each.join("; ")))
}

impl GymRoute {
    /// Whose error shape the route has.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Chat => Dialect::OpenAi,
            Self::Responses => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
        }
    }
}

/// The answer to a refused request.
pub(super) fn refused(route: GymRoute, refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Error(error) => failed(route, error),
        Refusal::Invalid(misfits) => {
            let detail: Vec<Value> = misfits.iter().map(ValidationError::detail).collect();
            Answer::json(422, &json!({ "detail": detail }))
        }
    }
}

/// An error in the route's own shape.
pub(super) fn failed(route: GymRoute, error: &ApiError) -> Answer {
    Answer { status: error.status, content_type: super::JSON, body: error.body(route.dialect()).into_bytes() }
}

/// A body that is no JSON object, as FastAPI refuses it.
pub(super) fn bad_body(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let misfit = |kind, message: String, input| {
        Refusal::Invalid(vec![ValidationError { kind, location: Vec::new(), message, input }])
    };
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(misfit("dict_type", "Input should be a valid dictionary".into(), other)),
        Err(_) if body.is_empty() => Err(misfit("missing", "Field required".into(), Value::Null)),
        Err(error) => Err(misfit("json_invalid", format!("JSON decode error: {error}"), json!({}))),
    }
}

/// Most of an engine's text that is repeated where it has no error object.
const REPEATED: usize = 2000;

/// What the engine said in refusing, with its status: in the shape callers know, its own words intact.
pub(super) fn engine_refused(route: GymRoute, status: u16, body: &[u8]) -> Answer {
    let said: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let status = if (400..600).contains(&status) { status } else { 502 };
    let error = match said.get("error") {
        Some(Value::Object(error)) => Value::Object(error.clone()),
        _ => {
            let kind = if status < 500 { "invalid_request_error" } else { "service_unavailable_error" };
            json!({ "message": engine_text(&said, body), "type": kind, "param": null, "code": status })
        }
    };
    match route {
        GymRoute::Messages => Answer::json(status, &json!({ "type": "error", "error": error })),
        GymRoute::Chat | GymRoute::Responses => Answer::json(status, &json!({ "error": error })),
    }
}

/// What the engine said, for people.
pub(super) fn engine_text(said: &Value, body: &[u8]) -> String {
    let message = said.pointer("/error/message").or_else(|| said.get("error")).or_else(|| said.get("message"));
    match message.and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(body).chars().take(REPEATED).collect(),
    }
}
