//! Sessions in signed cookies, and the replica that a session stays on.

use ring::hmac;
use sha2::{Digest, Sha256};

/// How long a client may keep the cookie, in seconds: two weeks, anew with every answer.
const MAX_AGE: u32 = 1_209_600;

/// The sessions of one alias.
pub struct Sessions {
    cookie: String,
    key: hmac::Key,
}

impl Sessions {
    /// The sessions of `alias`, signed with `secret`. Where several gateways, or one before and after a restart, are to
    /// keep a session on its replica, they share the secret.
    #[must_use]
    pub fn new(alias: &str, secret: &[u8]) -> Self {
        let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let cookie = format!("LocalVLLMModelProxyServer___{}", alias.chars().map(fit).collect::<String>());
        // Two aliases whose names are the same after the replacement have different signatures.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[secret, b"\0", alias.as_bytes()].concat());
        Self { cookie, key }
    }

    /// The session that the `Cookie` headers name; `None`: none, or one that we did not give.
    pub fn named<'a>(&self, cookies: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
        let headers = cookies.into_iter().filter_map(|header| std::str::from_utf8(header).ok());
        let pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie).find_map(|(_, value)| self.checked(value.trim_matches('"')))
    }

    fn checked(&self, value: &str) -> Option<String> {
        let (session, signature) = value.rsplit_once('.')?;
        hmac::verify(&self.key, session.as_bytes(), &unhex(signature)?).ok()?;
        Some(session.to_owned())
    }

    /// The `Set-Cookie` header that every answer of the session carries, beside `Vary: Cookie`.
    #[must_use]
    pub fn set_cookie(&self, session: &str) -> String {
        let signature = hmac::sign(&self.key, session.as_bytes());
        let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}={session}.{signature}; path=/; Max-Age={MAX_AGE}; httponly; samesite=lax", self.cookie)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// A new session id: a UUID of random bits.
#[must_use]
pub fn new_session() -> String {
    let random = fastrand::u128(..);
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Random digits for the id of an answer's parts: 32, hexadecimal.
#[must_use]
pub fn new_id() -> String {
    new_session().replace('-', "")
}

/// The replica of a session among `replicas`: the same for everyone who counts the same replicas in the same order, as
/// in Gym.
#[must_use]
pub fn replica(session: &str, replicas: usize) -> usize {
    let digest = Sha256::digest(session.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    // The remainder is less than a usize.
    first.checked_rem(replicas as u64).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_back_and_a_forged_one_does_not() {
        let sessions = Sessions::new("policy_model_proxy", b"secret");
        let session = new_session();
        let header = sessions.set_cookie(&session);
        assert!(
            header.starts_with("LocalVLLMModelProxyServer___policy_model_proxy=")
                && header.contains("; path=/; Max-Age=1209600; httponly; samesite=lax")
        );
        let pair = header.split(';').next().expect("a pair");
        let named = |cookie: &str| sessions.named([b"junk".as_slice(), cookie.as_bytes()]);
        assert_eq!(named(&format!("a=b; {pair}; c=d")).as_deref(), Some(session.as_str()));
        let forged = pair.replacen(&session[..4], "0000", 1);
        for cookie in [
            "",
            "a=b",
            "LocalVLLMModelProxyServer___policy_model_proxy",
            &forged,
            &pair[..pair.len() - 1],
            &format!("{pair}é"),
        ] {
            assert_eq!(named(cookie), None, "{cookie}");
        }
        assert_eq!(Sessions::new("other", b"secret").named([pair.as_bytes()]), None);
        assert_eq!(Sessions::new("policy_model_proxy", b"else").named([pair.as_bytes()]), None);
    }

    #[test]
    fn replicas_are_gyms() {
        // Worked out with Python's hashlib.
        assert_eq!(replica("aa9aecea-815d-418e-918e-d6e5d253ffe8", 1), 0);
        let counts = (0..1000).map(|at| replica(&format!("session-{at}"), 2)).sum::<usize>();
        assert!((400..600).contains(&counts), "{counts}");
        assert_eq!(replica("x", 0), 0);
    }

    #[test]
    fn ids_are_uuids() {
        let session = new_session();
        assert!(
            session.len() == 36 && session.as_bytes()[14] == b'4' && b"89ab".contains(&session.as_bytes()[19]),
            "{session}"
        );
        assert_eq!(new_id().len(), 32);
    }
}
