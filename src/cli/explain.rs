//! `enginehouse explain FILE --alias NAME`: a request before and after its settings, with what made each change.

mod by_gym;
mod text;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::BytesMut;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::text::{changes, ending, section};
use super::config_arg::ConfigArgs;
use super::output::fail;
use crate::config::{Config, EndpointGroup, Engines};
use crate::dialects::gym;
use crate::engines::EngineRegistry;
use crate::ids::Name;
use crate::openai::{self, ApiError, BodyKind, Endpoint};
use crate::routing::{Place, RequestHead, Route, Snapshot, Target, When, prepare_for};
use crate::telemetry::Metrics;

/// The request that is explained.
#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    config: ConfigArgs,
    /// The `model` of the request: an alias, a model or an adapter; default: what the body says
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// For an alias with `split` or `fallback`: show only this part or fallback
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// The endpoint: chat, completions, responses, messages, embeddings, … (as in `when`)
    #[arg(long, default_value = "chat", value_name = "WORD")]
    endpoint: String,
    /// A header of the request, for conditions; can be given several times
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// The caller (one of the configuration's `callers`), for conditions; default: a request without a key
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
}

/// Reads a body from standard input and prints how the configuration changes it.
#[must_use]
pub(super) fn run(ask: &Ask) -> ExitCode {
    let mut body = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut body).map_err(|error| format!("The body cannot be read: {error}."));
    let config = || ask.config.source(None)?.load().map_err(|found| found.to_string());
    match read.and_then(|_| told(ask, &config()?, &body)) {
        Ok(text) => {
            // A reader that went away (`| head`) is no failure.
            let _ = io::stdout().lock().write_all(&text);
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

/// All that is printed.
fn told(ask: &Ask, config: &Config, body: &[u8]) -> Result<Vec<u8>, String> {
    let asked = endpoint(&ask.endpoint)?;
    let headers = headers(&ask.headers)?;
    let caller = ask.caller.as_deref().map(|name| caller(config, name)).transpose()?;
    let snapshot = snapshot(config)?;
    let alias = asked_model(ask, body)?;
    let at = snapshot.find(&alias).map_err(|error| error.message)?;
    let has_gym = snapshot.target(at).is_some_and(|target| target.route.gym.is_some());
    let gym_route = gym::route(asked.path()).filter(|_| has_gym);
    // Nothing is copied of what goes by Gym's rules.
    let mirror = snapshot.mirror(at).filter(|_| gym_route.is_none());
    let places: Vec<Place> = snapshot.places(at).into_iter().chain(mirror).collect();
    let chosen = chosen(&places, ask.part.as_deref(), &alias)?;
    let mut out = format!("{} -> {}, POST {}\n", named(&alias, &snapshot, at), to(&chosen, &snapshot), asked.path());
    if let Some(address) = snapshot.target(at).and_then(|target| listens(config, &target.route)) {
        out += &format!("(also at http://{address}/v1, where requests need not name a model)\n");
    }
    let mut out = out.into_bytes();
    section(&mut out, "before", body);
    let boundary = boundary(asked, body);
    let head = RequestHead {
        endpoint: asked,
        boundary: boundary.as_deref(),
        headers: &headers,
        caller: caller.as_deref(),
        entry: None,
    };
    let meant = places.first().map_or(at, |first| first.target);
    for place in chosen {
        if places.len() > 1 {
            out.extend_from_slice(format!("\n=== {}\n", title(place, &snapshot)).as_bytes());
        }
        match gym_route {
            Some(route) => by_gym::becomes(&mut out, &snapshot, (place.target, meant), (route, &head), body)?,
            None => becomes(&mut out, &snapshot, place.target, &head, body)?,
        }
    }
    Ok(out)
}

/// The places that are asked for.
fn chosen<'p>(places: &'p [Place], part: Option<&str>, alias: &str) -> Result<Vec<&'p Place>, String> {
    let Some(part) = part else { return Ok(places.iter().collect()) };
    let chosen: Vec<&Place> = places.iter().filter(|place| *place.name == *part).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = places.iter().map(|place| &*place.name).collect();
        return Err(format!("Requests for `{alias}` never go to `{part}`. They go to: {}.", names.join(", ")));
    }
    Ok(chosen)
}

/// The name of the request, and the wildcard alias that answers to it.
fn named(alias: &str, snapshot: &Snapshot, at: usize) -> String {
    let route = snapshot.target(at).map(|target| &target.route).filter(|route| route.is_wildcard);
    let by = route.map_or_else(String::new, |route| format!(" (by the alias {})", route.name));
    format!("{alias}{by}")
}

