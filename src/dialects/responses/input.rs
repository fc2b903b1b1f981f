//! The input of a Responses request, a text or items, as chat messages.

use serde_json::Value;

use super::calls;
use super::content::parts;
use crate::config::LateSystem;
use crate::dialects::conversation::{Conversation, Part};
use crate::dialects::members::{
    Members, invalid, objects, peek, required, take, take_array, text, type_of, unsupported,
};
use crate::openai::ApiError;

/// Chat's messages for `instructions` and `input`.
pub(super) fn messages(
    instructions: Option<Value>,
    input: Option<Value>,
    late_system: LateSystem,
) -> Result<Vec<Value>, ApiError> {
    let mut conversation = Conversation::new(late_system);
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
        Some("item_reference") => {
            return Err(unsupported(
                format!("{param}.type"),
                format!(
                    "`{param}` refers to an item of an earlier response, and none is stored here. Send the item itself."
                ),
            ));
        }
        Some(kind) => {
            let kind = kind.to_owned();
            if calls::add(item, &kind, param, conversation)?.is_some() {
                return Err(unsupported(
                    format!("{param}.type"),
                    format!(
                        "`{param}` is of type {kind}, which a chat engine cannot read. Supported are message, reasoning, \
                         calls of functions and custom tools, and their outputs."
                    ),
                ));
            }
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
