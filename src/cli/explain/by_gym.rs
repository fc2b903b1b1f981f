//! A request that NeMo Gym's rules answer: what they first ask an engine for it, and how settings change that.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;

use super::text::{changes, ending, section};
use crate::dialects::gym::{self, GymRoute, Step};
use crate::openai::{self, ApiError, Endpoint};
use crate::routing::{RequestHead, Snapshot};

/// What the engines of the target at `at` are asked; `first`: that of the place where such requests are meant to go.
pub(super) fn becomes(
    out: &mut Vec<u8>,
    snapshot: &Snapshot,
    (at, first): (usize, usize),
    (route, head): (GymRoute, &RequestHead<'_>),
    body: &[u8],
) -> Result<(), String> {
    let (Some(target), Some(meant)) = (snapshot.target(at), snapshot.target(first)) else { return Ok(()) };
    let Some(rules) = &target.route.gym else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let model = meant.served_name();
    let (_, step) = gym::start(rules, route, &model, body, now, Box::new(gym::new_id), &|path| std::fs::read(path));
    let ask = match step {
        Step::Ask(ask) => ask,
        Step::Answer(answer) => {
            let status = answer.status;
            out.extend_from_slice(format!("\n(by NeMo Gym's rules no engine is asked: status {status})\n").as_bytes());
            section(out, "answer", &answer.body);
            return Ok(());
        }
    };
    let first_call = format!("\n(by NeMo Gym's rules, which first ask an engine for POST {})\n", ask.path);
    out.extend_from_slice(first_call.as_bytes());
    let (mut noted, mut body) = (Vec::new(), BytesMut::from(&ask.body[..]));
    let mut headers: Vec<String> = rules.default_headers.keys().cloned().collect();
    if let Some(endpoint) = Endpoint::find(ask.path) {
        let told = |error: ApiError| format!("Callers would get this error: {}", error.message);
        let peek = openai::peek(&body).map_err(|bad| told(bad.into()))?;
        let (asked, caller) = (head.endpoint, head.caller);
        let request = openai::Request { asked, endpoint, headers: head.headers, caller, ask_usage: false };
        let name = target.served_name();
        let done = openai::rewrite(&mut body, &peek, &target.rules, &request, Some(&name), Some(&mut noted))
            .map_err(|bad| told(bad.into()))?;
        headers.extend(done.headers.iter().map(|(name, _)| name.to_string()));
    }
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    ending(out, &changes(&noted, target.known_served_name().is_none()), &headers, &body);
    Ok(())
}
