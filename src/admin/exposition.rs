//! In which format metrics are answered.

use axum::http::{HeaderMap, header};

/// Prometheus' own.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// OpenMetrics.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether OpenMetrics is asked for, and is liked no less than plain text (RFC 9110, 12.5.1). Who asks for nothing gets text.
pub(super) fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(String, f32)> = accepted.flat_map(|value| value.split(',')).map(range).collect();
    let liked = |kind: &str| ranges.iter().filter(|(own, _)| own == kind).map(|(_, q)| *q).fold(0.0, f32::max);
    let openmetrics = liked("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= liked("text/plain")
}

/// A media type, and how much it is liked.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let q = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (kind, q.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let wants = |accept: &'static str| {
            let headers = [(header::ACCEPT, accept.parse().expect("a value"))].into_iter().collect();
            wants_openmetrics(&headers)
        };
        assert!(!wants_openmetrics(&HeaderMap::new()));
        // As Prometheus 2.42 and 3 ask.
        assert!(wants(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(wants("application/openmetrics-text; version=1.0.0"));
        for other in [
            "*/*",
            "text/plain",
            "text/html,*/*",
            "application/openmetrics-text;q=0, */*",
            "",
            "text/plain, application/openmetrics-text;q=0.5",
        ] {
            assert!(!wants(other), "{other}");
        }
    }
}
