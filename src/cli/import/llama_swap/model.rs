//! One model of llama-swap to a model: an engine that Enginehouse starts, or one that others run.

use serde_json::{Map, Value, json};

use super::super::base_url::engine_url;
use super::super::changes::members;
use super::super::document::Section;
use super::super::draft::Draft;
use super::super::engine::Engine;
use super::super::ports::is_here;
use super::super::values::{map, text, texts, whole};
use super::command::{Command, Vllm, base, command};
use super::filters::filters;
use super::loading::ttl;
use super::other::suggestion;
use crate::config::is_secret;

/// Keys that are read here, or that only say something to people.
const READ: &[&str] = &[
    "cmd",
    "proxy",
    "aliases",
    "env",
    "checkEndpoint",
    "ttl",
    "unloadTimeout",
    "useModelName",
    "filters",
    "unlisted",
    "name",
    "description",
    "macros",
];

/// Settings at the top that are those of each model.
pub(super) struct Common {
    /// How long an engine may take to start: seconds.
    pub(super) start_timeout: Option<u64>,
    /// How long an engine may take to end: seconds.
    pub(super) stop_timeout: Option<u64>,
    /// After how long without requests an engine is unloaded: seconds.
    pub(super) ttl: u64,
    /// Whether aliases are listed.
    pub(super) aliases_listed: bool,
}

/// A model that was converted.
pub(super) struct Model {
    /// What is written for it.
    pub(super) section: Section,
    /// After so many seconds without a request it is unloaded; 0: never.
    pub(super) ttl: u64,
    /// Whether it has the first GPU, because its command names none.
    pub(super) has_first_gpu: bool,
    /// Its further names, each with what it changes.
    pub(super) aliases: Vec<(String, Map<String, Value>)>,
}

/// Converts the model `id`, in which all macros are replaced, `${PORT}` by `port`; `None` where it cannot be one, which is said.
pub(super) fn model(
    draft: &mut Draft,
    common: &Common,
    path: &str,
    id: &str,
    (fields, port): (&Map<String, Value>, Option<u64>),
) -> Option<Model> {
    let mut section = Section::default();
    for key in ["name", "description"] {
        if let Some(text) = fields.get(key).and_then(text) {
            section.comment(draft.secrets.without(&text));
        }
    }
    let proxy = fields.get("proxy").and_then(text);
    let (mut served, mut has_first_gpu) = (Vec::new(), false);
    match command(fields.get("cmd").and_then(Value::as_str).unwrap_or_default()) {
        Command::Vllm(vllm) => {
            (served, has_first_gpu) = started(draft, common, path, id, (fields, *vllm), &mut section)?;
        }
        other => {
            let url = proxy.filter(|proxy| !is_here(proxy)).and_then(|proxy| engine_url(&proxy).ok());
            not_started(draft, path, id, (&other, port, url), &mut section)?;
        }
    }
    if let Some(name) = fields.get("useModelName").and_then(text) {
        draft.put(&mut section, path, id, "served_name", name.into());
    }
    health(draft, path, fields, &mut section);
    let all = map(fields, "filters");
    filters(draft, path, id, all, &mut section);
    let by_id = map(all, "setParamsByID");
    for_own_name(draft, path, id, by_id, &mut section);
    others(draft, path, fields, &mut section);
    let ttl = ttl(fields, common.ttl);
    Some(Model { section, ttl, has_first_gpu, aliases: aliases(id, fields, by_id, served) })
}

