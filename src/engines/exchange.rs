//! How an exchange with an engine failed: from Pingora's error to an [`Outcome`], and to a text for people.

use pingora::{Error, ErrorSource, ErrorType};

use crate::outcome::{Outcome, Phase};

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ExchangeError {
    /// What became of the attempt.
    pub outcome: Outcome,
    /// For people.
    pub why: String,
    /// It was tried over a kept connection, which the engine may have closed meanwhile.
    pub reused: bool,
}

impl ExchangeError {
    /// From what Pingora says. `began`: bytes of an answer had come.
    pub(super) fn new(error: &Error, began: bool, reused: bool) -> Self {
        let outcome = match error.esource() {
            ErrorSource::Internal => Outcome::Aborted,
            _ => upstream_outcome(error, began),
        };
        Self { outcome, why: words(error), reused }
    }

    /// There was no connection: in any case the engine has not seen the request.
    pub(super) fn not_connected(error: &Error) -> Self {
        Self { outcome: connect_outcome(error), why: words(error), reused: false }
    }
}

/// What `error`, which ended an attempt, says of it; `began`: bytes of an answer had come.
#[must_use]
pub fn outcome(error: &Error, began: bool) -> Outcome {
    match error.esource() {
        ErrorSource::Downstream => Outcome::ClientGone,
        ErrorSource::Upstream => upstream_outcome(error, began),
        ErrorSource::Internal | ErrorSource::Unset => Outcome::Aborted,
    }
}

/// What `error`, for which there was no connection, says of the attempt.
#[must_use]
pub fn connect_outcome(error: &Error) -> Outcome {
    match upstream_outcome(error, false) {
        timed_out @ Outcome::TimedOut { phase: Phase::Connect } => timed_out,
        _ => Outcome::Unreachable,
    }
}

fn upstream_outcome(error: &Error, began: bool) -> Outcome {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Outcome::TimedOut { phase: Phase::Connect },
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::TLSHandshakeFailure
        | ErrorType::HandshakeError
        | ErrorType::InvalidCert => Outcome::Unreachable,
        ErrorType::WriteTimedout => Outcome::TimedOut { phase: Phase::Write },
        ErrorType::ReadTimedout if began => Outcome::TimedOut { phase: Phase::Stream },
        ErrorType::ReadTimedout => Outcome::TimedOut { phase: Phase::FirstByte },
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error if !began => Outcome::Malformed,
        _ => Outcome::Died { began },
    }
}

/// What went wrong, for people. (Pingora's own text is of use only to people who know Pingora.)
pub(super) fn words(error: &Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_from_an_engine_and_a_connection_from_an_answer() {
        let up = |kind| outcome(&Error::new_up(kind), false);
        assert_eq!(up(ErrorType::ConnectRefused), Outcome::Unreachable);
        assert_eq!(up(ErrorType::ConnectTimedout), Outcome::TimedOut { phase: Phase::Connect });
        assert_eq!(up(ErrorType::ReadTimedout), Outcome::TimedOut { phase: Phase::FirstByte });
        assert_eq!(outcome(&Error::new_up(ErrorType::ReadTimedout), true), Outcome::TimedOut { phase: Phase::Stream });
        assert_eq!(up(ErrorType::ConnectionClosed), Outcome::Died { began: false });
        assert_eq!(up(ErrorType::InvalidHTTPHeader), Outcome::Malformed);
        assert_eq!(outcome(&Error::new_up(ErrorType::ReadError), true), Outcome::Died { began: true });
        assert_eq!(outcome(&Error::new_down(ErrorType::ReadError), true), Outcome::ClientGone);
        assert_eq!(outcome(&Error::new_in(ErrorType::InternalError), false), Outcome::Aborted);
    }
}
