//! A state directory that cannot be used is an error at the start, and later no reason to stop serving.

use std::process::Command;
use std::time::Duration;

use crate::support::deployment::{Deployment, model, refused};
use crate::support::load::Load;
use crate::support::mount::{fill, filler, on_a_disk_of_its_own, on_the_disk_of};
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

#[tokio::test(flavor = "multi_thread")]
async fn engines_are_found_again_after_their_state_directory_vanished() {
    for waits in [true, false] {
        let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", QUICK)));
        let pids = gateway.all_ready().await;
        if !waits {
            gateway.kill();
        }
        // The gateway may be writing there.
        eventually("it to be removed", async || std::fs::remove_dir_all(deployment.state()).ok()).await;
        if waits {
            let (_, said, _) = deployment.refused();
            let held = format!("already runs on `{}` (pid {})", deployment.state().display(), gateway.pid());
            assert!(said.contains(&held), "{said}");
            eventually("what is kept there to be written again", async || {
                let records = std::fs::read_dir(deployment.state().join("engines")).into_iter().flatten().flatten();
                let records = records.filter(|entry| entry.path().extension().is_some_and(|end| end == "json")).count();
                let lock = std::fs::read_to_string(deployment.state().join("lock")).unwrap_or_default();
                (records == 2 && lock.trim() == gateway.pid().to_string()).then_some(())
            })
            .await;
            gateway.kill();
        }
        let mut gateway = deployment.gateway();
        assert_eq!(gateway.all_ready().await, pids, "taken over; waits: {waits}");
        let is_told = gateway.log().contains("no record tells of");
        assert_eq!(is_told, !waits);
        gateway.stop().await;
        deployment.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_nobody_from_taking_over_engines() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", QUICK)), None);
    let Some(command) = on_a_disk_of_its_own(&deployment, "rw", "") else { return };
    let mut gateway = Gateway::of(command);
    let pids = gateway.all_ready().await;
    fill(&deployment, &gateway);
    gateway.kill();
    // Its engines still have that disk.
    let mut gateway = Gateway::of(on_the_disk_of(&deployment, pids[0]));
    assert_eq!(gateway.all_ready().await, pids, "both run on");
    assert_eq!(gateway.ask("own").await.0, 200);
    let log = gateway.log();
    let told = log.lines().find(|line| line.contains("are taken over all the same")).expect("it is told");
    assert!(told.contains("No space left") && told.contains("make room"), "{told}");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_an_engine_that_writes_fast_stays_small() {
    // 8 KiB at a time, a hundred times a second.
    let script = "while sleep 0.01; do printf '%08191d\\n' 0; done";
    let own = format!("  own: {{ source: own, command: [bash, -c, \"{script}\", x] }}\n");
    let (deployment, mut gateway) =
        Deployment::open(&format!("engine_logs: {{ size: 64KiB, keep: 3 }}\nmodels:\n{own}"));
    let log = deployment.state().join("logs/own_0.log");
    let size = |end: &str| std::fs::metadata(format!("{}{end}", log.display())).map(|about| about.len()).ok();
    let parts = eventually("three parts to be put aside", async || {
        let parts: Vec<u64> = [".1", ".2", ".3"].iter().filter_map(|end| size(end)).collect();
        (parts.len() == 3).then_some(parts)
    })
    .await;
    println!("{parts:?}");
    assert!(parts.iter().all(|size| *size < 1024 * 1024), "{parts:?}");
    gateway.stop().await;
    deployment.assert_empty();
}
