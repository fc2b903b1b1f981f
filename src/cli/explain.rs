//! `enginehouse explain FILE --alias NAME`: a request before and after its settings, with what made each change.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::BytesMut;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{self, Config, Engines, Topic, Via};
use crate::dialects::{self, Spoken};
use crate::ids::Name;
use crate::openai::{self, BodyKind, Endpoint, Request, Rewritten, Step};
use crate::routing::{Aim, Route, Snapshot, endpoints, rules};

/// What is to be explained.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The configuration (YAML)
    file: PathBuf,
    /// The name that callers say: an alias, a model or an adapter
    #[arg(long, value_name = "NAME")]
    alias: String,
    /// Of an alias with `split` or `fallback`, only this place of those where its requests may go
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// What is asked: chat, completions, responses, messages, embeddings, … as in `when`
    #[arg(long, default_value = "chat", value_name = "WORD")]
    endpoint: String,
    /// A header of the request, for conditions; may be given several times
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// Who asks, of the configuration's `callers`, for conditions; nobody named: who has no key
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
}

/// Reads a body from standard input and prints what becomes of it.
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
        Err(why) => {
            let _ = writeln!(io::stderr().lock(), "{why}");
            ExitCode::FAILURE
        }
    }
}

/// All that is printed.
fn told(ask: &Ask, env: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Result<Vec<u8>, String> {
    let config = config::load(&ask.file, env).map_err(|faults| faults.to_string())?;
    let asked = endpoint(&ask.endpoint)?;
    let headers = headers(&ask.headers)?;
    let caller = ask.caller.as_deref().map(|name| caller(&config, name)).transpose()?;
    let snapshot = Snapshot::of(&config, |model| adapters(&config, model));
    let Some((_, route)) = snapshot.resolve(&ask.alias) else {
        let near = snapshot.near(&ask.alias);
        let names: Vec<&str> = near.iter().map(|name| &**name).collect();
        let hint = if names.is_empty() { String::new() } else { format!(" Did you mean {}?", names.join(" or ")) };
        return Err(format!("There is no model or alias `{}`.{hint}", ask.alias));
    };
    let places = places(route);
    let chosen: Vec<&Place> = match &ask.part {
        None => places.iter().collect(),
        Some(part) => places.iter().filter(|place| *place.aim.name == **part).collect(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = places.iter().map(|place| &*place.aim.name).collect();
        let part = ask.part.as_deref().unwrap_or_default();
        return Err(format!("Requests for `{}` never go to `{part}`. They go to: {}.", ask.alias, names.join(", ")));
    }
    let (endpoint, body) = translated(route, asked, body)?;
    let mut out = Vec::new();
    let mut line = |text: &str| out.extend_from_slice(format!("{text}\n").as_bytes());
    let mut to: Vec<&str> = Vec::new();
    for name in chosen.iter().map(|place| engines(&place.aim)) {
        if !to.contains(&&**name) {
            to.push(name);
        }
    }
    line(&format!("{} -> {}, POST {}", route.name, to.join(" or "), asked.path()));
    if endpoint != asked {
        line("(translated to Chat Completions before anything else; this is what became of it)");
    }
    section(&mut out, "before", &body);
    let request = Request { asked, endpoint, headers: &headers, caller: caller.as_deref() };
    for place in chosen {
        if places.len() > 1 {
            out.extend_from_slice(format!("\n=== {}\n", place.title()).as_bytes());
        }
        let served = served_name(&config, &place.aim);
        becomes(&mut out, &place.aim, &request, served.as_deref(), &body)?;
    }
    Ok(out)
}

/// What becomes of `body` on its way to the engines of `aim`.
fn becomes(
    out: &mut Vec<u8>,
    aim: &Aim,
    request: &Request<'_>,
    served: Option<&str>,
    body: &[u8],
) -> Result<(), String> {
    let mut after = BytesMut::from(body);
    let mut steps = Vec::new();
    let done = explain(&mut after, aim, request, served, &mut steps)?;
    section(out, "changes", changes(&steps, served.is_none()).as_bytes());
    let sent: Vec<&str> = done.headers.iter().map(|(name, _)| name.as_str()).collect();
    if !sent.is_empty() {
        section(out, "headers", format!("{} (values are not shown)", sent.join(", ")).as_bytes());
    }
    section(out, "after", &after);
    Ok(())
}

fn section(out: &mut Vec<u8>, heading: &str, text: &[u8]) {
    out.extend_from_slice(format!("\n--- {heading}\n").as_bytes());
    out.extend_from_slice(text.trim_ascii_end());
    out.push(b'\n');
}

/// One line for each change: the member, old and new, and what made it.
fn changes(steps: &[Step], renamed_later: bool) -> String {
    const LONGEST: usize = 100;
    let short = |text: &Option<String>| match text {
        None => "(nothing)".to_owned(),
        Some(text) => match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text.clone(),
        },
    };
    let line = |step: &Step| {
        format!("{}: {} -> {}\n    {} of {}\n", step.member, short(&step.old), short(&step.new), step.kind, step.whose)
    };
    let mut text: String = steps.iter().map(line).collect();
    if renamed_later {
        text += "model: becomes what the engine calls it\n    its /v1/models is asked for that name\n";
    }
    if text.is_empty() { "none".into() } else { text }
}

fn explain(
    body: &mut BytesMut,
    aim: &Aim,
    request: &Request<'_>,
    served: Option<&str>,
    steps: &mut Vec<Step>,
) -> Result<Rewritten, String> {
    let rules = rules(&aim.settings);
    match request.endpoint.body() {
        BodyKind::Json => {
            let peek = openai::peek(body).map_err(|bad| format!("Callers would be told: {bad}."))?;
            openai::explain(body, &peek, &rules, request, served, steps)
                .map_err(|bad| format!("Callers would be told: {bad}."))
        }
        BodyKind::Multipart => {
            // The header that would say it is not here; the form itself begins with it.
            let first = body[..].split(|byte| *byte == b'\r').next().unwrap_or_default();
            let boundary = String::from_utf8_lossy(first.strip_prefix(b"--").unwrap_or_default()).into_owned();
            let form = openai::peek_form(body, &boundary).map_err(|bad| format!("Callers would be told: {bad}."))?;
            openai::explain_form(body, &form, &rules, request, served, steps)
                .map_err(|bad| format!("Callers would be told: {bad}."))
        }
    }
}

/// The endpoint that a word means, as in `when`.
fn endpoint(word: &str) -> Result<Endpoint, String> {
    let name = |topic: Topic| serde_json::to_value(topic).ok().and_then(|name| name.as_str().map(str::to_owned));
    let found = Topic::ALL.into_iter().find(|topic| name(*topic).as_deref() == Some(word));
    found.and_then(|topic| endpoints(topic).first().copied()).ok_or_else(|| {
        let all: Vec<String> = Topic::ALL.into_iter().filter_map(name).collect();
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

fn adapters(config: &Config, model: &Name) -> Vec<Name> {
    let spawned = config.models.iter().filter(|it| it.name == *model).filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some(spawn.lora.keys().cloned()),
        Engines::Urls(_) => None,
    });
    spawned.flatten().collect()
}

/// Where requests of a route may go.
struct Place {
    aim: Aim,
    when: When,
}

/// When they go there.
enum When {
    /// Whenever the place can take them.
    Always,
    /// So many of a hundred.
    Part(f64),
    /// When they can go nowhere else before it: first to fallback 1, then to 2.
    Fallback(usize),
}

impl Place {
    fn title(&self) -> String {
        let (name, to) = (&self.aim.name, engines(&self.aim));
        match self.when {
            When::Always => format!("usually -> {to}"),
            When::Part(percent) => format!("part {name}, {percent} % of the requests -> {to}"),
            When::Fallback(at) => format!("fallback {at}, {name} -> {to}"),
        }
    }
}

/// Everywhere that requests of the route may go: first where they are meant to.
fn places(route: &Route) -> Vec<Place> {
    let total: f64 = route.split.iter().map(|(weight, _)| f64::from(*weight)).sum();
    let percent = |weight: u32| (f64::from(weight) / total * 1000.0).round() / 10.0;
    let part = |(weight, aim): &(u32, Aim)| Place { aim: aim.clone(), when: When::Part(percent(*weight)) };
    let mut places: Vec<Place> = route.split.iter().map(part).collect();
    if places.is_empty() {
        let aim = Aim {
            name: route.name.clone(),
            model: route.model.clone(),
            adapter: route.adapter.clone(),
            settings: route.settings.clone(),
        };
        places.push(Place { aim, when: When::Always });
    }
    let fallback = |(at, aim): (usize, &Aim)| Place { aim: aim.clone(), when: When::Fallback(at + 1) };
    places.extend(route.fallback.iter().enumerate().map(fallback));
    places
}

/// The model or adapter that an aim leads to.
fn engines(aim: &Aim) -> &Name {
    aim.adapter.as_ref().unwrap_or(&aim.model)
}

/// The name that the engines know; `None`: only they can say.
fn served_name(config: &Config, aim: &Aim) -> Option<Name> {
    let model = config.models.iter().find(|model| model.name == aim.model)?;
    let own = || match &model.engines {
        Engines::Spawn(_) => Some(model.name.clone()),
        Engines::Urls(_) => None,
    };
    aim.adapter.clone().or_else(|| model.served_name.clone()).or_else(own)
}

/// The body for the engines' endpoint.
fn translated(route: &Route, asked: Endpoint, body: &[u8]) -> Result<(Endpoint, Vec<u8>), String> {
    let spoken = match asked {
        Endpoint::Responses if route.dialect.responses == Via::Chat => Spoken::Responses,
        Endpoint::Messages if route.dialect.messages == Via::Chat => Spoken::Messages,
        _ => return Ok((asked, body.to_vec())),
    };
    let (chat, _) = dialects::to_chat(spoken, body).map_err(|error| format!("Callers would be told: {error:?}"))?;
    Ok((Endpoint::ChatCompletions, chat.to_vec()))
}

#[cfg(test)]
mod tests;
