//! Applies rules to a JSON body in place: bytes that no rule names stay exactly as the client sent them.

use bytes::{Buf, BytesMut};

use super::apply::{Headers, apply};
use super::changes::{Change, ChangeLog};
use super::object::{Object, TooManyMembers};
use super::patch::{Edits, patch};
use super::rules::{Request, Rules};
use super::{BadBody, Peek, stream_usage};

/// What was done with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Whether the body changed: what was seen of it before is stale then.
    pub changed: bool,
    /// The engine was asked for token counts that the client did not ask for.
    pub hides_usage: bool,
    /// Headers for the engine, in place of the client's; of one name the last counts.
    pub headers: Headers,
}

/// Applies `rules` to `body` and names it `model`, where given and other than what the client said. Drops a byte order mark.
/// Every change is added to `changes`, if anybody wants to know them.
///
/// `peek` must come from these very bytes, and is stale afterwards if they changed.
/// In place where `body` has room for the result.
///
/// # Errors
/// [`BadBody::TooManyNested`]: an object that rules look into has too many members.
pub fn rewrite(
    body: &mut BytesMut,
    peek: &Peek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    changes: Option<&mut Vec<Change>>,
) -> Result<Rewritten, BadBody> {
    let rename = model.filter(|model| peek.model() != Some(model));
    let Done { edits, headers, hides_usage } = edits(body, peek, rules, request, rename, &mut ChangeLog::new(changes))?;
    let changed = !edits.is_empty() || peek.bom();
    if !edits.is_empty() {
        patch(body, &edits);
    }
    if peek.bom() {
        body.advance(peek.start().min(body.len()));
    }
    Ok(Rewritten { changed, hides_usage, headers })
}

/// What has to change in a body, and what else there is to know.
#[derive(Default)]
struct Done<'r> {
    edits: Edits<'r>,
    headers: Headers,
    hides_usage: bool,
}

/// What has to change in `body`, and the headers.
fn edits<'r>(
    body: &[u8],
    peek: &Peek,
    rules: &'r Rules,
    request: &Request<'_>,
    rename: Option<&str>,
    log: &mut ChangeLog<'_>,
) -> Result<Done<'r>, TooManyMembers> {
    let mut done = Done::default();
    let ask_usage = request.ask_usage && stream_usage::is_stream(body, peek);
    if rules.is_empty() && rename.is_none() && !ask_usage {
        return Ok(done);
    }
    let mut object = Object::of(body, peek);
    done.headers = apply(&mut object, rules, request, rename, log)?;
    done.hides_usage = ask_usage && stream_usage::ask(&mut object, log)?;
    object.edits(&mut done.edits);
    Ok(done)
}

#[cfg(test)]
mod tests;
