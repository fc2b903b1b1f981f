//! Tells an answer as the Messages API does: content blocks strictly one after the other, each delta as early as that allows.
//!
//! A block ends where the next begins. When calls interleave, the one that came first goes on until its JSON is complete,
//! and the others wait: readers of this API expect one open block at a time.

use serde_json::{Value, json};

use crate::dialects::braces::Braces;
use crate::dialects::pieces::{CallPart, Finish, Piece, Tokens};
use crate::ids::new_request_id;

/// What a block is.
#[derive(Clone, Debug)]
enum Kind {
    Thinking,
    Text,
    /// A call: its number, its id and its name, once known.
    Call {
        slot: usize,
        id: String,
        name: Option<String>,
        braces: Braces,
    },
}

/// A content block.
#[derive(Clone, Debug)]
struct Block {
    kind: Kind,
    /// What was not told yet; all of it when the writer is quiet.
    text: String,
}

/// The message so far.
#[derive(Clone, Debug)]
pub(in crate::dialects) struct Writer {
    seed: String,
    model: String,
    blocks: Vec<Block>,
    /// The block that is open, or will be opened next.
    head: usize,
    opened: bool,
    calls: bool,
    /// Only the last object is wanted.
    quiet: bool,
}

impl Writer {
    pub(super) fn new(model: String) -> Self {
        let seed = new_request_id();
        Self { seed, model, blocks: Vec::new(), head: 0, opened: false, calls: false, quiet: false }
    }

    pub(in crate::dialects) fn set_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    /// No events are wanted.
    pub(in crate::dialects) fn quiet(&mut self) {
        self.quiet = true;
    }

    pub(in crate::dialects) fn start(&mut self, tokens: Option<Tokens>, out: &mut Vec<u8>) {
        // What was generated is told at the end.
        let tokens = tokens.map(|tokens| Tokens { completion: 0, ..tokens });
        let message = self.message(Vec::new(), None, tokens);
        self.send(out, &json!({ "type": "message_start", "message": message }));
    }

    pub(in crate::dialects) fn piece(&mut self, piece: Piece<'_>, slot: usize, out: &mut Vec<u8>) {
        match piece {
            Piece::Reasoning(text) => self.append(text, Kind::Thinking, |kind| matches!(kind, Kind::Thinking)),
            Piece::Text("", _) => return,
            Piece::Text(text, _) | Piece::Refusal(text) => {
                self.append(text, Kind::Text, |kind| matches!(kind, Kind::Text));
            }
            Piece::Call(part) => self.call(part, slot),
        }
        self.progress(false, out);
    }

