//! Engines that somebody else runs: `base_url`, `api_key` and `model` of a server to a model with `urls`.

use serde_json::Value;

use super::document::Section;
use super::notes::{Fields, set};

/// A model, and what tells it from others.
pub(super) struct Remote {
    /// Its members, under `models`.
    pub(super) model: Section,
    /// The same engines, asked for the same with the same key, make the same text.
    pub(super) identity: String,
}

/// The model for such a server.
///
/// # Errors
/// Why there can be none.
pub(super) fn remote(fields: &mut Fields<'_>) -> Result<Remote, String> {
    let mut model = Section::default();
    let written = match fields.get("base_url")? {
        None => return Err("it has no `base_url`.".into()),
        Some(Value::String(one)) => vec![Value::String(one)],
        Some(Value::Array(all)) => all,
        Some(_) => return Err("its `base_url` is neither a URL nor a list of them.".into()),
    };
    let mut urls: Vec<Value> = Vec::new();
    let mut refused = Vec::new();
    for (at, url) in written.iter().enumerate() {
        let which = if written.len() > 1 { format!("`base_url[{at}]`") } else { "`base_url`".into() };
        let text = url.as_str().map(str::trim).unwrap_or_default();
        if fields.is_secret("base_url", text) {
            refused.push(format!("{which} holds a secret."));
            continue;
        }
        match address(text) {
            Ok((url, note)) => {
                if let Some(note) = note {
                    fields.say(&mut model, format!("{which} {note}"));
                }
                if !urls.contains(&Value::from(url.as_str())) {
                    urls.push(url.into());
                }
            }
            Err(why) => refused.push(format!("{which} {why}")),
        }
    }
    if urls.is_empty() {
        return Err(refused.into_iter().next().unwrap_or_else(|| "its `base_url` is an empty list.".into()));
    }
    for why in refused {
        fields.say(&mut model, format!("{why} It was left out."));
    }
    let mut identity = format!("{urls:?}");
    model.put("urls", urls);
    key(fields, &mut model, &mut identity);
    match fields.get("model") {
        Ok(Some(Value::String(name))) if !name.trim().is_empty() && !fields.is_secret("model", &name) => {
            identity.push_str(&name);
            model.put("served_name", name);
        }
        Ok(_) => fields.say(&mut model, "Gym's `model` is no name: the engines are asked for the one they serve."),
        Err(why) => fields.say(&mut model, format!("{why} Without it the engines are asked for the name they serve.")),
    }
    Ok(Remote { model, identity })
}

fn key(fields: &mut Fields<'_>, model: &mut Section, identity: &mut String) {
    let own = fields.variable("api_key");
    match fields.get("api_key") {
        Ok(None) => {}
        Ok(Some(Value::String(key))) => {
            // Equal keys are equal engines, also where they cannot be shown.
            identity.push_str(&key);
            let mut value = Value::String(key);
            if value.as_str().is_some_and(|key| !key.is_empty() && fields.is_secret("api_key", key)) {
                fields.hide(model, "api_key", &mut value);
            }
            if value != "" {
                model.put("api_key", value);
            }
        }
        Ok(Some(_)) => {
            fields.say(model, set(&own, "api_key"));
            model.put("api_key", format!("${{{own}}}"));
        }
        Err(why) => {
            fields.say(model, format!("{why} Or set the environment variable {own} to the key of the engines."));
            model.put("api_key", format!("${{{own}}}"));
        }
    }
}

/// `scheme://host:port` out of a base URL, and what there is to be said about it.
fn address(text: &str) -> Result<(String, Option<String>), String> {
    let env = "comes from the environment: the variable must hold scheme://host:port here, without /v1.";
    if let Some((name, default)) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).map(split_default)
        && !name.contains("${")
    {
        return match default.filter(|default| !default.is_empty()) {
            None => Ok((text.to_owned(), Some(env.into()))),
            Some(default) => Ok((format!("${{{name}:-{}}}", address(default)?.0), Some(env.into()))),
        };
    }
    // A variable in front stands for scheme and host.
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme == "http" || scheme == "https" => (Some(scheme), rest),
        None if text.starts_with("${") => (None, text),
        _ => return Err("is not a URL that begins with http:// or https://.".into()),
    };
    let end = end_of_authority(rest);
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("holds a user name, which Enginehouse does not send. Use a key.".into());
    }
    if authority.is_empty() || authority.contains([' ', '\\']) {
        return Err("names no host.".into());
    }
    let url = scheme.map_or_else(|| authority.to_owned(), |scheme| format!("{scheme}://{authority}"));
    match path.trim_end_matches('/') {
        "/v1" => Ok((url, scheme.is_none().then(|| env.to_owned()))),
        "" => Ok((
            url,
            Some("has no /v1: Gym would ask /chat/completions, Enginehouse asks /v1/chat/completions.".into()),
        )),
        _ => Err(format!(
            "of {url} has another path than /v1; Enginehouse asks engines under /v1 only. Give the engine's own address."
        )),
    }
}

/// `NAME` and the default of `NAME:-default`.
fn split_default(inner: &str) -> (&str, Option<&str>) {
    inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)))
}

/// Where the path begins, variables skipped.
fn end_of_authority(rest: &str) -> usize {
    let mut inside = false;
    for (at, c) in rest.char_indices() {
        match c {
            '$' if rest[at..].starts_with("${") => inside = true,
            '}' => inside = false,
            '/' | '?' | '#' if !inside => return at,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_become_addresses() {
        for (text, url, noted) in [
            ("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000", false),
            ("https://example.net/v1/", "https://example.net", false),
            ("http://[::1]:8000/v1", "http://[::1]:8000", false),
            ("http://h:8000", "http://h:8000", true),
            ("${URL}", "${URL}", true),
            ("${URL:-http://h:1/v1}", "${URL:-http://h:1}", true),
            ("http://${HOST:-a/b}:${PORT}/v1", "http://${HOST:-a/b}:${PORT}", false),
            ("${BASE}/v1", "${BASE}", true),
        ] {
            let (seen, note) = address(text).expect(text);
            assert_eq!((seen.as_str(), note.is_some()), (url, noted), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_showing_what_may_be_secret() {
        for text in [
            "http://h/openai/v1?key=sk-1",
            "ftp://sk-1/v1",
            "http://u:sk-1@h/v1",
            "http:///v1",
            "",
            "sk-1",
            "${U:-sk-1}",
        ] {
            let why = address(text).expect_err(text);
            assert!(!why.contains("sk-1"), "{why}");
        }
    }
}
