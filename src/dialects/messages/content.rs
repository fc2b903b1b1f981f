//! The content blocks of a Messages request as chat messages.

use serde_json::Value;

use crate::dialects::ask::{
    Members, array, as_text, flag, image_part, invalid, kind, object, peek, required, take, unsupported,
};
use crate::dialects::history::{History, Part};
use crate::openai::ApiError;

/// A block that Claude Code sends in front. It differs in every request, and would spoil the engine's prefix cache.
const BILLING: &str = "x-anthropic-billing-header";

/// The system prompt: a text, or text blocks.
pub(super) fn system(content: Value, param: &str, history: &mut History) -> Result<(), ApiError> {
    for (mut block, param) in blocks(content, param)? {
        match peek(&block, "type") {
            Some("text") => {
                let text = required(&mut block, "text", &param)?;
                if !text.is_empty() && !text.starts_with(BILLING) {
                    history.system(text);
                }
            }
            _ => return Err(foreign(&block, &param, "a system prompt holds text blocks")),
        }
    }
    Ok(())
}

/// One turn.
pub(super) fn message(mut message: Members, param: &str, history: &mut History) -> Result<(), ApiError> {
    let role = required(&mut message, "role", param)?;
    let path = format!("{param}.content");
    let content =
        take(&mut message, "content").ok_or_else(|| invalid(path.clone(), format!("`{path}` is missing.")))?;
    match role.as_str() {
        "user" => user(blocks(content, &path)?, history),
        "assistant" => assistant(blocks(content, &path)?, history),
        "system" => system(content, &path, history),
        other => {
            Err(invalid(format!("{param}.role"), format!("`{param}.role` is user or assistant, not \"{other}\".")))
        }
    }
}

/// Results first, in messages of their own: chat wants them right after the calls.
fn user(blocks: Vec<(Members, String)>, history: &mut History) -> Result<(), ApiError> {
    let mut said = Vec::new();
    for (mut block, param) in blocks {
        if peek(&block, "type") == Some("tool_result") {
            let id = required(&mut block, "tool_use_id", &param)?;
            let failed = flag(&block, "is_error")?;
            let mut parts = match take(&mut block, "content") {
                None => Vec::new(),
                Some(content) => self::parts(content, &format!("{param}.content"))?,
            };
            if failed {
                tell_failure(&mut parts);
            }
            history.result(&id, parts);
        } else {
            said.push(part(block, &param)?);
        }
    }
    history.user(said);
    Ok(())
}

fn assistant(blocks: Vec<(Members, String)>, history: &mut History) -> Result<(), ApiError> {
    let mut said = String::new();
    let mut calls = Vec::new();
    for (mut block, param) in blocks {
        match peek(&block, "type") {
            Some("text") => said.push_str(&required(&mut block, "text", &param)?),
            Some("thinking") => history.thought(&required(&mut block, "thinking", &param)?),
            // Nobody but Anthropic can read it.
            Some("redacted_thinking") => {}
            Some("tool_use") => {
                let (id, name) = (required(&mut block, "id", &param)?, required(&mut block, "name", &param)?);
                // An input that is a text was the model's own, which was not JSON (see the writer).
                let arguments = take(&mut block, "input").map_or_else(|| "{}".to_owned(), as_text);
                calls.push((id, name, arguments));
            }
            _ => {
                let known = "the assistant's turn holds text, thinking and tool_use blocks";
                return Err(foreign(&block, &param, known));
            }
        }
    }
    if !said.is_empty() {
        history.said(&said);
    }
    for (id, name, arguments) in calls {
        history.called(&id, &name, &arguments);
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
        Value::Array(_) => array(content, param)?
            .into_iter()
            .enumerate()
            .map(|(at, block)| {
                let param = format!("{param}[{at}]");
                Ok((object(block, &param)?, param))
            })
            .collect(),
        other => Err(invalid(param, format!("`{param}` is a text or a list of blocks, not {}.", kind(&other)))),
    }
}

fn parts(content: Value, param: &str) -> Result<Vec<Part>, ApiError> {
    blocks(content, param)?.into_iter().map(|(block, param)| part(block, &param)).collect()
}

/// A block that the user or a tool says.
fn part(mut block: Members, param: &str) -> Result<Part, ApiError> {
    match peek(&block, "type") {
        Some("text") => Ok(Part::Text(required(&mut block, "text", param)?)),
        Some("image") => image(&mut block, param),
        Some("document") => document(&mut block, param),
        _ => Err(foreign(&block, param, "an engine reads text and image blocks")),
    }
}

fn source(block: &mut Members, param: &str) -> Result<Members, ApiError> {
    let path = format!("{param}.source");
    object(take(block, "source").unwrap_or_default(), &path)
}

fn image(block: &mut Members, param: &str) -> Result<Part, ApiError> {
    let mut source = source(block, param)?;
    let path = format!("{param}.source");
    match peek(&source, "type") {
        Some("base64") => {
            let (kind, data) = (required(&mut source, "media_type", &path)?, required(&mut source, "data", &path)?);
            Ok(Part::Other(image_part(&format!("data:{kind};base64,{data}"), None)))
        }
        Some("url") => Ok(Part::Other(image_part(&required(&mut source, "url", &path)?, None))),
        Some(kind) => Err(unsupported(
            format!("{path}.type"),
            format!("`{param}` is an image from a {kind}; none are stored here. Send its base64 or its url."),
        )),
        None => Err(invalid(format!("{path}.type"), format!("`{path}.type` is missing."))),
    }
}

/// A document that is text can be read.
fn document(block: &mut Members, param: &str) -> Result<Part, ApiError> {
    let mut source = source(block, param)?;
    match peek(&source, "type") {
        Some("text") => Ok(Part::Text(required(&mut source, "data", &format!("{param}.source"))?)),
        kind => {
            let kind = kind.unwrap_or("unknown");
            Err(unsupported(
                format!("{param}.source.type"),
                format!("`{param}` is a document from {kind}; an engine reads text and images. Send its text."),
            ))
        }
    }
}

/// Chat has no flag for a call that failed: its text says so.
fn tell_failure(parts: &mut Vec<Part>) {
    match parts.first_mut() {
        Some(Part::Text(text)) if text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error")) => {}
        Some(Part::Text(text)) => text.insert_str(0, "Error: "),
        _ => parts.insert(0, Part::Text("Error: the tool failed.".to_owned())),
    }
}

fn foreign(block: &Members, param: &str, known: &str) -> ApiError {
    match peek(block, "type") {
        Some(kind) => {
            unsupported(format!("{param}.type"), format!("`{param}` is a block of type {kind}; {known} here."))
        }
        None => invalid(format!("{param}.type"), format!("`{param}.type` is missing.")),
    }
}
