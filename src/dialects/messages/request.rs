//! A Messages request as a chat request.

use serde_json::{Value, json};

use super::content;
use super::writer::Writer;
use crate::dialects::ask::{
    Members, array, choose, flag, function, invalid, object, peek, required, schema_format, take, unsupported,
};
use crate::dialects::history::History;
use crate::openai::ApiError;

/// Members that an engine has no use for.
const KEPT_BACK: [&str; 10] = [
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

/// The chat request for `asked`, and who tells its answer.
pub(in crate::dialects) fn to_chat(mut asked: Members) -> Result<(Members, Writer), ApiError> {
    for name in ["mcp_servers", "container"] {
        if asked.get(name).is_some_and(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
        {
            return Err(unsupported(
                name,
                format!("`{name}` is not supported: nothing runs tools here but the caller."),
            ));
        }
    }
    let model = peek(&asked, "model").unwrap_or_default().to_owned();
    let mut set = Members::new();
    put_messages(&mut asked, &mut set)?;
    put_tools(&mut asked, &mut set)?;
    put_thinking(take(&mut asked, "thinking"), take(&mut asked, "chat_template_kwargs"), &mut set)?;
    put_output(&mut asked, &mut set)?;
    if let Some(stop) = take(&mut asked, "stop_sequences") {
        set.insert("stop".into(), array(stop, "stop_sequences")?.into());
    }
    if let Some(metadata) = take(&mut asked, "metadata")
        && let Some(user) = take(&mut object(metadata, "metadata")?, "user_id")
    {
        set.insert("user".into(), user);
    }
    if asked.get("stream").and_then(Value::as_bool) == Some(true) {
        // The first event tells the prompt's tokens: vLLM sends them with the first chunk only when asked for usage in each.
        set.insert("stream_options".into(), json!({ "include_usage": true, "continuous_usage_stats": true }));
    }
    asked.retain(|name, _| !KEPT_BACK.contains(&name.as_str()));
    asked.extend(set);
    Ok((asked, Writer::new(model)))
}

fn put_messages(asked: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut history = History::default();
    if let Some(system) = take(asked, "system") {
        content::system(system, "system", &mut history)?;
    }
    let messages = take(asked, "messages")
        .ok_or_else(|| invalid("messages", "`messages` is missing: the list of what was said so far."))?;
    for (at, message) in array(messages, "messages")?.into_iter().enumerate() {
        let param = format!("messages[{at}]");
        content::message(object(message, &param)?, &param, &mut history)?;
    }
    let (messages, open) = history.finish();
    set.insert("messages".into(), messages.into());
    if open && !asked.contains_key("continue_final_message") {
        // The caller began the answer: the model goes on with it instead of starting its own.
        set.insert("add_generation_prompt".into(), false.into());
        set.insert("continue_final_message".into(), true.into());
    }
    Ok(())
}

fn put_tools(asked: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut tools = Vec::new();
    let listed = take(asked, "tools").map(|tools| array(tools, "tools")).transpose()?.unwrap_or_default();
    for (at, tool) in listed.into_iter().enumerate() {
        tools.push(read_tool(tool, &format!("tools[{at}]"))?);
    }
    let choice = take(asked, "tool_choice").map(|choice| object(choice, "tool_choice")).transpose()?;
    let mut parallel = true;
    let choice = match choice {
        None => None,
        Some(mut choice) => {
            parallel = !flag(&choice, "disable_parallel_tool_use")?;
            Some(match peek(&choice, "type") {
                Some("auto") => "auto".into(),
                Some("any") => "required".into(),
                Some("none") => "none".into(),
                Some("tool") => {
                    let name = required(&mut choice, "name", "tool_choice")?;
                    if !tools.iter().any(|tool: &Value| tool["function"]["name"] == name.as_str()) {
                        let message =
                            format!("`tool_choice.name` is \"{name}\", and no tool in `tools` has that name.");
                        return Err(invalid("tool_choice.name", message));
                    }
                    choose(&name)
                }
                _ => return Err(invalid("tool_choice.type", "`tool_choice.type` must be auto, any, tool or none.")),
            })
        }
    };
    if tools.is_empty() {
        if choice.as_ref().is_some_and(|choice: &Value| choice == "required") {
            return Err(invalid("tool_choice", "`tool_choice` wants a tool called, and `tools` lists none."));
        }
        return Ok(());
    }
    set.insert("tools".into(), tools.into());
    if let Some(choice) = choice {
        set.insert("tool_choice".into(), choice);
    }
    if !parallel {
        set.insert("parallel_tool_calls".into(), false.into());
    }
    Ok(())
}

fn read_tool(tool: Value, param: &str) -> Result<Value, ApiError> {
    let mut tool = object(tool, param)?;
    if let Some(kind) = peek(&tool, "type").filter(|kind| *kind != "custom") {
        return Err(unsupported(
            format!("{param}.type"),
            format!(
                "`{param}` is a tool of type {kind}, which Anthropic defines or runs; this endpoint offers tools with an \
                 `input_schema` only."
            ),
        ));
    }
    let name = required(&mut tool, "name", param)?;
    let [description, schema, strict] = ["description", "input_schema", "strict"].map(|key| take(&mut tool, key));
    if schema.is_none() {
        return Err(invalid(format!("{param}.input_schema"), format!("`{param}.input_schema` is missing.")));
    }
    Ok(function(name, description, schema, strict))
}

/// Thinking is a matter of the chat template: `enable_thinking` (Qwen, GLM, …) or `thinking` (DeepSeek, Granite, …). vLLM
/// gives a template only the arguments it knows. What the caller set himself stays.
fn put_thinking(thinking: Option<Value>, kwargs: Option<Value>, set: &mut Members) -> Result<(), ApiError> {
    let on = match thinking.map(|thinking| object(thinking, "thinking")).transpose()? {
        None => None,
        Some(thinking) => match peek(&thinking, "type") {
            Some("enabled" | "adaptive") => Some(true),
            Some("disabled") => Some(false),
            _ => return Err(invalid("thinking.type", "`thinking.type` must be enabled, adaptive or disabled.")),
        },
    };
    let given = kwargs.map(|kwargs| object(kwargs, "chat_template_kwargs")).transpose()?;
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
fn put_output(asked: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut config = take(asked, "output_config").map(|config| object(config, "output_config")).transpose()?;
    let old = take(asked, "output_format");
    if let Some(effort) = config.as_mut().and_then(|config| take(config, "effort")) {
        set.insert("reasoning_effort".into(), effort);
    }
    let Some(format) = config.as_mut().and_then(|config| take(config, "format")).or(old) else { return Ok(()) };
    let mut format = object(format, "output_config.format")?;
    if peek(&format, "type") != Some("json_schema") {
        return Err(invalid("output_config.format.type", "`output_config.format.type` must be json_schema."));
    }
    let schema = take(&mut format, "schema")
        .ok_or_else(|| invalid("output_config.format.schema", "`output_config.format.schema` is missing."))?;
    let strict = [("strict", Some(true.into())), ("description", None)];
    set.insert("response_format".into(), schema_format("output".into(), Some(schema), strict));
    Ok(())
}
