//! The metrics of models, sampled at each scrape. The engines of a model that is loaded on demand come and go: what is counted of
//! their loads is the model's.

use std::sync::{Mutex, PoisonError};

use prometheus::{Error, GaugeVec, IntCounterVec};

use super::history::count;
use super::register::Register;
use crate::api::{ModelView, Turn};

/// One series of each metric for each model.
#[derive(Debug)]
pub(super) struct ModelMetrics {
    waiting: GaugeVec,
    state: GaugeVec,
    loads: IntCounterVec,
    /// Which series there are: models, and whether each is loaded on demand.
    shown: Mutex<Vec<(String, bool)>>,
}

impl ModelMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        Ok(Self {
            waiting: to.gauges(
                "model_requests_waiting",
                &["model"],
                "Requests that wait in the gateway for an engine of the model.",
            )?,
            state: to.gauges(
                "model_load_state",
                &["model", "state"],
                "1 for the state of a model that is loaded on demand, 0 for all others; next: room is made for it.",
            )?,
            loads: to.counters(
                "model_loads_total",
                &["model"],
                "How often the engines of a model that is loaded on demand were loaded or woken.",
            )?,
            shown: Mutex::default(),
        })
    }

    /// Shows `models`, and nothing of earlier ones.
    pub(super) fn set(&self, models: &[ModelView]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let are: Vec<(String, bool)> =
            models.iter().map(|model| (model.model.clone(), model.on_demand.is_some())).collect();
        if *shown != are {
            self.waiting.reset();
            self.state.reset();
            self.loads.reset();
            *shown = are;
        }
        models.iter().for_each(|model| self.set_one(model));
    }

    fn set_one(&self, model: &ModelView) {
        let name = model.model.as_str();
        #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
        self.waiting.with_label_values(&[name]).set(model.waiting as f64);
        let Some(on_demand) = &model.on_demand else { return };
        for turn in Turn::ALL {
            let is_in_it = turn == on_demand.turn;
            self.state.with_label_values(&[name, turn.word()]).set(f64::from(u8::from(is_in_it)));
        }
        count(&self.loads, &[name], on_demand.loads);
    }
}
