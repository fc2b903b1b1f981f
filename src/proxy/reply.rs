//! Answers of our own.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::{Account, REQUEST_ID, RequestContext};
use super::cors;
use crate::openai::{ApiError, Dialect};

/// All methods that some path takes, for what names no path.
pub(super) const SERVED_METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Sends an error in the caller's dialect, and takes in what the caller may still be sending, so that it gets to read it.
pub(super) async fn refuse(session: &mut Session, ctx: &mut RequestContext, error: ApiError) -> Result<()> {
    let account = &mut ctx.account;
    account.error = Some(error.code);
    let body = error.body(account.dialect());
    if let Some(captured) = &mut ctx.captured {
        captured.begin_answer();
        captured.add(body.as_bytes());
    }
    let mut head = ResponseHeader::build(error.status, Some(8))?;
    for (name, value) in error.retry_headers() {
        head.insert_header(name, value)?;
    }
    if let Some(methods) = error.allow {
        head.insert_header(header::ALLOW, methods)?;
    }
    if error.status == 401 {
        // A challenge must come with it (RFC 9110, 15.5.2).
        head.insert_header(header::WWW_AUTHENTICATE, "Bearer")?;
    }
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    // What is still to come of the request is the caller's time.
    account.clock.ours.stop();
    send(session, account, head, body.into()).await
}

/// An error as the bytes of a whole answer under this id, after which the connection closes: where there is no request that could
/// be answered.
pub(super) fn raw(error: &ApiError, id: &str, is_head: bool) -> Bytes {
    let reason = StatusCode::from_u16(error.status).ok().and_then(|status| status.canonical_reason());
    let allow = error.allow.map(|methods| ("allow", methods.to_owned()));
    let more: String = error.retry_headers().chain(allow).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let body = error.body(Dialect::OpenAi);
    let told = if is_head { "" } else { &body };
    let answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{REQUEST_ID}: {id}\r\n{more}connection: close\r\n\r\n{told}",
        error.status,
        reason.unwrap_or_default(),
        body.len(),
    );
    answer.into()
}

/// Sends 200 with a text of that type, or an empty body.
pub(super) async fn ok(
    session: &mut Session,
    account: &Account,
    content_type: &'static str,
    body: String,
) -> Result<()> {
    let mut head = ResponseHeader::build(200, Some(4))?;
    if !body.is_empty() {
        head.insert_header(header::CONTENT_TYPE, content_type)?;
    }
    send(session, account, head, body.into()).await
}

/// Sends a whole answer that was made here, with further headers.
pub(super) async fn whole(
    session: &mut Session,
    account: &Account,
    (status, content_type): (u16, &str),
    headers: &[(HeaderName, String)],
    body: Bytes,
) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(4 + headers.len()))?;
    head.insert_header(header::CONTENT_TYPE, content_type)?;
    for (name, value) in headers {
        head.insert_header(name.clone(), value.as_str())?;
    }
    send(session, account, head, body).await
}

/// Sends a whole answer with this `head`.
pub(super) async fn send(
    session: &mut Session,
    account: &Account,
    mut head: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    if head.status != StatusCode::NO_CONTENT {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    account.name_answer(&mut head)?;
    cors::write(&mut head, account.cors.as_deref())?;
    let bodyless = session.req_header().method == Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(head), bodyless).await?;
    if !bodyless {
        session.write_response_body(Some(body), true).await?;
    }
    // Closing on unread bytes resets the connection, and the caller may lose the answer with it. Bounded by
    // `set_total_drain_timeout`. After a body that cannot be read to its end the connection closes.
    let _ = session.downstream_session.drain_request_body().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::Code;

    #[test]
    fn a_raw_answer_says_which_methods_are_served() {
        let error = ApiError::new(Code::MethodNotAllowed, "no").allow("GET, POST");
        let answer = raw(&error, "an-id", false);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{text}");
        assert!(text.contains("\r\nallow: GET, POST\r\n") && text.contains("\r\nx-request-id: an-id\r\n"), "{text}");
    }
}
