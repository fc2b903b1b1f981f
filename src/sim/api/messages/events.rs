//! `message_…` and `content_block_…` events: the blocks of a message, one after the other.

use serde_json::json;

use super::super::answer::Answer;
use super::super::stream::{End, Events, Framing};
use super::sheet::{Sheet, call_id, signature};
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    ToolUse,
}

/// The events of one message.
pub(super) struct Blocks {
    sheet: Sheet,
    answer: Answer,
    generated: usize,
    aborted: bool,
    open: Option<Kind>,
    index: usize,
}

impl Blocks {
    pub(super) fn new(sheet: Sheet, answer: Answer) -> Self {
        Self { sheet, answer, generated: 0, aborted: false, open: None, index: 0 }
    }

    fn kind(&self, at: usize) -> Kind {
        match (at < self.answer.reasoning, &self.sheet.tool) {
            (true, _) => Kind::Thinking,
            (false, None) => Kind::Text,
            (false, Some(_)) => Kind::ToolUse,
        }
    }

    fn begins(&mut self, kind: Kind, out: &mut Events) {
        let block = match kind {
            Kind::Thinking => json!({ "type": "thinking", "thinking": "" }),
            Kind::Text => json!({ "type": "text", "text": "" }),
            Kind::ToolUse => {
                let name = self.sheet.tool.as_ref().map(|tool| tool.name.as_str());
                json!({ "type": "tool_use", "id": call_id(), "name": name, "input": {} })
            }
        };
        let start = json!({ "type": "content_block_start", "content_block": block, "index": self.index });
        out.named("content_block_start", &start);
        self.open = Some(kind);
    }

    fn delta(&self, delta: &serde_json::Value, out: &mut Events) {
        let delta = json!({ "type": "content_block_delta", "delta": delta, "index": self.index });
        out.named("content_block_delta", &delta);
    }

    fn ends(&mut self, out: &mut Events) {
        let Some(kind) = self.open.take() else { return };
        if kind == Kind::Thinking {
            self.delta(&json!({ "type": "signature_delta", "signature": signature() }), out);
        }
        out.named("content_block_stop", &json!({ "type": "content_block_stop", "index": self.index }));
        self.index += 1;
    }
}

impl Framing for Blocks {
    fn open(&mut self, out: &mut Events) {
        out.named("message_start", &json!({ "type": "message_start", "message": self.sheet.begun() }));
    }

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        self.aborted = abort;
        self.generated += 1;
        let kind = self.kind(at);
        if self.open != Some(kind) {
            self.ends(out);
            self.begins(kind, out);
        }
        let token = self.answer.token(at);
        let delta = match kind {
            Kind::Thinking => json!({ "type": "thinking_delta", "thinking": token }),
            Kind::Text => json!({ "type": "text_delta", "text": token }),
            Kind::ToolUse => json!({ "type": "input_json_delta", "partial_json": token }),
        };
        self.delta(&delta, out);
        1
    }

    fn close(&mut self, out: &mut Events) {
        if self.generated > 0 {
            self.ends(out);
            let finish = if self.aborted { Finish::Abort } else { self.answer.finish };
            let (reason, sequence) = self.sheet.stop(&self.answer, finish);
            let delta = json!({
                "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": sequence },
                "usage": self.sheet.usage(self.generated),
            });
            out.named("message_delta", &delta);
        }
        out.named("message_stop", &json!({ "type": "message_stop" }));
    }

    /// vLLM makes these events of a chat's, and stumbles over the one that tells of an error.
    fn fail(&mut self, fail: &Fail, out: &mut Events) -> End {
        let (begin, code) = (fail.message.get(..2).unwrap_or_default(), fail.status.as_u16());
        let missing = |member: &str| {
            format!(
                "{member}\n  Field required [type=missing, input_value={{'error': {{'message': '{begin}...am': None, \
                 'code': {code}}}}}, input_type=dict]\n    For further information visit \
                 https://errors.pydantic.dev/2.14/v/missing"
            )
        };
        let message = format!(
            "2 validation errors for ChatCompletionStreamResponse\n{}\n{}",
            missing("model"),
            missing("choices")
        );
        let error = json!({ "type": "error", "error": { "type": "internal_error", "message": message } });
        out.named("error", &error);
        End::Whole
    }

    fn finish(&self) -> Finish {
        self.answer.finish
    }
}
