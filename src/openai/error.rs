//! Errors of ours: one table of all there are, in the shape callers' libraries understand.

use serde_json::{Value, json};

use super::Dialect;

/// Every error that the gateway itself can answer with. What each means to a caller's program is in [`Code::row`], and
/// nowhere else; the message, which knows names and numbers, is written where the error is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body is not there.
    MissingBody,
    /// The body has more bytes than can be looked through.
    BodyTooLarge,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON, but no object.
    NotAnObject,
    /// The body has more members than can be looked through.
    TooManyMembers,
    /// `model` stands in the body twice.
    DuplicateModel,
    /// `model` is no name.
    InvalidModel,
    /// The form is not as RFC 7578 has it.
    InvalidMultipart,
    /// `Content-Type` of a form has no boundary.
    MissingBoundary,
    /// A member has a value that its API does not allow.
    InvalidValue,
    /// A member asks for what an engine behind a translation cannot do.
    UnsupportedValue,
    /// NeMo Gym's model server does not take it.
    UnsupportedByGym,
    /// The settings of the alias rule it out.
    NotImplemented,
    /// The request names no model.
    MissingModel,
    /// Nothing is served under that name.
    ModelNotFound,
    /// There is no such path.
    NotFound,
    /// The path takes another method.
    MethodNotAllowed,
    /// The body's format is another one than the path takes.
    UnsupportedMediaType,
    /// The body is compressed in a way that is not undone here.
    UnsupportedContentEncoding,
    /// The body is not the gzip it says it is.
    InvalidGzip,
    /// The request's head is too large.
    HeadTooLarge,
    /// The request's head is not HTTP.
    InvalidHttp,
    /// A header cannot be passed on.
    InvalidHeader,
    /// An HTTP/1.1 request without `Host`.
    MissingHost,
    /// `Content-Length` is not one number.
    InvalidContentLength,
    /// The body is not framed as HTTP has it.
    InvalidFraming,
    /// The body is larger than `limits.body`.
    RequestTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A key is needed and none was sent.
    MissingApiKey,
    /// The key is unknown.
    InvalidApiKey,
    /// `limits.connections` is reached.
    TooManyConnections,
    /// `limits.body_memory` is reached.
    Overloaded,
    /// The gateway is about to end.
    ShuttingDown,
    /// Nothing can be served yet.
    NotReady,
    /// The model is being started.
    ModelLoading,
    /// No engine is left that could be tried.
    ModelBusy,
    /// No engine passes its health checks.
    ModelUnhealthy,
    /// The model failed and waits for somebody to act, or for its next start.
    ModelFailed,
    /// The model sleeps.
    ModelAsleep,
    /// The model is about to stop, restart or sleep.
    ModelStopping,
    /// The model was stopped.
    ModelStopped,
    /// Something in the gateway itself went wrong.
    Internal,
    /// The engine's host name does not resolve.
    EngineUnresolved,
    /// The engine cannot be connected to.
    EngineUnreachable,
    /// The connection to the engine broke before its answer was complete.
    EngineDied,
    /// The engine was silent for too long.
    EngineTimeout,
    /// The engine's answer cannot be used.
    EngineAnswer,
    /// The engine's event stream cannot be used.
    EngineStream,
    /// The engine ended the answer by itself, as one that it gives up.
    EngineGaveUp,
}

