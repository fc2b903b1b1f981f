//! What a model may spend on further attempts: a burst, then a share of its requests.

use std::sync::atomic::{AtomicI64, Ordering};

/// How many retries a burst may cost before the long-run share applies.
const BURST: i64 = 256;

/// Hundredths of a retry: each request earns its share, each retry costs one.
#[derive(Debug)]
pub struct RetryBudget {
    cents: AtomicI64,
    per_request: AtomicI64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { cents: AtomicI64::new(BURST * 100), per_request: AtomicI64::new(0) }
    }
}

impl RetryBudget {
    /// Sets how many retries a request earns, 0 to 10. What was earned stays.
    pub fn set_share(&self, share: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "validated to 0..=10")]
        self.per_request.store((share * 100.0) as i64, Ordering::Relaxed);
    }

    /// Earns the share of one request.
    pub fn earn(&self) {
        if self.cents.load(Ordering::Relaxed) < BURST * 100 {
            self.cents.fetch_add(self.per_request.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whether there is enough for one retry.
    #[must_use]
    pub fn affords_one(&self) -> bool {
        self.cents.load(Ordering::Relaxed) >= 100
    }

    /// Takes the price of one retry, if there is enough.
    pub fn spend(&self) -> bool {
        if self.cents.fetch_sub(100, Ordering::Relaxed) >= 100 {
            return true;
        }
        self.cents.fetch_add(100, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_a_share_of_requests() {
        let budget = RetryBudget::default();
        budget.set_share(0.2);
        let burst = (0..1000).filter(|_| budget.spend()).count();
        assert_eq!(i64::try_from(burst), Ok(BURST));
        assert!(!budget.affords_one());
        let later = (0..1000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(later, 200);
    }
}
