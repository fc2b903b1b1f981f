//! The connection of a client to the operators' API: requests that are answered whole, and streams of events.

use std::io::{BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::{ClientError, failure};
use crate::secret::Secret;

/// How long the gateway may take to answer: a reload may wait for another one.
const ANSWER: Duration = Duration::from_secs(60);

/// How long it may take until it is connected, and until it says what it is: commands look at several places.
const CONNECT: Duration = Duration::from_secs(5);

/// The largest answer that is read: lists of all engines, aliases and log lines are far from it.
const MOST_ANSWER: u64 = 256 << 20;

/// Where requests go, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    agent: ureq::Agent,
    root: String,
    authorization: Option<String>,
}

/// How long an answer is waited for.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// As long as one takes that asks only whether a gateway is there.
    Look,
    /// As long as a short one takes.
    Answer,
    /// Until it comes: what was asked for may take as long as a model loads.
    Forever,
}

impl Connection {
    pub(super) fn new(address: &str, token: Option<&Secret>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            // The token is for this address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("enginehouse/", env!("CARGO_PKG_VERSION")))
            // The gateway is on this machine or named by its address.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            root: format!("http://{address}/api/v1"),
            authorization: token.map(|token| format!("Bearer {}", token.expose())),
        }
    }

    /// Where requests go.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Asks for what is at `path`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (status, body) = self.ask("GET", path, None, Patience::Answer)?;
        self.success(status, &body)
    }

    /// Sends a request and reads the answer as a whole.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        patience: Patience,
    ) -> Result<(u16, String), ClientError> {
        let timeout = match patience {
            Patience::Look => Some(CONNECT),
            Patience::Answer => Some(ANSWER),
            Patience::Forever => None,
        };
        let mut answer = self.send(method, path, (body, None), timeout)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_string();
        Ok((status, text.map_err(|error| self.unreachable(&error))?))
    }

    /// Begins to read a stream, which is as long as the gateway likes.
    /// `after`: only what comes behind the message of this number.
    pub(super) fn stream(
        &self,
        path: &str,
        after: Option<u64>,
    ) -> Result<BufReader<impl Read + Send + use<>>, ClientError> {
        let mut answer = self.send("GET", path, (None, after), None)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(failure(status, &answer.body_mut().read_to_string().unwrap_or_default()));
        }
        Ok(BufReader::new(answer.into_body().into_reader()))
    }

    /// What an answer tells, if it is a success.
    pub(super) fn success<T: DeserializeOwned>(&self, status: u16, body: &str) -> Result<T, ClientError> {
        if !(200..300).contains(&status) {
            return Err(failure(status, body));
        }
        self.read(body)
    }

    /// Understands an answer.
    pub(super) fn read<T: DeserializeOwned>(&self, body: &str) -> Result<T, ClientError> {
        let other = |error: serde_json::Error| self.not_understood(error.to_string());
        serde_json::from_str(body).map_err(other)
    }

    pub(super) fn not_understood(&self, why: String) -> ClientError {
        ClientError::NotUnderstood { address: self.root.clone(), why }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        (body, after): (Option<&str>, Option<u64>),
        timeout: Option<Duration>,
    ) -> Result<http::Response<ureq::Body>, ClientError> {
        let mut request = http::Request::builder().method(method).uri(format!("{}/{path}", self.root));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let request = request
            .body(body.unwrap_or_default().to_owned())
            .map_err(|error| self.not_understood(error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_global(timeout).build();
        self.agent.run(request).map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> ClientError {
        let why = match error {
            // In the system's words: the kind of error, which the library writes before them, tells a user nothing.
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        ClientError::Unreachable { address: self.root.clone(), why }
    }
}

/// An address that listens everywhere is reached on this machine.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_listens_everywhere_is_reached_on_this_machine() {
        for (given, reached) in [("0.0.0.0:8", "127.0.0.1:8"), ("[::]:8", "[::1]:8"), ("10.0.0.1:8", "10.0.0.1:8")] {
            assert_eq!(reachable(given.parse().expect("an address")), reached.parse().expect("an address"));
        }
    }

    #[test]
    fn why_there_is_no_answer_is_told_in_the_words_of_the_system() {
        let client = Connection::new("127.0.0.1:1", None);
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "Connection refused");
        let told = client.unreachable(&ureq::Error::Io(refused)).to_string();
        assert!(told.contains(": Connection refused. Start"), "{told}");
        assert!(!told.contains("io:"), "{told}");
    }
}
