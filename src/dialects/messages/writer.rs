//! Writes an answer as the Messages API has it: content blocks strictly one after the other, each delta as early as that allows.
//!
//! A block ends where the next begins. When calls interleave, the one that came first goes on until its JSON is complete,
//! and the others wait: readers of this API expect one open block at a time.

use serde_json::{Value, json};

use crate::dialects::client_api::ClientApi;
use crate::dialects::delta::{Delta, FinishReason, ToolCallDelta, Usage};
use crate::dialects::json_object::JsonObjectTracker;
use crate::dialects::writer::Writer as AnswerWriter;
use crate::ids::new_request_id;
use crate::openai::{ApiError, Dialect};

/// What a block is.
#[derive(Clone, Debug)]
enum Kind {
    Thinking,
    Text,
    /// A call: its number, its id and its name, once known.
    ToolUse {
        number: usize,
        id: String,
        name: Option<String>,
        arguments: JsonObjectTracker,
    },
}

/// A content block.
#[derive(Clone, Debug)]
struct Block {
    kind: Kind,
    /// What was not written yet; all of it when the writer omits its events.
    text: String,
}

/// The message so far.
#[derive(Clone, Debug)]
pub(in crate::dialects) struct Writer {
    seed: String,
    model: String,
    blocks: Vec<Block>,
    /// The block that is open, or will be opened next.
    current: usize,
    opened: bool,
    calls: bool,
    /// Only the whole message is wanted.
    omit_events: bool,
}

impl AnswerWriter for Writer {
    fn api(&self) -> ClientApi {
        ClientApi::Messages
    }

    fn set_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    fn omit_events(&mut self, _: Option<u64>) {
        self.omit_events = true;
    }

    fn start(&mut self, _: Option<u64>, usage: Option<Usage>, out: &mut Vec<u8>) {
        // Generated tokens are counted at the end.
        let usage = usage.map(|usage| Usage { completion: 0, ..usage });
        let message = self.message(Vec::new(), None, usage);
        self.send(out, &json!({ "type": "message_start", "message": message }));
    }

    fn add(&mut self, delta: Delta<'_>, call: usize, out: &mut Vec<u8>) {
        match delta {
            Delta::Reasoning(text) => self.append(text, Kind::Thinking, |kind| matches!(kind, Kind::Thinking)),
            Delta::Text("", _) => return,
            Delta::Text(text, _) | Delta::Refusal(text) => {
                self.append(text, Kind::Text, |kind| matches!(kind, Kind::Text));
            }
            Delta::ToolCall(part) => self.call(part, call),
        }
        self.progress(false, out);
    }

    fn finish(&mut self, reason: &FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.progress(true, out);
        let (reason, sequence) = self.stop_reason(reason);
        let event = json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": sequence },
            "usage": usage_json(usage),
        });
        self.send(out, &event);
        self.send(out, &json!({ "type": "message_stop" }));
    }

    fn whole(&self, reason: &FinishReason, usage: Option<Usage>) -> Value {
        let content = self.blocks.iter().map(|block| self.block(block, &block.text)).collect();
        self.message(content, Some(reason), usage)
    }

    fn fail(&mut self, error: &ApiError, _: Option<Usage>, _: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(error.event(Dialect::Anthropic, true).as_bytes());
    }

    fn boxed(&self) -> Box<dyn AnswerWriter> {
        Box::new(self.clone())
    }
}

impl Writer {
    pub(super) fn new(model: String) -> Self {
        let seed = new_request_id();
        Self { seed, model, blocks: Vec::new(), current: 0, opened: false, calls: false, omit_events: false }
    }

    fn append(&mut self, text: &str, kind: Kind, same: impl Fn(&Kind) -> bool) {
        match self.blocks.last_mut() {
            Some(block) if same(&block.kind) => block.text.push_str(text),
            _ => self.blocks.push(Block { kind, text: text.to_owned() }),
        }
    }

    fn call(&mut self, part: ToolCallDelta<'_>, call: usize) {
        self.calls = true;
        let own = |block: &Block| matches!(block.kind, Kind::ToolUse { number, .. } if number == call);
        let at = self.blocks.iter().rposition(own).unwrap_or_else(|| {
            let arguments = JsonObjectTracker::default();
            let kind = Kind::ToolUse { number: call, id: String::new(), name: None, arguments };
            self.blocks.push(Block { kind, text: String::new() });
            self.blocks.len() - 1
        });
        // A closed call's arguments were a whole object: what follows is white space or noise.
        if at < self.current {
            return;
        }
        let block = &mut self.blocks[at];
        if let Kind::ToolUse { id, name, arguments, .. } = &mut block.kind {
            if let (Some(given), true) = (part.id, id.is_empty()) {
                given.clone_into(id);
            }
            if name.is_none() {
                *name = part.name.map(str::to_owned);
            }
            arguments.feed(part.arguments);
            block.text.push_str(part.arguments);
        }
    }

