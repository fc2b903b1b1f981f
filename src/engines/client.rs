//! The HTTP client for requests of our own to engines: whole requests, whole answers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use serde_json::Value;

use super::Engine;
use super::exchange::ExchangeError;
use crate::outcome::Outcome;

/// Largest answer to a small question; a list of models is a few kilobytes.
const SMALL_ANSWER: usize = 1024 * 1024;

/// Largest page of metrics; vLLM's has some hundred kilobytes.
const LARGE_ANSWER: usize = 16 * 1024 * 1024;

/// Of an answer with more bytes than are wanted. That is not the engine's fault.
const TOO_LARGE: ErrorType = ErrorType::Custom("its answer is too large");

/// How long a request waits for its engine's health to be known.
const HEALTH_WITHIN: Duration = Duration::from_secs(1);

/// How long to wait for an answer, and how much of it to read.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Until the whole answer is there; `None`: as long as something comes.
    pub whole: Option<Duration>,
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub silence: Duration,
    /// Bytes of an answer.
    pub bytes: usize,
}

impl CallLimits {
    /// For a small question.
    fn small(within: Duration) -> Self {
        Self { whole: Some(within), connect: within, silence: within, bytes: SMALL_ANSWER }
    }
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// All of its body.
    pub body: Bytes,
}

/// An answer to a small question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 200 and JSON.
    Json(Value),
    /// 200 and something else.
    NotJson,
    /// Another status.
    Status(u16),
}

/// An HTTP client; one is enough for all engines.
pub struct EngineClient {
    connector: Connector,
}

impl std::fmt::Debug for EngineClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineClient").finish_non_exhaustive()
    }
}

impl Default for EngineClient {
    fn default() -> Self {
        Self { connector: Connector::new(None) }
    }
}

impl EngineClient {
    /// `GET path` of `engine`.
    ///
    /// # Errors
    /// When there is no whole answer within `timeout`.
    pub async fn get(&self, engine: &Engine, path: &str, timeout: Duration) -> Result<Answer, ExchangeError> {
        let Reply { status, body } = self.ask(engine, path, timeout).await?;
        Ok(match status {
            StatusCode::OK => serde_json::from_slice(&body).map_or(Answer::NotJson, Answer::Json),
            status => Answer::Status(status.as_u16()),
        })
    }

    /// What `engine` measures, in Prometheus' text format; whatever the status.
    ///
    /// # Errors
    /// When there is no whole answer within `timeout`.
    pub async fn metrics(&self, engine: &Engine, timeout: Duration) -> Result<Reply, ExchangeError> {
        let head = request(engine, "/metrics").map_err(unsent)?;
        let limits = CallLimits { bytes: LARGE_ANSWER, ..CallLimits::small(timeout) };
        self.resend(engine, head, Bytes::new(), limits).await
    }

    /// Whether `engine` passes its health check now, within a second; `true` where it has none.
    pub async fn is_healthy(&self, engine: &Engine) -> bool {
        let Some(path) = engine.health_path() else { return true };
        let said = self.ask(engine, &path, HEALTH_WITHIN).await;
        said.is_ok_and(|reply| reply.status == StatusCode::OK)
    }

    async fn ask(&self, engine: &Engine, path: &str, timeout: Duration) -> Result<Reply, ExchangeError> {
        let head = request(engine, path).map_err(unsent)?;
        self.resend(engine, head, Bytes::new(), CallLimits::small(timeout)).await
    }

    /// `POST path` of `engine`, with a JSON body or none; what it answered, whatever the status.
    ///
    /// # Errors
    /// When there is no whole answer within `timeout`.
    pub async fn post(
        &self,
        engine: &Engine,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Reply, ExchangeError> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let head = post(engine, path, &HeaderMap::new(), body.len()).map_err(unsent)?;
        self.resend(engine, head, body, CallLimits::small(timeout)).await
    }

    /// One attempt of `POST path` of `engine` with a JSON `body` and `headers`; `fresh`: over a new connection. Dropping
    /// this closes the connection, which makes an engine give the request up.
    ///
    /// # Errors
    /// When there is no whole answer within `limits`.
    pub async fn submit(
        &self,
        engine: &Engine,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        (limits, fresh): (CallLimits, bool),
    ) -> Result<Reply, ExchangeError> {
        let head = post(engine, path, headers, body.len()).map_err(unsent)?;
        self.send(engine, head, body, limits, fresh).await
    }

    /// For questions that may be put twice: a kept connection that the engine had closed says nothing.
    async fn resend(
        &self,
        engine: &Engine,
        head: RequestHeader,
        body: Bytes,
        limits: CallLimits,
    ) -> Result<Reply, ExchangeError> {
        match self.send(engine, head.clone(), body.clone(), limits, false).await {
            Err(ExchangeError { outcome: Outcome::Died { began: false }, reused: true, .. }) => {
                self.send(engine, head, body, limits, true).await
            }
            other => other,
        }
    }

