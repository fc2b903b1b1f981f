//! Settings of vllm-cli's proxy to those of the gateway.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::ports::{CALLERS, OPERATORS, operators};
use super::super::values::{text, whole};

/// What is known of a proxy.
const KEYS: &[&str] = &["host", "port", "enable_cors", "enable_metrics", "log_requests"];

/// Writes them to the top; the ports that the gateway has are returned.
pub(super) fn gateway(proxy: &Map<String, Value>, draft: &mut Draft) -> [u16; 2] {
    let mut top = Section::default();
    let (host, port) = (host(proxy, draft, &mut top), port(proxy, draft, &mut top));
    if (host, port) != (Ipv4Addr::UNSPECIFIED.into(), CALLERS) || proxy.contains_key("port") {
        top.put("listen", std::net::SocketAddr::new(host, port).to_string());
    }
    let mut admin = operators(port, &[], &mut top);
    if is(proxy, "enable_metrics") == Some(false) {
        admin.put("metrics", false);
    } else if is(proxy, "enable_metrics") == Some(true) {
        top.comment(
            "Metrics for Prometheus are at the address for operators: /metrics of `admin.listen` (127.0.0.1:8001).",
        );
    }
    let own =
        admin.value()["listen"].as_str().and_then(|text| text.rsplit_once(':')?.1.parse().ok()).unwrap_or(OPERATORS);
    top.nest_any("admin", admin);
    if is(proxy, "enable_cors").unwrap_or(true) {
        let mut cors = Section::default();
        cors.comment("Web pages of every origin may use the gateway; list the origins that need it.");
        cors.put("origins", json!(["*"]));
        top.nest("cors", cors);
    }
    if let Some(logged) = is(proxy, "log_requests") {
        let mut log = Section::default();
        log.put("access", logged);
        top.nest("log", log);
    }
    for key in proxy.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        draft.notes.say(&mut top, &format!("proxy.{key}"), "was left out: vllm-cli's proxy has no such setting.");
    }
    draft.top.append(top);
    [port, own]
}

fn host(proxy: &Map<String, Value>, draft: &mut Draft, at: &mut Section) -> IpAddr {
    match proxy.get("host").and_then(text).as_deref() {
        None => Ipv4Addr::UNSPECIFIED.into(),
        Some("localhost") => Ipv4Addr::LOCALHOST.into(),
        Some(host) => host.trim_matches(['[', ']']).parse().unwrap_or_else(|_| {
            draft.notes.say(
                at,
                "proxy.host",
                "is no IP address: the gateway listens on 127.0.0.1, for this \
                machine only. Write another address in `listen`.",
            );
            Ipv4Addr::LOCALHOST.into()
        }),
    }
}

fn port(proxy: &Map<String, Value>, draft: &mut Draft, at: &mut Section) -> u16 {
    let Some(value) = proxy.get("port").filter(|port| !port.is_null()) else { return CALLERS };
    whole(value).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or_else(|| {
        draft.notes.say(at, "proxy.port", format!("is no port: the gateway has {CALLERS}."));
        CALLERS
    })
}

fn is(proxy: &Map<String, Value>, key: &str) -> Option<bool> {
    proxy.get(key).and_then(Value::as_bool)
}
