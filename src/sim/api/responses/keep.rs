//! Whether a response is kept, and made in the background.

use std::sync::Arc;

use serde_json::Value;

use super::super::answer::Answer;
use super::super::generate::collect;
use super::sheet::Sheet;
use crate::sim::engine::{Engine, Run};
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// Whether a response is kept.
pub(super) struct Keep {
    engine: Arc<Engine>,
    is_kept: bool,
    /// It is made after its request was answered.
    background: bool,
}

impl Keep {
    /// What the request asks for, which its engine must be able to do.
    pub(super) fn read(fields: &Fields, engine: &Arc<Engine>) -> Result<Self, Fail> {
        let asked = fields.get("store").is_none() || fields.flag("store")?;
        let background = fields.flag("background")?;
        if asked && background && !engine.settings.keeps_responses {
            let message = "This vLLM engine does not support `store=True` and therefore does not support the background \
                           mode. To enable these features, set the environment variable \
                           `VLLM_ENABLE_RESPONSES_API_STORE=1` when launching the vLLM server.";
            return Err(Fail { kind: "invalid_request_error", ..Fail::bad(message, Some("background")) });
        }
        if background && !asked {
            return Err(Fail::bad("background can only be used when `store` is true", Some("background")));
        }
        if let Some(id) = fields.text("previous_response_id")?
            && engine.responses.get(id).is_none()
        {
            return Err(no_response(id));
        }
        Ok(Self { engine: engine.clone(), is_kept: asked && engine.settings.keeps_responses, background })
    }

    /// Keeps a response that is made, if it shall be kept.
    pub(super) fn keep(&self, whole: &Value) {
        if self.is_kept {
            self.engine.responses.keep(whole);
        }
    }

    /// Whether its request is answered before it is made.
    pub(super) fn is_background(&self) -> bool {
        self.background
    }

    /// Makes a response in the background; returns what is told of it until then.
    pub(super) fn make(self, run: Run, mut answers: Vec<Answer>, sheet: Sheet) -> Value {
        let mut queued = sheet.base.clone();
        queued["status"] = "queued".into();
        queued["background"] = true.into();
        self.engine.responses.keep(&queued);
        let engine = self.engine.clone();
        let maker = tokio::spawn(async move {
            let made = collect(run, &mut answers).await;
            let mut whole = sheet.whole(&answers[0]);
            if made.is_err() {
                whole = sheet.base.clone();
                whole["status"] = "failed".into();
            }
            whole["background"] = true.into();
            self.keep(&whole);
        });
        engine.responses.made_by(queued["id"].as_str().unwrap_or_default(), maker.abort_handle());
        queued
    }
}

/// Nothing by that id.
pub(super) fn no_response(id: &str) -> Fail {
    let message = format!("Response with id '{id}' not found.");
    Fail { kind: "invalid_request_error", ..Fail::not_found(message, Some("response_id")) }
}
