//! Tools of a Responses request: which functions, and which must be called.

use serde_json::Value;

use crate::dialects::ask::{Members, array, choose, function, invalid, object, peek, required, take, unsupported};
use crate::openai::ApiError;

/// Puts chat's `tools`, `tool_choice` and `parallel_tool_calls` for those in `asked`.
pub(super) fn put(asked: &mut Members, set: &mut Members) -> Result<(), ApiError> {
    let mut tools = Vec::new();
    let listed = take(asked, "tools").map(|tools| array(tools, "tools")).transpose()?.unwrap_or_default();
    for (at, tool) in listed.into_iter().enumerate() {
        tools.push(read(tool, &format!("tools[{at}]"))?);
    }
    let choice = take(asked, "tool_choice").map(|choice| read_choice(choice, &mut tools)).transpose()?.flatten();
    if tools.is_empty() {
        if choice.as_ref().is_some_and(|choice| choice != "none" && choice != "auto") {
            return Err(invalid("tool_choice", "`tool_choice` wants a tool called, and `tools` lists none."));
        }
        // Engines refuse these without tools.
        asked.shift_remove("parallel_tool_calls");
        return Ok(());
    }
    set.insert("tools".into(), tools.into());
    if let Some(choice) = choice {
        set.insert("tool_choice".into(), choice);
    }
    Ok(())
}

fn read(tool: Value, param: &str) -> Result<Value, ApiError> {
    let mut tool = object(tool, param)?;
    match peek(&tool, "type") {
        Some("function") => {}
        Some("custom") => {
            return Err(unsupported(
                format!("{param}.type"),
                format!(
                    "`{param}` is a tool of type custom, which engines behind this endpoint cannot call. Describe it as \
                     a function whose parameters hold one string."
                ),
            ));
        }
        Some(kind) => {
            return Err(unsupported(
                format!("{param}.type"),
                format!(
                    "`{param}` is a tool of type {kind}, which somebody would have to run for the model; this endpoint \
                     offers functions only."
                ),
            ));
        }
        None => return Err(invalid(format!("{param}.type"), format!("`{param}.type` is missing."))),
    }
    if tool.contains_key("function") && !tool.contains_key("name") {
        return Err(invalid(
            param,
            format!("`{param}` has the shape of Chat Completions; here `name` and `parameters` stand beside `type`."),
        ));
    }
    let name = required(&mut tool, "name", param)?;
    let [description, parameters, strict] =
        ["description", "parameters", "strict"].map(|member| take(&mut tool, member));
    Ok(function(name, description, parameters, strict))
}

/// Chat's choice; `tools` keeps only those allowed.
fn read_choice(choice: Value, tools: &mut Vec<Value>) -> Result<Option<Value>, ApiError> {
    let mut choice = match choice {
        Value::String(word) if matches!(word.as_str(), "none" | "auto" | "required") => return Ok(Some(word.into())),
        Value::String(word) => {
            let message = format!("`tool_choice` is none, auto, required or an object, not \"{word}\".");
            return Err(invalid("tool_choice", message));
        }
        other => object(other, "tool_choice")?,
    };
    match peek(&choice, "type") {
        Some("function") => {
            let name = required(&mut choice, "name", "tool_choice")?;
            known(&name, tools, "tool_choice.name")?;
            Ok(Some(choose(&name)))
        }
        Some("allowed_tools") => {
            let allowed = array(take(&mut choice, "tools").unwrap_or_default(), "tool_choice.tools")?;
            let mut names = Vec::new();
            for (at, tool) in allowed.into_iter().enumerate() {
                let param = format!("tool_choice.tools[{at}]");
                let mut tool = object(tool, &param)?;
                if let Some(kind) = peek(&tool, "type").filter(|kind| *kind != "function") {
                    return Err(unsupported(
                        format!("{param}.type"),
                        format!("`{param}` is a tool of type {kind}; this endpoint offers functions only."),
                    ));
                }
                let name = required(&mut tool, "name", &param)?;
                known(&name, tools, &format!("{param}.name"))?;
                names.push(name);
            }
            tools.retain(|tool| names.iter().any(|name| tool["function"]["name"] == name.as_str()));
            match peek(&choice, "mode") {
                Some(mode @ ("auto" | "required")) => Ok(Some(mode.into())),
                _ => Err(invalid("tool_choice.mode", "`tool_choice.mode` must be auto or required.")),
            }
        }
        Some(kind) => Err(unsupported(
            "tool_choice.type",
            format!("`tool_choice` wants a tool of type {kind}; this endpoint offers functions only."),
        )),
        None => Err(invalid("tool_choice.type", "`tool_choice.type` is missing.")),
    }
}

fn known(name: &str, tools: &[Value], param: &str) -> Result<(), ApiError> {
    if tools.iter().any(|tool| tool["function"]["name"] == name) {
        return Ok(());
    }
    Err(invalid(param, format!("`{param}` is \"{name}\", and no function in `tools` has that name.")))
}
