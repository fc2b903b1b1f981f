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
    let aim = heaviest(route);
    let (endpoint, body) = translated(route, asked, body)?;
    let mut out = Vec::new();
    let mut line = |text: &str| out.extend_from_slice(format!("{text}\n").as_bytes());
    line(&format!("{} -> {}, POST {}", route.name, aim.adapter.as_ref().unwrap_or(&aim.model), asked.path()));
    if !route.split.is_empty() {
        line(&format!("(split; this is its heaviest part, {})", aim.name));
    }
    if endpoint != asked {
        line("(translated to Chat Completions before anything else; this is what became of it)");
    }
    let mut after = BytesMut::from(&body[..]);
    let mut steps = Vec::new();
    let request = Request { asked, endpoint, headers: &headers, caller: caller.as_deref() };
    let served = served_name(&config, &aim);
    let done = explain(&mut after, &aim, &request, served.as_deref(), &mut steps)?;
    section(&mut out, "before", &body);
    section(&mut out, "changes", changes(&steps, served.is_none()).as_bytes());
    let sent: Vec<&str> = done.headers.iter().map(|(name, _)| name.as_str()).collect();
    if !sent.is_empty() {
        section(&mut out, "headers", format!("{} (values are not shown)", sent.join(", ")).as_bytes());
    }
    section(&mut out, "after", &after);
    Ok(out)
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
        }
        BodyKind::Multipart => {
            // The header that would say it is not here; the form itself begins with it.
            let first = body[..].split(|byte| *byte == b'\r').next().unwrap_or_default();
            let boundary = String::from_utf8_lossy(first.strip_prefix(b"--").unwrap_or_default()).into_owned();
            let form = openai::peek_form(body, &boundary).map_err(|bad| format!("Callers would be told: {bad}."))?;
            openai::explain_form(body, &form, &rules, request, served, steps)
        }
    }
    .map_err(|bad| format!("Callers would be told: {bad}."))
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

/// Where most requests of the route go.
fn heaviest(route: &Route) -> Aim {
    let part = route.split.iter().rev().max_by_key(|(weight, _)| *weight).map(|(_, aim)| aim.clone());
    part.unwrap_or_else(|| Aim {
        name: route.name.clone(),
        model: route.model.clone(),
        adapter: route.adapter.clone(),
        settings: route.settings.clone(),
    })
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
mod tests {
    use super::*;

    fn explained(yaml: &str, words: &[&str], body: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("house.yaml");
        std::fs::write(&file, yaml).expect("a file");
        let mut ask = Ask { file, alias: words[0].into(), endpoint: "chat".into(), headers: vec![], caller: None };
        for word in &words[1..] {
            if word.contains(':') { ask.headers.push((*word).into()) } else { ask.endpoint = (*word).into() }
        }
        told(&ask, &|_| None, body.as_bytes()).map(|text| String::from_utf8(text).expect("text"))
    }

    const HOUSE: &str = "models:\n  big: {source: s, limits: {max_tokens: 100}}\n  far: {urls: ['http://h:1']}\naliases:\n  \
        quick:\n    model: big\n    remove: [logit_bias]\n    defaults: {temperature: 0.5}\n    headers: {x-secret: hidden}\n    \
        when: [{if: {header: {x-tier: gold}}, overrides: {k.think: false}}]\n  parts: {split: {far: 1, quick: 2}}\n";

    #[test]
    fn every_change_is_told_with_what_made_it() {
        let body = r#"{"model":"quick","logit_bias":{},"max_tokens":500,"k":{"think":true}}"#;
        let text = explained(HOUSE, &["quick", "X-Tier: gold"], body).expect("explained");
        let expected = "\
quick -> big, POST /v1/chat/completions

--- before
{\"model\":\"quick\",\"logit_bias\":{},\"max_tokens\":500,\"k\":{\"think\":true}}

--- changes
max_tokens: 500 -> 100
    limits of model big
logit_bias: {} -> (nothing)
    remove of alias quick
temperature: (nothing) -> 0.5
    defaults of alias quick
k.think: true -> false
    overrides of alias quick, when #1
model: \"quick\" -> \"big\"
    name of the engines

--- headers
x-secret (values are not shown)

--- after
{\"model\":\"big\",\"max_tokens\":100,\"k\":{\"think\":false},\"temperature\":0.5}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn splits_strangers_and_mistakes() {
        let split = explained(HOUSE, &["parts", "embeddings"], r#"{"input":"x"}"#).expect("explained");
        assert!(split.contains("heaviest part, quick") && !split.contains("temperature"), "{split}");
        let far = explained(HOUSE, &["far"], "{}").expect("explained");
        assert!(far.contains("what the engine calls it") && far.ends_with("--- after\n{}\n"), "{far}");
        for (words, body, part) in [
            (&["quikc"][..], "{}", "Did you mean quick"),
            (&["quick", "chatt"], "{}", "There are: chat,"),
            (&["quick"], "{", "Callers would be told: invalid JSON"),
            (&["quick", "no name: x"], "{}", "NAME:VALUE"),
        ] {
            let why = explained(HOUSE, words, body).expect_err(body);
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn forms_are_explained_too() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nquick\r\n--b--\r\n";
        let text = explained(HOUSE, &["quick", "transcriptions"], form).expect("explained");
        assert!(text.contains("temperature: (nothing) -> 0.5"), "{text}");
        assert!(text.contains("name=\"temperature\"\r\n\r\n0.5"), "{text}");
    }
}
