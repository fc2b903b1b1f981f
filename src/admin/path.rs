//! What a request asks for: from method, path, query and body to an order. Pure.

use axum::extract::Query;
use axum::http::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::action::{Action, Target};
use super::error::ApiError;
use super::events::Kinds;
use super::{EntryChange, entries, logs, query};
use crate::api::SetLogLevel;
use crate::ids::EntryKind;
use crate::supervisor::{Command, Order};
use crate::telemetry::RequestFilter;

/// The path that all others begin with.
pub(super) const ROOT: &str = "/api/v1/";

/// Most engines of one model; more is a slip of the finger.
const MOST_REPLICAS: usize = 256;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    /// How something is.
    Read(Read),
    /// Lines of logs.
    Logs(logs::Ask),
    /// Events of these kinds, as they happen.
    Events(Kinds),
    /// What an engine measures.
    EngineMetrics(String),
    /// Where the metrics of engines are.
    Targets,
    /// What this configuration would change.
    Plan(String),
    /// The configuration file is to be reloaded.
    Reload,
    /// Other lines of the gateway's log are to be written.
    SetLogLevel(String),
    /// A model, an alias or a caller is to be another.
    Change(EntryChange),
    /// Something is to be done with engines; and whether to answer only when it is.
    Do(Action, bool),
    /// An operation is not wanted any more.
    Cancel(String),
    /// Who did what: so many entries.
    Audit(usize),
    /// A conversation of an operator.
    Chat(Vec<u8>),
    /// The gateway is to end.
    ShutDown,
}

impl Ask {
    /// What is to be done, for the audit log; `None`: nothing is changed.
    pub(super) fn change(&self) -> Option<String> {
        match self {
            Self::Read(_) | Self::Logs(_) | Self::Events(_) | Self::EngineMetrics(_) | Self::Targets => None,
            Self::Plan(_) | Self::Chat(_) | Self::Audit(_) => None,
            Self::SetLogLevel(level) => Some(format!("set the log level to {level}")),
            Self::Reload => Some("reload the configuration file".into()),
            Self::ShutDown => Some("shut the gateway down".into()),
            Self::Change(change) => Some(change.to_string()),
            Self::Do(action, _) => Some(action.to_string()),
            Self::Cancel(id) => Some(format!("cancel operation {id}")),
        }
    }
}

/// What operators can look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    /// The gateway itself.
    Status,
    /// All engines.
    Engines,
    /// One engine.
    Engine(String),
    /// All models.
    Models,
    /// One model.
    Model(String),
    /// The adapters of a model.
    Adapters(String),
    /// All aliases.
    Aliases,
    /// One alias.
    Alias(String),
    /// All callers.
    Callers,
    /// One caller.
    Caller(String),
    /// All GPUs.
    Gpus,
    /// The newest requests that fit, so many.
    Requests(RequestFilter, usize),
    /// One request.
    Request(String),
    /// Which lines of the gateway's log are written.
    LogLevel,
    /// Rates of the last minutes, of one engine or of all requests.
    Rates(Option<String>),
    /// The configuration as it is written.
    Configuration,
    /// What was changed while gateways ran.
    Overlay,
    /// What became of the last reload.
    LastReload,
    /// The description of this API.
    OpenApi,
    /// What operators have done with engines.
    Operations,
    /// One operation.
    Operation(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    replicas: usize,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    wait: Option<bool>,
    level: Option<u8>,
}

