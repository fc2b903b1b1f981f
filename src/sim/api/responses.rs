//! `POST /v1/responses`: plain and as named events.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::Answer;
use super::conversation::{last_user_text, prompt_tokens};
use super::generate::{ApiReply, ApiRequest, collect};
use super::params::Params;
use super::stream::{Events, Framing};
use super::tokens;
use crate::openai::StoredResponse;
use crate::sim::engine::{Engine, Run};
use crate::sim::metrics::Finish;
use crate::sim::stamp::random_id;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;
use crate::sim::wire::query::parameter;
use crate::sim::wire::reply;

/// Answers a request of the Responses API. (Thoughts are not shown apart here.)
pub(crate) async fn responses(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["input"])?;
    let params = Params::read(&fields, &["max_output_tokens"], &request.engine.settings)?;
    let keep = Keep::read(&fields, &request.engine)?;
    let head = request.head(&fields)?;
    let messages: Vec<Value> = match fields.get("input") {
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => vec![json!({ "role": "user", "content": text })],
        _ => return Err(Fail::missing(&["input"], fields.0.len())),
    };
    let instructions = fields.text("instructions")?.map_or(0, tokens::count);
    let prompt = prompt_tokens(&messages, &params) + instructions;
    let room = params.room(prompt, &request.engine.settings)?;
    Params::check_sampling(&fields)?;
    let mut answers = vec![Answer::to(&last_user_text(&messages), &params, 0, false, request.pace.tokens, room)];
    let run = request.enqueue(&params, prompt, &mut answers)?;
    let sheet = Sheet {
        base: base(&fields, &format!("resp_{}", head.id), head.created, &head.model, &params),
        item: format!("msg_{}", random_id()),
        prompt,
    };
    if params.stream {
        let answer = answers.remove(0);
        return Ok(ApiReply::stream(run, Named { sheet, keep, answer, number: 0, generated: 0, aborted: false }));
    }
    if keep.background {
        return Ok(ApiReply::Json(keep.make(run, answers, sheet)));
    }
    collect(run, &mut answers).await;
    let answer = &answers[0];
    let whole = sheet.whole(&answer.text(0, answer.count), answer.count, answer.finish);
    keep.keep(&whole);
    Ok(ApiReply::Json(whole))
}

/// `GET /v1/responses/{id}`: a response that was kept.
pub(crate) fn stored(engine: &Engine, path: &str, query: &str) -> Result<Response, Fail> {
    let id = StoredResponse::find(path).map_or("", |stored| stored.id);
    let response = engine.responses.get(id).ok_or_else(|| no_response(id))?;
    if parameter(query, "stream").is_some_and(|on| matches!(on, "true" | "1")) {
        // Events are kept of none that is simulated.
        return Err(Fail::value("response_id", id, format!("Unknown response_id: {id}")));
    }
    Ok(reply::ok(&response))
}

/// `POST /v1/responses/{id}/cancel`: ends a response that is made in the background.
pub(crate) fn cancel(engine: &Engine, path: &str) -> Result<Response, Fail> {
    let id = StoredResponse::find(path).map_or("", |stored| stored.id);
    engine.responses.get(id).ok_or_else(|| no_response(id))?;
    let cancelled = engine.responses.cancel(id).ok_or_else(|| Fail {
        kind: "invalid_request_error",
        ..Fail::bad("Cannot cancel a synchronous response.", Some("response_id"))
    })?;
    Ok(reply::ok(&cancelled))
}

fn no_response(id: &str) -> Fail {
    let message = format!("Response with id '{id}' not found.");
    Fail { kind: "invalid_request_error", ..Fail::not_found(message, Some("response_id")) }
}

/// Whether a response is kept.
struct Keep {
    engine: Arc<Engine>,
    is_kept: bool,
    /// It is made after its request was answered.
    background: bool,
}

impl Keep {
    /// What the request asks for, which its engine must be able to do.
    fn read(fields: &Fields, engine: &Arc<Engine>) -> Result<Self, Fail> {
        let asked = fields.get("store").is_none() || fields.flag("store")?;
        let background = fields.flag("background")?;
        if asked && background && !engine.settings.keeps_responses {
            let message = "This vLLM engine does not support `store=True` and therefore does not support the background \
                           mode. To enable these features, set the environment variable \
                           `VLLM_ENABLE_RESPONSES_API_STORE=1` when launching the vLLM server.";
            return Err(Fail { kind: "invalid_request_error", ..Fail::bad(message, Some("background")) });
        }
        if background && !asked {
            return Err(Fail::bad("background can only be used when `store` is true", Some("background")));
        }
        if let Some(id) = fields.text("previous_response_id")?
            && engine.responses.get(id).is_none()
        {
            return Err(no_response(id));
        }
        Ok(Self { engine: engine.clone(), is_kept: asked && engine.settings.keeps_responses, background })
    }

    fn keep(&self, whole: &Value) {
        if self.is_kept {
            self.engine.responses.keep(whole);
        }
    }

    /// Makes a response in the background; returns what is told of it until then.
    fn make(self, run: Run, mut answers: Vec<Answer>, sheet: Sheet) -> Value {
        let mut queued = sheet.base.clone();
        queued["status"] = "queued".into();
        queued["background"] = true.into();
        self.engine.responses.keep(&queued);
        let engine = self.engine.clone();
        let maker = tokio::spawn(async move {
            collect(run, &mut answers).await;
            let answer = &answers[0];
            let mut whole = sheet.whole(&answer.text(0, answer.count), answer.count, answer.finish);
            whole["background"] = true.into();
            self.keep(&whole);
        });
        engine.responses.made_by(queued["id"].as_str().unwrap_or_default(), maker.abort_handle());
        queued
    }
}

