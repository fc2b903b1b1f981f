//! From the Responses API to chat: input items become messages, parameters get chat's names.

use serde_json::{Map, Value, json};

use super::errors::unsupported;
use super::reasoning::wrap;
use super::schema::{BUNDLE, ROUTED_EXPERTS};
use super::tools;
use crate::config::Gym;
use crate::openai::ApiError;

/// Parameters with the same name in chat.
const SHARED: [&str; 9] =
    ["temperature", "top_p", "metadata", "user", "service_tier", "store", "stream", "top_logprobs", "model"];

/// The chat request for a valid Responses request; chat's own schema has still to be checked.
///
/// # Errors
/// What has no counterpart in chat.
pub(super) fn request(params: &Map<String, Value>, gym: &Gym) -> Result<Map<String, Value>, ApiError> {
    let mut messages = messages(params.get("input").unwrap_or(&Value::Null), gym)?;
    let instructions = params.get("instructions").and_then(Value::as_str).unwrap_or("");
    if !instructions.is_empty() {
        prepend_instructions(&mut messages, instructions);
    }
    let mut chat = Map::new();
    chat.insert("messages".into(), messages.into());
    let shared = |name: &&str| params.get(*name).map(|value| ((*name).to_owned(), value.clone()));
    chat.extend(SHARED.iter().filter_map(shared));
    if chat.get("model").is_some_and(Value::is_null) {
        chat.shift_remove("model");
    }
    let renamed = [
        ("max_tokens", params.get("max_output_tokens")),
        ("reasoning_effort", params.get("reasoning").map(|reasoning| &reasoning["effort"])),
    ];
    for (name, value) in renamed {
        chat.extend(value.filter(|value| !value.is_null()).map(|value| (name.to_owned(), value.clone())));
    }
    tools::convert(params, gym.strict, &mut chat)?;
    if !gym.strict {
        add_what_gym_drops(params, &mut chat);
    }
    Ok(chat)
}

fn add_what_gym_drops(params: &Map<String, Value>, chat: &mut Map<String, Value>) {
    if params.get("top_logprobs").is_some_and(|top| !top.is_null()) {
        // Engines refuse `top_logprobs` alone.
        chat.insert("logprobs".into(), true.into());
    }
    let Some(Value::Object(format)) = params.get("text").and_then(|text| text.get("format")) else { return };
    let format = match format.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            let mut schema = format.clone();
            schema.shift_remove("type");
            json!({ "type": "json_schema", "json_schema": schema })
        }
        _ => Value::Object(format.clone()),
    };
    chat.insert("response_format".into(), format);
}

