//! Which part of a split a request belongs to: the same one for the same session or caller.

use http::{HeaderMap, HeaderName};
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

    /// Each part's target with the percentage of requests it gets, rounded to a tenth.
    pub(super) fn shares(&self) -> impl Iterator<Item = (usize, f64)> {
        let total = self.parts.last().map_or(1, |(_, sum)| *sum);
        let mut before = 0;
        self.parts.iter().map(move |(at, sum)| {
            let weight = sum - std::mem::replace(&mut before, *sum);
            #[expect(clippy::cast_precision_loss, reason = "weights are at most a million each")]
            let share = weight as f64 / total as f64;
            (*at, (share * 1000.0).round() / 10.0)
        })
    }

    /// The target of a request with these `headers`: by its session, else by `who` sent it, else by `chance`, a random
    /// number.
    pub(super) fn choose(&self, headers: &HeaderMap, who: Option<&[u8]>, chance: u64) -> usize {
        let session = headers.get(&self.sticky).map(http::HeaderValue::as_bytes);
        let number = session.or(who).map_or(chance, hash);
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
        for who in 0..20 {
            let name = format!("someone-{who}");
            let session = headers(&[("x-session-id", name.clone())]);
            let first = split.choose(&session, None, 0);
            assert!((0..20).all(|chance| split.choose(&session, None, chance) == first), "session {who}");
            let first = split.choose(&HeaderMap::new(), Some(name.as_bytes()), 0);
            let stays = |chance| split.choose(&HeaderMap::new(), Some(name.as_bytes()), chance) == first;
            assert!((0..20).all(stays), "caller {who}");
            assert!((0..20).all(|other| split.choose(&session, Some(&[other]), 0) == split.choose(&session, None, 0)));
        }
    }

    #[test]
    fn parts_get_what_they_weigh() {
        let split = split(&[(0, 90), (1, 0), (2, 10)]);
        let mut seen = [0; 3];
        for who in 0..2000 {
            seen[split.choose(&headers(&[("x-session-id", format!("session {who}"))]), None, 0)] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((130..270).contains(&seen[2]), "{seen:?}");
        let all_two = (0..100).filter(|_| split.choose(&HeaderMap::new(), None, fastrand::u64(..)) == 2).count();
        assert!(all_two < 60, "without a session any part is chosen: {all_two}");
    }

    #[test]
    fn a_split_without_weight_is_none() {
        assert!(Split::new([(0, 0)], http::header::HOST).is_none());
        assert!(Split::new([], http::header::HOST).is_none());
    }
}
