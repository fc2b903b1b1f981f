//! What is done better than by Gym when an alias is not strict.

use serde_json::{Value, json};

use super::*;

/// What the engine was sent, and the last answer.
fn served(gym: Gym, path: &str, body: Value, script: Value) -> (Vec<Value>, u16, Value) {
    let cases = recorded();
    let mut engine = Engine { cases: &cases, script: script.as_array().expect("a script").clone(), sent: Vec::new() };
    let ids = Box::new(|| "<uuid>".to_owned());
    let route = route(path).expect("a route");
    let (turn, step) =
        start(&Arc::new(gym), route, "base/model", body.to_string().as_bytes(), 0, ids, &|path| std::fs::read(path));
    let answer = engine.drive(turn, step);
    let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&answer.body)));
    (engine.sent.iter().map(|sent| sent["body"].clone()).collect(), answer.status, body)
}

fn chat(choice: Value) -> Value {
    json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice] })
}

#[test]
fn what_gym_drops_reaches_the_engine() {
    let gym =
        Gym { chat_template_kwargs: json!({ "a": 1, "b": 1 }).as_object().cloned().expect("object"), ..Gym::default() };
    let body = json!({
        "messages": [{ "role": "assistant", "content": "a", "reasoning_content": "r" }, { "role": "tool", "tool_call_id": "c", "content": "x", "name": "f" }],
        "top_k": 5,
        "chat_template_kwargs": { "b": 2, "c": 2 },
        "metadata": { "chat_template_kwargs": "{\"c\":3}" },
    });
    let (sent, status, _) = served(gym, "/v1/chat/completions", body.clone(), json!([]));
    assert_eq!((status, &sent[0]["top_k"]), (200, &json!(5)));
    assert_eq!(sent[0]["chat_template_kwargs"], json!({ "a": 1, "b": 2, "c": 3 }));
    assert_eq!(sent[0]["messages"], body["messages"]);
}

#[test]
fn responses_say_all_they_say() {
    let body = json!({
        "input": "hi", "top_logprobs": 2,
        "tools": [{ "type": "function", "name": "f", "parameters": null, "strict": null }, { "type": "function", "name": "g", "parameters": {}, "strict": null }],
        "tool_choice": { "type": "function", "name": "f" },
        "text": { "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" } } },
    });
    let (sent, status, answer) = served(Gym::default(), "/v1/responses", body, json!([]));
    assert_eq!((status, &sent[0]["logprobs"]), (200, &json!(true)));
    assert_eq!(sent[0]["tool_choice"], json!({ "type": "function", "function": { "name": "f" } }));
    assert_eq!(
        sent[0]["response_format"],
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "object" } } })
    );
    assert_eq!(answer["tool_choice"], json!({ "type": "function", "name": "f" }));
}

#[test]
fn a_named_tool_works_on_messages() {
    let body = json!({
        "model": "m", "max_tokens": 5, "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "name": "f", "input_schema": { "type": "object" } }], "tool_choice": { "type": "tool", "name": "f" },
    });
    let (sent, status, answer) = served(Gym::default(), "/v1/messages", body, json!([]));
    assert_eq!((status, &answer["type"]), (200, &json!("message")));
    assert_eq!(
        sent[0]["tools"],
        json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }])
    );
}

#[test]
fn endings_of_vllm_pass() {
    let script = json!([[
        "/v1/chat/completions",
        200,
        chat(json!({ "index": 0, "finish_reason": "abort", "message": { "role": "assistant", "content": "x" } }))
    ]]);
    let (_, status, answer) = served(Gym::default(), "/v1/chat/completions", json!({ "messages": [] }), script.clone());
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (200, &json!("abort")));
    let (_, status, answer) = served(Gym::default(), "/v1/responses", json!({ "input": "x" }), script);
    assert_eq!((status, &answer["status"]), (200, &json!("completed")));
}

#[test]
fn a_refusal_that_names_max_tokens_is_a_refusal() {
    let script = json!([["/v1/chat/completions", 400, { "error": { "message": "max_tokens must be at least 1, got 0.", "code": 400 } }]]);
    let (_, status, answer) =
        served(Gym::default(), "/v1/chat/completions", json!({ "messages": [], "max_tokens": 0 }), script);
    assert_eq!((status, &answer["error"]["message"]), (400, &json!("max_tokens must be at least 1, got 0.")));
}

#[test]
fn a_rendered_prompt_is_sent_as_tokens() {
    let gym = Gym {
        use_completions_api: true,
        render_chat_template: true,
        replace_developer_role_with_system: true,
        return_token_id_information: true,
        ..Gym::default()
    };
    let completion = json!({
        "id": "c", "created": 1, "model": "m",
        "choices": [{ "index": 0, "text": "out", "finish_reason": "stop", "logprobs": { "tokens": ["token_id:9"], "token_logprobs": [-0.5] } }],
    });
    let body = json!({ "messages": [{ "role": "developer", "content": "d" }, { "role": "user", "content": "u" }, { "role": "assistant", "content": "a" }, { "role": "user", "content": "v" }] });
    let (sent, status, answer) =
        served(gym, "/v1/chat/completions", body, json!([["/v1/completions", 200, completion]]));
    assert_eq!((status, sent.len(), &sent[0]["add_generation_prompt"]), (200, 2, &json!(true)));
    assert_eq!((&sent[0]["messages"][0]["role"], &sent[1]["prompt"]), (&json!("system"), &json!([10, 20, 30])));
    assert_eq!(answer["choices"][0]["message"]["prompt_token_ids"], json!([10, 20, 30]));
    assert_eq!(answer["choices"][0]["message"]["generation_token_ids"], json!([9]));
}

#[test]
fn files_outside_of_the_root_stay_unread() {
    let audio = audio();
    let gym = |root: &Path| Gym { audio_root: Some(root.join("below")), ..Gym::default() };
    for path in ["../a.wav".to_owned(), audio.path().join("a.wav").display().to_string()] {
        let body = json!({ "input": "x", "metadata": { "audio_path": path } });
        let (sent, status, _) = served(gym(audio.path()), "/v1/responses", body, json!([]));
        assert_eq!((sent.len(), status), (0, 400));
    }
}

#[test]
fn an_unreachable_engine_is_told_in_the_clients_words() {
    let why = enginehouse::openai::ApiError::new(enginehouse::openai::Code::EngineUnreachable, "gone");
    let begin = |path: &str, body: Value| {
        let ids = Box::new(|| "<uuid>".to_owned());
        start(
            &Arc::new(Gym::default()),
            route(path).expect("a route"),
            "m",
            body.to_string().as_bytes(),
            0,
            ids,
            &|path| std::fs::read(path),
        )
        .0
    };
    let answer = begin("/v1/responses", json!({ "input": "x", "stream": true })).failed(&why);
    let text = String::from_utf8(answer.body).expect("UTF-8");
    assert!(answer.status == 200 && text.contains("event: response.failed") && text.contains("gone"));
    let answer = begin("/v1/messages", json!({ "messages": [] })).failed(&why);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &body["type"]), (502, &json!("error")));
}
