//! What happens in a gateway, as it is told to those who listen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, EngineState, LogLine, OperationView, PulseView, ReloadReport, RequestView, SnapshotView};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How everything is. What comes after it changes it. It is the first event of a listener that is new.
    Snapshot(Box<SnapshotView>),
    /// The listener missed events: it was too slow, or away for too long. A snapshot follows.
    Resync,
    /// An engine does something else now.
    Engine {
        /// Its id.
        engine: String,
        /// Its model.
        model: String,
        /// What it does.
        #[serde(flatten)]
        state: EngineState,
    },
    /// The configuration was reloaded, or its reload was rejected.
    Reload(ReloadReport),
    /// An operator had something begun, or it is over.
    Operation(OperationView),
    /// It was written down that an operator asked for something.
    Audit(AuditEntry),
    /// Requests that have ended, in their order. Only while somebody listens.
    Requests {
        /// At least one.
        requests: Vec<RequestView>,
    },
    /// Engines, models, GPUs and rates as they are now, every second. Only while somebody listens.
    Pulse(Box<PulseView>),
    /// Lines of the gateway's own log. Only while somebody listens.
    Log {
        /// At least one.
        lines: Vec<LogLine>,
    },
}

/// Which kind an event is, as it is named in `?kinds=` and in `event` of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// [`Event::Snapshot`]
    Snapshot,
    /// [`Event::Resync`]
    Resync,
    /// [`Event::Engine`]
    Engine,
    /// [`Event::Reload`]
    Reload,
    /// [`Event::Operation`]
    Operation,
    /// [`Event::Audit`]
    Audit,
    /// [`Event::Requests`]
    Requests,
    /// [`Event::Pulse`]
    Pulse,
    /// [`Event::Log`]
    Log,
}

impl EventKind {
    /// All kinds, with their words.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Snapshot, "snapshot"),
        (Self::Resync, "resync"),
        (Self::Engine, "engine"),
        (Self::Reload, "reload"),
        (Self::Operation, "operation"),
        (Self::Audit, "audit"),
        (Self::Requests, "requests"),
        (Self::Pulse, "pulse"),
        (Self::Log, "log"),
    ];
}

impl Event {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Snapshot(_) => EventKind::Snapshot,
            Self::Resync => EventKind::Resync,
            Self::Engine { .. } => EventKind::Engine,
            Self::Reload(_) => EventKind::Reload,
            Self::Operation(_) => EventKind::Operation,
            Self::Audit(_) => EventKind::Audit,
            Self::Requests { .. } => EventKind::Requests,
            Self::Pulse(_) => EventKind::Pulse,
            Self::Log { .. } => EventKind::Log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_events_are() {
        for (kind, word) in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), word);
        }
        let told = serde_json::to_value(Event::Requests { requests: vec![] }).expect("JSON");
        assert_eq!((told["event"].as_str(), Event::Resync.kind()), (Some("requests"), EventKind::Resync));
    }
}
