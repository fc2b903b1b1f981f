//! What a client can have a gateway do.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::Client;
use super::connection::Patience;
use super::error::ClientError;
use crate::api::{ActionView, AdapterView, LogLevelView, OperationView, ReloadReport};
use crate::ids::EntryKind;

/// What is escaped in a segment of a path (RFC 3986, 2.3: all but what is unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// What is done with one engine, or with all of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Start it; earlier crashes are forgotten.
    Start,
    /// Let it finish its requests and end it.
    Stop,
    /// Let it finish its requests and start it anew.
    Restart,
    /// Keep new requests away and wait for those it has.
    Drain,
    /// Let requests come again.
    Undrain,
    /// Give its GPU memory back, to this level.
    Sleep(u8),
    /// Take its GPU memory again.
    Wake,
    /// Replace the engines of a model one by one.
    Roll,
}

impl Verb {
    /// As it is named in paths.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Sleep(_) => "sleep",
            Self::Wake => "wake",
            Self::Roll => "roll",
        }
    }
}

/// With what something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All engines of a model.
    Model(String),
    /// One engine.
    Engine(String),
}

impl Target {
    fn path(&self) -> String {
        match self {
            Self::Model(name) => format!("models/{}", segment(name)),
            Self::Engine(id) => format!("engines/{}", segment(id)),
        }
    }
}

/// A model, an alias or a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// What it is.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
}

impl EntryName {
    fn path(&self, persist: bool) -> String {
        let persist = if persist { "?persist=file" } else { "" };
        format!("{}/{}{persist}", self.kind.section(), segment(&self.name))
    }
}

/// Actions. All fail when the gateway does not answer or refuses. Those on engines are only begun: [`Client::operation`] tells
/// how they go.
#[allow(clippy::missing_errors_doc)]
impl Client {
    /// Begins something with engines.
    pub fn act(&self, verb: Verb, target: &Target) -> Result<ActionView, ClientError> {
        let level = if let Verb::Sleep(level) = verb { format!("&level={level}") } else { String::new() };
        self.post(&format!("{}/{}?wait=false{level}", target.path(), verb.word()), "")
    }

    /// Begins to give a model so many engines.
    pub fn scale(&self, model: &str, replicas: usize) -> Result<ActionView, ClientError> {
        let body = json!({ "replicas": replicas }).to_string();
        self.change("PUT", &format!("models/{}/replicas?wait=false", segment(model)), Some(&body))
    }

    /// Begins to load a LoRA adapter on all engines of a model.
    pub fn add_adapter(&self, model: &str, adapter: &AdapterView) -> Result<ActionView, ClientError> {
        let body = serde_json::to_string(adapter).unwrap_or_default();
        self.post(&format!("models/{}/lora?wait=false", segment(model)), &body)
    }

    /// Begins to unload one.
    pub fn remove_adapter(&self, model: &str, adapter: &str) -> Result<ActionView, ClientError> {
        let path = format!("models/{}/lora/{}?wait=false", segment(model), segment(adapter));
        self.change("DELETE", &path, None)
    }

    /// Cancels an operation.
    pub fn cancel(&self, id: &str) -> Result<OperationView, ClientError> {
        self.change("DELETE", &format!("operations/{}", segment(id)), None)
    }

    /// Adds or changes a model, an alias or a caller; `text`: what would stand under its name in the configuration, as YAML or
    /// JSON. `persist`: in the configuration file, and not only in the state directory.
    pub fn put(&self, entry: &EntryName, text: &str, persist: bool) -> Result<ReloadReport, ClientError> {
        self.change("PUT", &entry.path(persist), Some(text))
    }

    /// Removes one.
    pub fn remove(&self, entry: &EntryName, persist: bool) -> Result<ReloadReport, ClientError> {
        self.change("DELETE", &entry.path(persist), None)
    }

    /// Forgets what was changed while gateways ran: it is as in the file again.
    pub fn forget(&self, entry: &EntryName) -> Result<ReloadReport, ClientError> {
        self.change("DELETE", &format!("overlay/{}", entry.path(false)), None)
    }

    /// Has the gateway write other lines of its log: a level, or a filter in the syntax of `RUST_LOG`.
    pub fn set_log_level(&self, level: &str) -> Result<LogLevelView, ClientError> {
        self.change("PUT", "log-level", Some(&json!({ "level": level }).to_string()))
    }

    /// Has it read its configuration file again. A rejected configuration is an answer.
    pub fn reload(&self) -> Result<ReloadReport, ClientError> {
        let (status, body) = self.connection.ask("POST", "reload", None, Patience::Forever)?;
        // The report of a rejected reload comes with 422.
        if status == 422 { self.connection.read(&body) } else { self.connection.success(status, &body) }
    }

    /// Has it end, as SIGTERM does: requests finish, and engines end unless `on_exit: keep` is configured.
    pub fn shut_down(&self) -> Result<(), ClientError> {
        let (status, body) = self.connection.ask("POST", "shutdown", None, Patience::Answer)?;
        if (200..300).contains(&status) { Ok(()) } else { Err(super::error::failure(status, &body)) }
    }

    fn post(&self, path: &str, body: &str) -> Result<ActionView, ClientError> {
        self.change("POST", path, Some(body))
    }

    fn change<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<T, ClientError> {
        let (status, body) = self.connection.ask(method, path, body, Patience::Forever)?;
        self.connection.success(status, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_segment_of_a_path_each() {
        let entry = EntryName { kind: EntryKind::Model, name: "org/m ü".into() };
        assert_eq!(entry.path(true), "models/org%2Fm%20%C3%BC?persist=file");
        assert_eq!(Target::Engine("org/m/0".into()).path(), "engines/org%2Fm%2F0");
    }
}
