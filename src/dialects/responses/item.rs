//! One item of a response's output: reasoning, a message or a call, and its JSON at any moment.

use serde_json::{Value, json};

use super::custom_input::CustomInput;
use crate::dialects::json_object::JsonObjectTracker;
use crate::dialects::tool_names::ClientTool;

/// What an item is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Reasoning(String),
    Message(Vec<Part>),
    Call(Call),
}

/// A part of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) refusal: bool,
    pub(super) text: String,
    pub(super) logprobs: Vec<Value>,
}

/// A call of a function or of a custom tool.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    /// The client's name for what is called.
    pub(super) name: String,
    /// The namespace that has this name.
    pub(super) namespace: Option<String>,
    /// Arguments of a function.
    pub(super) arguments: String,
    /// The input of a custom tool, in place of arguments.
    pub(super) input: Option<CustomInput>,
    pub(super) tracker: JsonObjectTracker,
}

impl Call {
    /// A call of the engine's function of that name, which is `tool` to the client.
    pub(super) fn new(id: String, name: &str, tool: Option<&ClientTool>) -> Self {
        let Some(tool) = tool else { return Self { id, name: name.to_owned(), ..Self::default() } };
        let input = tool.custom.then(CustomInput::default);
        Self { id, name: tool.name.clone(), namespace: tool.namespace.clone(), input, ..Self::default() }
    }

    fn json(&self, id: &str, status: &str) -> Value {
        let mut item = match &self.input {
            Some(input) => json!({
                "id": id, "type": "custom_tool_call", "status": status, "input": input.text(), "call_id": self.id,
                "name": self.name,
            }),
            None => json!({
                "id": id, "type": "function_call", "status": status, "arguments": self.arguments, "call_id": self.id,
                "name": self.name,
            }),
        };
        if let Some(namespace) = &self.namespace {
            item["namespace"] = namespace.as_str().into();
        }
        item
    }
}

/// An item, open while more of it may come.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
    pub(super) open: bool,
    pub(super) status: &'static str,
}

impl Item {
    /// The prefix of the item's id.
    pub(super) fn id_prefix(body: &Body) -> &'static str {
        match body {
            Body::Reasoning(_) => "rs",
            Body::Message(_) => "msg",
            Body::Call(Call { input: Some(_), .. }) => "ctc",
            Body::Call(_) => "fc",
        }
    }

    /// Whether the item ends where another begins. A call ends where its arguments do: engines may interleave calls.
    pub(super) fn is_closable(&self) -> bool {
        match &self.body {
            Body::Call(call) => call.tracker.is_complete(),
            _ => true,
        }
    }

    /// The item so far.
    pub(super) fn json(&self) -> Value {
        let (id, status) = (self.id.as_str(), self.status);
        match &self.body {
            Body::Reasoning(text) => {
                let content = if text.is_empty() { json!([]) } else { json!([reasoning_part(text)]) };
                json!({
                    "id": id, "type": "reasoning", "summary": [], "content": content, "encrypted_content": null,
                    "status": status,
                })
            }
            Body::Message(parts) => {
                let content: Vec<Value> = parts.iter().map(Part::json).collect();
                json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
            }
            Body::Call(call) => call.json(id, status),
        }
    }
}

impl Part {
    pub(super) fn json(&self) -> Value {
        if self.refusal {
            json!({ "type": "refusal", "refusal": self.text })
        } else {
            json!({ "type": "output_text", "annotations": [], "logprobs": self.logprobs, "text": self.text })
        }
    }
}

/// The part of a reasoning item.
pub(super) fn reasoning_part(text: &str) -> Value {
    json!({ "type": "reasoning_text", "text": text })
}
