//! From a request as its caller sent it to one for the engines of a target, in place; and to the plan of where it may go.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::plan::{Plan, Protocol};
use super::snapshot::Snapshot;
use super::target::Target;
use crate::config::UsageMode;
use crate::dialects::{self, Translator, gym};
use crate::ids::Name;
use crate::openai::{self, ApiError, BodyKind, Change, Code, Endpoint, FormPeek, Peek, PlainRuns};

/// What a request asks, apart from its body: all that its settings may depend on.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// What a request asks for.
    pub endpoint: Endpoint,
    /// The boundary of a form.
    pub boundary: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The caller; `None`: without a key.
    pub caller: Option<&'a str>,
    /// The alias whose own address or path it came to: what its body names does not matter then.
    pub entry: Option<&'a str>,
}

/// The same, kept.
#[derive(Clone, Debug)]
pub struct OwnedHead {
    endpoint: Endpoint,
    boundary: Option<String>,
    headers: HeaderMap,
    caller: Option<Name>,
    entry: Option<Name>,
}

impl RequestHead<'_> {
    /// The same, kept.
    #[must_use]
    pub fn to_owned(&self) -> OwnedHead {
        OwnedHead {
            endpoint: self.endpoint,
            boundary: self.boundary.map(str::to_owned),
            headers: self.headers.clone(),
            caller: self.caller.map(Into::into),
            entry: self.entry.map(Into::into),
        }
    }
}

impl OwnedHead {
    /// The same, lent.
    #[must_use]
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead {
            endpoint: self.endpoint,
            boundary: self.boundary.as_deref(),
            headers: &self.headers,
            caller: self.caller.as_deref(),
            entry: self.entry.as_deref(),
        }
    }
}

/// Random numbers that decide about one request.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// Which part of a split gets a request that nothing ties to one.
    pub split: u64,
    /// 0 up to 1: whether it is mirrored.
    pub mirror: f64,
}

/// Asked for memory beside the body before it is taken, in bytes; refuses where there is none.
pub type Room<'a> = dyn FnMut(usize) -> Result<(), ApiError> + 'a;

/// Told the position of the target that a request goes to, and the body as its caller sent it: before either is found wrong.
pub type Resolved<'a> = dyn FnMut(usize, &[u8]) + 'a;

/// Memory that one value of a tree takes at most, with its share of the containers around it.
const TREE_VALUE: usize = 128;

/// About the memory that `body` takes as a tree of values, which is what a translation makes of it.
#[must_use]
pub fn tree_cost(body: &[u8]) -> usize {
    let values = memchr::memchr3_iter(b',', b':', b'[', body).count();
    2 * body.len() + values.saturating_mul(TREE_VALUE)
}

/// A request that is ready to be sent, and where it may go.
#[derive(Debug)]
pub struct Prepared {
    /// Where it may go.
    pub plan: Plan,
    /// For the engines of the plan's first leg. With [`Protocol::Gym`]: as its caller sent it.
    pub request: PreparedRequest,
    /// The body as its caller sent it, where another place may want it.
    pub original: Option<Bytes>,
    /// The response, kept by an engine, that it goes on with.
    pub previous: Option<String>,
    /// It is for a response that is made after its answer.
    pub is_background: bool,
}

/// A request as the engines of one target get it.
#[derive(Debug)]
pub struct PreparedRequest {
    /// The body.
    pub body: BytesMut,
    /// The engine's endpoint.
    pub endpoint: Endpoint,
    /// For its answer, when the caller speaks another API than the engine.
    pub translator: Option<ResponseTranslator>,
    /// The engine was asked for token counts that the caller is not to see.
    pub hides_usage: bool,
    /// In place of the caller's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The name by which the caller asked, where it is that of no route: it came to a wildcard alias.
    pub requested: Option<Name>,
}

/// Translates an engine's answer to the caller's API.
#[derive(Clone, Debug)]
pub struct ResponseTranslator {
    /// Knows both APIs.
    pub by: Box<Translator>,
    /// The answer is a count of tokens.
    pub counts: bool,
}

impl ResponseTranslator {
    /// A whole answer, which had `status`, in the caller's API.
    ///
    /// # Errors
    /// The engine's answer is not what its API says.
    pub fn whole(&mut self, status: u16, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        match (200..300).contains(&status) {
            true if self.counts => dialects::from_tokenize(body),
            true => self.by.answer(body),
            false => Ok(self.by.error(status, body)),
        }
    }
}

/// What was seen of a body.
enum Peeked {
    Json(Peek),
    Form(FormPeek),
}

