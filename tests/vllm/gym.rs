//! NeMo Gym's rules over a real engine: token ids as the engine has them, and chat over `/v1/completions`.

use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};
use crate::support::http;

/// Members of a message that carry its tokens.
const BUNDLE: [&str; 3] = ["prompt_token_ids", "generation_token_ids", "generation_log_probs"];
/// Whoever captures tokens: from a chat answer, and from a completion of a prompt that the engine rendered.
const CAPTURING: [&str; 2] = ["tiny-gym-ids", "tiny-gym-rendered-ids"];
const QUESTION: &str = "Hello, what is the capital of France?";

/// Conversations whose prompts a template makes: one question; a system text, and no thinking; tools, a call and its result.
fn conversations() -> [Value; 3] {
    let function = json!({
        "name": "get_weather", "description": "The weather somewhere.",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } } },
    });
    let call = json!({ "name": "get_weather", "arguments": "{\"city\": \"Paris\"}" });
    [
        json!({ "messages": [{ "role": "user", "content": QUESTION }] }),
        json!({
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": QUESTION }],
            "chat_template_kwargs": { "enable_thinking": false },
        }),
        json!({
            "messages": [
                { "role": "user", "content": "What is the weather in Paris?" },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": "c", "type": "function", "function": call }] },
                { "role": "tool", "tool_call_id": "c", "content": "rain" },
            ],
            "tools": [{ "type": "function", "function": function }], "tool_choice": "none",
        }),
    ]
}

/// What the engine itself says to a conversation when nothing is left to chance.
struct Said {
    text: String,
    usage: Value,
    /// In the order of [`BUNDLE`].
    tokens: [Vec<f64>; 3],
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// The conversation as a request for as many tokens.
fn asked(conversation: &Value, model: &str, most: u32) -> Value {
    let mut body = conversation.clone();
    (body["model"], body["max_tokens"], body["temperature"]) = (model.into(), most.into(), 0.into());
    body
}

async fn directly(fixture: &Fixture, conversation: &Value, most: u32) -> Said {
    let mut body = asked(conversation, "tiny", most);
    (body["return_token_ids"], body["logprobs"]) = (true.into(), true.into());
    let url = format!("{}/v1/chat/completions", fixture.engine);
    let reply = http().post(url).json(&body).send().await.expect("answered");
    let answer: Value = reply.json().await.expect("JSON");
    let choice = &answer["choices"][0];
    let entries = choice["logprobs"]["content"].as_array().unwrap_or_else(|| panic!("no log-probabilities: {answer}"));
    let log_probs = entries.iter().map(|entry| entry["logprob"].as_f64().expect("a number")).collect();
    Said {
        text: choice["message"]["content"].as_str().expect("text").to_owned(),
        usage: answer["usage"].clone(),
        tokens: [numbers(&answer["prompt_token_ids"]), numbers(&choice["token_ids"]), log_probs],
    }
}

/// The message, or the item, carries what the engine said, with a log-probability for each token.
fn assert_carries(message: &Value, said: &Said) {
    let [prompt, ids, log_probs] = BUNDLE.map(|member| numbers(&message[member]));
    assert_eq!([&prompt, &ids], [&said.tokens[0], &said.tokens[1]], "{message}");
    assert_eq!(log_probs.len(), ids.len(), "{message}");
    // The same sum in another order may differ in its last digits.
    let near = log_probs.iter().zip(&said.tokens[2]).all(|(one, other)| (one - other).abs() < 1e-3);
    assert!(near, "{log_probs:?} and {:?}", said.tokens[2]);
}

fn assert_carries_none(message: &Value) {
    assert!(BUNDLE.iter().all(|member| message.get(member).is_none()), "{message}");
}

/// Chat: ids and log-probabilities are the engine's own, from either back-end, and so are text and usage.
pub async fn chat(fixture: &Fixture) -> String {
    let mut counts = Vec::new();
    for conversation in conversations() {
        let said = directly(fixture, &conversation, 12).await;
        let [prompt, made, log_probs] = said.tokens.each_ref().map(Vec::len);
        assert_eq!((&said.usage["prompt_tokens"], &said.usage["completion_tokens"]), (&json!(prompt), &json!(made)));
        assert!(made > 0 && made == log_probs, "{made} tokens, {log_probs} log-probabilities");
        for alias in ["tiny-gym", "tiny-gym-rendered"].iter().chain(&CAPTURING) {
            let answer = fixture.ok("/v1/chat/completions", &asked(&conversation, alias, 12)).await;
            let message = &answer["choices"][0]["message"];
            assert_eq!(message["content"], said.text, "{alias}: {answer}");
            for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
                assert_eq!(answer["usage"][count], said.usage[count], "{alias}: {answer}");
            }
            // The engine names its answers by its API.
            let kind = if alias.contains("rendered") { "cmpl-" } else { "chatcmpl-" };
            assert!(answer["id"].as_str().is_some_and(|id| id.starts_with(kind)), "{alias}: {answer}");
            if CAPTURING.contains(alias) { assert_carries(message, &said) } else { assert_carries_none(message) }
        }
        counts.push(said.tokens[0].len());
    }
    format!("prompts of {counts:?} tokens")
}

