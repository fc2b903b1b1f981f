//! Which web pages may read answers (Fetch Standard, CORS protocol).

use http::{HeaderMap, HeaderValue, header};

use crate::config;

/// The configured origins.
#[derive(Debug)]
pub struct Cors {
    /// `None`: every origin.
    origins: Option<Vec<HeaderValue>>,
}

/// What the answers to one request say of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsAnswer {
    /// `Access-Control-Allow-Origin`; `None`: the request comes from no page, or from one that may not read the answer.
    pub origin: Option<HeaderValue>,
    /// Whether the answers to other origins differ.
    pub varies: bool,
}

impl Cors {
    /// `None`: no page may read anything.
    pub(super) fn of(config: &config::Cors) -> Option<Self> {
        let any = config.origins.iter().any(|origin| origin == config::ANY_ORIGIN);
        let listed = || config.origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect();
        (!config.origins.is_empty()).then(|| Self { origins: (!any).then(listed) })
    }

    /// For a request with these `headers`.
    #[must_use]
    pub fn answer(&self, headers: &HeaderMap) -> CorsAnswer {
        let asking = headers.get(header::ORIGIN);
        let origin = match &self.origins {
            None => asking.map(|_| HeaderValue::from_static(config::ANY_ORIGIN)),
            Some(origins) => asking.filter(|asking| origins.contains(asking)).cloned(),
        };
        CorsAnswer { origin, varies: self.origins.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(origins: &str, asking: Option<&'static str>) -> Option<CorsAnswer> {
        let yaml = format!("models: {{m: {{urls: ['http://h:1']}}}}\ncors: {{origins: {origins}}}\n");
        let config = config::parse(&yaml, &|_| None).expect("a configuration");
        let headers = asking.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))).into_iter().collect();
        Cors::of(&config.cors).map(|cors| cors.answer(&headers))
    }

    #[test]
    fn origins_are_compared_as_a_whole() {
        let answer = |origin: Option<&'static str>, varies| {
            Some(CorsAnswer { origin: origin.map(HeaderValue::from_static), varies })
        };
        assert_eq!(told("[]", Some("http://a:1")), None, "off");
        assert_eq!(told("['*']", Some("http://a:1")), answer(Some("*"), false));
        assert_eq!(told("['*']", None), answer(None, false));
        let listed = "['HTTP://A:1', 'app://obsidian.md']";
        for (asking, allowed) in [
            (Some("http://a:1"), true),
            (Some("app://obsidian.md"), true),
            (Some("http://a"), false),
            (Some("http://a:12"), false),
            (Some("http://b.a:1"), false),
            (Some("null"), false),
            (None, false),
        ] {
            assert_eq!(told(listed, asking), answer(asking.filter(|_| allowed), true), "{asking:?}");
        }
    }
}
