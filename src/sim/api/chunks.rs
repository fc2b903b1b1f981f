//! Chunks of a chat or a completion, an event for each token; what does not change from chunk to chunk is written once.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::generate::{Head, logprob};
use super::params::Params;
use super::stream::{Events, Framing, push_str};
use super::tools::Tool;
use crate::sim::engine::Engine;
use crate::sim::metrics::Finish;
use crate::sim::stamp::random_id;

/// What a chat wants to see of tokens and tools.
pub(super) struct Extras {
    pub(super) top_logprobs: Option<i64>,
    pub(super) prompt_ids: Option<Vec<u32>>,
    pub(super) tool: Option<Tool>,
}

impl Extras {
    /// The `finish_reason` of an answer that ends so.
    pub(super) fn finish(&self, finish: Finish) -> &'static str {
        match &self.tool {
            Some(tool) if finish == Finish::Stop => tool.finish(),
            _ => finish.word(),
        }
    }

    /// What token number `at` says, and how likely it was.
    fn delta(&self, out: &mut BytesMut, answer: &Answer, at: usize) {
        let token = answer.token(at);
        out.put_slice(br#","delta":"#);
        if let Some(tool) = self.tool.as_ref().filter(|_| at >= answer.reasoning) {
            let call = match (at == answer.reasoning, tool.is_any) {
                (true, _) => json!({
                    "id": format!("chatcmpl-tool-{}", random_id()), "type": "function", "index": 0,
                    "function": { "name": tool.name, "arguments": token },
                }),
                (false, true) => json!({ "index": 0, "function": { "name": null, "arguments": token } }),
                (false, false) => json!({ "index": 0, "function": { "arguments": token } }),
            };
            let _ = write!(out, "{}", json!({ "tool_calls": [call] }));
        } else {
            let member: &[u8] = if at < answer.reasoning { br#"{"reasoning":"# } else { br#"{"content":"# };
            out.put_slice(member);
            push_str(out, token);
            out.put_u8(b'}');
        }
        match self.top_logprobs {
            None => out.put_slice(br#","logprobs":null"#),
            Some(top) => {
                let _ = write!(out, r#","logprobs":{}"#, json!({ "content": [token_logprob(answer, at, top)] }));
            }
        }
    }
}

/// A token's own log probability and `top` likely ones, itself first.
pub(super) fn token_logprob(answer: &Answer, at: usize, top: i64) -> Value {
    let entry = |text: &str, rank: usize| json!({ "token": text, "logprob": logprob(at) - rank as f64, "bytes": text.as_bytes() });
    let mut own = entry(answer.token(at), 0);
    let top = usize::try_from(top).unwrap_or(0);
    own["top_logprobs"] = (0..top).map(|rank| entry(answer.token(at + rank), rank)).collect();
    own
}

/// `chat.completion.chunk` or `text_completion` events.
pub(super) struct Chunks {
    prefix: Vec<u8>,
    fingerprint: String,
    params: Params,
    answers: Vec<Answer>,
    prompt: usize,
    /// `None`: a completion's.
    chat: Option<Extras>,
    thinks: bool,
    prompt_details: bool,
    generated: usize,
    reasoned: usize,
}

impl Chunks {
    /// Of `answers` to a prompt of `prompt` tokens; without `chat` they are those of the Completions API.
    pub(super) fn new(
        engine: &Engine,
        head: Head,
        params: Params,
        answers: Vec<Answer>,
        prompt: usize,
        chat: Option<Extras>,
    ) -> Self {
        let (prefix, object) =
            if chat.is_some() { ("chatcmpl", "chat.completion.chunk") } else { ("cmpl", "text_completion") };
        let (id, model) = (json!(format!("{prefix}-{}", head.id)), json!(head.model));
        let created = head.created;
        let prefix =
            format!(r#"data: {{"id":{id},"object":"{object}","created":{created},"model":{model},"choices":["#);
        Self {
            prefix: prefix.into_bytes(),
            fingerprint: head.fingerprint,
            thinks: chat.is_some() && engine.settings.thinks,
            prompt_details: engine.settings.args.enable_prompt_tokens_details,
            params,
            answers,
            prompt,
            chat,
            generated: 0,
            reasoned: 0,
        }
    }

    fn usage(&self, out: &mut BytesMut, completion: usize, reasoning: usize, last: bool) {
        let (prompt, total) = (self.prompt, self.prompt + completion);
        let _ = write!(
            out,
            r#","usage":{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}"#
        );
        if last && self.prompt_details {
            out.put_slice(br#","prompt_tokens_details":{"cached_tokens":0"#);
            out.put_slice(if self.chat.is_some() { br#","created_cache_tokens":0}"# } else { b"}" });
        }
        if self.thinks {
            let _ = write!(out, r#","completion_tokens_details":{{"reasoning_tokens":{reasoning}}}"#);
        } else if self.chat.is_some() && !last {
            out.put_slice(br#","completion_tokens_details":null"#);
        }
        out.put_u8(b'}');
    }

    /// Token number `at` of choice number `index`, which ends with it if there is an `end`.
    fn choice(&self, out: &mut BytesMut, index: usize, at: usize, end: Option<Finish>) {
        let answer = &self.answers[index];
        let _ = write!(out, r#"{{"index":{index}"#);
        match &self.chat {
            Some(chat) => chat.delta(out, answer, at),
            None => {
                out.put_slice(br#","text":"#);
                push_str(out, answer.token(at));
                out.put_slice(br#","logprobs":null"#);
            }
        }
        out.put_slice(br#","finish_reason":"#);
        push_or_null(out, end.map(|end| self.chat.as_ref().map_or(end.word(), |chat| chat.finish(end))));
        if end.is_some() || self.chat.is_none() {
            out.put_slice(br#","stop_reason":"#);
            let stop = answer.stop_reason.as_deref();
            push_or_null(out, stop.filter(|_| end.is_some_and(|end| end != Finish::Abort)));
        }
        if self.chat.is_none() {
            out.put_slice(br#","prompt_token_ids":null"#);
        }
        if self.params.token_ids {
            let _ = write!(out, r#","token_ids":[{}]}}]"#, answer.id(at));
        } else {
            out.put_slice(br#","token_ids":null}]"#);
        }
    }

    fn fingerprint(&self, out: &mut BytesMut) {
        out.put_slice(br#","system_fingerprint":"#);
        push_str(out, &self.fingerprint);
    }
}

impl Framing for Chunks {
    fn open(&mut self, out: &mut Events) {
        let Some(chat) = &self.chat else { return };
        let ids = json!(chat.prompt_ids);
        for index in 0..self.answers.len() {
            out.event(|out| {
                out.put_slice(&self.prefix);
                let _ = write!(out, r#"{{"index":{index}"#);
                out.put_slice(br#","delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#);
                if self.params.continuous_usage {
                    self.usage(out, 0, 0, false);
                }
                let _ = write!(out, r#","prompt_token_ids":{ids},"prompt_text":null}}"#);
            });
        }
    }

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        let going = self.answers.iter().filter(|answer| at < answer.count).count();
        let all_end = abort || self.answers.iter().all(|answer| at + 1 >= answer.count);
        let mut left = going;
        for (index, answer) in self.answers.iter().enumerate().filter(|(_, answer)| at < answer.count) {
            left -= 1;
            let end = if abort { Some(Finish::Abort) } else { (at + 1 == answer.count).then_some(answer.finish) };
            out.event(|out| {
                out.put_slice(&self.prefix);
                self.choice(out, index, at, end);
                if self.params.continuous_usage {
                    self.usage(out, at + 1, answer.reasoning.min(at + 1), false);
                }
                if all_end && left == 0 && !self.params.include_usage {
                    self.fingerprint(out);
                }
                out.put_u8(b'}');
            });
            self.reasoned += usize::from(at < answer.reasoning);
        }
        self.generated += going;
        going
    }

    fn close(&mut self, out: &mut Events) {
        if self.params.include_usage {
            out.event(|out| {
                out.put_slice(&self.prefix);
                out.put_u8(b']');
                self.usage(out, self.generated, self.reasoned, true);
                self.fingerprint(out);
                out.put_u8(b'}');
            });
        }
        out.done();
    }

    fn finish(&self) -> Finish {
        self.answers.first().map_or(Finish::Stop, |answer| answer.finish)
    }
}

fn push_or_null(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => push_str(out, text),
        None => out.put_slice(b"null"),
    }
}