impl Peeked {
    /// Looks at `body`, and checks that all of it is well-formed.
    fn at(kind: BodyKind, boundary: Option<&str>, body: &[u8]) -> Result<Self, ApiError> {
        Self::seen(kind, boundary, body, &PlainRuns::default())
    }

    /// The same, where `runs` of it were seen as it came.
    fn seen(kind: BodyKind, boundary: Option<&str>, body: &[u8], runs: &PlainRuns) -> Result<Self, ApiError> {
        match (kind, boundary) {
            (BodyKind::Json, _) => Ok(Self::Json(openai::peek_seen(body, runs)?)),
            (BodyKind::Multipart, Some(boundary)) => Ok(Self::Form(openai::peek_form(body, boundary)?)),
            (BodyKind::Multipart, None) => {
                let message = "Content-Type has no boundary parameter (RFC 7578, 4.1).";
                Err(ApiError::new(Code::MissingBoundary, message))
            }
        }
    }

    fn model(&self) -> Option<&str> {
        match self {
            Self::Json(peek) => peek.model(),
            Self::Form(peek) => peek.model(),
        }
    }
}

/// A request that cannot be made ready, and what is known of where it was to go.
#[derive(Debug, PartialEq)]
pub struct Unprepared {
    /// What its caller is told.
    pub error: Box<ApiError>,
    /// The position of the target that its name leads to.
    pub target: Option<usize>,
    /// The name that it says, where that leads nowhere.
    pub model: Option<String>,
}

impl From<ApiError> for Unprepared {
    fn from(error: ApiError) -> Self {
        Self { error: error.into(), target: None, model: None }
    }
}

/// Resolves the name that a request says, decides where it may go, and makes it ready for the first of these places. `runs`: what
/// was seen of its body as it came.
///
/// # Errors
/// The request is wrong: the error says what the caller has to correct. Or `room` refuses.
pub fn prepare(
    snapshot: &Snapshot,
    head: &RequestHead<'_>,
    (body, runs): (BytesMut, &PlainRuns),
    chance: Chance,
    room: &mut Room<'_>,
    resolved: &mut Resolved<'_>,
) -> Result<Prepared, Unprepared> {
    let entry = head.entry.map(|name| snapshot.find(name)).transpose()?;
    let part = |at: usize| snapshot.part(at, head.headers, head.caller, chance.split);
    if let Some(at) = entry.map(part)
        && let Some(plan) = gym_plan(snapshot, at, head.endpoint)
    {
        // Gym has its own words for a body that is wrong.
        resolved(at, &body);
        return Ok(untouched(plan, head.endpoint, body));
    }
    let looked_into = Peeked::seen(head.endpoint.body(), head.boundary, &body, runs);
    let peeked = looked_into.map_err(|error: ApiError| {
        let target = entry.map(part);
        target.into_iter().for_each(|at| resolved(at, &body));
        Unprepared { error: error.into(), target, model: None }
    })?;
    let at = match (entry, peeked.model()) {
        (Some(at), _) => at,
        (None, Some(name)) => {
            let unknown =
                |error: ApiError| Unprepared { error: error.into(), target: None, model: Some(name.to_owned()) };
            snapshot.find(name).map_err(unknown)?
        }
        (None, None) => snapshot.catch_all().ok_or_else(|| {
            let message = "The request names no model: set `model` to one of GET /v1/models.";
            ApiError::new(Code::MissingModel, message)
        })?,
    };
    let at = part(at);
    resolved(at, &body);
    if let Some(plan) = gym_plan(snapshot, at, head.endpoint) {
        return Ok(untouched(plan, head.endpoint, body));
    }
    prepare_at(snapshot, at, (head, peeked), body, chance, room).map_err(|error: ApiError| Unprepared {
        error: error.into(),
        target: Some(at),
        model: None,
    })
}

