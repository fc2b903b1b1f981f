//! How much of small writes goes to a client at once.

/// Bytes that a client's socket gathers before it is flushed. Pingora writes the size, the bytes and the end of a chunk one by one
/// and then flushes: gathered, an event is one packet instead of three. Larger pieces bypass the buffer.
pub(super) const GATHERED: usize = 3072;
