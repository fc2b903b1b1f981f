//! Request settings, wherever they are written: of models, aliases, variants and conditions.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::entries::{aliases, models};
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::{Raw, RawAnonymous, RawCondition, RawHeaderTest, RawSettings, RawTest, RawVariants};
use crate::config::suggest;
use crate::config::types::ANONYMOUS;

/// Every block of settings with its path.
fn blocks(raw: &Raw) -> Vec<(Path, &RawSettings)> {
    let mut all = Vec::new();
    for (path, _, model) in models(raw) {
        gather(path, &model.settings, &mut all);
    }
    for (path, _, alias) in aliases(raw) {
        gather(path.clone(), &alias.settings, &mut all);
        let path = path.key("variants");
        let listed = matches!(alias.variants, Some(RawVariants::Each(_)));
        for (at, dimension) in alias.variants.iter().flat_map(|variants| variants.dimensions()).enumerate() {
            let path = if listed { path.index(at) } else { path.clone() };
            for (word, variant) in dimension.iter() {
                gather(path.key(word), &variant.settings, &mut all);
            }
        }
    }
    all
}

fn gather<'a>(path: Path, settings: &'a RawSettings, all: &mut Vec<(Path, &'a RawSettings)>) {
    for (at, when) in settings.when.iter().enumerate() {
        gather(path.key("when").index(at), &when.settings, all);
    }
    all.push((path, settings));
}

/// The sections that hold members by name.
fn sections<'a>(path: &Path, settings: &'a RawSettings) -> [(Path, &'a Map<String, Value>); 3] {
    [
        (path.key("defaults"), &settings.defaults),
        (path.key("limits"), &settings.limits),
        (path.key("overrides"), &settings.overrides),
    ]
}

/// Every place where a text names a member: `remove`, and the keys of everything else.
fn members<'a>(path: &Path, settings: &'a RawSettings) -> Vec<(Path, &'a str)> {
    let remove = path.key("remove");
    let mut all: Vec<_> =
        settings.remove.iter().enumerate().map(|(at, text)| (remove.index(at), text.as_str())).collect();
    for (section, members) in sections(path, settings) {
        all.extend(members.keys().map(|key| (section.key(key), key.as_str())));
    }
    let map = path.key("map");
    all.extend(settings.map.iter().map(|(key, _)| (map.key(key), key)));
    all
}

pub(super) fn the_model_is_not_a_setting(raw: &Raw, out: &mut Vec<Draft>) {
    let reason = "`model` of a request selects the alias, and is replaced by the name that the engine serves.";
    for (block, settings) in blocks(raw) {
        for (path, text) in members(&block, settings) {
            if text == "model" || text.starts_with("model.") {
                let removal = path.last_key() == Some("remove");
                let remedy = if removal {
                    "Remove it: every request needs a model."
                } else {
                    "Remove it; `model:` of the alias itself says where it points."
                };
                out.push(Draft::new(path, reason, remedy));
            }
        }
    }
}

pub(super) fn streaming_stays_a_truth_value(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, settings) in blocks(raw) {
        for (section, members) in sections(&path, settings) {
            if members.get("stream").is_some_and(|value| !value.is_boolean()) {
                out.push(Draft::new(section.key("stream"), "`stream` is true or false.", "Write true or false."));
            }
        }
    }
}

pub(super) fn members_have_names(raw: &Raw, out: &mut Vec<Draft>) {
    for (block, settings) in blocks(raw) {
        let conditions = settings.when.iter().enumerate().flat_map(|(at, when)| {
            let path = block.key("when").index(at).key("if").key("body");
            when.condition.body.iter().map(move |(key, _)| (path.key(key), key))
        });
        for (path, text) in members(&block, settings).into_iter().chain(conditions) {
            if text.is_empty() {
                let remedy = "Write the name of a request's member, such as logit_bias.";
                out.push(Draft::new(path, "The name is empty.", remedy));
            } else if text.split('.').any(str::is_empty) {
                let reason = "A name is missing before, after or between the dots.";
                let remedy = "Write names with dots between them, such as chat_template_kwargs.enable_thinking.";
                out.push(Draft::new(path, reason, remedy));
            }
        }
        for (at, member) in settings.remove.iter().enumerate() {
            if settings.remove[..at].contains(member) {
                out.push(Draft::new(block.key("remove").index(at), "It is listed twice.", "List it once."));
            }
        }
    }
}

/// `a: 1` and `a.b: 2` cannot both be.
pub(super) fn members_fit_into_each_other(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, settings) in blocks(raw) {
        for (section, members) in sections(&path, settings) {
            for name in members.keys() {
                let mut outer = name.as_str();
                while let Some((shorter, _)) = outer.rsplit_once('.') {
                    outer = shorter;
                    if members.get(outer).is_some_and(|value| !value.is_object()) {
                        let reason = format!("`{outer}` is written too, and is not a mapping that could contain it.");
                        out.push(Draft::new(section.key(name), reason, "Keep one of the two."));
                        break;
                    }
                }
            }
        }
    }
}

pub(super) fn limits_are_numbers(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, settings) in blocks(raw) {
        numbers(&path.key("limits"), &settings.limits, out);
    }
}

