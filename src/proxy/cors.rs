//! Web pages of other origins: the answer to a browser's preflight, and the headers that let a page read answers.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::context::{Account, RequestContext};
use super::local;
use crate::openai::{ApiError, Code, Endpoint};
use crate::routing::{CREDENTIALS, CorsAnswer};

/// How long a browser may remember the answer to a preflight, in seconds: the longest that Chrome takes.
const MAX_AGE: u32 = 7200;

/// Headers of answers that a page may read besides the usual ones.
const EXPOSED: &str = "x-request-id, request-id, retry-after, x-should-retry, x-enginehouse-dropped-tools";

/// Refuses forms of pages that may not use the gateway: browsers send them without a preflight. With a key it is no page that
/// sends them: a page's own key has a preflight, too.
pub(super) fn check_form(account: &Account, head: &RequestHeader) -> std::result::Result<(), ApiError> {
    let has_key = CREDENTIALS.iter().any(|name| head.headers.contains_key(name));
    let Some(origin) = head.headers.get(header::ORIGIN).filter(|_| !has_key) else { return Ok(()) };
    // Browsers say it themselves; pages cannot.
    let site = head.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_own = matches!(site, Some(b"same-origin" | b"none")) || is_own(origin, head);
    let is_allowed = account.cors.as_ref().is_some_and(|cors| cors.origin.is_some());
    if is_allowed || is_own { Ok(()) } else { Err(not_allowed(origin)) }
}

/// Whether `origin` is where the request goes.
fn is_own(origin: &HeaderValue, head: &RequestHeader) -> bool {
    // What stands before the gateway may have changed the host; a page cannot send this header without a preflight.
    let named = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
    let host = named("x-forwarded-host").or(named("host"));
    let host = host.or_else(|| head.uri.authority().map(|authority| authority.as_str().as_bytes()));
    let place = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, place)| place.as_bytes());
    place.is_some() && place == host
}

fn not_allowed(origin: &HeaderValue) -> ApiError {
    let shown: String = origin.to_str().unwrap_or("(not text)").chars().take(128).collect();
    let message = format!("Pages of {shown} may not use this gateway: cors.origins does not list that origin.");
    ApiError::new(Code::OriginNotAllowed, message)
}

/// A preflight: what a browser asks before it sends a page's request (Fetch Standard, 4.8).
pub(super) struct Preflight {
    methods: &'static str,
    /// Any are allowed: those that it asks for.
    headers: Option<HeaderValue>,
}

impl Preflight {
    /// The preflight that a request for `path` is, where pages may use the gateway; `None`: it is none.
    ///
    /// # Errors
    /// 403: a page of that origin may not.
    pub(super) fn find(
        ctx: &RequestContext,
        method: &Method,
        headers: &HeaderMap,
        path: &str,
    ) -> std::result::Result<Option<Self>, ApiError> {
        let Some(cors) = &ctx.account.cors else { return Ok(None) };
        let asked = headers.get(header::ORIGIN).zip(headers.get(header::ACCESS_CONTROL_REQUEST_METHOD));
        let Some((origin, _)) = asked.filter(|_| method == Method::OPTIONS) else { return Ok(None) };
        if cors.origin.is_none() {
            return Err(not_allowed(origin));
        }
        let methods = match Endpoint::find(path) {
            Some(_) => "POST",
            None if local::is_known(path) => "GET, HEAD",
            // The page is to read what is wrong.
            None => "GET, HEAD, POST",
        };
        Ok(Some(Self { methods, headers: headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned() }))
    }

    /// The head of its answer, which has no body.
    pub(super) fn head(self) -> Result<ResponseHeader> {
        let mut head = ResponseHeader::build(204, Some(8))?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods)?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)?;
        if let Some(headers) = self.headers {
            head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)?;
        }
        Ok(head)
    }
}

/// Writes into the head of an answer which pages may read it, in place of what an engine says of that.
pub(super) fn write(head: &mut ResponseHeader, cors: Option<&CorsAnswer>) -> Result<()> {
    let Some(CorsAnswer { origin, varies }) = cors else { return Ok(()) };
    const ENGINES: [HeaderName; 3] = [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ];
    ENGINES.iter().for_each(|name| drop(head.remove_header(name)));
    if let Some(origin) = origin {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
        head.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
    }
    if *varies {
        head.append_header(header::VARY, "Origin")?;
    }
    Ok(())
}
