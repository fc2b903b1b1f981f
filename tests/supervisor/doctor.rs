//! `enginehouse doctor` tells of engines that run without their gateway.

use std::process::Command;

use serde_json::Value;

use crate::support::BINARY;
use crate::support::deployment::{Deployment, model};

/// What it says of engines that were left.
fn left_over(deployment: &Deployment) -> (String, String) {
    let mut command = Command::new(BINARY);
    command.args(["doctor", "gateway.yaml", "--state-dir", "state", "--json"]).current_dir(deployment.path());
    let output = command.output().expect("the binary runs");
    let checks: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let check = checks.iter().find(|check| check["name"] == "left_over_engines").expect("a check");
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("status"), format!("{} {}", text("found"), text("remedy")))
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_without_a_gateway_are_told_with_the_way_to_end_them() {
    let yaml = format!("on_exit: keep\nmodels:\n{}", model("own", "replicas: 1"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    gateway.all_ready().await;
    let (status, said) = left_over(&deployment);
    assert!(status == "ok" && said.contains(&format!("a gateway (pid {}) runs on ", gateway.pid())), "{said}");
    gateway.kill();
    let (status, said) = left_over(&deployment);
    assert!(status == "warning" && said.contains("run") && said.contains("without a gateway"), "{said}");
    let state = deployment.state();
    assert!(said.contains(&format!("`enginehouse shutdown --state-dir {}` ends them", state.display())), "{said}");
    let mut command = Command::new(BINARY);
    let output = command.args(["shutdown", "--state-dir"]).arg(&state).output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(left_over(&deployment).0, "ok");
    deployment.assert_empty();
}
