//! What a writer of one client API does: takes the deltas of an answer and writes the client's events, or the whole answer.

use std::fmt::Debug;

use serde_json::Value;

use super::client_api::ClientApi;
use super::delta::{Delta, FinishReason, Usage};
use crate::openai::ApiError;

/// The writer of one answer.
pub(super) trait Writer: Debug + Send + Sync {
    /// The API that it writes.
    fn api(&self) -> ClientApi;

    /// Sets the name in the answer's `model`.
    fn set_model(&mut self, name: &str);

    /// Writes no events: only [`Writer::whole`] is wanted. `created`: seconds since 1970.
    fn omit_events(&mut self, created: Option<u64>);

    /// Begins the stream.
    fn start(&mut self, created: Option<u64>, usage: Option<Usage>, out: &mut Vec<u8>);

    /// Adds a delta; `call`: the number of the tool call that it belongs to.
    fn add(&mut self, delta: Delta<'_>, call: usize, out: &mut Vec<u8>);

    /// Ends the answer.
    fn finish(&mut self, reason: &FinishReason, usage: Option<Usage>, out: &mut Vec<u8>);

    /// The whole answer of a finished writer that omitted its events.
    fn whole(&self, reason: &FinishReason, usage: Option<Usage>) -> Value;

    /// Ends a stream that cannot go on; `started`: whether it had begun.
    fn fail(&mut self, error: &ApiError, usage: Option<Usage>, started: bool, out: &mut Vec<u8>);

    /// A copy of it.
    fn boxed(&self) -> Box<dyn Writer>;
}

impl Clone for Box<dyn Writer> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}
