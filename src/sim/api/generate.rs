//! What all generating APIs share: from a checked request to a reply.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Answer;
use super::params::{Pace, Params};
use super::stream::Framing;
use crate::sim::engine::Engine;
use crate::sim::engine::{Run, Step};
use crate::sim::metrics::{Finish, Record};
use crate::sim::stamp::{random_id, unix_seconds};
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// A request that an API looks at.
pub(crate) struct ApiRequest {
    pub(crate) engine: Arc<Engine>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) pace: Pace,
    /// Why it is given up after it was let in.
    pub(crate) given_up: Option<Fail>,
}

/// What it makes of it.
pub(crate) enum ApiReply {
    Json(Value),
    Text(&'static str, String),
    Stream(Box<Run>, Box<dyn Framing>),
}

impl ApiReply {
    /// What `run` makes, as events in this framing.
    pub(super) fn stream(run: Run, framing: impl Framing) -> Self {
        Self::Stream(Box::new(run), Box::new(framing))
    }
}

/// What every part of an answer says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Without the API's prefix.
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

impl ApiRequest {
    /// The body's members.
    pub(crate) fn fields(&self) -> Result<Fields, Fail> {
        Fields::read(&self.headers, &self.body)
    }

    /// Finds the model the body names; none named is fine, as in vLLM.
    pub(crate) fn head(&self, fields: &Fields) -> Result<Head, Fail> {
        let model = self.engine.models.resolve(fields.text("model")?)?;
        let from_header = self.headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let id = match from_header.or(fields.text("request_id")?) {
            Some(id) => id.to_owned(),
            None => random_id(),
        };
        Ok(Head { id, created: unix_seconds(), model, fingerprint: self.engine.fingerprint.clone() })
    }

    /// Joins the queue with `answers` to a prompt of `prompt` tokens. Without weights they become noise.
    pub(crate) fn enqueue(&self, params: &Params, prompt: usize, answers: &mut [Answer]) -> Result<Run, Fail> {
        if self.engine.sleep.is_noise() {
            answers.iter_mut().for_each(Answer::garble);
        }
        let steps = answers.iter().map(|answer| answer.count).max().unwrap_or(1);
        let record = Record::new(prompt, params.max_tokens, params.n);
        let mut run = Run::enqueue(&self.engine, self.pace.tempo, steps, record)?;
        if let Some(fail) = &self.given_up {
            run.give_up(fail.clone());
        }
        Ok(run)
    }
}

/// Runs to the end; what was not made by then is cut off `answers`.
///
/// # Errors
/// Why the engine gave it up.
pub(crate) async fn collect(mut run: Run, answers: &mut [Answer]) -> Result<(), Fail> {
    loop {
        let before = run.made();
        let step = run.step(usize::MAX).await;
        let made = run.made();
        let tokens = answers.iter().map(|answer| answer.count.min(made) - answer.count.min(before)).sum();
        run.count(tokens);
        let finish = match step {
            Step::Aborted => {
                answers.iter_mut().for_each(|answer| answer.abort(made));
                Finish::Abort
            }
            Step::Made(_) if run.is_made() => answers.first().map_or(Finish::Stop, |answer| answer.finish),
            Step::Made(_) => continue,
            Step::Failed(fail) => return Err(fail),
        };
        run.finish(finish);
        return Ok(());
    }
}

/// A made-up log probability.
pub(crate) fn logprob(at: usize) -> f64 {
    -0.125 - (at % 7) as f64 * 0.375
}

/// `prompt_logprobs` of a prompt: nothing is known of the first token.
pub(crate) fn prompt_logprobs(ids: &[u32]) -> Value {
    let of = |(at, id): (usize, &u32)| {
        if at == 0 {
            return Value::Null;
        }
        let text = super::tokens::text([u64::from(*id)]);
        json!({ id.to_string(): { "logprob": logprob(at), "rank": 1, "decoded_token": text } })
    };
    Value::Array(ids.iter().enumerate().map(of).collect())
}
