//! Reads the recorded cases, and ours, whose bodies are written as changes to recorded ones.

use serde_json::{Value, json};

/// The cases recorded from Gym.
pub(super) fn recorded() -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases.json")).expect("cases");
    assert!(cases.len() >= 136, "only {} cases", cases.len());
    cases
}

/// Our own cases, every body written out.
pub(super) fn ours(recorded: &[Value]) -> Vec<Value> {
    let mut cases: Vec<Value> = serde_json::from_str(include_str!("more.json")).expect("cases");
    assert!(cases.len() > 500, "only {} cases", cases.len());
    let answer = |name: &str| of_case(recorded, name)["responses"][0]["body"].clone();
    let call = |name: &str| of_case(recorded, name)["upstream"][0].clone();
    for case in &mut cases {
        for body in case["responses"].as_array_mut().expect("responses").iter_mut().filter_map(|it| it.get_mut("body"))
        {
            expand(body, answer);
        }
        for reply in case["script"].as_array_mut().expect("a script") {
            expand(&mut reply[2], answer);
        }
        for sent in case["upstream"].as_array_mut().expect("upstream") {
            expand(sent, call);
        }
    }
    cases
}

fn of_case<'a>(cases: &'a [Value], name: &str) -> &'a Value {
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("there is no case {name}"))
}

/// Replaces `{"as": NAME, "with": CHANGES}` by what is recorded under the name, changed. A change is a JSON pointer with a
/// new value, or alone: that member is not there.
fn expand(value: &mut Value, recorded: impl Fn(&str) -> Value) {
    let Some(name) = value["as"].as_str() else { return };
    let mut whole = recorded(name);
    let changes = value["with"].as_array().cloned().unwrap_or_default();
    if let (Value::String(text), false) = (&whole, changes.is_empty()) {
        whole = events(text);
    }
    for change in changes {
        let pointer = change[0].as_str().expect("a pointer");
        let (parent, last) = pointer.rsplit_once('/').expect("a member");
        let last = last.replace("~1", "/").replace("~0", "~");
        match (whole.pointer_mut(parent).expect("there"), change.get(1)) {
            (Value::Object(members), Some(new)) => drop(members.insert(last, new.clone())),
            (Value::Object(members), None) => assert!(members.shift_remove(&last).is_some(), "{pointer} is not there"),
            (Value::Array(values), Some(new)) => values[last.parse::<usize>().expect("an index")] = new.clone(),
            (other, _) => panic!("{pointer} leads into {other}"),
        }
    }
    *value = whole;
}

/// An event stream as a list of names and data.
pub(super) fn events(text: &str) -> Value {
    let event = |event: &str| {
        let mut data = event.split_once("data: ").map_or("", |(_, data)| data).to_owned();
        data.truncate(data.trim_end().len());
        let mut data = serde_json::from_str(&data).unwrap_or_else(|_| json!(data));
        if let Some(message) = data.pointer_mut("/response/error/message") {
            *message = json!("<text>");
        }
        json!([event.lines().find_map(|line| line.strip_prefix("event: ")), data])
    };
    text.split("\n\n").filter(|event| !event.is_empty()).map(event).collect()
}

/// The engine's answer to a call that no script answers.
pub(super) fn default_reply(path: &str, recorded: &[Value]) -> Value {
    match path {
        "/tokenize" => json!({ "count": 3, "max_model_len": 4096, "tokens": [10, 20, 30] }),
        "/v1/completions" => json!({
            "id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": "base/model",
            "choices": [{ "index": 0, "text": "out", "logprobs": null, "finish_reason": "stop", "stop_reason": null }],
            "usage": { "prompt_tokens": 5, "total_tokens": 7, "completion_tokens": 2 },
        }),
        "/v1/responses" => of_case(recorded, "native_basic")["responses"][0]["body"].clone(),
        _ => of_case(recorded, "min")["responses"][0]["body"].clone(),
    }
}
