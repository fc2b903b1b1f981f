//! What an alias takes from a server: the fields of Gym's behaviour, and the address it is reached at.

use std::net::IpAddr;

use serde_json::Value;

use super::document::Section;
use super::notes::{Fields, whole};
use super::servers::Kind;

/// What a field holds.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Flag,
    Members,
    Text,
}

/// The fields of Gym's behaviour, as `gym:` has them.
const FIELDS: &[(&str, Shape)] = &[
    ("return_token_id_information", Shape::Flag),
    ("request_prompt_and_generation_token_ids", Shape::Flag),
    ("uses_reasoning_parser", Shape::Flag),
    ("uses_interleaved_reasoning", Shape::Flag),
    ("preserve_reasoning_in_assistant_content", Shape::Flag),
    ("replace_developer_role_with_system", Shape::Flag),
    ("sequential_reasoning_allowed", Shape::Flag),
    ("is_responses_native", Shape::Flag),
    ("chat_template_kwargs", Shape::Members),
    ("sampling_overrides", Shape::Members),
    ("extra_body", Shape::Members),
    ("default_headers", Shape::Members),
    ("audio_root", Shape::Text),
    ("use_completions_api", Shape::Flag),
    ("render_chat_template", Shape::Flag),
    ("tokenizer", Shape::Text),
];

/// Fields that something else says here, or nothing has to.
const ELSEWHERE: &[&str] =
    &["base_url", "api_key", "model", "model_server", "host", "port", "name", "entrypoint", "num_workers", "domain"];

/// Fields about the engine that a local server starts.
const OF_ENGINES: &[&str] = &[
    "vllm_serve_kwargs",
    "vllm_serve_env_vars",
    "hf_home",
    "ray_worker_py_executable",
    "show_vllm_engine_stats",
    "debug",
];

/// The `gym` section: what is written, and no more.
pub(super) fn gym(fields: &mut Fields<'_>) -> Section {
    let mut out = Section::default();
    let written: Vec<String> = fields.server.fields.keys().cloned().collect();
    let says = |fields: &Fields<'_>, key: &str| matches!(fields.get(key), Ok(Some(value)) if flag(&value) == true);
    for key in written {
        let Some((_, shape)) = FIELDS.iter().find(|(field, _)| *field == key) else {
            let engines = fields.server.kind == Kind::Local && OF_ENGINES.contains(&key.as_str());
            if !ELSEWHERE.contains(&key.as_str()) && !engines {
                let near = nearest(&key, FIELDS.iter().map(|(field, _)| *field));
                let near = near.map_or_else(String::new, |near| format!(" Is `{near}` meant?"));
                fields.say(
                    &mut out,
                    format!("`{key}` was left out: Gym's model servers have no such field, and ignore it.{near}"),
                );
            }
            continue;
        };
        let Some(mut value) = fields.take(&mut out, &key) else { continue };
        match (key.as_str(), shape) {
            (_, Shape::Flag) => value = flag(&value),
            ("render_chat_template", _) => {}
            ("audio_root", _) if !value.as_str().is_some_and(|path| path.starts_with(['/', '$'])) => {
                let text = "`audio_root` was left out: it was relative to Gym's folder. Write an absolute path.";
                fields.say(&mut out, text);
                continue;
            }
            ("default_headers", _) => headers(fields, &mut value, &mut out),
            _ => {}
        }
        if key == "render_chat_template" && value == true && !says(fields, "use_completions_api") {
            out.comment("`render_chat_template` was left out: it does nothing without `use_completions_api`.");
            continue;
        }
        fields.hide(&mut out, &key, &mut value);
        out.put(key, value);
    }
    out
}

/// Headers that the engine's key replaces, and values that are no texts.
fn headers(fields: &mut Fields<'_>, value: &mut Value, out: &mut Section) {
    let Value::Object(headers) = value else { return };
    let key = headers.keys().find(|name| name.eq_ignore_ascii_case("authorization")).cloned();
    if let Some(key) = key {
        headers.shift_remove(&key);
        out.comment(format!("`{key}` of `default_headers` was left out: the engine's key replaces it, as in Gym."));
    }
    let odd: Vec<String> =
        headers.iter().filter(|(_, value)| !value.is_string()).map(|(name, _)| name.clone()).collect();
    for name in odd {
        headers.shift_remove(&name);
        fields.say(out, format!("`{name}` of `default_headers` was left out: a header holds a text."));
    }
}

/// `yes`, `"true"` and 1 as Gym takes them; anything else as it is.
fn flag(value: &Value) -> Value {
    let word = match value {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        other => return other.clone(),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" | "1.0" | "t" | "y" => Value::Bool(true),
        "false" | "no" | "off" | "0" | "0.0" | "f" | "n" => Value::Bool(false),
        _ => value.clone(),
    }
}

/// Where the server was reached, if its port is said, as `address:port`.
pub(super) fn listen(fields: &mut Fields<'_>, default_host: &str, out: &mut Section) -> Option<String> {
    let port = fields.take(out, "port");
    let path = format!("reached under /a/{}/v1 and by its name", fields.server.name);
    let port = match port {
        None => {
            out.comment(format!("No `listen`, as no port was written: it is {path}."));
            return None;
        }
        Some(Value::String(text)) if is_one_variable(&text) => text,
        Some(value) => match whole(&value).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) {
            Some(port) => port.to_string(),
            None => {
                fields.say(out, format!("`port` was left out, being no port: the alias is {path}."));
                return None;
            }
        },
    };
    let host = match fields.take(out, "host") {
        Some(Value::String(host)) if !host.trim().is_empty() => host.trim().to_owned(),
        _ => default_host.to_owned(),
    };
    let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
    if is_one_variable(&host) {
        return Some(format!("{host}:{port}"));
    }
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(host)) => Some(format!("{host}:{port}")),
        Ok(IpAddr::V6(host)) => Some(format!("[{host}]:{port}")),
        Err(_) => {
            let text = format!(
                "`host` is a name, and `listen` takes the address of an interface, such as 0.0.0.0:{port} (every one): the alias is {path}."
            );
            fields.say(out, text);
            None
        }
    }
}

fn is_one_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn truth_is_what_gym_takes_for_it() {
        for (value, expected) in [
            (json!("Yes"), json!(true)),
            (json!(0), json!(false)),
            (json!("${X}"), json!("${X}")),
            (json!([1]), json!([1])),
            (json!(false), json!(false)),
        ] {
            assert_eq!(flag(&value), expected, "{value}");
        }
    }

    #[test]
    fn typos_find_their_word() {
        assert_eq!(
            nearest("use_reasoning_parser", FIELDS.iter().map(|(field, _)| *field)),
            Some("uses_reasoning_parser")
        );
        assert_eq!(nearest("zzz", ["abc"]), None);
    }
}
