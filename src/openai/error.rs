//! Errors of ours, in the shape callers' libraries understand.

use serde_json::{Value, json};

use super::Dialect;

/// An error reply: a status and OpenAI's error object (OpenAI API reference, Errors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// `type`: the class, e.g. `invalid_request_error`.
    pub kind: &'static str,
    /// `message`: what happened and what to do.
    pub message: String,
    /// `param`: the field to blame.
    pub param: Option<String>,
    /// `code`: a stable word to branch on.
    pub code: &'static str,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u64>,
    /// Value of the `Allow` header (405).
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// The caller's fault.
    #[must_use]
    pub fn invalid(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: if status == 404 { "not_found_error" } else { "invalid_request_error" },
            message: message.into(),
            param: None,
            code,
            retry_after: None,
            allow: None,
        }
    }

    /// Ours or an engine's: nobody can serve this now.
    #[must_use]
    pub fn unavailable(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "service_unavailable_error", ..Self::invalid(status, code, message) }
    }

    /// The same, blaming `param`.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same, to be tried again after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The JSON body. Anthropic's shape (`{"type": "error", "error": …}`) is OpenAI's with one member more.
    #[must_use]
    pub fn body(&self, dialect: Dialect) -> String {
        let kind = match (dialect, self.status) {
            (Dialect::Anthropic, 401) => "authentication_error",
            (Dialect::Anthropic, 413) => "request_too_large",
            (Dialect::Anthropic, 429) => "rate_limit_error",
            (Dialect::Anthropic, 500 | 502) => "api_error",
            (Dialect::Anthropic, 503 | 504) => "overloaded_error",
            _ => self.kind,
        };
        let error = json!({ "message": self.message, "type": kind, "param": self.param, "code": self.code });
        match dialect {
            Dialect::Anthropic => json!({ "type": "error", "error": error }),
            Dialect::OpenAi | Dialect::Responses => json!({ "error": error }),
        }
        .to_string()
    }

    /// The error as the last event of a stream that had begun, with whatever ends a stream in that dialect.
    /// `fresh`: the bytes before ended with a whole event; otherwise the torn event is closed first.
    #[must_use]
    pub fn event(&self, dialect: Dialect, fresh: bool) -> String {
        let tear = if fresh { "" } else { "\n\n" };
        match dialect {
            Dialect::OpenAi => format!("{tear}data: {}\n\ndata: [DONE]\n\n", self.body(dialect)),
            Dialect::Anthropic => format!("{tear}event: error\ndata: {}\n\n", self.body(dialect)),
            Dialect::Responses => {
                let data: Value =
                    json!({ "type": "error", "code": self.code, "message": self.message, "param": self.param });
                format!("{tear}event: error\ndata: {data}\n\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_carries_openais_members() {
        let error = ApiError::invalid(404, "model_not_found", "no \"x\"").param("model");
        for dialect in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic] {
            let body: Value = serde_json::from_str(&error.body(dialect)).expect("JSON");
            assert_eq!(body["error"]["message"], "no \"x\"");
            assert_eq!(body["error"]["type"], "not_found_error");
            assert_eq!(body["error"]["param"], "model");
            assert_eq!(body["error"]["code"], "model_not_found");
        }
    }

    #[test]
    fn a_torn_event_is_closed_before_the_error() {
        let error = ApiError::unavailable(502, "engine_died", "gone");
        assert!(error.event(Dialect::OpenAi, false).starts_with("\n\ndata: {"));
        assert!(error.event(Dialect::OpenAi, true).ends_with("data: [DONE]\n\n"));
        assert!(error.event(Dialect::Anthropic, true).starts_with("event: error\ndata: {\"type\":\"error\""));
    }
}
