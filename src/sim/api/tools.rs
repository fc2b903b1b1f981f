//! The tool that a request forces the model to call, with arguments that fit its schema.

use serde_json::{Value, json};

use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// The tool that must be called, and with what.
#[derive(Clone)]
pub(super) struct Tool {
    pub(super) name: String,
    arguments: String,
    /// `finish_reason` of an answer that ends with the call.
    pub(super) finish: &'static str,
}

impl Tool {
    /// The arguments, a piece a token.
    pub(super) fn words(&self) -> Vec<String> {
        self.arguments.split_inclusive([',', ':', '{']).map(Into::into).collect()
    }
}

/// The tool that `tool_choice` forces; `None`: the model answers in words.
pub(super) fn forced_tool(fields: &Fields) -> Result<Option<Tool>, Fail> {
    let tools = fields.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let choice = fields.get("tool_choice").filter(|choice| choice.as_str() != Some("none"));
    let (tools, choice) = match (tools, choice) {
        (None, Some(_)) => {
            let what = "When using `tool_choice`, `tools` must be set. (parameter=tool_choice)";
            return Err(Fail::bad(what, Some("tool_choice")));
        }
        (Some(tools), Some(choice)) => (tools, choice),
        _ => return Ok(None),
    };
    let name_of = |tool: &Value| tool.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
    let (tool, finish) = match choice {
        Value::String(word) if word == "required" => (tools.first(), "tool_calls"),
        Value::String(_) => return Ok(None),
        named => {
            let wanted = name_of(named);
            let found = tools.iter().find(|tool| name_of(tool).is_some() && name_of(tool) == wanted);
            if found.is_none() {
                let what = "The tool specified in `tool_choice` does not match any of the specified `tools`";
                return Err(Fail::bad(what, Some("tool_choice")));
            }
            (found, "stop")
        }
    };
    Ok(tool.map(|tool| Tool {
        name: name_of(tool).unwrap_or_default(),
        arguments: example(tool.pointer("/function/parameters").unwrap_or(&Value::Null), 0).to_string(),
        finish,
    }))
}

/// A value that fits a JSON Schema, roughly.
fn example(schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "text".into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        Some("array") if depth < 8 => {
            Value::Array(schema.get("items").map(|items| example(items, depth + 1)).into_iter().collect())
        }
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ if depth < 8 => {
            let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(members.map(|(name, schema)| (name.clone(), example(schema, depth + 1))).collect())
        }
        _ => json!({}),
    }
}
