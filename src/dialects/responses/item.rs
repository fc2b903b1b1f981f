//! One item of a response's output: reasoning, a message or a call, and its JSON at any moment.

use serde_json::{Value, json};

use crate::dialects::json_object::JsonObjectTracker;

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

/// A call of a function.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) tracker: JsonObjectTracker,
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
            Body::Call(call) => json!({
                "id": id, "type": "function_call", "status": status, "arguments": call.arguments, "call_id": call.id,
                "name": call.name,
            }),
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
