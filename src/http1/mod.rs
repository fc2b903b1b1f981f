//! HTTP/1.1 messages as bytes (RFC 9112): heads, and where bodies end. Pure: what is read and written is in buffers.

mod chunked;
mod framing;
mod head;

pub use self::chunked::{Chunked, NotChunked};
pub use self::framing::{Ambiguous, Framing};
pub use self::head::{Malformed, RequestHead, take_response};
