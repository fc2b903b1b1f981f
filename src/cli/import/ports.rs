//! Where the gateway is to listen when something that was imported has its usual ports already.

use std::net::IpAddr;

use serde_json::Value;

use super::document::Section;

/// The port of `listen` where none is written.
pub(super) const CALLERS: u16 = 8000;

/// The port of `admin.listen` where none is written.
pub(super) const OPERATORS: u16 = 8001;

/// How far apart the ports are that are tried instead.
const STEP: usize = 10;

/// The addresses to write before `models` and `aliases`; empty where the usual ones are free.
pub(super) fn addresses(models: &Value, aliases: &Value) -> Section {
    let taken = taken(models, aliases);
    let callers = free(CALLERS, &taken);
    let mut out = Section::default();
    if callers != CALLERS {
        out.comment(format!("An engine or an alias has port {CALLERS}."));
        out.put("listen", format!("0.0.0.0:{callers}"));
    }
    let admin = operators(callers, &taken, &mut out);
    if !admin.is_empty() {
        out.nest("admin", admin);
    }
    out
}

/// Where operators reach a gateway that listens at `callers`: what to write in `admin`; nothing where the usual port is free.
pub(super) fn operators(callers: u16, taken: &[u16], out: &mut Section) -> Section {
    let port = free(OPERATORS, &[taken, &[callers]].concat());
    let mut admin = Section::default();
    if port != OPERATORS {
        let whose = if callers == OPERATORS { "Clients have" } else { "An engine or an alias has" };
        out.comment(format!("{whose} port {OPERATORS}."));
        admin.put("listen", format!("127.0.0.1:{port}"));
    }
    admin
}

/// Ports of this machine that engines of others, and aliases, have.
pub(super) fn taken(models: &Value, aliases: &Value) -> Vec<u16> {
    let engines = members(models).filter_map(|model| model["urls"].as_array()).flatten();
    let engines = engines.filter_map(Value::as_str).filter_map(port_here);
    let own =
        members(aliases).filter_map(|alias| with_defaults(alias["listen"].as_str()?).rsplit_once(':')?.1.parse().ok());
    engines.chain(own).collect()
}

fn free(usual: u16, taken: &[u16]) -> u16 {
    (usual..).step_by(STEP).find(|port| !taken.contains(port)).unwrap_or(usual)
}

fn members(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_object().into_iter().flat_map(|members| members.values())
}

/// Whether the engine at `url` is, or may be, on this machine.
pub(super) fn is_here(url: &str) -> bool {
    let url = with_defaults(url);
    let authority = url.split("://").nth(1).unwrap_or(&url).split('/').next().unwrap_or_default();
    host_is_here(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
}

fn host_is_here(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    host.is_empty() || host == "localhost" || host.parse().is_ok_and(is_here)
}

/// The port of an engine that is, or may be, on this machine.
fn port_here(url: &str) -> Option<u16> {
    let url = with_defaults(url);
    let authority = url.split("://").nth(1)?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    port.parse().ok().filter(|_| host_is_here(host))
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
