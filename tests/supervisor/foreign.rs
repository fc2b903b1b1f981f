//! Processes that we did not start are never signalled.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, model};
use crate::support::foreign::ForeignProcess;
use crate::support::processes;
use crate::support::{Gateway, eventually};

/// The number of a process in decimal, as a record has it, with the time of its start moved by `late`.
fn forge(record: &Value, pid: u32, late: u64) -> Value {
    let mut record = record.clone();
    let started = processes::stat(pid).expect("there").started;
    record["process"]["pid"] = json!(pid);
    record["process"]["started"] = json!(started + late);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_processes_are_left_alone() {
    let mut named = ForeignProcess::named("vllm serve");
    let (mut wanted, mut unwanted) = (ForeignProcess::named("vllm serve own"), ForeignProcess::named("sleep"));
    let own = model("own", "replicas: 2, restart: { initial_backoff: 10ms }, env: { ENGINEHOUSE_SIM_FAULTS: orphan }");
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{own}"));
    let pids = gateway.all_ready().await;
    processes::kill(pids[0]);
    gateway.ready_again("own/0", pids[0]).await;
    let pids = gateway.all_ready().await;
    gateway.kill();

    // Records whose processes are gone, and whose numbers are foreign processes' now: of an engine that is still configured, of
    // one that is not, and of one from another run of the machine.
    for pid in &pids {
        processes::kill(*pid);
    }
    let folder = deployment.state().join("engines");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).expect("a record")).expect("JSON")
    };
    let write = |name: &str, record: &Value| std::fs::write(folder.join(name), record.to_string()).expect("written");
    let record = read("own_0.json");
    write("own_0.json", &forge(&record, wanted.pid(), 1));
    let mut gone = forge(&record, unwanted.pid(), 100);
    (gone["engine"], gone["model"]) = (json!("gone/0"), json!("gone"));
    gone["nonce"] = json!("0123456789abcdef0123456789abcdef");
    write("gone_0.json", &gone);
    let mut other_boot = forge(&read("own_1.json"), named.pid(), 0);
    other_boot["process"]["boot"] = json!("11111111-2222-3333-4444-555555555555");
    write("own_1.json", &other_boot);

    let mut gateway = deployment.gateway();
    let pids = gateway.all_ready().await;
    assert!(!pids.contains(&wanted.pid()) && !pids.contains(&named.pid()));
    eventually("what is unwanted to be forgotten", async || (!folder.join("gone_0.json").exists()).then_some(())).await;
    eventually("orphans to end", async || (deployment.engine_processes().len() == 4).then_some(())).await;
    for foreign in [&mut named, &mut wanted, &mut unwanted] {
        foreign.assert_untouched();
    }
    gateway.stop().await;
    deployment.assert_empty();
    for foreign in [&mut named, &mut wanted, &mut unwanted] {
        foreign.assert_untouched();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_ours_before_we_began_is_no_engine() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", "")), None);
    // A script that leaves something running and ends in `exec enginehouse`.
    let gateway = deployment.command();
    let script = "env -i setsid sleep 601 & exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(gateway.get_program()).args(gateway.get_args());
    deployment.prepare(&mut command);
    let mut gateway = Gateway::of(command);
    gateway.all_ready().await;
    let foreign = processes::everybody()
        .into_iter()
        .find(|stat| stat.parent == gateway.pid() && stat.name == "sleep")
        .expect("the script's child");
    gateway.stop().await;
    let after = processes::stat(foreign.pid);
    processes::kill(foreign.pid);
    assert!(after.is_some_and(|after| after.state == 'S' && after.started == foreign.started), "it was ended");
    deployment.assert_empty();
}
