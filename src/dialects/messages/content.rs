//! The content blocks of a Messages request as chat messages.

use serde_json::Value;

use crate::dialects::chat::image_part;
use crate::dialects::conversation::{Conversation, Part};
use crate::dialects::members::{
    Members, array, as_text, flag, invalid, missing, object, objects, peek, required, take, type_of, unsupported,
};
use crate::openai::ApiError;

/// The start of a block that Claude Code sends first. It differs in every request, and would spoil the engine's prefix cache.
const BILLING: &str = "x-anthropic-billing-header";

/// Adds the system prompt: a text, or text blocks.
pub(super) fn add_system(content: Value, param: &str, conversation: &mut Conversation) -> Result<(), ApiError> {
    for (mut block, param) in blocks(content, param)? {
        if peek(&block, "type") != Some("text") {
            return Err(unknown_block(&block, &param, "a system prompt takes text blocks only"));
        }
        let text = required(&mut block, "text", &param)?;
        if !text.is_empty() && !text.starts_with(BILLING) {
            conversation.add_system(text);
        }
    }
    Ok(())
}

/// Adds one message.
pub(super) fn add_message(mut message: Members, param: &str, conversation: &mut Conversation) -> Result<(), ApiError> {
    let role = required(&mut message, "role", param)?;
    let path = format!("{param}.content");
    let content = take(&mut message, "content").ok_or_else(|| missing(path.clone()))?;
    match role.as_str() {
        "user" => add_user(blocks(content, &path)?, conversation),
        "assistant" => add_assistant(blocks(content, &path)?, conversation),
        "system" => add_system(content, &path, conversation),
        other => {
            Err(invalid(format!("{param}.role"), format!("`{param}.role` must be user or assistant, not \"{other}\".")))
        }
    }
}

/// Results first, in messages of their own: chat wants them right after the calls.
fn add_user(blocks: Vec<(Members, String)>, conversation: &mut Conversation) -> Result<(), ApiError> {
    let mut rest = Vec::new();
    for (mut block, param) in blocks {
        if peek(&block, "type") == Some("tool_result") {
            let id = required(&mut block, "tool_use_id", &param)?;
            let failed = flag(&block, "is_error")?;
            let content = take(&mut block, "content").unwrap_or_else(|| Value::Array(Vec::new()));
            let content = self::blocks(content, &format!("{param}.content"))?;
            let mut parts = content.into_iter().map(|(block, param)| part(block, &param)).collect::<Result<_, _>>()?;
            if failed {
                mark_failed(&mut parts);
            }
            conversation.add_result(&id, parts);
        } else {
            rest.push(part(block, &param)?);
        }
    }
    conversation.add_user(rest);
    Ok(())
}

fn add_assistant(blocks: Vec<(Members, String)>, conversation: &mut Conversation) -> Result<(), ApiError> {
    let mut text = String::new();
    let mut calls = Vec::new();
    for (mut block, param) in blocks {
        match peek(&block, "type") {
            Some("text") => text.push_str(&required(&mut block, "text", &param)?),
            Some("thinking") => conversation.add_reasoning(&required(&mut block, "thinking", &param)?),
            // Only Anthropic can read it.
            Some("redacted_thinking") => {}
            // What Anthropic ran. No engine can read it, and the conversation goes on without it.
            Some("server_tool_use" | "mcp_tool_use" | "container_upload") => {}
            Some(kind) if kind.ends_with("_tool_result") => {}
            Some("tool_use") => {
                let (id, name) = (required(&mut block, "id", &param)?, required(&mut block, "name", &param)?);
                // An input that is a string is what a model wrote and was not JSON (see the writer).
                let arguments = take(&mut block, "input").map_or_else(|| "{}".to_owned(), as_text);
                calls.push((id, name, arguments));
            }
            _ => {
                let known = "an assistant message takes text, thinking and tool_use blocks only";
                return Err(unknown_block(&block, &param, known));
            }
        }
    }
    if !text.is_empty() {
        conversation.add_text(&text);
    }
    for (id, name, arguments) in calls {
        conversation.add_call(&id, &name, &arguments);
    }
    Ok(())
}

/// The blocks of a content, each with its path; a text is one text block.
fn blocks(content: Value, param: &str) -> Result<Vec<(Members, String)>, ApiError> {
    match content {
        Value::String(text) => {
            let block = [("type".to_owned(), Value::from("text")), ("text".to_owned(), text.into())];
            Ok(vec![(block.into_iter().collect(), param.to_owned())])
        }
        Value::Array(_) => objects(array(content, param)?, param).collect(),
        other => {
            Err(invalid(param, format!("`{param}` must be a string or an array of blocks, not {}.", type_of(&other))))
        }
    }
}

/// A block of the user or of a tool.
fn part(mut block: Members, param: &str) -> Result<Part, ApiError> {
    match peek(&block, "type") {
        Some("text") => Ok(Part::Text(required(&mut block, "text", param)?)),
        Some("image") => image(&mut block, param),
        Some("document") => document(&mut block, param),
        _ => Err(unknown_block(&block, param, "engines read text and images only")),
    }
}

fn image(block: &mut Members, param: &str) -> Result<Part, ApiError> {
    let path = format!("{param}.source");
    let mut source = object(take(block, "source").unwrap_or_default(), &path)?;
    let url = match peek(&source, "type") {
        Some("base64") => {
            let media_type = required(&mut source, "media_type", &path)?;
            format!("data:{media_type};base64,{}", required(&mut source, "data", &path)?)
        }
        Some("url") => required(&mut source, "url", &path)?,
        Some(kind) => {
            return Err(unsupported(
                format!("{path}.type"),
                format!(
                    "`{param}` is an image from a {kind}, and none are stored here. Send its base64 data or its URL."
                ),
            ));
        }
        None => return Err(missing(format!("{path}.type"))),
    };
    Ok(Part::Other(image_part(&url, None)))
}

/// A document that is text can be read.
fn document(block: &mut Members, param: &str) -> Result<Part, ApiError> {
    let path = format!("{param}.source");
    let mut source = object(take(block, "source").unwrap_or_default(), &path)?;
    match peek(&source, "type") {
        Some("text") => Ok(Part::Text(required(&mut source, "data", &path)?)),
        kind => {
            let kind = kind.unwrap_or("unknown");
            Err(unsupported(
                format!("{path}.type"),
                format!("`{param}` is a document from {kind}; engines read text and images only. Send its text."),
            ))
        }
    }
}

/// Chat has no flag for a call that failed: its text says so.
fn mark_failed(parts: &mut Vec<Part>) {
    match parts.first_mut() {
        Some(Part::Text(text)) if text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error")) => {}
        Some(Part::Text(text)) => text.insert_str(0, "Error: "),
        _ => parts.insert(0, Part::Text("Error: the tool failed.".to_owned())),
    }
}

fn unknown_block(block: &Members, param: &str, known: &str) -> ApiError {
    let path = format!("{param}.type");
    match peek(block, "type") {
        Some(kind) => unsupported(path, format!("`{param}` is a block of type {kind}, but {known}.")),
        None => missing(path),
    }
}
