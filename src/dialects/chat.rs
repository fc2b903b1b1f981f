//! Parts of a chat request: tools, content parts, a response format.

use serde_json::{Value, json};

use super::members::Members;

/// A request to Chat Completions that another one became.
pub(super) struct ChatRequest<W> {
    /// Its body.
    pub(super) members: Members,
    /// Who writes the answer.
    pub(super) writer: W,
    /// Types of tools that were dropped, because nobody here can run them.
    pub(super) dropped: Vec<String>,
}

/// A function tool.
pub(super) fn function_tool(
    name: String,
    description: Option<Value>,
    parameters: Option<Value>,
    strict: Option<Value>,
) -> Value {
    let rest = [("description", description), ("parameters", parameters), ("strict", strict)];
    json!({ "type": "function", "function": named(name.into(), rest) })
}

/// The tool choice that demands one function.
pub(super) fn choice_of(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name } })
}

/// Whether a function of that name is among the tools.
pub(super) fn has_function(tools: &[Value], name: &str) -> bool {
    tools.iter().any(|tool| tool["function"]["name"] == name)
}

/// A text part.
pub(super) fn text_part(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// An image part.
pub(super) fn image_part(url: &str, detail: Option<&str>) -> Value {
    let mut image = json!({ "url": url });
    // What chat engines know; the Responses API has more words.
    if let Some(detail @ ("auto" | "low" | "high")) = detail {
        image["detail"] = detail.into();
    }
    json!({ "type": "image_url", "image_url": image })
}

/// The response format that demands JSON of a schema.
pub(super) fn schema_format(name: Value, rest: [(&str, Option<Value>); 3]) -> Value {
    json!({ "type": "json_schema", "json_schema": named(name, rest) })
}

/// An object with a name and those of the other members that are there.
fn named(name: Value, rest: [(&str, Option<Value>); 3]) -> Members {
    let rest = rest.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    std::iter::once(("name".to_owned(), name)).chain(rest).collect()
}
