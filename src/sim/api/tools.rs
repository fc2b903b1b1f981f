//! The tool that a request forces the model to call, with arguments that fit its schema.

use serde_json::{Value, json};

use super::example::example;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// The tool that must be called, and with what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// What holds it in the Responses API, whose calls say both names.
    pub(super) namespace: Option<String>,
    /// It takes any text instead of JSON.
    pub(super) is_custom: bool,
    /// Any tool was asked for, not this one.
    pub(super) is_any: bool,
    /// The arguments as JSON, or the text of a custom tool.
    pub(super) arguments: String,
    /// The schema of the arguments.
    pub(super) parameters: Value,
}

impl Tool {
    fn new(name: &str, parameters: Option<&Value>) -> Self {
        let parameters = parameters.cloned().unwrap_or(Value::Null);
        Self {
            name: name.to_owned(),
            namespace: None,
            is_custom: false,
            is_any: false,
            arguments: example(&parameters).to_string(),
            parameters,
        }
    }

    fn any(self) -> Self {
        Self { is_any: true, ..self }
    }

    /// `finish_reason` of a chat that ends with the call.
    pub(super) fn finish(&self) -> &'static str {
        if self.is_any { "tool_calls" } else { "stop" }
    }
}

/// The tool that a chat's `tool_choice` forces; `None`: the model answers in words.
pub(super) fn of_chat(fields: &Fields) -> Result<Option<Tool>, Fail> {
    let choice = fields.get("tool_choice").filter(|choice| choice.as_str() != Some("none"));
    let (tools, choice) = match (list(fields), choice) {
        ([], Some(_)) => {
            let what = "When using `tool_choice`, `tools` must be set. (parameter=tool_choice)";
            return Err(Fail::bad(what, Some("tool_choice")));
        }
        (tools, Some(choice)) => (tools, choice),
        _ => return Ok(None),
    };
    let name_of = |tool: &Value| tool.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
    let made = |tool: &Value| Tool::new(&name_of(tool).unwrap_or_default(), tool.pointer("/function/parameters"));
    match choice {
        Value::String(word) if word == "required" => Ok(tools.first().map(|tool| made(tool).any())),
        Value::String(_) => Ok(None),
        named => {
            let wanted = name_of(named);
            let found = tools.iter().find(|tool| name_of(tool).is_some() && name_of(tool) == wanted);
            let what = "The tool specified in `tool_choice` does not match any of the specified `tools`";
            found.map(|tool| Some(made(tool))).ok_or_else(|| Fail::bad(what, Some("tool_choice")))
        }
    }
}

/// The tool that `tool_choice` forces in the Responses API.
pub(super) fn of_response(fields: &Fields) -> Result<Option<Tool>, Fail> {
    let refused = |what: &str| Err(Fail::bad(format!("{what} (parameter=tool_choice)"), Some("tool_choice")));
    let mut tools = list(fields).iter().flat_map(|tool| functions(tool, None));
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    let kind = choice.get("type").and_then(Value::as_str);
    match choice {
        Value::String(word) if word == "required" => match list(fields) {
            [] => refused("Tool choice 'required' must be specified with 'tools' parameter."),
            _ => Ok(tools.next().map(Tool::any)),
        },
        Value::Object(_) if matches!(kind, Some("function" | "custom")) => {
            let wanted = choice.get("name").and_then(Value::as_str).unwrap_or_default();
            let full = |tool: &Tool| match &tool.namespace {
                Some(namespace) => format!("{namespace}__{}", tool.name),
                None => tool.name.clone(),
            };
            match tools.find(|tool| tool.name == wanted || full(tool) == wanted) {
                Some(tool) => Ok(Some(tool)),
                None => refused("Tool choice 'function' not found in 'tools' parameter."),
            }
        }
        _ => Ok(None),
    }
}

/// The tools of an entry of the Responses API that a model can call itself.
fn functions(entry: &Value, namespace: Option<&str>) -> Vec<Tool> {
    let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
    match entry.get("type").and_then(Value::as_str) {
        Some("function") => {
            vec![Tool { namespace: namespace.map(Into::into), ..Tool::new(name, entry.get("parameters")) }]
        }
        Some("custom") => {
            let parameters = json!({
                "type": "object",
                "properties": {
                    "input": { "type": "string", "description": "The freeform text payload for this tool." },
                },
                "required": ["input"], "additionalProperties": false,
            });
            vec![Tool { is_custom: true, arguments: "some text".into(), ..Tool::new(name, Some(&parameters)) }]
        }
        Some("namespace") => {
            let inner = entry.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            inner.iter().flat_map(|tool| functions(tool, Some(name))).collect()
        }
        _ => Vec::new(),
    }
}

/// The tool that `tool_choice` forces in Anthropic's API.
pub(super) fn of_message(fields: &Fields) -> Result<Option<Tool>, Fail> {
    let made = |tool: &Value| {
        Tool::new(tool.get("name").and_then(Value::as_str).unwrap_or_default(), tool.get("input_schema"))
    };
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    match choice.get("type").and_then(Value::as_str) {
        Some("any") => Ok(list(fields).first().map(|tool| made(tool).any())),
        Some("tool") => {
            let wanted = choice.get("name").and_then(Value::as_str).unwrap_or_default();
            let found = list(fields).iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(wanted));
            let missing = || Fail::bad(format!("Tool '{wanted}' has not been passed in `tools`."), None);
            found.map(|tool| Some(made(tool))).ok_or_else(missing)
        }
        _ => Ok(None),
    }
}

fn list(fields: &Fields) -> &[Value] {
    fields.get("tools").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn response(choice: &Value) -> Result<Option<Tool>, Fail> {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        let tools = json!([
            { "type": "web_search" },
            { "type": "namespace", "name": "files", "tools": [{ "type": "function", "name": "read", "parameters": schema }] },
            { "type": "function", "name": "weather", "parameters": schema },
            { "type": "custom", "name": "note" },
        ]);
        let body = json!({ "tools": tools, "tool_choice": choice });
        of_response(&Fields(body.as_object().unwrap().clone()))
    }

    #[test]
    fn a_response_can_force_functions_custom_tools_and_those_of_namespaces() {
        let first = response(&json!("required")).unwrap().unwrap();
        assert_eq!((first.name.as_str(), first.namespace.as_deref()), ("read", Some("files")));
        for name in ["read", "files__read"] {
            assert_eq!(response(&json!({ "type": "function", "name": name })).unwrap().unwrap().name, "read");
        }
        let named = response(&json!({ "type": "function", "name": "weather" })).unwrap().unwrap();
        assert_eq!((named.arguments.as_str(), named.is_any), (r#"{"city":"text"}"#, false));
        let custom = response(&json!({ "type": "custom", "name": "note" })).unwrap().unwrap();
        assert!(custom.is_custom && !custom.arguments.starts_with('{'));
        assert!(response(&json!({ "type": "function", "name": "other" })).is_err());
        assert_eq!(response(&json!("auto")), Ok(None));
    }
}
