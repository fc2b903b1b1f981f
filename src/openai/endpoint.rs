//! The inference routes of vLLM 0.32, the only ones that reach an engine.

/// An inference route. All are `POST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages` (Anthropic)
    Messages,
    /// `/v1/messages/count_tokens` (Anthropic)
    CountTokens,
    /// `/rerank`
    Rerank,
    /// `/v1/rerank`
    RerankV1,
    /// `/v2/rerank`
    RerankV2,
    /// `/score`
    Score,
    /// `/v1/score`
    ScoreV1,
    /// `/classify`
    Classify,
    /// `/pooling`
    Pooling,
    /// `/tokenize`
    Tokenize,
    /// `/detokenize`
    Detokenize,
    /// `/v1/audio/transcriptions`
    Transcriptions,
    /// `/v1/audio/translations`
    Translations,
}

/// What a request body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/json`
    Json,
    /// `multipart/form-data`
    Multipart,
}

/// Whose conventions a route follows: the shape of its stream and of its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `data:` events, `[DONE]` at the end.
    OpenAi,
    /// `event:` and `data:`, no `[DONE]` (OpenAI API reference, Responses).
    Responses,
    /// `event:` and `data:`, no `[DONE]`; errors have `"type": "error"` (Anthropic API reference, Messages).
    Anthropic,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Rerank,
        Self::RerankV1,
        Self::RerankV2,
        Self::Score,
        Self::ScoreV1,
        Self::Classify,
        Self::Pooling,
        Self::Tokenize,
        Self::Detokenize,
        Self::Transcriptions,
        Self::Translations,
    ];

    /// Its path: compared exactly, never as a prefix.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Rerank => "/rerank",
            Self::RerankV1 => "/v1/rerank",
            Self::RerankV2 => "/v2/rerank",
            Self::Score => "/score",
            Self::ScoreV1 => "/v1/score",
            Self::Classify => "/classify",
            Self::Pooling => "/pooling",
            Self::Tokenize => "/tokenize",
            Self::Detokenize => "/detokenize",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Translations => "/v1/audio/translations",
        }
    }

    /// The route at `path`.
    #[must_use]
    pub fn find(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// What its request body is.
    #[must_use]
    pub fn body(self) -> BodyKind {
        match self {
            Self::Transcriptions | Self::Translations => BodyKind::Multipart,
            _ => BodyKind::Json,
        }
    }

    /// Whose conventions it follows.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Responses => Dialect::Responses,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_finds_its_endpoint_and_nothing_else_does() {
        for (at, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(Endpoint::find(endpoint.path()), Some(endpoint));
            assert_eq!(endpoint as usize, at, "ALL is in declaration order: it is used as an index");
        }
        for path in ["", "/", "/v1/chat/completions/", "/v1/chat/completions/x", "/sleep", "/v1/../score", "/V1/score"]
        {
            assert_eq!(Endpoint::find(path), None, "{path}");
        }
    }
}
