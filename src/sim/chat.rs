//! `POST /v1/chat/completions`.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::engine::Engine;
use super::errors::Fail;
use super::fields::{Fields, content_text};
use super::generate::{Ask, Head, Reply, collect, logprob, prompt_logprobs, random_id};
use super::metrics::Finish;
use super::params::Params;
use super::stream::{Events, Framing, push_number, push_str};
use super::tokens;

/// Answers a chat request.
pub(super) async fn chat(ask: &Ask) -> Result<Reply, Fail> {
    let fields = ask.fields()?;
    fields.require(&["messages"])?;
    let params = Params::read(&fields, &["max_completion_tokens", "max_tokens"], &ask.engine)?;
    let messages = messages(&fields)?;
    let tool = forced_tool(&fields)?;
    let head = ask.head(&fields)?;
    if fields.get("chat_template").is_some() && !ask.engine.settings.args.trust_request_chat_template {
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
    let tools = fields.get("tools").map_or(0, |tools| tokens::count(&tools.to_string()));
    let prompt = prompt_tokens(messages, &params) + tools;
    let room = params.room(prompt, &ask.engine)?;
    Params::check_sampling(&fields)?;
    let question = last_user_text(messages);
    let mut answers: Vec<Answer> = (0..params.n)
        .map(|choice| match &tool {
            Some(tool) => Answer::fixed(tool.words(), room),
            None => Answer::to(&question, &params, choice, ask.engine.settings.thinks, ask.pace.tokens, room),
        })
        .collect();
    let run = ask.enqueue(&params, prompt, &mut answers)?;
    let rendered = if params.token_ids || params.prompt_logprobs { tokens::ids(&render(messages)) } else { Vec::new() };
    let look = Look {
        top_logprobs: fields.flag("logprobs")?.then(|| fields.int("top_logprobs").ok().flatten().unwrap_or(0).max(0)),
        prompt_ids: params.token_ids.then_some(rendered.clone()),
        tool,
    };
    if params.stream {
        return Ok(Reply::Stream(
            Box::new(run),
            Box::new(Chunks::new(&ask.engine, head, params, answers, prompt, look)),
        ));
    }
    collect(run, &mut answers).await;
    let choices: Vec<Value> =
        answers.iter().enumerate().map(|(at, answer)| choice(at, answer, &params, &look)).collect();
    let completion = answers.iter().map(|answer| answer.count).sum();
    let reasoning = answers.iter().map(|answer| answer.reasoning).sum();
    Ok(Reply::Json(json!({
        "id": format!("chatcmpl-{}", head.id), "object": "chat.completion", "created": head.created,
        "model": head.model, "choices": choices, "service_tier": null, "system_fingerprint": head.fingerprint,
        "usage": usage(&ask.engine, prompt, completion, reasoning),
        "prompt_logprobs": if params.prompt_logprobs { prompt_logprobs(&rendered) } else { Value::Null },
        "prompt_token_ids": look.prompt_ids, "prompt_text": null, "kv_transfer_params": null,
        "ec_transfer_params": null, "metrics": null,
    })))
}

/// What a request wants to see of tokens and tools.
struct Look {
    top_logprobs: Option<i64>,
    prompt_ids: Option<Vec<u32>>,
    tool: Option<Tool>,
}

/// The tool that must be called, and with what.
#[derive(Clone)]
struct Tool {
    name: String,
    arguments: String,
    finish: &'static str,
}

impl Tool {
    /// The arguments, a piece a token.
    fn words(&self) -> Vec<String> {
        self.arguments.split_inclusive([',', ':', '{']).map(Into::into).collect()
    }
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

/// What the last user said.
pub(super) fn last_user_text(messages: &[Value]) -> String {
    let of_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let last = messages.iter().rev().find(of_user).or(messages.last());
    // A dozen words are repeated; do not copy megabytes for them.
    let text = last.and_then(|message| message.get("content")).map(content_text).unwrap_or_default();
    text.chars().take(2000).collect()
}

/// Length of the conversation in a template like Qwen3's, which adds an empty thought when thinking is off.
pub(super) fn prompt_tokens(messages: &[Value], params: &Params) -> usize {
    let each = |message: &Value| {
        5 + message.get("content").map_or(0, |content| tokens::count(&content_text(content)))
            + message.get("tool_calls").map_or(0, |calls| tokens::count(&calls.to_string()))
    };
    messages.iter().map(each).sum::<usize>() + 5 + if params.thinking == Some(false) { 6 } else { 0 }
}

/// The conversation as a template would write it.
pub(super) fn render(messages: &[Value]) -> String {
    let mut out = String::new();
    for message in messages {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        let text = message.get("content").map(content_text).unwrap_or_default();
        out.push_str(&format!("<|im_start|>{role}\n{text}<|im_end|>\n"));
    }
    out.push_str("<|im_start|>assistant\n");
    out
}

fn forced_tool(fields: &Fields) -> Result<Option<Tool>, Fail> {
    let tools = fields.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let choice = fields.get("tool_choice").filter(|choice| choice.as_str() != Some("none"));
    let (tools, choice) = match (tools, choice) {
        (None, Some(_)) => {
            let what = "When using `tool_choice`, `tools` must be set. (parameter=tool_choice)";
            return Err(Fail::bad(what, Some("tool_choice")));
        }
        (Some(tools), Some(choice)) => (tools, choice),
        _ => return Ok(None),
    };
    let name_of = |tool: &Value| tool.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
    let (tool, finish) = match choice {
        Value::String(word) if word == "required" => (tools.first(), "tool_calls"),
        Value::String(_) => return Ok(None),
        named => {
            let wanted = name_of(named);
            let found = tools.iter().find(|tool| name_of(tool).is_some() && name_of(tool) == wanted);
            if found.is_none() {
                let what = "The tool specified in `tool_choice` does not match any of the specified `tools`";
                return Err(Fail::bad(what, Some("tool_choice")));
            }
            (found, "stop")
        }
    };
    Ok(tool.map(|tool| Tool {
        name: name_of(tool).unwrap_or_default(),
        arguments: example(tool.pointer("/function/parameters").unwrap_or(&Value::Null), 0).to_string(),
        finish,
    }))
}

/// A value that fits a JSON Schema, roughly.
fn example(schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "text".into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        Some("array") if depth < 8 => {
            Value::Array(schema.get("items").map(|items| example(items, depth + 1)).into_iter().collect())
        }
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ if depth < 8 => {
            let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(members.map(|(name, schema)| (name.clone(), example(schema, depth + 1))).collect())
        }
        _ => json!({}),
    }
}

fn choice(at: usize, answer: &Answer, params: &Params, look: &Look) -> Value {
    let said = answer.text(answer.reasoning, answer.count);
    let thought = (answer.reasoning > 0).then(|| answer.text(0, answer.reasoning));
    let content = if thought.is_some() && said.is_empty() { Value::Null } else { said.clone().into() };
    let mut message = json!({
        "role": "assistant", "content": content, "refusal": null, "annotations": null, "audio": null,
        "function_call": null,
    });
    if let Some(tool) = &look.tool {
        message["content"] = "".into();
        message["tool_calls"] = json!([{
            "id": format!("chatcmpl-tool-{}", random_id()), "type": "function",
            "function": { "name": tool.name, "arguments": said },
        }]);
    }
    message["reasoning"] = thought.into();
    let finish = match &look.tool {
        Some(tool) if answer.finish == Finish::Stop => tool.finish,
        _ => answer.finish.word(),
    };
    let logprobs = look.top_logprobs.map(
        |top| json!({ "content": (0..answer.count).map(|at| token_logprob(answer, at, top)).collect::<Vec<_>>() }),
    );
    json!({
        "index": at, "message": message, "logprobs": logprobs, "finish_reason": finish,
        "stop_reason": answer.stop_reason,
        "token_ids": params.token_ids.then(|| (0..answer.count).map(|at| answer.id(at)).collect::<Vec<_>>()),
        "routed_experts": null,
    })
}

/// A token's own log probability and `top` likely ones, itself first.
fn token_logprob(answer: &Answer, at: usize, top: i64) -> Value {
    let entry = |text: &str, rank: usize| json!({ "token": text, "logprob": logprob(at) - rank as f64, "bytes": text.as_bytes() });
    let mut own = entry(answer.token(at), 0);
    let top = usize::try_from(top).unwrap_or(0);
    own["top_logprobs"] = (0..top).map(|rank| entry(answer.token(at + rank), rank)).collect();
    own
}

fn usage(engine: &Engine, prompt: usize, completion: usize, reasoning: usize) -> Value {
    let details = engine
        .settings
        .prompt_details
        .then(|| json!({ "cached_tokens": 0, "created_cache_tokens": 0, "multimodal_tokens": null }));
    json!({
        "prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": engine.settings.thinks.then(|| json!({ "reasoning_tokens": reasoning })),
    })
}

/// `chat.completion.chunk` events. What does not change from chunk to chunk is written once.
struct Chunks {
    prefix: Vec<u8>,
    head: Head,
    params: Params,
    answers: Vec<Answer>,
    prompt: usize,
    look: Look,
    thinks: bool,
    prompt_details: bool,
    generated: usize,
    reasoned: usize,
}

impl Chunks {
    fn new(engine: &Engine, head: Head, params: Params, answers: Vec<Answer>, prompt: usize, look: Look) -> Self {
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
            look,
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
        let Some(tool) = &self.look.tool else {
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
        match &self.look.tool {
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
                let ids = json!(self.look.prompt_ids);
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
                match self.look.top_logprobs {
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
