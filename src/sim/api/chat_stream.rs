//! Events of a chat answer; what does not change from chunk to chunk is written once.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::generate::{Head, logprob};
use super::params::Params;
use super::stream::{Events, Framing, push_number, push_str};
use super::tools::Tool;
use crate::sim::engine::Engine;
use crate::sim::metrics::Finish;
use crate::sim::stamp::random_id;

/// What a request wants to see of tokens and tools.
pub(super) struct Extras {
    pub(super) top_logprobs: Option<i64>,
    pub(super) prompt_ids: Option<Vec<u32>>,
    pub(super) tool: Option<Tool>,
}

/// A token's own log probability and `top` likely ones, itself first.
pub(super) fn token_logprob(answer: &Answer, at: usize, top: i64) -> Value {
    let entry = |text: &str, rank: usize| json!({ "token": text, "logprob": logprob(at) - rank as f64, "bytes": text.as_bytes() });
    let mut own = entry(answer.token(at), 0);
    let top = usize::try_from(top).unwrap_or(0);
    own["top_logprobs"] = (0..top).map(|rank| entry(answer.token(at + rank), rank)).collect();
    own
}

/// `chat.completion.chunk` events. What does not change from chunk to chunk is written once.
pub(super) struct Chunks {
    prefix: Vec<u8>,
    head: Head,
    params: Params,
    answers: Vec<Answer>,
    prompt: usize,
    extras: Extras,
    thinks: bool,
    prompt_details: bool,
    generated: usize,
    reasoned: usize,
}

impl Chunks {
    pub(super) fn new(
        engine: &Engine,
        head: Head,
        params: Params,
        answers: Vec<Answer>,
        prompt: usize,
        extras: Extras,
    ) -> Self {
        let (id, model) = (json!(format!("chatcmpl-{}", head.id)), json!(head.model));
        let created = head.created;
        let prefix = format!(
            r#"data: {{"id":{id},"object":"chat.completion.chunk","created":{created},"model":{model},"choices":["#
        );
        Self {
            prefix: prefix.into_bytes(),
            thinks: engine.settings.thinks,
            prompt_details: engine.settings.prompt_details,
            head,
            params,
            answers,
            prompt,
            extras,
            generated: 0,
            reasoned: 0,
        }
    }

    fn usage(&self, out: &mut BytesMut, completion: usize, reasoning: usize, last: bool) {
        out.put_slice(br#","usage":{"prompt_tokens":"#);
        push_number(out, self.prompt);
        out.put_slice(br#","total_tokens":"#);
        push_number(out, self.prompt + completion);
        out.put_slice(br#","completion_tokens":"#);
        push_number(out, completion);
        if last && self.prompt_details {
            out.put_slice(br#","prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":0}"#);
        }
        if self.thinks {
            out.put_slice(br#","completion_tokens_details":{"reasoning_tokens":"#);
            push_number(out, reasoning);
            out.put_u8(b'}');
        } else if !last {
            out.put_slice(br#","completion_tokens_details":null"#);
        }
        out.put_u8(b'}');
    }

    fn delta(&self, out: &mut BytesMut, answer: &Answer, at: usize) {
        let token = answer.token(at);
        let Some(tool) = &self.extras.tool else {
            let member: &[u8] = if at < answer.reasoning { br#"{"reasoning":"# } else { br#"{"content":"# };
            out.put_slice(member);
            push_str(out, token);
            out.put_u8(b'}');
            return;
        };
        let mut call = json!({ "index": 0, "function": { "arguments": token } });
        if at == 0 {
            call = json!({
                "id": format!("chatcmpl-tool-{}", random_id()), "type": "function", "index": 0,
                "function": { "name": tool.name, "arguments": token },
            });
        }
        out.put_slice(json!({ "tool_calls": [call] }).to_string().as_bytes());
    }

    fn finish_word(&self, answer: &Answer, abort: bool) -> &'static str {
        match &self.extras.tool {
            _ if abort => Finish::Abort.word(),
            Some(tool) if answer.finish == Finish::Stop => tool.finish,
            _ => answer.finish.word(),
        }
    }
}

impl Framing for Chunks {
    fn open(&mut self, out: &mut Events) {
        for index in 0..self.answers.len() {
            out.event(|out| {
                out.put_slice(&self.prefix);
                out.put_slice(br#"{"index":"#);
                push_number(out, index);
                out.put_slice(br#","delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#);
                if self.params.continuous_usage {
                    self.usage(out, 0, 0, false);
                }
                let ids = json!(self.extras.prompt_ids);
                out.put_slice(format!(r#","prompt_token_ids":{ids},"prompt_text":null}}"#).as_bytes());
            });
        }
    }

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        let going = self.answers.iter().filter(|answer| at < answer.count).count();
        let all_end = abort || self.answers.iter().all(|answer| at + 1 >= answer.count);
        let mut left = going;
        for (index, answer) in self.answers.iter().enumerate().filter(|(_, answer)| at < answer.count) {
            left -= 1;
            let ends = abort || at + 1 == answer.count;
            out.event(|out| {
                out.put_slice(&self.prefix);
                out.put_slice(br#"{"index":"#);
                push_number(out, index);
                out.put_slice(br#","delta":"#);
                self.delta(out, answer, at);
                out.put_slice(br#","logprobs":"#);
                match self.extras.top_logprobs {
                    None => out.put_slice(b"null"),
                    Some(top) => {
                        let of = json!({ "content": [token_logprob(answer, at, top)] });
                        out.put_slice(of.to_string().as_bytes());
                    }
                }
                out.put_slice(br#","finish_reason":"#);
                if ends {
                    push_str(out, self.finish_word(answer, abort));
                    out.put_slice(br#","stop_reason":"#);
                    match &answer.stop_reason {
                        Some(stop) if !abort => push_str(out, stop),
                        _ => out.put_slice(b"null"),
                    }
                } else {
                    out.put_slice(b"null");
                }
                out.put_slice(br#","token_ids":"#);
                if self.params.token_ids {
                    out.put_u8(b'[');
                    push_number(out, answer.id(at) as usize);
                    out.put_u8(b']');
                } else {
                    out.put_slice(b"null");
                }
                out.put_slice(b"}]");
                if self.params.continuous_usage {
                    self.usage(out, at + 1, answer.reasoning.min(at + 1), false);
                }
                if all_end && left == 0 && !self.params.include_usage {
                    out.put_slice(br#","system_fingerprint":"#);
                    push_str(out, &self.head.fingerprint);
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
                out.put_slice(br#","system_fingerprint":"#);
                push_str(out, &self.head.fingerprint);
                out.put_u8(b'}');
            });
        }
        out.done();
    }

    fn finish(&self) -> Finish {
        self.answers.first().map_or(Finish::Stop, |answer| answer.finish)
    }
}
