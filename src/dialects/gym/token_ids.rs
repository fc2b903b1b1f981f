//! Token ids and log-probabilities of a chat answer, from the source that the engine offers.

use serde_json::{Map, Value};

use super::errors::bad_engine_answer;
use super::schema::{BUNDLE, ROUTED_EXPERTS};
use crate::openai::ApiError;

/// What an answer has about its tokens.
#[derive(Debug)]
pub(super) enum Captured {
    /// Everything; the answer carries it now.
    Whole,
    /// Everything but the prompt's ids, which `/tokenize` knows.
    Generation(Generation),
}

/// The generated tokens.
#[derive(Debug)]
pub(super) struct Generation {
    ids: Value,
    log_probs: Value,
}

/// Members of a request that decide how its prompt is tokenized.
const PROMPT_MEMBERS: [&str; 6] =
    ["model", "messages", "tools", "chat_template_kwargs", "mm_processor_kwargs", "required_prefix_token_ids"];
/// More of them: vLLM's `/tokenize` takes them, Gym does not send them.
const NOT_SENT_BY_GYM: [&str; 3] = ["chat_template", "add_generation_prompt", "continue_final_message"];

/// Captures the tokens of a chat answer. Sources in order: the message's own bundle; ids on the answer and its choice; ids
/// in the log-probabilities, as `token_id:7`. Sources that are there must be complete and agree.
///
/// # Errors
/// What is incomplete, contradictory or malformed.
pub(super) fn capture(answer: &mut Map<String, Value>) -> Result<Captured, ApiError> {
    let prompt = answer.get("prompt_token_ids").filter(|ids| !ids.is_null()).cloned();
    let Some(choice) = answer.get_mut("choices").and_then(|choices| choices.get_mut(0)).and_then(Value::as_object_mut)
    else {
        return Err(bad_engine_answer("The engine's answer has no choice."));
    };
    let generated = choice.get("token_ids").filter(|ids| !ids.is_null()).cloned();
    let inline = match (prompt, generated) {
        (Some(prompt), Some(generated)) => {
            Some((list(prompt, "prompt_token_ids")?, list(generated, "choice.token_ids")?))
        }
        (None, None) => None,
        (prompt, _) => {
            let missing = if prompt.is_some() { "choice.token_ids" } else { "prompt_token_ids" };
            return Err(bad_engine_answer(format!(
                "The engine sent only some of the token ids: `{missing}` is missing."
            )));
        }
    };
    let captured = if let Some(bundle) = own_bundle(choice)? {
        if inline.is_some_and(|(prompt, generated)| !same(&prompt, &bundle[0]) || !same(&generated, &bundle[1])) {
            return Err(bad_engine_answer("The token ids in the engine's message differ from those in its answer."));
        }
        Captured::Whole
    } else {
        let (ids, log_probs) = from_log_probs(choice)?;
        choice.shift_remove("logprobs");
        match inline {
            Some((prompt, generated)) => {
                if !same(&generated, &ids) {
                    return Err(bad_engine_answer(
                        "The engine's token ids differ from those in its log-probabilities.",
                    ));
                }
                attach(choice, prompt, Generation { ids, log_probs });
                Captured::Whole
            }
            None => Captured::Generation(Generation { ids, log_probs }),
        }
    };
    choice.shift_remove("token_ids");
    answer.shift_remove("prompt_token_ids");
    Ok(captured)
}

/// Completes an answer with the prompt's ids out of the answer of `/tokenize`.
///
/// # Errors
/// It has none.
pub(super) fn complete(
    answer: &mut Map<String, Value>,
    generation: Generation,
    tokenized: &Value,
) -> Result<(), ApiError> {
    let prompt = list(tokenized["tokens"].clone(), "tokenize.tokens")?;
    if let Some(choice) =
        answer.get_mut("choices").and_then(|choices| choices.get_mut(0)).and_then(Value::as_object_mut)
    {
        attach(choice, prompt, generation);
    }
    Ok(())
}

