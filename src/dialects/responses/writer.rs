//! Writes an answer as the Responses API has it: one item after the other, each event as soon as its delta is there.

use serde_json::{Value, json};

use super::item::{Body, Call, Item, Part, reasoning_part};
use super::response::ResponseObject;
use crate::dialects::client_api::ClientApi;
use crate::dialects::delta::{Delta, FinishReason, ToolCallDelta, Usage};
use crate::dialects::tool_names::ToolNames;
use crate::dialects::writer::Writer as AnswerWriter;
use crate::openai::ApiError;

/// A tool call that has begun.
#[derive(Clone, Debug, Default)]
struct BegunCall {
    /// Its item, once its name is known.
    item: Option<usize>,
    id: String,
    /// Arguments that came before the name.
    pending: String,
}

/// The response so far.
#[derive(Clone, Debug)]
pub(in crate::dialects) struct Writer {
    response: ResponseObject,
    /// What the engine's functions are to the client.
    names: ToolNames,
    items: Vec<Item>,
    /// How many items in front are closed.
    closed: usize,
    calls: Vec<BegunCall>,
    /// Log-probabilities of tokens that have no text yet.
    pending_logprobs: Vec<Value>,
    /// `sequence_number` of the next event.
    number: u64,
    /// Only the whole response is wanted.
    omit_events: bool,
}

impl AnswerWriter for Writer {
    fn api(&self) -> ClientApi {
        ClientApi::Responses
    }

    fn set_model(&mut self, name: &str) {
        self.response.set_model(name);
    }

    fn omit_events(&mut self, created: Option<u64>) {
        self.omit_events = true;
        if let Some(created) = created {
            self.response.set_created(created);
        }
    }

    fn start(&mut self, created: Option<u64>, _: Option<Usage>, out: &mut Vec<u8>) {
        if let Some(created) = created {
            self.response.set_created(created);
        }
        for kind in ["response.created", "response.in_progress"] {
            self.send(out, kind, json!({ "response": self.response.in_progress() }));
        }
    }

    fn add(&mut self, delta: Delta<'_>, call: usize, out: &mut Vec<u8>) {
        match delta {
            Delta::Reasoning(text) => self.add_reasoning(text, out),
            Delta::Text("", logprobs) => self.keep_logprobs(logprobs),
            Delta::Text(text, logprobs) => self.add_text(false, text, logprobs, out),
            Delta::Refusal(text) => self.add_text(true, text, &[], out),
            Delta::ToolCall(part) => self.add_call(part, call, out),
        }
    }

    fn finish(&mut self, reason: &FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        for call in 0..self.calls.len() {
            if self.calls[call].item.is_none() {
                self.open_call(call, "", out);
            }
        }
        if self.items.is_empty() {
            // Readers take the first item's text.
            let at = self.open(Body::Message(Vec::new()), out);
            self.open_part(at, false, out);
        }
        let status = if reason.is_incomplete() { "incomplete" } else { "completed" };
        for at in 0..self.items.len() {
            self.close(at, status, out);
        }
        if !self.omit_events {
            let whole = self.whole(reason, usage);
            self.send(out, &format!("response.{status}"), json!({ "response": whole }));
        }
    }

    fn whole(&self, reason: &FinishReason, usage: Option<Usage>) -> Value {
        self.response.finished(reason, self.items.iter().map(Item::json).collect(), usage)
    }

    fn fail(&mut self, error: &ApiError, usage: Option<Usage>, started: bool, out: &mut Vec<u8>) {
        if !started {
            self.start(None, None, out);
        }
        for item in self.items.iter_mut().filter(|item| item.open) {
            item.status = "incomplete";
        }
        // The codes that OpenAI's libraries know.
        let code = match error.status {
            429 => "rate_limit_exceeded",
            400..500 => "invalid_prompt",
            _ => "server_error",
        };
        let error = json!({ "code": code, "message": format!("{} ({})", error.message, error.code) });
        let output = self.items.iter().map(Item::json).collect();
        let whole = self.response.failed(error, output, usage);
        self.send(out, "response.failed", json!({ "response": whole }));
    }

    fn boxed(&self) -> Box<dyn AnswerWriter> {
        Box::new(self.clone())
    }
}

