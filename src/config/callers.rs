//! Who may send requests: names, and the hashes of their keys.

use super::finding::{Finding, Why};
use super::path::Path;
use super::raw::{Named, RawCaller};
use crate::ids::Name;
use crate::secret::KeyHash;

/// What callers without a key are called in conditions.
pub const ANONYMOUS: &str = "anonymous";

/// What a key begins with of which only the hash is written.
const HASHED: &str = "sha256:";

/// Someone who may send requests.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What it is called in conditions, logs and metrics.
    pub name: Name,
    /// Its keys; at least one.
    pub keys: Vec<KeyHash>,
}

/// The hash of a key as written: the key itself, or `sha256:` and its hash.
///
/// # Errors
/// Why it is none.
pub(super) fn key(text: &str) -> Result<KeyHash, Why> {
    if let Some(hex) = text.strip_prefix(HASHED) {
        let why = "This is no SHA-256: it has 64 hexadecimal digits.";
        return KeyHash::parse(hex).ok_or_else(|| Why::new(why, "Take it from `printf %s KEY | sha256sum`."));
    }
    if text.is_empty() {
        return Err(Why::new("The key is empty: everybody would know it.", "Write a key, such as ${CHATBOT_KEY}."));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "It holds characters that cannot be sent in a header (a blank or line break at its end?).";
        return Err(Why::new(why, "Use visible ASCII characters only, without blanks."));
    }
    Ok(KeyHash::of(text.as_bytes()))
}

/// The callers as written.
///
/// # Errors
/// What no rule has found although it should have: the rules run first.
pub(super) fn callers(raw: &Named<RawCaller>) -> Result<Vec<Caller>, Finding> {
    let caller = |(name, raw): (&str, &RawCaller)| {
        let path = Path::of(["callers", name, "keys"]);
        let keys = raw.keys.iter().enumerate().map(|(at, text)| key(text).map_err(|why| why.at(path.index(at))));
        Ok(Caller { name: name.into(), keys: keys.collect::<Result<_, Finding>>()? })
    };
    raw.iter().map(caller).collect()
}