/// What Enginehouse cannot start: an engine at `url`, where there is one; otherwise what is said and suggested is all.
fn not_started(
    draft: &mut Draft,
    path: &str,
    id: &str,
    (command, port, url): (&Command, Option<u64>, Option<String>),
    out: &mut Section,
) -> Option<()> {
    let words = if let Command::Other(words) = command { words.as_slice() } else { &[] };
    for pair in words.windows(2).filter(|pair| is_secret(&pair[0])) {
        draft.secrets.add(&pair[1]);
    }
    for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
        if is_secret(name) {
            draft.secrets.add(value);
        }
    }
    let what = match command {
        Command::Unclear(why) => (*why).to_owned(),
        _ => {
            let program = words.first().map_or("", |program| base(program));
            format!("it starts `{}`, which is not vLLM", draft.secrets.without(program))
        }
    };
    if let Some(url) = url {
        let text = format!("its `cmd` was left out: {what}. Somebody else must start it; its address is here.");
        draft.notes.say(out, &format!("{path}.cmd"), text);
        draft.put(out, path, id, "urls", json!([url]));
        return Some(());
    }
    let Some((source, words)) = suggestion(words, port) else {
        let text = format!(
            "was left out: {what}. Write a model with `command:` and placeholders for it (conf/reference.yaml), \
                or its \
             address under `urls`."
        );
        draft.notes.say(&mut draft.models, path, text);
        return None;
    };
    let text = format!(
        "was left out: {what}. Below is what it could be, as a comment: look it through, and take the signs away."
    );
    draft.notes.say(&mut draft.models, path, text);
    let mut off = Section::default();
    draft.put(&mut off, path, id, "source", source.unwrap_or_else(|| id.to_owned()).into());
    let words = without_keys(draft, &mut off, path, id, words);
    draft.put(&mut off, path, id, "command", json!(words));
    draft.models.nest_off(id, off);
    None
}

/// Words of a command with variables in the places of the values of flags that hold secrets, however short they are.
fn without_keys(draft: &mut Draft, at: &mut Section, path: &str, id: &str, words: Vec<String>) -> Vec<String> {
    let mut hide = |flag: &str, value: &str| {
        let hidden = draft.hidden(at, path, id, flag.trim_start_matches('-'), value.into());
        hidden.as_str().unwrap_or_default().to_owned()
    };
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let flag = out.last().filter(|flag| flag.starts_with('-') && is_secret(flag));
        out.push(match (flag, word.split_once('=')) {
            (Some(flag), _) => hide(flag, &word),
            (None, Some((flag, value))) if is_secret(flag) => format!("{flag}={}", hide(flag, value)),
            (None, _) => word,
        });
    }
    out
}

/// An engine that Enginehouse starts; the names that it serves are returned, and whether it has the first GPU because none is named.
fn started(
    draft: &mut Draft,
    common: &Common,
    path: &str,
    id: &str,
    (fields, vllm): (&Map<String, Value>, Vllm),
    out: &mut Section,
) -> Option<(Vec<String>, bool)> {
    let mut engine = Engine { source: vllm.words.first().cloned(), ..Engine::default() };
    for (flag, value) in vllm.flags {
        if is_secret(&flag) {
            value.as_str().into_iter().for_each(|secret| draft.secrets.add(secret));
        }
        engine.flag(&flag, value);
    }
    let written = texts(fields.get("env").unwrap_or(&Value::Null));
    let pairs =
        written.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in pairs.chain(vllm.env) {
        if is_secret(&name) {
            draft.secrets.add(&value);
        }
        engine.variable(&name, value.into());
    }
    if let Some(gpus) = vllm.gpus.as_ref().and_then(super::super::engine::gpus) {
        engine.gpus = gpus;
    }
    if engine.gpus.len() > 1 && !engine.args.keys().any(|flag| flag.ends_with("parallel-size")) {
        let text = "has more GPUs than vLLM would use without a parallel size. Here tensor parallelism goes \
            over all of \
                    them; write `tensor-parallel-size: 1` under `args` if it must not.";
        draft.notes.say(out, &format!("{path}.cmd"), text);
    }
    if engine.source.is_none() {
        let text = "was left out: its `cmd` starts vLLM and does not say which model it loads.";
        draft.notes.say(&mut draft.models, path, text);
        return None;
    }
    if vllm.words.len() > 1 {
        draft.notes.say(out, &format!("{path}.cmd"), "has words that belong to no flag, and that were left out.");
    }
    let has_first_gpu = engine.has_first_gpu();
    if has_first_gpu {
        engine.gpus = vec![json!(0)];
        out.comment("Its `cmd` names no GPU: vLLM takes the first one then.");
    }
    let mut middle = Section::default();
    if let Some(command) = vllm.command {
        draft.put(&mut middle, &format!("{path}.cmd"), id, "command", json!(command));
    }
    let served = std::mem::take(&mut engine.served);
    engine.write(draft, path, id, out, middle);
    if let Some(time) = common.start_timeout {
        out.put("start_timeout", format!("{time}s"));
    }
    let own = fields.get("unloadTimeout").and_then(whole).filter(|time| *time > 0);
    if let Some(time) = own.or(common.stop_timeout) {
        out.put("stop_timeout", format!("{time}s"));
    }
    if fields.get("cmdStop").and_then(text).is_some() {
        draft.notes.say(
            out,
            &format!("{path}.cmdStop"),
            "was left out: engines are stopped by SIGTERM, then by SIGKILL (`stop_timeout`).",
        );
    }
    Some((served, has_first_gpu))
}

