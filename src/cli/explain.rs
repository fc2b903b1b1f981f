//! `enginehouse explain FILE --alias NAME`: a request before and after its settings, with what made each change.

mod by_gym;
mod text;
mod view;

use std::collections::HashMap;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::BytesMut;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use clap::builder::NonEmptyStringValueParser;

use self::view::{Asked, Body, By, Done, Explained, Way, When};
use super::config_arg::ConfigArgs;
use super::output::{Exit, Failure, complain, ended, print_json};
use crate::config::{Config, EndpointGroup, Engines};
use crate::dialects::gym::{self, GymRoute};
use crate::engines::EngineRegistry;
use crate::ids::Name;
use crate::openai::{self, ApiError, BodyKind, Endpoint};
use crate::routing::{self, Place, RequestHead, Route, Snapshot, Target, prepare_for};
use crate::telemetry::Metrics;

/// The request that is explained.
#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    config: ConfigArgs,
    /// The `model` of the request: an alias, a model or an adapter; default: what the body says
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    alias: Option<String>,
    /// For an alias with `split` or `fallback`: show only this part or fallback
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    part: Option<String>,
    /// The endpoint: chat, completions, responses, messages, embeddings, … (as in `when`)
    #[arg(long, default_value = "chat", value_name = "WORD")]
    endpoint: String,
    /// A header of the request, for conditions; can be given several times
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// The caller (one of the configuration's `callers`), for conditions; default: a request without a key
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    caller: Option<String>,
    /// Print JSON: `name`, `path`, `before`, and for each of `places` its `changes` (without `old` where there was nothing,
    /// without `new` where nothing is left), `headers` and the body `after` them
    #[arg(long)]
    json: bool,
}

/// Reads a body from standard input and prints how the configuration changes it.
#[must_use]
pub(super) fn run(ask: &Ask) -> ExitCode {
    ended(tell(ask))
}

fn tell(ask: &Ask) -> Result<(), Failure> {
    let config = ask.config.source(None)?.load().map_err(|found| found.to_string())?;
    if io::stdin().is_terminal() {
        complain("Type the body of a request (JSON), and Ctrl-D in a line of its own.");
    }
    let mut body = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| format!("The body cannot be read: {error}."))?;
    let explained = explained(ask, &config, &body)?;
    if ask.json {
        print_json(&explained);
    } else {
        // A reader that went away (`| head`) is no failure.
        let _ = io::stdout().lock().write_all(&text::text(&explained));
    }
    Ok(())
}

/// All that is told.
fn explained(ask: &Ask, config: &Config, body: &[u8]) -> Result<Explained, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    let unknown = |why: String| Failure::new(Exit::Unknown, why);
    let asked = endpoint(&ask.endpoint).map_err(usage)?;
    let headers = headers(&ask.headers).map_err(usage)?;
    let caller = ask.caller.as_deref().map(|name| caller(config, name)).transpose().map_err(unknown)?;
    let snapshot = snapshot(config)?;
    let name = asked_model(ask, body).map_err(usage)?;
    let at = snapshot.find(&name).map_err(|error| unknown(error.message))?;
    let route = snapshot.target(at).map(|target| &target.route);
    let gym_route = gym::route(asked.path()).filter(|_| route.is_some_and(|route| route.gym.is_some()));
    // Nothing is copied of what goes by Gym's rules.
    let mirror = snapshot.mirror(at).filter(|_| gym_route.is_none());
    let places: Vec<Place> = snapshot.places(at).into_iter().chain(mirror).collect();
    let chosen = chosen(&places, ask.part.as_deref(), &name).map_err(unknown)?;
    let boundary = boundary(asked, body);
    let head = RequestHead {
        endpoint: asked,
        boundary: boundary.as_deref(),
        headers: &headers,
        caller: caller.as_deref(),
        entry: None,
    };
    let meant = places.first().map_or(at, |first| first.target);
    let ways = chosen.iter().map(|place| {
        let done = match gym_route {
            Some(route) => asked_by_gym(&snapshot, (place.target, meant), (route, &head), body)?,
            None => becomes(&snapshot, place.target, &head, body)?,
        };
        Ok(Way { name: place.name.to_string(), when: when(place), model: model(place, &snapshot), done })
    });
    Ok(Explained {
        wildcard: route.filter(|route| route.is_wildcard).map(|route| route.name.to_string()),
        answered_by: answered_by(&chosen, &snapshot),
        path: asked.path().to_owned(),
        own_address: route.and_then(|route| listens(config, route)),
        before: Body(body.to_owned()),
        places: ways.collect::<Result<_, String>>()?,
        has_several: places.len() > 1,
        name,
    })
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

/// The models that answer in these places. Where answers come from, copies are left out.
fn answered_by(places: &[&Place], snapshot: &Snapshot) -> Vec<String> {
    let answers = |place: &&&Place| places.len() == 1 || !matches!(place.when, routing::When::Mirror(_));
    let mut names: Vec<String> = Vec::new();
    for name in places.iter().filter(answers).filter_map(|place| Some(engines(snapshot.target(place.target)?))) {
        if !names.iter().any(|known| **known == **name) {
            names.push(name.to_string());
        }
    }
    names
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
fn becomes(snapshot: &Snapshot, at: usize, head: &RequestHead<'_>, body: &[u8]) -> Result<Done, String> {
    let mut changes = Vec::new();
    let told = |error: ApiError| format!("Callers would get this error: {}", error.message);
    let request =
        prepare_for(snapshot, at, head, BytesMut::from(body), Some(&mut changes), &mut |_| Ok(())).map_err(told)?;
    let is_other = request.endpoint != head.endpoint;
    Ok(Done::Asked(Asked {
        by: if is_other { By::Translation } else { By::Settings },
        asked_path: request.endpoint.path().to_owned(),
        changes,
        renamed_later: snapshot.target(at).is_some_and(|target| target.known_served_name().is_none()),
        headers: request.headers.iter().map(|(name, _)| name.to_string()).collect(),
        after: Body(request.body.to_vec()),
    }))
}

/// What Gym's rules ask the engines of the target at `at` for; `meant`: that of the place where such requests are meant to go.
fn asked_by_gym(
    snapshot: &Snapshot,
    (at, meant): (usize, usize),
    route: (GymRoute, &RequestHead<'_>),
    body: &[u8],
) -> Result<Done, String> {
    match snapshot.target(at).zip(snapshot.target(meant)) {
        // The rules are those of the place where the turn began, also in its fallbacks.
        Some(targets) if let Some(rules) = &targets.1.route.gym => by_gym::becomes(targets, rules, route, body),
        _ => becomes(snapshot, at, route.1, body),
    }
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

fn when(place: &Place) -> When {
    match place.when {
        routing::When::Always => When::Always,
        routing::When::Share(percent) => When::Share { percent },
        routing::When::Fallback(number) => When::Fallback { number },
        routing::When::Mirror(percent) => When::Mirror { percent },
    }
}

/// The model or adapter that answers in a place.
fn model(place: &Place, snapshot: &Snapshot) -> String {
    snapshot.target(place.target).map_or(&place.name, engines).to_string()
}

/// The model or adapter that a target leads to.
fn engines(target: &Target) -> &Name {
    target.route.adapter.as_ref().unwrap_or(&target.route.model)
}

#[cfg(test)]
mod tests;
