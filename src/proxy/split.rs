//! Which part of a split a request belongs to: the same one for the same session or caller.

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

/// Parts of a split alias, ready to be chosen from.
#[derive(Debug)]
pub(super) struct Split {
    /// Positions of targets, with the sum of the weights up to and with each.
    parts: Box<[(usize, u64)]>,
    /// The header that names a session.
    sticky: HeaderName,
}

impl Split {
    /// A split over `parts`: positions of targets with their weights. `None` when nothing has any weight.
    pub(super) fn new(parts: impl IntoIterator<Item = (usize, u32)>, sticky: HeaderName) -> Option<Self> {
        let mut sum = 0;
        let weighty = parts.into_iter().filter(|(_, weight)| *weight > 0);
        let parts: Box<[_]> = weighty
            .map(|(at, weight)| {
                sum += u64::from(weight);
                (at, sum)
            })
            .collect();
        (!parts.is_empty()).then_some(Self { parts, sticky })
    }

    /// The target of a request with these `headers`: by its session, else by its caller's key, else any.
    pub(super) fn choose(&self, headers: &HeaderMap) -> usize {
        let known = [&self.sticky, &header::AUTHORIZATION, &HeaderName::from_static("x-api-key")];
        let number = match known.into_iter().find_map(|name| headers.get(name)) {
            Some(value) => hash(value.as_bytes()),
            None => fastrand::u64(..),
        };
        let total = self.parts.last().map_or(1, |(_, sum)| *sum);
        let point = number % total;
        self.parts.iter().find(|(_, sum)| point < *sum).map_or(0, |(at, _)| *at)
    }
}

/// The same number in every process and on every machine, so that gateways side by side agree.
fn hash(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(bytes)[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header value")))
            .collect()
    }

    fn split(parts: &[(usize, u32)]) -> Split {
        Split::new(parts.iter().copied(), HeaderName::from_static("x-session-id")).expect("a split")
    }

    #[test]
    fn sessions_and_callers_stay_where_they_are() {
        let split = split(&[(3, 50), (5, 50)]);
        for name in ["x-session-id", "authorization", "x-api-key"] {
            for who in 0..20 {
                let headers = headers(&[(name, format!("someone-{who}"))]);
                let first = split.choose(&headers);
                assert!((0..20).all(|_| split.choose(&headers) == first), "{name} {who}");
            }
        }
        let session = |key: &str| headers(&[("x-session-id", "s".into()), ("authorization", format!("Bearer {key}"))]);
        assert_eq!(split.choose(&session("a")), split.choose(&session("b")), "a session goes before a caller");
    }

    #[test]
    fn parts_get_what_they_weigh() {
        let split = split(&[(0, 90), (1, 0), (2, 10)]);
        let mut seen = [0; 3];
        for who in 0..2000 {
            seen[split.choose(&headers(&[("x-session-id", format!("session {who}"))]))] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((130..270).contains(&seen[2]), "{seen:?}");
        let all_two = (0..100).filter(|_| split.choose(&HeaderMap::new()) == 2).count();
        assert!(all_two < 60, "without a session any part is chosen: {all_two}");
    }

    #[test]
    fn a_split_without_weight_is_none() {
        assert!(Split::new([(0, 0)], header::HOST).is_none());
        assert!(Split::new([], header::HOST).is_none());
    }
}
