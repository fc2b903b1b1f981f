//! Why a request gets no answer of the usual kind.

use pingora::Error;

use crate::openai::ApiError;

/// Why there is no answer of the usual kind.
pub(super) enum Refusal {
    /// The caller gets this error.
    Say(ApiError),
    /// The caller is gone.
    Gone(Box<Error>),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Say(error)
    }
}
