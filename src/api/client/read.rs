//! What a client can ask a gateway about.

use super::Client;
use super::act::segment;
use super::connection::Patience;
use super::error::{ClientError, failure};
use super::stream::Told;
use crate::api::{
    AliasView, AliasesView, AuditView, CallersView, ConfigChange, EngineView, EnginesView, Event, EventKind, GpusView,
    LogLevelView, LogLine, LogsView, ModelView, ModelsView, OperationView, OperationsView, OverlayView, RatesView,
    RequestFilter, RequestView, RequestsView, StatusView,
};

/// Which requests are asked for; nothing: the newest hundred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestQuery {
    /// Only these.
    pub filter: RequestFilter,
    /// So many at most.
    pub limit: Option<usize>,
}

/// Which lines of logs are asked for; nothing: the last ones of all logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Whose: the id of an engine, a model, or `gateway`.
    pub from: Option<String>,
    /// So many of each log at most.
    pub lines: Option<usize>,
    /// A time (RFC 3339), or how long ago it was (`10m`).
    pub since: Option<String>,
    /// Lines that contain this.
    pub grep: Option<String>,
}

/// A query, from the words that are given.
fn query<'a>(words: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) -> String {
    let words = words.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value?))));
    let all: Vec<String> = words.collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

/// Reads of the API. All fail when the gateway does not answer or refuses.
#[allow(clippy::missing_errors_doc)]
impl Client {
    /// The gateway itself. It has to answer within seconds: so it is found out whether one is there.
    pub fn status(&self) -> Result<StatusView, ClientError> {
        let (status, body) = self.connection.ask("GET", "status", None, Patience::Look)?;
        if status == 404 {
            let why = "it has no operators' API, which is at `admin.listen`, as a rule port 8001";
            return Err(self.connection.not_understood(why.into()));
        }
        self.connection.success(status, &body)
    }

    /// All engines.
    pub fn engines(&self) -> Result<EnginesView, ClientError> {
        self.connection.get("engines")
    }

    /// One engine.
    pub fn engine(&self, id: &str) -> Result<EngineView, ClientError> {
        self.connection.get(&format!("engines/{}", segment(id)))
    }

    /// All models.
    pub fn models(&self) -> Result<ModelsView, ClientError> {
        self.connection.get("models")
    }

    /// One model.
    pub fn model(&self, name: &str) -> Result<ModelView, ClientError> {
        self.connection.get(&format!("models/{}", segment(name)))
    }

    /// All aliases.
    pub fn aliases(&self) -> Result<AliasesView, ClientError> {
        self.connection.get("aliases")
    }

    /// One alias.
    pub fn alias(&self, name: &str) -> Result<AliasView, ClientError> {
        self.connection.get(&format!("aliases/{}", segment(name)))
    }

    /// All callers.
    pub fn callers(&self) -> Result<CallersView, ClientError> {
        self.connection.get("callers")
    }

    /// The GPUs of the gateway's machine.
    pub fn gpus(&self) -> Result<GpusView, ClientError> {
        self.connection.get("gpus")
    }

    /// Requests that have ended, the newest first.
    pub fn requests(&self, wanted: &RequestQuery) -> Result<RequestsView, ClientError> {
        let RequestFilter { model, alias, engine, caller, status, failed } = &wanted.filter;
        let (status, limit) = (status.map(|it| it.to_string()), wanted.limit.map(|it| it.to_string()));
        let failed = failed.map(|it| it.to_string());
        let query = query([
            ("model", model.as_deref()),
            ("alias", alias.as_deref()),
            ("engine", engine.as_deref()),
            ("caller", caller.as_deref()),
            ("status", status.as_deref()),
            ("failed", failed.as_deref()),
            ("limit", limit.as_deref()),
        ]);
        self.connection.get(&format!("requests{query}"))
    }

    /// One request, with its bodies where they are kept.
    pub fn request(&self, id: &str) -> Result<RequestView, ClientError> {
        self.connection.get(&format!("requests/{}", segment(id)))
    }

    /// Rates of the last minutes, of one engine or of all requests.
    pub fn rates(&self, engine: Option<&str>) -> Result<RatesView, ClientError> {
        self.connection.get(&format!("rates{}", query([("engine", engine)])))
    }

    /// What operators have done with engines.
    pub fn operations(&self) -> Result<OperationsView, ClientError> {
        self.connection.get("operations")
    }

    /// One operation.
    pub fn operation(&self, id: &str) -> Result<OperationView, ClientError> {
        self.connection.get(&format!("operations/{}", segment(id)))
    }

    /// Who did what, the newest first.
    pub fn audit(&self, most: usize) -> Result<AuditView, ClientError> {
        self.connection.get(&format!("audit?limit={most}"))
    }

    /// What was added, changed and removed while gateways ran.
    pub fn overlay(&self) -> Result<OverlayView, ClientError> {
        self.connection.get("overlay")
    }

    /// Which lines of the gateway's log are written.
    pub fn log_level(&self) -> Result<LogLevelView, ClientError> {
        self.connection.get("log-level")
    }

    /// Lines of logs, the newest last.
    pub fn logs(&self, wanted: &LogQuery) -> Result<LogsView, ClientError> {
        self.connection.get(&format!("logs{}", log_query(wanted, false)))
    }

    /// Lines of logs and those that come, until the gateway ends.
    pub fn follow_logs(&self, wanted: &LogQuery) -> Result<Told<LogLine>, ClientError> {
        self.told(&format!("logs{}", log_query(wanted, true)), None)
    }

    /// What happens: from a snapshot on, or behind the message of number `after`; `kinds`: only these, where there are some.
    pub fn events(&self, after: Option<u64>, kinds: &[EventKind]) -> Result<Told<Event>, ClientError> {
        let words: Vec<&str> =
            EventKind::ALL.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, word)| *word).collect();
        let kinds = (!words.is_empty()).then(|| words.join(","));
        self.told(&format!("events{}", query([("kinds", kinds.as_deref())])), after)
    }

    /// Asks what the configuration `text` would change.
    pub fn plan(&self, text: &str) -> Result<ConfigChange, ClientError> {
        let (status, body) = self.connection.ask("POST", "plan", Some(text), Patience::Answer)?;
        if status == 200 { self.connection.read(&body) } else { Err(failure(status, &body)) }
    }

    fn told<T: serde::de::DeserializeOwned>(&self, path: &str, after: Option<u64>) -> Result<Told<T>, ClientError> {
        let stream = self.connection.stream(path, after)?;
        Ok(Told::new(stream, self.connection.root().to_owned()))
    }
}

fn log_query(wanted: &LogQuery, follow: bool) -> String {
    let lines = wanted.lines.map(|lines| lines.to_string());
    query([
        ("from", wanted.from.as_deref()),
        ("lines", lines.as_deref()),
        ("since", wanted.since.as_deref()),
        ("grep", wanted.grep.as_deref()),
        ("follow", follow.then_some("true")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_what_is_given_and_are_escaped() {
        assert_eq!(log_query(&LogQuery::default(), false), "");
        let wanted = LogQuery { from: Some("org/m/0".into()), grep: Some("a&b =%".into()), ..LogQuery::default() };
        assert_eq!(log_query(&wanted, true), "?from=org%2Fm%2F0&grep=a%26b%20%3D%25&follow=true");
    }
}
