//! `POST /v1/completions`.

use serde_json::{Value, json};

use super::answer::Answer;
use super::chunks::Chunks;
use super::generate::{ApiReply, ApiRequest, collect, logprob, prompt_logprobs};
use super::params::Params;
use super::task::{Length, Task};
use super::{structured, tokens};
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
    let form = structured::constraint(&fields)?;
    let mut answers = Vec::new();
    for prompt in &prompts {
        let room = params.room(prompt.tokens(), &request.engine.settings)?;
        let question = prompt.text();
        let question: String = question.chars().take(2000).collect();
        let task = Task::new(None, form.clone(), &question)?;
        let length = Length { natural: request.pace.tokens, room, thinks: false };
        answers.extend((0..params.n).map(|choice| task.answer(&question, &params, choice, length)));
    }
    Params::check_sampling(&fields)?;
    let prompt_tokens = prompts.iter().map(Prompt::tokens).sum();
    let run = request.enqueue(&params, prompt_tokens, &mut answers)?;
    if params.stream {
        let chunks = Chunks::new(&request.engine, head, params, answers, prompt_tokens, None);
        return Ok(ApiReply::stream(run, chunks));
    }
    collect(run, &mut answers).await?;
    let extras = Extras {
        echo: fields.flag("echo")?,
        top: fields.int("logprobs")?.map(|top| usize::try_from(top).unwrap_or(0)),
    };
    let details = request.engine.settings.args.enable_prompt_tokens_details;
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
        "token_ids": params.token_ids.then(|| answer.ids()),
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
