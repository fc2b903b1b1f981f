//! Why a gateway did not do what it was asked.

use crate::api::{ConfigError, ErrorView};

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
    /// It answered, and then said nothing any more.
    #[error(
        "the gateway at {address} has said nothing for {seconds} s. Its process hangs or was stopped by a signal, or the network \
         lost the connection. `enginehouse status` tells whether it answers again."
    )]
    Silent {
        /// Where.
        address: String,
        /// How long.
        seconds: u64,
    },
    /// It wants another token.
    #[error(
        "the gateway does not accept the token. It is `admin.token` of the configuration that it runs with; commands take it \
         from the state directory of the gateway, from the configuration file, or from ENGINEHOUSE_ADMIN_TOKEN. If the file \
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
    /// It answers what this version does not understand.
    #[error(
        "the gateway at {address} answers what this version of enginehouse does not understand ({why}): the gateway may be \
         of another version, or another program"
    )]
    NotUnderstood {
        /// Where.
        address: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What an answer that is no success says.
pub(super) fn failure(status: u16, body: &str) -> ClientError {
    match serde_json::from_str::<ErrorView>(body) {
        _ if status == 401 => ClientError::Unauthorized,
        Ok(answer) if !answer.errors.is_empty() => ClientError::Configuration(answer.errors),
        Ok(answer) => ClientError::Refused { status, message: answer.error.message },
        Err(_) => ClientError::Refused { status, message: body.chars().take(200).collect() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_gateway_said() {
        let text = |status, body| failure(status, body).to_string();
        assert!(text(404, r#"{"error": {"message": "no such thing"}}"#).ends_with("answers 404: no such thing"));
        assert!(text(502, "<html>").ends_with("answers 502: <html>"));
        assert!(text(401, "").contains("does not accept the token"));
    }
}
