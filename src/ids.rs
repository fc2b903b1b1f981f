//! Names of models and aliases, ids of engines: cheap to clone, and types that cannot be confused.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name callers may put in `model`: of a model, an alias or a LoRA adapter.
pub type Name = Arc<str>;

/// One engine of one model: `{model}/{replica}` for one that is run here, `{model}/{host}:{port}` for one that others
/// run (`{model}/{host}:{port}~{base}` for one below a path); stable over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId(Arc<str>);

impl EngineId {
    /// The id of replica number `replica` (from 0) of `model`.
    #[must_use]
    pub fn new(model: &str, replica: usize) -> Self {
        Self(format!("{model}/{replica}").into())
    }

    /// The id of an engine of `model` that others run at `host`, which may be an IPv6 address, and `port`, below the path
    /// `base`, if there is one.
    #[must_use]
    pub fn remote(model: &str, host: &str, port: u16, base: &str) -> Self {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        // What follows the last slash is the engine's own part.
        Self(format!("{model}/{host}:{port}{}", base.replace('/', "~")).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The model that it is an engine of.
    #[must_use]
    pub fn model(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(model, _)| model)
    }

    /// The id as a file name: everything but letters, digits, `-`, `_` and `.` is replaced. Names of models that differ
    /// only in what is replaced are told apart by a hash.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let stem: String = self.0.chars().map(|c| if fit(c) { c } else { '_' }).collect();
        let model = self.model();
        if model.chars().all(fit) { stem } else { format!("{stem}-{:08x}", fnv1a(model.as_bytes())) }
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be added, changed and removed while the gateway runs, in the order in which one needs the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A model with its engines.
    Model,
    /// Someone who may send requests.
    Caller,
    /// A name that points at a model.
    Alias,
}

impl EntryKind {
    /// The key of the configuration that such entries stand under.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Caller => "callers",
            Self::Alias => "aliases",
        }
    }

    /// The kind of the entries under this key.
    #[must_use]
    pub fn of_section(section: &str) -> Option<Self> {
        [Self::Model, Self::Caller, Self::Alias].into_iter().find(|kind| kind.section() == section)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Caller => "caller",
            Self::Alias => "alias",
        })
    }
}

/// FNV-1a with 32 bits: the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A request id that is ours: 32 hexadecimal digits from 128 random bits.
#[must_use]
pub fn new_request_id() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    fastrand::u128(..).to_be_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
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
        assert_eq!(EngineId::new("qwen3-32b", 1).file_stem(), "qwen3-32b_1");
        let stem = EngineId::new("Qwen/Qwen3 32B", 1).file_stem();
        assert!(stem.starts_with("Qwen_Qwen3_32B_1-") && stem.len() == 25, "{stem}");
    }

    #[test]
    fn no_two_engines_share_a_file() {
        let ids = [("a/b", 0), ("a_b", 0), ("a b", 0), ("a", 0), ("a_0", 0), ("a/0", 0), ("a", 1), ("é", 0), ("è", 0)];
        let stems: std::collections::BTreeSet<_> =
            ids.iter().map(|(model, replica)| EngineId::new(model, *replica).file_stem()).collect();
        assert_eq!(stems.len(), ids.len(), "{stems:?}");
    }

    #[test]
    fn remote_engines_are_named_by_where_they_are() {
        let id = |host| EngineId::remote("org/embed", host, 8000, "");
        assert_eq!(id("10.0.0.7").as_str(), "org/embed/10.0.0.7:8000");
        assert_eq!(id("::1").as_str(), "org/embed/[::1]:8000");
        let below = EngineId::remote("org/embed", "h", 80, "/a/b");
        assert_eq!((below.as_str(), below.model()), ("org/embed/h:80~a~b", "org/embed"));
    }

    #[test]
    fn request_ids_are_bounded_and_visible() {
        assert!(is_request_id(b"req-1") && is_request_id(new_request_id().as_bytes()));
        assert!(
            !is_request_id(b"") && !is_request_id(b"a b") && !is_request_id(b"a\n") && !is_request_id(&[b'x'; 129])
        );
    }
}
