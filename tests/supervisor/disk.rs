//! A state directory that cannot be used is an error at the start, and later no reason to stop serving.

use std::process::Command;
use std::time::Duration;

use crate::support::deployment::{Deployment, model, refused};
use crate::support::load::Load;
use crate::support::mount::{fill, filler, on_a_disk_of_its_own};
use crate::support::processes;
use crate::support::{Gateway, eventually};

fn assert_refused(command: Command, words: &[&str]) {
    let (status, text, took) = refused(command);
    println!("{}", text.lines().last().unwrap_or_default());
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    for word in words {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(!text.contains("engine process started") && !text.contains("panicked"), "{text}");
}

const QUICK: &str = "replicas: 2, restart: { initial_backoff: 10ms }, args: { ttft: 10ms, gap: 1ms, tokens: 10 }";

#[test]
fn a_state_directory_that_cannot_be_used_is_refused_at_the_start() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", "")), None);
    std::fs::write(deployment.state(), "a file").expect("written");
    assert_refused(deployment.command(), &["state", "is a file", "state_dir"]);
    std::fs::remove_file(deployment.state()).expect("removed");
    if let Some(command) = on_a_disk_of_its_own(&deployment, "ro", "") {
        assert_refused(command, &["Read-only", "state_dir"]);
    }
    if let Some(command) = on_a_disk_of_its_own(&deployment, "rw", "cat /dev/zero > \"$STATE/filler\" 2>/dev/null;") {
        assert_refused(command, &["No space left", "make room"]);
    }
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_takes_no_engine_down() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", QUICK)), None);
    let Some(command) = on_a_disk_of_its_own(&deployment, "rw", "") else { return };
    let mut gateway = Gateway::of(command);
    let pids = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(20).await;
    fill(&deployment, &gateway);
    load.answered(100).await;
    assert_eq!(gateway.all_ready().await, pids, "both run on");
    for replica in [0, 1, 0] {
        let id = format!("own/{replica}");
        let before = gateway.engine_pid(&id).await;
        processes::kill(before);
        gateway.ready_again(&id, before).await;
        fill(&deployment, &gateway);
        load.answered(20).await;
    }
    load.stop_unharmed().await;
    let log = gateway.log();
    let told = log.lines().filter(|line| line.contains("record cannot be written")).count();
    // Once for an engine, unless what its end freed was enough for a record in between.
    assert!((1..=4).contains(&told), "told {told} times, for two engines and three restarts");
    assert!(log.contains("it is started without one"), "the engine's log is missed as well");
    std::fs::remove_file(filler(&deployment, &gateway)).expect("removed");
    let before = gateway.engine_pid("own/0").await;
    processes::kill(before);
    gateway.ready_again("own/0", before).await;
    eventually("it to say so", async || gateway.log().contains("record is written again").then_some(())).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_vanishes_takes_no_engine_down() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", QUICK)));
    let pids = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(20).await;
    std::fs::remove_dir_all(deployment.state()).expect("removed");
    load.answered(50).await;
    assert_eq!(gateway.all_ready().await, pids, "both run on");
    for _ in 0..2 {
        let before = gateway.engine_pid("own/1").await;
        processes::kill(before);
        gateway.ready_again("own/1", before).await;
    }
    load.answered(20).await;
    load.stop_unharmed().await;
    gateway.stop().await;
    deployment.assert_empty();
}
