//! From a body as its caller sent it to the one for the engines of a target, in place.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::proxy::Session;

use super::context::Context;
use super::resolve::{self, Peeked};
use super::rework::Teller;
use super::{Shared, Table};
use crate::dialects;
use crate::dialects::gym::{self, GymRoute};
use crate::ids::Name;
use crate::openai::{self, ApiError, BodyKind, Code, Endpoint};

/// From this size on, looking through a body could hold up a worker for more than a millisecond.
pub(super) const OFFLOAD: usize = 1 << 20;

/// What a request asks, apart from its body: all that its settings may depend on.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) endpoint: Endpoint,
    boundary: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) caller: Option<&'a str>,
}

/// A request as its caller sent it, to be aimed at another target.
#[derive(Debug)]
pub(super) struct Original {
    endpoint: Endpoint,
    boundary: Option<String>,
    headers: HeaderMap,
    caller: Option<Name>,
    body: Bytes,
}

impl Original {
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            endpoint: self.endpoint,
            boundary: self.boundary.as_deref(),
            headers: &self.headers,
            caller: self.caller.as_deref(),
        }
    }

    /// What the request in `session` asks, without its body.
    pub(super) fn head(session: &Session, ctx: &Context, endpoint: Endpoint) -> Self {
        let headers = &session.req_header().headers;
        Self::of(Asked { endpoint, boundary: None, headers, caller: ctx.caller() }, Bytes::new())
    }

    fn of(asked: Asked<'_>, body: Bytes) -> Self {
        Self {
            endpoint: asked.endpoint,
            boundary: asked.boundary.map(str::to_owned),
            headers: asked.headers.clone(),
            caller: asked.caller.map(Into::into),
            body,
        }
    }
}

/// A request as the engines of one target get it.
pub(super) struct Aimed {
    pub(super) at: usize,
    pub(super) body: BytesMut,
    /// The engine's endpoint.
    pub(super) endpoint: Endpoint,
    /// For its answer, when the caller speaks another API than the engine.
    pub(super) translator: Option<Teller>,
    /// In place of the caller's.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Aimed {
    /// Notes in `ctx` where the request goes.
    pub(super) fn note(self, table: Arc<Table>, ctx: &mut Context) {
        ctx.in_flight = table.targets.get(self.at).map(|target| target.meters.enter());
        ctx.target = Some((table, self.at));
        ctx.upstream = Some(self.endpoint);
        ctx.translator = self.translator;
        ctx.headers = self.headers;
        ctx.body = self.body.freeze();
    }
}

/// What becomes of a request.
pub(super) enum Prepared {
    /// It is aimed at the target in `ctx`.
    Aimed,
    /// It is a matter of NeMo Gym's rules, at the target in `ctx`.
    Gym(GymRoute, Bytes),
}

/// Aims the request at the target it names; notes in `ctx` what it is and what becomes of it.
pub(super) async fn prepare(
    shared: &Arc<Shared>,
    session: &Session,
    ctx: &mut Context,
    endpoint: Endpoint,
    body: BytesMut,
) -> Result<Prepared, ApiError> {
    let table = shared.table();
    let boundary = if endpoint.body() == BodyKind::Multipart { resolve::boundary(session) } else { None };
    let headers = &session.req_header().headers;
    let asked = Asked { endpoint, boundary: boundary.as_deref(), headers, caller: ctx.caller() };
    let first = |table: &Table, door: Option<&str>, asked: Asked<'_>, body: BytesMut| {
        let peeked = peek(asked, &body)?;
        let at = resolve::target(table, door, &peeked, asked.headers, asked.caller)?;
        let target = &table.targets[at];
        if let Some(route) = target.route.gym.as_ref().and(gym::route(asked.endpoint.path())) {
            return Ok(Found::Gym(at, route, body));
        }
        let original = target.wants_original().then(|| Original::of(asked, Bytes::copy_from_slice(&body)));
        Ok::<_, ApiError>(Found::Aimed(Box::new(aim(table, at, asked, peeked, body)?), original))
    };
    let found = if ctx.received < OFFLOAD {
        first(&table, ctx.door.as_deref(), asked, body)?
    } else {
        let (table, door, asked) = (table.clone(), ctx.door.clone(), Original::of(asked, Bytes::new()));
        elsewhere(move || first(&table, door.as_deref(), asked.asked(), body)).await?
    };
    let (aimed, original) = match found {
        Found::Aimed(aimed, original) => (aimed, original),
        Found::Gym(at, route, body) => {
            ctx.in_flight = Some(table.targets[at].meters.enter());
            ctx.target = Some((table, at));
            return Ok(Prepared::Gym(route, body.freeze()));
        }
    };
    ctx.fallback = table.targets[aimed.at].fallback.iter().copied().collect();
    ctx.original = original.map(Arc::new);
    aimed.note(table, ctx);
    Ok(Prepared::Aimed)
}

/// What a look at a body tells.
enum Found {
    Aimed(Box<Aimed>, Option<Original>),
    /// Its target goes by NeMo Gym's rules.
    Gym(usize, GymRoute, BytesMut),
}

/// Aims a request once more, at the target at `at`.
pub(super) async fn again(table: &Arc<Table>, at: usize, original: &Arc<Original>) -> Result<Aimed, ApiError> {
    let work = {
        let (table, original) = (table.clone(), original.clone());
        move || {
            let body = BytesMut::from(&original.body[..]);
            let peeked = peek(original.asked(), &body)?;
            aim(&table, at, original.asked(), peeked, body)
        }
    };
    if original.body.len() < OFFLOAD { work() } else { elsewhere(work).await }
}

/// Does `work` where it holds nobody up.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let broken = |_| ApiError::new(Code::Internal, "The request could not be processed.");
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

fn peek(asked: Asked<'_>, body: &[u8]) -> Result<Peeked, ApiError> {
    resolve::peek(asked.endpoint.body(), asked.boundary, body)
}

/// The body for the engines of the target at `at`.
fn aim(table: &Table, at: usize, asked: Asked<'_>, mut peeked: Peeked, mut body: BytesMut) -> Result<Aimed, ApiError> {
    let target = &table.targets[at];
    let (mut endpoint, mut translator) = (asked.endpoint, None);
    if let Some(spoken) = target.translates(endpoint) {
        let (chat, mut by) = dialects::to_chat(spoken, &body)?;
        by.set_model(target.echo().unwrap_or(&target.served_name()));
        let counts = endpoint == Endpoint::CountTokens;
        let asked = if counts { dialects::to_tokenize(&body)? } else { chat };
        endpoint = if counts { Endpoint::Tokenize } else { Endpoint::ChatCompletions };
        body = BytesMut::from(&asked[..]);
        peeked = resolve::peek(BodyKind::Json, None, &body)?;
        translator = Some(Teller { by: Box::new(by), counts });
    }
    let served = target.served_name();
    let request = openai::Request { asked: asked.endpoint, endpoint, headers: asked.headers, caller: asked.caller };
    let done = match &peeked {
        Peeked::Json(peek) => openai::rewrite(&mut body, peek, &target.rules, &request, Some(&served))?,
        Peeked::Form(peek) => openai::rewrite_form(&mut body, peek, &target.rules, &request, Some(&served))?,
    };
    Ok(Aimed { at, body, endpoint, translator, headers: done.headers })
}
