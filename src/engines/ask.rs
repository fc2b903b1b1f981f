//! Asks an engine something, or tells it to do something: whole requests, whole answers.

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

/// Largest answer to a small question; a list of models is a few kilobytes.
const MOST_BYTES: usize = 1024 * 1024;

/// How far an answer is waited for, and how much of it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until the whole answer is there; `None`: as long as something comes.
    pub(crate) whole: Option<Duration>,
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the next byte.
    pub(crate) silence: Duration,
    /// Bytes of an answer.
    pub(crate) most: usize,
}

impl Patience {
    /// For a small question.
    fn small(within: Duration) -> Self {
        Self { whole: Some(within), connect: within, silence: within, most: MOST_BYTES }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// 200 and JSON.
    Json(Value),
    /// 200 and something else.
    NotJson,
    /// Another status.
    Status(u16),
}

/// An HTTP client for questions.
pub(crate) struct Asker {
    connector: Connector,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl Asker {
    /// A client; one is enough for all engines.
    pub(crate) fn new() -> Self {
        Self { connector: Connector::new(None) }
    }

    /// `GET path` of `engine`.
    ///
    /// # Errors
    /// In words, when there is no whole answer within `timeout`.
    pub(crate) async fn get(&self, engine: &Engine, path: &str, timeout: Duration) -> Result<Answer, String> {
        let request = request(engine, path).map_err(|error| words(&error))?;
        match self.send(engine, request, None, Patience::small(timeout)).await? {
            (StatusCode::OK, body) => Ok(serde_json::from_slice(&body).map_or(Answer::NotJson, Answer::Json)),
            (status, _) => Ok(Answer::Status(status.as_u16())),
        }
    }

    /// `GET path` of `engine`, which answers with text; `None` with another status than 200.
    ///
    /// # Errors
    /// In words, when there is no whole answer within `timeout`.
    pub(crate) async fn text(&self, engine: &Engine, path: &str, timeout: Duration) -> Result<Option<Bytes>, String> {
        let request = request(engine, path).map_err(|error| words(&error))?;
        let (status, body) = self.send(engine, request, None, Patience::small(timeout)).await?;
        Ok((status == StatusCode::OK).then_some(body))
    }

    /// `POST path` of `engine`, with a JSON body or none; what it answered, whatever the status.
    ///
    /// # Errors
    /// In words, when there is no whole answer within `timeout`.
    pub(crate) async fn post(
        &self,
        engine: &Engine,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        self.submit(engine, path, &HeaderMap::new(), body, Patience::small(timeout)).await
    }

    /// `POST path` of `engine` with a JSON `body` and `headers`; what it answered, whatever the status. Dropping this
    /// closes the connection, which makes an engine give the request up.
    ///
    /// # Errors
    /// In words, when there is no whole answer within `patience`.
    pub(crate) async fn submit(
        &self,
        engine: &Engine,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        patience: Patience,
    ) -> Result<(StatusCode, Bytes), String> {
        let build = || -> pingora::Result<RequestHeader> {
            let mut head = request(engine, path)?;
            head.set_method(Method::POST);
            head.insert_header("content-type", "application/json")?;
            head.insert_header("content-length", body.len().to_string())?;
            for (name, value) in headers {
                // The engine's key is not a caller's to replace.
                if name != http::header::AUTHORIZATION || engine.address.api_key.is_none() {
                    head.insert_header(name.clone(), value.clone())?;
                }
            }
            Ok(head)
        };
        let head = build().map_err(|error| words(&error))?;
        self.send(engine, head, Some(body).filter(|body| !body.is_empty()), patience).await
    }

    async fn send(
        &self,
        engine: &Engine,
        head: RequestHeader,
        body: Option<Bytes>,
        patience: Patience,
    ) -> Result<(StatusCode, Bytes), String> {
        let Some(socket) = engine.socket() else { return Err("its host name is not resolved yet".into()) };
        let mut peer = peer(engine, socket, patience.connect);
        peer.options.read_timeout = Some(patience.silence);
        peer.options.write_timeout = Some(patience.silence);
        peer.options.idle_timeout = Some(engine.keep_alive());
        let exchange = self.exchange(peer, head, body, patience.most);
        let Some(whole) = patience.whole else { return exchange.await.map_err(|error| words(&error)) };
        match tokio::time::timeout(whole, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(whole))),
        }
    }

