//! Tools of a Responses request: which functions there are, and which must be called.

use serde_json::Value;

use crate::dialects::chat::{choice_of, function_tool, has_function};
use crate::dialects::members::{
    Members, array, invalid, missing, object, objects, peek, required, take, take_array, unsupported,
};
use crate::openai::ApiError;

/// Moves `tools` and `tool_choice` from the request to `set`, in chat's shape.
pub(super) fn set_tools(request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let listed = objects(take_array(request, "tools", "tools")?, "tools");
    let mut tools: Vec<Value> = listed.map(|tool| tool.and_then(read_tool)).collect::<Result<_, _>>()?;
    let choice = take(request, "tool_choice").map(|choice| read_choice(choice, &mut tools)).transpose()?;
    if tools.is_empty() {
        if choice.is_some_and(|choice| choice != "none" && choice != "auto") {
            return Err(invalid("tool_choice", "`tool_choice` demands a tool call, but `tools` is empty."));
        }
        // Engines refuse these without tools.
        request.shift_remove("parallel_tool_calls");
        return Ok(());
    }
    set.insert("tools".into(), tools.into());
    set.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
    Ok(())
}

fn read_tool((mut tool, param): (Members, String)) -> Result<Value, ApiError> {
    let path = format!("{param}.type");
    match peek(&tool, "type") {
        Some("function") => {}
        Some("custom") => {
            return Err(unsupported(
                path,
                format!(
                    "`{param}` is a tool of type custom, which the engine cannot call. Describe it as a function whose \
                     parameters are one string."
                ),
            ));
        }
        Some(kind) => {
            return Err(unsupported(
                path,
                format!(
                    "`{param}` is a tool of type {kind}, which a provider would have to run. This endpoint supports \
                     functions only."
                ),
            ));
        }
        None => return Err(missing(path)),
    }
    if tool.contains_key("function") && !tool.contains_key("name") {
        let message = format!(
            "`{param}` has the shape of Chat Completions; in the Responses API `name` and `parameters` stand beside `type`."
        );
        return Err(invalid(param, message));
    }
    let name = required(&mut tool, "name", &param)?;
    let [description, parameters, strict] =
        ["description", "parameters", "strict"].map(|member| take(&mut tool, member));
    Ok(function_tool(name, description, parameters, strict))
}

/// Chat's choice; `tools` keeps only those that are allowed.
fn read_choice(choice: Value, tools: &mut Vec<Value>) -> Result<Value, ApiError> {
    let mut choice = match choice {
        Value::String(word) if matches!(word.as_str(), "none" | "auto" | "required") => return Ok(word.into()),
        Value::String(word) => {
            let message = format!("`tool_choice` must be none, auto, required or an object, not \"{word}\".");
            return Err(invalid("tool_choice", message));
        }
        other => object(other, "tool_choice")?,
    };
    match peek(&choice, "type") {
        Some("function") => Ok(choice_of(&known_function(&mut choice, tools, "tool_choice")?)),
        Some("allowed_tools") => {
            let allowed = array(take(&mut choice, "tools").unwrap_or_default(), "tool_choice.tools")?;
            let names = objects(allowed, "tool_choice.tools").map(|tool| allowed_name(tool?, tools));
            let names = names.collect::<Result<Vec<_>, _>>()?;
            tools.retain(|tool| names.iter().any(|name| tool["function"]["name"] == name.as_str()));
            match peek(&choice, "mode") {
                Some(mode @ ("auto" | "required")) => Ok(mode.into()),
                _ => Err(invalid("tool_choice.mode", "`tool_choice.mode` must be auto or required.")),
            }
        }
        Some(kind) => Err(functions_only("tool_choice.type", format!("`tool_choice` names a tool of type {kind}"))),
        None => Err(missing("tool_choice.type")),
    }
}

fn allowed_name((mut tool, param): (Members, String), tools: &[Value]) -> Result<String, ApiError> {
    if let Some(kind) = peek(&tool, "type").filter(|kind| *kind != "function") {
        return Err(functions_only(format!("{param}.type"), format!("`{param}` is a tool of type {kind}")));
    }
    known_function(&mut tool, tools, &param)
}

fn functions_only(param: impl Into<String>, why: String) -> ApiError {
    unsupported(param, format!("{why}. This endpoint supports functions only."))
}

/// The `name` of the object at `param`, which must be one of the functions.
fn known_function(named: &mut Members, tools: &[Value], param: &str) -> Result<String, ApiError> {
    let name = required(named, "name", param)?;
    if has_function(tools, &name) {
        return Ok(name);
    }
    let param = format!("{param}.name");
    let message = format!("`{param}` is \"{name}\", but no function in `tools` has that name.");
    Err(invalid(param, message))
}
