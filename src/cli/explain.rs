//! `enginehouse explain FILE --alias NAME`: a request before and after its settings, with what made each change.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::BytesMut;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::output::fail;
use crate::config::{self, Config, EndpointGroup, Engines};
use crate::engines::EngineRegistry;
use crate::ids::Name;
use crate::openai::{self, ApiError, BodyKind, Change, Endpoint};
use crate::routing::{Place, RequestHead, Snapshot, Target, When, prepare_for};
use crate::telemetry::Metrics;

/// The request that is explained.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The configuration (YAML)
    file: PathBuf,
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
    let env = |name: &str| std::env::var(name).ok();
    let mut body = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut body).map_err(|error| format!("The body cannot be read: {error}."));
    match read.and_then(|_| told(ask, &env, &body)) {
        Ok(text) => {
            // A reader that went away (`| head`) is no failure.
            let _ = io::stdout().lock().write_all(&text);
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

/// All that is printed.
fn told(ask: &Ask, env: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Result<Vec<u8>, String> {
    let config = config::load(&ask.file, env).map_err(|found| found.to_string())?;
    let asked = endpoint(&ask.endpoint)?;
    let headers = headers(&ask.headers)?;
    let caller = ask.caller.as_deref().map(|name| caller(&config, name)).transpose()?;
    let snapshot = snapshot(&config)?;
    let alias = asked_model(ask, body)?;
    let at = snapshot.find(&alias).map_err(|error| error.message)?;
    let places = snapshot.places(at);
    let chosen: Vec<&Place> = match &ask.part {
        None => places.iter().collect(),
        Some(part) => places.iter().filter(|place| *place.name == **part).collect(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = places.iter().map(|place| &*place.name).collect();
        let part = ask.part.as_deref().unwrap_or_default();
        return Err(format!("Requests for `{alias}` never go to `{part}`. They go to: {}.", names.join(", ")));
    }
    let mut out = Vec::new();
    let mut to: Vec<&str> = Vec::new();
    for name in chosen.iter().filter_map(|place| Some(&**engines(snapshot.target(place.target)?))) {
        if !to.contains(&name) {
            to.push(name);
        }
    }
    let route = snapshot.target(at).map(|target| &target.route).filter(|route| route.is_wildcard);
    let by = route.map_or_else(String::new, |route| format!(" (by the alias {})", route.name));
    out.extend_from_slice(format!("{}{by} -> {}, POST {}\n", alias, to.join(" or "), asked.path()).as_bytes());
    section(&mut out, "before", body);
    let boundary = boundary(asked, body);
    let head = RequestHead {
        endpoint: asked,
        boundary: boundary.as_deref(),
        headers: &headers,
        caller: caller.as_deref(),
        entry: None,
    };
    for place in chosen {
        if places.len() > 1 {
            out.extend_from_slice(format!("\n=== {}\n", title(place, &snapshot)).as_bytes());
        }
        becomes(&mut out, &snapshot, place.target, &head, body)?;
    }
    Ok(out)
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
    section(out, "changes", changes(&noted, renamed_later).as_bytes());
    let sent: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    if !sent.is_empty() {
        section(out, "headers", format!("{} (values are not shown)", sent.join(", ")).as_bytes());
    }
    section(out, "after", &request.body);
    Ok(())
}

/// The boundary of a form. The header that would say it is not here; the form itself begins with it.
fn boundary(endpoint: Endpoint, body: &[u8]) -> Option<String> {
    let first = body.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let boundary = first.strip_prefix(b"--").unwrap_or_default();
    (endpoint.body() == BodyKind::Multipart).then(|| String::from_utf8_lossy(boundary).into_owned())
}

fn section(out: &mut Vec<u8>, heading: &str, text: &[u8]) {
    out.extend_from_slice(format!("\n--- {heading}\n").as_bytes());
    out.extend_from_slice(text.trim_ascii_end());
    out.push(b'\n');
}

/// One line for each change: the member, old and new, and what made it.
fn changes(noted: &[Change], renamed_later: bool) -> String {
    const LONGEST: usize = 100;
    let short = |text: &Option<String>| match text {
        None => "(nothing)".to_owned(),
        Some(text) => match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text.clone(),
        },
    };
    let line = |change: &Change| {
        let Change { origin, part, field, old, new } = change;
        format!("{field}: {} -> {}\n    {part} of {origin}\n", short(old), short(new))
    };
    let mut text: String = noted.iter().map(line).collect();
    if renamed_later {
        text += "model: becomes the name that the engine uses\n    the gateway reads that name from the engine's /v1/models\n";
    }
    if text.is_empty() { "none".into() } else { text }
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
    }
}

/// The model or adapter that a target leads to.
fn engines(target: &Target) -> &Name {
    target.route.adapter.as_ref().unwrap_or(&target.route.model)
}

#[cfg(test)]
mod tests;
