//! A client of the operators' API of a running gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{ConfigChange, ConfigError, ErrorView, ReloadReport};
use crate::secret::Secret;

/// How long the gateway may take to answer: a reload may wait for another one.
const ANSWER: Duration = Duration::from_secs(60);

/// A client of one gateway.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    root: String,
    authorization: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers.
    #[error(
        "no gateway answers at {address}: {why}. Start it with `enginehouse serve`, or give its address: --admin ADDRESS."
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        why: String,
    },
    /// It wants another token.
    #[error(
        "the gateway does not accept the token: `admin.token` of this file is not the one that it runs with. If the file \
         changes the token, reload it with a signal: kill -HUP PID."
    )]
    Unauthorized,
    /// It refused.
    #[error("the gateway answers {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// In its own words.
        message: String,
    },
    /// The configuration has errors.
    #[error("the configuration has errors")]
    Configuration(Vec<ConfigError>),
}

impl Client {
    /// A client of the gateway whose operators' server listens on `address`.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<&Secret>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER))
            // The gateway is on this machine or named by its address.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            root: format!("http://{}/api/v1", reachable(address)),
            authorization: token.map(|token| format!("Bearer {}", token.expose())),
        }
    }

    /// Has it read its configuration file again.
    ///
    /// # Errors
    /// When it does not answer or refuses. A rejected configuration is an answer.
    pub fn reload(&self) -> Result<ReloadReport, ClientError> {
        let (status, body) = self.post("reload", "")?;
        match status {
            // The report of a rejected reload comes with 422.
            200 | 422 => read(status, &body),
            _ => Err(failure(status, &body)),
        }
    }

    /// Asks what the configuration `text` would change.
    ///
    /// # Errors
    /// When it does not answer or refuses, or the configuration has errors.
    pub fn plan(&self, text: &str) -> Result<ConfigChange, ClientError> {
        let (status, body) = self.post("plan", text)?;
        if status == 200 { read(status, &body) } else { Err(failure(status, &body)) }
    }

    fn post(&self, path: &str, body: &str) -> Result<(u16, String), ClientError> {
        let mut request = self.agent.post(format!("{}/{path}", self.root));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let unreachable =
            |error: ureq::Error| ClientError::Unreachable { address: self.root.clone(), why: error.to_string() };
        let mut answer = request.send(body).map_err(unreachable)?;
        let body = answer.body_mut().read_to_string().map_err(unreachable)?;
        Ok((answer.status().as_u16(), body))
    }
}

fn read<T: DeserializeOwned>(status: u16, body: &str) -> Result<T, ClientError> {
    let other = |error| ClientError::Refused { status, message: format!("not what this version understands: {error}") };
    serde_json::from_str(body).map_err(other)
}

fn failure(status: u16, body: &str) -> ClientError {
    match serde_json::from_str::<ErrorView>(body) {
        _ if status == 401 => ClientError::Unauthorized,
        Ok(answer) if !answer.errors.is_empty() => ClientError::Configuration(answer.errors),
        Ok(answer) => ClientError::Refused { status, message: answer.error.message },
        Err(_) => ClientError::Refused { status, message: body.chars().take(200).collect() },
    }
}

/// An address that listens everywhere is reached on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
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
    fn a_refusal_says_what_the_gateway_said() {
        let text = |status, body| failure(status, body).to_string();
        assert!(text(404, r#"{"error": {"message": "no such thing"}}"#).ends_with("answers 404: no such thing"));
        assert!(text(502, "<html>").ends_with("answers 502: <html>"));
        assert!(text(401, "").contains("does not accept the token"));
    }
}
