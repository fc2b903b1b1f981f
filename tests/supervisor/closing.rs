//! `on_exit: keep`, and `enginehouse stop`: a house is ended from outside, with or without a gateway.

use std::path::Path;
use std::process::Command;

use crate::support::BINARY;
use crate::support::house::{House, model};
use crate::support::processes;

/// Runs `enginehouse stop` in the environment of `house`: whether it succeeded, and what it said.
fn stop(house: &House, args: &[&str], state_home: Option<&Path>) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.arg("stop").args(args).env_remove("RUST_LOG");
    if let Some(folder) = state_home {
        command.env("XDG_STATE_HOME", folder);
    }
    let output = command.current_dir(house.path()).output().expect("run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_are_kept_are_taken_over_or_ended_from_outside() {
    let yaml = format!("on_exit: keep\nmodels:\n{}", model("own", "replicas: 2"));
    let (house, mut gateway) = House::open(&yaml);
    let pids = gateway.all_ready().await;
    gateway.stop().await;
    assert!(pids.iter().all(|pid| processes::lives(*pid)), "engines are kept");

    let mut gateway = house.gateway();
    assert_eq!(gateway.all_ready().await, pids, "and taken over");
    gateway.kill();

    let state = house.state();
    let state = state.to_str().expect("text");
    let (good, said) = stop(&house, &["--state-dir", state], None);
    assert!(good && said.contains("own/0 has ended") && said.contains("own/1 has ended"), "{said}");
    house.assert_empty();
    assert_eq!(stop(&house, &["--state-dir", state], None), (true, "Nothing runs.\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_is_asked_to_end_first() {
    let (house, mut gateway) = House::open(&format!("models:\n{}", model("own", "replicas: 1")));
    gateway.all_ready().await;
    let (good, said) = stop(&house, &["house.yaml", "--state-dir", "state"], None);
    assert!(good && said.contains(&format!("the gateway (pid {}) has ended", gateway.pid())), "{said}");
    assert_eq!(gateway.ended().await, Some(0), "it ended well, and was not killed");
    house.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_reaches_every_house_of_this_user() {
    let home = tempfile::tempdir().expect("a folder");
    let mut gateways = Vec::new();
    let (one, two) = (House::new(), House::new());
    for (house, name) in [(&one, "one"), (&two, "two")] {
        house.write(&format!("name: {name}\nmodels:\n{}", model(name, "replicas: 1")), None);
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(house.path().join("house.yaml")).env("XDG_STATE_HOME", home.path());
        house.prepare(&mut command);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_that_does_not_hold_the_lock_is_not_signalled() {
    let (house, mut gateway) = House::open(&format!("models:\n{}", model("own", "replicas: 1")));
    gateway.all_ready().await;
    // As when the gateway runs in a container whose pids mean others here.
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("started");
    std::fs::write(house.state().join("lock"), format!("{}\n", stranger.id())).expect("written");
    let (good, said) = stop(&house, &["--state-dir", "state"], None);
    assert!(!good && said.contains("is not it"), "{said}");
    assert_eq!(stranger.try_wait().expect("wait"), None, "the stranger lives");
    stranger.kill().expect("ours");
    stranger.wait().expect("ours");
    gateway.stop().await;
    house.assert_empty();
}

#[test]
fn nothing_named_is_an_error_with_what_to_name() {
    let house = House::new();
    let (good, said) = stop(&house, &[], None);
    assert!(!good && said.contains("--all"), "{said}");
}
