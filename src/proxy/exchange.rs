//! A request of our own to an engine, and to another one where the first cannot: the same attempts as those of `relay`, over the
//! [`EngineClient`](crate::engines::EngineClient).

use std::borrow::Cow;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::ProxyState;
use super::attempts::{Advance, Attempts};
use super::downstream::leaves;
use super::waiting;
use crate::dispatch::{Judgement, judge_body, judge_head, judge_health};
use crate::engines::{CallLimits, Reply};
use crate::openai::ApiError;
use crate::outcome::Outcome;
use crate::telemetry::{TRACEPARENT, TRACESTATE};

/// What one leg's engines are sent.
pub(super) struct Message {
    pub(super) path: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Makes what each leg's engines are sent.
#[async_trait]
pub(super) trait Messages: Send {
    /// The message for the engines of `leg`.
    ///
    /// # Errors
    /// The error that the caller gets.
    async fn message(&mut self, leg: usize) -> Result<Message, ApiError>;
}

/// Sends the message of each leg that is tried, until there is an answer that no other engine would better.
///
/// # Errors
/// There is none, or the message of a leg cannot be made.
pub(super) async fn exchange(
    state: &ProxyState,
    attempts: &mut Attempts,
    limits: CallLimits,
    messages: &mut dyn Messages,
) -> Result<Reply, ApiError> {
    let mut at_hand: Option<Reply> = None;
    let mut ready: Option<(usize, Message)> = None;
    loop {
        match attempts.advance(&state.admission) {
            Advance::Go => {
                let leg = attempts.leg();
                let current = match ready.take().filter(|(of, _)| *of == leg) {
                    Some(ready) => ready,
                    None => (leg, messages.message(leg).await?),
                };
                at_hand = attempt(state, attempts, limits, &current.1).await;
                ready = Some(current);
            }
            Advance::Wait(..) if state.is_draining() => attempts.wait_no_more(),
            Advance::Wait(what, until) => {
                waiting::wait(attempts, what, until).await;
                attempts.history.begin_round();
            }
            Advance::Deliver | Advance::Refuse => {
                return at_hand.ok_or_else(|| attempts.refusal(state.is_draining()));
            }
        }
    }
}

/// One attempt; its answer, if there is one.
async fn attempt(state: &ProxyState, attempts: &mut Attempts, limits: CallLimits, message: &Message) -> Option<Reply> {
    let current = attempts.begin()?;
    let (engine, fresh) = (current.lease.engine().clone(), current.fresh);
    let Message { path, headers, body } = message;
    let headers = &traced(headers, attempts);
    let limits = CallLimits { whole: attempts.time_left().or(limits.whole), ..limits };
    let alternatives = attempts.alternatives();
    let said = tokio::select! {
        biased;
        said = state.client.submit(&engine, path, headers, body.clone(), (limits, fresh)) => said,
        () = leaves(alternatives) => {
            attempts.settle(Outcome::EngineLeft, String::new);
            return None;
        }
    };
    match said {
        Ok(reply) => {
            if let Some(current) = &mut attempts.current {
                current.lease.note_answer();
            }
            let status = reply.status.as_u16();
            let outcome = match judge_head(status) {
                Judgement::Known(outcome) => outcome,
                Judgement::NeedsHealth => judge_health(status, state.client.is_healthy(&engine).await),
                // Only a later leg could do better.
                Judgement::NeedsBody if attempts.has_later_leg() => judge_body(status, &reply.body),
                Judgement::NeedsBody => Outcome::Answered { status },
            };
            attempts.settle(outcome, String::new);
            Some(reply)
        }
        Err(error) => {
            if let Some(current) = &mut attempts.current {
                current.reused = error.reused;
            }
            attempts.settle(error.outcome, || error.why);
            None
        }
    }
}

/// These headers; where requests are traced, with those that say which attempt it is.
fn traced<'a>(headers: &'a HeaderMap, attempts: &Attempts) -> Cow<'a, HeaderMap> {
    let Some((parent, state)) = attempts.trace() else { return Cow::Borrowed(headers) };
    let mut headers = headers.clone();
    if let Ok(parent) = HeaderValue::from_bytes(&parent) {
        headers.insert(TRACEPARENT, parent);
    }
    if let Some(state) = state {
        headers.insert(TRACESTATE, state.clone());
    }
    Cow::Owned(headers)
}
