//! Responses that are kept: with `VLLM_ENABLE_RESPONSES_API_STORE=1`, for as long as the engine runs, as in vLLM.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::task::AbortHandle;

/// The responses that an engine keeps, by their ids.
#[derive(Default)]
pub(crate) struct Responses(Mutex<HashMap<String, Kept>>);

struct Kept {
    response: Value,
    /// Makes it in the background.
    maker: Option<AbortHandle>,
}

impl Responses {
    /// Keeps a response as it is now, unless it was cancelled.
    pub(crate) fn keep(&self, response: &Value) {
        let Some(id) = response["id"].as_str() else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.get(id).is_none_or(|kept| kept.response["status"] != "cancelled") {
            kept.insert(id.to_owned(), Kept { response: response.clone(), maker: None });
        }
    }

    /// The response `id` is made by `maker`.
    pub(crate) fn made_by(&self, id: &str, maker: AbortHandle) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get_mut(id) {
            kept.maker = Some(maker);
        }
    }

    /// The response `id` as it is now.
    pub(crate) fn get(&self, id: &str) -> Option<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(id).map(|kept| kept.response.clone())
    }

    /// Ends what makes the response `id`, and returns it; `None`: it is complete, or not there.
    pub(crate) fn cancel(&self, id: &str) -> Option<Value> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_mut(id)?;
        let is_open = matches!(kept.response["status"].as_str(), Some("queued" | "in_progress"));
        is_open.then(|| {
            kept.response["status"] = "cancelled".into();
            if let Some(maker) = kept.maker.take() {
                maker.abort();
            }
            kept.response.clone()
        })
    }
}
