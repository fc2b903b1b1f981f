//! Builds chat's `messages` from the turns of another API: one system message in front, tool results where chat wants them.

use serde_json::{Value, json};

use super::ask::{Members, text_part};

/// The conversation so far.
#[derive(Debug, Default)]
pub(super) struct History {
    messages: Vec<Value>,
    /// Texts of the system message in front.
    head: Vec<String>,
    /// The assistant's turn under way: its parts come as items of their own in the Responses API.
    turn: Option<Turn>,
    /// Images of tool results. They follow the last result in a user's turn: chat's tool messages hold text, and nothing
    /// may stand between them.
    images: Vec<Value>,
}

#[derive(Debug, Default)]
struct Turn {
    reasoning: String,
    content: String,
    calls: Vec<Value>,
}

/// A part of a message.
#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    /// A part that chat has in the same shape or that was made for it.
    Other(Value),
}

impl History {
    /// Instructions. Those in front become one message, because templates want a single one, first.
    pub(super) fn system(&mut self, text: String) {
        self.close();
        if self.messages.is_empty() {
            self.head.push(text);
        } else {
            self.messages.push(json!({ "role": "system", "content": text }));
        }
    }

    /// What the user says; nothing when there are no parts. Images of results stand in front of it: templates dislike two
    /// turns of the user.
    pub(super) fn user(&mut self, said: Vec<Part>) {
        self.close_turn();
        let mut parts: Vec<Part> = std::mem::take(&mut self.images).into_iter().map(Part::Other).collect();
        parts.extend(said);
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

    /// What the assistant thought.
    pub(super) fn thought(&mut self, text: &str) {
        self.turn().reasoning.push_str(text);
    }

    /// What the assistant said. Twice in a row is two messages, unless a call between them needs its results after both.
    pub(super) fn said(&mut self, text: &str) {
        if self.turn.as_ref().is_some_and(|turn| !turn.content.is_empty() && turn.calls.is_empty()) {
            self.close();
        }
        self.turn().content.push_str(text);
    }

    /// What the assistant wants to be called.
    pub(super) fn called(&mut self, id: &str, name: &str, arguments: &str) {
        let call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        self.turn().calls.push(call);
    }

    /// What a call gave.
    pub(super) fn result(&mut self, id: &str, parts: Vec<Part>) {
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
                Part::Other(value) => self.images.push(value),
            }
        }
        self.messages.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
    }

    /// The messages, and whether the assistant's own words are the last: the caller wants them continued.
    pub(super) fn finish(mut self) -> (Vec<Value>, bool) {
        let speech = |turn: &Turn| !turn.content.is_empty() && turn.calls.is_empty();
        let open = self.turn.as_ref().is_some_and(speech);
        self.close();
        if !self.head.is_empty() {
            self.messages.insert(0, json!({ "role": "system", "content": self.head.join("\n\n") }));
        }
        (self.messages, open)
    }

    fn turn(&mut self) -> &mut Turn {
        self.close_images();
        self.turn.get_or_insert_default()
    }

    fn close(&mut self) {
        self.close_turn();
        self.close_images();
    }

    fn close_images(&mut self) {
        if !self.images.is_empty() {
            self.messages.push(json!({ "role": "user", "content": std::mem::take(&mut self.images) }));
        }
    }

    fn close_turn(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let mut message = Members::new();
        message.insert("role".into(), "assistant".into());
        // vLLM's name for thoughts in a history.
        if !turn.reasoning.is_empty() {
            message.insert("reasoning".into(), turn.reasoning.into());
        }
        let silent = turn.content.is_empty() && (!turn.calls.is_empty() || message.contains_key("reasoning"));
        message.insert("content".into(), if silent { Value::Null } else { turn.content.into() });
        if !turn.calls.is_empty() {
            message.insert("tool_calls".into(), turn.calls.into());
        }
        self.messages.push(message.into());
    }
}