/// Understands a request. Names may hold slashes, as they are or as `%2F`: the last segments tell what is wanted, the
/// others are the name. Where that leaves a choice, `is_model` decides.
pub(super) fn parse(method: &Method, uri: &Uri, body: &[u8], is_model: impl Fn(&str) -> bool) -> Result<Ask, ApiError> {
    let read = method == Method::GET || method == Method::HEAD;
    let nothing = || {
        ApiError::unknown(
            "There is nothing at this path. `enginehouse schema --api` lists all; begin with /api/v1/status.",
        )
    };
    let path = uri.path().strip_prefix(ROOT).ok_or_else(nothing)?;
    match path.split_once('/') {
        None => whole(method, uri, path, body)?.ok_or_else(nothing),
        Some(("playground", "chat")) if method == Method::POST => Ok(Ask::Chat(body.to_vec())),
        Some(("playground", "chat")) => Err(ApiError::method("POST")),
        Some(("aliases", alias)) if read => Ok(Ask::Read(Read::Alias(name(alias)?))),
        Some(("callers", caller)) if read => Ok(Ask::Read(Read::Caller(name(caller)?))),
        Some((section @ ("aliases" | "callers"), entry)) => match (method.as_str(), EntryKind::of_section(section)) {
            ("PUT" | "DELETE", Some(kind)) => entries::parse(method, uri, (kind, name(entry)?), body).map(Ask::Change),
            _ => Err(ApiError::method("GET, PUT, DELETE")),
        },
        Some(("overlay", rest)) => {
            match rest.split_once('/').map(|(section, rest)| (EntryKind::of_section(section), rest)) {
                Some((Some(kind), entry)) if method == Method::DELETE => {
                    entries::forget(uri, (kind, name(entry)?)).map(Ask::Change)
                }
                Some((Some(_), _)) => Err(ApiError::method("DELETE")),
                _ => Err(nothing()),
            }
        }
        Some(("operations", id)) if read => Ok(Ask::Read(Read::Operation(name(id)?))),
        Some(("operations", id)) if method == Method::DELETE => Ok(Ask::Cancel(name(id)?)),
        Some(("operations", _)) => Err(ApiError::method("GET, DELETE")),
        Some(("requests", id)) if read => Ok(Ask::Read(Read::Request(name(id)?))),
        Some(("requests", _)) => Err(ApiError::method("GET")),
        // The id of an engine ends with a number.
        Some(("engines", id)) if read && is_action(id) => Err(ApiError::method("POST")),
        Some(("engines", id)) if read => engine(id),
        Some(("engines", id)) if id.ends_with("/metrics") => Err(ApiError::method("GET")),
        Some(("engines", rest)) if method == Method::POST => {
            let (id, verb) = rest.rsplit_once('/').ok_or_else(nothing)?;
            let options = options(uri, verb == "sleep")?;
            let action = action(verb, options.level, Target::Engine(name(id)?))?.ok_or_else(|| no_verb(verb, ""))?;
            Ok(Ask::Do(action, options.wait.unwrap_or(true)))
        }
        Some(("engines", _)) => Err(ApiError::method("GET, POST")),
        Some(("models", rest)) if read => {
            let whole = name(rest)?;
            match rest.strip_suffix("/lora") {
                Some(model) if !is_model(&whole) => Ok(Ask::Read(Read::Adapters(name(model)?))),
                None if is_action(rest) && !is_model(&whole) => Err(ApiError::method("POST")),
                None if rest.ends_with("/replicas") && !is_model(&whole) => Err(ApiError::method("PUT")),
                _ => Ok(Ask::Read(Read::Model(whole))),
            }
        }
        Some(("models", rest)) if is_entry_change(method, rest) => {
            entries::parse(method, uri, (EntryKind::Model, name(rest)?), body).map(Ask::Change)
        }
        Some(("models", rest)) => {
            let (action, wait) = change(method, uri, rest, body, is_model)?;
            Ok(Ask::Do(action, wait))
        }
        _ => Err(nothing()),
    }
}

/// What is asked of an engine, or of what it measures.
fn engine(id: &str) -> Result<Ask, ApiError> {
    match id.strip_suffix("/metrics") {
        Some(id) => Ok(Ask::EngineMetrics(name(id)?)),
        None => Ok(Ask::Read(Read::Engine(name(id)?))),
    }
}

/// Whether a request is about a model as a whole. What looks like the replicas or an adapter of one is that: a model of such a
/// name is written with `%2F`.
fn is_entry_change(method: &Method, rest: &str) -> bool {
    match *method {
        Method::PUT => !rest.ends_with("/replicas"),
        Method::DELETE => !rest.contains("/lora/"),
        _ => false,
    }
}

