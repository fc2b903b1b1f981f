//! Requests over HTTP/1.1: one after the other on a connection.
//!
//! `connection` reads heads and hands each request to Pingora's phases as a `session`, which reads the body and writes the `answer`.
//! Pingora's own session of HTTP/1.1 would hold a state of 36 KB for a connection that waits for its next request, and 64 KB for
//! every body (`benches/pingora.md`).

mod answer;
mod connection;
mod session;

pub(super) use self::connection::serve;