/// Decides where a request for the target at `at` may go, and makes it ready for that target.
fn prepare_at(
    snapshot: &Snapshot,
    at: usize,
    (head, peeked): (&RequestHead<'_>, Peeked),
    body: BytesMut,
    chance: Chance,
    room: &mut Room<'_>,
) -> Result<Prepared, ApiError> {
    let plan = plan(snapshot, at, Protocol::Plain, chance.mirror);
    let wanted_again = plan.legs.len() > 1 || plan.mirror.is_some();
    if wanted_again {
        room(body.len())?;
    }
    let original = wanted_again.then(|| Bytes::copy_from_slice(&body));
    let (previous, is_background) = match &peeked {
        Peeked::Json(peek) if head.endpoint == Endpoint::Responses => {
            (openai::previous_response(peek, &body), openai::is_background(peek, &body))
        }
        _ => (None, false),
    };
    let request = rewritten(target(snapshot, at)?, (head, peeked), body, None, room)?;
    Ok(Prepared { plan, request, original, previous, is_background })
}

/// Makes a request ready for the engines of the target at `at`; every change is added to `changes`,
/// if there is such a list.
///
/// # Errors
/// The request is wrong: the error says what the caller has to correct.
pub fn prepare_for(
    snapshot: &Snapshot,
    at: usize,
    head: &RequestHead<'_>,
    body: BytesMut,
    changes: Option<&mut Vec<Change>>,
    room: &mut Room<'_>,
) -> Result<PreparedRequest, ApiError> {
    let peeked = Peeked::at(head.endpoint.body(), head.boundary, &body)?;
    rewritten(target(snapshot, at)?, (head, peeked), body, changes, room)
}

fn target(snapshot: &Snapshot, at: usize) -> Result<&Target, ApiError> {
    snapshot.target(at).ok_or_else(|| ApiError::new(Code::Internal, "The request's target is gone."))
}

/// The plan for the target at `at` and, when it cannot, the places after it. `chance`: 0 up to 1, for the mirror.
fn plan(snapshot: &Snapshot, at: usize, protocol: Protocol, chance: f64) -> Plan {
    let target = snapshot.target(at);
    let fallback = target.iter().flat_map(|target| target.fallback.iter().copied());
    let legs: SmallVec<[usize; 4]> = [at].into_iter().chain(fallback).collect();
    let mirror = target.and_then(|target| target.mirror).filter(|(percent, _)| chance * 100.0 < *percent);
    Plan { legs, mirror: mirror.map(|(_, to)| to), protocol }
}

/// The plan of a request that goes by NeMo Gym's rules; `None`: it does not. Copies of such turns are not made.
fn gym_plan(snapshot: &Snapshot, at: usize, endpoint: Endpoint) -> Option<Plan> {
    let route = snapshot.target(at)?.route.gym.as_ref().and(gym::route(endpoint.path()))?;
    Some(plan(snapshot, at, Protocol::Gym(route), 1.0))
}

fn untouched(plan: Plan, endpoint: Endpoint, body: BytesMut) -> Prepared {
    let (translator, hides_usage) = (None, false);
    let request = PreparedRequest { body, endpoint, translator, hides_usage, headers: Vec::new(), requested: None };
    Prepared { plan, request, original: None, previous: None, is_background: false }
}

/// The request for the engines of `target`: translated, changed by its settings, under the name they know.
fn rewritten(
    target: &Target,
    (head, mut peeked): (&RequestHead<'_>, Peeked),
    mut body: BytesMut,
    changes: Option<&mut Vec<Change>>,
    room: &mut Room<'_>,
) -> Result<PreparedRequest, ApiError> {
    let (mut endpoint, mut translator) = (head.endpoint, None);
    let requested = head.entry.or(peeked.model()).filter(|_| target.route.is_wildcard).map(Name::from);
    let served = if changes.is_some() { target.known_served_name() } else { Some(target.served_name()) };
    if let Some(api) = target.translates(endpoint) {
        room(tree_cost(&body))?;
        let late_system = target.route.dialect.late_system;
        let (chat, mut by) = dialects::to_chat(api, &body, late_system)?;
        by.set_model(target.response_model(requested.as_ref()).unwrap_or(&target.served_name()));
        let counts = endpoint == Endpoint::CountTokens;
        let asked = if counts { dialects::to_tokenize(&body, late_system)? } else { chat };
        endpoint = if counts { Endpoint::Tokenize } else { Endpoint::ChatCompletions };
        body = BytesMut::from(&asked[..]);
        peeked = Peeked::at(BodyKind::Json, None, &body)?;
        translator = Some(ResponseTranslator { by: Box::new(by), counts });
    }
    let ask_usage = target.usage == UsageMode::Asked && endpoint.has_stream_options();
    let request =
        openai::Request { asked: head.endpoint, endpoint, headers: head.headers, caller: head.caller, ask_usage };
    let (rules, served) = (&target.rules, served.as_deref());
    let done = match &peeked {
        Peeked::Json(peek) => openai::rewrite(&mut body, peek, rules, &request, served, changes)?,
        Peeked::Form(peek) => openai::rewrite_form(&mut body, peek, rules, &request, served, changes)?,
    };
    let hides_usage = done.hides_usage && translator.is_none();
    Ok(PreparedRequest { body, endpoint, translator, hides_usage, headers: done.headers, requested })
}

#[cfg(test)]
mod tests;
