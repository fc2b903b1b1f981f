//! `on_exit: keep`, and `enginehouse shutdown`: a deployment is ended from outside, with or without a gateway.

use std::path::Path;
use std::process::Command;

use crate::support::deployment::{Deployment, model};
use crate::support::processes;
use crate::support::{BINARY, eventually};

/// Runs `enginehouse shutdown` in the environment of `deployment`: whether it succeeded, and what it said.
fn stop(deployment: &Deployment, args: &[&str], state_home: Option<&Path>) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.arg("shutdown").args(args).env_remove("RUST_LOG");
    if let Some(folder) = state_home {
        command.env("XDG_STATE_HOME", folder);
    }
    let output = command.current_dir(deployment.path()).output().expect("run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_are_kept_are_taken_over_or_ended_from_outside() {
    let yaml = format!("on_exit: keep\nmodels:\n{}", model("own", "replicas: 2"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    gateway.stop().await;
    assert!(pids.iter().all(|pid| processes::lives(*pid)), "engines are kept");

    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await, pids, "and taken over");
    gateway.kill();

    let state = deployment.state();
    let state = state.to_str().expect("text");
    let (good, said) = stop(&deployment, &["--state-dir", state], None);
    assert!(good && said.contains("own/0 has ended") && said.contains("own/1 has ended"), "{said}");
    deployment.assert_empty();
    let (good, said) = stop(&deployment, &["--state-dir", state], None);
    let nothing = format!("There was nothing to stop: no gateway and no engine runs on {state}.\n");
    assert!(good && said.starts_with(&nothing), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_is_asked_to_end_first() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "replicas: 1")));
    gateway.all_ready().await;
    // What a changed `name` or `state_dir` does.
    let (good, said) = stop(&deployment, &["gateway.yaml", "--state-dir", "elsewhere"], None);
    assert!(
        good && said.contains("nothing to stop") && said.contains("elsewhere") && said.contains("--state-dir"),
        "{said}"
    );
    let (good, said) = stop(&deployment, &["gateway.yaml", "--state-dir", "state"], None);
    assert!(good && said.contains(&format!("the gateway (pid {}) has ended", gateway.pid())), "{said}");
    assert_eq!(gateway.ended().await, Some(0), "it ended well, and was not killed");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stands_still_is_ended_with_its_engines() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "replicas: 2")));
    gateway.all_ready().await;
    processes::signal(gateway.pid(), rustix::process::Signal::STOP);
    eventually("it to stand still", async || {
        processes::stat(gateway.pid()).is_some_and(|stat| stat.state == 'T').then_some(())
    })
    .await;
    let (good, said) = stop(&deployment, &["gateway.yaml", "--state-dir", "state"], None);
    assert!(good && said.contains("was stopped by a signal") && said.contains("has ended"), "{said}");
    assert_eq!(gateway.ended().await, Some(0), "it ended well, and was not killed");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_without_records_are_ended_and_others_are_not() {
    let yaml = format!("models:\n{}", model("own", "replicas: 2"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let (other, mut other_gateway) = Deployment::open(&yaml);
    gateway.all_ready().await;
    let others = other_gateway.all_ready().await;
    gateway.kill();
    std::fs::remove_dir_all(deployment.state()).expect("removed");
    let (good, said) = stop(&deployment, &["--state-dir", "state"], None);
    assert!(good && said.contains("own/0 has ended") && said.contains("own/1 has ended"), "{said}");
    deployment.assert_empty();
    assert_eq!(other_gateway.all_ready().await, others);
    other_gateway.stop().await;
    other.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stops_every_gateway_of_this_user() {
    let home = tempfile::tempdir().expect("a folder");
    let mut gateways = Vec::new();
    let (one, two) = (Deployment::new(), Deployment::new());
    for (deployment, name) in [(&one, "one"), (&two, "two")] {
        deployment.write(&format!("name: {name}\nmodels:\n{}", model(name, "replicas: 1")), None);
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(deployment.path().join("gateway.yaml")).env("XDG_STATE_HOME", home.path());
        deployment.prepare(&mut command);
        let gateway = crate::support::Gateway::of(command);
        gateway.all_ready().await;
        gateways.push(gateway);
    }
    gateways[0].kill();
    let (good, said) = stop(&one, &["--all"], Some(home.path()));
    assert!(good && said.contains("one/0 has ended"), "an engine of a dead gateway: {said}");
    assert!(said.contains(&format!("the gateway (pid {}) has ended", gateways[1].pid())), "{said}");
    one.assert_empty();
    two.assert_empty();
    // What a crash left half written tells of no gateway.
    let left = home.path().join("enginehouse/left");
    std::fs::create_dir(&left).expect("a folder");
    std::fs::write(left.join("gateway.json"), "{").expect("written");
    let (good, said) = stop(&one, &["--all"], Some(home.path()));
    let looked = format!("Looked for in {}", home.path().join("enginehouse").display());
    assert!(good && said.contains(&looked) && said.contains("--state-dir DIR"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_that_does_not_hold_the_lock_is_not_signalled() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "replicas: 1")));
    gateway.all_ready().await;
    // As when the gateway runs in a container whose pids mean others here.
    let mut foreign = Command::new("sleep").arg("600").spawn().expect("started");
    std::fs::write(deployment.state().join("lock"), format!("{}\n", foreign.id())).expect("written");
    let (good, said) = stop(&deployment, &["--state-dir", "state"], None);
    assert!(!good && said.contains("is not it"), "{said}");
    assert_eq!(foreign.try_wait().expect("wait"), None, "the foreign process lives");
    foreign.kill().expect("ours");
    foreign.wait().expect("ours");
    gateway.stop().await;
    deployment.assert_empty();
}

#[test]
fn nothing_named_is_an_error_with_what_to_name() {
    let deployment = Deployment::new();
    let (good, said) = stop(&deployment, &[], None);
    assert!(!good && said.contains("--all"), "{said}");
}
