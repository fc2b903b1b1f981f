//! A gateway that has no file descriptor left: clients hear of it, and the log stays short.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::support::deployment::{Deployment, model};
use crate::support::{Gateway, eventually};

/// More than enough for a gateway without connections, on any number of cores.
const DESCRIPTORS: usize = 160;

/// Sends a request on a connection of its own; what it gets.
fn ask(gateway: &Gateway) -> String {
    let mut stream = TcpStream::connect(gateway.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it hangs"),
        // The connection may be reset, but not before it was accepted.
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_clients_are_turned_away_and_the_log_says_it_once() {
    let deployment = Deployment::new();
    deployment.write(&format!("threads: 2\nmodels:\n{}", model("own", "replicas: 1")), None);
    let gateway = deployment.command();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")]);
    command.arg(gateway.get_program()).args(gateway.get_args());
    deployment.prepare(&mut command);
    let mut gateway = Gateway::of(command);
    gateway.all_ready().await;
    assert!(ask(&gateway).starts_with("HTTP/1.1 200"));
    let held: Vec<TcpStream> =
        (0..DESCRIPTORS).map(|_| TcpStream::connect(gateway.address).expect("connected")).collect();
    eventually("it to run out of descriptors", async || gateway.log().contains("Too many open files").then_some(()))
        .await;
    for _ in 0..20 {
        let answer = ask(&gateway);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let log = gateway.log();
    assert!(log.contains("fit into the open-file limit"), "it is told at the start");
    assert!(!log.contains("too low for limits.connections"), "nobody asked for so many");
    let told = gateway.log().lines().filter(|line| line.contains("connections cannot be accepted")).count();
    assert!((1..=3).contains(&told), "{told} lines");
    drop(held);
    eventually("it to serve again", async || ask(&gateway).starts_with("HTTP/1.1 200").then_some(())).await;
    gateway.stop().await;
    deployment.assert_empty();
}
