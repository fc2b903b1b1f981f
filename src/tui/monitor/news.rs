//! What threads tell a monitor.

use crate::api::{AliasView, Event, LogLine, RequestView};

/// News of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// Its events come from now on.
    Connected,
    /// They do not come any more.
    Lost(String),
    /// Something happened.
    Event(Box<Event>),
    /// The last lines of the gateway's own log.
    OwnLog(Vec<LogLine>),
    /// Logs are followed from now on.
    LogFollowed(u64),
    /// A line of the logs that are followed.
    Log(u64, LogLine),
    /// These logs cannot be followed.
    LogLost(u64, String),
    /// Requests that have ended, the newest first.
    Requests(Vec<RequestView>),
    /// One request with its bodies.
    Request(Box<RequestView>),
    /// All aliases.
    Aliases(Vec<AliasView>),
    /// The gateway ends, as it was asked to.
    ShutDown,
    /// Something was done, or begun.
    Done(String),
    /// Something was not done, and why.
    NotDone(String),
}
