//! `/invocations`, by which Amazon SageMaker asks a container: its body says which route it means.

use super::text::equals;
use super::{ApiError, Code, Endpoint, peek};

/// Its path.
pub const INVOCATIONS: &str = "/invocations";

/// Members by which bodies are told apart, in vLLM's order (0.32, `serve/sagemaker`).
const BY_MEMBER: [(&str, Endpoint); 9] = [
    ("messages", Endpoint::ChatCompletions),
    ("prompt", Endpoint::Completions),
    ("label_token_ids", Endpoint::GenerativeScoring),
    ("input", Endpoint::Embeddings),
    ("query", Endpoint::Rerank),
    ("queries", Endpoint::Score),
    ("data_1", Endpoint::Score),
    ("text_1", Endpoint::Score),
    ("texts", Endpoint::EmbedV2),
];

/// The route that `body` is for.
///
/// # Errors
/// It is no JSON object, or for none of them.
pub fn invoked(body: &[u8]) -> Result<Endpoint, ApiError> {
    let peek = peek(body)?;
    let has = |name: &str| peek.members.iter().any(|member| equals(member.key.of(body), name));
    BY_MEMBER.into_iter().find(|(name, _)| has(name)).map(|(_, endpoint)| endpoint).ok_or_else(|| {
        let names: Vec<String> = BY_MEMBER.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!(
            "POST {INVOCATIONS} takes the body of another route, and this one has no member that tells which: {}.",
            names.join(", ")
        );
        ApiError::new(Code::UnknownInvocation, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_which_route_it_means() {
        for (body, endpoint) in [
            (r#"{"messages":[],"prompt":1}"#, Some(Endpoint::ChatCompletions)),
            (r#"{"pr\u006fmpt":""}"#, Some(Endpoint::Completions)),
            (r#"{"query":"","items":[],"label_token_ids":[]}"#, Some(Endpoint::GenerativeScoring)),
            (r#"{"input":[]}"#, Some(Endpoint::Embeddings)),
            (r#"{"query":"","documents":[]}"#, Some(Endpoint::Rerank)),
            (r#"{"text_1":"","text_2":""}"#, Some(Endpoint::Score)),
            (r#"{"texts":[]}"#, Some(Endpoint::EmbedV2)),
            (r#"{"model":"m"}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(invoked(body.as_bytes()).ok(), endpoint, "{body}");
        }
    }
}
