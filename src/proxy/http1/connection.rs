//! One HTTP/1.1 connection: its requests are taken in and served, one after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Version, header};
use pingora::apps::HttpServerApp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::authority::validate_request_authority;
use pingora::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::session::{Addresses, Http1Session, Left, Leftover};
use crate::http1::{UnreadableHead, take_request};
use crate::ids;
use crate::net::close;
use crate::openai::{ApiError, Code};
use crate::proxy::refused_head::RefusedHead;
use crate::proxy::reply::SERVED_METHODS;
use crate::proxy::session::ForPingora;
use crate::proxy::wire::Wire;
use crate::proxy::{ProxyState, reply};

/// What a head that is not whole yet may have beyond `limits.head`, which is looked at when it is: the answer is a better one then.
const BEYOND: usize = 64 * 1024;

/// How long a new connection may take to bring a request when its listener closes.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// Of a request's head.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until its first byte.
    idle: Duration,
    /// From there to its last one.
    head: Duration,
    /// Bytes.
    most: usize,
}

/// What comes next on a connection.
enum Next {
    Request(Box<RequestHeader>),
    /// Nothing that can be served.
    Refused(Box<RefusedHead>),
    /// The client has left, was silent for too long, or the gateway ends.
    Over,
}

/// Serves the requests of a connection by `app`; `taken`: what was read of the first one.
pub(in crate::proxy) async fn serve<A>(
    stream: TcpStream,
    taken: &[u8],
    client: SocketAddr,
    (state, app): (&ProxyState, &Arc<A>),
    closing: &ShutdownWatch,
) where
    A: HttpServerApp,
{
    let server = stream.local_addr().ok().map(Into::into);
    let addresses = Arc::new(Addresses { client: Some(client.into()), server });
    let leftover = Arc::new(Leftover::default());
    let mut wire = Wire::new(stream);
    wire.incoming.extend_from_slice(taken);
    let mut ending = pin!(ending(closing));
    loop {
        let limits = {
            let snapshot = state.snapshot();
            let most = snapshot.limits.head + BEYOND;
            Limits { idle: snapshot.timeouts.keepalive, head: snapshot.timeouts.head, most }
        };
        let head = match next(&mut wire, limits, ending.as_mut()).await {
            Next::Request(head) => head,
            Next::Refused(refused) => {
                let id = ids::new_request_id();
                refused.record(&state.recorder, &id, Some(client.ip()));
                return close(wire.socket, reply::raw(&refused.error, &id, refused.method == "HEAD")).await;
            }
            Next::Over => return,
        };
        let keeps = keeps_alive(&head) && !*closing.borrow();
        let session = ForPingora(Http1Session::new(wire, *head, keeps, addresses.clone(), leftover.clone()));
        app.process_new_http(ServerSession::new_custom(Box::new(session)), closing).await;
        match take(&leftover) {
            Some(Left::Open(kept)) => wire = kept,
            Some(Left::Unread(socket)) => return close(socket, Bytes::new()).await,
            None => return,
        }
        wire.shrink();
    }
}

