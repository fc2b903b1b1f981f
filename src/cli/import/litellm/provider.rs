//! What a `model` of LiteLLM names: a provider and the model there.

/// Providers that take OpenAI's requests at `api_base`.
const COMPATIBLE: &[&str] = &[
    "hosted_vllm",
    "openai",
    "vllm",
    "custom_openai",
    "openai_like",
    "text-completion-openai",
    "litellm_proxy",
    "lm_studio",
    "llamafile",
    "xinference",
    "infinity",
    "docker_model_runner",
    "nvidia_nim",
    "together_ai",
    "groq",
    "deepseek",
    "mistral",
    "openrouter",
    "fireworks_ai",
    "deepinfra",
    "xai",
    "perplexity",
    "moonshot",
    "dashscope",
];

/// Providers whose address LiteLLM knows by itself, and the variable with their key.
const KNOWN: &[(&str, &str, &str)] = &[
    ("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    ("text-completion-openai", "https://api.openai.com", "OPENAI_API_KEY"),
    ("openrouter", "https://openrouter.ai/api", "OPENROUTER_API_KEY"),
    ("groq", "https://api.groq.com/openai", "GROQ_API_KEY"),
    ("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    ("mistral", "https://api.mistral.ai", "MISTRAL_API_KEY"),
    ("together_ai", "https://api.together.xyz", "TOGETHERAI_API_KEY"),
    ("hosted_vllm", "${HOSTED_VLLM_API_BASE}", ""),
];

/// Beginnings of the names of OpenAI's own models, which need no provider.
const OF_OPENAI: &[&str] = &["gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "whisper-"];

/// Where a model is.
#[derive(Debug, PartialEq)]
pub(super) struct Provider {
    /// The name that it has there.
    pub(super) model: String,
    /// Whether it is a vLLM, which can be asked for its health.
    pub(super) is_vllm: bool,
    /// The address, where none is written.
    pub(super) url: Option<&'static str>,
    /// The variable with the key, where none is written.
    pub(super) key: Option<&'static str>,
}

/// Reads `model`; `named`: the provider, where it is written apart; `has_url`: whether an address is written.
///
/// # Errors
/// The provider, which does not take OpenAI's requests.
pub(super) fn provider(model: &str, named: Option<&str>, has_url: bool) -> Result<Provider, String> {
    let (first, rest) = model.split_once('/').map_or((None, model), |(first, rest)| (Some(first), rest));
    let is_known = |name: &str| COMPATIBLE.contains(&name);
    let (provider, model) = match (named, first) {
        (Some(named), Some(first)) if named == first => (named, rest),
        (Some(named), _) => (named, model),
        (None, Some(first)) if is_known(first) => (first, rest),
        // A name without a provider is one of OpenAI's, or of the server at the address.
        (None, None) if has_url || OF_OPENAI.iter().any(|begin| model.starts_with(begin)) => ("openai", model),
        (None, Some(first)) => (first, rest),
        (None, None) => ("", model),
    };
    if !is_known(provider) {
        return Err(provider.to_owned());
    }
    let known = KNOWN.iter().find(|(name, ..)| *name == provider).filter(|_| !has_url);
    Ok(Provider {
        model: model.to_owned(),
        is_vllm: ["hosted_vllm", "vllm"].contains(&provider),
        url: known.map(|(_, url, _)| *url),
        key: known.map(|(_, _, key)| *key).filter(|key| !key.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_before_the_first_slash_or_apart() {
        let of = |model: &str, named: Option<&str>, has_url: bool| {
            provider(model, named, has_url).map(|it| (it.model, it.is_vllm, it.url, it.key))
        };
        assert_eq!(of("hosted_vllm/Qwen/Qwen3-8B", None, true), Ok(("Qwen/Qwen3-8B".into(), true, None, None)));
        assert_eq!(of("hosted_vllm/m", None, false), Ok(("m".into(), true, Some("${HOSTED_VLLM_API_BASE}"), None)));
        assert_eq!(of("openai/openai/gpt-oss-20b", None, true), Ok(("openai/gpt-oss-20b".into(), false, None, None)));
        assert_eq!(
            of("gpt-4o", None, false),
            Ok(("gpt-4o".into(), false, Some("https://api.openai.com"), Some("OPENAI_API_KEY")))
        );
        assert_eq!(of("my-model", None, true), Ok(("my-model".into(), false, None, None)));
        assert_eq!(of("org/m", Some("openai"), true), Ok(("org/m".into(), false, None, None)));
        assert_eq!(of("anthropic/claude-x", None, false), Err("anthropic".into()));
        assert_eq!(of("azure/x", None, true), Err("azure".into()));
        assert_eq!(of("claude-x", None, false), Err(String::new()));
    }
}
