//! Whether an engine sleeps, and how deep.

use std::sync::{Mutex, PoisonError};

use axum::response::Response;
use serde_json::json;

use crate::sim::wire::reply;

/// What sleeps, and how deep.
#[derive(Default)]
pub(crate) struct Sleep(Mutex<State>);

#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    /// 0: awake.
    pub(crate) level: u8,
    /// The weights are not on the GPU.
    pub(crate) weights: bool,
    /// The KV cache is not on the GPU.
    pub(crate) kv_cache: bool,
    /// Paused without sleeping.
    pub(crate) paused: bool,
    /// Level 2 threw the weights away, and they were not loaded since.
    pub(crate) discarded: bool,
}

impl Sleep {
    /// As it is now.
    pub(crate) fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it; returns what it is then.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> State {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        *state
    }

    /// 0: awake.
    pub(crate) fn level(&self) -> u8 {
        self.state().level
    }

    /// Whether what the weights hold is noise: they were thrown away and not loaded again.
    pub(crate) fn is_noise(&self) -> bool {
        let state = self.state();
        state.discarded && !state.weights
    }

    /// `GET /is_sleeping`
    pub(crate) fn is_sleeping(&self) -> Response {
        reply::ok(&json!({ "is_sleeping": self.level() > 0 }))
    }

    /// `GET /is_paused`
    pub(crate) fn is_paused(&self) -> Response {
        let state = self.state();
        reply::ok(&json!({ "is_paused": state.paused || state.level > 0 }))
    }
}
