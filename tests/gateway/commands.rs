//! The commands for a running gateway: what they print, their JSON, their exit codes, and what they say when there is none.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::deployment::{Deployment, model};
use crate::support::{BINARY, Gateway, eventually, http};

/// How a command ended, and what it wrote.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(words).env_remove("RUST_LOG").env_remove("ENGINEHOUSE_ADMIN").env_remove("ENGINEHOUSE_ADMIN_TOKEN");
    command.stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Said {
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code().expect("an exit code"), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command for the gateway of `deployment`.
fn say(deployment: &Deployment, words: &[&str]) -> Said {
    let mut command = command(words);
    command.arg("--state-dir").arg(deployment.state());
    run(command)
}

async fn open() -> (Deployment, Gateway) {
    // One that takes longer to start than an answer waits for a refusal.
    let one = "replicas: 1, sleep_mode: true, lora: {}, env: { ENGINEHOUSE_SIM_FAULTS: ready-after=1s }";
    let models = model("org/one", one) + &model("two", "replicas: 2");
    let rest = "aliases: { quick: { model: two, defaults: { temperature: 0.5 } } }\ncallers: { bot: { keys: [a-key-of-the-bot] } }\nanonymous: {}\n";
    let (deployment, gateway) = Deployment::open(&format!("name: cli\nmodels:\n{models}{rest}"));
    gateway.all_ready().await;
    (deployment, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_does_is_shown_as_text_and_as_json() {
    let (deployment, gateway) = open().await;
    assert_eq!(gateway.ask("quick").await.0, 200);
    let request = eventually("the request to be listed", async || {
        say(&deployment, &["requests", "--json"]).json()["requests"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    for (words, shown, pointer, value) in [
        (vec!["status"], "ENGINES READY", "/status/name", "cli"),
        (vec!["engines"], "two/1", "/engines/0/engine", "org/one/0"),
        (vec!["engines", "org/one/0"], "took to start", "/engines/0/state", "ready"),
        (vec!["aliases"], "temperature", "/aliases/0/alias", "quick"),
        (vec!["aliases", "quick"], "leads to", "/model", "two"),
        (vec!["callers"], "TOKENS WRITTEN", "/callers/0/caller", "bot"),
        (vec!["requests"], "TTFT", "/requests/0/alias", "quick"),
        (vec!["requests", &request], "attempts", "/alias", "quick"),
        (vec!["requests", "--model", "two", "-n", "1"], "quick", "/requests/0/model", "two"),
        (vec!["log-level"], "info", "/level", "info"),
    ] {
        let said = say(&deployment, &words);
        assert!(
            said.code == 0 && said.out.contains(shown) && said.err.is_empty(),
            "{words:?}: {} {}",
            said.out,
            said.err
        );
        assert!(said.out.lines().all(|line| line == line.trim_end()), "{words:?}: {}", said.out);
        let told = say(&deployment, &[&words[..], &["--json"]].concat()).json();
        assert_eq!(told.pointer(pointer).and_then(Value::as_str), Some(value), "{words:?}: {told:#}");
    }
    for (words, kind) in [(["operations"], "operations"), (["audit"], "entries")] {
        assert!(say(&deployment, &[&words[..], &["--json"]].concat()).json()[kind].is_array());
    }
    let logs = say(&deployment, &["logs", "--grep", "SERVING HTTP"]);
    assert!(logs.code == 0 && logs.out.lines().count() == 1 && logs.out.starts_with("gateway: "), "{}", logs.out);
    let logs = say(&deployment, &["logs", "two", "-n", "3", "--json"]);
    let lines: Vec<Value> = logs.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let from = |name: &str| lines.iter().filter(|line| line["from"] == name).count();
    assert_eq!((from("two/0"), from("two/1"), lines.len()), (3, 3, 6), "those of both engines of the model");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_are_stopped_started_put_to_sleep_scaled_and_rolled() {
    let (deployment, gateway) = open().await;
    let state = |engine: &str| say(&deployment, &["engines", engine, "--json"]).json()["engines"][0]["state"].clone();
    let done = |words: &[&str], what: &str| {
        let said = say(&deployment, words);
        assert!(said.code == 0 && said.out.contains(what), "{words:?}: {} {}", said.out, said.err);
    };
    done(&["stop", "two/1"], "done in");
    assert_eq!(state("two/1"), "stopped");
    done(&["start", "two"], "done in");
    assert_eq!(state("two/1"), "ready");
    done(&["sleep", "org/one", "--level", "2"], "done in");
    assert_eq!(state("org/one/0"), "asleep");
    done(&["wake", "org/one/0"], "done in");
    done(&["restart", "two/0"], "done in");
    done(&["drain", "two/0"], "done in");
    assert_eq!(say(&deployment, &["engines", "two/0", "--json"]).json()["engines"][0]["drained"], true);
    done(&["undrain", "two/0"], "done in");
    done(&["scale", "two", "3"], "done in");
    assert_eq!(say(&deployment, &["engines", "two", "--json"]).json()["engines"].as_array().map(Vec::len), Some(3));
    done(&["roll", "two"], "done in");
    done(&["lora", "add", "org/one", "sql", "/adapters/sql"], "done in");
    assert_eq!(gateway.ask("sql").await.0, 200);
    done(&["lora", "remove", "org/one", "sql"], "done in");
    done(&["restart", "org/one", "--no-wait"], "begun (operation ");
    let operations = say(&deployment, &["operations", "--json"]).json();
    let id = operations["operations"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(operations["operations"][0]["action"], "restart");
    // It may be over already.
    let cancelled = say(&deployment, &["cancel", &id]);
    assert!(matches!(cancelled.code, 0 | 1), "{}", cancelled.err);
    let audit = say(&deployment, &["audit", "--json"]).json();
    assert!(audit["entries"].as_array().expect("entries").iter().all(|entry| entry["operator"]["login"] == "local"));

    for words in
        [&["stop", "tow"][..], &["engines", "tow"], &["aliases", "quik"], &["scale", "tow", "2"], &["logs", "tow"]]
    {
        let said = say(&deployment, words);
        assert!(said.code == 4 && said.err.contains(words[1]) | said.err.contains("tow"), "{words:?}: {}", said.err);
    }
    assert!(say(&deployment, &["stop", "twoo"]).err.contains("Did you mean two"));
    assert_eq!(say(&deployment, &["scale", "two", "0"]).code, 2);
    let said = say(&deployment, &["stop", "gateway.yaml"]);
    assert!(said.code == 2 && said.err.contains("enginehouse shutdown gateway.yaml"), "{}", said.err);
    // An engine that cannot load an adapter.
    let said = say(&deployment, &["lora", "add", "two", "sql", "/adapters/sql"]);
    assert!(said.code == 1 && !said.err.is_empty(), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_aliases_and_callers_are_added_and_removed() {
    let (deployment, gateway) = open().await;
    let said = say(&deployment, &["add", "alias", "terse", "model=two", "defaults.max_tokens=3"]);
    assert!(said.code == 0 && said.out.contains("alias terse: added"), "{} {}", said.out, said.err);
    assert_eq!(gateway.ask("terse").await.0, 200);
    let added =
        say(&deployment, &["add", "model", "three", "source=three", "command=[enginehouse, sim]", "--json"]).json();
    assert_eq!(added["change"]["models"][0]["name"], "three");
    let said = say(&deployment, &["add", "alias", "terse", "model=nothing"]);
    assert!(
        said.code == 1 && said.err.contains("nothing") && said.err.contains("Nothing was changed."),
        "{}",
        said.err
    );
    assert_eq!(say(&deployment, &["add", "alias", "x"]).code, 2);
    let said = say(&deployment, &["remove", "alias", "quick"]);
    assert!(said.code == 0 && said.out.contains("alias quick: removed"), "{} {}", said.out, said.err);
    assert_eq!(gateway.ask("quick").await.0, 404);
    assert_eq!(say(&deployment, &["remove", "alias", "quick", "--undo"]).code, 0);
    assert_eq!(gateway.ask("quick").await.0, 200);
    assert_eq!(say(&deployment, &["remove", "caller", "nobody"]).code, 4);
    let said = say(&deployment, &["log-level", "debug"]);
    assert!(said.code == 0 && said.out.starts_with("debug"), "{} {}", said.out, said.err);
    assert_eq!(say(&deployment, &["log-level", "loud"]).code, 1);
    assert_eq!(say(&deployment, &["reload", "--json"]).json()["outcome"], "unchanged");
}

#[test]
fn what_the_command_line_says_wins_over_the_environment() {
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(run(command(&["status", "--admin", "https://x:1"])).code, 2);
    for (address, said) in [("127.0.0.1:1", "a-name-that"), ("", "a-name-that")] {
        let mut named = command(&["status", "--name", "a-name-that-no-gateway-has"]);
        named.env("ENGINEHOUSE_ADMIN", address).env("XDG_STATE_HOME", empty.path());
        let found = run(named);
        assert!(found.code == 3 && found.err.contains(said), "{}", found.err);
    }
    let mut elsewhere = command(&["status"]);
    elsewhere.env("ENGINEHOUSE_ADMIN", "127.0.0.1:1");
    assert!(run(elsewhere).err.contains("127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_are_found_by_name_and_one_with_a_token_asks_for_none_on_its_machine() {
    let home = tempfile::tempdir().expect("a folder");
    let token = "a-token-of-operators";
    let start = |name: &str, admin: &str| {
        let (deployment, home) = (Deployment::new(), home.path());
        let file = deployment.path().join("gateway.yaml");
        let models = "models: { m: { urls: ['http://127.0.0.1:1'] } }";
        let text = format!("name: {name}\nlisten: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0{admin} }}\n{models}\n");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(file);
        deployment.prepare(&mut command);
        command.env("XDG_STATE_HOME", home);
        (deployment, Gateway::of(command))
    };
    let ask = |words: &[&str]| {
        let mut command = command(words);
        command.env("XDG_STATE_HOME", home.path());
        run(command)
    };
    let (_first, mut one) = start("one", "");
    assert_eq!(ask(&["status", "--json"]).json()["status"]["name"], "one");
    let (_second, mut two) = start("two", "");
    let said = ask(&["status"]);
    assert!(said.code == 2 && said.err.contains("one (pid") && said.err.contains("two (pid"), "{}", said.err);
    assert_eq!(ask(&["status", "--name", "two", "--json"]).json()["status"]["pid"], two.pid());
    // One that was killed leaves its file, and is not taken for one that runs.
    one.kill();
    assert_eq!(ask(&["status", "--json"]).json()["status"]["name"], "two");

    let (_third, mut three) = start("three", &format!(", token: {token}"));
    assert_eq!(ask(&["status", "--name", "three", "--json"]).json()["status"]["name"], "three");
    let admin = three.admin.to_string();
    assert_eq!(ask(&["status", "--admin", &admin]).code, 0, "its token is in the state directory");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut foreign = command(&["status", "--admin", &admin]);
    foreign.env("XDG_STATE_HOME", elsewhere.path());
    let said = run(foreign);
    assert!(said.code == 1 && said.err.contains("ENGINEHOUSE_ADMIN_TOKEN"), "{}", said.err);
    let mut told = command(&["status"]);
    told.env("XDG_STATE_HOME", elsewhere.path()).env("ENGINEHOUSE_ADMIN_TOKEN", token).env("ENGINEHOUSE_ADMIN", &admin);
    assert_eq!(run(told).code, 0);
    // They have no engines here, and are ended all the same.
    let said = ask(&["shutdown", "--all"]);
    assert!(said.code == 0 && said.out.matches("has ended").count() == 2, "{} {}", said.out, said.err);
    assert_eq!((two.ended().await, three.ended().await), (Some(0), Some(0)));
    assert!(ask(&["shutdown", "--all"]).out.contains("There was nothing to stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_comes_as_it_happens_and_ends_with_the_gateway() {
    let (deployment, mut gateway) = open().await;
    let follow = |words: &[&str]| {
        let mut command = command(words);
        command.arg("--state-dir").arg(deployment.state()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it runs")
    };
    let mut requests = follow(&["requests", "-f", "--json", "--alias", "quick"]);
    let mut logs = follow(&["logs", "gateway", "-f", "-n", "0", "--json"]);
    let (heard, hear) = std::sync::mpsc::channel();
    let lines = BufReader::new(requests.stdout.take().expect("a pipe")).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| heard.send(line)));
    // The follower may not be there yet: until it has heard one.
    let line = eventually("the follower to hear of a request", async || {
        assert_eq!(gateway.ask("quick").await.0, 200);
        hear.try_recv().ok()
    })
    .await;
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["alias"], "quick");
    gateway.stop().await;
    for child in [&mut requests, &mut logs] {
        assert_eq!(child.wait().expect("ended").code(), Some(3));
    }
    let said = say(&deployment, &["status"]);
    assert_eq!(said.code, 3, "{}", said.err);
}

/// Passes requests on to the operators' API at `admin`, but is no true gateway for who wants events: it says that some were
/// missed, and then nothing any more. Returns where it listens.
async fn falls_silent(admin: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head).expect("text");
            let path = head.split(' ').nth(1).expect("a path");
            let answer = if path.starts_with("/api/v1/events") {
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: connected\n\ndata: {\"event\":\"resync\"}\n\n".to_owned()
            } else {
                let body = http().get(format!("http://{admin}{path}")).send().await.expect("an answer").text().await;
                let body = body.expect("a body");
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            };
            connection.write_all(answer.as_bytes()).await.expect("written");
            if path.starts_with("/api/v1/events") {
                silent.push(connection);
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_is_told_of_what_is_missing_and_does_not_wait_for_ever() {
    let (_deployment, gateway) = open().await;
    let address = falls_silent(gateway.admin).await.to_string();
    let said = tokio::task::spawn_blocking(move || run(command(&["requests", "-f", "--admin", &address])));
    let said = said.await.expect("joined");
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("Some requests are missing here"), "{}", said.err);
    assert!(said.err.contains("has said nothing for 20 s"), "{}", said.err);
}