fn numbers(path: &Path, members: &Map<String, Value>, out: &mut Vec<Draft>) {
    for (name, value) in members {
        let path = path.key(name);
        match value {
            Value::Number(_) => {}
            Value::Object(inner) => numbers(&path, inner, out),
            _ if name == "model" => {}
            _ => out.push(Draft::new(
                path,
                "A limit is the largest number that a request may have.",
                format!("Write a number, such as `{name}: 8192`; for anything else use `overrides`."),
            )),
        }
    }
}

/// Headers that are about one connection, or about a body that may have been changed.
const RESERVED: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
    "accept-encoding",
];

/// Headers by which engines are shown their key.
const KEYS: [&str; 2] = ["authorization", "x-api-key"];

/// Whether Enginehouse sets this header of requests itself, so that no setting can.
#[must_use]
pub fn is_own_header(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    KEYS.contains(&lower.as_str()) || RESERVED.contains(&lower.as_str())
}

pub(super) fn headers_can_be_sent(raw: &Raw, out: &mut Vec<Draft>) {
    for (block, settings) in blocks(raw) {
        for (name, value) in settings.headers.iter() {
            let path = block.key("headers").key(name);
            let lower = name.to_ascii_lowercase();
            let (reason, remedy) = if HeaderName::try_from(name).is_err() {
                ("This cannot be the name of a header.", "Use letters, digits and dashes, such as x-tenant.")
            } else if KEYS.contains(&lower.as_str()) {
                ("Enginehouse sends the engines' key itself.", "Write it as `api_key` of the model.")
            } else if RESERVED.contains(&lower.as_str()) {
                ("Enginehouse sets this header itself.", "Remove it.")
            } else if HeaderValue::from_str(&value.0).is_err() {
                ("The value cannot be sent in a header (a line break at its end?).", "Use visible ASCII characters.")
            } else {
                continue;
            };
            out.push(Draft::new(path, reason, remedy).hidden());
        }
    }
}

pub(super) fn prompts_say_something(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, settings) in blocks(raw) {
        let Some(prompt) = &settings.prompt else { continue };
        if prompt.text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            let path = path.key("prompt").key("text");
            out.push(Draft::new(path, "The system prompt is empty.", "Write `text: …`, or remove `prompt`."));
        }
    }
}

pub(super) fn conditions_ask_something(raw: &Raw, out: &mut Vec<Draft>) {
    for (block, settings) in blocks(raw) {
        for (at, when) in settings.when.iter().enumerate() {
            condition(&block.key("when").index(at).key("if"), &when.condition, out);
            known_callers(raw, &block.key("when").index(at).key("if").key("caller"), &when.condition, out);
        }
    }
}

fn condition(path: &Path, raw: &RawCondition, out: &mut Vec<Draft>) {
    if raw.body.0.is_empty() && raw.header.0.is_empty() && raw.endpoint.is_none() && raw.caller.is_none() {
        let reason = "The condition is empty: it is true for every request.";
        let remedy =
            "Write `body`, `header`, `endpoint` or `caller`; settings for all requests are written outside of `when`.";
        let inner = [path.key("body"), path.key("header"), path.key("endpoint"), path.key("caller")];
        out.push(Draft::new(path.clone(), reason, remedy).given(inner));
    }
    for (name, test) in raw.body.iter() {
        if let RawTest::Test(choice) = test {
            one_kind(path.key("body").key(name), choice.present.is_some(), choice.any.is_some(), out);
        }
    }
    for (name, test) in raw.header.iter() {
        let path = path.key("header").key(name);
        if HeaderName::try_from(name).is_err() {
            let reason = "This cannot be the name of a header.";
            out.push(Draft::new(path, reason, "Use letters, digits and dashes, such as x-tier.").hidden());
        } else if let RawHeaderTest::Test(choice) = test {
            one_kind(path, choice.present.is_some(), choice.any.is_some(), out);
        }
    }
}

fn known_callers(raw: &Raw, path: &Path, condition: &RawCondition, out: &mut Vec<Draft>) {
    let known: Vec<&str> = raw.callers.iter().map(|(name, _)| name).chain([ANONYMOUS]).collect();
    for (at, name) in condition.caller.iter().flatten().enumerate() {
        let shut_out =
            name == ANONYMOUS && known.len() > 1 && raw.anonymous.as_ref().and_then(RawAnonymous::accepted).is_none();
        let (reason, remedy) = if shut_out {
            let remedy = "Set `anonymous: true`, or remove this.";
            ("Requests without a key are refused: this is never true.", remedy.to_owned())
        } else if known.contains(&name.as_str()) {
            continue;
        } else {
            ("There is no such caller.", suggest::remedy(name, &known, "Callers").0)
        };
        out.push(Draft::new(path.index(at), reason, remedy));
    }
}

fn one_kind(path: Path, present: bool, any: bool, out: &mut Vec<Draft>) {
    if present == any {
        let reason = "A test is one of the two: `present` or `any`.";
        let remedy = "Write a value, `{present: true}`, `{present: false}` or `{any: [one, or, other]}`.";
        let inner = [path.key("present"), path.key("any")];
        out.push(Draft::new(path, reason, remedy).hidden().given(inner));
    }
}
