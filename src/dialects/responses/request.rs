//! A Responses request as a chat request.

use serde_json::{Value, json};

use super::input;
use super::response::ResponseObject;
use super::tools::Tools;
use super::writer::Writer;
use crate::config::LateSystem;
use crate::dialects::chat::{ChatRequest, schema_format};
use crate::dialects::members::{
    Members, invalid, missing, object, peek, take, take_array, take_object, text, type_of, unsupported,
};
use crate::openai::ApiError;

/// Members that an engine has no use for. The response repeats those that it has a place for.
const NOT_FORWARDED: [&str; 17] = [
    "background",
    "context_management",
    "conversation",
    "max_tool_calls",
    "metadata",
    "moderation",
    "n",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "verbosity",
];

/// The chat request for a Responses request, and the writer of its answer.
pub(in crate::dialects) fn to_chat(
    mut request: Members,
    late_system: LateSystem,
) -> Result<ChatRequest<Writer>, ApiError> {
    refuse_stored(&request)?;
    let response = ResponseObject::new(&request);
    let tools = Tools::take(&mut request)?;
    let mut set = Members::new();
    let (instructions, input) = (take(&mut request, "instructions"), take(&mut request, "input"));
    set.insert("messages".into(), input::messages(instructions, input, late_system)?.into());
    if let Some(limit) = take(&mut request, "max_output_tokens") {
        set.insert("max_tokens".into(), limit);
    }
    let (names, dropped) = (tools.names.clone(), tools.dropped.clone());
    tools.set(&mut request, &mut set)?;
    set_format(&mut request, &mut set)?;
    set_reasoning(&mut request, &mut set)?;
    set_logprobs(&mut request, &mut set)?;
    set_truncation(&mut request, &mut set)?;
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        set.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    // The client's own members first, in their order; ours replace those with the same name.
    request.retain(|name, _| !NOT_FORWARDED.contains(&name.as_str()));
    request.extend(set);
    Ok(ChatRequest { members: request, writer: Writer::new(response, names), dropped })
}

/// Refuses what needs stored responses or prompts.
fn refuse_stored(request: &Members) -> Result<(), ApiError> {
    for (name, instead) in [
        ("previous_response_id", "Send the earlier items in `input` instead."),
        ("conversation", "Send the conversation's items in `input` instead."),
        ("prompt", "Send the prompt's text in `instructions` and `input` instead."),
    ] {
        if request.get(name).is_some_and(|value| !value.is_null()) {
            let message = format!("`{name}` is not supported: no response or prompt is stored here. {instead}");
            return Err(unsupported(name, message));
        }
    }
    match request.get("background") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(_) => Err(unsupported(
            "background",
            "`background` is not supported: no response is stored here. Use `stream` instead.",
        )),
    }
}

/// `text.format` is chat's `response_format`.
fn set_format(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let Some(mut text) = take_object(request, "text")? else { return Ok(()) };
    let Some(format) = take(&mut text, "format") else { return Ok(()) };
    let mut format = object(format, "text.format")?;
    let response_format = match peek(&format, "type") {
        Some("text") => return Ok(()),
        Some("json_object") => json!({ "type": "json_object" }),
        Some("json_schema") => {
            let name = take(&mut format, "name")
                .ok_or_else(|| invalid("text.format.name", "`text.format.name` is missing: a schema needs a name."))?;
            if format.get("schema").is_none_or(Value::is_null) {
                return Err(missing("text.format.schema"));
            }
            schema_format(name, ["schema", "description", "strict"].map(|key| (key, take(&mut format, key))))
        }
        other => {
            let other = other.unwrap_or("nothing");
            return Err(unsupported(
                "text.format.type",
                format!("`text.format.type` must be text, json_object or json_schema, not {other}."),
            ));
        }
    };
    set.insert("response_format".into(), response_format);
    Ok(())
}

/// `reasoning.effort` is chat's `reasoning_effort`. No summary is made: the answer has the reasoning itself.
fn set_reasoning(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    if let Some(mut reasoning) = take_object(request, "reasoning")?
        && let Some(effort) = take(&mut reasoning, "effort")
    {
        set.insert("reasoning_effort".into(), text(effort, "reasoning.effort")?.into());
    }
    Ok(())
}

/// Chat wants both a flag and a number.
fn set_logprobs(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let include = take_array(request, "include", "include")?;
    let top = take(request, "top_logprobs");
    if include.iter().any(|what| what == "message.output_text.logprobs")
        || top.as_ref().is_some_and(|top| top.as_u64() != Some(0))
    {
        set.insert("logprobs".into(), true.into());
        set.insert("top_logprobs".into(), top.unwrap_or_else(|| 0.into()));
    }
    Ok(())
}

/// vLLM's own Responses endpoint does the same with `truncation`: it shortens the prompt to what fits.
fn set_truncation(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    match take(request, "truncation") {
        None => Ok(()),
        Some(Value::String(how)) if how == "disabled" => Ok(()),
        Some(Value::String(how)) if how == "auto" => {
            set.insert("truncate_prompt_tokens".into(), (-1).into());
            Ok(())
        }
        Some(other) => {
            let other = if other.is_string() { other.to_string() } else { type_of(&other).to_owned() };
            Err(invalid("truncation", format!("`truncation` must be auto or disabled, not {other}.")))
        }
    }
}
