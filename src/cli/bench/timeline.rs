//! What happened when: counts in equal stretches of time, of which there are never more than a fixed number; pure.

/// Most stretches. When they are used up, two and two become one.
const MOST: usize = 512;

/// Microseconds of a stretch at first.
const SHORTEST: u64 = 10_000;

/// What rounding may add to a number of stretches.
const ROUNDING: f64 = 1e-6;

/// Counts over time.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    width: u64,
    counts: Vec<u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: SHORTEST, counts: Vec::new() }
    }
}

impl Timeline {
    /// One more at `micros` from the beginning.
    pub(super) fn add(&mut self, micros: u64) {
        while micros / self.width >= MOST as u64 {
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.width *= 2;
        }
        let place = (micros / self.width) as usize;
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    /// What happened in all.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Rates per second over `seconds` in at most `columns` equal stretches, and how many seconds a stretch has. A stretch
    /// that is cut by the end counts for as long as it lasts.
    pub(super) fn rates(&self, seconds: f64, columns: usize) -> (f64, Vec<f64>) {
        let own = self.width as f64 / 1e6;
        let needed = (seconds / own - ROUNDING).ceil().max(1.0);
        let together = (needed / columns.max(1) as f64).ceil().max(1.0) as usize;
        let each = own * together as f64;
        let columns = ((seconds / each - ROUNDING).ceil() as usize).max(1);
        let rate = |column: usize| {
            let count: u64 = self.counts.iter().skip(column * together).take(together).sum();
            let length = (seconds - column as f64 * each).min(each);
            if length > own / 2.0 { count as f64 / length } else { 0.0 }
        };
        (each, (0..columns).map(rate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_keep_few_counts_and_lose_none() {
        let mut timeline = Timeline::default();
        (0..3600).for_each(|second| timeline.add(second * 1_000_000));
        assert_eq!((timeline.total(), timeline.width), (3600, 10_240_000));
        assert!(timeline.counts.len() <= MOST);
        timeline.add(0);
        timeline.add(u64::from(u32::MAX) * 1000);
        assert_eq!(timeline.total(), 3602);
    }

    #[test]
    fn rates_are_per_second_and_the_last_stretch_is_not_too_low() {
        let mut timeline = Timeline::default();
        // 100 a second for one and a half seconds.
        (0..150).for_each(|number| timeline.add(number * 10_000 + 5_000));
        let (each, rates) = timeline.rates(1.5, 2);
        assert!((each - 0.75).abs() < 1e-9 && rates.len() == 2, "{each} {rates:?}");
        assert!(rates.iter().all(|rate| (rate - 100.0).abs() < 1e-6), "{rates:?}");
        let (each, rates) = timeline.rates(1.5, 4);
        assert!((each - 0.38).abs() < 1e-9 && rates.len() == 4, "{each} {rates:?}");
        assert!(rates.iter().all(|rate| (rate - 100.0).abs() < 1e-6), "{rates:?}");
        assert_eq!(Timeline::default().rates(0.0, 60).1, [0.0]);
    }
}
