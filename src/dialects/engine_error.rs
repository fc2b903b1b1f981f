//! Translates an engine's error into the shape of the client's API; its status and words stay.

use serde_json::{Value, json};

use super::client_api::ClientApi;
use crate::openai::ApiError;

/// Most that is repeated of a body that is not JSON, in characters.
const MAX_TEXT: usize = 500;

/// The body of an error reply in the client's API, for an engine's reply with `status` and `body`.
pub(super) fn translate(api: ClientApi, status: u16, body: &[u8]) -> Vec<u8> {
    let mut reply = parse(body);
    if api == ClientApi::Responses
        && let Some(Value::Object(error)) = reply.get_mut("error")
    {
        // It is in OpenAI's shape already; only the names of members differ.
        if let Some(param) = error.get("param").and_then(Value::as_str).map(|param| client_name(api, param)) {
            error.insert("param".into(), param.into());
        }
        return reply.to_string().into_bytes();
    }
    read(Some(api), status, &reply).body(api.dialect()).into_bytes()
}

/// The error in an engine's reply with `status` and `body`, for a client of the API that the engine speaks itself.
#[must_use]
pub fn engine_error(status: u16, body: &[u8]) -> ApiError {
    read(None, status, &parse(body))
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(body).trim().chars().take(MAX_TEXT).collect();
        if text.is_empty() { Value::Null } else { json!({ "message": text }) }
    })
}

/// The error in an engine's reply: `{"error": {"message": …}}`, or what else servers send; `api`: the client's, where it is
/// another one.
pub(super) fn read(api: Option<ClientApi>, status: u16, reply: &Value) -> ApiError {
    let message = ["/error/message", "/error", "/message", "/detail", "/detail/0/msg"]
        .iter()
        .find_map(|path| reply.pointer(path).and_then(Value::as_str))
        .map_or_else(|| format!("The engine answered with status {status} and no explanation."), str::to_owned);
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 => "timeout_error",
        429 => "rate_limit_error",
        500.. if api == Some(ClientApi::Messages) => "api_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let param = reply
        .pointer("/error/param")
        .and_then(Value::as_str)
        .map(|param| api.map_or(param, |api| client_name(api, param)).to_owned());
    ApiError { param, ..ApiError::of_engine(status, kind, message) }
}

/// The status in an error event of a stream that had begun: vLLM puts it into `code`.
pub(super) fn status(event: &Value) -> u16 {
    let code = event["error"]["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    code.filter(|code| (400..600).contains(code)).unwrap_or(502)
}

/// The client's name of a member of chat.
fn client_name(api: ClientApi, param: &str) -> &str {
    match (api, param) {
        (ClientApi::Responses, "max_tokens" | "max_completion_tokens") => "max_output_tokens",
        (ClientApi::Responses, "messages") => "input",
        (ClientApi::Responses, "response_format") => "text.format",
        (ClientApi::Responses, "reasoning_effort") => "reasoning.effort",
        (ClientApi::Messages, "max_completion_tokens") => "max_tokens",
        (ClientApi::Messages, "stop") => "stop_sequences",
        (ClientApi::Messages, "response_format") => "output_config.format",
        (ClientApi::Messages, "reasoning_effort") => "output_config.effort",
        (_, same) => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(api: ClientApi, status: u16, text: &str) -> Value {
        serde_json::from_slice(&translate(api, status, text.as_bytes())).expect("JSON")
    }

    #[test]
    fn engines_errors_take_the_callers_shape() {
        let vllm = r#"{"error":{"message":"max_tokens must be at least 1","type":"BadRequestError","param":"max_tokens","code":400}}"#;
        let responses = translated(ClientApi::Responses, 400, vllm);
        assert_eq!(responses["error"]["param"], "max_output_tokens");
        assert_eq!(responses["error"]["type"], "BadRequestError");
        let messages = translated(ClientApi::Messages, 400, vllm);
        assert_eq!(messages["type"], "error");
        assert_eq!(messages["error"]["type"], "invalid_request_error");
        assert_eq!(messages["error"]["message"], "max_tokens must be at least 1");
    }

    #[test]
    fn every_body_has_a_message() {
        for text in ["", "{}", "null", "[1]", "\u{0}\u{1}", "Internal Server Error", r#"{"error":"Unauthorized"}"#] {
            for api in [ClientApi::Responses, ClientApi::Messages] {
                let message = &translated(api, 500, text)["error"]["message"];
                assert!(message.as_str().is_some_and(|message| !message.is_empty()), "{text}: {message}");
            }
        }
        assert_eq!(
            translated(ClientApi::Messages, 401, r#"{"error":"Unauthorized"}"#)["error"]["type"],
            "authentication_error"
        );
        assert_eq!(translated(ClientApi::Responses, 422, r#"{"detail":"no"}"#)["error"]["message"], "no");
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
            assert_eq!(translated(ClientApi::Messages, status, "{}")["error"]["type"], kind);
        }
    }
}
