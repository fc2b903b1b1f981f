//! Which endpoints have which members, as vLLM 0.32 declares its requests: settings add nothing to one that does not know it.

use std::borrow::Cow;

use super::Endpoint;

/// Endpoints with the same members, each with those members.
///
/// `chat_template_kwargs` of rerankers is left out: those of an alias are meant for a chat model's template, not for theirs.
const FAMILIES: [(&[Endpoint], &str); 13] = [
    (&[Endpoint::ChatCompletions], CHAT),
    (&[Endpoint::ChatBatch], CHAT_BATCH),
    (&[Endpoint::Completions], COMPLETIONS),
    (&[Endpoint::Responses], RESPONSES),
    (&[Endpoint::Messages], MESSAGES),
    (&[Endpoint::CountTokens], "messages system thinking output_config tool_choice tools chat_template_kwargs"),
    (&[Endpoint::Embeddings, Endpoint::Classify, Endpoint::Pooling], POOLING),
    (
        &[Endpoint::Rerank, Endpoint::RerankV1, Endpoint::RerankV2, Endpoint::Score, Endpoint::ScoreV1],
        "user truncate_prompt_tokens padding truncation_side request_id priority mm_processor_kwargs cache_salt \
         use_activation max_tokens_per_query max_tokens_per_doc instruction query documents top_n data_1 data_2 text_1 \
         text_2 queries items",
    ),
    // Its `max_tokens` bounds what is read of each text, not an answer.
    (&[Endpoint::EmbedV2], "input_type texts images inputs output_dimension embedding_types truncate priority"),
    (
        &[Endpoint::GenerativeScoring],
        "query items label_token_ids apply_softmax item_first add_special_tokens cache_salt priority request_id",
    ),
    (&[Endpoint::Transcriptions, Endpoint::Translations], AUDIO),
    (&[Endpoint::Tokenize], "prompt add_special_tokens return_token_strs"),
    (&[Endpoint::Detokenize], "tokens"),
];

/// The name of a field: of one that an endpoint has, always the same text. A thousand aliases then name it by memory that every
/// request reads.
pub(super) fn name(text: &str) -> Cow<'static, str> {
    let mut known = FAMILIES.iter().flat_map(|(_, names)| names.split_whitespace());
    known.find(|name| *name == text).map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed)
}

/// Endpoints that can be asked with `messages` instead of what they usually take.
const TAKE_MESSAGES: [Endpoint; 4] = [Endpoint::Tokenize, Endpoint::Embeddings, Endpoint::Classify, Endpoint::Pooling];

/// What these have in addition then.
const WITH_MESSAGES: &str = "add_generation_prompt continue_final_message add_special_tokens chat_template \
    chat_template_kwargs media_io_kwargs mm_processor_kwargs tools messages";

const CHAT: &str = "messages frequency_penalty logit_bias logprobs top_logprobs max_tokens max_completion_tokens n \
    presence_penalty response_format seed stop stream stream_options temperature top_p tools tool_choice \
    reasoning_effort thinking_token_budget include_reasoning parallel_tool_calls user use_beam_search top_k min_p \
    repetition_penalty watermarking length_penalty stop_token_ids include_stop_str_in_output ignore_eos min_tokens \
    skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens truncation_side prompt_logprobs \
    logprob_token_ids allowed_token_ids bad_words echo add_generation_prompt continue_final_message \
    add_special_tokens documents chat_template chat_template_kwargs media_io_kwargs mm_processor_kwargs \
    structured_outputs priority request_id session_id return_tokens_as_token_ids return_token_ids \
    routed_experts_prompt_start return_token_offsets return_prompt_text mm_payload return_mm_kwargs cache_salt \
    kv_transfer_params ec_transfer_params vllm_xargs repetition_detection stream_interval metadata store service_tier \
    prompt_cache_key guided_json guided_regex guided_choice guided_grammar";

/// What several conversations share.
const CHAT_BATCH: &str = "messages frequency_penalty logit_bias logprobs top_logprobs logprob_token_ids max_tokens \
    max_completion_tokens n presence_penalty response_format seed stop temperature top_p user tool_choice \
    include_reasoning best_of use_beam_search top_k min_p repetition_penalty watermarking length_penalty early_stopping \
    structured_outputs request_id add_generation_prompt continue_final_message chat_template chat_template_kwargs \
    mm_processor_kwargs priority cache_salt vllm_xargs";

const COMPLETIONS: &str = "prompt echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop \
    stream stream_options suffix temperature top_p user use_beam_search top_k min_p repetition_penalty watermarking \
    length_penalty stop_token_ids include_stop_str_in_output ignore_eos min_tokens skip_special_tokens \
    spaces_between_special_tokens truncate_prompt_tokens truncation_side allowed_token_ids prompt_logprobs \
    logprob_token_ids bad_words prompt_embeds add_special_tokens response_format structured_outputs priority \
    request_id session_id return_tokens_as_token_ids return_token_ids routed_experts_prompt_start \
    return_token_offsets mm_payload return_mm_kwargs cache_salt kv_transfer_params ec_transfer_params vllm_xargs \
    repetition_detection thinking_token_budget stream_interval guided_json guided_regex guided_choice guided_grammar";

