//! Where the gateway is to listen when something that was imported has its usual ports already.

use std::net::IpAddr;

use serde_json::Value;

use super::document::Section;

/// The ports that a configuration without `listen` and `admin.listen` has.
const CALLERS: u16 = 8000;
const OPERATORS: u16 = 8001;

/// How far apart the ports are that are tried instead.
const STEP: usize = 10;

/// The addresses to write before `models` and `aliases`; empty where the usual ones are free.
pub(super) fn addresses(models: &Value, aliases: &Value) -> Section {
    let engines = members(models).filter_map(|model| model["urls"].as_array()).flatten();
    let engines = engines.filter_map(Value::as_str).filter_map(port_here);
    let own =
        members(aliases).filter_map(|alias| with_defaults(alias["listen"].as_str()?).rsplit_once(':')?.1.parse().ok());
    let taken: Vec<u16> = engines.chain(own).collect();
    let free = |usual: u16| (usual..).step_by(STEP).find(|port| !taken.contains(port)).unwrap_or(usual);
    let (callers, operators) = (free(CALLERS), free(OPERATORS));
    let mut out = Section::default();
    if callers != CALLERS {
        out.comment(format!("An engine or an alias has port {CALLERS}."));
        out.put("listen", format!("0.0.0.0:{callers}"));
    }
    if operators != OPERATORS {
        out.comment(format!("An engine or an alias has port {OPERATORS}."));
        let mut admin = Section::default();
        admin.put("listen", format!("127.0.0.1:{operators}"));
        out.nest("admin", admin);
    }
    out
}

fn members(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_object().into_iter().flat_map(|members| members.values())
}

/// The port of an engine that is, or may be, on this machine.
fn port_here(url: &str) -> Option<u16> {
    let url = with_defaults(url);
    let authority = url.split("://").nth(1)?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    let may_be = host.is_empty() || host == "localhost" || host.parse().is_ok_and(is_here);
    port.parse().ok().filter(|_| may_be)
}

/// `text` with the defaults of its variables; those without one are empty.
fn with_defaults(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, after) = part.split_once('}').unwrap_or((part, ""));
        out += inner.split_once(":-").map_or("", |(_, default)| default);
        out += after;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_that_something_here_has_are_left_to_it() {
        let written = |urls: &[&str], listen: &str| {
            addresses(&json!({ "m": { "urls": urls }, "n": { "source": "s" } }), &json!({ "a": { "listen": listen } }))
                .value()
        };
        assert_eq!(written(&["http://10.0.0.7:8000", "https://h"], "127.0.0.1:9000"), json!({}));
        for here in
            ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "${HOST}:8000", "${HOST:-127.0.0.1}:${PORT:-8000}"]
        {
            assert_eq!(written(&[&format!("http://{here}")], ""), json!({ "listen": "0.0.0.0:8010" }), "{here}");
        }
        let expected = json!({ "listen": "0.0.0.0:8020", "admin": { "listen": "127.0.0.1:8011" } });
        assert_eq!(written(&["http://127.0.0.1:8000", "http://127.0.0.1:8001/v1"], "${H:-0.0.0.0}:8010"), expected);
    }
}