/// The request to `/tokenize` for a chat request that was sent.
pub(super) fn tokenize_request(sent: &Map<String, Value>, strict: bool) -> Map<String, Value> {
    let mut body = Map::new();
    let more = if strict { &[][..] } else { &NOT_SENT_BY_GYM[..] };
    for member in PROMPT_MEMBERS.iter().chain(more) {
        body.extend(sent.get(*member).map(|value| ((*member).to_owned(), value.clone())));
    }
    if let Some(effort) = sent.get("reasoning_effort").and_then(Value::as_str).filter(|_| !strict) {
        // vLLM turns the effort into arguments of the chat template when it answers, but not when it tokenizes.
        let mut arguments = match body.get("chat_template_kwargs") {
            Some(Value::Object(arguments)) => arguments.clone(),
            _ => Map::new(),
        };
        arguments.insert("reasoning_effort".into(), effort.into());
        arguments.entry("enable_thinking").or_insert_with(|| (effort != "none").into());
        body.insert("chat_template_kwargs".into(), Value::Object(arguments));
    }
    body
}

fn list(value: Value, name: &str) -> Result<Value, ApiError> {
    if value.is_array() {
        Ok(value)
    } else {
        Err(bad_engine_answer(format!("The engine's `{name}` is not a list of token ids.")))
    }
}

/// Whether two lists of ids are the same numbers.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            let number = |value: &Value| value.as_f64();
            one.len() == other.len()
                && one.iter().zip(other).all(|(a, b)| a == b || (number(a).is_some() && number(a) == number(b)))
        }
        _ => false,
    }
}

/// The bundle of the message: prompt ids and generated ids.
fn own_bundle(choice: &Map<String, Value>) -> Result<Option<[Value; 2]>, ApiError> {
    let Some(Value::Object(message)) = choice.get("message") else { return Ok(None) };
    let missing: Vec<&str> = BUNDLE.iter().copied().filter(|member| !message.contains_key(*member)).collect();
    if missing.len() == BUNDLE.len() {
        return Ok(None);
    }
    if !missing.is_empty() {
        return Err(bad_engine_answer(format!("The engine's message lacks `{}`.", missing.join("`, `"))));
    }
    let of = |member: &str| list(message.get(member).cloned().unwrap_or(Value::Null), member);
    let (prompt, ids, log_probs) = (of(BUNDLE[0])?, of(BUNDLE[1])?, of(BUNDLE[2])?);
    same_length(&ids, &log_probs)?;
    Ok(Some([prompt, ids]))
}

/// Checks that each token has its log-probability.
///
/// # Errors
/// There are more of one than of the other.
pub(super) fn same_length(ids: &Value, log_probs: &Value) -> Result<(), ApiError> {
    let length = |value: &Value| value.as_array().map(Vec::len);
    if length(ids) == length(log_probs) {
        return Ok(());
    }
    Err(bad_engine_answer(format!(
        "The engine sent {} token ids and {} log-probabilities.",
        length(ids).unwrap_or(0),
        length(log_probs).unwrap_or(0)
    )))
}

/// Ids and log-probabilities of the choice's `logprobs`.
fn from_log_probs(choice: &Map<String, Value>) -> Result<(Value, Value), ApiError> {
    let Some(entries) = choice.get("logprobs").and_then(|block| block.get("content")).and_then(Value::as_array) else {
        return Err(bad_engine_answer(
            "The engine sent no log-probabilities, and token ids are read from them (`return_token_id_information`). \
             Check that its version supports `return_tokens_as_token_ids`.",
        ));
    };
    let (mut ids, mut log_probs) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (at, entry) in entries.iter().enumerate() {
        let Some(id) = entry.get("token").and_then(Value::as_str).and_then(parse_id) else {
            return Err(bad_engine_answer(format!(
                "Token {at} of the engine's log-probabilities is not written as `token_id:<number>`."
            )));
        };
        let Some(log_prob) = entry.get("logprob").and_then(Value::as_f64) else {
            return Err(bad_engine_answer(format!("Log-probability {at} of the engine is not a number.")));
        };
        ids.push(Value::from(id));
        log_probs.push(Value::from(log_prob));
    }
    Ok((Value::Array(ids), Value::Array(log_probs)))
}

