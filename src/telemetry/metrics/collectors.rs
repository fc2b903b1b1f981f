//! All metrics, and how their series are collected: metric by metric, so that a look at very many keeps nobody waiting.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{Error, Registry};

use crate::telemetry::give_way::give_way;

/// All metrics.
#[derive(Default)]
pub(super) struct Collectors {
    /// Knows which names are taken.
    known: Registry,
    /// In the order of their names; several of one name are one metric.
    all: Mutex<Vec<(String, Box<dyn Collector>)>>,
}

impl fmt::Debug for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collectors").field("metrics", &self.lock().len()).finish_non_exhaustive()
    }
}

impl Collectors {
    /// Adds `metric`, by its own name.
    ///
    /// # Errors
    /// There is one of that name, with the same labels.
    pub(super) fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<(), Error> {
        self.known.register(Box::new(metric.clone()))?;
        let name = metric.desc().first().map(|desc| desc.fq_name.clone()).unwrap_or_default();
        let mut all = self.lock();
        let at = all.partition_point(|(known, _)| *known < name);
        all.insert(at, (name, Box::new(metric)));
        Ok(())
    }

    /// Hands over the series of each metric that has some: metrics by name, series by the values of their labels.
    ///
    /// In a large gateway this takes milliseconds, so between two metrics others may use the processor.
    ///
    /// # Errors
    /// What `tell` returns; then it is over.
    pub(super) fn each<E>(&self, mut tell: impl FnMut(&MetricFamily) -> Result<(), E>) -> Result<(), E> {
        for metric in self.lock().chunk_by(|(one, _), (other, _)| one == other) {
            let mut families = metric.iter().flat_map(|(_, collector)| collector.collect());
            let Some(mut family) = families.next() else { continue };
            families.for_each(|mut more| family.mut_metric().append(more.mut_metric()));
            if !family.get_metric().is_empty() {
                family.mut_metric().sort_by(|one, other| values(one).cmp(values(other)));
                tell(&family)?;
            }
            give_way();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Box<dyn Collector>)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn values(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(|label| label.value())
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, IntCounterVec, Opts};

    use super::*;

    #[test]
    fn metrics_come_by_name_and_series_by_their_labels_and_no_name_comes_twice() {
        let all = Collectors::default();
        let series = IntCounterVec::new(Opts::new("b", "B."), &["x", "y"]).expect("made");
        for labels in [["2", "1"], ["1", "2"], ["1", "1"]] {
            series.with_label_values(&labels).inc();
        }
        all.add(series).expect("new");
        all.add(IntCounterVec::new(Opts::new("c", "Has no series."), &["x"]).expect("made")).expect("new");
        let part = |of: &str| IntCounter::with_opts(Opts::new("a", "A.").const_label("of", of)).expect("made");
        all.add(part("2")).expect("new");
        all.add(part("1")).expect("one metric may have parts that differ in a label");
        assert!(all.add(part("1")).is_err());
        let mut told = Vec::new();
        let done = all.each(|family| {
            let series = family.get_metric().iter().map(|metric| values(metric).collect::<Vec<_>>().join(" "));
            told.push((family.name().to_owned(), series.collect::<Vec<_>>()));
            Ok::<_, ()>(())
        });
        let own = |name: &str, series: &[&str]| (name.to_owned(), series.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!((done, told), (Ok(()), vec![own("a", &["1", "2"]), own("b", &["1 1", "1 2", "2 1"])]));
        let mut seen = 0;
        let stopped = all.each(|_| {
            seen += 1;
            Err("enough")
        });
        assert_eq!((stopped, seen), (Err("enough"), 1));
    }
}