fn take(leftover: &Leftover) -> Option<Left> {
    leftover.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Whether the client expects to send another request (RFC 9112, 9.3). One of HTTP/1.0 knows no chunks: the end of the connection
/// is the end of an answer of unknown length.
fn keeps_alive(head: &RequestHeader) -> bool {
    head.version == Version::HTTP_11 && !says_close(&head.headers)
}

fn says_close(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONNECTION).iter();
    values.any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Returns when no further request is waited for, because the listener closes.
async fn ending(closing: &ShutdownWatch) {
    if closing.clone().wait_for(|is_closing| *is_closing).await.is_ok() {
        // A request may be on its way already.
        sleep(LAST_REQUEST_WITHIN).await;
    }
}

/// The next request; `ending`: returns when there is none.
async fn next(wire: &mut Wire<TcpStream>, limits: Limits, mut ending: Pin<&mut impl Future<Output = ()>>) -> Next {
    wire.renew_patience();
    let (mut has_read, mut stray_since) = (false, None);
    loop {
        match parse(wire, limits.most) {
            Some(next) => return next,
            None if wire.incoming.is_empty() => {
                // Line ends that belong to no request are no sign of one.
                if has_read && stray_since.get_or_insert_with(Instant::now).elapsed() >= limits.idle {
                    return Next::Over;
                }
            }
            None => return rest_of_head(wire, limits).await,
        }
        let read = poll_fn(|cx| match wire.poll_read(cx) {
            Poll::Pending => wire.poll_over(cx, limits.idle).map(|()| Ok(0)),
            read => read,
        });
        let read = tokio::select! {
            biased;
            read = read => read,
            () = &mut ending => return Next::Over,
        };
        if let Ok(0) | Err(_) = read {
            return Next::Over;
        }
        has_read = true;
    }
}

async fn rest_of_head(wire: &mut Wire<TcpStream>, limits: Limits) -> Next {
    let began = Instant::now();
    let rest = async {
        loop {
            match poll_fn(|cx| wire.poll_read(cx)).await {
                Ok(0) | Err(_) => return Next::Over,
                Ok(new) => {
                    // A line that is not whole ends no head, and a client may send each byte by itself.
                    let has_line = wire.incoming[wire.incoming.len() - new..].contains(&b'\n');
                    if (has_line || wire.incoming.len() > limits.most)
                        && let Some(next) = parse(wire, limits.most)
                    {
                        return next;
                    }
                }
            }
        }
    };
    match timeout(limits.head, rest).await {
        Ok(Next::Refused(refused)) => Next::Refused(Box::new(RefusedHead { took: began.elapsed(), ..*refused })),
        Ok(next) => next,
        Err(_) => {
            let message = format!("The request's head did not arrive within {:?} (timeouts.head).", limits.head);
            let refused = RefusedHead::unreadable(ApiError::new(Code::RequestTimeout, message), &wire.incoming);
            Next::Refused(Box::new(RefusedHead { took: began.elapsed(), ..refused }))
        }
    }
}

/// What has come; `None`: the head is not whole.
fn parse(wire: &mut Wire<TcpStream>, most: usize) -> Option<Next> {
    // Some clients end a body with a line that does not belong to it (RFC 9112, 2.2). That begins no head.
    let stray = wire.incoming.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    wire.incoming.advance(stray);
    let error = match take_request(&mut wire.incoming) {
        Ok(None) if wire.incoming.len() <= most => return None,
        Ok(None) if is_one_line(&wire.incoming) => target_too_long(),
        Ok(None) | Err(UnreadableHead::TooLarge) => too_large(),
        Ok(Some(head)) => {
            return Some(match check(&head) {
                Ok(()) => Next::Request(Box::new(head)),
                Err(error) => Next::Refused(Box::new(RefusedHead::of(error, head.method.as_str(), head.raw_path()))),
            });
        }
        Err(UnreadableHead::TargetTooLong) => target_too_long(),
        Err(UnreadableHead::Malformed) => invalid(),
    };
    Some(Next::Refused(Box::new(RefusedHead::unreadable(error, &wire.incoming))))
}

/// Whether the first line, which has the target, is all that has come, and goes on.
fn is_one_line(bytes: &[u8]) -> bool {
    !bytes.contains(&b'\n') && bytes.contains(&b' ')
}

/// Refuses what nobody can serve.
fn check(head: &RequestHeader) -> Result<(), ApiError> {
    if head.method == Method::CONNECT {
        return Err(ApiError::new(Code::MethodNotAllowed, "CONNECT is not served here.").allow(SERVED_METHODS));
    }
    // It must be clear which host is meant.
    validate_request_authority(head).map_err(|_| invalid())
}

fn invalid() -> ApiError {
    ApiError::new(Code::InvalidHttp, "The request's head is not valid HTTP/1.1.")
}

fn target_too_long() -> ApiError {
    ApiError::new(Code::TargetTooLong, "The request's target (its path and query) is longer than 65534 bytes.")
}

fn too_large() -> ApiError {
    ApiError::new(Code::HeadTooLarge, "The request's head is too large (limits.head).")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn head(text: &str) -> RequestHeader {
        take_request(&mut BytesMut::from(text)).expect("valid").expect("whole")
    }

    #[test]
    fn a_connection_is_kept_unless_the_client_says_otherwise_or_is_old() {
        for (text, keeps) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
        ] {
            assert_eq!(keeps_alive(&head(text)), keeps, "{text}");
        }
    }

    #[test]
    fn a_request_for_two_hosts_or_none_that_is_clear_is_refused() {
        let status = |text| check(&head(text)).err().map(|error| error.status);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        assert_eq!(status("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        assert_eq!(status("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), Some(400));
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Some(400));
        assert_eq!(status("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), Some(405));
    }
}
