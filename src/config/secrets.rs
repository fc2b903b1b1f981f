//! Keys and tokens in a configuration: which settings hold them, how they are masked, and how a caller's key is written.

use super::diagnostic::Draft;
use crate::secret::KeyHash;

/// Last words of names that hold secrets.
const SECRET: [&str; 11] = [
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credentials",
    "auth",
    "authorization",
    "cookie",
];

/// Words before `token` that make it one of a model's vocabulary.
const VOCABULARY: [&str; 12] =
    ["bos", "eos", "pad", "unk", "sep", "cls", "mask", "stop", "start", "end", "think", "image"];

/// Whether a setting, header or variable of that name holds a secret: `api_key`, `HF_TOKEN`, `ssl-keyfile-password`.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let mut words = key.rsplit(['_', '-', '.']);
    let (last, before) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    SECRET.contains(&last) && !(last == "token" && VOCABULARY.contains(&before))
}

/// `http://user:password@host` without user and password.
pub(super) fn mask_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (scheme, after) = rest.split_at(at + 3);
        out.push_str(scheme);
        let end = after.find(['/', ' ', '?', '#']).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(user) => {
                out.push_str("***");
                &after[user..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The hash of a caller's key as written: the key itself, or `sha256:` and its hash.
///
/// # Errors
/// Why it is none.
pub(super) fn caller_key(text: &str) -> Result<KeyHash, Draft> {
    if let Some(hex) = text.strip_prefix("sha256:") {
        let reason = "This is not a SHA-256 hash: that has 64 hexadecimal digits.";
        return KeyHash::parse(hex).ok_or_else(|| Draft::of_text(reason, "Print it with `printf %s KEY | sha256sum`."));
    }
    if text.is_empty() {
        return Err(Draft::of_text(
            "The key is empty, so every client could use it.",
            "Write a key, such as ${CHATBOT_KEY}.",
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = "It has characters that cannot be sent in a header (a space or line break at its end?).";
        return Err(Draft::of_text(reason, "Use visible ASCII characters only, without spaces."));
    }
    Ok(KeyHash::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name() {
        for key in ["api_key", "token", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "api-key", "PASSWORD"] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["max_tokens", "gpus", "keepalive", "source", "eos_token"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn user_and_password_of_a_url_are_masked() {
        assert_eq!(mask_userinfo("http://u:p@h:1/a@b https://x"), "http://***@h:1/a@b https://x");
        assert_eq!(mask_userinfo("://://@"), "://://***@");
    }
}
