//! What operators are told when something is not done: a status and `{"error": {"message"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::{ConfigError, ErrorMessage, ErrorView};
use crate::supervisor::ControlError;

/// Why something was not done, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// For people.
    pub(super) message: String,
    /// What is wrong with a configuration.
    errors: Vec<ConfigError>,
    /// A header that belongs to the status.
    header: Option<(header::HeaderName, &'static str)>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), header: None }
    }

    /// Not understood.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// It makes no sense as things are.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// A configuration with errors.
    pub(super) fn configuration(errors: Vec<ConfigError>) -> Self {
        let message = "The configuration has errors.";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message) }
    }

    /// Another method is wanted there.
    pub(super) fn method(allow: &'static str) -> Self {
        let message = format!("This path takes {allow}.");
        Self { header: Some((header::ALLOW, allow)), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    /// Without the token.
    pub(super) fn unauthorised() -> Self {
        let message = "Send the token of `admin.token` as `Authorization: Bearer …`.";
        let header = Some((header::WWW_AUTHENTICATE, "Bearer"));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }
}

impl From<ControlError> for Fault {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Unknown(_) => StatusCode::NOT_FOUND,
            ControlError::Refused(_) => StatusCode::CONFLICT,
            ControlError::Failed(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = ErrorView { error: ErrorMessage { message: self.message }, errors: self.errors };
        let mut response = (self.status, Json(body)).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
