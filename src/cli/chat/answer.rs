//! An answer, put together from the events of a stream or from one body; pure.

use serde_json::Value;

/// A part of an answer, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// What the model thinks before it answers.
    Reasoning(String),
    /// The answer itself.
    Text(String),
}

/// A tool that the model wants to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// JSON, as the model wrote it.
    pub(super) arguments: String,
}

/// All that has come of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Without the reasoning.
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// Why it ended.
    pub(super) finish: Option<String>,
    /// As the server counts them.
    pub(super) tokens: Option<u64>,
    /// Pieces that had something in them.
    pub(super) pieces: u64,
}

/// Most tool calls of an answer: their places are chosen by the server.
const CALLS: usize = 128;

impl Answer {
    /// Takes in an event, or a whole answer; what it adds. Of several choices the first is shown.
    pub(super) fn add(&mut self, event: &Value) -> Vec<Piece> {
        if let Some(tokens) = event.pointer("/usage/completion_tokens").and_then(Value::as_u64) {
            self.tokens = Some(tokens);
        }
        let mut pieces = Vec::new();
        for choice in event.get("choices").and_then(Value::as_array).into_iter().flatten() {
            if choice.get("index").and_then(Value::as_u64).is_some_and(|index| index > 0) {
                continue;
            }
            if let Some(why) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish = Some(why.to_owned());
            }
            if let Some(said) = choice.get("delta").or_else(|| choice.get("message")) {
                self.said(said, &mut pieces);
            }
        }
        pieces
    }

    fn said(&mut self, said: &Value, pieces: &mut Vec<Piece>) {
        let text = |name: &str| said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let before = pieces.len();
        // Servers that know both names send the same under both.
        pieces
            .extend(text("reasoning").or_else(|| text("reasoning_content")).map(|text| Piece::Reasoning(text.into())));
        for text in [text("content"), text("refusal")].into_iter().flatten() {
            self.text.push_str(text);
            pieces.push(Piece::Text(text.into()));
        }
        let calls = said.get("tool_calls").and_then(Value::as_array);
        for (place, call) in calls.into_iter().flatten().enumerate() {
            self.call(call, place);
        }
        if pieces.len() > before || calls.is_some_and(|calls| !calls.is_empty()) {
            self.pieces += 1;
        }
    }

    fn call(&mut self, call: &Value, place: usize) {
        let index = call.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let index = index.unwrap_or(place);
        if index >= CALLS {
            return;
        }
        if self.calls.len() <= index {
            self.calls.resize_with(index + 1, Call::default);
        }
        let text = |name: &str| call.pointer(name).and_then(Value::as_str).unwrap_or_default();
        self.calls[index].name.push_str(text("/function/name"));
        self.calls[index].arguments.push_str(text("/function/arguments"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delta(delta: &Value) -> Value {
        json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
    }

    #[test]
    fn a_stream_is_put_together() {
        let mut answer = Answer::default();
        let mut add = |event: &Value| answer.add(event);
        assert_eq!(add(&delta(&json!({ "role": "assistant", "content": "" }))), []);
        assert_eq!(add(&delta(&json!({ "reasoning": "hm" }))), [Piece::Reasoning("hm".into())]);
        assert_eq!(add(&delta(&json!({ "reasoning_content": "so" }))), [Piece::Reasoning("so".into())]);
        assert_eq!(add(&delta(&json!({ "content": "He" }))), [Piece::Text("He".into())]);
        assert_eq!(add(&json!({ "choices": [{ "index": 1, "delta": { "content": "x" } }] })), []);
        add(&json!({ "choices": [{ "index": 0, "delta": { "content": "llo" }, "finish_reason": "stop" }] }));
        add(&json!({ "choices": [], "usage": { "completion_tokens": 9 } }));
        let wanted =
            Answer { text: "Hello".into(), calls: vec![], finish: Some("stop".into()), tokens: Some(9), pieces: 4 };
        assert_eq!(answer, wanted);
    }

    #[test]
    fn tool_calls_are_put_together() {
        let mut answer = Answer::default();
        for (index, name, arguments) in [(0, "find", "{\"a\""), (1, "stop", "{}"), (0, "", ": 1}")] {
            let function = json!({ "name": name, "arguments": arguments });
            answer.add(&delta(&json!({ "tool_calls": [{ "index": index, "function": function }] })));
        }
        answer.add(&delta(&json!({ "tool_calls": [{ "index": 1_000_000, "function": { "name": "x" } }] })));
        let calls: Vec<_> = answer.calls.iter().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(calls, [("find", "{\"a\": 1}"), ("stop", "{}")]);
    }

    #[test]
    fn a_whole_answer_is_read_the_same() {
        let mut answer = Answer::default();
        let calls = json!([{ "id": "1", "function": { "name": "f", "arguments": "{}" } }]);
        let message = json!({ "role": "assistant", "reasoning": "hm", "content": "Hi", "tool_calls": calls });
        let pieces =
            answer.add(&json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] }));
        assert_eq!(pieces, [Piece::Reasoning("hm".into()), Piece::Text("Hi".into())]);
        assert_eq!((answer.calls.len(), answer.finish.as_deref()), (1, Some("tool_calls")));
    }
}