impl Writer {
    pub(super) fn new(response: ResponseObject, names: ToolNames) -> Self {
        Self {
            response,
            names,
            items: Vec::new(),
            closed: 0,
            calls: Vec::new(),
            pending_logprobs: Vec::new(),
            number: 0,
            omit_events: false,
        }
    }

    fn add_reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        let at = match self.items.last() {
            Some(Item { open: true, body: Body::Reasoning(_), .. }) => self.items.len() - 1,
            _ => {
                let at = self.open(Body::Reasoning(String::new()), out);
                self.part_event(out, "response.content_part.added", at, 0, json!({ "part": reasoning_part("") }));
                at
            }
        };
        if let Body::Reasoning(whole) = &mut self.items[at].body {
            whole.push_str(text);
        }
        self.part_event(out, "response.reasoning_text.delta", at, 0, json!({ "delta": text }));
    }

    /// Keeps the log-probabilities of tokens without text for the text that follows, if a message is under way.
    fn keep_logprobs(&mut self, logprobs: &[Value]) {
        if let Some(Item { open: true, body: Body::Message(_), .. }) = self.items.last() {
            self.pending_logprobs.extend_from_slice(logprobs);
        }
    }

    fn add_text(&mut self, refusal: bool, text: &str, logprobs: &[Value], out: &mut Vec<u8>) {
        let at = match self.items.last() {
            Some(Item { open: true, body: Body::Message(_), .. }) => self.items.len() - 1,
            _ => self.open(Body::Message(Vec::new()), out),
        };
        let Body::Message(parts) = &self.items[at].body else { return };
        if parts.last().is_none_or(|part| part.refusal != refusal) {
            self.close_part(at, out);
            self.open_part(at, refusal, out);
        }
        let Body::Message(parts) = &mut self.items[at].body else { return };
        let index = parts.len().saturating_sub(1);
        let mut new = std::mem::take(&mut self.pending_logprobs);
        new.extend_from_slice(logprobs);
        if let Some(part) = parts.last_mut() {
            part.text.push_str(text);
            part.logprobs.extend_from_slice(&new);
        }
        if refusal {
            self.part_event(out, "response.refusal.delta", at, index, json!({ "delta": text }));
        } else {
            let delta = json!({ "delta": text, "logprobs": new });
            self.part_event(out, "response.output_text.delta", at, index, delta);
        }
    }

    fn add_call(&mut self, part: ToolCallDelta<'_>, call: usize, out: &mut Vec<u8>) {
        if self.calls.len() <= call {
            self.calls.resize(call + 1, BegunCall::default());
        }
        let begun = &mut self.calls[call];
        if let (Some(id), true) = (part.id, begun.id.is_empty()) {
            id.clone_into(&mut begun.id);
        }
        match (begun.item, part.name) {
            (Some(at), _) => self.add_arguments(at, part.arguments, out),
            (None, Some(name)) => {
                begun.pending.push_str(part.arguments);
                self.open_call(call, name, out);
            }
            (None, None) => begun.pending.push_str(part.arguments),
        }
    }

    /// Opens the item of a call whose name is known, or will not come.
    fn open_call(&mut self, number: usize, name: &str, out: &mut Vec<u8>) {
        let BegunCall { id, pending, .. } = std::mem::take(&mut self.calls[number]);
        let id = if id.is_empty() { self.response.item_id("call", number) } else { id };
        let call = Call::new(id.clone(), name, self.names.find(name));
        let at = self.open(Body::Call(call), out);
        self.calls[number] = BegunCall { item: Some(at), id, pending: String::new() };
        self.add_arguments(at, &pending, out);
    }

    fn add_arguments(&mut self, at: usize, more: &str, out: &mut Vec<u8>) {
        let item = &mut self.items[at];
        // A closed call's arguments were a whole object: what follows is white space or noise.
        if more.is_empty() || !item.open {
            return;
        }
        let Body::Call(call) = &mut item.body else { return };
        call.tracker.feed(more);
        if let Some(input) = &mut call.input {
            let new = input.feed(more);
            self.input_event(at, &new, out);
        } else {
            call.arguments.push_str(more);
            self.item_event(out, "response.function_call_arguments.delta", at, json!({ "delta": more }));
        }
    }

    fn input_event(&mut self, at: usize, new: &str, out: &mut Vec<u8>) {
        if !new.is_empty() {
            self.item_event(out, "response.custom_tool_call_input.delta", at, json!({ "delta": new }));
        }
    }

    /// Opens an item; those before it that are complete are closed.
    fn open(&mut self, body: Body, out: &mut Vec<u8>) -> usize {
        for at in self.closed..self.items.len() {
            if self.items[at].is_closable() {
                self.close(at, "completed", out);
            }
        }
        self.closed += self.items[self.closed..].iter().take_while(|item| !item.open).count();
        let at = self.items.len();
        let id = self.response.item_id(Item::id_prefix(&body), at);
        let item = Item { id, body, open: true, status: "in_progress" };
        let event = json!({ "output_index": at, "item": item.json() });
        self.items.push(item);
        self.send(out, "response.output_item.added", event);
        at
    }

    fn close(&mut self, at: usize, status: &'static str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.items[at].open, false) {
            return;
        }
        let item = &mut self.items[at];
        item.status = status;
        if let Body::Message(parts) = &mut item.body
            && let Some(part) = parts.last_mut()
        {
            // The last tokens may have no text: where a stop string was, or the end.
            part.logprobs.append(&mut self.pending_logprobs);
        }
        if let Body::Call(Call { input: Some(input), .. }) = &mut item.body {
            let rest = input.finish();
            self.input_event(at, &rest, out);
        }
        if self.omit_events {
            return;
        }
        match &self.items[at].body {
            Body::Reasoning(text) => {
                let (done, part) = (json!({ "text": text }), json!({ "part": reasoning_part(text) }));
                self.part_event(out, "response.reasoning_text.done", at, 0, done);
                self.part_event(out, "response.content_part.done", at, 0, part);
            }
            Body::Message(_) => self.close_part(at, out),
            Body::Call(Call { input: Some(input), .. }) => {
                let done = json!({ "input": input.text() });
                self.item_event(out, "response.custom_tool_call_input.done", at, done);
            }
            Body::Call(call) => {
                let done = json!({ "name": call.name, "arguments": call.arguments });
                self.item_event(out, "response.function_call_arguments.done", at, done);
            }
        }
        let item = self.items[at].json();
        self.send(out, "response.output_item.done", json!({ "output_index": at, "item": item }));
    }

    fn open_part(&mut self, at: usize, refusal: bool, out: &mut Vec<u8>) {
        let Body::Message(parts) = &mut self.items[at].body else { return };
        let part = Part { refusal, ..Part::default() };
        let (index, event) = (parts.len(), json!({ "part": part.json() }));
        parts.push(part);
        self.part_event(out, "response.content_part.added", at, index, event);
    }

    /// Closes the last part of a message.
    fn close_part(&mut self, at: usize, out: &mut Vec<u8>) {
        let Body::Message(parts) = &self.items[at].body else { return };
        let Some(part) = parts.last() else { return };
        let (index, event) = (parts.len() - 1, json!({ "part": part.json() }));
        if part.refusal {
            let done = json!({ "refusal": part.text });
            self.part_event(out, "response.refusal.done", at, index, done);
        } else {
            let done = json!({ "text": part.text, "logprobs": part.logprobs });
            self.part_event(out, "response.output_text.done", at, index, done);
        }
        self.part_event(out, "response.content_part.done", at, index, event);
    }

    fn part_event(&mut self, out: &mut Vec<u8>, kind: &str, at: usize, index: usize, rest: Value) {
        let mut event = json!({ "item_id": self.items[at].id, "output_index": at, "content_index": index });
        merge(&mut event, rest);
        self.send(out, kind, event);
    }

    fn item_event(&mut self, out: &mut Vec<u8>, kind: &str, at: usize, rest: Value) {
        let mut event = json!({ "item_id": self.items[at].id, "output_index": at });
        merge(&mut event, rest);
        self.send(out, kind, event);
    }

    fn send(&mut self, out: &mut Vec<u8>, kind: &str, rest: Value) {
        if self.omit_events {
            return;
        }
        let mut event = json!({ "type": kind, "sequence_number": self.number });
        merge(&mut event, rest);
        self.number += 1;
        out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
    }
}

fn merge(event: &mut Value, rest: Value) {
    if let (Value::Object(event), Value::Object(rest)) = (event, rest) {
        event.extend(rest);
    }
}
