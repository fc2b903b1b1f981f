//! One entry of `model_list`: an engine that somebody else runs, and what changes in requests to it.

use serde_json::{Map, Value};

use super::super::base_url::engine_url;
use super::super::changes::is_member;
use super::super::values::{map, text, texts, whole};
use super::provider::provider;

/// Parameters that are read by name.
const READ: &[&str] = &[
    "model",
    "api_base",
    "base_url",
    "api_key",
    "custom_llm_provider",
    "weight",
    "order",
    "extra_headers",
    "headers",
    "extra_body",
    "additional_drop_params",
    "litellm_credential_name",
];

/// Parameters that are members of requests.
const MEMBERS: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "n",
    "stream",
    "stream_options",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "seed",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "chat_template_kwargs",
    "min_tokens",
    "skip_special_tokens",
    "include_reasoning",
    "guided_json",
    "structured_outputs",
    "dimensions",
    "encoding_format",
    "truncate_prompt_tokens",
    "service_tier",
    "thinking",
    "modalities",
    "ignore_eos",
    "best_of",
];

/// Where requests go and what changes in them: entries of one name that are alike in all of this are one model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    /// The name of the model there; `None`: the engines are asked.
    pub(super) served: Option<String>,
    /// Its key.
    pub(super) key: Option<Value>,
    /// Whether it is a vLLM, which can be asked for its health.
    pub(super) is_vllm: bool,
    /// Members that are removed.
    pub(super) remove: Vec<String>,
    /// Members for what the client did not say.
    pub(super) defaults: Map<String, Value>,
    /// Headers.
    pub(super) headers: Map<String, Value>,
}

/// An entry.
pub(super) struct Deployment {
    /// Where it is written.
    pub(super) path: String,
    /// Its address.
    pub(super) url: String,
    /// The rest.
    pub(super) kind: Kind,
    /// Its share of requests, where that is written.
    pub(super) weight: Option<u64>,
    /// Which are tried first: the lowest.
    pub(super) order: Option<u64>,
    /// What has no equivalent: keys, and why.
    pub(super) left: Vec<(String, String)>,
}

/// Reads an entry whose `litellm_params` are `params`.
///
/// # Errors
/// Why it cannot be here.
pub(super) fn deployment(
    path: &str,
    params: &Map<String, Value>,
    info: &Map<String, Value>,
) -> Result<Deployment, String> {
    let written = ["api_base", "base_url"].iter().find_map(|key| params.get(*key).and_then(text));
    let model = params.get("model").and_then(text).ok_or("it has no `litellm_params.model`.")?;
    let named = params.get("custom_llm_provider").and_then(text);
    let found = provider(&model, named.as_deref(), written.is_some()).map_err(|provider| {
        let fit = !provider.is_empty()
            && provider.len() < 40
            && provider.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let whose = if fit { format!("the provider `{provider}`") } else { "a provider that is not named".into() };
        format!(
            "it is of {whose}, which is not known to take OpenAI's requests. If it does at some URL, write \
            that under `urls`."
        )
    })?;
    let url = match (&written, found.url) {
        (Some(url), _) => engine_url(url).map_err(|why| format!("its `api_base` {why}"))?,
        (None, Some(url)) => url.to_owned(),
        (None, None) => {
            return Err(
                "it has no `api_base`, and the URL of its provider is not known here. Write it under `urls`.".into()
            );
        }
    };
    let key = params.get("api_key").filter(|key| text(key).is_some()).cloned();
    let mut defaults: Map<String, Value> = params
        .iter()
        .filter(|(name, value)| MEMBERS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    defaults.extend(map(params, "extra_body").clone());
    let mut headers = map(params, "headers").clone();
    headers.extend(map(params, "extra_headers").clone());
    let mut remove = texts(params.get("additional_drop_params").unwrap_or(&Value::Null));
    remove.retain(|member| is_member(member) && !member.contains('['));
    remove.dedup();
    let kind = Kind {
        served: Some(found.model).filter(|name| !name.contains('*')),
        key: key.or_else(|| found.key.map(|name| format!("${{{name}}}").into())),
        is_vllm: found.is_vllm,
        remove,
        defaults,
        headers,
    };
    let number = |key: &str| params.get(key).and_then(whole);
    let left = left(params, info);
    Ok(Deployment { path: path.to_owned(), url, kind, weight: number("weight"), order: number("order"), left })
}

/// Keys that have no equivalent.
fn left(params: &Map<String, Value>, info: &Map<String, Value>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (key, _) in params
        .iter()
        .filter(|(key, value)| !READ.contains(&key.as_str()) && !MEMBERS.contains(&key.as_str()) && !value.is_null())
    {
        let why = match key.as_str() {
            "rpm" | "tpm" | "max_parallel_requests" => "there are no limits of requests or tokens for a time.",
            "timeout" | "stream_timeout" => "timeouts are those of all engines (`timeouts`).",
            "max_retries" | "num_retries" => "retries are those of all engines (`retry`).",
            "drop_params" | "allowed_openai_params" => {
                "requests reach the engine as they are; `remove` takes members away."
            }
            key if key.contains("cost") || key.contains("budget") => "costs are not counted.",
            _ => "there is nothing like it here. If it is a member of requests, write it under `defaults`.",
        };
        all.push((format!("litellm_params.{key}"), format!("was left out: {why}")));
    }
    for (key, _) in
        info.iter().filter(|(key, value)| !["id", "mode", "base_model"].contains(&key.as_str()) && !value.is_null())
    {
        let why = match key.as_str() {
            "access_groups" | "team_id" => "which caller may use which model is not limited.",
            key if key.contains("cost") => "costs are not counted.",
            key if key.starts_with("max_") => "the engine says how long its context is.",
            _ => "/v1/models shows what the engine says.",
        };
        all.push((format!("model_info.{key}"), format!("was left out: {why}")));
    }
    all
}
