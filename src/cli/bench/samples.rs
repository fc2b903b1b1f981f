//! Measured numbers, and their exact percentiles, in bounded memory.

use serde::{Deserialize, Serialize};

/// A set of whole numbers. Beyond its size it keeps a random choice, each number with the same chance.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    kept: Vec<u32>,
    most: usize,
    seen: u64,
    sum: f64,
    squares: f64,
    least: u32,
    largest: u32,
    random: fastrand::Rng,
}

/// What a set of numbers comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Distribution {
    /// How many numbers there were.
    pub(super) count: u64,
    /// Whether percentiles are those of a random choice of them, because there were too many to keep.
    #[serde(default)]
    pub(super) sampled: bool,
    pub(super) mean: f64,
    pub(super) stddev: f64,
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Samples {
    /// An empty set, which keeps at most `most` numbers.
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: Vec::new(),
            most,
            seen: 0,
            sum: 0.0,
            squares: 0.0,
            least: u32::MAX,
            largest: 0,
            // Which are kept shall not differ from run to run.
            random: fastrand::Rng::with_seed(1),
        }
    }

    pub(super) fn add(&mut self, value: u32) {
        self.seen += 1;
        self.sum += f64::from(value);
        self.squares += f64::from(value) * f64::from(value);
        self.least = self.least.min(value);
        self.largest = self.largest.max(value);
        if self.kept.len() < self.most {
            self.kept.push(value);
        } else if let Some(place) = usize::try_from(self.random.u64(..self.seen)).ok()
            && let Some(kept) = self.kept.get_mut(place)
        {
            *kept = value;
        }
    }

    /// The numbers that are kept, in no order.
    pub(super) fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// What the numbers come to, each multiplied by `scale`; `None` where there are none.
    pub(super) fn distribution(&self, scale: f64) -> Option<Distribution> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let scaled = |value: f64| rounded(value * scale);
        let at = |share: f64| percentile(&sorted, share).map(scaled);
        let count = self.seen as f64;
        let mean = self.sum / count;
        // Rounding must not make it negative.
        let variance = (self.squares / count - mean * mean).max(0.0);
        Some(Distribution {
            count: self.seen,
            sampled: self.seen > sorted.len() as u64,
            mean: scaled(mean),
            stddev: scaled(variance.sqrt()),
            min: scaled(f64::from(self.least)),
            p50: at(0.5)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            max: scaled(f64::from(self.largest)),
        })
    }
}

/// Without the digits that only rounding made: tenths of a microsecond, where it is milliseconds.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The number below which `share` of the `sorted` ones lie, between two of them in proportion (as NumPy's default does it, and
/// with it vLLM's own benchmark); `None` where there are none.
fn percentile(sorted: &[u32], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last);
    let (low, high) = (f64::from(sorted[below]), f64::from(sorted[(below + 1).min(last)]));
    Some(low + (high - low) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        let of = |values: &[u32], share| percentile(values, share);
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[7], 0.99), Some(7.0));
        // numpy.percentile([10, 20, 30, 40], [0, 50, 90, 100])
        let four = [10, 20, 30, 40];
        let found = [0.0, 0.5, 0.9, 1.0].map(|share| of(&four, share).expect("some"));
        for (found, wanted) in found.into_iter().zip([10.0, 25.0, 37.0, 40.0]) {
            assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        }
    }

    #[test]
    fn a_distribution_of_known_numbers() {
        let mut samples = Samples::new(1000);
        (1..=101).rev().for_each(|value| samples.add(value));
        let found = samples.distribution(0.5).expect("numbers");
        assert_eq!((found.count, found.sampled), (101, false));
        assert_eq!(
            (found.min, found.p50, found.p90, found.p95, found.p99, found.max),
            (0.5, 25.5, 45.5, 48.0, 50.0, 50.5)
        );
        assert!((found.mean - 25.5).abs() < 1e-9 && (found.stddev - 14.577).abs() < 1e-3, "{found:?}");
        assert_eq!(Samples::new(5).distribution(1.0), None);
    }

    #[test]
    fn too_many_numbers_leave_a_fair_choice() {
        let mut samples = Samples::new(2000);
        (0..100_000).for_each(|value| samples.add(value));
        assert_eq!(samples.kept().len(), 2000);
        let found = samples.distribution(1.0).expect("numbers");
        assert!(found.sampled && found.count == 100_000);
        assert_eq!((found.min, found.max), (0.0, 99_999.0), "these are exact all the same");
        assert!((found.p50 - 50_000.0).abs() < 5_000.0 && (found.p90 - 90_000.0).abs() < 3_000.0, "{found:?}");
    }
}
