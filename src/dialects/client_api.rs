//! The APIs that are translated to Chat Completions.

use crate::openai::Dialect;

/// The API of a client whose request goes to an engine as Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientApi {
    /// `/v1/responses` (OpenAI API reference, Responses).
    Responses,
    /// `/v1/messages` (Anthropic API reference, Messages).
    Messages,
}

impl ClientApi {
    /// The shape of its streams and errors.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Responses => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
        }
    }
}
