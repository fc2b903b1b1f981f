//! The inference routes of vLLM 0.32, the only ones that reach an engine.
//!
//! vLLM has two more. `/invocations` (Amazon SageMaker's) takes the body of any other: it is served as the one that the body
//! is for. `/v1/systemone`, its newest, is left out: its members still change with every release, so no settings could be kept.

use crate::settings::EndpointGroup;

/// An inference route. All are `POST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/chat/completions/batch`: several conversations in one request
    ChatBatch,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v2/embed` (Cohere)
    EmbedV2,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages` (Anthropic)
    Messages,
    /// `/v1/messages/count_tokens` (Anthropic)
    CountTokens,
    /// `/v1/rerank`
    RerankV1,
    /// `/rerank`
    Rerank,
    /// `/v2/rerank`
    RerankV2,
    /// `/v1/score`
    ScoreV1,
    /// `/score`
    Score,
    /// `/generative_scoring`: how probable tokens are after a text
    GenerativeScoring,
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

/// Each with its path and its word in configurations, in the order of their declaration.
const TABLE: [(Endpoint, &str, EndpointGroup); 20] = [
    (Endpoint::ChatCompletions, "/v1/chat/completions", EndpointGroup::Chat),
    (Endpoint::ChatBatch, "/v1/chat/completions/batch", EndpointGroup::Chat),
    (Endpoint::Completions, "/v1/completions", EndpointGroup::Completions),
    (Endpoint::Embeddings, "/v1/embeddings", EndpointGroup::Embeddings),
    (Endpoint::EmbedV2, "/v2/embed", EndpointGroup::Embeddings),
    (Endpoint::Responses, "/v1/responses", EndpointGroup::Responses),
    (Endpoint::Messages, "/v1/messages", EndpointGroup::Messages),
    (Endpoint::CountTokens, "/v1/messages/count_tokens", EndpointGroup::CountTokens),
    (Endpoint::RerankV1, "/v1/rerank", EndpointGroup::Rerank),
    (Endpoint::Rerank, "/rerank", EndpointGroup::Rerank),
    (Endpoint::RerankV2, "/v2/rerank", EndpointGroup::Rerank),
    (Endpoint::ScoreV1, "/v1/score", EndpointGroup::Score),
    (Endpoint::Score, "/score", EndpointGroup::Score),
    (Endpoint::GenerativeScoring, "/generative_scoring", EndpointGroup::GenerativeScoring),
    (Endpoint::Classify, "/classify", EndpointGroup::Classify),
    (Endpoint::Pooling, "/pooling", EndpointGroup::Pooling),
    (Endpoint::Tokenize, "/tokenize", EndpointGroup::Tokenize),
    (Endpoint::Detokenize, "/detokenize", EndpointGroup::Detokenize),
    (Endpoint::Transcriptions, "/v1/audio/transcriptions", EndpointGroup::Transcriptions),
    (Endpoint::Translations, "/v1/audio/translations", EndpointGroup::Translations),
];

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; TABLE.len()] = {
        let (mut all, mut at) = ([Self::ChatCompletions; TABLE.len()], 0);
        while at < all.len() {
            all[at] = TABLE[at].0;
            at += 1;
        }
        all
    };

    /// Whether its streams tell token counts only where `stream_options` asks for them.
    #[must_use]
    pub fn has_stream_options(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions)
    }

    /// Its path: compared exactly, never as a prefix.
    #[must_use]
    pub fn path(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Its word in configurations, which it may share with others that do the same.
    #[must_use]
    pub fn group(self) -> EndpointGroup {
        TABLE[self as usize].2
    }

    /// The first endpoint of `group`.
    #[must_use]
    pub fn first_of(group: EndpointGroup) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.group() == group)
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
        for group in EndpointGroup::ALL {
            assert!(Endpoint::first_of(group).is_some(), "{group:?} means nothing");
        }
        for path in ["", "/", "/v1/chat/completions/", "/v1/chat/completions/x", "/sleep", "/v1/../score", "/V1/score"]
        {
            assert_eq!(Endpoint::find(path), None, "{path}");
        }
    }
}
