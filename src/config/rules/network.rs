//! Where we listen and where engines are.

use std::net::SocketAddr;

use super::entries::models;
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::{OrOff, Raw};
use crate::config::types::{ANY_ORIGIN, EngineUrl};

pub(super) fn addresses_parse(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, text) in [(Path::of(&["listen"]), &raw.listen), (Path::of(&["admin", "listen"]), &raw.admin.listen)] {
        if let Err(draft) = address::listen(text) {
            out.push(draft.at(path));
        }
    }
    if let Err(draft) = address::ports(&raw.ports) {
        out.push(draft.at(Path::of(&["ports"])));
    }
}

/// Each engine that runs here listens on a port of its own.
pub(super) fn engines_have_ports(raw: &Raw, out: &mut Vec<Draft>) {
    let Ok(ports) = address::ports(&raw.ports) else { return };
    let own = models(raw).filter(|(.., model)| model.source.is_some() && model.port.is_none());
    let engines = own.fold(0_usize, |sum, (.., model)| sum.saturating_add(model.replicas.unwrap_or(1)));
    if engines > ports.len() {
        let reason = format!("{engines} engines need a port each, and there are {} ports.", ports.len());
        let remedy = "Widen `ports`, with some to spare for engines that replace others, or lower `replicas`.";
        let mut draft = Draft::new(Path::of(&["ports"]), reason, remedy);
        draft.given.extend(models(raw).map(|(path, ..)| path.key("replicas")));
        out.push(draft);
    }
}

pub(super) fn listen_and_admin_differ(raw: &Raw, out: &mut Vec<Draft>) {
    let (Ok(data), Ok(admin)) = (address::listen(&raw.listen), address::listen(&raw.admin.listen)) else { return };
    // Port 0 is chosen by the system, differently each time.
    if data.port() == admin.port() && data.port() != 0 && address::overlap(data, admin) {
        let reason = format!("The API ({data}) and the operators' API ({admin}) cannot share a port.");
        let remedy =
            format!("Give `admin.listen` another port, such as 127.0.0.1:{}.", data.port().wrapping_add(1).max(1));
        out.push(Draft::new(Path::of(&["admin", "listen"]), reason, remedy).given([Path::of(&["listen"])]));
    }
}

pub(super) fn admin_off_loopback_has_a_token(raw: &Raw, out: &mut Vec<Draft>) {
    let Ok(admin) = address::listen(&raw.admin.listen) else { return };
    let token = raw.admin.token.as_deref().unwrap_or("");
    if !admin.ip().to_canonical().is_loopback() && token.is_empty() {
        let reason = format!("Other machines can reach the operators' API at {admin}, and it has no token.");
        let remedy = "Set `admin.token` (for example ${ENGINEHOUSE_TOKEN}), or listen on 127.0.0.1.";
        let path = Path::of(&["admin", "token"]);
        out.push(Draft::new(path, reason, remedy).given([Path::of(&["admin", "listen"])]));
    }
}

pub(super) fn keys_fit_a_header(raw: &Raw, out: &mut Vec<Draft>) {
    let admin = (Path::of(&["admin", "token"]), raw.admin.token.as_deref());
    let keys = models(raw).map(|(path, _, model)| (path.key("api_key"), model.api_key.as_deref()));
    for (path, key) in std::iter::once(admin).chain(keys) {
        if key.is_some_and(|key| !key.bytes().all(|b| b.is_ascii_graphic())) {
            let reason = "It has characters that cannot be sent in a header (a space or line break at its end?).";
            out.push(Draft::new(path, reason, "Use visible ASCII characters only, without spaces."));
        }
    }
}

pub(super) fn urls_are_engines(raw: &Raw, out: &mut Vec<Draft>) {
    let aliases = raw.aliases.iter().filter_map(|(_, alias)| alias.listen.as_deref());
    let own: Vec<SocketAddr> =
        aliases.chain([raw.listen.as_str()]).filter_map(|text| address::listen(text).ok()).collect();
    for (path, _, model) in models(raw) {
        let mut seen: Vec<(usize, EngineUrl)> = Vec::new();
        for (at, text) in model.urls.iter().flatten().enumerate() {
            let path = path.key("urls").index(at);
            let url = match address::engine_url(text) {
                Ok(url) => url,
                Err(draft) => {
                    out.push(draft.at(path));
                    continue;
                }
            };
            if own.iter().any(|own| is_own(*own, &url.host, url.port)) {
                let reason = "Enginehouse itself listens there: it would send every request to itself again and again.";
                out.push(Draft::new(path, reason, "Write the engine's own port.").given([Path::of(&["listen"])]));
            } else if let Some((earlier, _)) = seen
                .iter()
                .find(|(_, other)| (&other.host, other.port, &other.base) == (&url.host, url.port, &url.base))
            {
                let reason = format!("This engine is also at urls[{earlier}].");
                out.push(Draft::new(path, reason, "List each engine once."));
            }
            seen.push((at, url));
        }
    }
}

fn is_own(own: SocketAddr, host: &str, port: u16) -> bool {
    let ip =
        if host == "localhost" { Ok(std::net::Ipv4Addr::LOCALHOST.into()) } else { host.parse::<std::net::IpAddr>() };
    let listening = own.ip().to_canonical();
    port == own.port() && ip.is_ok_and(|ip| ip == listening || listening.is_unspecified() && ip.is_loopback())
}

pub(super) fn origins_are_origins(raw: &Raw, out: &mut Vec<Draft>) {
    for (at, origin) in raw.cors.origins.iter().enumerate() {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
            let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
            let is_host = |b: u8| b.is_ascii_graphic() && !b"/?#@*,".contains(&b);
            !scheme.is_empty() && scheme.bytes().all(is_scheme) && !host.is_empty() && host.bytes().all(is_host)
        });
        if origin != ANY_ORIGIN && !is_origin {
            let reason = format!("{origin:?} is not an origin.");
            let remedy = "Write scheme://host or scheme://host:port without a path, such as http://localhost:3000; or \"*\" \
                          for every page.";
            out.push(Draft::new(Path::of(&["cors", "origins"]).index(at), reason, remedy));
        }
    }
}

pub(super) fn hosts_are_hosts(raw: &Raw, out: &mut Vec<Draft>) {
    for (at, host) in raw.hosts.iter().enumerate() {
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !is_address && !is_name {
            let reason = format!("{host:?} is no host.");
            let remedy =
                "Write a name or an address without scheme, port and path, such as llm.example.com or 127.0.0.1.";
            out.push(Draft::new(Path::of(&["hosts"]).index(at), reason, remedy));
        }
    }
}

pub(super) fn health_paths_start_with_a_slash(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, model) in models(raw) {
        let Some(checks) = model.health.as_ref().and_then(OrOff::on) else { continue };
        let path = path.key("health").key("path");
        if !checks.path.starts_with('/') {
            let guess = checks.path.rsplit('/').next().unwrap_or("");
            let guess = if guess.is_empty() { "health" } else { guess };
            out.push(Draft::new(path, "A path begins with a slash.", format!("Write /{guess}.")));
        } else if !checks.path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            let reason = "The path has characters that cannot be in a request line.";
            out.push(Draft::new(path, reason, "Write a path such as /health; encode other characters as %XX."));
        }
    }
}
