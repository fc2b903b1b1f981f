//! The parts of which requests are made: names in paths, texts and JSON in bodies.

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::admin::error::ApiError;

/// Decodes what was between slashes.
pub(super) fn name(raw: &str) -> Result<String, ApiError> {
    match percent_decode_str(raw).decode_utf8() {
        Ok(name) if !name.is_empty() => Ok(name.into_owned()),
        Ok(_) => Err(ApiError::unknown("The path contains no name.")),
        Err(_) => Err(ApiError::malformed("The path is not UTF-8 once its percent signs are decoded.")),
    }
}

/// A configuration.
pub(super) fn text(body: &[u8]) -> Result<String, ApiError> {
    match std::str::from_utf8(body) {
        Ok("") => Err(ApiError::malformed("The body is empty: send the text of a configuration file.")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ApiError::malformed("The body is not UTF-8 text: send the text of a configuration file.")),
    }
}

/// What JSON says, as in `example`.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not understood: {error}. Send one like {example}.");
        ApiError::new(StatusCode::BAD_REQUEST, message)
    })
}