const RESPONSES: &str = "background include input instructions max_output_tokens max_tool_calls metadata logit_bias \
    parallel_tool_calls previous_response_id prompt reasoning include_reasoning service_tier store stream temperature \
    text tool_choice tools top_logprobs top_p top_k min_p truncation user skip_special_tokens \
    include_stop_str_in_output presence_penalty frequency_penalty prompt_cache_key watermarking request_id session_id \
    media_io_kwargs mm_processor_kwargs priority mm_payload return_mm_kwargs cache_salt enable_response_messages \
    previous_input_messages structured_outputs repetition_penalty seed stop stop_token_ids ignore_eos vllm_xargs \
    kv_transfer_params ec_transfer_params chat_template_kwargs";

const MESSAGES: &str = "messages max_tokens metadata output_config thinking stop_sequences stream system temperature \
    tool_choice tools top_k top_p mm_payload return_mm_kwargs cache_salt watermarking kv_transfer_params \
    ec_transfer_params vllm_xargs chat_template_kwargs";

const POOLING: &str = "user truncate_prompt_tokens padding truncation_side request_id priority mm_processor_kwargs \
    cache_salt input add_special_tokens encoding_format embed_dtype endianness dimensions use_activation task";

const AUDIO: &str = "file language hotwords prompt response_format timestamp_granularities timestamp_granularities[] \
    stream stream_include_usage stream_continuous_usage_stats vllm_xargs to_language use_beam_search n length_penalty \
    include_stop_str_in_output temperature watermarking top_p top_k min_p seed frequency_penalty repetition_penalty \
    presence_penalty max_completion_tokens";

/// Fields that only a stream has: of chats and completions, and of audio.
pub(super) const STREAM_ONLY: [&str; 4] =
    ["stream_options", "stream_interval", "stream_include_usage", "stream_continuous_usage_stats"];

/// The endpoints that have a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointSet {
    /// One bit for each endpoint.
    always: u32,
    /// The same, where only with `messages`.
    with_messages: u32,
}

impl EndpointSet {
    /// Those with the field `name`. One that vLLM does not know may be added anywhere: it may be a plugin's.
    pub(super) fn with_field(name: &str) -> Self {
        let listed = |list: &str| list.split_ascii_whitespace().any(|word| word == name);
        let bits = |endpoints: &[Endpoint]| endpoints.iter().fold(0, |bits, endpoint| bits | bit(*endpoint));
        let families = FAMILIES.iter().filter(|(_, members)| listed(members));
        let always = families.fold(0, |all, (endpoints, _)| all | bits(endpoints));
        let with_messages = if listed(WITH_MESSAGES) { bits(&TAKE_MESSAGES) } else { 0 };
        if always | with_messages == 0 {
            Self { always: u32::MAX, with_messages }
        } else {
            Self { always, with_messages }
        }
    }

    /// Those that `other` has not.
    pub(super) fn without(self, other: Self) -> Self {
        Self { always: self.always & !other.always, with_messages: self.with_messages & !other.with_messages }
    }

    /// Those of both.
    pub(super) fn with(self, other: Self) -> Self {
        Self { always: self.always | other.always, with_messages: self.with_messages | other.with_messages }
    }

    /// Whether `endpoint` is one of them, for a request that has `messages` or has not.
    pub(super) fn contains(self, endpoint: Endpoint, has_messages: bool) -> bool {
        let bits = if has_messages { self.always | self.with_messages } else { self.always };
        bits & bit(endpoint) != 0
    }
}

fn bit(endpoint: Endpoint) -> u32 {
    1 << endpoint as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_belongs_to_the_endpoints_that_have_it_in_vllm() {
        let at = |name: &str, endpoint| EndpointSet::with_field(name).contains(endpoint, false);
        for name in ["temperature", "max_tokens", "chat_template_kwargs", "tools", "stream"] {
            for endpoint in [
                Endpoint::Embeddings,
                Endpoint::RerankV1,
                Endpoint::Score,
                Endpoint::Classify,
                Endpoint::Tokenize,
                Endpoint::Detokenize,
            ] {
                assert!(!at(name, endpoint), "{name} of {endpoint:?}");
            }
        }
        assert!(at("temperature", Endpoint::Transcriptions) && !at("max_tokens", Endpoint::Transcriptions));
        assert!(at("max_output_tokens", Endpoint::Responses) && !at("max_output_tokens", Endpoint::ChatCompletions));
        assert!(at("dimensions", Endpoint::Embeddings) && !at("dimensions", Endpoint::ChatCompletions));
        assert!(Endpoint::ALL.into_iter().all(|endpoint| at("my_plugins_member", endpoint)));
        let kwargs = EndpointSet::with_field("chat_template_kwargs");
        assert!(kwargs.contains(Endpoint::Tokenize, true) && kwargs.contains(Endpoint::Embeddings, true));
        assert!(kwargs.contains(Endpoint::ChatCompletions, false) && kwargs.contains(Endpoint::Messages, true));
    }
}
