//! Builds chat's `messages` from the turns of another API: one system message in front, tool results where chat wants them.

use serde_json::{Value, json};

use super::chat::text_part;
use super::members::Members;
use crate::config::LateSystem;

/// The conversation so far.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    messages: Vec<Value>,
    /// Texts of the system message in front.
    system: Vec<String>,
    /// The assistant's turn under way: its parts are items of their own in the Responses API.
    turn: Option<AssistantTurn>,
    /// Parts of the next user's turn: images of tool results, because chat's tool messages hold text, and late system messages.
    /// They follow the last result: nothing may stand between results.
    pending: Vec<Value>,
    late_system: LateSystem,
}

#[derive(Debug, Default)]
struct AssistantTurn {
    reasoning: String,
    content: String,
    calls: Vec<Value>,
}

/// A part of a message.
#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    /// A part in chat's shape.
    Other(Value),
}

impl Conversation {
    /// An empty one. `late_system`: what becomes of instructions that come later than in front.
    pub(super) fn new(late_system: LateSystem) -> Self {
        Self { late_system, ..Self::default() }
    }

    /// Adds instructions. Those in front become one message, because templates want a single one, first.
    pub(super) fn add_system(&mut self, text: String) {
        self.close_turn();
        if self.messages.is_empty() && self.pending.is_empty() {
            self.system.push(text);
            return;
        }
        match self.late_system {
            LateSystem::First => self.system.push(text),
            LateSystem::User => self.add_to_user(&text),
            LateSystem::Keep => {
                self.close_pending();
                self.messages.push(json!({ "role": "system", "content": text }));
            }
        }
    }

    /// Adds a text to the user's turn: to the one that was just added, or else to the next one.
    fn add_to_user(&mut self, text: &str) {
        let part = text_part(text);
        match self.messages.last_mut().filter(|last| last["role"] == "user" && self.pending.is_empty()) {
            Some(last) => match &mut last["content"] {
                Value::Array(parts) => parts.push(part),
                content => *content = Value::Array(vec![text_part(content.as_str().unwrap_or_default()), part]),
            },
            None => self.pending.push(part),
        }
    }

    /// Adds a user message, if there are parts. What is pending is put in front of it: templates dislike two user messages in a
    /// row.
    pub(super) fn add_user(&mut self, new: Vec<Part>) {
        self.close_turn();
        let mut parts: Vec<Part> = std::mem::take(&mut self.pending).into_iter().map(Part::Other).collect();
        parts.extend(new);
        let content = match (parts.len(), parts.pop()) {
            (_, None) => return,
            (1, Some(Part::Text(text))) => text.into(),
            (_, Some(last)) => {
                parts.push(last);
                let part = |part| match part {
                    Part::Text(text) => text_part(&text),
                    Part::Other(value) => value,
                };
                Value::Array(parts.into_iter().map(part).collect())
            }
        };
        self.messages.push(json!({ "role": "user", "content": content }));
    }

    /// Adds reasoning of the assistant. What only its maker can read is no turn.
    pub(super) fn add_reasoning(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.turn().reasoning.push_str(text);
    }

    /// Adds text of the assistant. Two in a row are two messages, unless a call between them needs its results after both.
    pub(super) fn add_text(&mut self, text: &str) {
        if self.turn.as_ref().is_some_and(|turn| !turn.content.is_empty() && turn.calls.is_empty()) {
            self.close();
        }
        self.turn().content.push_str(text);
    }

    /// Adds a tool call of the assistant.
    pub(super) fn add_call(&mut self, id: &str, name: &str, arguments: &str) {
        let call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        self.turn().calls.push(call);
    }

    /// Adds the result of a tool call.
    pub(super) fn add_result(&mut self, id: &str, parts: Vec<Part>) {
        self.close_turn();
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(more) => {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&more);
                }
                Part::Other(value) => self.pending.push(value),
            }
        }
        self.push_result(id, text);
    }

    /// Adds the result of a tool call that is a text.
    pub(super) fn add_result_text(&mut self, id: &str, text: String) {
        self.close_turn();
        self.push_result(id, text);
    }

    fn push_result(&mut self, id: &str, text: String) {
        self.messages.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
    }

    /// The messages, and whether the last is text of the assistant, which the client wants continued.
    pub(super) fn finish(mut self) -> (Vec<Value>, bool) {
        let is_text = |turn: &AssistantTurn| !turn.content.is_empty() && turn.calls.is_empty();
        let open = self.turn.as_ref().is_some_and(is_text);
        self.close();
        if !self.system.is_empty() {
            self.messages.insert(0, json!({ "role": "system", "content": self.system.join("\n\n") }));
        }
        (self.messages, open)
    }

    fn turn(&mut self) -> &mut AssistantTurn {
        self.close_pending();
        self.turn.get_or_insert_default()
    }

    fn close(&mut self) {
        self.close_turn();
        self.close_pending();
    }

    fn close_pending(&mut self) {
        if !self.pending.is_empty() {
            self.messages.push(json!({ "role": "user", "content": std::mem::take(&mut self.pending) }));
        }
    }

    fn close_turn(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let mut message = Members::new();
        message.insert("role".into(), "assistant".into());
        // vLLM's name for reasoning in a history.
        if !turn.reasoning.is_empty() {
            message.insert("reasoning".into(), turn.reasoning.into());
        }
        let has_no_text = turn.content.is_empty() && (!turn.calls.is_empty() || message.contains_key("reasoning"));
        message.insert("content".into(), if has_no_text { Value::Null } else { turn.content.into() });
        if !turn.calls.is_empty() {
            message.insert("tool_calls".into(), turn.calls.into());
        }
        self.messages.push(message.into());
    }
}
