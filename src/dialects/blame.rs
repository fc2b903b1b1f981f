//! Turns what an engine says went wrong into the shape of the caller's API, status and words kept.

use serde_json::{Value, json};

use super::Spoken;
use crate::openai::ApiError;

/// Longest part of a body that is no JSON to repeat.
const MAX_TEXT: usize = 500;

/// The body of an error reply in the dialect `spoken`, for an engine's reply with `status` and `body`.
pub(super) fn body(spoken: Spoken, status: u16, body: &[u8]) -> Vec<u8> {
    if spoken == Spoken::Responses {
        // OpenAI's shape already; only the names of members differ.
        if let Ok(Value::Object(mut reply)) = serde_json::from_slice(body)
            && let Some(Value::Object(error)) = reply.get_mut("error")
        {
            if let Some(param) = error.get("param").and_then(Value::as_str).map(|param| renamed(spoken, param)) {
                error.insert("param".into(), param.into());
            }
            return Value::Object(reply).to_string().into_bytes();
        }
    }
    read(spoken, status, body).body(spoken.dialect()).into_bytes()
}

/// The error in an engine's reply.
pub(super) fn read(spoken: Spoken, status: u16, body: &[u8]) -> ApiError {
    let value: Value = serde_json::from_slice(body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(body).trim().chars().take(MAX_TEXT).collect();
        if text.is_empty() { Value::Null } else { json!({ "message": text }) }
    });
    from_value(spoken, status, &value)
}

/// The error in `value`: `{"error": {"message": …}}`, or what else servers send.
pub(super) fn from_value(spoken: Spoken, status: u16, value: &Value) -> ApiError {
    let words = ["/error/message", "/error", "/message", "/detail", "/detail/0/msg"]
        .iter()
        .find_map(|path| value.pointer(path).and_then(Value::as_str))
        .map_or_else(|| format!("The engine answered with status {status} and no explanation."), str::to_owned);
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 => "timeout_error",
        429 => "rate_limit_error",
        500.. if spoken == Spoken::Messages => "api_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let param = value.pointer("/error/param").and_then(Value::as_str).map(|param| renamed(spoken, param));
    ApiError { param, ..ApiError::of_engine(status, kind, words) }
}

/// The status in an error event of a stream that had begun: vLLM puts it into `code`.
pub(super) fn status(value: &Value) -> u16 {
    value
        .pointer("/error/code")
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .unwrap_or(502)
}

/// Chat's name of a member in the caller's API.
fn renamed(spoken: Spoken, param: &str) -> String {
    match (spoken, param) {
        (Spoken::Responses, "max_tokens" | "max_completion_tokens") => "max_output_tokens",
        (Spoken::Responses, "messages") => "input",
        (Spoken::Responses, "response_format") => "text.format",
        (Spoken::Responses, "reasoning_effort") => "reasoning.effort",
        (Spoken::Messages, "max_completion_tokens") => "max_tokens",
        (Spoken::Messages, "stop") => "stop_sequences",
        (Spoken::Messages, "response_format") => "output_config.format",
        (Spoken::Messages, "reasoning_effort") => "output_config.effort",
        (_, same) => same,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(spoken: Spoken, status: u16, text: &str) -> Value {
        serde_json::from_slice(&body(spoken, status, text.as_bytes())).expect("JSON")
    }

    #[test]
    fn engines_errors_take_the_callers_shape() {
        let vllm = r#"{"error":{"message":"max_tokens must be at least 1","type":"BadRequestError","param":"max_tokens","code":400}}"#;
        let responses = told(Spoken::Responses, 400, vllm);
        assert_eq!(responses["error"]["param"], "max_output_tokens");
        assert_eq!(responses["error"]["type"], "BadRequestError");
        let messages = told(Spoken::Messages, 400, vllm);
        assert_eq!(messages["type"], "error");
        assert_eq!(messages["error"]["type"], "invalid_request_error");
        assert_eq!(messages["error"]["message"], "max_tokens must be at least 1");
    }

    #[test]
    fn every_body_has_a_message() {
        for text in ["", "{}", "null", "[1]", "\u{0}\u{1}", "Internal Server Error", r#"{"error":"Unauthorized"}"#] {
            for spoken in [Spoken::Responses, Spoken::Messages] {
                let message = &told(spoken, 500, text)["error"]["message"];
                assert!(message.as_str().is_some_and(|message| !message.is_empty()), "{text}: {message}");
            }
        }
        assert_eq!(told(Spoken::Messages, 401, r#"{"error":"Unauthorized"}"#)["error"]["type"], "authentication_error");
        assert_eq!(told(Spoken::Responses, 422, r#"{"detail":"no"}"#)["error"]["message"], "no");
    }

    #[test]
    fn statuses_have_anthropics_types() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "overloaded_error"),
        ] {
            assert_eq!(told(Spoken::Messages, status, "{}")["error"]["type"], kind);
        }
    }
}
