//! A browser's login: a signed cookie that says how long it is good for. Nothing is kept here, and another token ends all logins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, header};
use ring::hmac;

use crate::secret::Secret;

/// The cookie. `__Host-` would need HTTPS.
const NAME: &str = "enginehouse_session";

/// How long a login is good for.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The value of `Set-Cookie` that logs a browser in. `is_secure`: it came by HTTPS, and may go by nothing else.
pub(super) fn cookie(token: &Secret, now: SystemTime, is_secure: bool) -> String {
    let until = seconds(now) + LIFE.as_secs();
    let secure = if is_secure { "; Secure" } else { "" };
    format!(
        "{NAME}={until}.{}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        signature(token, until),
        LIFE.as_secs()
    )
}

/// The value of `Set-Cookie` that logs a browser out.
pub(super) fn no_cookie() -> String {
    format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// Whether the request shows a login that is good.
pub(super) fn is_good(token: &Secret, headers: &HeaderMap, now: SystemTime) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    values.any(|(name, value)| {
        let Some((until, shown)) = value.split_once('.').filter(|_| name == NAME) else { return false };
        let Ok(until) = until.parse::<u64>() else { return false };
        // In time that depends on lengths only.
        seconds(now) < until && Secret::new(signature(token, until)).matches(shown.as_bytes())
    })
}

fn signature(token: &Secret, until: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
    let tag = hmac::sign(&key, format!("enginehouse operators until {until}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cookie: &str) -> HeaderMap {
        let value = format!("theme=dark; {}", cookie.split(';').next().expect("a pair"));
        HeaderMap::from_iter([(header::COOKIE, value.parse().expect("a value"))])
    }

    #[test]
    fn a_login_is_good_for_its_time_and_its_token() {
        let (token, now) = (Secret::new("t"), SystemTime::now());
        let set = cookie(&token, now, false);
        assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains("Secure") && !set.contains("=t"), "{set}");
        assert!(cookie(&token, now, true).ends_with("; Secure"));
        assert!(is_good(&token, &shown(&set), now));
        assert!(!is_good(&token, &shown(&set), now + LIFE + Duration::from_secs(1)));
        assert!(!is_good(&Secret::new("u"), &shown(&set), now));
        let longer = set.replacen("session=1", "session=9", 1);
        for bad in [longer.as_str(), &no_cookie(), "enginehouse_session=x.y", "other=1", ""] {
            assert!(!is_good(&token, &shown(bad), now), "{bad}");
        }
        assert!(!is_good(&token, &HeaderMap::new(), now));
    }
}
