//! All names of spans, events and attributes, and the words that conventions give their values. GenAI's names are those of its
//! semantic conventions v0.1.0, which are still in development: when they move, only this table does.

use crate::openai::Endpoint;

/// Of the requests' spans: what follows is the conventions' name of what each has.
pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";

/// Of HTTP's conventions.
pub(super) const METHOD: &str = "http.request.method";
pub(super) const PATH: &str = "url.path";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const CLIENT: &str = "client.address";
pub(super) const ERROR: &str = "error.type";

/// Our own.
pub(super) const REQUEST_ID: &str = "enginehouse.request.id";
pub(super) const ALIAS: &str = "enginehouse.alias";
pub(super) const CALLER: &str = "enginehouse.caller";
pub(super) const ENGINE: &str = "enginehouse.engine";
pub(super) const RETRIES: &str = "enginehouse.retries";
pub(super) const OVERHEAD: &str = "enginehouse.overhead_seconds";
pub(super) const STREAM_END: &str = "enginehouse.stream_end";
pub(super) const TOKENS_ESTIMATED: &str = "enginehouse.tokens_estimated";
pub(super) const ATTEMPT: &str = "enginehouse.attempt.number";
pub(super) const OUTCOME: &str = "enginehouse.attempt.outcome";

/// Of the resource.
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const PROCESS: &str = "process.pid";

/// The span of a wait for an engine.
pub(super) const QUEUE_SPAN: &str = "queue";
/// The span of an attempt.
pub(super) const ATTEMPT_SPAN: &str = "attempt";
/// The event when the head of an engine's answer has come.
pub(super) const HEAD_EVENT: &str = "response_head";
/// The event when the first output of a stream has come.
pub(super) const FIRST_TOKEN_EVENT: &str = "first_token";

/// Who answers. The conventions have no word for vLLM.
pub(super) const VLLM: &str = "vllm";

/// What an endpoint does, in the conventions' words where they have one.
pub(super) fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::ChatBatch | Endpoint::Responses | Endpoint::Messages => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings | Endpoint::EmbedV2 => "embeddings",
        Endpoint::CountTokens => "count_tokens",
        Endpoint::RerankV1 | Endpoint::Rerank | Endpoint::RerankV2 => "rerank",
        Endpoint::ScoreV1 | Endpoint::Score | Endpoint::GenerativeScoring => "score",
        Endpoint::Classify => "classify",
        Endpoint::Pooling => "pooling",
        Endpoint::Tokenize => "tokenize",
        Endpoint::Detokenize => "detokenize",
        Endpoint::Transcriptions => "transcription",
        Endpoint::Translations => "translation",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_attribute_has_a_name_of_its_own_in_a_namespace() {
        let all = [
            OPERATION,
            PROVIDER,
            REQUEST_MODEL,
            REQUEST_STREAM,
            RESPONSE_MODEL,
            FIRST_CHUNK,
            INPUT_TOKENS,
            OUTPUT_TOKENS,
            CACHED_TOKENS,
            METHOD,
            PATH,
            STATUS,
            CLIENT,
            ERROR,
            REQUEST_ID,
            ALIAS,
            CALLER,
            ENGINE,
            RETRIES,
            OVERHEAD,
            STREAM_END,
            TOKENS_ESTIMATED,
            ATTEMPT,
            OUTCOME,
            SERVICE_NAME,
            SERVICE_VERSION,
            PROCESS,
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
        let fits = |name: &str| {
            let parts: Vec<&str> = name.split('.').collect();
            let is_word = |part: &&str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            parts.len() >= 2 && parts.iter().all(is_word)
        };
        assert!(all.iter().all(|name| fits(name)), "{all:?}");
    }

    #[test]
    fn every_endpoint_does_something() {
        let words: BTreeSet<&str> = Endpoint::ALL.into_iter().map(operation).collect();
        // GenAI's own words are among them.
        assert!(["chat", "text_completion", "embeddings"].iter().all(|word| words.contains(word)), "{words:?}");
    }
}
