//! What is to be done with the engines of a model, or with one engine.

use axum::extract::Query;
use axum::http::{Method, Uri};
use serde::Deserialize;

use super::parts::{json, name};
use crate::admin::action::{Action, Target};
use crate::admin::error::ApiError;
use crate::supervisor::{Command, Order};

/// Most engines of one model; more is a slip of the finger.
const MOST_REPLICAS: usize = 256;

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

/// What can be done with one engine, or with all of a model.
const VERBS: [&str; 7] = ["start", "stop", "restart", "drain", "undrain", "sleep", "wake"];

/// Whether a path ends with something to do.
pub(super) fn is_action(path: &str) -> bool {
    let last = path.rsplit_once('/').map(|(_, last)| last);
    last.is_some_and(|last| VERBS.contains(&last) || last == "roll")
}

/// What a `POST` to `engines/{rest}` asks for; `None`: there is nothing.
pub(super) fn of_engine(uri: &Uri, rest: &str) -> Result<Option<(Action, bool)>, ApiError> {
    let Some((id, verb)) = rest.rsplit_once('/') else { return Ok(None) };
    let options = options(uri, verb == "sleep")?;
    let action = action(verb, options.level, Target::Engine(name(id)?))?.ok_or_else(|| no_verb(verb, ""))?;
    Ok(Some((action, options.wait.unwrap_or(true))))
}

/// What is to be done with a model, and whether to wait for it.
pub(super) fn of_model(
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