/// The instructions and the system texts that open the conversation become one leading system message: many templates
/// allow no other.
fn prepend_instructions(messages: &mut Vec<Value>, instructions: &str) {
    let is_system = |message: &&Value| matches!(message["role"].as_str(), Some("system" | "developer"));
    let leading = messages.iter().take_while(is_system).count();
    let mut texts = vec![instructions.to_owned()];
    texts.extend(messages.drain(..leading).map(|message| text_of(&message["content"])));
    messages.insert(0, json!({ "content": texts.join("\n\n"), "role": "system" }));
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// Items of the assistant's side are one message until another side follows.
#[derive(Default)]
struct AssistantTurn {
    begun: bool,
    content: String,
    calls: Vec<Value>,
    bundle: Option<Map<String, Value>>,
}

impl AssistantTurn {
    fn flush(&mut self, messages: &mut Vec<Value>) {
        let turn = std::mem::take(self);
        if !turn.begun {
            return;
        }
        let mut message = Map::new();
        message.insert("content".into(), if turn.content.is_empty() { Value::Null } else { turn.content.into() });
        message.insert("role".into(), "assistant".into());
        if !turn.calls.is_empty() {
            message.insert("tool_calls".into(), turn.calls.into());
        }
        message.extend(turn.bundle.unwrap_or_default());
        messages.push(message.into());
    }

    fn add_call(&mut self, id: &Value, function: &Value) {
        let function = json!({ "arguments": function["arguments"], "name": function["name"] });
        self.calls.push(json!({ "id": id, "function": function, "type": "function" }));
    }
}

fn messages(input: &Value, gym: &Gym) -> Result<Vec<Value>, ApiError> {
    if let Value::String(text) = input {
        return Ok(vec![json!({ "role": "user", "content": [{ "type": "text", "text": text }] })]);
    }
    let (mut messages, mut turn) = (Vec::new(), AssistantTurn::default());
    for item in input.as_array().into_iter().flatten() {
        add_item(item, &mut turn, &mut messages)?;
        if gym.return_token_id_information && BUNDLE.iter().all(|member| item.get(*member).is_some()) {
            let members = BUNDLE.iter().chain([&ROUTED_EXPERTS]);
            let bundle = members.filter_map(|member| Some(((*member).to_owned(), item.get(*member)?.clone())));
            turn.bundle = Some(bundle.filter(|(_, value)| !value.is_null()).collect());
        }
    }
    turn.flush(&mut messages);
    Ok(messages)
}

fn add_item(item: &Value, turn: &mut AssistantTurn, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let kind = item["type"].as_str().filter(|kind| !kind.is_empty());
    match kind.or_else(|| item["role"].is_string().then_some("message")) {
        Some("message") => add_message(item, turn, messages)?,
        Some("reasoning") => {
            turn.begun = true;
            let texts = item["summary"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            texts.for_each(|text| turn.content.push_str(&wrap(text)));
        }
        Some("function_call") => {
            turn.begun = true;
            turn.add_call(&item["call_id"], item);
        }
        Some("function_call_output") => {
            turn.flush(messages);
            let content = tool_result(item)?;
            messages.push(json!({ "content": content, "role": "tool", "tool_call_id": item["call_id"] }));
        }
        Some(kind) => {
            return Err(no_counterpart(format!(
                "An input item of type `{kind}` has no counterpart in chat completions. Leave it out, or let the alias use \
                 an engine with a Responses API of its own (`gym.is_responses_native`)."
            )));
        }
        None => return Err(no_counterpart("An input item has neither `type` nor `role`.")),
    }
    Ok(())
}

fn no_counterpart(message: impl Into<String>) -> ApiError {
    unsupported(message).param("input")
}

/// The content of a tool message: text only.
fn tool_result(item: &Value) -> Result<Value, ApiError> {
    let parts = match item.get("output") {
        Some(Value::Array(parts)) => parts,
        Some(output) => return Ok(output.clone()),
        None => return Err(no_counterpart("A `function_call_output` has no `output`.")),
    };
    let part = |part: &Value| match part["type"].as_str() {
        Some("input_text") => Ok(json!({ "type": "text", "text": part["text"] })),
        other => Err(no_counterpart(format!(
            "The output of call {} has a part of type `{}`; only text is supported.",
            item["call_id"],
            other.unwrap_or("")
        ))),
    };
    parts.iter().map(part).collect()
}

fn add_message(item: &Value, turn: &mut AssistantTurn, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let role = item["role"].as_str().unwrap_or("assistant");
    if role == "assistant" {
        return add_assistant_message(item, turn);
    }
    if !matches!(role, "user" | "system" | "developer" | "tool") {
        return Err(no_counterpart(format!("A message of role `{role}` has no counterpart in chat completions.")));
    }
    turn.flush(messages);
    let content = match &item["content"] {
        Value::Array(parts) => parts.iter().map(content_part).collect::<Result<_, _>>()?,
        other => other.clone(),
    };
    let mut message = json!({ "content": content, "role": role });
    if role == "tool" {
        message["tool_call_id"] = item["tool_call_id"].clone();
    }
    messages.push(message);
    Ok(())
}

fn add_assistant_message(item: &Value, turn: &mut AssistantTurn) -> Result<(), ApiError> {
    turn.begun = true;
    match &item["content"] {
        Value::Null => {}
        content @ (Value::String(_) | Value::Array(_)) => turn.content.push_str(&text_of(content)),
        _ => {
            let message = "The content of an assistant message must be a string or an array.";
            return Err(no_counterpart(message));
        }
    }
    for call in item["tool_calls"].as_array().into_iter().flatten() {
        turn.add_call(&call["id"], &call["function"]);
    }
    Ok(())
}

fn content_part(part: &Value) -> Result<Value, ApiError> {
    let url_of = |source: &Value| source.as_str().or_else(|| source["url"].as_str()).map(str::to_owned);
    let missing =
        |what: &str| no_counterpart(format!("An `{what}` part has no URL; uploaded files are not supported."));
    match part["type"].as_str() {
        Some("input_text") => Ok(json!({ "type": "text", "text": part["text"] })),
        Some("input_image") => {
            let url = url_of(&part["image_url"]).filter(|url| !url.is_empty()).ok_or_else(|| missing("input_image"))?;
            let detail = part.get("detail").cloned().unwrap_or_else(|| "auto".into());
            Ok(json!({ "type": "image_url", "image_url": { "url": url, "detail": detail } }))
        }
        Some("input_video") => {
            let source = part.get("video_url").unwrap_or(&part["video"]);
            let url = url_of(source).filter(|url| !url.trim().is_empty()).ok_or_else(|| missing("input_video"))?;
            Ok(json!({ "type": "video_url", "video_url": { "url": url } }))
        }
        kind => {
            let kind = kind.unwrap_or("");
            Err(no_counterpart(format!("A part of type `{kind}` has no counterpart in chat completions.")))
        }
    }
}
