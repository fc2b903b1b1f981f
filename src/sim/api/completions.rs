//! `POST /v1/completions`.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::generate::{ApiReply, ApiRequest, Head, collect, logprob, prompt_logprobs};
use super::params::Params;
use super::stream::{Events, Framing, push_number, push_str};
use super::tokens;
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// Answers a completion request: `n` choices for each prompt.
pub(crate) async fn completions(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["prompt"])?;
    let mut params = Params::read(&fields, &["max_tokens"], &request.engine.settings)?;
    let head = request.head(&fields)?;
    let prompts = prompts(&fields)?;
    // OpenAI's default, kept by vLLM for this API alone.
    params.max_tokens = params.max_tokens.or(Some(16));
    let mut answers = Vec::new();
    for prompt in &prompts {
        let room = params.room(prompt.tokens(), &request.engine.settings)?;
        let question = prompt.text();
        let question: String = question.chars().take(2000).collect();
        answers.extend(
            (0..params.n).map(|choice| Answer::to(&question, &params, choice, false, request.pace.tokens, room)),
        );
    }
    Params::check_sampling(&fields)?;
    let prompt_tokens = prompts.iter().map(Prompt::tokens).sum();
    let run = request.enqueue(&params, prompt_tokens, &mut answers)?;
    let details = request.engine.settings.prompt_details;
    if params.stream {
        return Ok(ApiReply::Stream(
            Box::new(run),
            Box::new(Chunks::new(head, params, answers, prompt_tokens, details)),
        ));
    }
    collect(run, &mut answers).await;
    let extras = Extras {
        echo: fields.flag("echo")?,
        top: fields.int("logprobs")?.map(|top| usize::try_from(top).unwrap_or(0)),
    };
    let completion: usize = answers.iter().map(|answer| answer.count).sum();
    let choices: Vec<Value> = answers
        .iter()
        .enumerate()
        .map(|(at, answer)| choice(at, answer, &prompts[at / params.n], &params, &extras))
        .collect();
    Ok(ApiReply::Json(json!({
        "id": format!("cmpl-{}", head.id), "object": "text_completion", "created": head.created, "model": head.model,
        "choices": choices, "service_tier": null, "system_fingerprint": head.fingerprint,
        "usage": {
            "prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + completion, "completion_tokens": completion,
            "prompt_tokens_details":
                details.then(|| json!({ "cached_tokens": 0, "created_cache_tokens": null, "multimodal_tokens": null })),
            "completion_tokens_details": null,
        },
        "kv_transfer_params": null, "ec_transfer_params": null, "metrics": null,
    })))
}

struct Extras {
    echo: bool,
    top: Option<usize>,
}

/// Text or token ids.
enum Prompt {
    Text(String),
    Ids(Vec<u64>),
}

