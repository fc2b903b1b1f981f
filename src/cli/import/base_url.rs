//! Base URLs of OpenAI's clients, which end in `/v1`, to addresses of engines, which do not.

/// The base URL without `/v1`, which is part of each request here. Variables may stand in it.
///
/// # Errors
/// What it is, in words that follow the name of its key; nothing of the URL, which may hold a secret.
pub(super) fn engine_url(text: &str) -> Result<String, String> {
    if let Some((name, default)) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')?.split_once(":-")) {
        return Ok(format!("${{{name}:-{}}}", if default.is_empty() { String::new() } else { engine_url(default)? }));
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
            assert_eq!(engine_url(text).as_deref(), Ok(url), "{text}");
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
            let why = engine_url(text).expect_err(text);
            assert!(!why.contains("sk-1"), "{why}");
        }
    }
}
