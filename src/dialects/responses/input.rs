//! The input of a Responses request, a text or items, as chat messages.

use serde_json::{Value, json};

use crate::dialects::chat::image_part;
use crate::dialects::conversation::{Conversation, Part};
use crate::dialects::members::{
    Members, as_text, invalid, missing, objects, peek, required, take, take_array, text, type_of, unsupported,
};
use crate::openai::ApiError;

/// Chat's messages for `instructions` and `input`.
pub(super) fn messages(instructions: Option<Value>, input: Option<Value>) -> Result<Vec<Value>, ApiError> {
    let mut conversation = Conversation::default();
    if let Some(instructions) = instructions {
        let instructions = text(instructions, "instructions")?;
        if !instructions.is_empty() {
            conversation.add_system(instructions);
        }
    }
    match input {
        None => return Err(invalid("input", "`input` is missing: a string, or an array of items.")),
        Some(Value::String(text)) => conversation.add_user(vec![Part::Text(text)]),
        Some(Value::Array(items)) => {
            for item in objects(items, "input") {
                let (item, param) = item?;
                add_item(item, &param, &mut conversation)?;
            }
        }
        Some(other) => {
            return Err(invalid(
                "input",
                format!("`input` must be a string or an array of items, not {}.", type_of(&other)),
            ));
        }
    }
    Ok(conversation.finish().0)
}

fn add_item(mut item: Members, param: &str, conversation: &mut Conversation) -> Result<(), ApiError> {
    match peek(&item, "type") {
        Some("message") => return add_message(item, param, conversation),
        None if item.contains_key("role") => return add_message(item, param, conversation),
        Some("reasoning") => {
            let content = texts(&mut item, "content", param)?;
            let summary = if content.is_empty() { texts(&mut item, "summary", param)? } else { content };
            conversation.add_reasoning(&summary);
        }
        Some("function_call") => {
            let (id, name) = (required(&mut item, "call_id", param)?, required(&mut item, "name", param)?);
            let arguments = take(&mut item, "arguments").map(as_text).unwrap_or_default();
            conversation.add_call(&id, &name, &arguments);
        }
        Some("function_call_output") => {
            let id = required(&mut item, "call_id", param)?;
            let output = take(&mut item, "output").unwrap_or_default();
            conversation.add_result(&id, parts(output, &format!("{param}.output"))?);
        }
        Some("item_reference") => {
            return Err(unsupported(
                format!("{param}.type"),
                format!(
                    "`{param}` refers to an item of an earlier response, and none is stored here. Send the item itself."
                ),
            ));
        }
        Some(kind) => {
            return Err(unsupported(
                format!("{param}.type"),
                format!(
                    "`{param}` is of type {kind}, which a chat engine cannot read. Supported are message, reasoning, \
                     function_call and function_call_output."
                ),
            ));
        }
        None => return Err(invalid(param, format!("`{param}` has neither `type` nor `role`."))),
    }
    Ok(())
}

fn add_message(mut item: Members, param: &str, conversation: &mut Conversation) -> Result<(), ApiError> {
    let role = required(&mut item, "role", param)?;
    let parts = parts(take(&mut item, "content").unwrap_or_default(), &format!("{param}.content"))?;
    match role.as_str() {
        "user" => conversation.add_user(parts),
        // Templates of open models know one role for instructions.
        "system" | "developer" => conversation.add_system(only_text(parts, &role, param)?),
        "assistant" => conversation.add_text(&only_text(parts, &role, param)?),
        other => {
            let message = if other == "tool" {
                format!(
                    "`{param}` has the role tool of Chat Completions; in the Responses API a result is a function_call_output item."
                )
            } else {
                format!("`{param}.role` must be user, assistant, system or developer, not \"{other}\".")
            };
            return Err(invalid(format!("{param}.role"), message));
        }
    }
    Ok(())
}

fn only_text(parts: Vec<Part>, role: &str, param: &str) -> Result<String, ApiError> {
    let text = |part| match part {
        Part::Text(text) => Ok(text),
        Part::Other(_) => Err(unsupported(
            format!("{param}.content"),
            format!("`{param}` has the role {role}, whose content must be text only."),
        )),
    };
    parts.into_iter().map(text).collect()
}

/// The texts in the list `name` of a reasoning item.
fn texts(item: &mut Members, name: &str, param: &str) -> Result<String, ApiError> {
    let list = take_array(item, name, &format!("{param}.{name}"))?;
    Ok(list.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"))
}

fn parts(content: Value, param: &str) -> Result<Vec<Part>, ApiError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text)]),
        Value::Array(list) => objects(list, param).map(|part| part.and_then(read_part)).collect(),
        other => {
            Err(invalid(param, format!("`{param}` must be a string or an array of parts, not {}.", type_of(&other))))
        }
    }
}

fn read_part((mut part, param): (Members, String)) -> Result<Part, ApiError> {
    let path = format!("{param}.type");
    match peek(&part, "type") {
        Some("input_text" | "output_text" | "text" | "reasoning_text") => {
            Ok(Part::Text(required(&mut part, "text", &param)?))
        }
        Some("refusal") => Ok(Part::Text(required(&mut part, "refusal", &param)?)),
        Some("input_image") => image(part, &param),
        // Chat's part has the same shape.
        Some("input_audio") if part.contains_key("input_audio") => {
            Ok(Part::Other(json!({ "type": "input_audio", "input_audio": take(&mut part, "input_audio") })))
        }
        Some("input_file") => Err(unsupported(
            path,
            format!("`{param}` is a file; engines read text and images only. Send the file's text as input_text."),
        )),
        Some(kind) => Err(unsupported(
            path,
            format!("`{param}` is a part of type {kind}; engines read input_text and input_image only."),
        )),
        None => Err(missing(path)),
    }
}

fn image(mut part: Members, param: &str) -> Result<Part, ApiError> {
    let url = match take(&mut part, "image_url") {
        Some(Value::Object(mut inner)) => take(&mut inner, "url"),
        url => url,
    };
    let path = format!("{param}.image_url");
    match url {
        Some(url) => Ok(Part::Other(image_part(&text(url, &path)?, peek(&part, "detail")))),
        None if part.contains_key("file_id") => Err(unsupported(
            format!("{param}.file_id"),
            format!("`{param}` names an uploaded file, and none are stored here. Send `image_url`, a URL or data URL."),
        )),
        None => Err(missing(path)),
    }
}