/// A response without what only its end can tell.
fn base(fields: &Fields, id: &str, created: u64, model: &str, params: &Params) -> Value {
    let given = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
    let tools = given("tools", json!([]));
    let choice = if tools.as_array().is_some_and(|tools| !tools.is_empty()) { "auto" } else { "none" };
    json!({
        "id": id, "created_at": created, "incomplete_details": null, "instructions": given("instructions", Value::Null),
        "metadata": given("metadata", Value::Null), "model": model, "object": "response", "output": [],
        "parallel_tool_calls": given("parallel_tool_calls", true.into()),
        "temperature": fields.float("temperature").ok().flatten().unwrap_or(1.0),
        "tool_choice": given("tool_choice", choice.into()), "tools": tools,
        "top_p": fields.float("top_p").ok().flatten().unwrap_or(1.0), "background": false,
        "max_output_tokens": params.max_tokens, "max_tool_calls": null,
        "previous_response_id": given("previous_response_id", Value::Null), "prompt": null,
        "reasoning": given("reasoning", Value::Null), "service_tier": "auto", "status": "in_progress",
        "text": given("text", Value::Null), "top_logprobs": null, "truncation": "disabled", "usage": null,
        "user": given("user", Value::Null), "presence_penalty": 0.0, "frequency_penalty": 0.0,
        "kv_transfer_params": null, "ec_transfer_params": null, "input_messages": null, "output_messages": null,
    })
}

/// What a response says of itself, from its first event to its last.
struct Sheet {
    base: Value,
    item: String,
    prompt: usize,
}

impl Sheet {
    fn part(text: &str, logprobs: Value) -> Value {
        json!({ "annotations": [], "text": text, "type": "output_text", "logprobs": logprobs })
    }

    fn item(&self, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.map(|text| Self::part(text, Value::Null)).into_iter().collect();
        let status = if text.is_some() { "completed" } else { "in_progress" };
        json!({
            "id": self.item, "content": content, "role": "assistant", "status": status, "type": "message", "phase": null,
        })
    }

    fn whole(&self, text: &str, tokens: usize, finish: Finish) -> Value {
        let mut whole = self.base.clone();
        let (status, why) = match finish {
            Finish::Stop => ("completed", Value::Null),
            Finish::Length => ("incomplete", json!({ "reason": "max_output_tokens" })),
            Finish::Abort => ("cancelled", Value::Null),
        };
        whole["status"] = status.into();
        whole["incomplete_details"] = why;
        whole["output"] = json!([self.item(Some(text))]);
        whole["usage"] = json!({
            "input_tokens": self.prompt,
            "input_tokens_details": {
                "cached_tokens": 0, "cache_write_tokens": 0, "input_tokens_per_turn": [], "cached_tokens_per_turn": [],
            },
            "output_tokens": tokens,
            "output_tokens_details": {
                "reasoning_tokens": 0, "tool_output_tokens": 0, "output_tokens_per_turn": [],
                "tool_output_tokens_per_turn": [],
            },
            "total_tokens": self.prompt + tokens,
        });
        whole
    }
}

/// `response.…` events.
struct Named {
    sheet: Sheet,
    keep: Keep,
    answer: Answer,
    number: usize,
    generated: usize,
    aborted: bool,
}

impl Named {
    fn send(&mut self, out: &mut Events, kind: &str, mut value: Value) {
        // vLLM sorts members by name here, and `text` comes after this one.
        let text = value.as_object_mut().and_then(|members| members.shift_remove("text"));
        value["sequence_number"] = self.number.into();
        if let Some(text) = text {
            value["text"] = text;
        }
        value["type"] = kind.into();
        self.number += 1;
        out.named(kind, &value);
    }
}

impl Framing for Named {
    fn open(&mut self, out: &mut Events) {
        let base = self.sheet.base.clone();
        self.send(out, "response.created", json!({ "response": base }));
        self.send(out, "response.in_progress", json!({ "response": base }));
        let (item, id) = (self.sheet.item(None), self.sheet.item.clone());
        self.send(out, "response.output_item.added", json!({ "item": item, "output_index": 0 }));
        let part = Sheet::part("", json!([]));
        self.send(
            out,
            "response.content_part.added",
            json!({ "content_index": 0, "item_id": id, "output_index": 0, "part": part }),
        );
    }

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        self.aborted = abort;
        self.generated += 1;
        let delta = json!({
            "content_index": 0, "delta": self.answer.token(at), "item_id": self.sheet.item, "logprobs": [],
            "output_index": 0,
        });
        self.send(out, "response.output_text.delta", delta);
        1
    }

    fn close(&mut self, out: &mut Events) {
        if self.generated == 0 {
            return;
        }
        let text = self.answer.text(0, self.generated);
        let (item, id) = (self.sheet.item(Some(&text)), self.sheet.item.clone());
        let done = json!({ "content_index": 0, "item_id": id, "logprobs": [], "output_index": 0 });
        let mut text_done = done.clone();
        text_done["text"] = text.clone().into();
        self.send(out, "response.output_text.done", text_done);
        let part = Sheet::part(&text, Value::Null);
        self.send(
            out,
            "response.content_part.done",
            json!({ "content_index": 0, "item_id": id, "output_index": 0, "part": part }),
        );
        self.send(out, "response.output_item.done", json!({ "item": item, "output_index": 0 }));
        let finish = if self.aborted { Finish::Abort } else { self.answer.finish };
        let whole = self.sheet.whole(&text, self.generated, finish);
        self.keep.keep(&whole);
        self.send(out, "response.completed", json!({ "response": whole }));
    }

    fn finish(&self) -> Finish {
        self.answer.finish
    }
}
