//! A client of the operators' API of a running gateway. It blocks.
//!
//! `connection`: requests and answers. `read`: how everything is. `act`: what can be done. `stream`: what happens, with
//! `impatient` for who does not wait for ever. `error`.

mod act;
mod connection;
mod error;
mod impatient;
mod read;
mod stream;

use std::net::SocketAddr;

pub use self::act::{EntryName, Target, Verb};
use self::connection::Connection;
pub use self::connection::reachable;
pub use self::error::ClientError;
pub use self::read::{LogQuery, RequestQuery};
pub use self::stream::{Message, Told};
use crate::secret::Secret;

/// A client of one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// A client of the gateway whose operators' server listens on `address`.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<&Secret>) -> Self {
        Self { connection: Connection::new(&reachable(address).to_string(), token) }
    }

    /// The same for an address with a name, `HOST:PORT`.
    #[must_use]
    pub fn at(authority: &str, token: Option<&Secret>) -> Self {
        match authority.parse() {
            Ok(address) => Self::new(address, token),
            Err(_) => Self { connection: Connection::new(authority, token) },
        }
    }
}
