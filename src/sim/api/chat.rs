//! `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::answer::Answer;
use super::chunks::{Chunks, Extras, token_logprob};
use super::conversation::{last_user_text, prompt_tokens, render};
use super::generate::{ApiReply, ApiRequest, collect, prompt_logprobs};
use super::params::Params;
use super::structured::Form;
use super::task::{Length, Task};
use super::{tokens, tools};
use crate::sim::engine::Engine;
use crate::sim::metrics::Finish;
use crate::sim::stamp::random_id;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// Answers a chat request.
pub(crate) async fn chat(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["messages"])?;
    let params = Params::read(&fields, &["max_completion_tokens", "max_tokens"], &request.engine.settings)?;
    let messages = messages(&fields)?;
    let (tool, form) = (tools::of_chat(&fields)?, Form::of_chat(&fields)?);
    let head = request.head(&fields)?;
    if fields.get("chat_template").is_some() && !request.engine.settings.args.trust_request_chat_template {
        return Err(Fail::bad(
            "Chat template is passed with request, but --trust-request-chat-template is not set. Refused request with \
             untrusted chat template.",
            None,
        ));
    }
    if messages.is_empty() {
        let what = "Cannot apply chat template to an empty conversation. Provide at least one message.";
        return Err(Fail::bad(what, None));
    }
    let described = fields.get("tools").map_or(0, |tools| tokens::count(&tools.to_string()));
    let prompt = prompt_tokens(messages, &params) + described;
    let room = params.room(prompt, &request.engine.settings)?;
    Params::check_sampling(&fields)?;
    let question = last_user_text(messages);
    let task = Task::new(tool, form, &question)?;
    let length = Length { natural: request.pace.tokens, room, thinks: request.engine.settings.thinks };
    let mut answers: Vec<Answer> =
        (0..params.n).map(|choice| task.answer(&question, &params, choice, length)).collect();
    let run = request.enqueue(&params, prompt, &mut answers)?;
    let rendered = if params.token_ids || params.prompt_logprobs { tokens::ids(&render(messages)) } else { Vec::new() };
    let extras = Extras {
        top_logprobs: fields.flag("logprobs")?.then(|| fields.int("top_logprobs").ok().flatten().unwrap_or(0).max(0)),
        prompt_ids: params.token_ids.then_some(rendered.clone()),
        tool: task.tool().cloned(),
    };
    if params.stream {
        let chunks = Chunks::new(&request.engine, head, params, answers, prompt, Some(extras));
        return Ok(ApiReply::stream(run, chunks));
    }
    collect(run, &mut answers).await?;
    Ok(ApiReply::Json(json!({
        "id": format!("chatcmpl-{}", head.id), "object": "chat.completion", "created": head.created,
        "model": head.model, "choices": choices(&answers, &params, &extras), "service_tier": null, "system_fingerprint": head.fingerprint,
        "usage": usage(&request.engine, prompt, &answers),
        "prompt_logprobs": if params.prompt_logprobs { prompt_logprobs(&rendered) } else { Value::Null },
        "prompt_token_ids": extras.prompt_ids, "prompt_text": null, "kv_transfer_params": null,
        "ec_transfer_params": null, "metrics": null,
    })))
}

/// Answers several conversations at once: a choice for each.
pub(crate) async fn batch(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["messages"])?;
    let params = Params::read(&fields, &["max_completion_tokens", "max_tokens"], &request.engine.settings)?;
    for (name, refused) in [("stream", params.stream), ("tools", fields.get("tools").is_some())] {
        if refused {
            return Err(Fail::bad(format!("Batch chat completions do not support {name}."), None));
        }
    }
    let form = Form::of_chat(&fields)?;
    let head = request.head(&fields)?;
    let mut prompt = 0;
    let mut answers = Vec::new();
    for (at, conversation) in messages(&fields)?.iter().enumerate() {
        let Value::Array(conversation) = conversation else {
            return Err(Fail::wrong_type(
                "messages",
                "list_type",
                "Input should be a valid list",
                &conversation.to_string(),
            ));
        };
        let tokens = prompt_tokens(conversation, &params);
        let room = params.room(tokens, &request.engine.settings)?;
        prompt += tokens;
        let question = last_user_text(conversation);
        let length = Length { natural: request.pace.tokens, room, thinks: request.engine.settings.thinks };
        answers.push(Task::new(None, form.clone(), &question)?.answer(&question, &params, at, length));
    }
    let run = request.enqueue(&params, prompt, &mut answers)?;
    collect(run, &mut answers).await?;
    let extras = Extras { top_logprobs: None, prompt_ids: None, tool: None };
    Ok(ApiReply::Json(json!({
        "id": format!("chatcmpl-{}", head.id), "object": "chat.completion", "created": head.created,
        "model": head.model, "choices": choices(&answers, &params, &extras), "system_fingerprint": head.fingerprint,
        "usage": usage(&request.engine, prompt, &answers),
    })))
}

fn messages(fields: &Fields) -> Result<&[Value], Fail> {
    match fields.get("messages") {
        Some(Value::Array(all)) => Ok(all),
        other => Err(Fail::wrong_type(
            "messages",
            "list_type",
            "Input should be a valid list",
            &other.map_or_else(|| "None".into(), Value::to_string),
        )),
    }
}

fn choices(answers: &[Answer], params: &Params, extras: &Extras) -> Vec<Value> {
    answers.iter().enumerate().map(|(at, answer)| choice(at, answer, params, extras)).collect()
}

fn choice(at: usize, answer: &Answer, params: &Params, extras: &Extras) -> Value {
    let said = answer.text(answer.reasoning, answer.count);
    let thought = (answer.reasoning > 0).then(|| answer.text(0, answer.reasoning));
    let content = if thought.is_some() && said.is_empty() { Value::Null } else { said.clone().into() };
    let mut message = json!({
        "role": "assistant", "content": content, "refusal": null, "annotations": null, "audio": null,
        "function_call": null,
    });
    if let Some(tool) = &extras.tool {
        message["content"] = "".into();
        // A list of calls that is cut is no list; a call whose name is known may be cut.
        let is_cut = tool.is_any && answer.finish != Finish::Stop;
        if !said.is_empty() && !is_cut {
            message["tool_calls"] = json!([{
                "id": format!("chatcmpl-tool-{}", random_id()), "type": "function",
                "function": { "name": tool.name, "arguments": said },
            }]);
        }
    }
    message["reasoning"] = thought.into();
    let logprobs = extras.top_logprobs.map(
        |top| json!({ "content": (0..answer.count).map(|at| token_logprob(answer, at, top)).collect::<Vec<_>>() }),
    );
    json!({
        "index": at, "message": message, "logprobs": logprobs, "finish_reason": extras.finish(answer.finish),
        "stop_reason": answer.stop_reason,
        "token_ids": params.token_ids.then(|| answer.ids()),
        "routed_experts": null,
    })
}

fn usage(engine: &Engine, prompt: usize, answers: &[Answer]) -> Value {
    let completion: usize = answers.iter().map(|answer| answer.count).sum();
    let reasoning: usize = answers.iter().map(|answer| answer.reasoning).sum();
    let details = engine
        .settings
        .args
        .enable_prompt_tokens_details
        .then(|| json!({ "cached_tokens": 0, "created_cache_tokens": 0, "multimodal_tokens": null }));
    json!({
        "prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": engine.settings.thinks.then(|| json!({ "reasoning_tokens": reasoning })),
    })
}