    /// Over a kept connection where there is one. The engine may have closed it meanwhile: then once more over a new one.
    async fn exchange(
        &self,
        peer: HttpPeer,
        head: RequestHeader,
        body: Option<Bytes>,
        most: usize,
    ) -> pingora::Result<(StatusCode, Bytes)> {
        loop {
            let (session, reused) = self.connector.get_http_session(&peer).await?;
            match self.converse(session, &peer, head.clone(), body.clone(), most).await {
                Err(Torn { error, silent: true }) if reused => drop(error),
                Err(Torn { error, .. }) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn converse(
        &self,
        mut session: HttpSession,
        peer: &HttpPeer,
        head: RequestHeader,
        body: Option<Bytes>,
        most: usize,
    ) -> Result<(StatusCode, Bytes), Torn> {
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        let begun = async {
            session.write_request_header(Box::new(head)).await?;
            if let Some(body) = body {
                session.write_request_body(body, true).await?;
            }
            session.finish_request_body().await?;
            session.read_response_header().await
        };
        begun.await.map_err(|error: Box<Error>| Torn {
            silent: matches!(error.etype, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError),
            error,
        })?;
        let torn = |error| Torn { error, silent: false };
        let status = session.response_header().map_or(StatusCode::BAD_GATEWAY, |header| header.status);
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_response_body().await.map_err(torn)? {
            if body.len() + piece.len() > most {
                return Err(torn(Error::new(ErrorType::Custom("the answer is too large"))));
            }
            body.extend_from_slice(&piece);
        }
        self.connector.release_http_session(session, peer, peer.options.idle_timeout).await;
        Ok((status, body.freeze()))
    }
}

/// An exchange that broke.
struct Torn {
    error: Box<Error>,
    /// Before a byte of an answer.
    silent: bool,
}

/// A GET of `path` as `engine` wants to be asked.
///
/// # Errors
/// When `path` or a header value cannot be sent over HTTP.
pub(crate) fn request(engine: &Engine, path: &str) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    request.insert_header("host", &**engine.authority())?;
    request.insert_header("accept", "application/json, */*")?;
    if let Some(key) = &engine.address.api_key {
        request.insert_header("authorization", format!("Bearer {}", key.expose()))?;
    }
    Ok(request)
}

/// `engine` at `socket`, with every wait bounded by `timeout`.
pub(crate) fn peer(engine: &Engine, socket: SocketAddr, timeout: Duration) -> HttpPeer {
    let url = &engine.address.url;
    let sni = if url.tls { url.host.clone() } else { String::new() };
    let mut peer = HttpPeer::new(socket, url.tls, sni);
    peer.options.connection_timeout = Some(timeout);
    peer.options.total_connection_timeout = Some(timeout);
    peer.options.read_timeout = Some(timeout);
    peer.options.write_timeout = Some(timeout);
    peer
}

/// What went wrong, for people. (Pingora's own text is for those who know Pingora.)
pub(crate) fn words(error: &Error) -> String {
    match &error.etype {
        ErrorType::ConnectRefused => "connection refused".into(),
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => "no answer in time".into(),
        ErrorType::ConnectNoRoute => "no route to host".into(),
        ErrorType::ConnectionClosed => "the connection was closed before an answer".into(),
        ErrorType::InvalidCert => "its TLS certificate is not valid or not trusted".into(),
        ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::HandshakeError => {
            "the TLS handshake failed".into()
        }
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error => "it does not speak HTTP/1.1".into(),
        ErrorType::ReadError | ErrorType::WriteError => "the connection broke".into(),
        ErrorType::CustomCode(_, status) => format!("it answered {status}"),
        ErrorType::Custom(text) => (*text).into(),
        other => other.as_str().into(),
    }
}
