//! Error replies, word for word as vLLM 0.32 gives them.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::reply;

/// The kind of what FastAPI refuses.
const FASTAPI: &str = "Bad Request";

/// A refused request: `{"error": {message, type, param, code}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
}

impl Fail {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self { status, kind, message: message.into(), param: param.map(Into::into) }
    }

    /// Refused by vLLM's own checks; `param` is also named in the message.
    pub(crate) fn bad(message: impl Into<String>, param: Option<&str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", message, param)
    }

    /// Refused by vLLM's own checks because of the `value` of the parameter `name`: both end the message.
    pub(crate) fn value(name: &str, value: impl Display, message: impl Display) -> Self {
        Self::bad(format!("{message} (parameter={name}, value={value})"), Some(name))
    }

    /// Refused by FastAPI's validation of the body or query: `faults` are its lines.
    pub(crate) fn validation(faults: &[String], param: Option<&str>) -> Self {
        let plural = if faults.len() == 1 { "" } else { "s" };
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        let message = format!("{} validation error{plural}:{lines}", faults.len());
        Self::new(StatusCode::BAD_REQUEST, FASTAPI, message, param)
    }

    /// Members that must be there are not. `members`: how many the body has.
    pub(crate) fn missing(names: &[&str], members: usize) -> Self {
        let faults: Vec<String> = names
            .iter()
            .map(|name| {
                format!(
                    "{{'type': 'missing', 'loc': 'body.{name}', 'msg': 'Field required', 'input': '<dict of {members} items>'}}"
                )
            })
            .collect();
        Self::validation(&faults, names.first().map(|name| format!("body.{name}")).as_deref())
    }

    /// A member has the wrong type.
    pub(crate) fn wrong_type(name: &str, kind: &str, msg: &str, input: &str) -> Self {
        let fault = format!("{{'type': '{kind}', 'loc': 'body.{name}', 'msg': '{msg}', 'input': '{input}'}}");
        Self::validation(&[fault], Some(&format!("body.{name}")))
    }

    /// Nothing by that name.
    pub(crate) fn not_found(message: impl Into<String>, param: Option<&str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message, param)
    }

    /// The prompt is longer than the model's context.
    pub(crate) fn too_long(limit: usize) -> Self {
        let least = limit + 1;
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, your prompt contains at least {least} input \
             tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
        );
        Self::value("input_tokens", least, message)
    }

    /// `--max-num-queued-reqs` reached. vLLM sends no `Retry-After` here.
    pub(crate) fn queue_full() -> Self {
        let message = "The engine is currently busy and cannot accept new requests. Please try again later or on a \
                       different instance.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", message, None)
    }

    /// The process that computes has died.
    pub(crate) fn core_dead() -> Self {
        Self::internal("EngineCore encountered an issue. See stack trace (above) for the root cause.")
    }

    /// Ours to blame, as FastAPI's handler of exceptions says it.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message, None)
    }

    /// The reply.
    pub(crate) fn reply(&self) -> Response {
        reply::json(self.status, &self.body())
    }

    /// The reply of Anthropic's API: in its shape, unless FastAPI refused the request before vLLM saw it.
    pub(crate) fn anthropic_reply(&self) -> Response {
        if self.kind == FASTAPI {
            return self.reply();
        }
        let error = json!({ "type": "error", "error": { "type": self.kind, "message": self.message } });
        reply::json(self.status, &error)
    }

    /// Its JSON.
    pub(crate) fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.status.as_u16(),
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_vllms() {
        assert_eq!(
            Fail::missing(&["messages"], 1).message,
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 1 items>'}"
        );
        assert!(Fail::too_long(512).message.ends_with("(parameter=input_tokens, value=513)"));
    }
}
