//! How states look: a sign, a colour and a word for each.

use ratatui::text::Span;

use super::super::frame::{Style, Theme};
use crate::api::{EngineState, EngineView, OperationState};

/// The sign of a state: it tells as much as the colour.
pub(super) fn sign(state: &EngineState) -> &'static str {
    match state {
        EngineState::Starting(_) => "◐",
        EngineState::Ready => "●",
        EngineState::Unhealthy { .. } => "▲",
        EngineState::Failed(_) => "✗",
        EngineState::Stopping { .. } => "◌",
        EngineState::Asleep(_) => "☾",
        EngineState::Stopped => "○",
    }
}

/// The colour of a state.
pub(super) fn style(state: &EngineState, theme: &Theme) -> Style {
    match state {
        EngineState::Starting(_) | EngineState::Stopping { .. } => theme.busy(),
        EngineState::Ready => theme.good(),
        EngineState::Unhealthy { .. } | EngineState::Failed(_) => theme.bad(),
        EngineState::Asleep(_) => theme.calm(),
        EngineState::Stopped => theme.dim(),
    }
}

/// What an engine does, in one to four words: `ready`, `loading weights 45%`, `ready, drained`.
pub(super) fn words(engine: &EngineView) -> String {
    let mut words = match &engine.state {
        EngineState::Starting(starting) => {
            let phase = starting.phase.word().replace('_', " ");
            starting.progress.percent.map_or_else(|| phase.clone(), |percent| format!("{phase} {percent}%"))
        }
        other => other.word().to_owned(),
    };
    if engine.drained {
        words.push_str(", drained");
    }
    if engine.ejected {
        words.push_str(", avoided");
    }
    words
}

/// Sign and words of an engine's state.
pub(super) fn engine(engine: &EngineView, theme: &Theme) -> Vec<Span<'static>> {
    let style = style(&engine.state, theme);
    vec![Span::styled(sign(&engine.state), style), Span::raw(" "), Span::styled(words(engine), style)]
}

/// Sign, colour and word of an operation's state.
pub(super) fn operation(state: OperationState, theme: &Theme) -> Vec<Span<'static>> {
    let (sign, style, word) = match state {
        OperationState::Running => ("◐", theme.busy(), "running"),
        OperationState::Done => ("✓", theme.good(), "done"),
        OperationState::Failed => ("✗", theme.bad(), "failed"),
        OperationState::Cancelled => ("○", theme.dim(), "cancelled"),
    };
    vec![Span::styled(sign, style), Span::raw(" "), Span::styled(word, style)]
}

/// The colour of a status of HTTP.
pub(super) fn status(status: u16, theme: &Theme) -> Style {
    match status {
        0..400 => theme.good(),
        // The client left, or asked for something that is not there.
        400..500 => theme.busy(),
        _ => theme.bad(),
    }
}
