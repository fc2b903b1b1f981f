//! The tables of routes in conf/clients.md: what they say is served is, and of the routes of a real vLLM none is left out.

use std::collections::BTreeSet;

use enginehouse::openai::Endpoint;
use serde_json::Value;

use crate::support::{Gateway, Sim, http};

/// The routes in the first column of the table below `heading`, with their methods where they are written.
fn table(heading: &str) -> Vec<(Option<String>, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/clients.md")).expect("the file");
    let section = text.split_once(&format!("\n### {heading}\n")).expect("the heading").1;
    let section = section.split("\n#").next().expect("text");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let quoted =
        rows.flat_map(|first| first.trim_end_matches('`').split("`, `").map(str::to_owned).collect::<Vec<_>>());
    quoted
        .map(|route| match route.split_once(' ') {
            Some((method, path)) => (Some(method.to_owned()), path.to_owned()),
            None => (None, route),
        })
        .collect()
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_of_a_real_vllm_is_served_or_has_its_reason() {
    let served: BTreeSet<String> = table("Served").iter().map(|(_, path)| shape(path)).collect();
    let refused: BTreeSet<String> = table("Not served").iter().map(|(_, path)| shape(path)).collect();
    assert!(served.is_disjoint(&refused));
    assert!(Endpoint::ALL.into_iter().all(|endpoint| served.contains(endpoint.path())), "{served:?}");
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vllm-life/start.log");
    let log = std::fs::read_to_string(log).expect("the recording");
    let routes: BTreeSet<String> =
        log.lines().filter_map(|line| Some(shape(line.split_once("Route: ")?.1.split_once(", Methods")?.0))).collect();
    assert!(routes.len() > 30, "{routes:?}");
    let missing: Vec<&String> =
        routes.iter().filter(|route| !served.contains(*route) && !refused.contains(*route)).collect();
    assert!(missing.is_empty(), "conf/clients.md says nothing of {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_serves_what_the_table_says_and_nothing_else() {
    let sim = Sim::start(&[]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let ask = async |method: &str, path: &str| {
        let method = method.parse().expect("a method");
        let url = gateway.url(&path.replace("/models/{id}", "/models/tiny").replace("{id}", "resp_1"));
        let reply = http().request(method, url).header("content-type", "application/json").body("{").send().await;
        let reply = reply.expect("answered");
        let status = reply.status().as_u16();
        let body: Value = reply.json().await.unwrap_or_default();
        (status, body["error"]["code"].as_str().map(str::to_owned))
    };
    for (method, path) in table("Served") {
        let (status, code) = ask(&method.expect("a method"), &path).await;
        assert!(status != 405 && code.as_deref() != Some("not_found"), "{path}: {status} {code:?}");
    }
    for (_, path) in table("Not served") {
        for method in ["GET", "POST"] {
            let (status, code) = ask(method, &path).await;
            // `/v1/responses/render` could also be a response of that name.
            assert!(matches!(status, 404 | 405), "{method} {path}: {status} {code:?}");
        }
    }
    assert_eq!(sim.get("/sim/last_request?path=/v1/responses/render&n=1").await, Value::Array(Vec::new()));
}
