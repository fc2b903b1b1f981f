//! Several projects of one user, each with a configuration file of the same name: none finds the engines of another.

use std::process::Command;

use crate::support::deployment::{Deployment, model};
use crate::support::{BINARY, Gateway, processes};

/// A gateway whose state directory is where it is by default, under `home`.
fn serve(deployment: &Deployment, home: &std::path::Path) -> Gateway {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("gateway.yaml").current_dir(deployment.path()).env("XDG_STATE_HOME", home);
    deployment.prepare(&mut command);
    Gateway::of(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_with_the_same_file_name_serve_at_the_same_time() {
    let home = tempfile::tempdir().expect("a folder");
    let (one, two) = (Deployment::new(), Deployment::new());
    for deployment in [&one, &two] {
        deployment.write(&format!("models:\n{}", model("own", "replicas: 1")), None);
    }
    let mut first = serve(&one, home.path());
    let pids = first.all_ready().await;
    let mut second = serve(&two, home.path());
    second.all_ready().await;
    assert!(pids.iter().all(|pid| processes::lives(*pid)), "it still runs");
    for gateway in [&first, &second] {
        assert_eq!(gateway.ask("own").await.0, 200);
    }
    // Also where the first one is dead: its engines are for its successor.
    first.kill();
    second.stop().await;
    let mut second = serve(&two, home.path());
    second.all_ready().await;
    let stopped = Command::new(BINARY)
        .arg("shutdown")
        .arg(two.path().join("gateway.yaml"))
        .env("XDG_STATE_HOME", home.path())
        .output()
        .expect("run");
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stdout));
    assert_eq!(second.ended().await, Some(0));
    two.assert_empty();
    let mut first = serve(&one, home.path());
    assert_eq!(first.all_ready().await, pids, "they were found and taken over");
    first.stop().await;
    one.assert_empty();
}
