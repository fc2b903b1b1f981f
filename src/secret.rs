//! Keys and tokens: strings that are never printed, and hashes that tell whether a key is the right one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

/// A key or token. `Debug` and `Display` show `***`; only [`Secret::expose`] gives the text.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the secret, in time that depends on lengths only.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == given.len() && own.iter().zip(given).fold(0u8, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

/// Takes a time that depends on lengths only.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a key: enough to know the key again, too little to use it. The time of a
/// look-up reveals nothing about the keys: hashes are compared, and a client cannot choose their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of `key`.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The hash that 64 hexadecimal digits say; `None`: they are none.
    #[must_use]
    pub fn parse(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let digits = hex.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Its first 64 bits: as good as random ones for who looks for a place for it.
    #[must_use]
    pub fn first_bits(&self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// Its 64 hexadecimal digits, to be kept in place of the key.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_known_again_however_it_is_written() {
        let own = KeyHash::of(b"abc");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::parse(abc), Some(own), "FIPS 180-4's example");
        assert_eq!(KeyHash::parse(&abc.to_uppercase()), Some(own));
        assert_ne!(KeyHash::parse(&abc.replace('b', "c")), Some(own));
        for bad in [
            "",
            "ba78",
            &abc[1..],
            &abc.replace('b', "g"),
            "+a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            assert_eq!(KeyHash::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{own:?}"), "***");
    }

    #[test]
    fn never_printed_and_compared_whole() {
        let s = Secret::new("sk-1");
        assert_eq!(format!("{s} {s:?}"), "*** ***");
        assert!(s == Secret::new("sk-1") && s != Secret::new("sk-2"));
        assert!(s.matches(b"sk-1") && !s.matches(b"sk-") && !s.matches(b"sk-2") && !s.matches(b""));
    }
}
