//! Applies rules to a JSON body in place: bytes that no rule names stay exactly as the client sent them.

use std::borrow::Cow;

use bytes::{Buf, BytesMut};
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::change::{Trace, block};
use super::patch::{Edits, apply};
use super::rules::{Request, Rules, Step};
use super::tree::{Flood, Object};
use super::{BadBody, Peek};

/// What was done with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Whether the body changed: what was seen of it before is stale then.
    pub changed: bool,
    /// Headers for the engine, in place of the client's; of one name the last counts.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Applies `rules` to `body` and names it `model`, where given and other than what the client said. Drops a byte order mark.
///
/// `peek` must come from these very bytes, and is stale afterwards if they changed.
/// In place where `body` has room for the result.
///
/// # Errors
/// [`BadBody::TooManyNested`]: rules look into an object that nobody would send.
pub fn rewrite(
    body: &mut BytesMut,
    peek: &Peek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
) -> Result<Rewritten, BadBody> {
    changed(body, peek, rules, request, model, Trace::new(None))
}

/// The same, telling every change.
///
/// # Errors
/// As [`rewrite`].
pub fn explain(
    body: &mut BytesMut,
    peek: &Peek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    steps: &mut Vec<Step>,
) -> Result<Rewritten, BadBody> {
    changed(body, peek, rules, request, model, Trace::new(Some(steps)))
}

fn changed(
    body: &mut BytesMut,
    peek: &Peek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    mut trace: Trace<'_>,
) -> Result<Rewritten, BadBody> {
    let rename = model.filter(|model| peek.model() != Some(model)).map(|model| Value::from(model).to_string());
    let mut headers = Vec::new();
    let edits = edits(body, peek, rules, request, rename, &mut trace, &mut headers)?;
    let changed = !edits.is_empty() || peek.bom();
    if !edits.is_empty() {
        apply(body, &edits);
    }
    if peek.bom() {
        body.advance(peek.start().min(body.len()));
    }
    Ok(Rewritten { changed, headers })
}

/// What has to change in `body`.
fn edits<'r>(
    body: &[u8],
    peek: &Peek,
    rules: &'r Rules,
    request: &Request<'_>,
    rename: Option<String>,
    trace: &mut Trace<'_>,
    headers: &mut Vec<(HeaderName, HeaderValue)>,
) -> Result<Edits<'r>, Flood> {
    let mut edits = Edits::new();
    if rules.is_empty() && rename.is_none() {
        return Ok(edits);
    }
    let mut object = Object::of(body, peek);
    for part in rules.blocks() {
        block(&mut object, part, request, trace, &mut |part| headers.extend(part.headers.iter().cloned()))?;
    }
    if let Some(name) = rename {
        trace.block("the engines");
        trace.part("name");
        let json = Cow::Owned(name.into_bytes());
        let at = object.find("model");
        trace.note("model", at.map(|at| super::rules::shown(&object.json(at))), Some(&json));
        match at {
            Some(at) => object.set(at, json, false),
            None => object.push("model", json, false),
        }
    }
    object.edits(&mut edits);
    Ok(edits)
}

#[cfg(test)]
mod tests;
