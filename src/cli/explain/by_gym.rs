//! A request that NeMo Gym's rules answer: what they first ask an engine for it, and how settings change that.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;

use super::view::{Asked, Body, By, Done};
use crate::config::Gym;
use crate::dialects::gym::{self, GymRoute, Step};
use crate::openai::{self, ApiError, Endpoint};
use crate::routing::{RequestHead, Target};

/// What the engines of `target` are asked; `meant`: the target of the place where such requests are meant to go.
pub(super) fn becomes(
    (target, meant): (&Target, &Target),
    rules: &Arc<Gym>,
    (route, head): (GymRoute, &RequestHead<'_>),
    body: &[u8],
) -> Result<Done, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let model = meant.served_name();
    let (_, step) = gym::start(rules, route, &model, body, now, Box::new(gym::new_id), &|path| std::fs::read(path));
    let ask = match step {
        Step::Ask(ask) => ask,
        Step::Answer(answer) => {
            return Ok(Done::Answered { status: answer.status, answer: Body(answer.body.to_vec()) });
        }
    };
    let (mut changes, mut body) = (Vec::new(), BytesMut::from(&ask.body[..]));
    let own = target.route.gym.iter();
    let mut headers: Vec<String> = own.flat_map(|gym| gym.default_headers.keys().cloned()).collect();
    if let Some(endpoint) = Endpoint::find(ask.path) {
        let told = |error: ApiError| format!("Callers would get this error: {}", error.message);
        let peek = openai::peek(&body).map_err(|bad| told(bad.into()))?;
        let (asked, caller) = (head.endpoint, head.caller);
        let request = openai::Request { asked, endpoint, headers: head.headers, caller, ask_usage: false };
        let name = target.served_name();
        let done = openai::rewrite(&mut body, &peek, &target.rules, &request, Some(&name), Some(&mut changes))
            .map_err(|bad| told(bad.into()))?;
        headers.extend(done.headers.iter().map(|(name, _)| name.to_string()));
    }
    Ok(Done::Asked(Asked {
        by: By::Gym,
        asked_path: ask.path.to_owned(),
        changes,
        renamed_later: target.known_served_name().is_none(),
        headers,
        after: Body(body.to_vec()),
    }))
}
