//! Makes metrics and registers them, and forgets those series of them whose labels are not in use any more.

use std::collections::{HashMap, HashSet};
use std::fmt;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    CounterVec, Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts,
};

use super::collectors::Collectors;

/// Where metrics are made.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) collectors: Collectors,
    pub(super) series: Vec<Box<dyn Series>>,
}

/// The values of some labels, by which series are known.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Sets of labels that nobody counts in any more.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Which labels these are: few different lists.
    names: HashSet<Vec<&'static str>>,
    sets: HashSet<Labels>,
}

impl Ended {
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn insert(&mut self, labels: Labels) {
        self.names.insert(labels.iter().map(|(name, _)| *name).collect());
        self.sets.insert(labels);
    }

    pub(super) fn remove(&mut self, labels: &Labels) {
        self.sets.remove(labels);
    }

    /// Whether one of the sets is a part of `own`.
    fn has(&self, own: &HashMap<&str, &str>) -> bool {
        let set = |names: &Vec<&'static str>| {
            names.iter().map(|name| Some((*name, (*own.get(name)?).to_owned()))).collect::<Option<Labels>>()
        };
        self.names.iter().filter_map(set).any(|set| self.sets.contains(&set))
    }
}

/// The series of one metric, which differ in their labels.
pub(super) trait Series: fmt::Debug + Send + Sync {
    /// Removes the series that have all labels of one of these sets.
    fn forget(&self, ended: &Ended);
}

impl<B: MetricVecBuilder + Send + Sync> Series for MetricVec<B>
where
    Self: fmt::Debug + Collector,
{
    fn forget(&self, ended: &Ended) {
        for metric in self.collect().iter().flat_map(|family| family.get_metric()) {
            let own: HashMap<&str, &str> = metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
            if ended.has(&own) {
                // Another thread may have removed it.
                let _ = self.remove(&own);
            }
        }
    }
}

impl Register {
    /// Registers `metric`, by its own name.
    pub(super) fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.collectors.add(metric.clone())?;
        Ok(metric)
    }

    fn add_series<C: Collector + Series + Clone + 'static>(&mut self, metric: C) -> Result<C, Error> {
        self.series.push(Box::new(metric.clone()));
        self.add(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(format!("enginehouse_{name}"), help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.add(Gauge::new(format!("enginehouse_{name}"), help)?)
    }

    pub(super) fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::new(format!("enginehouse_{name}"), help)?)
    }

    /// A gauge that always is 1 and says something in its label.
    pub(super) fn info(&self, name: &str, help: &str, label: (&str, &str)) -> Result<(), Error> {
        let opts = Opts::new(format!("enginehouse_{name}"), help).const_label(label.0, label.1);
        self.add(IntGauge::with_opts(opts)?)?.set(1);
        Ok(())
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(
            HistogramOpts::new(format!("enginehouse_{name}"), help).buckets(buckets.to_vec()),
        )?)
    }

    pub(super) fn counters(&mut self, name: &str, labels: &[&str], help: &str) -> Result<IntCounterVec, Error> {
        self.add_series(IntCounterVec::new(Opts::new(format!("enginehouse_{name}"), help), labels)?)
    }

    pub(super) fn float_counters(&mut self, name: &str, labels: &[&str], help: &str) -> Result<CounterVec, Error> {
        self.add_series(CounterVec::new(Opts::new(format!("enginehouse_{name}"), help), labels)?)
    }

    pub(super) fn int_gauges(&mut self, name: &str, labels: &[&str], help: &str) -> Result<IntGaugeVec, Error> {
        self.add_series(IntGaugeVec::new(Opts::new(format!("enginehouse_{name}"), help), labels)?)
    }

    pub(super) fn gauges(&mut self, name: &str, labels: &[&str], help: &str) -> Result<GaugeVec, Error> {
        self.add_series(GaugeVec::new(Opts::new(format!("enginehouse_{name}"), help), labels)?)
    }

    pub(super) fn histograms(
        &mut self,
        name: &str,
        labels: &[&str],
        help: &str,
        buckets: &[f64],
    ) -> Result<HistogramVec, Error> {
        let opts = HistogramOpts::new(format!("enginehouse_{name}"), help).buckets(buckets.to_vec());
        self.add_series(HistogramVec::new(opts, labels)?)
    }
}
