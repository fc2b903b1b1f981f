//! What a request asks for: from method, path, query and body to an order. Pure. `ask` has all that there is, `orders` reads
//! what is to be done with engines.

mod ask;
mod orders;
mod parts;
#[cfg(test)]
mod tests;

use axum::http::{Method, Uri};

pub(super) use self::ask::{Ask, Read};
use self::parts::{json, name, text};
use super::error::ApiError;
use super::events::Kinds;
use super::{entries, logs, query};
use crate::api::SetLogLevel;
use crate::ids::EntryKind;

/// The path that all others begin with.
pub(super) const ROOT: &str = "/api/v1/";

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
        Some(("engines", id)) if read && orders::is_action(id) => Err(ApiError::method("POST")),
        Some(("engines", id)) if read => engine(id),
        Some(("engines", id)) if id.ends_with("/metrics") => Err(ApiError::method("GET")),
        Some(("engines", rest)) if method == Method::POST => {
            let (action, wait) = orders::of_engine(uri, rest)?.ok_or_else(nothing)?;
            Ok(Ask::Do(action, wait))
        }
        Some(("engines", _)) => Err(ApiError::method("GET, POST")),
        Some(("models", rest)) if read => {
            let whole = name(rest)?;
            match rest.strip_suffix("/lora") {
                Some(model) if !is_model(&whole) => Ok(Ask::Read(Read::Adapters(name(model)?))),
                None if orders::is_action(rest) && !is_model(&whole) => Err(ApiError::method("POST")),
                None if rest.ends_with("/replicas") && !is_model(&whole) => Err(ApiError::method("PUT")),
                _ => Ok(Ask::Read(Read::Model(whole))),
            }
        }
        Some(("models", rest)) if is_entry_change(method, rest) => {
            entries::parse(method, uri, (EntryKind::Model, name(rest)?), body).map(Ask::Change)
        }
        Some(("models", rest)) => {
            let (action, wait) = orders::of_model(method, uri, rest, body, is_model)?;
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
