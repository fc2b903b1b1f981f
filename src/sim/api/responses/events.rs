//! `response.…` events: the items of a response, one after the other.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::stream::{End, Events, Framing};
use super::items::{Item, Kind, part, thought};
use super::keep::Keep;
use super::sheet::Sheet;
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;

/// The events of one response.
pub(super) struct Named {
    sheet: Sheet,
    keep: Keep,
    answer: Answer,
    /// Of the next event.
    number: usize,
    generated: usize,
    aborted: bool,
    /// The item that goes on, and the number of its first token.
    open: Option<(Item, usize)>,
    done: Vec<Value>,
}

impl Named {
    pub(super) fn new(sheet: Sheet, keep: Keep, answer: Answer) -> Self {
        Self { sheet, keep, answer, number: 0, generated: 0, aborted: false, open: None, done: Vec::new() }
    }

    fn send(&mut self, out: &mut Events, kind: &str, mut value: Value) {
        // vLLM sorts members by name here, except that `text` comes after the number and `name` after the kind.
        let mut taken = |name: &str| value.as_object_mut().and_then(|members| members.shift_remove(name));
        let (text, name) = (taken("text"), taken("name"));
        value["sequence_number"] = self.number.into();
        if let Some(text) = text {
            value["text"] = text;
        }
        value["type"] = kind.into();
        if let Some(name) = name {
            value["name"] = name;
        }
        self.number += 1;
        out.named(kind, &value);
    }

    fn begins(&mut self, kind: Kind, at: usize, out: &mut Events) {
        let item = Item::new(kind);
        let (shown, index) = (item.begun(self.sheet.tool.as_ref()), self.done.len());
        self.send(out, "response.output_item.added", json!({ "item": shown, "output_index": index }));
        let first = match kind {
            Kind::Thought => Some(thought("")),
            Kind::Text => Some(part("", json!([]))),
            Kind::Call | Kind::CustomCall => None,
        };
        if let Some(part) = first {
            let added = json!({ "content_index": 0, "item_id": item.id, "output_index": index, "part": part });
            self.send(out, "response.content_part.added", added);
        }
        self.open = Some((item, at));
    }

    fn delta(&mut self, item: &Item, at: usize, out: &mut Events) {
        let (token, index) = (self.answer.token(at), self.done.len());
        let (kind, delta) = match item.kind {
            Kind::Thought => (
                "response.reasoning_text.delta",
                json!({ "content_index": 0, "delta": token, "item_id": item.id, "output_index": index }),
            ),
            Kind::Text => (
                "response.output_text.delta",
                json!({ "content_index": 0, "delta": token, "item_id": item.id, "logprobs": [], "output_index": index }),
            ),
            Kind::Call => (
                "response.function_call_arguments.delta",
                json!({ "delta": token, "item_id": item.id, "output_index": index }),
            ),
            Kind::CustomCall => (
                "response.custom_tool_call_input.delta",
                json!({ "delta": token, "item_id": item.id, "output_index": index }),
            ),
        };
        self.send(out, kind, delta);
    }

    /// Ends the item that goes on; token number `to` is no longer of it.
    fn ends(&mut self, to: usize, out: &mut Events) {
        let Some((item, from)) = self.open.take() else { return };
        let (text, index) = (self.answer.text(from, to), self.done.len());
        let (kind, ended) = match item.kind {
            Kind::Thought => (
                "response.reasoning_text.done",
                json!({ "content_index": 0, "item_id": item.id, "output_index": index, "text": text }),
            ),
            Kind::Text => (
                "response.output_text.done",
                json!({ "content_index": 0, "item_id": item.id, "logprobs": [], "output_index": index, "text": text }),
            ),
            Kind::Call => {
                let name = self.sheet.tool.as_ref().map(|tool| tool.name.as_str());
                (
                    "response.function_call_arguments.done",
                    json!({ "arguments": text, "item_id": item.id, "output_index": index, "name": name }),
                )
            }
            Kind::CustomCall => (
                "response.custom_tool_call_input.done",
                json!({ "input": text, "item_id": item.id, "output_index": index }),
            ),
        };
        self.send(out, kind, ended);
        let last = match item.kind {
            Kind::Thought => Some(thought(&text)),
            Kind::Text => Some(part(&text, Value::Null)),
            Kind::Call | Kind::CustomCall => None,
        };
        if let Some(part) = last {
            let done = json!({ "content_index": 0, "item_id": item.id, "output_index": index, "part": part });
            self.send(out, "response.content_part.done", done);
        }
        let shown = item.done(self.sheet.tool.as_ref(), &text);
        self.send(out, "response.output_item.done", json!({ "item": shown, "output_index": index }));
        self.done.push(shown);
    }
}

impl Framing for Named {
    fn begin(&mut self, out: &mut Events) {
        let base = self.sheet.base.clone();
        self.send(out, "response.created", json!({ "response": base }));
        self.send(out, "response.in_progress", json!({ "response": base }));
    }

    fn open(&mut self, _: &mut Events) {}

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        self.aborted = abort;
        self.generated += 1;
        let kind = Kind::of(&self.answer, self.sheet.tool.as_ref(), at);
        if self.open.as_ref().is_none_or(|(item, _)| item.kind != kind) {
            self.ends(at, out);
            self.begins(kind, at, out);
        }
        if let Some((item, _)) = self.open.clone() {
            self.delta(&item, at, out);
        }
        1
    }

    fn close(&mut self, out: &mut Events) {
        self.ends(self.generated, out);
        let is_cut = self.aborted || self.generated < self.answer.count;
        let finish = if is_cut { Finish::Abort } else { self.answer.finish };
        let tokens = (self.generated, self.answer.reasoning.min(self.generated));
        let whole = self.sheet.ended(std::mem::take(&mut self.done), tokens, finish);
        self.keep.keep(&whole);
        self.send(out, "response.completed", json!({ "response": whole }));
    }

    /// vLLM's task of a response dies with its engine, and its connection with it.
    fn fail(&mut self, _: &Fail, _: &mut Events) -> End {
        End::Torn
    }

    fn finish(&self) -> Finish {
        self.answer.finish
    }
}
