//! A Responses request as a chat request.

use serde_json::{Value, json};

use super::sheet::Sheet;
use super::writer::Writer;
use super::{input, tools};
use crate::dialects::ask::{Members, array, invalid, kind, object, peek, schema_format, take, text, unsupported};
use crate::openai::ApiError;

/// Members that an engine has no use for. The response repeats those that it has a place for.
const KEPT_BACK: [&str; 17] = [
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

/// The chat request for `asked`, and who tells its answer.
pub(in crate::dialects) fn to_chat(mut asked: Members) -> Result<(Members, Writer), ApiError> {
    refuse_memory(&asked)?;
    let sheet = Sheet::of(&asked);
    let mut set = Members::new();
    set.insert("messages".into(), input::messages(take(&mut asked, "instructions"), take(&mut asked, "input"))?.into());
    if let Some(limit) = take(&mut asked, "max_output_tokens") {
        set.insert("max_tokens".into(), limit);
    }
    tools::put(&mut asked, &mut set)?;
    put_format(take(&mut asked, "text"), &mut set)?;
    put_reasoning(take(&mut asked, "reasoning"), &mut set)?;
    put_logprobs(&mut asked, &mut set)?;
    put_truncation(take(&mut asked, "truncation"), &mut set)?;
    if asked.get("stream").and_then(Value::as_bool) == Some(true) {
        set.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    // The caller's own members first, in their order; ours replace what they name.
    asked.retain(|name, _| !KEPT_BACK.contains(&name.as_str()));
    asked.extend(set);
    Ok((asked, Writer::new(sheet)))
}

/// Refuses what needs a memory of earlier responses.
fn refuse_memory(asked: &Members) -> Result<(), ApiError> {
    let given = |name: &str| asked.get(name).is_some_and(|value| !value.is_null());
    for (name, instead) in [
        ("previous_response_id", "Send the earlier items in `input` instead."),
        ("conversation", "Send the conversation's items in `input` instead."),
        ("prompt", "Send the prompt's text in `instructions` and `input` instead."),
    ] {
        if given(name) {
            return Err(unsupported(
                name,
                format!("`{name}` is not supported: no response or prompt is stored here. {instead}"),
            ));
        }
    }
    match asked.get("background") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(_) => Err(unsupported(
            "background",
            "`background` is not supported: no response is stored here to be fetched later. Use `stream` instead.",
        )),
    }
}

/// `text.format` is chat's `response_format`.
fn put_format(asked: Option<Value>, set: &mut Members) -> Result<(), ApiError> {
    let Some(asked) = asked else { return Ok(()) };
    let Some(format) = take(&mut object(asked, "text")?, "format") else { return Ok(()) };
    let mut format = object(format, "text.format")?;
    let response_format = match peek(&format, "type") {
        Some("text") => return Ok(()),
        Some("json_object") => json!({ "type": "json_object" }),
        Some("json_schema") => {
            let name = take(&mut format, "name")
                .ok_or_else(|| invalid("text.format.name", "`text.format.name` is missing: a schema needs a name."))?;
            let schema = take(&mut format, "schema")
                .ok_or_else(|| invalid("text.format.schema", "`text.format.schema` is missing."))?;
            let rest = ["description", "strict"].map(|key| (key, take(&mut format, key)));
            schema_format(name, Some(schema), rest)
        }
        other => {
            let other = other.unwrap_or("nothing");
            return Err(unsupported(
                "text.format.type",
                format!("`text.format.type` is {other}; this endpoint knows text, json_object and json_schema."),
            ));
        }
    };
    set.insert("response_format".into(), response_format);
    Ok(())
}

/// `reasoning.effort` is chat's `reasoning_effort`. A summary is not made: the thoughts themselves are given.
fn put_reasoning(asked: Option<Value>, set: &mut Members) -> Result<(), ApiError> {
    let Some(asked) = asked else { return Ok(()) };
    if let Some(effort) = take(&mut object(asked, "reasoning")?, "effort") {
        set.insert("reasoning_effort".into(), text(effort, "reasoning.effort")?.into());
    }
    Ok(())
}

/// Chat wants both a flag and a number.
fn put_logprobs(asked: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let include = take(asked, "include").map(|include| array(include, "include")).transpose()?.unwrap_or_default();
    let top = take(asked, "top_logprobs");
    if include.iter().any(|what| what == "message.output_text.logprobs")
        || top.as_ref().is_some_and(|top| top.as_u64() != Some(0))
    {
        set.insert("logprobs".into(), true.into());
        set.insert("top_logprobs".into(), top.unwrap_or_else(|| 0.into()));
    }
    Ok(())
}

/// What vLLM's own Responses endpoint makes of `truncation`: a prompt cut to what fits.
fn put_truncation(asked: Option<Value>, set: &mut Members) -> Result<(), ApiError> {
    match asked {
        None => Ok(()),
        Some(Value::String(how)) if how == "disabled" => Ok(()),
        Some(Value::String(how)) if how == "auto" => {
            set.insert("truncate_prompt_tokens".into(), (-1).into());
            Ok(())
        }
        Some(other) => {
            let other = if other.is_string() { other.to_string() } else { kind(&other).to_owned() };
            Err(invalid("truncation", format!("`truncation` is auto or disabled, not {other}.")))
        }
    }
}
