//! The input of a Responses request, a text or items, as chat messages.

use serde_json::{Value, json};

use crate::dialects::ask::{
    Members, array, as_text, image_part, invalid, kind, object, peek, required, take, text, unsupported,
};
use crate::dialects::history::{History, Part};
use crate::openai::ApiError;

/// Chat's messages for `instructions` and `input`.
pub(super) fn messages(instructions: Option<Value>, input: Option<Value>) -> Result<Vec<Value>, ApiError> {
    let mut history = History::default();
    if let Some(instructions) = instructions {
        let instructions = text(instructions, "instructions")?;
        if !instructions.is_empty() {
            history.system(instructions);
        }
    }
    match input {
        None => return Err(invalid("input", "`input` is missing: a text, or a list of items.")),
        Some(Value::String(said)) => history.user(vec![Part::Text(said)]),
        Some(Value::Array(items)) => {
            for (at, item) in items.into_iter().enumerate() {
                let param = format!("input[{at}]");
                read(object(item, &param)?, &param, &mut history)?;
            }
        }
        Some(other) => {
            return Err(invalid("input", format!("`input` is a text or a list of items, not {}.", kind(&other))));
        }
    }
    Ok(history.finish().0)
}

fn read(mut item: Members, param: &str, history: &mut History) -> Result<(), ApiError> {
    match peek(&item, "type") {
        Some("message") => message(item, param, history),
        None if item.contains_key("role") => message(item, param, history),
        Some("reasoning") => {
            let thoughts = match thoughts(&mut item, "content", param)? {
                own if own.is_empty() => thoughts(&mut item, "summary", param)?,
                own => own,
            };
            history.thought(&thoughts);
            Ok(())
        }
        Some("function_call") => {
            let (id, name) = (required(&mut item, "call_id", param)?, required(&mut item, "name", param)?);
            let arguments = take(&mut item, "arguments").map(as_text).unwrap_or_default();
            history.called(&id, &name, &arguments);
            Ok(())
        }
        Some("function_call_output") => {
            let id = required(&mut item, "call_id", param)?;
            let output = take(&mut item, "output").unwrap_or_default();
            history.result(&id, parts(output, &format!("{param}.output"))?);
            Ok(())
        }
        Some("item_reference") => Err(unsupported(
            format!("{param}.type"),
            format!("`{param}` refers to an item of an earlier response; none is stored here. Send the item itself."),
        )),
        Some(kind) => Err(unsupported(
            format!("{param}.type"),
            format!(
                "`{param}` is of type {kind}, which a chat engine cannot read. It reads message, reasoning, \
                 function_call and function_call_output."
            ),
        )),
        None => Err(invalid(param, format!("`{param}` has neither `type` nor `role`."))),
    }
}

fn message(mut item: Members, param: &str, history: &mut History) -> Result<(), ApiError> {
    let role = required(&mut item, "role", param)?;
    let parts = parts(take(&mut item, "content").unwrap_or_default(), &format!("{param}.content"))?;
    match role.as_str() {
        "user" => history.user(parts),
        // Open models' templates know one word for who is obeyed.
        "system" | "developer" => history.system(only_text(parts, &role, param)?),
        "assistant" => history.said(&only_text(parts, &role, param)?),
        "tool" => {
            return Err(invalid(
                format!("{param}.role"),
                format!(
                    "`{param}` has the role tool of Chat Completions; here a result is a function_call_output item."
                ),
            ));
        }
        other => {
            let message = format!("`{param}.role` is user, assistant, system or developer, not \"{other}\".");
            return Err(invalid(format!("{param}.role"), message));
        }
    }
    Ok(())
}

fn only_text(parts: Vec<Part>, role: &str, param: &str) -> Result<String, ApiError> {
    let mut whole = String::new();
    for part in parts {
        match part {
            Part::Text(text) => whole.push_str(&text),
            Part::Other(_) => {
                let message = format!("`{param}` of the role {role} holds more than text.");
                return Err(unsupported(format!("{param}.content"), message));
            }
        }
    }
    Ok(whole)
}

/// The texts in the list `name` of a reasoning item.
fn thoughts(item: &mut Members, name: &str, param: &str) -> Result<String, ApiError> {
    let list = take(item, name).map(|list| array(list, &format!("{param}.{name}"))).transpose()?.unwrap_or_default();
    let texts: Vec<&str> = list.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    Ok(texts.join("\n"))
}

fn parts(content: Value, param: &str) -> Result<Vec<Part>, ApiError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text)]),
        Value::Array(list) => list
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                let param = format!("{param}[{at}]");
                read_part(object(part, &param)?, &param)
            })
            .collect(),
        other => Err(invalid(param, format!("`{param}` is a text or a list of parts, not {}.", kind(&other)))),
    }
}

fn read_part(mut part: Members, param: &str) -> Result<Part, ApiError> {
    match peek(&part, "type") {
        Some("input_text" | "output_text" | "text" | "reasoning_text") => {
            Ok(Part::Text(required(&mut part, "text", param)?))
        }
        Some("refusal") => Ok(Part::Text(required(&mut part, "refusal", param)?)),
        Some("input_image") => image(part, param),
        // Chat's part has the same shape.
        Some("input_audio") if part.contains_key("input_audio") => {
            Ok(Part::Other(json!({ "type": "input_audio", "input_audio": take(&mut part, "input_audio") })))
        }
        Some("input_file") => Err(unsupported(
            format!("{param}.type"),
            format!("`{param}` is a file; an engine reads text and images. Send the file's text as input_text."),
        )),
        Some(kind) => Err(unsupported(
            format!("{param}.type"),
            format!("`{param}` is a part of type {kind}; an engine reads input_text and input_image."),
        )),
        None => Err(invalid(format!("{param}.type"), format!("`{param}.type` is missing."))),
    }
}

fn image(mut part: Members, param: &str) -> Result<Part, ApiError> {
    let url = match take(&mut part, "image_url") {
        Some(Value::Object(mut inner)) => take(&mut inner, "url"),
        url => url,
    };
    match url {
        Some(url) => {
            let url = text(url, &format!("{param}.image_url"))?;
            Ok(Part::Other(image_part(&url, peek(&part, "detail"))))
        }
        None if part.contains_key("file_id") => Err(unsupported(
            format!("{param}.file_id"),
            format!("`{param}` names an uploaded file; none are stored here. Send `image_url`, a URL or data URL."),
        )),
        None => Err(invalid(format!("{param}.image_url"), format!("`{param}.image_url` is missing."))),
    }
}
