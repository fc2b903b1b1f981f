//! When requests are due: at equal or at random distances; pure.

use std::time::Duration;

/// The distances between requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spacing {
    /// All the same.
    Even,
    /// Random, independent of each other: their mean is that of the rate.
    Poisson,
}

/// The times at which requests are due, from the beginning of the run on.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    rate: f64,
    spacing: Spacing,
    random: fastrand::Rng,
    number: u64,
    /// Seconds; of the last one.
    at: f64,
}

impl Arrivals {
    /// `rate` requests a second.
    pub(super) fn new(rate: f64, spacing: Spacing, seed: u64) -> Self {
        Self { rate, spacing, random: fastrand::Rng::with_seed(seed), number: 0, at: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = match self.spacing {
            // Not a sum of distances: small errors would add up.
            Spacing::Even => self.number as f64 / self.rate,
            Spacing::Poisson => {
                // 1 - f64() is above 0: its logarithm is a number.
                self.at -= (1.0 - self.random.f64()).ln() / self.rate;
                self.at
            }
        };
        self.number += 1;
        Duration::try_from_secs_f64(at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_distances_do_not_drift() {
        let times: Vec<_> = Arrivals::new(3.0, Spacing::Even, 0).take(3_000_001).collect();
        assert_eq!((times[0], times[3]), (Duration::ZERO, Duration::from_secs(1)));
        assert_eq!(times[3_000_000], Duration::from_secs(1_000_000));
    }

    #[test]
    fn random_distances_have_the_mean_and_the_spread_of_a_poisson_process() {
        let times: Vec<_> = Arrivals::new(50.0, Spacing::Poisson, 7).take(100_000).map(|at| at.as_secs_f64()).collect();
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean) * (gap - mean)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.02).abs() < 0.0004, "{mean}");
        // As large as the mean, where it is exponential.
        assert!((variance.sqrt() - 0.02).abs() < 0.0006, "{}", variance.sqrt());
        assert!(times[0] > 0.0 && gaps.iter().all(|gap| *gap >= 0.0));
    }

    #[test]
    fn the_seed_decides() {
        let times = |seed| Arrivals::new(5.0, Spacing::Poisson, seed).take(50).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }
}