/// What an error means to a caller's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// `code`: a stable word to branch on.
    pub code: &'static str,
    /// `param`: the member to blame, where it is always the same one.
    pub param: Option<&'static str>,
    /// Seconds for `Retry-After`, where waiting helps.
    pub retry_after: Option<u64>,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 50] = {
        use Code::*;
        [
            MissingBody,
            BodyTooLarge,
            InvalidUtf8,
            InvalidJson,
            NotAnObject,
            TooManyMembers,
            DuplicateModel,
            InvalidModel,
            InvalidMultipart,
            MissingBoundary,
            InvalidValue,
            UnsupportedValue,
            UnsupportedByGym,
            NotImplemented,
            MissingModel,
            ModelNotFound,
            NotFound,
            MethodNotAllowed,
            UnsupportedMediaType,
            UnsupportedContentEncoding,
            InvalidGzip,
            HeadTooLarge,
            InvalidHttp,
            InvalidHeader,
            MissingHost,
            InvalidContentLength,
            InvalidFraming,
            RequestTooLarge,
            RequestTimeout,
            MissingApiKey,
            InvalidApiKey,
            TooManyConnections,
            Overloaded,
            ShuttingDown,
            NotReady,
            ModelLoading,
            ModelBusy,
            ModelUnhealthy,
            ModelFailed,
            ModelAsleep,
            ModelStopping,
            ModelStopped,
            Internal,
            EngineUnresolved,
            EngineUnreachable,
            EngineDied,
            EngineTimeout,
            EngineAnswer,
            EngineStream,
            EngineGaveUp,
        ]
    };

    /// The table.
    #[must_use]
    pub const fn row(self) -> Row {
        match self {
            Self::MissingBody => row(400, "missing_body"),
            Self::BodyTooLarge => row(413, "body_too_large"),
            Self::InvalidUtf8 => row(400, "invalid_utf8"),
            Self::InvalidJson => row(400, "invalid_json"),
            Self::NotAnObject => row(400, "not_an_object"),
            Self::TooManyMembers => row(400, "too_many_members"),
            Self::DuplicateModel => row(400, "duplicate_model").blaming("model"),
            Self::InvalidModel => row(400, "invalid_model").blaming("model"),
            Self::InvalidMultipart => row(400, "invalid_multipart"),
            Self::MissingBoundary => row(400, "missing_boundary"),
            Self::InvalidValue => row(400, "invalid_value"),
            Self::UnsupportedValue => row(400, "unsupported_value"),
            Self::UnsupportedByGym => row(400, "unsupported_by_gym"),
            Self::NotImplemented => row(501, "not_implemented"),
            Self::MissingModel => row(400, "missing_model").blaming("model"),
            Self::ModelNotFound => row(404, "model_not_found").blaming("model"),
            Self::NotFound => row(404, "not_found"),
            Self::MethodNotAllowed => row(405, "method_not_allowed"),
            Self::UnsupportedMediaType => row(415, "unsupported_media_type"),
            Self::UnsupportedContentEncoding => row(415, "unsupported_content_encoding"),
            Self::InvalidGzip => row(400, "invalid_gzip"),
            Self::HeadTooLarge => row(431, "request_header_fields_too_large"),
            Self::InvalidHttp => row(400, "invalid_http"),
            Self::InvalidHeader => row(400, "invalid_header"),
            Self::MissingHost => row(400, "missing_host"),
            Self::InvalidContentLength => row(400, "invalid_content_length"),
            Self::InvalidFraming => row(400, "invalid_framing"),
            Self::RequestTooLarge => row(413, "request_too_large"),
            Self::RequestTimeout => row(408, "request_timeout"),
            Self::MissingApiKey => row(401, "missing_api_key"),
            Self::InvalidApiKey => row(401, "invalid_api_key"),
            Self::TooManyConnections => row(503, "too_many_connections").after(1),
            Self::Overloaded => row(503, "overloaded").after(1),
            Self::ShuttingDown => row(503, "shutting_down").after(5),
            Self::NotReady => row(503, "not_ready").after(5),
            Self::ModelLoading => row(503, "model_loading").after(5),
            Self::ModelBusy => row(503, "model_busy").after(1),
            Self::ModelUnhealthy => row(503, "model_unhealthy").after(5),
            Self::ModelFailed => row(503, "model_failed").after(30),
            Self::ModelAsleep => row(503, "model_asleep").after(30),
            Self::ModelStopping => row(503, "model_stopping").after(5),
            Self::ModelStopped => row(503, "model_stopped").after(30),
            Self::Internal => row(503, "internal_error"),
            Self::EngineUnresolved => row(502, "engine_unresolved"),
            Self::EngineUnreachable => row(502, "engine_unreachable").after(1),
            Self::EngineDied => row(502, "engine_died").after(1),
            Self::EngineTimeout => row(504, "engine_timeout"),
            Self::EngineAnswer => row(502, "engine_answer"),
            Self::EngineStream => row(502, "engine_stream"),
            Self::EngineGaveUp => row(502, "engine_gave_up"),
        }
    }
}

const fn row(status: u16, code: &'static str) -> Row {
    Row { status, code, param: None, retry_after: None }
}

impl Row {
    const fn blaming(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    const fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

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
    /// The error `code`, with what happened and what to do in `message`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let Row { status, code, param, retry_after } = code.row();
        let kind = match status {
            404 => "not_found_error",
            500.. => "service_unavailable_error",
            _ => "invalid_request_error",
        };
        let param = param.map(str::to_owned);
        Self { status, kind, message: message.into(), param, code, retry_after, allow: None }
    }

    /// What an engine says went wrong, retold: its `status` and words, under the class `kind`.
    #[must_use]
    pub fn of_engine(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: "engine_error",
            status,
            param: None,
            retry_after: None,
            allow: None,
        }
    }

    /// The same, blaming `param`.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same, naming the methods that a path takes.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
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
        let error = ApiError::new(Code::ModelNotFound, "no \"x\"");
        for dialect in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic] {
            let body: Value = serde_json::from_str(&error.body(dialect)).expect("JSON");
            assert_eq!(body["error"]["message"], "no \"x\"");
            assert_eq!(body["error"]["type"], "not_found_error");
            assert_eq!(body["error"]["param"], "model");
            assert_eq!(body["error"]["code"], "model_not_found");
        }
    }

    #[test]
    fn every_code_is_one_word_of_its_own_and_every_wait_has_a_reason_to_end() {
        let words: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.row().code).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            let row = code.row();
            assert!((400..600).contains(&row.status), "{row:?}");
            assert!(row.code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{row:?}");
            assert!(row.retry_after.is_none() || row.status >= 502, "waiting mends nothing that a caller did: {row:?}");
        }
    }

    #[test]
    fn a_torn_event_is_closed_before_the_error() {
        let error = ApiError::new(Code::EngineDied, "gone");
        assert!(error.event(Dialect::OpenAi, false).starts_with("\n\ndata: {"));
        assert!(error.event(Dialect::OpenAi, true).ends_with("data: [DONE]\n\n"));
        assert!(error.event(Dialect::Anthropic, true).starts_with("event: error\ndata: {\"type\":\"error\""));
    }
}
