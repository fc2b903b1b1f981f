//! Engines that others run: `base_url`, `api_key` and `model` of a server to a model with `urls`.

use serde_json::Value;

use super::document::Section;
use super::fields::Fields;

/// The model for such a server.
///
/// # Errors
/// Why there can be none.
pub(super) fn remote(fields: &mut Fields<'_>) -> Result<Section, String> {
    let mut model = Section::default();
    let written = match fields.get("base_url")? {
        Some(Value::Array(all)) => all,
        Some(one) => vec![one],
        None => return Err("it has no `base_url`.".into()),
    };
    let (mut urls, mut refused): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for url in written {
        let text = url.as_str().unwrap_or_default().trim();
        match address(text) {
            Ok(_) if fields.is_secret("base_url", text) => refused.push("has a secret.".into()),
            Ok(url) => {
                if !url.starts_with("${") && !text.trim_end_matches('/').ends_with("/v1") {
                    let text = "`base_url` has no /v1: Gym would ask /chat/completions, Enginehouse asks \
                                /v1/chat/completions.";
                    fields.say(&mut model, text);
                }
                urls.push(url.into());
            }
            Err(why) => refused.push(why),
        }
    }
    if urls.is_empty() {
        return Err(format!("its `base_url` {}", refused.first().map_or("is an empty list.", String::as_str)));
    }
    for why in refused {
        fields.say(&mut model, format!("A `base_url` was left out: it {why}"));
    }
    urls.dedup();
    model.put("urls", urls);
    if let Some(key) = fields.take(&mut model, "api_key").filter(|key| key != "") {
        let key = fields.hidden(&mut model, "api_key", key);
        model.put("api_key", key);
    }
    match fields.take(&mut model, "model") {
        Some(Value::String(name)) if !fields.is_secret("model", &name) => model.put("served_name", name),
        _ => {
            fields.say(&mut model, "Gym's `model` is not a name: the gateway asks the engines for the name they serve.")
        }
    }
    Ok(model)
}

/// The base URL without `/v1`, which is part of each request here.
fn address(text: &str) -> Result<String, String> {
    if let Some((name, default)) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')?.split_once(":-")) {
        return Ok(format!("${{{name}:-{}}}", if default.is_empty() { String::new() } else { address(default)? }));
    }
    let url = text.trim_end_matches('/');
    let url = url.strip_suffix("/v1").unwrap_or(url).trim_end_matches('/');
    // A variable in front stands for scheme and host.
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest.or_else(|| Some(url).filter(|url| url.starts_with("${"))) else {
        return Err("is not a URL that begins with http:// or https://.".into());
    };
    // A key may be in a user's name or a query: nothing of such a URL is shown.
    if rest.is_empty() || rest.contains(['@', '?', '#', ' ', '\\']) {
        return Err("has more than scheme, host, port and path.".into());
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_become_addresses() {
        for (text, url) in [
            ("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000"),
            ("https://example.net/v1/", "https://example.net"),
            ("http://[::1]:8000/v1", "http://[::1]:8000"),
            ("http://h:8000", "http://h:8000"),
            ("http://h/openai/v1", "http://h/openai"),
            ("http://h/openai/", "http://h/openai"),
            ("${URL}", "${URL}"),
            ("${URL:-http://h:1/v1}", "${URL:-http://h:1}"),
            ("${URL:-}", "${URL:-}"),
            ("http://${HOST:-a/b}:${PORT}/v1", "http://${HOST:-a/b}:${PORT}"),
            ("${BASE}/v1", "${BASE}"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(url), "{text}");
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
