//! A Messages request as a chat request.

use serde_json::{Value, json};

use super::content;
use super::tools::Tools;
use super::writer::Writer;
use crate::config::LateSystem;
use crate::dialects::chat::{ChatRequest, schema_format};
use crate::dialects::conversation::Conversation;
use crate::dialects::members::{
    Members, array, invalid, missing, object, objects, peek, take, take_object, unsupported,
};
use crate::openai::ApiError;

/// Members that an engine has no use for.
const NOT_FORWARDED: [&str; 10] = [
    "betas",
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "n",
    "service_tier",
    "speed",
    "stream_options",
];

/// The chat request for a Messages request, and the writer of its answer.
pub(in crate::dialects) fn to_chat(
    mut request: Members,
    late_system: LateSystem,
) -> Result<ChatRequest<Writer>, ApiError> {
    if request.get("container").is_some_and(|value| !value.is_null()) {
        return Err(unsupported("container", "`container` is not supported: no container is kept here."));
    }
    let model = peek(&request, "model").unwrap_or_default().to_owned();
    let mut set = Members::new();
    set_messages(&mut request, &mut set, late_system)?;
    let dropped = Tools::take(&mut request)?.set(&mut request, &mut set)?;
    set_thinking(&mut request, &mut set)?;
    set_output(&mut request, &mut set)?;
    if let Some(stop) = take(&mut request, "stop_sequences") {
        set.insert("stop".into(), array(stop, "stop_sequences")?.into());
    }
    if let Some(mut metadata) = take_object(&mut request, "metadata")?
        && let Some(user) = take(&mut metadata, "user_id")
    {
        set.insert("user".into(), user);
    }
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        // The first event has the prompt's tokens: vLLM sends them with the first chunk only if asked for usage in each.
        set.insert("stream_options".into(), json!({ "include_usage": true, "continuous_usage_stats": true }));
    }
    request.retain(|name, _| !NOT_FORWARDED.contains(&name.as_str()));
    request.extend(set);
    Ok(ChatRequest { members: request, writer: Writer::new(model), dropped })
}

fn set_messages(request: &mut Members, set: &mut Members, late_system: LateSystem) -> Result<(), ApiError> {
    let mut conversation = Conversation::new(late_system);
    if let Some(system) = take(request, "system") {
        content::add_system(system, "system", &mut conversation)?;
    }
    let messages = take(request, "messages")
        .ok_or_else(|| invalid("messages", "`messages` is missing: the conversation so far."))?;
    for message in objects(array(messages, "messages")?, "messages") {
        let (message, param) = message?;
        content::add_message(message, &param, &mut conversation)?;
    }
    let (messages, open) = conversation.finish();
    set.insert("messages".into(), messages.into());
    if open && !request.contains_key("continue_final_message") {
        // The client began the answer: the model continues it instead of starting its own.
        set.insert("add_generation_prompt".into(), false.into());
        set.insert("continue_final_message".into(), true.into());
    }
    Ok(())
}

/// Thinking is a matter of the chat template: `enable_thinking` (Qwen, GLM, …) or `thinking` (DeepSeek, Granite, …). vLLM
/// gives a template only the arguments it knows. What the client set itself stays.
fn set_thinking(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let on = match take_object(request, "thinking")? {
        None => None,
        Some(thinking) => match peek(&thinking, "type") {
            Some("enabled" | "adaptive") => Some(true),
            Some("disabled") => Some(false),
            _ => return Err(invalid("thinking.type", "`thinking.type` must be enabled, adaptive or disabled.")),
        },
    };
    let given = take_object(request, "chat_template_kwargs")?;
    if on.is_none() && given.is_none() {
        return Ok(());
    }
    let mut kwargs = given.unwrap_or_default();
    if let Some(on) = on
        && !kwargs.contains_key("enable_thinking")
        && !kwargs.contains_key("thinking")
    {
        kwargs.insert("enable_thinking".into(), on.into());
        kwargs.insert("thinking".into(), on.into());
    }
    set.insert("chat_template_kwargs".into(), kwargs.into());
    Ok(())
}

/// `output_config`, and `output_format` as its beta was called.
fn set_output(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut config = take_object(request, "output_config")?.unwrap_or_default();
    let old_format = take(request, "output_format");
    set.extend(take(&mut config, "effort").map(|effort| ("reasoning_effort".to_owned(), effort)));
    let Some(format) = take(&mut config, "format").or(old_format) else { return Ok(()) };
    let mut format = object(format, "output_config.format")?;
    if peek(&format, "type") != Some("json_schema") {
        return Err(invalid("output_config.format.type", "`output_config.format.type` must be json_schema."));
    }
    let schema = take(&mut format, "schema").ok_or_else(|| missing("output_config.format.schema"))?;
    let rest = [("schema", Some(schema)), ("strict", Some(true.into())), ("description", None)];
    set.insert("response_format".into(), schema_format("output".into(), rest));
    Ok(())
}