fn health(draft: &mut Draft, path: &str, fields: &Map<String, Value>, out: &mut Section) {
    match fields.get("checkEndpoint").and_then(text).as_deref() {
        None | Some("/health") => {}
        Some("none") => out.put("health", "off"),
        Some(endpoint) if endpoint.starts_with('/') && endpoint.bytes().all(|b| b.is_ascii_graphic() && b != b'#') => {
            let mut health = Section::default();
            health.put("path", endpoint);
            out.nest("health", health);
        }
        Some(_) => draft.notes.say(out, &format!("{path}.checkEndpoint"), "was left out: it is no path."),
    }
}

/// `setParamsByID` for the model's own name, which its aliases do not have.
fn for_own_name(draft: &mut Draft, path: &str, id: &str, by_id: &Map<String, Value>, out: &mut Section) {
    let Some(own) = by_id.get(id).and_then(Value::as_object) else { return };
    let mut then = Section::default();
    members(draft, &format!("{path}.filters.setParamsByID"), id, "overrides", own, &mut then);
    if !then.is_empty() {
        out.put("when", json!([{ "if": { "body": { "model": id } }, "overrides": then.value()["overrides"] }]));
    }
}

/// What has no equivalent.
fn others(draft: &mut Draft, path: &str, fields: &Map<String, Value>, out: &mut Section) {
    if fields.get("unlisted").is_some_and(|unlisted| *unlisted == true) {
        draft.notes.say(
            out,
            &format!("{path}.unlisted"),
            "was left out: /v1/models lists every model; only aliases can be hidden.",
        );
    }
    for (key, _) in
        fields.iter().filter(|(key, value)| !READ.contains(&key.as_str()) && *key != "cmdStop" && is_said(value))
    {
        let why = match key.as_str() {
            "concurrencyLimit" => {
                "there is no limit of requests for a model; vLLM queues what it cannot run (`max-num-seqs` \
                    under `args`)."
            }
            "timeouts" => "timeouts are those of all engines (`timeouts`).",
            "metadata" | "capabilities" => "/v1/models shows what the engine says.",
            _ => "there is nothing like it here.",
        };
        draft.notes.say(out, &format!("{path}.{key}"), format!("was left out: {why}"));
    }
}

/// Whether it says more than its absence.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(is_said),
        Value::Bool(true) => true,
    }
}

/// Further names: its aliases, those that have parameters of their own, and those that the engine serves.
fn aliases(
    id: &str,
    fields: &Map<String, Value>,
    by_id: &Map<String, Value>,
    served: Vec<String>,
) -> Vec<(String, Map<String, Value>)> {
    let mut names = texts(fields.get("aliases").unwrap_or(&Value::Null));
    names.extend(by_id.keys().cloned());
    names.extend(served);
    let mut all: Vec<(String, Map<String, Value>)> = Vec::new();
    for name in names.into_iter().filter(|name| name != id) {
        if !all.iter().any(|(other, _)| *other == name) {
            let changes = map(by_id, &name).clone();
            all.push((name, changes));
        }
    }
    all
}
