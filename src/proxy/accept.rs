//! The first look at a request: its head, who sent it, what it asks, and its body.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Version, header};
use pingora::proxy::Session;

use super::body::{self, ReceivedBody};
use super::context::{REQUEST_ID, RequestContext};
use super::cors::Preflight;
use super::entry::Entry;
use super::memory::BodyReservation;
use super::refusal::Refusal;
use super::{ProxyState, cors, local, stored};
use crate::dialects::gym;
use crate::ids;
use crate::openai::path::PROBES;
use crate::openai::{self, ApiError, BodyKind, Code, Endpoint, StoredResponse, boundary_of};
use crate::routing::RequestHead;

/// How long a refused caller may go on sending its body, so that it gets to read the refusal (nginx waits 30 s).
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// A request that was let in, with its whole body.
pub(super) struct Accepted {
    pub(super) endpoint: Endpoint,
    pub(super) body: ReceivedBody,
}

/// A request about a response that an engine has kept.
pub(super) struct StoredRequest {
    /// The response.
    pub(super) id: String,
    /// Its path at the engine.
    pub(super) path: String,
    pub(super) reservation: BodyReservation,
}

/// What came in.
pub(super) enum Arrival {
    /// A request for an engine.
    Request(Accepted),
    /// A request about a response that an engine has kept.
    Stored(StoredRequest),
    /// What a browser asks before it sends a page's request.
    Preflight(Preflight),
    /// Something that the gateway itself knows.
    Local(local::Answer),
}

/// What became of a request that was admitted.
pub(super) enum Admitted {
    /// It goes to an engine.
    Forward,
    /// It was answered.
    Answered,
}

/// The time-outs of the client.
pub(super) fn tune(session: &mut Session, ctx: &RequestContext) {
    let (downstream, timeouts) = (&mut session.downstream_session, &ctx.snapshot.timeouts);
    downstream.set_write_timeout(Some(timeouts.client_write));
    downstream.set_read_timeout(Some(timeouts.body));
    downstream.set_total_drain_timeout(Some(DRAIN_WITHIN));
}

/// Takes in the request: everything that can be known of it without an engine.
pub(super) async fn accept(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Result<Arrival, Refusal> {
    ctx.account.id = request_id(&session.req_header().headers);
    ctx.account.trace = state.recorder.tracer.as_ref().map(|tracer| tracer.begin(&session.req_header().headers));
    ctx.account.cors = ctx.snapshot.cors.as_ref().map(|cors| Box::new(cors.answer(&session.req_header().headers)));
    let uri_path = one_slash(session.req_header().uri.path());
    ctx.entry = Entry::new(ctx.snapshot.entry(ctx.listener).cloned(), uri_path);
    let (prefix, path) = ctx.entry.inside(uri_path);
    let path = &*openai::path::normal(&path);
    ctx.account.asked.is_probe = PROBES.contains(&path);
    // Known before anything is refused: it decides in whose dialect.
    ctx.account.asked.endpoint = Endpoint::find(path);
    ctx.account.asked.is_anthropic = ctx.account.asked.endpoint.is_none()
        && (path.starts_with("/v1/messages") || session.req_header().headers.contains_key("anthropic-version"));
    check_head(session, ctx.snapshot.limits.head)?;
    if !ctx.account.asked.is_probe && path != "/" {
        check_host(session, &ctx.snapshot.hosts)?;
    }
    let head = session.req_header();
    if let Some(preflight) = Preflight::find(ctx, &head.method, &head.headers, path)? {
        // A browser sends no key with it.
        return Ok(Arrival::Preflight(preflight));
    }
    ctx.account.caller = ctx.snapshot.callers.identify(path, &session.req_header().headers)?;
    let gym = ctx.own_target().ok().flatten().and_then(|target| target.route.gym.clone());
    let path = if gym.is_some() { &*openai::path::normal(gym::without_rollout(path)) } else { path };
    let hidden = gym.as_ref().is_some_and(|rules| rules.strict) && gym::route(path).is_none();
    ctx.account.asked.endpoint = Endpoint::find(path).filter(|_| !hidden);
    if gym.is_none() && StoredResponse::find(path).is_some() {
        let path = path.to_owned();
        return stored_request(state, session, ctx, path).await;
    }
    let is_invocation = path == openai::INVOCATIONS && gym.is_none();
    let Some(endpoint) = ctx.account.asked.endpoint.or(is_invocation.then_some(Endpoint::ChatCompletions)) else {
        return Ok(Arrival::Local(local::answer(state, ctx, session.req_header(), (prefix, path))?));
    };
    if session.req_header().method != Method::POST {
        let message = format!("{path} takes POST, not {}.", session.req_header().method);
        return Err(ApiError::new(Code::MethodNotAllowed, message).allow("POST").into());
    }
    check_content_type(&session.req_header().headers, endpoint.body())?;
    if endpoint.body() == BodyKind::Multipart {
        cors::check_form(&ctx.account, session.req_header())?;
    }
    let body = body::receive(state, session, ctx).await?;
    let endpoint = if is_invocation { openai::invoked(&body.bytes)? } else { endpoint };
    ctx.account.asked.endpoint = Some(endpoint);
    Ok(Arrival::Request(Accepted { endpoint, body }))
}

/// A request for `path`, about a response that was made before.
async fn stored_request(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
    path: String,
) -> Result<Arrival, Refusal> {
    ctx.account.asked.endpoint = Some(Endpoint::Responses);
    let Some(stored) = StoredResponse::find(&path) else { return Err(stored::unknown(&path).into()) };
    if session.req_header().method.as_str() != stored.method() {
        let message = format!("{path} takes {}, not {}.", stored.method(), session.req_header().method);
        return Err(ApiError::new(Code::MethodNotAllowed, message).allow(stored.method()).into());
    }
    // Clients may send `{}`: engines read nothing of it.
    let reservation = body::receive(state, session, ctx).await?.reservation;
    Ok(Arrival::Stored(StoredRequest { id: stored.id.to_owned(), path, reservation }))
}

/// `path` with one slash at its beginning.
fn one_slash(path: &str) -> &str {
    let doubled = path.len() - path.trim_start_matches('/').len();
    path.get(doubled.saturating_sub(1)..).unwrap_or(path)
}

/// What the request asks, apart from its body. `boundary`: that of a form.
pub(super) fn head<'a>(
    session: &'a Session,
    ctx: &'a RequestContext,
    endpoint: Endpoint,
    boundary: Option<&'a str>,
) -> RequestHead<'a> {
    RequestHead {
        endpoint,
        boundary,
        headers: &session.req_header().headers,
        caller: ctx.account.caller_name(),
        entry: ctx.entry.alias.as_deref(),
    }
}

