//! From the Responses API to chat: input items become messages, parameters their namesakes.

use serde_json::{Map, Value, json};

use super::reasoning::wrap;
use super::refuse::unsupported;
use super::schema::{BUNDLE, ROUTED_EXPERTS};
use super::tools_in;
use crate::config::Gym;
use crate::openai::ApiError;

/// Parameters that chat calls the same.
const SHARED: [&str; 9] =
    ["temperature", "top_p", "metadata", "user", "service_tier", "store", "stream", "top_logprobs", "model"];

/// A chat request for a checked Responses request; it still has to pass the checks of chat.
///
/// # Errors
/// What has no counterpart in chat.
pub(super) fn to_chat(params: &Map<String, Value>, gym: &Gym) -> Result<Map<String, Value>, ApiError> {
    let mut messages = messages(params.get("input").unwrap_or(&Value::Null), gym)?;
    let instructions = params.get("instructions").and_then(Value::as_str).unwrap_or("");
    if !instructions.is_empty() {
        fold(&mut messages, instructions);
    }
    let mut chat = Map::new();
    chat.insert("messages".into(), Value::Array(messages));
    let shared = |name: &&str| params.get(*name).map(|value| ((*name).to_owned(), value.clone()));
    chat.extend(SHARED.iter().filter_map(shared));
    if chat.get("model").is_some_and(Value::is_null) {
        chat.shift_remove("model");
    }
    let renamed = [
        ("max_tokens", params.get("max_output_tokens")),
        ("reasoning_effort", params.get("reasoning").and_then(|it| it.get("effort"))),
    ];
    for (name, value) in renamed {
        chat.extend(value.filter(|value| !value.is_null()).map(|value| (name.to_owned(), value.clone())));
    }
    tools_in::tools(params, gym.strict, &mut chat)?;
    if !gym.strict {
        spoken_to_engine(params, &mut chat);
    }
    Ok(chat)
}