/// The models that answer in these places. Where answers come from, copies are left out.
fn to(places: &[&Place], snapshot: &Snapshot) -> String {
    let answers = |place: &&&Place| places.len() == 1 || !matches!(place.when, When::Mirror(_));
    let mut names: Vec<&str> = Vec::new();
    for name in places.iter().filter(answers).filter_map(|place| Some(&**engines(snapshot.target(place.target)?))) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

/// The address that an alias has to itself.
fn listens(config: &Config, route: &Route) -> Option<SocketAddr> {
    config.aliases.iter().find(|alias| alias.name == route.name)?.listen
}

/// The name that the request says.
fn asked_model(ask: &Ask, body: &[u8]) -> Result<String, String> {
    let said = || openai::peek(body).ok().and_then(|seen| seen.model().map(str::to_owned));
    ask.alias.clone().or_else(said).ok_or_else(|| "Which name? Give --alias NAME, or a body with `model`.".to_owned())
}

/// The snapshot that a gateway with this configuration would serve, as far as it can be known without its engines.
fn snapshot(config: &Config) -> Result<Snapshot, String> {
    let (registry, _) = EngineRegistry::new(config.models.iter().map(|model| model.name.clone()));
    for (pool, model) in registry.pools().iter().zip(&config.models) {
        let own = match &model.engines {
            Engines::Spawn(spawn) => {
                pool.set_adapters(spawn.lora.keys().cloned().collect());
                Some(model.name.clone())
            }
            Engines::Urls(_) => None,
        };
        pool.set_served_name(model.served_name.clone().or(own));
    }
    let metrics = Metrics::new().map_err(|error| error.to_string())?;
    Ok(Snapshot::new(config, &registry, &Arc::new(metrics), HashMap::new()))
}

/// How `body` is changed on its way to the engines of the target at `at`.
fn becomes(
    out: &mut Vec<u8>,
    snapshot: &Snapshot,
    at: usize,
    head: &RequestHead<'_>,
    body: &[u8],
) -> Result<(), String> {
    let mut noted = Vec::new();
    let told = |error: ApiError| format!("Callers would get this error: {}", error.message);
    let request =
        prepare_for(snapshot, at, head, BytesMut::from(body), Some(&mut noted), &mut |_| Ok(())).map_err(told)?;
    if request.endpoint != head.endpoint {
        let path = request.endpoint.path();
        out.extend_from_slice(format!("\n(translated for POST {path} before all other changes)\n").as_bytes());
    }
    let renamed_later = snapshot.target(at).is_some_and(|target| target.known_served_name().is_none());
    let sent: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    ending(out, &changes(&noted, renamed_later), &sent, &request.body);
    Ok(())
}

/// The boundary of a form. The header that would say it is not here; the form itself begins with it.
fn boundary(endpoint: Endpoint, body: &[u8]) -> Option<String> {
    let first = body.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let boundary = first.strip_prefix(b"--").unwrap_or_default();
    (endpoint.body() == BodyKind::Multipart).then(|| String::from_utf8_lossy(boundary).into_owned())
}

/// The endpoint that a word means, as in `when`.
fn endpoint(word: &str) -> Result<Endpoint, String> {
    let name =
        |group: EndpointGroup| serde_json::to_value(group).ok().and_then(|name| name.as_str().map(str::to_owned));
    let found = EndpointGroup::ALL.into_iter().find(|group| name(*group).as_deref() == Some(word));
    found.and_then(Endpoint::first_of).ok_or_else(|| {
        let all: Vec<String> = EndpointGroup::ALL.into_iter().filter_map(name).collect();
        format!("There is no endpoint `{word}`. There are: {}.", all.join(", "))
    })
}

/// The caller called `name`.
fn caller(config: &Config, name: &str) -> Result<Name, String> {
    let found = config.callers.iter().find(|caller| *caller.name == *name).map(|caller| caller.name.clone());
    found.ok_or_else(|| {
        let all: Vec<&str> = config.callers.iter().map(|caller| &*caller.name).collect();
        let all =
            if all.is_empty() { "The configuration has none".into() } else { format!("There are: {}", all.join(", ")) };
        format!("There is no caller `{name}`. {all}.")
    })
}

fn headers(given: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for text in given {
        let pair = text.split_once(':').and_then(|(name, value)| {
            Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = pair.ok_or("A header is written NAME:VALUE, such as x-tier:gold.")?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn title(place: &Place, snapshot: &Snapshot) -> String {
    let name = &place.name;
    let to = snapshot.target(place.target).map_or(name, engines);
    match place.when {
        When::Always => format!("usually -> {to}"),
        When::Share(percent) => format!("part {name}, {percent} % of the requests -> {to}"),
        When::Fallback(at) => format!("fallback {at}, {name} -> {to}"),
        When::Mirror(percent) => format!("copy of {percent} % of the requests, {name} -> {to}"),
    }
}

/// The model or adapter that a target leads to.
fn engines(target: &Target) -> &Name {
    target.route.adapter.as_ref().unwrap_or(&target.route.model)
}

#[cfg(test)]
mod tests;
