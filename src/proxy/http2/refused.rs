//! The answer to a request that is not taken in: no session, but a whole answer.

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderValue, Method, Response, header};
use pingora::protocols::http::date::get_cached_date;

use crate::openai::{ApiError, Dialect};
use crate::proxy::context::REQUEST_ID;

/// Sends `error` on a stream, under the id of the request. What the client still sends of its request is for nobody: the
/// stream is reset when its answer is out.
pub(super) fn tell(error: &ApiError, id: HeaderValue, method: &Method, mut stream: SendResponse<Bytes>) {
    let body = Bytes::from(error.body(Dialect::OpenAi));
    let mut head = Response::builder()
        .status(error.status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(header::DATE, get_cached_date())
        .header(REQUEST_ID, id);
    for (name, value) in error.retry_headers() {
        head = head.header(name, value);
    }
    if let Some(methods) = error.allow {
        head = head.header(header::ALLOW, methods);
    }
    let Ok(head) = head.body(()) else { return };
    let is_bodyless = method == Method::HEAD;
    // A client that has gone meanwhile misses nothing.
    if let Ok(mut rest) = stream.send_response(head, is_bodyless)
        && !is_bodyless
    {
        let _ = rest.send_data(body, true);
    }
}