/// Responses: the last item carries them. Messages: nobody does, the text is the same.
pub async fn others(fixture: &Fixture) {
    let said = directly(fixture, &conversations()[0], 9).await;
    for alias in ["tiny-gym", "tiny-gym-rendered"].iter().chain(&CAPTURING) {
        let body = json!({ "model": alias, "input": QUESTION, "max_output_tokens": 9, "temperature": 0 });
        let answer = fixture.ok("/v1/responses", &body).await;
        let output = answer["output"].as_array().expect("items");
        assert_eq!(output.len(), 1, "{alias}: {answer}");
        assert_eq!(output[0]["content"][0]["text"], said.text, "{alias}: {answer}");
        assert_eq!(
            (&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]),
            (&said.usage["prompt_tokens"], &said.usage["completion_tokens"])
        );
        if CAPTURING.contains(alias) {
            assert_carries(&output[0], &said)
        } else {
            assert_carries_none(&output[0])
        }

        let answer = fixture.ok("/v1/messages", &asked(&conversations()[0], alias, 9)).await;
        assert_eq!(answer["content"], json!([{ "type": "text", "text": said.text }]), "{alias}");
        assert_eq!(answer["usage"]["input_tokens"], said.usage["prompt_tokens"], "{alias}: {answer}");
        assert_carries_none(&answer);
    }
}

/// A prompt that is too long ends a rollout, it does not break it: vLLM's words for it, by tokens and by characters, are
/// known, whoever counts. Any other refusal stays one.
pub async fn too_long(fixture: &Fixture) {
    for words in [600, 3000] {
        for alias in ["tiny-gym", "tiny-gym-rendered"].iter().chain(&CAPTURING) {
            let messages = json!([{ "role": "user", "content": "word ".repeat(words) }]);
            let body = json!({ "model": alias, "messages": messages, "max_tokens": 5 });
            let answer = fixture.ok("/v1/chat/completions", &body).await;
            let choice = &answer["choices"][0];
            assert_eq!(
                (&choice["finish_reason"], &choice["message"]["content"]),
                (&json!("length"), &Value::Null),
                "{answer}"
            );
        }
    }
    for alias in ["tiny-gym", "tiny-gym-rendered"] {
        let messages = json!([{ "role": "user", "content": QUESTION }]);
        let body = json!({ "model": alias, "messages": messages, "temperature": -1 });
        let Answer { status, body } = fixture.post("/v1/chat/completions", &body).await;
        let told = body["error"]["message"].as_str().is_some_and(|message| message.contains("temperature"));
        assert!(status == 400 && told, "{alias}: {status} {body}");
    }
}
