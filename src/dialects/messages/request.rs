//! A Messages request as a chat request.

use serde_json::{Value, json};

use super::content;
use super::writer::Writer;
use crate::dialects::chat::{choice_of, function_tool, has_function, schema_format};
use crate::dialects::conversation::Conversation;
use crate::dialects::members::{
    Members, array, flag, invalid, missing, object, objects, peek, required, take, take_array, take_object, unsupported,
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
pub(in crate::dialects) fn to_chat(mut request: Members) -> Result<(Members, Writer), ApiError> {
    for name in ["mcp_servers", "container"] {
        if request.get(name).is_some_and(|value| !value.is_null() && *value != json!([])) {
            let message = format!("`{name}` is not supported: only the client runs tools.");
            return Err(unsupported(name, message));
        }
    }
    let model = peek(&request, "model").unwrap_or_default().to_owned();
    let mut set = Members::new();
    set_messages(&mut request, &mut set)?;
    set_tools(&mut request, &mut set)?;
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
    Ok((request, Writer::new(model)))
}

fn set_messages(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut conversation = Conversation::default();
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

fn set_tools(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let listed = objects(take_array(request, "tools", "tools")?, "tools");
    let tools: Vec<Value> = listed.map(|tool| tool.and_then(read_tool)).collect::<Result<_, _>>()?;
    let choice = take_object(request, "tool_choice")?;
    let parallel = choice.as_ref().map(|choice| flag(choice, "disable_parallel_tool_use")).transpose()? != Some(true);
    let choice = choice.map(|choice| read_choice(choice, &tools)).transpose()?;
    if tools.is_empty() {
        if choice.is_some_and(|choice| choice == "required") {
            return Err(invalid("tool_choice", "`tool_choice` demands a tool call, but `tools` is empty."));
        }
        return Ok(());
    }
    set.insert("tools".into(), tools.into());
    set.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
    if !parallel {
        set.insert("parallel_tool_calls".into(), false.into());
    }
    Ok(())
}

fn read_tool((mut tool, param): (Members, String)) -> Result<Value, ApiError> {
    if let Some(kind) = peek(&tool, "type").filter(|kind| *kind != "custom") {
        return Err(unsupported(
            format!("{param}.type"),
            format!(
                "`{param}` is a tool of type {kind}, which Anthropic defines or runs. This endpoint supports only tools \
                 with an `input_schema`."
            ),
        ));
    }
    let name = required(&mut tool, "name", &param)?;
    let [description, schema, strict] = ["description", "input_schema", "strict"].map(|key| take(&mut tool, key));
    if schema.is_none() {
        return Err(missing(format!("{param}.input_schema")));
    }
    Ok(function_tool(name, description, schema, strict))
}

fn read_choice(mut choice: Members, tools: &[Value]) -> Result<Value, ApiError> {
    Ok(match peek(&choice, "type") {
        Some("auto") => "auto".into(),
        Some("any") => "required".into(),
        Some("none") => "none".into(),
        Some("tool") => {
            let name = required(&mut choice, "name", "tool_choice")?;
            if !has_function(tools, &name) {
                let message = format!("`tool_choice.name` is \"{name}\", but no tool in `tools` has that name.");
                return Err(invalid("tool_choice.name", message));
            }
            choice_of(&name)
        }
        _ => return Err(invalid("tool_choice.type", "`tool_choice.type` must be auto, any, tool or none.")),
    })
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
