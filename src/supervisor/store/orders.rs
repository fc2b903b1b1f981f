//! What operators ordered at run time and what outlasts the gateway: numbers of engines, and engines that stay stopped.
//!
//! A number of engines counts until the configuration says another one than when it was ordered; a stop until somebody
//! starts the engine, or its model leaves the configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Orders by model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Orders(BTreeMap<String, ModelOrders>);

/// What was ordered of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ModelOrders {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<Replicas>,
    /// Replicas that are to stay stopped.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    stopped: BTreeSet<usize>,
    /// How many engines there were when the last of these was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_of: Option<usize>,
}

/// A number of engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Replicas {
    ordered: usize,
    /// What the configuration said then.
    file_value: usize,
}

/// Most engines that a model can have been given at run time: more is damage.
const MOST_REPLICAS: usize = 4096;

impl Orders {
    /// Whether all of it can have been ordered.
    pub(crate) fn are_plausible(&self) -> bool {
        let numbers = |orders: &ModelOrders| {
            let counts = orders.replicas.is_none_or(|replicas| (1..=MOST_REPLICAS).contains(&replicas.ordered));
            counts && orders.stopped.last().is_none_or(|number| *number < MOST_REPLICAS)
        };
        self.0.values().all(numbers)
    }

    /// How many engines `model` is to have, of which the configuration says `file_value`.
    pub(crate) fn replicas(&self, model: &str, file_value: usize) -> usize {
        let ordered = self.0.get(model).and_then(|orders| orders.replicas);
        ordered.filter(|replicas| replicas.file_value == file_value).map_or(file_value, |replicas| replicas.ordered)
    }

    /// The replicas of `model` that are to stay stopped.
    pub(crate) fn stopped(&self, model: &str) -> BTreeSet<usize> {
        self.0.get(model).map(|orders| orders.stopped.clone()).unwrap_or_default()
    }

    /// Whether all engines of `model` were stopped, so that none of it is to run however many it has now.
    pub(crate) fn is_stopped(&self, model: &str) -> bool {
        self.0.get(model).is_some_and(|orders| {
            !orders.stopped.is_empty() && orders.stopped.len() >= orders.stopped_of.unwrap_or_default()
        })
    }

    /// `model` is to have `ordered` engines, for as long as the configuration says `file_value`.
    pub(crate) fn scale(&mut self, model: &str, ordered: usize, file_value: usize) {
        let replicas = (ordered != file_value).then_some(Replicas { ordered, file_value });
        self.change(model, |orders| orders.replicas = replicas);
    }

    /// Replica `number` of `model`, one of `engines`, is to stay stopped.
    pub(crate) fn stop(&mut self, model: &str, number: usize, engines: usize) {
        self.change(model, |orders| {
            orders.stopped.insert(number);
            orders.stopped_of = Some(engines);
        });
    }

    /// Replica `number` of `model` may run, or is no more.
    pub(crate) fn start(&mut self, model: &str, number: usize) {
        self.change(model, |orders| {
            orders.stopped.remove(&number);
            orders.stopped_of = orders.stopped_of.filter(|_| !orders.stopped.is_empty());
        });
    }

    /// Forgets what the configuration has overtaken, which has these models with these numbers of engines.
    pub(crate) fn settle(&mut self, configured: &BTreeMap<&str, usize>) {
        self.0.retain(|model, orders| {
            let file_value = configured.get(model.as_str());
            orders.replicas = orders.replicas.filter(|replicas| Some(&replicas.file_value) == file_value);
            file_value.is_some() && *orders != ModelOrders::default()
        });
    }

    fn change(&mut self, model: &str, change: impl FnOnce(&mut ModelOrders)) {
        change(self.0.entry(model.to_owned()).or_default());
        self.0.retain(|_, orders| *orders != ModelOrders::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_until_the_file_says_another() {
        let mut orders = Orders::default();
        orders.scale("m", 3, 1);
        assert_eq!((orders.replicas("m", 1), orders.replicas("m", 2), orders.replicas("n", 2)), (3, 2, 2));
        orders.settle(&[("m", 1)].into());
        assert_eq!(orders.replicas("m", 1), 3);
        orders.settle(&[("m", 2)].into());
        assert_eq!(orders.replicas("m", 1), 1, "it does not come back with the old number");
        orders.scale("m", 3, 1);
        orders.scale("m", 1, 1);
        assert_eq!(orders, Orders::default(), "what the file says is no order");
    }

    #[test]
    fn a_stop_counts_until_a_start_or_the_end_of_its_model() {
        let mut orders = Orders::default();
        orders.stop("m", 1, 2);
        assert!(!orders.is_stopped("m"), "one of two");
        orders.stop("m", 0, 2);
        assert!(orders.is_stopped("m") && !orders.is_stopped("n"));
        orders.start("m", 1);
        assert!(!orders.is_stopped("m"));
        orders.settle(&[("m", 5)].into());
        assert_eq!(orders.stopped("m"), [0].into());
        orders.settle(&[("n", 5)].into());
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn orders_are_written_as_documented() {
        let mut orders = Orders::default();
        orders.scale("m", 3, 1);
        orders.stop("m", 0, 3);
        let text = serde_json::to_string(&orders).expect("JSON");
        assert_eq!(text, r#"{"m":{"replicas":{"ordered":3,"file_value":1},"stopped":[0],"stopped_of":3}}"#);
        assert_eq!(serde_json::from_str::<Orders>(&text).expect("read"), orders);
    }
}
