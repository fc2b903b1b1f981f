//! Parameters of a query string.

/// The values of `name` in a query string. (None of ours needs percent-decoding.)
pub(crate) fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    query
        .split('&')
        .filter_map(move |pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// The first of them.
pub(crate) fn parameter<'a>(query: &'a str, name: &'a str) -> Option<&'a str> {
    parameters(query, name).next()
}