    async fn send(
        &self,
        engine: &Engine,
        head: RequestHeader,
        body: Bytes,
        limits: CallLimits,
        fresh: bool,
    ) -> Result<Reply, ExchangeError> {
        let unreachable = |why: &str| ExchangeError { outcome: Outcome::Unreachable, why: why.into(), reused: false };
        let socket = engine.socket().ok_or_else(|| unreachable("its host name is not resolved yet"))?;
        let mut peer = peer(engine, socket, limits.connect);
        peer.options.read_timeout = Some(limits.silence);
        peer.options.write_timeout = Some(limits.silence);
        peer.options.idle_timeout = Some(engine.keep_alive());
        if fresh {
            avoid_kept_connections(&mut peer);
        }
        let exchange = self.exchange(peer, head, body, limits.bytes);
        let Some(whole) = limits.whole else { return exchange.await };
        tokio::time::timeout(whole, exchange).await.unwrap_or_else(|_| {
            // It may have been answering all the time.
            let why = format!("no answer within {}", humantime::format_duration(whole));
            Err(ExchangeError { outcome: Outcome::Expired, why, reused: false })
        })
    }

    async fn exchange(
        &self,
        peer: HttpPeer,
        head: RequestHeader,
        body: Bytes,
        most: usize,
    ) -> Result<Reply, ExchangeError> {
        let connected = self.connector.get_http_session(&peer).await;
        let (mut session, reused) = connected.map_err(|error| ExchangeError::not_connected(&error))?;
        let mut began = false;
        match converse(&mut session, &peer, head, body, most, &mut began).await {
            Ok(reply) => {
                self.connector.release_http_session(session, &peer, peer.options.idle_timeout).await;
                Ok(reply)
            }
            Err(error) => Err(ExchangeError::new(&error, began, reused)),
        }
    }
}

async fn converse(
    session: &mut HttpSession,
    peer: &HttpPeer,
    head: RequestHeader,
    body: Bytes,
    most: usize,
    began: &mut bool,
) -> pingora::Result<Reply> {
    session.set_read_timeout(peer.options.read_timeout);
    session.set_write_timeout(peer.options.write_timeout);
    session.write_request_header(Box::new(head)).await?;
    if !body.is_empty() {
        session.write_request_body(body, true).await?;
    }
    session.finish_request_body().await?;
    // Interim answers (RFC 9110, 15.2) promise nothing; there may be some before the one that counts.
    let status = loop {
        session.read_response_header().await?;
        match session.response_header().map_or(StatusCode::BAD_GATEWAY, |header| header.status) {
            StatusCode::SWITCHING_PROTOCOLS => return Err(Error::new_up(ErrorType::Custom("it switched protocols"))),
            interim if interim.is_informational() => {}
            status => break status,
        }
    };
    *began = true;
    let mut whole = BytesMut::new();
    while let Some(piece) = session.read_response_body().await? {
        if whole.len() + piece.len() > most {
            return Err(Error::new_in(TOO_LARGE));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Reply { status, body: whole.freeze() })
}

/// Why a request could not even be written.
fn unsent(error: Box<Error>) -> ExchangeError {
    ExchangeError::new(&error, false, false)
}

/// A POST of a JSON body of `length` bytes with `headers`.
fn post(engine: &Engine, path: &str, headers: &HeaderMap, length: usize) -> pingora::Result<RequestHeader> {
    let mut head = request(engine, path)?;
    head.set_method(Method::POST);
    head.insert_header("content-type", "application/json")?;
    head.insert_header("content-length", length.to_string())?;
    for (name, value) in headers {
        // The engine's key is not a caller's to replace.
        if name != http::header::AUTHORIZATION || engine.address.api_key.is_none() {
            head.insert_header(name.clone(), value.clone())?;
        }
    }
    Ok(head)
}

/// A GET of `path` as `engine` wants to be asked.
///
/// # Errors
/// When `path` or a header value cannot be sent over HTTP.
pub(super) fn request(engine: &Engine, path: &str) -> pingora::Result<RequestHeader> {
    let path = engine.address.url.path(path);
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    request.insert_header(http::header::HOST, engine.authority().clone())?;
    request.insert_header("accept", "application/json, */*")?;
    if let Some(key) = &engine.address.api_key {
        request.insert_header("authorization", format!("Bearer {}", key.expose()))?;
    }
    Ok(request)
}

/// `engine` at `socket`, with every wait bounded by `timeout`.
pub(super) fn peer(engine: &Engine, socket: SocketAddr, timeout: Duration) -> HttpPeer {
    let url = &engine.address.url;
    // An empty server name spares an allocation where no TLS is spoken.
    let sni = if url.tls { url.host.clone() } else { String::new() };
    let mut peer = HttpPeer::new(socket, url.tls, sni);
    peer.options.connection_timeout = Some(timeout);
    peer.options.total_connection_timeout = Some(timeout);
    peer.options.read_timeout = Some(timeout);
    peer.options.write_timeout = Some(timeout);
    peer
}

/// Has Pingora open a new connection to `peer`: a group of its own has no kept ones.
fn avoid_kept_connections(peer: &mut HttpPeer) {
    peer.group_key = fastrand::u64(1..);
}