impl Prompt {
    fn tokens(&self) -> usize {
        match self {
            Self::Text(text) => tokens::count(text),
            Self::Ids(ids) => ids.len(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Ids(ids) => tokens::text(ids.iter().copied()),
        }
    }

    fn ids(&self) -> Vec<u32> {
        match self {
            Self::Text(text) => tokens::ids(text),
            Self::Ids(ids) => ids.iter().map(|id| u32::try_from(*id).unwrap_or(u32::MAX)).collect(),
        }
    }
}

fn prompts(fields: &Fields) -> Result<Vec<Prompt>, Fail> {
    let wrong = || {
        Fail::bad("Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)", Some("prompt"))
    };
    let ids = |all: &[Value]| all.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>().map(Prompt::Ids);
    match fields.get("prompt") {
        Some(Value::String(text)) => Ok(vec![Prompt::Text(text.clone())]),
        Some(Value::Array(all)) if all.first().is_some_and(Value::is_number) => Ok(vec![ids(all).ok_or_else(wrong)?]),
        Some(Value::Array(all)) if !all.is_empty() => all
            .iter()
            .map(|one| match one {
                Value::String(text) => Some(Prompt::Text(text.clone())),
                Value::Array(all) => ids(all),
                _ => None,
            })
            .collect::<Option<Vec<Prompt>>>()
            .ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn choice(at: usize, answer: &Answer, prompt: &Prompt, params: &Params, extras: &Extras) -> Value {
    let said = answer.text(0, answer.count);
    let text = if extras.echo { prompt.text() + &said } else { said };
    let ids = params.token_ids.then(|| prompt.ids());
    let of_prompt = params.prompt_logprobs || extras.echo && extras.top.is_some();
    json!({
        "index": at, "text": text, "logprobs": extras.top.map(|top| logprobs(answer, prompt, extras.echo, top)),
        "finish_reason": answer.finish.word(), "stop_reason": answer.stop_reason,
        "token_ids": params.token_ids.then(|| (0..answer.count).map(|at| answer.id(at)).collect::<Vec<_>>()),
        "prompt_logprobs": if of_prompt { prompt_logprobs(&prompt.ids()) } else { Value::Null },
        "prompt_token_ids": ids, "routed_experts": null,
    })
}

fn logprobs(answer: &Answer, prompt: &Prompt, echo: bool, top: usize) -> Value {
    let mut words: Vec<String> = Vec::new();
    if echo {
        words.extend(prompt.ids().iter().map(|id| tokens::text([u64::from(*id)])));
    }
    let of_prompt = words.len();
    words.extend((0..answer.count).map(|at| answer.token(at).to_owned()));
    let offsets = words.iter().scan(0, |end, word| {
        let start = *end;
        *end += word.len();
        Some(start)
    });
    let offsets: Vec<usize> = offsets.collect();
    let known = |at: usize| at > 0 || of_prompt == 0;
    let values: Vec<Option<f64>> = (0..words.len()).map(|at| known(at).then(|| logprob(at))).collect();
    let tops: Vec<Value> = words
        .iter()
        .enumerate()
        .map(|(at, word)| if known(at) && top > 0 { json!({ word: logprob(at) }) } else { Value::Null })
        .collect();
    json!({ "text_offset": offsets, "token_logprobs": values, "tokens": words, "top_logprobs": tops })
}

/// `text_completion` events.
struct Chunks {
    prefix: Vec<u8>,
    head: Head,
    params: Params,
    answers: Vec<Answer>,
    prompt: usize,
    details: bool,
    generated: usize,
}

impl Chunks {
    fn new(head: Head, params: Params, answers: Vec<Answer>, prompt: usize, details: bool) -> Self {
        let (id, model) = (json!(format!("cmpl-{}", head.id)), json!(head.model));
        let created = head.created;
        let prefix =
            format!(r#"data: {{"id":{id},"object":"text_completion","created":{created},"model":{model},"choices":["#);
        Self { prefix: prefix.into_bytes(), head, params, answers, prompt, details, generated: 0 }
    }

    fn usage(&self, out: &mut BytesMut, completion: usize, last: bool) {
        out.put_slice(br#","usage":{"prompt_tokens":"#);
        push_number(out, self.prompt);
        out.put_slice(br#","total_tokens":"#);
        push_number(out, self.prompt + completion);
        out.put_slice(br#","completion_tokens":"#);
        push_number(out, completion);
        if last && self.details {
            out.put_slice(br#","prompt_tokens_details":{"cached_tokens":0}"#);
        }
        out.put_u8(b'}');
    }
}

impl Framing for Chunks {
    fn open(&mut self, _: &mut Events) {}

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
                out.put_slice(br#","text":"#);
                push_str(out, answer.token(at));
                out.put_slice(br#","logprobs":null,"finish_reason":"#);
                if ends {
                    push_str(out, if abort { Finish::Abort } else { answer.finish }.word());
                } else {
                    out.put_slice(b"null");
                }
                out.put_slice(br#","stop_reason":"#);
                match &answer.stop_reason {
                    Some(stop) if ends && !abort => push_str(out, stop),
                    _ => out.put_slice(b"null"),
                }
                out.put_slice(br#","prompt_token_ids":null,"token_ids":"#);
                if self.params.token_ids {
                    out.put_u8(b'[');
                    push_number(out, answer.id(at) as usize);
                    out.put_u8(b']');
                } else {
                    out.put_slice(b"null");
                }
                out.put_slice(b"}]");
                if self.params.continuous_usage {
                    self.usage(out, at + 1, false);
                }
                if all_end && left == 0 && !self.params.include_usage {
                    out.put_slice(br#","system_fingerprint":"#);
                    push_str(out, &self.head.fingerprint);
                }
                out.put_u8(b'}');
            });
        }
        self.generated += going;
        going
    }

    fn close(&mut self, out: &mut Events) {
        if self.params.include_usage {
            out.event(|out| {
                out.put_slice(&self.prefix);
                out.put_u8(b']');
                self.usage(out, self.generated, true);
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