/// The number in `token_id:7`.
fn parse_id(token: &str) -> Option<i64> {
    token.strip_prefix("token_id:")?.trim().parse().ok()
}

fn attach(choice: &mut Map<String, Value>, prompt: Value, generation: Generation) {
    if let Some(Value::Object(message)) = choice.get_mut("message") {
        let [prompt_ids, ids, log_probs] = BUNDLE;
        message.insert(prompt_ids.into(), prompt);
        message.insert(ids.into(), generation.ids);
        message.insert(log_probs.into(), generation.log_probs);
        message.entry(ROUTED_EXPERTS).or_insert(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn captured(answer: Value) -> Result<(bool, Value), String> {
        let Value::Object(mut answer) = answer else { panic!("an object") };
        let captured = capture(&mut answer).map_err(|error| error.message)?;
        Ok((matches!(captured, Captured::Whole), Value::Object(answer)))
    }

    fn log_probs(tokens: &[&str]) -> Value {
        let entries: Vec<Value> = tokens.iter().map(|token| json!({ "token": token, "logprob": -0.5 })).collect();
        json!({ "content": entries })
    }

    #[test]
    fn sources_in_order_and_agreeing() {
        let message = json!({ "content": "x", "prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.1] });
        let (whole, answer) =
            captured(json!({ "choices": [{ "message": message, "logprobs": log_probs(&["x"]) }] })).expect("bundle");
        assert!(whole && answer["choices"][0].get("logprobs").is_some(), "log-probabilities stay beside a bundle");
        let inline = json!({ "prompt_token_ids": [1], "choices": [{ "message": {}, "token_ids": [7], "logprobs": log_probs(&["token_id:7"]) }] });
        let (whole, answer) = captured(inline).expect("inline");
        assert!(whole && answer.get("prompt_token_ids").is_none() && answer["choices"][0].get("token_ids").is_none());
        assert_eq!(answer["choices"][0]["message"]["generation_token_ids"], json!([7]));
        let (whole, _) =
            captured(json!({ "choices": [{ "message": {}, "logprobs": log_probs(&["token_id:7"]) }] })).expect("ids");
        assert!(!whole);
    }

    #[test]
    fn what_is_partial_or_contradictory_is_an_error() {
        let whole = json!({ "prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.1] });
        for answer in [
            json!({ "choices": [] }),
            json!({ "choices": [{ "message": {} }] }),
            json!({ "choices": [{ "message": {}, "logprobs": log_probs(&["7"]) }] }),
            json!({ "choices": [{ "message": {}, "logprobs": { "content": [{ "token": "token_id:7", "logprob": "x" }] } }] }),
            json!({ "choices": [{ "message": { "prompt_token_ids": [1] }, "logprobs": log_probs(&["token_id:7"]) }] }),
            json!({ "prompt_token_ids": [1], "choices": [{ "message": {}, "logprobs": log_probs(&["token_id:7"]) }] }),
            json!({ "prompt_token_ids": [1], "choices": [{ "message": {}, "token_ids": [8], "logprobs": log_probs(&["token_id:7"]) }] }),
            json!({ "prompt_token_ids": [9], "choices": [{ "message": whole.clone(), "token_ids": [2] }] }),
            json!({ "choices": [{ "message": { "prompt_token_ids": [], "generation_token_ids": [1], "generation_log_probs": [] } }] }),
        ] {
            assert!(captured(answer.clone()).is_err(), "{answer}");
        }
    }

    #[test]
    fn the_effort_reaches_tokenize_unless_strict() {
        let sent =
            json!({ "model": "m", "messages": [], "reasoning_effort": "low", "temperature": 1, "chat_template": "t" });
        let sent = sent.as_object().expect("object");
        assert_eq!(Value::Object(tokenize_request(sent, true)), json!({ "model": "m", "messages": [] }));
        let body = tokenize_request(sent, false);
        assert_eq!(body["chat_template_kwargs"], json!({ "reasoning_effort": "low", "enable_thinking": true }));
        assert_eq!(body["chat_template"], "t");
    }
}