    /// Ends the message.
    pub(in crate::dialects) fn finish(&mut self, finish: &Finish, tokens: Option<Tokens>, out: &mut Vec<u8>) {
        self.progress(true, out);
        let (reason, sequence) = self.reason(finish);
        let event = json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": sequence },
            "usage": usage(tokens),
        });
        self.send(out, &event);
        self.send(out, &json!({ "type": "message_stop" }));
    }

    /// The whole message, of a writer that was quiet.
    pub(in crate::dialects) fn whole(&self, finish: &Finish, tokens: Option<Tokens>) -> Value {
        let content = self.blocks.iter().map(|block| self.block(block, &block.text)).collect();
        self.message(content, Some(finish), tokens)
    }

    fn append(&mut self, text: &str, kind: Kind, same: impl Fn(&Kind) -> bool) {
        match self.blocks.last_mut() {
            Some(block) if same(&block.kind) => block.text.push_str(text),
            _ => self.blocks.push(Block { kind, text: text.to_owned() }),
        }
    }

    fn call(&mut self, part: CallPart<'_>, slot: usize) {
        self.calls = true;
        let own = |block: &Block| matches!(block.kind, Kind::Call { slot: of, .. } if of == slot);
        let at = self.blocks.iter().rposition(own).unwrap_or_else(|| {
            let kind = Kind::Call { slot, id: String::new(), name: None, braces: Braces::default() };
            self.blocks.push(Block { kind, text: String::new() });
            self.blocks.len() - 1
        });
        // A closed call's arguments were a whole object: what follows is white space or noise.
        if at < self.head {
            return;
        }
        let block = &mut self.blocks[at];
        if let Kind::Call { id, name, braces, .. } = &mut block.kind {
            if let (Some(given), true) = (part.id, id.is_empty()) {
                given.clone_into(id);
            }
            if name.is_none() {
                *name = part.name.map(str::to_owned);
            }
            braces.feed(part.arguments);
            block.text.push_str(part.arguments);
        }
    }

    /// Tells what can be told. `all`: nothing more will come.
    fn progress(&mut self, all: bool, out: &mut Vec<u8>) {
        while let Some(block) = self.blocks.get(self.head) {
            let nameless = matches!(&block.kind, Kind::Call { name: None, .. });
            if nameless && !all {
                return;
            }
            let index = self.head;
            if !std::mem::replace(&mut self.opened, true) && !self.quiet {
                let mut start = self.block(&self.blocks[index], "");
                if let Kind::Thinking = self.blocks[index].kind {
                    start["signature"] = "".into();
                }
                self.send(out, &json!({ "type": "content_block_start", "index": index, "content_block": start }));
            }
            self.tell(index, out);
            let ends = match &self.blocks[index].kind {
                Kind::Call { braces, .. } => braces.complete(),
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
            self.head += 1;
            self.opened = false;
        }
    }

    /// Tells what the block at `index` holds and was not told. A quiet writer keeps it for the whole message.
    fn tell(&mut self, index: usize, out: &mut Vec<u8>) {
        let block = &mut self.blocks[index];
        if self.quiet || block.text.is_empty() {
            return;
        }
        let delta = match &block.kind {
            Kind::Thinking => json!({ "type": "thinking_delta", "thinking": block.text }),
            Kind::Text => json!({ "type": "text_delta", "text": block.text }),
            Kind::Call { .. } => json!({ "type": "input_json_delta", "partial_json": block.text }),
        };
        // Told text is not needed again.
        block.text.clear();
        self.send(out, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }

    fn block(&self, block: &Block, text: &str) -> Value {
        match &block.kind {
            // A signature is opaque to everybody but its maker; readers want one there to send back.
            Kind::Thinking => json!({ "type": "thinking", "thinking": text, "signature": self.seed }),
            Kind::Text => json!({ "type": "text", "text": text }),
            Kind::Call { slot, id, name, .. } => {
                let id = if id.is_empty() { format!("toolu_{}{slot:04x}", self.seed) } else { id.clone() };
                let name = name.as_deref().unwrap_or_default();
                json!({ "type": "tool_use", "id": id, "name": name, "input": input(text) })
            }
        }
    }

    fn message(&self, content: Vec<Value>, finish: Option<&Finish>, tokens: Option<Tokens>) -> Value {
        let (reason, sequence) = finish.map_or((None, None), |finish| self.reason(finish));
        json!({
            "id": format!("msg_{}", self.seed), "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": reason, "stop_sequence": sequence, "usage": usage(tokens),
        })
    }

    /// `stop_reason` and `stop_sequence`.
    fn reason<'a>(&self, finish: &'a Finish) -> (Option<&'static str>, Option<&'a str>) {
        match finish {
            Finish::Length => (Some("max_tokens"), None),
            Finish::Filter => (Some("refusal"), None),
            Finish::StopString(stop) => (Some("stop_sequence"), Some(stop)),
            // vLLM says "stop" of calls that were demanded.
            _ if self.calls => (Some("tool_use"), None),
            _ => (Some("end_turn"), None),
        }
    }

    fn send(&self, out: &mut Vec<u8>, event: &Value) {
        if !self.quiet {
            let kind = event["type"].as_str().unwrap_or_default();
            out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
        }
    }
}

/// A call's input. What the model wrote and is not JSON (or is cut) is given as the text it is: nothing is lost, and it comes
/// back to the engine as it was.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into())
}

/// In this API the parts of the prompt add up: fresh, read from the cache, written to it.
fn usage(tokens: Option<Tokens>) -> Value {
    let tokens = tokens.unwrap_or_default();
    json!({
        "input_tokens": tokens.prompt.saturating_sub(tokens.cached).saturating_sub(tokens.stored),
        "cache_creation_input_tokens": tokens.stored,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.completion,
    })
}
