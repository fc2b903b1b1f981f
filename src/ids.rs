//! Names of things, cheap to clone and impossible to mix up.

use std::fmt;
use std::sync::Arc;

/// A name callers may put in `model`: of a model, an alias or a LoRA adapter.
pub type Name = Arc<str>;

/// One engine of one model: `{model}/{replica}`, stable over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId(Arc<str>);

impl EngineId {
    /// The id of replica number `replica` (from 0) of `model`.
    #[must_use]
    pub fn new(model: &str, replica: usize) -> Self {
        Self(format!("{model}/{replica}").into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id with everything but letters, digits, `-`, `_` and `.` replaced: usable as a file name.
    #[must_use]
    pub fn file_stem(&self) -> String {
        self.0.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request id that is ours: 32 hexadecimal digits from 128 random bits.
#[must_use]
pub fn new_request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Whether a caller's `x-request-id` is fit to keep: 1 to 128 visible ASCII characters.
#[must_use]
pub fn is_request_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_stems_hold_no_separators() {
        assert_eq!(EngineId::new("Qwen/Qwen3 32B", 1).file_stem(), "Qwen_Qwen3_32B_1");
    }

    #[test]
    fn request_ids_are_bounded_and_visible() {
        assert!(is_request_id(b"req-1") && is_request_id(new_request_id().as_bytes()));
        assert!(
            !is_request_id(b"") && !is_request_id(b"a b") && !is_request_id(b"a\n") && !is_request_id(&[b'x'; 129])
        );
    }
}