    /// Writes what can be written. `all`: nothing more will come.
    fn progress(&mut self, all: bool, out: &mut Vec<u8>) {
        while let Some(block) = self.blocks.get(self.current) {
            let has_no_name = matches!(&block.kind, Kind::ToolUse { name: None, .. });
            if has_no_name && !all {
                return;
            }
            let index = self.current;
            if !std::mem::replace(&mut self.opened, true) && !self.omit_events {
                let mut start = self.block(&self.blocks[index], "");
                if let Kind::Thinking = self.blocks[index].kind {
                    start["signature"] = "".into();
                }
                self.send(out, &json!({ "type": "content_block_start", "index": index, "content_block": start }));
            }
            self.write_text(index, out);
            let ends = match &self.blocks[index].kind {
                Kind::ToolUse { arguments, .. } => arguments.is_complete(),
                _ => true,
            };
            let followed = index + 1 < self.blocks.len();
            if !(all || ends && followed) {
                return;
            }
            if let Kind::Thinking = self.blocks[index].kind {
                let delta = json!({ "type": "signature_delta", "signature": self.seed });
                self.send(out, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            }
            self.send(out, &json!({ "type": "content_block_stop", "index": index }));
            self.current += 1;
            self.opened = false;
        }
    }

    /// Writes the text of the block at `index` that was not written yet. It is kept if only the whole message is wanted.
    fn write_text(&mut self, index: usize, out: &mut Vec<u8>) {
        let block = &mut self.blocks[index];
        if self.omit_events || block.text.is_empty() {
            return;
        }
        let delta = match &block.kind {
            Kind::Thinking => json!({ "type": "thinking_delta", "thinking": block.text }),
            Kind::Text => json!({ "type": "text_delta", "text": block.text }),
            Kind::ToolUse { .. } => json!({ "type": "input_json_delta", "partial_json": block.text }),
        };
        // Written text is not needed again.
        block.text.clear();
        self.send(out, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }

    fn block(&self, block: &Block, text: &str) -> Value {
        match &block.kind {
            // Only its maker can read a signature; clients expect one, to send it back.
            Kind::Thinking => json!({ "type": "thinking", "thinking": text, "signature": self.seed }),
            Kind::Text => json!({ "type": "text", "text": text }),
            Kind::ToolUse { number, id, name, .. } => {
                let id = if id.is_empty() { format!("toolu_{}{number:04x}", self.seed) } else { id.clone() };
                let name = name.as_deref().unwrap_or_default();
                json!({ "type": "tool_use", "id": id, "name": name, "input": input(text) })
            }
        }
    }

    fn message(&self, content: Vec<Value>, reason: Option<&FinishReason>, usage: Option<Usage>) -> Value {
        let (reason, sequence) = reason.map_or((None, None), |reason| self.stop_reason(reason));
        json!({
            "id": format!("msg_{}", self.seed), "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": reason, "stop_sequence": sequence, "usage": usage_json(usage),
        })
    }

    /// `stop_reason` and `stop_sequence`.
    fn stop_reason<'a>(&self, reason: &'a FinishReason) -> (Option<&'static str>, Option<&'a str>) {
        match reason {
            FinishReason::Length => (Some("max_tokens"), None),
            FinishReason::ContentFilter => (Some("refusal"), None),
            FinishReason::StopString(stop) => (Some("stop_sequence"), Some(stop)),
            // vLLM's reason is "stop" where a call was demanded.
            _ if self.calls => (Some("tool_use"), None),
            _ => (Some("end_turn"), None),
        }
    }

    fn send(&self, out: &mut Vec<u8>, event: &Value) {
        if !self.omit_events {
            let kind = event["type"].as_str().unwrap_or_default();
            out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
        }
    }
}

/// A call's input. What the model wrote and is not JSON (or is incomplete) is given as a string: nothing is lost, and it comes
/// back to the engine as it was.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into())
}

/// In this API the parts of the prompt add up: fresh, read from the cache, written to it.
fn usage_json(usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached).saturating_sub(usage.cache_written),
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    })
}
