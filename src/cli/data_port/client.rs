//! A client of the data port: HTTP/1.1 over connections that are kept, so that thousands of requests can be under way.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::address::Address;
use super::target::Destination;
use crate::cli::output::{Exit, Failure};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection that was idle for longer is not used again: the server may be about to close it, and a request that
/// meets that end fails.
const IDLE: Duration = Duration::from_secs(3);

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("enginehouse/", env!("CARGO_PKG_VERSION")));

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::cli) enum SendError {
    /// Nothing listens there.
    #[error("{0}")]
    Unreachable(String),
    /// The connection ended before the answer did.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl SendError {
    /// How a command ends that got no answer from `address`.
    pub(in crate::cli) fn failure(&self, address: &Address) -> Failure {
        match self {
            Self::Unreachable(why) => Failure::new(
                Exit::NoGateway,
                format!(
                    "enginehouse: no gateway answers at {address}: {why}. Start it with `enginehouse serve`, or give the \
                     address where callers connect: --url http://HOST:PORT."
                ),
            ),
            Self::Broken(_) => Failure::new(Exit::Failed, format!("enginehouse: {self}")),
        }
    }
}

/// Sends requests to one data port.
pub(in crate::cli) struct Client {
    addresses: Vec<SocketAddr>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    idle: Mutex<Vec<(SendRequest<Body>, Instant)>>,
}

/// An answer whose head is here.
pub(in crate::cli) struct Answer<'c> {
    client: &'c Client,
    sender: Option<SendRequest<Body>>,
    status: StatusCode,
    body: Incoming,
}

impl Client {
    /// Looks up the host, and connects, so that it is known that somebody listens there.
    ///
    /// # Errors
    /// When nobody does.
    pub(in crate::cli) async fn connect(destination: &Destination) -> Result<Self, SendError> {
        let unreachable = |error: std::io::Error| SendError::Unreachable(error.to_string());
        let Destination { address, key, .. } = destination;
        let found = tokio::net::lookup_host((&*address.host, address.port)).await.map_err(unreachable)?;
        let value = |text: String| {
            HeaderValue::try_from(text)
                .map_err(|error| SendError::Unreachable(format!("no value of a header: {error}")))
        };
        let authorization = key.as_ref().map(|key| value(format!("Bearer {}", key.expose()))).transpose()?;
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let host = value(address.authority())?;
        let mut client = Self { addresses: found.collect(), host, authorization, idle: Mutex::default() };
        let stream = TcpStream::connect(&*client.addresses);
        let stream = tokio::time::timeout(CONNECT, stream).await;
        let stream = stream.map_err(|_| SendError::Unreachable(format!("no answer within {CONNECT:?}")))?;
        let peer = stream.and_then(|stream| stream.peer_addr()).map_err(unreachable)?;
        client.addresses = vec![peer];
        Ok(client)
    }

    /// Posts a JSON body; the answer's head. Dropped, the request is aborted.
    ///
    /// # Errors
    /// When there is no answer.
    pub(in crate::cli) async fn post(&self, path: &str, body: Bytes) -> Result<Answer<'_>, SendError> {
        loop {
            let kept = self.idle_one();
            let was_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connected().await?,
            };
            // A server may have closed a connection that was kept: then the request was not sent, and another one is tried.
            if sender.ready().await.is_err() && was_kept {
                continue;
            }
            let request = self.request(path, body.clone())?;
            match sender.send_request(request).await {
                Ok(answer) => return Ok(self.answer(sender, answer)),
                Err(error) if was_kept && error.is_canceled() => {}
                Err(error) => return Err(SendError::Broken(said(&error))),
            }
        }
    }

    fn answer(&self, sender: SendRequest<Body>, answer: Response<Incoming>) -> Answer<'_> {
        let (status, body) = (answer.status(), answer.into_body());
        Answer { client: self, sender: Some(sender), status, body }
    }

    fn request(&self, path: &str, body: Bytes) -> Result<Request<Body>, SendError> {
        let mut request = Request::post(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, AGENT);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Body::from(body)).map_err(|error| SendError::Broken(error.to_string()))
    }

    async fn connected(&self) -> Result<SendRequest<Body>, SendError> {
        let unreachable = |why: String| SendError::Unreachable(why);
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(&*self.addresses)).await;
        let stream = stream.map_err(|_| unreachable(format!("no answer within {CONNECT:?}")))?;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let shaken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| unreachable(said(&error)))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A connection that can be used again: the one that was used last.
    fn idle_one(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((sender, since)) = idle.pop() {
            if since.elapsed() > IDLE {
                // Those below were idle for longer.
                idle.clear();
            } else if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Body>) {
        if !sender.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((sender, Instant::now()));
        }
    }
}

impl Answer<'_> {
    /// Its status.
    pub(in crate::cli) fn status(&self) -> StatusCode {
        self.status
    }

    /// The next piece of its body; `None` at its end, when the connection is kept for others.
    ///
    /// # Errors
    /// When the connection broke before.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers.
                    Err(_) => {}
                },
                Some(Err(error)) => return Err(SendError::Broken(said(&error))),
                None => {
                    if let Some(sender) = self.sender.take() {
                        self.client.keep(sender);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// All that is left of its body, of which no more than `most` bytes are kept.
    ///
    /// # Errors
    /// When the connection broke before its end.
    pub(in crate::cli) async fn rest(&mut self, most: usize) -> Result<Vec<u8>, SendError> {
        let mut all = Vec::new();
        while let Some(data) = self.next().await? {
            let room = most.saturating_sub(all.len()).min(data.len());
            all.extend_from_slice(&data[..room]);
        }
        Ok(all)
    }
}

/// An error with its cause, which hyper keeps apart.
fn said(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
