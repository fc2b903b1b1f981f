//! Socket addresses and engine URLs out of text, with the mistakes people make.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::diagnostic::Draft;
use super::types::EngineUrl;

/// `address:port`, for something we listen on.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Draft> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => ("", text),
        _ => (text, "8000"),
    };
    let number = port.parse::<u16>();
    let host = match host.trim_start_matches("http://").trim_matches('/') {
        "" | "*" => "0.0.0.0".into(),
        "localhost" => "127.0.0.1".into(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let port = number.as_ref().map_or(8000, |port| *port);
    let guess = format!("{host}:{port}");
    let reason = "This is not an IP address with a port.";
    let remedy = if guess.parse::<SocketAddr>().is_ok() {
        format!("Write address:port, such as {guess}.")
    } else {
        "Write address:port, such as 0.0.0.0:8000 (every interface) or 127.0.0.1:8000 (this machine only).".into()
    };
    Err(Draft::of_text(reason, remedy))
}

/// Whether the two would hear the same callers, were their ports the same.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (a, b) = (a.ip().to_canonical(), b.ip().to_canonical());
    a == b || a.is_unspecified() || b.is_unspecified()
}

/// `first-last`, ports of engines.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, Draft> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first >= 1024 && first <= last).then_some(first..=last)
    });
    let remedy = "Write the first and the last port, such as 21000-21999; ports below 1024 need privileges.";
    range.ok_or_else(|| Draft::of_text("This is not a range of ports.", remedy))
}

/// `http://host:port` or `https://host:port`, and a path if the engine is there below one. `/v1` at its end is part of each
/// request and so not of it.
pub(super) fn engine_url(text: &str) -> Result<EngineUrl, Draft> {
    const SHAPE: &str = "Write http://host:port or https://host:port, and the path before /v1 where there is one.";
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        let guess = format!("http://{text}");
        let remedy = match engine_url(&guess) {
            Ok(_) => format!("Write {guess} (or https://…)."),
            Err(_) => SHAPE.into(),
        };
        return Err(Draft::of_text("The URL has no scheme.", remedy));
    };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        other => return Err(Draft::of_text(format!("Engines do not speak `{other}`."), SHAPE)),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        let remedy = "Leave user and password out of the URL; a key goes into `api_key`.";
        return Err(Draft::of_text("The URL holds a user name.", remedy));
    }
    let url =
        authority_of(tls, authority).ok_or_else(|| Draft::of_text("The URL names no valid host and port.", SHAPE))?;
    let path = tail.split(['?', '#']).next().unwrap_or_default();
    let base = base_of(path).ok_or_else(|| {
        Draft::of_text(
            "The URL's path has characters or segments that cannot be in one.",
            format!("Write {url}, or a plain path after it."),
        )
    })?;
    let url = EngineUrl { base: base.to_owned(), ..url };
    if path != tail {
        return Err(Draft::of_text("The URL has a query; requests bring their own.", format!("Write {url}.")));
    }
    Ok(url)
}

/// What comes before the paths of an engine's requests; `None`: `path` is none.
fn base_of(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let base = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&b);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(legal);
    (base.is_empty() || base.split('/').skip(1).all(is_segment)).then_some(base)
}

fn authority_of(tls: bool, authority: &str) -> Option<EngineUrl> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u16>().ok()?,
        Some(_) => return None,
        None => {
            if tls {
                443
            } else {
                80
            }
        }
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let fits = !host.is_empty() && host.len() <= 253 && host.chars().all(legal) && port != 0;
    fits.then(|| EngineUrl { tls, host: host.to_owned(), port, base: String::new() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_that_are_fine() {
        for (text, shown) in [
            ("http://10.0.0.7:8000", "http://10.0.0.7:8000"),
            ("https://engine.example/", "https://engine.example:443"),
            ("HTTP://a_b", "http://a_b:80"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://a:8000/v1", "http://a:8000"),
            ("http://a:8000/v1/", "http://a:8000"),
            ("https://a/api/v1", "https://a:443/api"),
            ("http://a:8000/team/qwen/", "http://a:8000/team/qwen"),
            ("http://a:8000/v1/v1", "http://a:8000/v1"),
            ("http://a:8000/v1beta", "http://a:8000/v1beta"),
        ] {
            assert_eq!(engine_url(text).expect("a URL").to_string(), shown);
        }
    }

    #[test]
    fn urls_that_are_not_and_what_to_write() {
        for (text, remedy) in [
            ("10.0.0.7:8000", "http://10.0.0.7:8000"),
            ("localhost", "http://localhost"),
            ("http://a?x", "http://a:80"),
            ("http://a/b/v1?key=x", "http://a:80/b."),
            ("http://a/b#c", "http://a:80/b."),
            ("http://a/b//c", "http://a:80, or a plain path"),
            ("http://a/../b", "http://a:80, or a plain path"),
            ("http://a/b c", "http://a:80, or a plain path"),
            ("ftp://a", "http://host:port"),
            ("http://", "http://host:port"),
            ("http://a:0", "http://host:port"),
            ("http://a:99999", "http://host:port"),
            ("http://a:", "http://host:port"),
            ("http://::1:8000", "http://host:port"),
            ("http://[x]:1", "http://host:port"),
            ("http://u:p@a", "api_key"),
            ("http://a b", "http://host:port"),
        ] {
            let why = engine_url(text).expect_err(text);
            assert!(why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }

    #[test]
    fn listen_addresses_and_what_to_write() {
        assert_eq!(listen("[::]:80").expect("fine").port(), 80);
        for (text, remedy) in [
            ("localhost:8000", "127.0.0.1:8000"),
            (":9000", "0.0.0.0:9000"),
            ("9000", "0.0.0.0:9000"),
            ("10.0.0.1", "10.0.0.1:8000"),
            ("::1", "[::1]:8000"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("example.com:80", "0.0.0.0:8000"),
            ("", "0.0.0.0:8000"),
        ] {
            let why = listen(text).expect_err(text);
            assert!(why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(text in prop_oneof![any::<String>(), "(https?://)?[\\[\\]a1:./@é]{0,12}"]) {
            let _ = (listen(&text), engine_url(&text));
        }
    }
}
