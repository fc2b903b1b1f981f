//! `POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API.

use serde_json::{Value, json};

use super::answer::Answer;
use super::conversation::{last_user_text, prompt_tokens};
use super::generate::{ApiReply, ApiRequest, Head, collect};
use super::params::Params;
use super::stream::{Events, Framing};
use super::tokens;
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::{Fields, content_text};

/// Answers a message. (Thoughts are not shown apart here.)
pub(crate) async fn messages(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["model", "messages", "max_tokens"])?;
    let params = Params::read(&fields, &["max_tokens"], &request.engine.settings)?;
    let head = request.head(&fields)?;
    let prompt = input_tokens(&fields, &params);
    let room = params.room(prompt, &request.engine.settings)?;
    Params::check_sampling(&fields)?;
    let mut answers = vec![Answer::to(&last_user_text(list(&fields)), &params, 0, false, request.pace.tokens, room)];
    let run = request.enqueue(&params, prompt, &mut answers)?;
    if params.stream {
        let answer = answers.remove(0);
        return Ok(ApiReply::stream(run, Named { head, answer, prompt, generated: 0, aborted: false }));
    }
    collect(run, &mut answers).await;
    let answer = &answers[0];
    let mut whole = json!({
        "id": format!("chatcmpl-{}", head.id), "type": "message", "role": "assistant",
        "content": [{ "type": "text", "text": answer.text(0, answer.count) }], "model": head.model,
        "stop_reason": stop_reason(answer, answer.finish),
    });
    if let Some(stop) = &answer.stop_reason {
        whole["stop_sequence"] = stop.as_str().into();
    }
    whole["usage"] = usage(prompt, answer.count);
    Ok(ApiReply::Json(whole))
}

/// Counts the tokens of a message.
pub(crate) fn count_tokens(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["model", "messages"])?;
    let params = Params::read(&fields, &[], &request.engine.settings)?;
    request.head(&fields)?;
    let count = input_tokens(&fields, &params);
    Ok(ApiReply::Json(json!({ "input_tokens": count, "context_management": { "original_input_tokens": count } })))
}

fn list(fields: &Fields) -> &[Value] {
    fields.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn input_tokens(fields: &Fields, params: &Params) -> usize {
    let system = fields.get("system").map_or(0, |system| 5 + tokens::count(&content_text(system)));
    prompt_tokens(list(fields), params) + system
}

fn stop_reason(answer: &Answer, finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "max_tokens",
        Finish::Stop if answer.stop_reason.is_some() => "stop_sequence",
        Finish::Stop | Finish::Abort => "end_turn",
    }
}

fn usage(input: usize, output: usize) -> Value {
    json!({
        "input_tokens": input, "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    })
}

/// `message_…` and `content_block_…` events.
struct Named {
    head: Head,
    answer: Answer,
    prompt: usize,
    generated: usize,
    aborted: bool,
}

impl Framing for Named {
    fn open(&mut self, out: &mut Events) {
        let start = json!({ "type": "message_start", "message": {
            "id": format!("chatcmpl-{}", self.head.id), "type": "message", "role": "assistant", "content": [],
            "model": self.head.model, "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": self.prompt, "output_tokens": 0 },
        }});
        out.named("message_start", &start);
        let block =
            json!({ "type": "content_block_start", "content_block": { "type": "text", "text": "" }, "index": 0 });
        out.named("content_block_start", &block);
    }

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        self.aborted = abort;
        self.generated += 1;
        let delta = json!({
            "type": "content_block_delta", "delta": { "type": "text_delta", "text": self.answer.token(at) }, "index": 0,
        });
        out.named("content_block_delta", &delta);
        1
    }

    fn close(&mut self, out: &mut Events) {
        if self.generated > 0 {
            out.named("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 }));
            let finish = if self.aborted { Finish::Abort } else { self.answer.finish };
            let delta = json!({
                "type": "message_delta",
                "delta": {
                    "stop_reason": stop_reason(&self.answer, finish), "stop_sequence": self.answer.stop_reason,
                },
                "usage": usage(self.prompt, self.generated),
            });
            out.named("message_delta", &delta);
        }
        out.named("message_stop", &json!({ "type": "message_stop" }));
    }

    fn finish(&self) -> Finish {
        self.answer.finish
    }
}
