//! Tools and the choice among them, from the Responses API to chat.

use serde_json::{Map, Value, json};

use super::errors::unsupported;
use crate::openai::ApiError;

/// Adds `tools`, `tool_choice` and `parallel_tool_calls` to a chat request.
///
/// # Errors
/// A tool or choice that chat cannot express; in strict mode also those that Gym fails at.
pub(super) fn convert(
    params: &Map<String, Value>,
    strict: bool,
    chat: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let tools = params.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let choice = params.get("tool_choice");
    if tools.is_empty() {
        if choice.is_some_and(|choice| choice == "required") {
            return Err(unsupported("`tool_choice` is `required`, but there are no tools.").param("tool_choice"));
        }
        return Ok(());
    }
    let parallel = params.get("parallel_tool_calls");
    chat.extend(parallel.map(|value| ("parallel_tool_calls".to_owned(), value.clone())));
    let mut tools = tools.iter().map(|tool| chat_tool(tool, strict)).collect::<Result<Vec<_>, _>>()?;
    if let Some(choice) = choice {
        let choice = chat_tool_choice(choice, strict, &mut tools)?;
        chat.insert("tool_choice".into(), choice);
    }
    chat.insert("tools".into(), tools.into());
    Ok(())
}

fn chat_tool(tool: &Value, strict: bool) -> Result<Value, ApiError> {
    let kind = tool["type"].as_str().unwrap_or("");
    let mut function = Map::new();
    let members: &[&str] =
        if kind == "custom" { &["name", "description"] } else { &["name", "description", "parameters"] };
    for member in members {
        let value = tool.get(*member).filter(|value| strict || !value.is_null());
        function.extend(value.map(|value| ((*member).to_owned(), value.clone())));
    }
    match kind {
        "custom" if !strict => {
            function.extend(tool.get("format").map(|format| ("format".to_owned(), chat_format(format))));
            Ok(json!({ "type": "custom", "custom": function }))
        }
        "function" | "custom" => Ok(json!({ "type": "function", "function": function })),
        _ => Err(unsupported(format!(
            "Tools of type `{kind}` run on a provider's servers; this engine only calls functions of the client."
        ))
        .param("tools")),
    }
}

/// Chat nests a grammar, the Responses API does not.
fn chat_format(format: &Value) -> Value {
    if format["type"] != "grammar" {
        return format.clone();
    }
    json!({ "type": "grammar", "grammar": { "definition": format["definition"], "syntax": format["syntax"] } })
}

/// The choice as chat has it. A choice among some tools removes the others: few engines know `allowed_tools`.
fn chat_tool_choice(choice: &Value, strict: bool, tools: &mut Vec<Value>) -> Result<Value, ApiError> {
    if !choice.is_object() {
        return Ok(choice.clone());
    }
    let kind = choice["type"].as_str().unwrap_or("");
    match kind {
        "function" | "custom" if !strict => Ok(json!({ "type": kind, kind: { "name": choice["name"] } })),
        "allowed_tools" if !strict => {
            let allowed = choice["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
            tools.retain(|tool| {
                allowed.iter().any(|one| one.get("name").is_some_and(|name| Some(name) == name_of(tool)))
            });
            if tools.is_empty() {
                return Err(unsupported("`tool_choice` allows none of the tools in `tools`.").param("tool_choice"));
            }
            Ok(choice.get("mode").cloned().unwrap_or_else(|| "auto".into()))
        }
        _ => Err(unsupported(format!("A `tool_choice` of type `{kind}` is not supported.")).param("tool_choice")),
    }
}

fn name_of(tool: &Value) -> Option<&Value> {
    tool.get("function").or_else(|| tool.get("custom"))?.get("name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(params: Value, strict: bool) -> Result<Value, u16> {
        let mut chat = Map::new();
        let params = params.as_object().expect("object");
        convert(params, strict, &mut chat).map_err(|error| error.status)?;
        Ok(Value::Object(chat))
    }

    #[test]
    fn a_named_choice_is_translated_unless_strict() {
        let tool = |name: &str| json!({ "type": "function", "name": name, "parameters": null, "strict": null, "description": null });
        let named = json!({ "tools": [tool("f")], "tool_choice": { "type": "function", "name": "f" } });
        assert_eq!(chat(named.clone(), true), Err(400));
        let expected = json!({ "tool_choice": { "type": "function", "function": { "name": "f" } }, "tools": [{ "type": "function", "function": { "name": "f" } }] });
        assert_eq!(chat(named, false), Ok(expected));
        let some = json!({ "tools": [tool("f"), tool("g")], "tool_choice": { "type": "allowed_tools", "mode": "required", "tools": [{ "type": "function", "name": "g" }] } });
        let expected =
            json!({ "tool_choice": "required", "tools": [{ "type": "function", "function": { "name": "g" } }] });
        assert_eq!(chat(some, false), Ok(expected));
    }

    #[test]
    fn custom_tools_stay_custom_unless_strict() {
        let custom = json!({ "tools": [{ "type": "custom", "name": "c", "format": { "type": "grammar", "definition": "d", "syntax": "lark" } }] });
        assert_eq!(
            chat(custom.clone(), true),
            Ok(json!({ "tools": [{ "type": "function", "function": { "name": "c" } }] }))
        );
        let format = json!({ "type": "grammar", "grammar": { "definition": "d", "syntax": "lark" } });
        assert_eq!(
            chat(custom, false),
            Ok(json!({ "tools": [{ "type": "custom", "custom": { "name": "c", "format": format } }] }))
        );
    }

    #[test]
    fn without_tools_the_choice_goes_too() {
        assert_eq!(chat(json!({ "tool_choice": "none", "parallel_tool_calls": true }), true), Ok(json!({})));
        assert_eq!(chat(json!({ "tools": [], "tool_choice": "required" }), false), Err(400));
        assert_eq!(chat(json!({ "tools": [{ "type": "web_search" }] }), false), Err(400));
    }
}
