//! The items of a response: what was thought, what was said, what is called.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::tools::Tool;
use crate::sim::stamp::random_id;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Thought,
    Text,
    Call,
    CustomCall,
}

impl Kind {
    /// Of token number `at`.
    pub(super) fn of(answer: &Answer, tool: Option<&Tool>, at: usize) -> Self {
        match tool {
            _ if at < answer.reasoning => Self::Thought,
            None => Self::Text,
            Some(tool) if tool.is_custom => Self::CustomCall,
            Some(_) => Self::Call,
        }
    }
}

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) id: String,
    call: String,
}

impl Item {
    pub(super) fn new(kind: Kind) -> Self {
        let prefix = match kind {
            Kind::Thought => "rs",
            Kind::Text => "msg",
            Kind::Call => "fc",
            Kind::CustomCall => "ctc",
        };
        Self { kind, id: format!("{prefix}_{}", random_id()), call: format!("chatcmpl-tool-{}", random_id()) }
    }

    /// As it is before its first token.
    pub(super) fn begun(&self, tool: Option<&Tool>) -> Value {
        self.shown(tool, None, Some("in_progress"))
    }

    /// With all its text.
    pub(super) fn done(&self, tool: Option<&Tool>, text: &str) -> Value {
        self.shown(tool, Some(text), Some("completed"))
    }

    /// With all its text, in an answer that was not streamed.
    pub(super) fn plain(&self, tool: Option<&Tool>, text: &str) -> Value {
        let status = (self.kind != Kind::Thought).then_some("completed");
        self.shown(tool, Some(text), status)
    }

    fn shown(&self, tool: Option<&Tool>, text: Option<&str>, status: Option<&str>) -> Value {
        let said = text.unwrap_or_default();
        let name = tool.map(|tool| tool.name.as_str());
        let namespace = tool.and_then(|tool| tool.namespace.as_deref());
        match self.kind {
            Kind::Thought => json!({
                "id": self.id, "summary": [], "type": "reasoning", "content": text.map(|text| json!([thought(text)])),
                "encrypted_content": null, "status": status,
            }),
            Kind::Text => {
                let content: Vec<Value> = Some(said)
                    .filter(|said| !said.is_empty())
                    .map(|said| part(said, Value::Null))
                    .into_iter()
                    .collect();
                json!({
                    "id": self.id, "content": content, "role": "assistant", "status": status, "type": "message",
                    "phase": null,
                })
            }
            Kind::Call => json!({
                "arguments": said, "call_id": self.call, "name": name, "type": "function_call", "id": self.id,
                "async": null, "caller": null, "namespace": namespace, "status": status,
            }),
            Kind::CustomCall => json!({
                "call_id": self.call, "input": said, "name": name, "type": "custom_tool_call", "id": self.id,
                "async": null, "caller": null, "namespace": namespace,
            }),
        }
    }
}

/// The part of an item that was said.
pub(super) fn part(text: &str, logprobs: Value) -> Value {
    json!({ "annotations": [], "text": text, "type": "output_text", "logprobs": logprobs })
}

/// The part of an item that was thought.
pub(super) fn thought(text: &str) -> Value {
    json!({ "text": text, "type": "reasoning_text" })
}
