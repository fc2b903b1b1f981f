//! Which requests are traced, by the samplers that OpenTelemetry names. Pure.

/// Decides whether the spans of a request are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    /// Requests in the trace of their caller do as that one does.
    pub(super) follows_parent: bool,
    /// The share of the other ones.
    pub(super) share: Share,
}

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    All,
    None,
    /// From 0 to 1.
    Ratio(f64),
}

impl Sampler {
    /// `parent`: whether the caller keeps its span, where there is one.
    pub(super) fn keeps(self, parent: Option<bool>, trace_id: u128) -> bool {
        match parent {
            Some(sampled) if self.follows_parent => sampled,
            _ => self.share.has(trace_id),
        }
    }
}

impl Share {
    /// By the trace's id alone, so that everybody with the same ratio keeps the same traces.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "half of the id, as a share of 2^63"
    )]
    fn has(self, trace_id: u128) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Ratio(ratio) => ((trace_id as u64 >> 1) as f64) < ratio * (1_u64 << 63) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_followed_where_that_is_wanted() {
        let following = |share| Sampler { follows_parent: true, share };
        assert!(following(Share::None).keeps(Some(true), 1) && !following(Share::All).keeps(Some(false), 1));
        assert!(following(Share::All).keeps(None, 1) && !following(Share::None).keeps(None, 1));
        let own = Sampler { follows_parent: false, share: Share::All };
        assert!(own.keeps(Some(false), 1));
    }

    #[test]
    fn a_ratio_is_one_of_all_traces() {
        let kept = |ratio: f64| {
            let mut random = fastrand::Rng::with_seed(7);
            (0..10_000).filter(|_| Share::Ratio(ratio).has(random.u128(..))).count()
        };
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        assert!((2_300..2_700).contains(&kept(0.25)), "{}", kept(0.25));
    }
}