/// What Gym forgets although chat has a word for it.
fn spoken_to_engine(params: &Map<String, Value>, chat: &mut Map<String, Value>) {
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

/// Instructions and the system texts that open the conversation become its one leading system message: many templates
/// allow no other.
fn fold(messages: &mut Vec<Value>, instructions: &str) {
    let system = |message: &&Value| matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"));
    let leading = messages.iter().take_while(system).count();
    let mut texts = vec![instructions.to_owned()];
    texts.extend(messages.drain(..leading).map(|message| text_of(message.get("content"))));
    messages.insert(0, json!({ "content": texts.join("\n\n"), "role": "system" }));
}

fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// An assistant turn in the making: items of the assistant's side are one message until another side speaks.
#[derive(Default)]
struct Turn {
    spoken: bool,
    content: String,
    calls: Vec<Value>,
    bundle: Option<Map<String, Value>>,
}

impl Turn {
    fn flush(&mut self, messages: &mut Vec<Value>) {
        let turn = std::mem::take(self);
        if !turn.spoken {
            return;
        }
        let mut message = Map::new();
        message.insert("content".into(), if turn.content.is_empty() { Value::Null } else { turn.content.into() });
        message.insert("role".into(), "assistant".into());
        if !turn.calls.is_empty() {
            message.insert("tool_calls".into(), Value::Array(turn.calls));
        }
        message.extend(turn.bundle.unwrap_or_default());
        messages.push(Value::Object(message));
    }
}

fn messages(input: &Value, gym: &Gym) -> Result<Vec<Value>, ApiError> {
    let items = match input {
        Value::String(text) => {
            return Ok(vec![json!({ "role": "user", "content": [{ "type": "text", "text": text }] })]);
        }
        Value::Array(items) => items.as_slice(),
        _ => &[],
    };
    let (mut messages, mut turn) = (Vec::new(), Turn::default());
    for item in items {
        add(item, &mut turn, &mut messages)?;
        if gym.return_token_id_information && BUNDLE.iter().all(|member| item.get(*member).is_some()) {
            let members = BUNDLE.iter().chain([&ROUTED_EXPERTS]);
            let said = members.filter_map(|member| Some(((*member).to_owned(), item.get(*member)?.clone())));
            turn.bundle = Some(said.filter(|(_, value)| !value.is_null()).collect());
        }
    }
    turn.flush(&mut messages);
    Ok(messages)
}

fn add(item: &Value, turn: &mut Turn, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let kind = text("type").filter(|kind| !kind.is_empty()).or_else(|| text("role").map(|_| "message"));
    match kind {
        Some("message") => message(item, turn, messages),
        Some("reasoning") => {
            turn.spoken = true;
            let summary = item.get("summary").and_then(Value::as_array);
            let texts = summary.into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
            texts.for_each(|text| turn.content.push_str(&wrap(text)));
            Ok(())
        }
        Some("function_call") => {
            turn.spoken = true;
            turn.calls.push(json!({
                "id": item.get("call_id"),
                "function": { "arguments": item.get("arguments"), "name": item.get("name") },
                "type": "function",
            }));
            Ok(())
        }
        Some("function_call_output") => {
            turn.flush(messages);
            let content = result(item)?;
            messages.push(json!({ "content": content, "role": "tool", "tool_call_id": item.get("call_id") }));
            Ok(())
        }
        Some(kind) => Err(unsupported(format!(
            "An input item of type `{kind}` has no counterpart in chat completions. Leave it out, or let the alias use \
             an engine that speaks Responses itself (`gym.is_responses_native`)."
        ))
        .param("input")),
        None => Err(unsupported("An input item has neither `type` nor `role`.").param("input")),
    }
}

/// The content of a tool message: text only.
fn result(item: &Value) -> Result<Value, ApiError> {
    let parts = match item.get("output") {
        Some(Value::Array(parts)) => parts,
        Some(output) => return Ok(output.clone()),
        None => return Err(unsupported("A `function_call_output` has no `output`.").param("input")),
    };
    let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("input_text") => Ok(json!({ "type": "text", "text": part.get("text") })),
        other => Err(unsupported(format!(
            "The output of call {} holds a part of type `{}`; tools answer in text here.",
            item.get("call_id").unwrap_or(&Value::Null),
            other.unwrap_or("")
        ))
        .param("input")),
    };
    parts.iter().map(part).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn message(item: &Value, turn: &mut Turn, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let content = item.get("content").unwrap_or(&Value::Null);
    let role = item.get("role").and_then(Value::as_str).unwrap_or("assistant");
    if role == "assistant" {
        return assistant(item, content, turn);
    }
    if !matches!(role, "user" | "system" | "developer" | "tool") {
        return Err(
            unsupported(format!("A message of role `{role}` has no counterpart in chat completions.")).param("input")
        );
    }
    turn.flush(messages);
    let content = match content {
        Value::Array(parts) => Value::Array(parts.iter().map(part).collect::<Result<_, _>>()?),
        other => other.clone(),
    };
    let mut message = json!({ "content": content, "role": role });
    if role == "tool" {
        message["tool_call_id"] = item.get("tool_call_id").cloned().unwrap_or_default();
    }
    messages.push(message);
    Ok(())
}

fn assistant(item: &Value, content: &Value, turn: &mut Turn) -> Result<(), ApiError> {
    turn.spoken = true;
    match content {
        Value::Null => {}
        Value::String(text) => turn.content.push_str(text),
        Value::Array(_) => turn.content.push_str(&text_of(Some(content))),
        _ => {
            return Err(
                unsupported("The content of an assistant message is neither text nor a list of parts.").param("input")
            );
        }
    }
    for call in item.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = |name: &str| call.get("function").and_then(|function| function.get(name));
        turn.calls.push(json!({
            "id": call.get("id"),
            "function": { "arguments": function("arguments"), "name": function("name") },
            "type": "function",
        }));
    }
    Ok(())
}

fn part(part: &Value) -> Result<Value, ApiError> {
    let url_of = |value: Option<&Value>| match value {
        Some(Value::Object(object)) => object.get("url").and_then(Value::as_str).map(str::to_owned),
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let missing = |what: &str| {
        unsupported(format!("An `{what}` part has no URL; files by id are not known here.")).param("input")
    };
    match part.get("type").and_then(Value::as_str) {
        Some("input_text") => Ok(json!({ "type": "text", "text": part.get("text") })),
        Some("input_image") => {
            let url =
                url_of(part.get("image_url")).filter(|url| !url.is_empty()).ok_or_else(|| missing("input_image"))?;
            let detail = part.get("detail").cloned().unwrap_or_else(|| "auto".into());
            Ok(json!({ "type": "image_url", "image_url": { "url": url, "detail": detail } }))
        }
        Some("input_video") => {
            let source = part.get("video_url").or_else(|| part.get("video"));
            let url = url_of(source).filter(|url| !url.trim().is_empty()).ok_or_else(|| missing("input_video"))?;
            Ok(json!({ "type": "video_url", "video_url": { "url": url } }))
        }
        kind => {
            Err(unsupported(format!("A part of type `{}` has no counterpart in chat completions.", kind.unwrap_or("")))
                .param("input"))
        }
    }
}
