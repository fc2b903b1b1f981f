//! Who counts in which series, so that series end whose labels are not in use any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::register::{Ended, Labels, Series};

/// A label that belongs to something that may go: its name and its value.
pub(in crate::telemetry) type Label<'a> = (&'static str, &'a str);

/// After so many sets of labels, or a quarter of those in use, ended series go also if nobody looks at the metrics.
const MOST_ENDED: usize = 8;

/// The series of all metrics whose labels may go.
#[derive(Debug)]
pub(in crate::telemetry) struct SeriesBook {
    series: Vec<Box<dyn Series>>,
    counting: Mutex<Counting>,
}

/// Who counts where.
#[derive(Debug, Default)]
struct Counting {
    /// How many count in the series with each set of labels.
    users: HashMap<Labels, usize>,
    /// Series that end before the next look at the metrics: all at once, because finding them means to look at all.
    ended: Ended,
}

impl SeriesBook {
    pub(super) fn new(series: Vec<Box<dyn Series>>) -> Self {
        Self { series, counting: Mutex::default() }
    }

    /// Somebody counts in series with these labels from now on.
    pub(in crate::telemetry) fn begin(&self, labels: &[Label<'_>]) {
        let (mut counting, labels) = (self.lock(), owned(labels));
        counting.ended.remove(&labels);
        *counting.users.entry(labels).or_default() += 1;
    }

    /// Somebody counts there no more. With the last one the series end, of all metrics that have these labels.
    pub(in crate::telemetry) fn end(&self, labels: &[Label<'_>]) {
        let mut counting = self.lock();
        let key = owned(labels);
        let Some(count) = counting.users.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            counting.users.remove(&key);
            counting.ended.insert(key);
        }
        if counting.ended.len() > MOST_ENDED.max(counting.users.len() / 4) {
            self.remove(&mut counting);
        }
    }

    /// Removes the series that have ended.
    pub(super) fn forget(&self) {
        self.remove(&mut self.lock());
    }

    fn remove(&self, counting: &mut Counting) {
        let ended = std::mem::take(&mut counting.ended);
        if ended.len() > 0 {
            self.series.iter().for_each(|series| series.forget(&ended));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counting> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned(labels: &[Label<'_>]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
