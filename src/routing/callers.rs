//! Finds the caller of a request by its key.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::key_table::KeyTable;
use crate::config::{Caller, Config};
use crate::openai::{ApiError, Code};
use crate::secret::KeyHash;
use crate::telemetry::{CallerMeters, Metrics};

/// Where Anthropic's clients put their key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where clients of Azure's API put theirs.
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Headers in which callers show who they are.
pub const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, X_API_KEY, API_KEY];

/// Paths for health checks, which have no key: their answers only say whether the gateway is healthy.
const OPEN: [&str; 6] = ["/", "/health", "/livez", "/readyz", "/ping", "/openapi.json"];

/// All who may send requests.
#[derive(Debug)]
pub struct Callers {
    by_key: KeyTable<Arc<CallerMeters>>,
    /// Whether requests without a key are accepted.
    anonymous: bool,
    /// Keys that count as none, in upper or lower case.
    placeholders: Vec<String>,
}

impl Callers {
    /// Those of `config`.
    pub(super) fn of(config: &Config, metrics: &Arc<Metrics>) -> Self {
        let keys = |caller: &Caller| {
            let known = metrics.caller_meters(&caller.name);
            caller.keys.iter().map(|key| (*key, known.clone())).collect::<Vec<_>>()
        };
        Self {
            by_key: config.callers.iter().flat_map(keys).collect(),
            anonymous: config.anonymous.is_some(),
            placeholders: config.anonymous.as_ref().map(|anonymous| anonymous.keys.clone()).unwrap_or_default(),
        }
    }

    /// Whether the gateway checks keys: then they are not sent to engines.
    pub fn are_configured(&self) -> bool {
        !self.by_key.is_empty()
    }

    /// What a request with these `headers` shows of who sent it: its first key that counts as one.
    pub(super) fn shown<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        let mut values = CREDENTIALS.into_iter().filter_map(|name| headers.get(name)).map(HeaderValue::as_bytes);
        values.find(|value| !self.is_none(bare(value)))
    }

    /// Whether `key` counts as none.
    fn is_none(&self, key: &[u8]) -> bool {
        key.is_empty() || self.placeholders.iter().any(|placeholder| placeholder.as_bytes().eq_ignore_ascii_case(key))
    }

    /// Who asks for `path` with these `headers`; `None`: without a key, or with one that is not for the gateway.
    ///
    /// # Errors
    /// 401: the key belongs to no caller.
    pub fn identify(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<CallerMeters>>, ApiError> {
        if !self.are_configured() {
            return Ok(None);
        }
        let mut shown = false;
        for (name, value) in CREDENTIALS.iter().flat_map(|name| headers.get_all(name).iter().map(move |it| (name, it)))
        {
            let key = bare(value.as_bytes());
            if let Some(known) = self.by_key.get(&KeyHash::of(key)) {
                return Ok(Some(known.clone()));
            }
            // What stands before the gateway may add an `api-key` of its own: only where a key is needed it is a wrong one.
            let is_others = self.anonymous && *name == API_KEY;
            shown |= !is_others && !self.is_none(key);
        }
        if OPEN.contains(&path) {
            return Ok(None);
        }
        let (code, message) = match (shown, self.anonymous) {
            (false, true) => return Ok(None),
            (false, false) => (
                Code::MissingApiKey,
                "This gateway needs a key: send it as `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`.",
            ),
            (true, false) => (Code::InvalidApiKey, "This key is unknown. Check it for an extra space or line break."),
            (true, true) => (Code::InvalidApiKey, "This key is unknown. Send the right one, or none at all."),
        };
        Err(ApiError::new(code, message))
    }
}

