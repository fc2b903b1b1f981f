//! HTTP/1.1 messages as bytes (RFC 9112): heads, and where bodies end. Pure: what is read and written is in buffers.

mod answer;
mod chunked;
mod framing;
mod head;
mod request;

pub use self::answer::take_answer;
pub use self::chunked::{Chunked, NotChunked};
pub use self::framing::{Ambiguous, Framing};
pub use self::head::UnreadableHead;
pub use self::request::{RequestHead, take_request};
