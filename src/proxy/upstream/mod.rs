//! The engine's side of a request: HTTP/1.1 over connections that are kept for the next request.
//!
//! `pool` finds or opens a connection (`socket`), `connection` sends a request and reads the answer. Head and body of a request leave
//! in one write, and what has come of an answer is handed on as one piece, from the buffer that it was read into.

mod connection;
mod pool;
mod socket;
#[cfg(test)]
mod tests;

pub(super) use self::connection::Connection;
pub(super) use self::pool::EngineConnections;
