//! Calls and their results in the input of a Responses request.

use serde_json::json;

use super::content::parts;
use super::custom_input::PARAMETER;
use crate::dialects::conversation::Conversation;
use crate::dialects::members::{Members, as_text, missing, peek, required, take, text};
use crate::dialects::tool_names::joined;
use crate::openai::ApiError;

/// What is told of tools that a provider ran or offered. The calls of another deployment's history: no engine can read them, and
/// the conversation goes on without them.
const OF_A_PROVIDER: [&str; 13] = [
    "code_interpreter_call",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program_call",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];

/// Adds the item at `param`, of type `kind`, if it is a call or a result; otherwise it comes back.
pub(super) fn add(
    mut item: Members,
    kind: &str,
    param: &str,
    conversation: &mut Conversation,
) -> Result<Option<Members>, ApiError> {
    match kind {
        "function_call" => {
            let arguments = take(&mut item, "arguments").map(as_text).unwrap_or_default();
            add_call(item, &arguments, param, conversation)?;
        }
        "custom_tool_call" => {
            let input = take(&mut item, "input").map(as_text).unwrap_or_default();
            add_call(item, &json!({ PARAMETER: input }).to_string(), param, conversation)?;
        }
        "function_call_output" | "custom_tool_call_output" => {
            let id = required(&mut item, "call_id", param)?;
            let output = take(&mut item, "output").unwrap_or_default();
            conversation.add_result(&id, parts(output, &format!("{param}.output"))?);
        }
        // The client ran these itself, and the engine learns what came of them.
        "local_shell_call" | "shell_call" | "apply_patch_call" => {
            let name = kind.trim_end_matches("_call");
            let what = take(&mut item, "action").or_else(|| take(&mut item, "operation")).unwrap_or_else(|| json!({}));
            conversation.add_call(&call_id(&mut item, param)?, name, &what.to_string());
        }
        "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" => {
            let output = take(&mut item, "output").map(as_text).unwrap_or_default();
            conversation.add_result_text(&call_id(&mut item, param)?, output);
        }
        kind if OF_A_PROVIDER.contains(&kind) => {}
        // Its tools have been read.
        "additional_tools" => {}
        _ => return Ok(Some(item)),
    }
    Ok(None)
}

fn add_call(mut item: Members, arguments: &str, param: &str, conversation: &mut Conversation) -> Result<(), ApiError> {
    let (id, name) = (required(&mut item, "call_id", param)?, required(&mut item, "name", param)?);
    conversation.add_call(&id, &joined(peek(&item, "namespace"), &name), arguments);
    Ok(())
}

/// Results of older clients have the call's id under `id`.
fn call_id(item: &mut Members, param: &str) -> Result<String, ApiError> {
    let path = format!("{param}.call_id");
    match take(item, "call_id").or_else(|| take(item, "id")) {
        Some(id) => text(id, &path),
        None => Err(missing(path)),
    }
}