/// What a request to a path of one word asks for; `None`: there is nothing.
fn whole(method: &Method, uri: &Uri, word: &str, body: &[u8]) -> Result<Option<Ask>, ApiError> {
    let read = method == Method::GET || method == Method::HEAD;
    let ask = match (word, method.as_str()) {
        ("reload", "POST") => Ask::Reload,
        ("reload", _) if !read => return Err(ApiError::method("GET, POST")),
        ("shutdown", "POST") => return Ok(Some(Ask::ShutDown)),
        ("shutdown", _) => return Err(ApiError::method("POST")),
        ("plan", "POST") => Ask::Plan(text(body)?),
        ("plan", _) => return Err(ApiError::method("POST")),
        ("reload", _) => Ask::Read(Read::LastReload),
        ("engines", _) => Ask::Read(Read::Engines),
        ("gpus", _) => Ask::Read(Read::Gpus),
        ("models", _) => Ask::Read(Read::Models),
        ("status", _) => Ask::Read(Read::Status),
        ("aliases", _) => Ask::Read(Read::Aliases),
        ("callers", _) => Ask::Read(Read::Callers),
        ("overlay", _) => Ask::Read(Read::Overlay),
        ("sd", _) => Ask::Targets,
        ("log-level", "PUT") => {
            let SetLogLevel { level } = json(body, r#"{"level": "debug"}"#)?;
            return Ok(Some(Ask::SetLogLevel(level)));
        }
        ("log-level", _) if !read => return Err(ApiError::method("GET, PUT")),
        ("log-level", _) => Ask::Read(Read::LogLevel),
        ("configuration", _) => Ask::Read(Read::Configuration),
        ("requests", _) if read => {
            query::requests(uri).map(|(filter, most)| Ask::Read(Read::Requests(filter, most)))?
        }
        ("openapi.json", _) => Ask::Read(Read::OpenApi),
        ("operations", _) => Ask::Read(Read::Operations),
        ("audit", _) if read => Ask::Audit(query::limit(uri)?),
        ("logs", _) if read => Ask::Logs(logs::Ask::parse(uri)?),
        ("events", _) if read => Ask::Events(Kinds::parse(query::event_kinds(uri)?.as_deref())?),
        ("rates", _) if read => Ask::Read(Read::Rates(query::rates(uri)?)),
        ("requests" | "logs" | "events" | "audit" | "rates", _) => return Err(ApiError::method("GET")),
        _ => return Ok(None),
    };
    match ask {
        Ask::Reload | Ask::Plan(_) => Ok(Some(ask)),
        ask if read => Ok(Some(ask)),
        _ => Err(ApiError::method("GET")),
    }
}

/// What can be done with one engine, or with all of a model.
const VERBS: [&str; 7] = ["start", "stop", "restart", "drain", "undrain", "sleep", "wake"];

/// Whether a path ends with something to do.
fn is_action(path: &str) -> bool {
    let last = path.rsplit_once('/').map(|(_, last)| last);
    last.is_some_and(|last| VERBS.contains(&last) || last == "roll")
}

/// A configuration.
fn text(body: &[u8]) -> Result<String, ApiError> {
    match std::str::from_utf8(body) {
        Ok("") => Err(ApiError::malformed("The body is empty: send the text of a configuration file.")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ApiError::malformed("The body is not UTF-8 text: send the text of a configuration file.")),
    }
}

/// A change of a model.
fn change(
    method: &Method,
    uri: &Uri,
    rest: &str,
    body: &[u8],
    is_model: impl Fn(&str) -> bool,
) -> Result<(Action, bool), ApiError> {
    let (head, last) = rest.rsplit_once('/').unwrap_or((rest, ""));
    let options = options(uri, last == "sleep" && method == Method::POST)?;
    let model = name(head)?;
    let order = match (method.as_str(), last) {
        ("POST", "lora") => Order::AddAdapter(model, json(body, r#"{"name": "sql", "path": "/srv/adapters/sql"}"#)?),
        ("POST", "roll") => Order::Roll(model),
        ("POST", "replicas") => return Err(ApiError::method("PUT")),
        ("POST", verb) => {
            let action = action(verb, options.level, Target::Model(model))?;
            return Ok((action.ok_or_else(|| no_verb(verb, ", roll, lora"))?, options.wait.unwrap_or(true)));
        }
        ("PUT", "replicas") => match json(body, r#"{"replicas": 2}"#)? {
            Replicas { replicas: count @ 1..=MOST_REPLICAS } => Order::Scale(model, count),
            Replicas { replicas: 0 } => {
                return Err(ApiError::malformed(
                    "`replicas` is at least 1. To stop all engines of the model, use its action `stop`.",
                ));
            }
            Replicas { .. } => return Err(ApiError::malformed(format!("`replicas` is at most {MOST_REPLICAS}."))),
        },
        ("DELETE", _) => adapter_path(rest, is_model)?,
        _ => return Err(ApiError::method("GET, POST, PUT, DELETE")),
    };
    Ok((Action::Order(order), options.wait.unwrap_or(true)))
}

/// `{model}/lora/{name}`, where both may hold slashes and even `lora`.
fn adapter_path(rest: &str, is_model: impl Fn(&str) -> bool) -> Result<Order, ApiError> {
    const MARK: &str = "/lora/";
    let mut first = None;
    for (at, _) in rest.match_indices(MARK) {
        let (model, adapter) = (name(&rest[..at])?, name(&rest[at + MARK.len()..])?);
        let known = is_model(&model);
        let order = Order::RemoveAdapter(model, adapter);
        if known {
            return Ok(order);
        }
        first = first.or(Some(order));
    }
    first.ok_or_else(|| ApiError::unknown("Only /api/v1/models/{model}/lora/{name} accepts DELETE."))
}

/// Decodes what was between slashes.
fn name(raw: &str) -> Result<String, ApiError> {
    match percent_decode_str(raw).decode_utf8() {
        Ok(name) if !name.is_empty() => Ok(name.into_owned()),
        Ok(_) => Err(ApiError::unknown("The path contains no name.")),
        Err(_) => Err(ApiError::malformed("The path is not UTF-8 once its percent signs are decoded.")),
    }
}

/// What `verb` says; `None`: nothing that is known.
fn action(verb: &str, level: Option<u8>, target: Target) -> Result<Option<Action>, ApiError> {
    let command = match verb {
        "drain" => return Ok(Some(Action::Drain(target))),
        "undrain" => return Ok(Some(Action::Undrain(target))),
        "start" => Command::Start,
        "stop" => Command::Stop,
        "restart" => Command::Restart,
        "wake" => Command::Wake,
        "sleep" => match level.unwrap_or(1) {
            level @ 1..=2 => Command::Sleep(level),
            _ => {
                let text = "`level` is 1 (weights stay in host memory) or 2 (they are dropped and loaded again).";
                return Err(ApiError::malformed(text));
            }
        },
        _ => return Ok(None),
    };
    Ok(Some(Action::Order(match target {
        Target::Engine(id) => Order::Engine(id, command),
        Target::Model(name) => Order::Model(name, command),
    })))
}

fn no_verb(verb: &str, more: &str) -> ApiError {
    ApiError::unknown(format!("There is no action `{verb}`. POST accepts {}{more}.", VERBS.join(", ")))
}

fn options(uri: &Uri, sleep: bool) -> Result<Options, ApiError> {
    let Query(options) = Query::<Options>::try_from_uri(uri)
        .map_err(|error| ApiError::malformed(format!("The query is not understood: {}.", error.body_text())))?;
    if options.level.is_some() && !sleep {
        return Err(ApiError::malformed("Only `sleep` accepts `level`."));
    }
    Ok(options)
}

fn json<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not understood: {error}. Send one like {example}.");
        ApiError::new(StatusCode::BAD_REQUEST, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AdapterView;

    fn ask_with(method: Method, path: &str, body: &str) -> Result<Ask, u16> {
        let uri: Uri = path.parse().expect("a path");
        let known = ["m", "org/m", "x/lora", "a/lora/b"];
        parse(&method, &uri, body.as_bytes(), |name| known.contains(&name)).map_err(|error| error.status.as_u16())
    }

    fn ask(method: Method, path: &str) -> Result<Ask, u16> {
        ask_with(method, path, "")
    }

    fn done(order: Order) -> Result<Ask, u16> {
        Ok(Ask::Do(Action::Order(order), true))
    }

    #[test]
    fn names_may_hold_slashes_in_either_spelling() {
        for id in ["org/m/0", "org%2Fm%2F0", "org%2Fm/0"] {
            let wanted = Order::Engine("org/m/0".into(), Command::Stop);
            assert_eq!(ask(Method::POST, &format!("/api/v1/engines/{id}/stop")), done(wanted));
            assert_eq!(
                ask(Method::GET, &format!("/api/v1/engines/{id}")),
                Ok(Ask::Read(Read::Engine("org/m/0".into())))
            );
            let metrics = ask(Method::GET, &format!("/api/v1/engines/{id}/metrics"));
            assert_eq!(metrics, Ok(Ask::EngineMetrics("org/m/0".into())));
        }
        for model in ["org/m", "org%2fm"] {
            let path = format!("/api/v1/models/{model}");
            assert_eq!(ask(Method::GET, &path), Ok(Ask::Read(Read::Model("org/m".into()))));
            assert_eq!(ask(Method::POST, &(path.clone() + "/roll")), done(Order::Roll("org/m".into())));
            assert_eq!(ask(Method::GET, &(path.clone() + "/lora")), Ok(Ask::Read(Read::Adapters("org/m".into()))));
            let remove = Order::RemoveAdapter("org/m".into(), "team/sql".into());
            assert_eq!(ask(Method::DELETE, &(path + "/lora/team/sql")), done(remove));
        }
    }

    #[test]
    fn a_name_that_looks_like_a_path_is_a_name_when_there_is_such_a_model() {
        assert_eq!(ask(Method::GET, "/api/v1/models/x/lora"), Ok(Ask::Read(Read::Model("x/lora".into()))));
        assert_eq!(ask(Method::GET, "/api/v1/models/x/lora/lora"), Ok(Ask::Read(Read::Adapters("x/lora".into()))));
        let remove = |model: &str, name: &str| done(Order::RemoveAdapter(model.into(), name.into()));
        assert_eq!(ask(Method::DELETE, "/api/v1/models/a/lora/b/lora/c"), remove("a/lora/b", "c"));
        assert_eq!(ask(Method::DELETE, "/api/v1/models/m/lora/b/lora/c"), remove("m", "b/lora/c"));
        assert_eq!(ask(Method::DELETE, "/api/v1/models/no/lora/c"), remove("no", "c"));
    }

    #[test]
    fn options_are_understood_or_refused() {
        let sleep = |level| Order::Model("m".into(), Command::Sleep(level));
        assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep"), done(sleep(1)));
        assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep?level=2"), done(sleep(2)));
        assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep?wait=false"), Ok(Ask::Do(Action::Order(sleep(1)), false)));
        for bad in ["sleep?level=3", "sleep?level=0", "sleep?level=x", "sleep?lvl=1", "stop?level=1", "stop?wait=maybe"]
        {
            assert_eq!(ask(Method::POST, &format!("/api/v1/models/m/{bad}")), Err(400), "{bad}");
            assert_eq!(ask(Method::POST, &format!("/api/v1/engines/m/0/{bad}")), Err(400), "{bad}");
        }
        assert_eq!(ask(Method::POST, "/api/v1/models/%FF/stop"), Err(400));
    }

    #[test]
    fn bodies_are_understood_or_refused() {
        let scale = |body| ask_with(Method::PUT, "/api/v1/models/m/replicas", body);
        assert_eq!(scale(r#"{"replicas": 3}"#), done(Order::Scale("m".into(), 3)));
        for bad in
            ["", "3", r#"{"replicas": 0}"#, r#"{"replicas": -1}"#, r#"{"replicas": 1e9}"#, r#"{"replicas":1,"x":1}"#]
        {
            assert_eq!(scale(bad), Err(400), "{bad}");
        }
        assert_eq!(scale(r#"{"replicas": 100000}"#), Err(400));
        let add = |body| ask_with(Method::POST, "/api/v1/models/m/lora", body);
        let adapter = AdapterView { name: "a".into(), path: "/p".into() };
        assert_eq!(add(r#"{"name": "a", "path": "/p"}"#), done(Order::AddAdapter("m".into(), adapter)));
        assert_eq!(add(r#"{"name": "a"}"#), Err(400));
    }

    #[test]
    fn what_is_not_there_is_not_found_and_wrong_methods_are_told() {
        for path in ["/api/v1/", "/api/v1/cats", "/api/v1/engines/m/0/explode", "/api/v1/models/m/explode"] {
            assert_eq!(ask(Method::POST, path), Err(404), "{path}");
        }
        for path in ["engines/m/0/restart", "engines/org/m/0/stop", "models/m/roll", "models/m/replicas"] {
            assert_eq!(ask(Method::GET, &format!("/api/v1/{path}")), Err(405), "{path}");
        }
        assert_eq!(ask(Method::GET, "/api/v1/models/"), Err(404));
        assert_eq!(ask(Method::POST, "/api/v1/models/m"), Err(404));
        for (method, path) in [
            (Method::POST, "/api/v1/engines"),
            (Method::POST, "/api/v1/gpus"),
            (Method::POST, "/api/v1/sd"),
            (Method::POST, "/api/v1/engines/m/0/metrics"),
            (Method::POST, "/api/v1/log-level"),
            (Method::DELETE, "/api/v1/engines/m/0"),
            (Method::PATCH, "/api/v1/models/m"),
            (Method::POST, "/api/v1/models/m/replicas"),
        ] {
            assert_eq!(ask(method, path), Err(405), "{path}");
        }
    }
}
