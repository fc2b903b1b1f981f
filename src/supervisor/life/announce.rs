//! Says what an engine is doing: to the proxy through its state, to the operator through the log.

use crate::engines::{Engine, State};

/// Publishes `state`, unless that is what the engine is doing already.
pub(crate) fn publish(engine: &Engine, state: State) {
    let before = engine.state();
    if *before == state && !(engine.is_ejected() && state == State::Ready) {
        return;
    }
    // The state first: requests must not go to a dead engine while a line is written.
    engine.set_state(state.clone());
    if before.word() == state.word() {
        tracing::debug!(engine = %engine.id, state = state.word(), detail = state.detail());
        return;
    }
    let (id, word, detail) = (&engine.id, state.word(), state.detail());
    match &state {
        State::Unhealthy(_) => tracing::warn!(engine = %id, state = word, detail, "engine is {word}"),
        State::Failed(failure) => {
            tracing::error!(engine = %id, state = word, detail, "engine {word}");
            for line in &failure.log {
                tracing::error!(engine = %id, "| {line}");
            }
        }
        _ => tracing::info!(engine = %id, state = word, detail, "engine is {word}"),
    }
}
