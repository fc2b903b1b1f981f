//! The error answers of the operators' API: an HTTP status and `{"error": {"message"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinError;

use super::configuration::ConfigurationError;
use crate::api::{ConfigError, ErrorMessage, ErrorView};
use crate::supervisor::ControlError;

/// Why a request of an operator was refused or failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// The reason and what to do, for people.
    pub(super) message: String,
    /// Errors of a configuration; empty for other failures.
    errors: Vec<ConfigError>,
    /// A header that belongs to the status.
    header: Option<(header::HeaderName, &'static str)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), header: None }
    }

    /// 400: the request cannot be understood.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: the path or what it names does not exist.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409: not possible in the current state.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 500: something ended before it was done.
    pub(super) fn broken(what: &str, error: &JoinError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what} ended with an internal error: {error}"))
    }

    /// 405: the path exists, but not for this method; `allow` lists the methods it accepts.
    pub(super) fn method(allow: &'static str) -> Self {
        let message = format!("This path accepts only {allow}.");
        Self { header: Some((header::ALLOW, allow)), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    /// 401: the token is missing or wrong.
    pub(super) fn unauthorised() -> Self {
        let message = "Send the token of `admin.token` as `Authorization: Bearer …`.";
        let header = Some((header::WWW_AUTHENTICATE, "Bearer"));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }
}

impl From<ConfigurationError> for ApiError {
    fn from(error: ConfigurationError) -> Self {
        let message = error.to_string();
        match error {
            ConfigurationError::ShuttingDown | ConfigurationError::File(_) => Self::refused(message),
            ConfigurationError::Unknown(_) => Self::unknown(message),
            ConfigurationError::Store(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, message),
            ConfigurationError::Invalid(errors) => {
                Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message) }
            }
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Unknown(_) => StatusCode::NOT_FOUND,
            ControlError::Refused(_) => StatusCode::CONFLICT,
            ControlError::Failed(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorView { error: ErrorMessage { message: self.message }, errors: self.errors };
        let mut response = (self.status, Json(body)).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
