//! Errors of ours: one table of all there are, in the shape callers' libraries understand.

use serde_json::{Value, json};

use super::Dialect;

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
    /// `x-should-retry`, where clients would decide otherwise by the status: they retry all of 500 and above.
    pub should_retry: Option<bool>,
}

/// Makes [`Code`] of a table: `Name = status "word", param "field", after seconds, retry bool;`.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $word:literal
        $(, param $param:literal)? $(, after $after:literal)? $(, retry $retry:literal)?;)*) => {
        /// Every error that the gateway itself can answer with. What each means to a caller's program stands in this table
        /// and nowhere else; the message, which knows names and numbers, is written where the error is found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it means to a caller's program.
            #[must_use]
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$name => {
                        let row = Row { status: $status, code: $word, param: None, retry_after: None, should_retry: None };
                        $(let row = Row { param: Some($param), ..row };)?
                        $(let row = Row { retry_after: Some($after), ..row };)?
                        $(let row = Row { should_retry: Some($retry), ..row };)?
                        row
                    })*
                }
            }
        }
    };
}

codes! {
    /// The body is not there.
    MissingBody = 400 "missing_body";
    /// The body has more bytes than can be looked through.
    BodyTooLarge = 413 "body_too_large";
    /// The body is not UTF-8.
    InvalidUtf8 = 400 "invalid_utf8";
    /// The body is not JSON.
    InvalidJson = 400 "invalid_json";
    /// The body is JSON, but no object.
    NotAnObject = 400 "not_an_object";
    /// The body has more members than can be looked through.
    TooManyMembers = 400 "too_many_members";
    /// The body of `/invocations` does not tell which route it is for.
    UnknownInvocation = 400 "unknown_invocation";
    /// `model` stands in the body twice.
    DuplicateModel = 400 "duplicate_model", param "model";
    /// `model` is no name.
    InvalidModel = 400 "invalid_model", param "model";
    /// The form is not as RFC 7578 has it.
    InvalidMultipart = 400 "invalid_multipart";
    /// `Content-Type` of a form has no boundary.
    MissingBoundary = 400 "missing_boundary";
    /// A member has a value that its API does not allow.
    InvalidValue = 400 "invalid_value";
    /// A member asks for what an engine behind a translation cannot do.
    UnsupportedValue = 400 "unsupported_value";
    /// NeMo Gym's model server does not take it.
    UnsupportedByGym = 400 "unsupported_by_gym";
    /// The settings of the alias rule it out.
    NotImplemented = 501 "not_implemented", retry false;
    /// The request names no model.
    MissingModel = 400 "missing_model", param "model";
    /// Nothing is served under that name.
    ModelNotFound = 404 "model_not_found", param "model";
    /// No response of that id is known to the gateway.
    ResponseNotFound = 404 "response_not_found", param "response_id";
    /// There is no such path.
    NotFound = 404 "not_found";
    /// The model's engine does not have the route.
    EndpointNotServed = 404 "endpoint_not_served";
    /// The path takes another method.
    MethodNotAllowed = 405 "method_not_allowed";
    /// The body's format is another one than the path takes.
    UnsupportedMediaType = 415 "unsupported_media_type";
    /// The body is compressed in a way that is not undone here.
    UnsupportedContentEncoding = 415 "unsupported_content_encoding";
    /// The body is not the gzip it says it is.
    InvalidGzip = 400 "invalid_gzip";
    /// The request's target is too long.
    TargetTooLong = 414 "uri_too_long";
    /// The request's head is too large.
    HeadTooLarge = 431 "request_header_fields_too_large";
    /// The request's head is not HTTP.
    InvalidHttp = 400 "invalid_http";
    /// A header cannot be passed on.
    InvalidHeader = 400 "invalid_header";
    /// The request does not say which host it is for.
    MissingHost = 400 "missing_host";
    /// `Content-Length` is not one number.
    InvalidContentLength = 400 "invalid_content_length";
    /// The body is not framed as HTTP has it.
    InvalidFraming = 400 "invalid_framing";
    /// The body is larger than `limits.body`.
    RequestTooLarge = 413 "request_too_large";
    /// The body did not arrive in time.
    RequestTimeout = 408 "request_timeout";
    /// A key is needed and none was sent.
    MissingApiKey = 401 "missing_api_key";
    /// The key is unknown.
    InvalidApiKey = 401 "invalid_api_key";
    /// The gateway is called by a name that `hosts` does not list.
    HostNotAllowed = 403 "host_not_allowed";
    /// A web page of an origin that `cors.origins` does not list.
    OriginNotAllowed = 403 "origin_not_allowed";
    /// `limits.connections` is reached.
    TooManyConnections = 503 "too_many_connections", after 1;
    /// `limits.body_memory` is reached.
    Overloaded = 503 "overloaded", after 1;
    /// The gateway is about to end.
    ShuttingDown = 503 "shutting_down", after 5;
    /// Nothing can be served yet.
    NotReady = 503 "not_ready", after 5;
    /// The model is being started.
    ModelLoading = 503 "model_loading", after 5;
    /// No engine is left that could be tried.
    ModelBusy = 503 "model_busy", after 1;
    /// No engine passes its health checks.
    ModelUnhealthy = 503 "model_unhealthy", after 5;
    /// The model failed and waits for an operator, or for its next start.
    ModelFailed = 503 "model_failed", after 5;
    /// The model sleeps until an operator wakes it.
    ModelAsleep = 503 "model_asleep", retry false;
    /// The model is about to stop, restart or sleep.
    ModelStopping = 503 "model_stopping", after 5;
    /// The model was stopped, until an operator starts it.
    ModelStopped = 503 "model_stopped", retry false;
    /// Something in the gateway itself went wrong.
    Internal = 503 "internal_error";
    /// The engine's host name does not resolve.
    EngineUnresolved = 502 "engine_unresolved";
    /// The engine cannot be connected to.
    EngineUnreachable = 502 "engine_unreachable", after 1;
    /// The connection to the engine broke before its answer was complete.
    EngineDied = 502 "engine_died", after 1;
    /// The engine was silent for too long.
    EngineTimeout = 504 "engine_timeout";
    /// The engine's answer cannot be used.
    EngineAnswer = 502 "engine_answer";
    /// The engine's event stream cannot be used.
    EngineStream = 502 "engine_stream";
    /// The engine ended the answer by itself, as one that it gives up.
    EngineGaveUp = 502 "engine_gave_up";
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
    /// `x-should-retry` (read by OpenAI's and Anthropic's libraries).
    pub should_retry: Option<bool>,
    /// Value of the `Allow` header (405).
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// The error `code`, with what happened and what to do in `message`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let Row { status, code, param, retry_after, should_retry } = code.row();
        let kind = match status {
            404 => "not_found_error",
            500.. => "service_unavailable_error",
            _ => "invalid_request_error",
        };
        let param = param.map(str::to_owned);
        Self { status, kind, message: message.into(), param, code, retry_after, should_retry, allow: None }
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
            should_retry: None,
            allow: None,
        }
    }

    /// The same, for which another try makes sense after `seconds`.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        (self.retry_after, self.should_retry) = (Some(seconds), None);
        self
    }

    /// The same, for which another try makes no sense until somebody has done something.
    #[must_use]
    pub fn without_retry(mut self) -> Self {
        (self.retry_after, self.should_retry) = (None, Some(false));
        self
    }

    /// The headers that say whether and when another try makes sense.
    pub fn retry_headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let after = self.retry_after.map(|seconds| ("retry-after", seconds.to_string()));
        after.into_iter().chain(self.should_retry.map(|should| ("x-should-retry", should.to_string())))
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
    fn every_code_is_explained_to_callers() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/errors.md");
        let text = std::fs::read_to_string(file).expect("conf/errors.md");
        let missing: Vec<_> =
            Code::ALL.iter().map(|code| code.row().code).filter(|word| !text.contains(&format!("`{word}`"))).collect();
        assert!(missing.is_empty(), "conf/errors.md does not name {missing:?}");
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
            assert!(row.retry_after.is_none() || row.should_retry.is_none(), "one of the two: {row:?}");
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
