//! Pure translation between APIs: bytes and JSON values in, bytes and JSON values out.

pub mod gym;
