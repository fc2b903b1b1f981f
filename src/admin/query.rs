//! Queries of lists: pure.

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::api::RequestFilter;

/// Requests that are told, unless more or fewer are asked for.
const REQUESTS: usize = 100;

/// The most that can be asked for.
const MOST_REQUESTS: usize = 2000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestWords {
    model: Option<String>,
    alias: Option<String>,
    engine: Option<String>,
    caller: Option<String>,
    status: Option<u16>,
    failed: Option<bool>,
    limit: Option<usize>,
}

/// Which requests are asked for, and how many.
pub(super) fn requests(uri: &Uri) -> Result<(RequestFilter, usize), ApiError> {
    let RequestWords { model, alias, engine, caller, status, failed, limit } = words(uri)?;
    let limit = limit.unwrap_or(REQUESTS);
    if limit > MOST_REQUESTS {
        return Err(ApiError::malformed(format!("`limit` is at most {MOST_REQUESTS}.")));
    }
    Ok((RequestFilter { model, alias, engine, caller, status, failed }, limit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

/// How many entries of a list are asked for.
pub(super) fn limit(uri: &Uri) -> Result<usize, ApiError> {
    Ok(words::<Limit>(uri)?.limit.unwrap_or(REQUESTS))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventWords {
    kinds: Option<String>,
}

/// Which kinds of events are asked for.
pub(super) fn event_kinds(uri: &Uri) -> Result<Option<String>, ApiError> {
    words::<EventWords>(uri).map(|words| words.kinds)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesWords {
    engine: Option<String>,
}

/// The engine whose rates are asked for; `None`: those of all requests.
pub(super) fn rates(uri: &Uri) -> Result<Option<String>, ApiError> {
    words::<RatesWords>(uri).map(|words| words.engine)
}

/// The words of a query.
pub(super) fn words<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let not_understood = |error: axum::extract::rejection::QueryRejection| {
        ApiError::malformed(format!("The query is not understood: {}.", error.body_text()))
    };
    Query::<T>::try_from_uri(uri).map(|Query(words)| words).map_err(not_understood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_asked_for_by_what_they_are() {
        let ask = |query: &str| requests(&format!("/api/v1/requests{query}").parse().expect("a path"));
        assert_eq!(ask("").expect("all"), (RequestFilter::default(), REQUESTS));
        let (filter, limit) = ask("?model=org%2Fm&status=503&failed=true&limit=5").expect("some");
        assert_eq!(
            (filter.model.as_deref(), filter.status, filter.failed, limit),
            (Some("org/m"), Some(503), Some(true), 5)
        );
        for bad in ["?limit=2001", "?status=ok", "?cats=1", "?failed=1"] {
            assert_eq!(ask(bad).expect_err(bad).status, 400, "{bad}");
        }
    }
}