/// The boundary of a form; `None`: it is none, or does not say.
pub(super) fn boundary(session: &Session, endpoint: Endpoint) -> Option<String> {
    let is_form = endpoint.body() == BodyKind::Multipart;
    content_type(&session.req_header().headers).filter(|_| is_form).and_then(boundary_of)
}

/// The caller's request id if it is fit to keep, else one of ours.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(REQUEST_ID) {
        Some(given) if ids::is_request_id(given.as_bytes()) => given.clone(),
        // Digits are a valid value.
        _ => HeaderValue::try_from(ids::new_request_id()).unwrap_or(HeaderValue::from_static("")),
    }
}

fn check_head(session: &Session, limit: usize) -> Result<(), ApiError> {
    let head = session.req_header();
    let size = head.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if size > limit {
        let message = format!("The request's head has {size} bytes; limits.head is {limit}.");
        return Err(ApiError::new(Code::HeadTooLarge, message));
    }
    if head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST) {
        let message = "An HTTP/1.1 request needs a Host header (RFC 9112, 3.2).";
        return Err(ApiError::new(Code::MissingHost, message));
    }
    let codings = head.headers.get_all(header::TRANSFER_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(ApiError::new(Code::InvalidFraming, "Transfer-Encoding may be chunked, and nothing else."));
    }
    Ok(())
}

/// Refuses clients that call the gateway by a name which is not one of `allowed`, if there are any.
fn check_host(session: &Session, allowed: &[String]) -> Result<(), ApiError> {
    if allowed.is_empty() {
        return Ok(());
    }
    let head = session.req_header();
    let named = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or(head.uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
    // An address of IPv6 stands in brackets, before the port.
    let host = named.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let host = host.unwrap_or_else(|| named.split(':').next().unwrap_or_default());
    if allowed.iter().any(|allowed| allowed.trim_matches(['[', ']']).eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let shown: String = host.chars().take(128).collect();
    let message = format!("This gateway is not called {shown}: the configuration's `hosts` does not list that name.");
    Err(ApiError::new(Code::HostNotAllowed, message))
}

/// Refuses what is not in the format of the route, before its body is read.
fn check_content_type(headers: &HeaderMap, kind: BodyKind) -> Result<(), ApiError> {
    let given = content_type(headers).map(|value| {
        // The media type, without parameters.
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    });
    let (fits, wanted) = match (kind, given.as_deref()) {
        (BodyKind::Json, Some(given)) => (given == "application/json" || given.ends_with("+json"), "application/json"),
        (BodyKind::Multipart, Some(given)) => (given == "multipart/form-data", "multipart/form-data"),
        (BodyKind::Json, None) => (false, "application/json"),
        (BodyKind::Multipart, None) => (false, "multipart/form-data"),
    };
    if fits {
        return Ok(());
    }
    let got = given.unwrap_or_else(|| "none".into());
    Err(ApiError::new(Code::UnsupportedMediaType, format!("Content-Type must be {wanted}; it is {got}.")))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_format_of_their_route() {
        let check = |kind, given: Option<&'static str>| {
            let headers = given.map(|value| (header::CONTENT_TYPE, http::HeaderValue::from_static(value)));
            check_content_type(&headers.into_iter().collect(), kind).map_err(|error| error.status)
        };
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
            assert_eq!(check(BodyKind::Json, Some(json)), Ok(()), "{json}");
        }
        assert_eq!(check(BodyKind::Multipart, Some("multipart/form-data; boundary=x")), Ok(()));
        for (kind, given) in [
            (BodyKind::Json, None),
            (BodyKind::Json, Some("text/plain")),
            (BodyKind::Json, Some("multipart/form-data")),
            (BodyKind::Multipart, Some("application/json")),
            (BodyKind::Multipart, None),
        ] {
            assert_eq!(check(kind, given), Err(415), "{kind:?} {given:?}");
        }
    }
}