/// A key without what is around it (RFC 6750, 2.1; the scheme's case does not matter: RFC 9110, 11.1).
fn bare(value: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer";
    let value = value.trim_ascii();
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(|byte| *byte == b' ') =>
        {
            rest.trim_ascii()
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYBODY: &str = "models: {m: {urls: ['http://h:1']}}\n";
    const TWO_CALLERS: &str = "models: {m: {urls: ['http://h:1']}}\ncallers: {bot: {keys: [k-bot, k-old]}, batch: {keys: \
        ['sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad']}}\n";

    fn callers(yaml: &str) -> Callers {
        let config = crate::config::parse(yaml, &|_| None).expect("a configuration");
        Callers::of(&config, &Arc::new(Metrics::new().expect("metrics")))
    }

    fn who(callers: &Callers, pairs: &[(&'static str, &'static str)]) -> Result<Option<String>, &'static str> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = pairs.iter().map(header).collect();
        let who = callers.identify("/v1/chat/completions", &headers);
        who.map(|known| known.map(|known| known.name().to_owned())).map_err(|error| error.code)
    }

    #[test]
    fn a_key_tells_who_it_is_wherever_it_is_shown() {
        let callers = callers(TWO_CALLERS);
        for (header, value, name) in [
            ("authorization", "Bearer k-bot", "bot"),
            ("authorization", "bearer  k-old ", "bot"),
            ("authorization", "k-bot", "bot"),
            ("x-api-key", "k-bot", "bot"),
            ("x-api-key", "abc", "batch"),
            ("api-key", "k-bot", "bot"),
        ] {
            assert_eq!(who(&callers, &[(header, value)]), Ok(Some(name.into())), "{header}: {value}");
        }
        // Some clients send both, one of them made up.
        assert_eq!(who(&callers, &[("authorization", "Bearer x"), ("x-api-key", "abc")]), Ok(Some("batch".into())));
    }

    #[test]
    fn unknown_callers_are_refused_with_a_reason() {
        let closed = callers(TWO_CALLERS);
        let open = callers(&format!("{TWO_CALLERS}anonymous: true\n"));
        for nothing in [&[][..], &[("authorization", "Bearer ")], &[("authorization", "Bearer")], &[("x-api-key", "")]]
        {
            assert_eq!(who(&closed, nothing), Err("missing_api_key"), "{nothing:?}");
            assert_eq!(who(&open, nothing), Ok(None), "{nothing:?}");
        }
        for wrong in ["Bearer k-bo", "Bearer k-bott", "Bearer K-BOT", "Basic k-bot", "bearerk-bot"] {
            assert_eq!(who(&closed, &[("authorization", wrong)]), Err("invalid_api_key"), "{wrong}");
            assert_eq!(
                who(&open, &[("authorization", wrong)]),
                Err("invalid_api_key"),
                "a typo is no visitor: {wrong}"
            );
        }
        // The hash in the configuration opens nothing by itself.
        let hash = "Bearer sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(who(&closed, &[("authorization", hash)]), Err("invalid_api_key"));
    }

    #[test]
    fn placeholders_are_no_keys_where_requests_without_one_are_taken_and_callers_keys_always_are() {
        let closed = callers(TWO_CALLERS);
        let open = callers(&format!("{TWO_CALLERS}anonymous: true\n"));
        let own = callers(&format!("{TWO_CALLERS}anonymous: {{ keys: [visitor] }}\n"));
        let none = callers(&format!("{TWO_CALLERS}anonymous: {{ keys: [] }}\n"));
        for value in
            ["Bearer none", "Bearer EMPTY", "undefined", "Bearer undefined", "bearer NULL", "-", "sk-no-key-required"]
        {
            for header in ["authorization", "x-api-key"] {
                let sent = [(header, value)];
                assert_eq!(who(&open, &sent), Ok(None), "{header}: {value}");
                for refused in [&closed, &own, &none] {
                    assert_eq!(who(refused, &sent), Err("invalid_api_key"), "{header}: {value}");
                }
            }
            let both = [("authorization", value), ("x-api-key", "abc")];
            assert_eq!(who(&open, &both), Ok(Some("batch".into())), "{value}");
            let wrong = [("authorization", value), ("x-api-key", "abcd")];
            assert_eq!(who(&open, &wrong), Err("invalid_api_key"), "{value}");
        }
        assert_eq!(who(&own, &[("authorization", "Bearer VISITOR")]), Ok(None));
        let real = callers("models: {m: {urls: ['http://h:1']}}\ncallers: {bot: {keys: [dummy]}}\nanonymous: true\n");
        assert_eq!(who(&real, &[("authorization", "Bearer dummy")]), Ok(Some("bot".into())));
        assert_eq!(who(&real, &[("authorization", "Bearer Dummy")]), Ok(None));
    }

    #[test]
    fn what_a_request_shows_of_its_sender_is_its_first_real_key() {
        let shown = |callers: &Callers, pairs: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = pairs.iter().map(header).collect();
            callers.shown(&headers).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        let anybody = callers(ANYBODY);
        assert_eq!(shown(&anybody, &[("authorization", "Bearer k")]).as_deref(), Some("Bearer k"));
        assert_eq!(shown(&anybody, &[("authorization", "Bearer EMPTY"), ("x-api-key", "k")]).as_deref(), Some("k"));
        assert_eq!(shown(&anybody, &[("authorization", "Bearer EMPTY")]), None, "all who send it are not one");
        assert_eq!(shown(&anybody, &[]), None);
    }

    #[test]
    fn without_callers_everybody_is_anonymous_and_watchers_always_are() {
        assert_eq!(who(&callers(ANYBODY), &[("authorization", "Bearer x")]), Ok(None));
        for path in OPEN {
            assert!(matches!(callers(TWO_CALLERS).identify(path, &HeaderMap::new()), Ok(None)), "{path}");
        }
    }
}
