//! What signals do to a gateway that runs engines.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::deployment::{Deployment, model};
use crate::support::{Gateway, Ready, eventually};

fn send(gateway: &Gateway, signal: Signal) {
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, signal).expect("sent");
}

/// A bug: these signals ended the gateway at once and left its engines running.
#[tokio::test(flavor = "multi_thread")]
async fn hup_usr1_usr2_and_alrm_leave_the_gateway_and_its_engines_running_and_quit_ends_them_in_order() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "")));
    let pids = gateway.all_ready().await;
    for signal in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::IO, Signal::PROF, Signal::XCPU] {
        send(&gateway, signal);
    }
    send(&gateway, Signal::HUP);
    eventually("the reload", async || gateway.log().contains("was reloaded: nothing changed").then_some(())).await;
    assert_eq!(gateway.ask("own").await.0, 200);
    assert_eq!(gateway.all_ready().await, pids);
    send(&gateway, Signal::QUIT);
    assert_eq!(gateway.ended().await, Some(0));
    deployment.assert_empty();
}

/// A bug: a SIGHUP that came while the configuration was read ended the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_while_the_configuration_is_read_does_not_end_the_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, ready) = (folder.path().join("gateway.yaml"), Ready::new());
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");
    let mut command = Command::new(crate::support::BINARY);
    command.arg("serve").arg(&file).arg("--state-dir").arg(folder.path().join("state"));
    command.arg("--ready-file").arg(ready.path()).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let pid = Pid::from_child(&child);
    // Opened when the gateway has it open, to read it.
    let writing = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(file));
    let mut pipe = writing.await.expect("no panic").expect("opened");
    kill_process(pid, Signal::HUP).expect("sent");
    let yaml =
        "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nmodels: { m: { urls: [\"http://127.0.0.1:1\"] } }\n";
    std::io::Write::write_all(&mut pipe, yaml.as_bytes()).expect("written");
    drop(pipe);
    eventually("the gateway to serve", async || {
        assert_eq!(child.try_wait().expect("wait"), None, "it runs");
        ready.read()
    })
    .await;
    kill_process(pid, Signal::TERM).expect("sent");
    assert!(tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("ended").success());
}

/// Starts a gateway of `deployment` on a terminal of its own, which ends when the returned `script` is killed.
fn on_a_terminal(deployment: &Deployment, ready: &Ready, before: &str) -> std::process::Child {
    let serve = deployment.command();
    let words = std::iter::once(serve.get_program()).chain(serve.get_args());
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    // What runs the tests may ignore SIGHUP itself (`nohup`, a runner in the background), and a shell could not undo it.
    let serve = quoted.join(" ");
    let line = format!("exec env --default-signal=HUP {before} {serve} --ready-file '{}'", ready.path().display());
    let mut script = Command::new("script");
    deployment.prepare(&mut script);
    // nohup writes its file where it is.
    script.current_dir(deployment.path());
    script.args(["--quiet", "--command", &line, "/dev/null"]);
    script.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("script, of util-linux, is installed")
}

/// A bug: a closed terminal ended the gateway at once and left its engines running.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_ends_the_gateway_and_its_engines_in_order() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", "")), None);
    let ready = Ready::new();
    let mut script = on_a_terminal(&deployment, &ready, "");
    eventually("the engine to be ready", async || crate::support::is_ready(&ready).await.then_some(())).await;
    script.kill().expect("killed");
    script.wait().expect("reaped");
    eventually("everything to end", async || deployment.processes().is_empty().then_some(())).await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nohup_a_gateway_outlives_its_terminal() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", "")), None);
    let ready = Ready::new();
    let mut script = on_a_terminal(&deployment, &ready, "nohup");
    eventually("the engine to be ready", async || crate::support::is_ready(&ready).await.then_some(())).await;
    let pid = ready.read().expect("serves").pid;
    script.kill().expect("killed");
    script.wait().expect("reaped");
    // The terminal is gone, and SIGHUP still means to reload.
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::HUP).expect("sent");
    let admin = ready.read().expect("serves").admin;
    eventually("the reload", async || {
        let url = format!("http://{admin}/api/v1/reload");
        crate::support::http().get(url).send().await.ok().filter(|reply| reply.status() == 200).map(|_| ())
    })
    .await;
    assert!(crate::support::is_ready(&ready).await, "it serves");
    kill_process(pid, Signal::TERM).expect("sent");
    eventually("everything to end", async || deployment.processes().is_empty().then_some(())).await;
    deployment.assert_empty();
}
