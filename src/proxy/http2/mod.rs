//! HTTP/2 towards clients, driven here: Pingora 0.9's own session of it sends no 1xx, and answers bad heads with nothing.
//!
//! `connection` takes in the streams of a connection and hands each one to Pingora as a `session`, which reads its
//! `request_body` and writes its `answer`. `head` says which requests never get that far, and `refused` tells them.

mod answer;
mod connection;
mod head;
mod refused;
mod request_body;
mod session;
#[cfg(test)]
mod testing;

pub(super) use self::connection::serve;
