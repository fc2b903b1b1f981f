//! The configuration is changed while the gateway serves: by a signal, the API, the command line, and a watched file.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::{BINARY, Gateway, Sim, chat, eventually, http};

/// A gateway in front of `sim`, its file, and the folder of the file.
struct Place {
    sim: Sim,
    file: PathBuf,
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Place {
    /// Starts with `aliases` and `more`.
    async fn new(aliases: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("gateway.yaml");
        let sim = Sim::start(&["--ttft", "0"]);
        std::fs::write(&file, text(&sim, aliases, more)).expect("written");
        let gateway = Gateway::serve(&file, tempfile::tempdir().expect("temporary folder"));
        gateway.wait_ready().await;
        Self { sim, file, gateway, _folder: folder }
    }

    fn write(&self, aliases: &str, more: &str) {
        std::fs::write(&self.file, text(&self.sim, aliases, more)).expect("written");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.gateway.admin)
    }

    /// `POST /api/v1/reload`: status and report.
    async fn reload(&self) -> (u16, Value) {
        let reply = http().post(self.url("reload")).send().await.expect("answered");
        (reply.status().as_u16(), reply.json().await.expect("JSON"))
    }

    /// Runs `enginehouse COMMAND FILE --admin ADDRESS`.
    async fn run(&self, command: &str) -> (bool, String) {
        self.run_with(command, &self.file).await
    }

    async fn run_with(&self, command: &str, file: &Path) -> (bool, String) {
        let (file, admin) = (file.to_owned(), self.gateway.admin.to_string());
        let command = command.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            std::process::Command::new(BINARY).arg(command).arg(file).args(["--admin", &admin]).output()
        });
        let Output { status, stdout, stderr } = run.await.expect("ran").expect("ran");
        (status.success(), [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    async fn ask(&self, name: &str) -> u16 {
        self.gateway.ask(name).await.0
    }
}

fn text(sim: &Sim, aliases: &str, more: &str) -> String {
    let head = "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\n";
    format!("{head}models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ {aliases} }}\n{more}", sim.url())
}

const ONE: &str = "one: { model: tiny }";
const TWO: &str = "one: { model: tiny }, two: { model: tiny, overrides: { seed: 1 } }";

#[tokio::test(flavor = "multi_thread")]
async fn plan_tells_what_reload_does_and_changes_nothing() {
    let place = Place::new(ONE, "").await;
    assert_eq!(place.run("plan").await, (true, "A reload would change nothing.\n".into()));
    place.write(TWO, "limits: { body: 1MiB }\n");
    let changes = "  alias two: added\n  limits.body: 64MiB -> 1MiB\n";
    let (ok, said) = place.run("plan").await;
    assert!(ok && said.starts_with("A reload would change:\n") && said.ends_with(changes), "{said}");
    assert_eq!(place.ask("two").await, 404);
    let (ok, said) = place.run("reload").await;
    assert!(ok && said.ends_with(changes), "{said}");
    assert_eq!(place.ask("two").await, 200);
    let last: Value = http().get(place.url("reload")).send().await.expect("answered").json().await.expect("JSON");
    assert_eq!((&last["outcome"], &last["cause"]), (&json!("applied"), &json!("api")));
    assert_eq!(place.gateway.metric("enginehouse_config_last_reload_successful").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_the_message_names_line_key_and_remedy() {
    let place = Place::new(ONE, "").await;
    let reply = http().get(place.url("reload")).send().await.expect("answered");
    assert_eq!(reply.status(), 404, "there was no reload yet");
    for (aliases, more, key, line) in [
        ("one: { model: tinny }", "", "aliases.one.model", 4),
        (TWO, "limits: { bodi: 1MiB }\n", "limits.bodi", 5),
        (TWO, "callers: { a: { keys: [] } }\n", "callers.a.keys", 5),
        (TWO, "timeouts: { drain: soon }\n", "timeouts.drain", 5),
    ] {
        place.write(aliases, more);
        let (status, report) = place.reload().await;
        assert_eq!((status, &report["outcome"]), (422, &json!("rejected")), "{report}");
        let error = &report["errors"][0];
        assert_eq!((&error["key"], &error["line"]), (&json!(key), &json!(line)), "{report}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.matches(['.', ';']).count() >= 1 && message.len() > 30, "a reason and a remedy: {message}");
        let (ok, said) = place.run("plan").await;
        assert!(!ok && said.contains(key) && said.contains(&format!("line {line}")), "{said}");
        let (ok, said) = place.run("reload").await;
        assert!(!ok && said.contains(key) && said.contains("othing was changed"), "{said}");
        assert_eq!((place.ask("one").await, place.ask("two").await), (200, 404));
    }
    assert_eq!(place.gateway.metric("enginehouse_config_last_reload_successful").await, 0.0);
    for broken in [": [", "", "models: {}"] {
        std::fs::write(&place.file, broken).expect("written");
        assert_eq!(place.reload().await.0, 422, "{broken:?}");
    }
    std::fs::remove_file(&place.file).expect("removed");
    let (status, report) = place.reload().await;
    assert!(status == 422 && report["errors"][0]["message"].as_str().is_some_and(|text| text.contains("No such file")));
    assert_eq!(place.ask("one").await, 200);
    assert!(place.gateway.log().contains("aliases.one.model, line 4"), "{}", place.gateway.log());
    place.write(TWO, "");
    assert_eq!(place.reload().await.0, 200);
    assert_eq!(place.gateway.metric("enginehouse_config_last_reload_successful").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_is_not_taken_for_the_gateways_own() {
    let place = Place::new(ONE, "").await;
    let other = place.file.with_file_name("other.yaml");
    std::fs::copy(&place.file, &other).expect("copied");
    place.write(TWO, "");
    let (ok, said) = place.run_with("reload", &other).await;
    assert!(
        !ok && said.contains(place.file.to_str().expect("UTF-8")) && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(place.ask("two").await, 404, "it was sent nothing");
    let (ok, said) = place.run_with("plan", &other).await;
    assert!(ok && said.contains("would change nothing"), "a draft for a gateway that is named: {said}");
    // A link to its file is its file.
    let link = place.file.with_file_name("link.yaml");
    symlink(&place.file, &link).expect("linked");
    assert!(place.run_with("reload", &link).await.0);
    assert_eq!(place.ask("two").await, 200);
}

/// A bug: whoever listened at `admin.listen` of the file was sent the file, or was made to reload.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_another_configuration_is_named_and_sent_nothing() {
    let place = Place::new(ONE, "name: mine\n").await;
    let other = place.file.with_file_name("other.yaml");
    let at = format!("admin: {{ listen: {} }}", place.gateway.admin);
    let text = text(&place.sim, TWO, "").replace("admin: { listen: 127.0.0.1:0 }", &at);
    std::fs::write(&other, &text).expect("written");
    for (command, files) in [("reload", vec![&other]), ("plan", vec![&other]), ("reload", vec![&place.file, &other])] {
        let output = std::process::Command::new(BINARY).arg(command).args(files).output().expect("ran");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("The gateway `mine`") && said.contains("sent nothing"), "{command}: {said}");
    }
    assert!(!place.gateway.log().contains("reloaded"), "{}", place.gateway.log());
    // With its name it is a draft for that gateway; it stays one where its own file is asked for.
    std::fs::write(&other, format!("{text}name: mine\n")).expect("written");
    let output = std::process::Command::new(BINARY).arg("plan").arg(&other).output().expect("ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("alias two: added"), "{said}");
    let output = std::process::Command::new(BINARY).arg("reload").arg(&other).output().expect("ran");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_place_of_the_file_is_refused_and_keeps_nobody_from_stopping() {
    let mut place = Place::new(ONE, "").await;
    std::fs::remove_file(&place.file).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &place.file, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");
    let (status, report) = place.reload().await;
    assert!(status == 422 && report.to_string().contains("a pipe"), "{report}");
    assert_eq!(place.ask("one").await, 200);
    place.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_kept_and_told_and_the_rest_is_applied() {
    let place = Place::new(ONE, "").await;
    place.write(TWO, "threads: 3\nports: 22000-22999\n");
    let (status, report) = place.reload().await;
    assert_eq!(status, 200, "{report}");
    let kept = report["change"]["restart_required"].as_array().expect("a list");
    assert_eq!(kept.iter().map(|one| &one["key"]).collect::<Vec<_>>(), ["ports", "threads"], "{report}");
    assert_eq!(kept[0]["to"], "22000-22999");
    assert_eq!(place.ask("two").await, 200, "the rest of the file holds");
    assert_eq!(place.gateway.metric("enginehouse_config_restart_required").await, 2.0);
    let log = place.gateway.log();
    assert!(log.contains("`threads` stays") && log.contains("needs a restart"), "{log}");
    place.write(TWO, "");
    assert_eq!(place.reload().await.0, 200);
    assert_eq!(place.gateway.metric("enginehouse_config_restart_required").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_callers_and_limits_change_for_the_next_request() {
    let place = Place::new(ONE, "").await;
    let more = |key: &str| format!("callers: {{ bot: {{ keys: [{key}] }} }}\nlimits: {{ body: 1KiB }}\n");
    place.write(ONE, &more("a-key-of-the-bot"));
    assert_eq!(place.reload().await.0, 200);
    assert_eq!(place.ask("one").await, 401);
    let ask = async |key: &str, size: usize| {
        let body = json!({ "model": "one", "messages": [{ "role": "user", "content": "x".repeat(size) }] });
        let request = http().post(place.gateway.url("/v1/chat/completions")).bearer_auth(key).json(&body);
        request.send().await.expect("answered").status().as_u16()
    };
    assert_eq!((ask("a-key-of-the-bot", 1).await, ask("a-key-of-the-bot", 2000).await), (200, 413));
    place.write(ONE, &more("its-further-key"));
    assert_eq!(place.reload().await.0, 200);
    assert_eq!((ask("a-key-of-the-bot", 1).await, ask("its-further-key", 1).await), (401, 200));

    let file = std::fs::read_to_string(&place.file).expect("read");
    let with_token = file.replace("listen: 127.0.0.1:0 }", "listen: 127.0.0.1:0, token: a-token-of-operators }");
    std::fs::write(&place.file, with_token).expect("written");
    assert_eq!(place.reload().await.0, 200);
    assert_eq!(place.reload().await.0, 401, "the next one needs the token");
    let (ok, said) = place.run("reload").await;
    assert!(ok && said.contains("Nothing changed"), "the command line has it from the file: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reloads_and_subscribers_hear_of_it() {
    let place = Place::new(ONE, "").await;
    let mut events = http().get(place.url("events")).send().await.expect("a stream");
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    place.write(TWO, "");
    let pid = i32::try_from(place.gateway.pid()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::HUP).expect("sent");
    let mut heard = String::new();
    while !heard.contains("\"cause\":\"signal\"") {
        let piece = events.chunk().await.expect("it goes on").expect("it does not end");
        heard += &String::from_utf8_lossy(&piece);
    }
    assert_eq!(place.ask("two").await, 200);
    while !heard.contains("\"event\":\"requests\"") {
        let piece = events.chunk().await.expect("it goes on").expect("it does not end");
        heard += &String::from_utf8_lossy(&piece);
    }
}

/// A folder as Kubernetes mounts a ConfigMap: the file leads through a link that is replaced as a whole.
fn config_map(folder: &Path, version: &str, text: &str) {
    std::fs::create_dir(folder.join(version)).expect("made");
    std::fs::write(folder.join(version).join("gateway.yaml"), text).expect("written");
    symlink(version, folder.join("..data_tmp")).expect("linked");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_is_reloaded_however_it_is_replaced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("gateway.yaml");
    let sim = Sim::start(&["--ttft", "0"]);
    let watched = |aliases: &str| text(&sim, aliases, "watch: true\n");
    config_map(folder.path(), "..v1", &watched(ONE));
    symlink("..data/gateway.yaml", &file).expect("linked");
    let gateway = Gateway::serve(&file, tempfile::tempdir().expect("temporary folder"));
    gateway.wait_ready().await;
    let serves = async |name: &str| {
        eventually(name, async || (gateway.ask(name).await.0 == 200).then_some(())).await;
    };
    config_map(folder.path(), "..v2", &watched(TWO));
    serves("two").await;
    // In place, in pieces.
    let three = watched("three: { model: tiny }");
    for piece in [&three[..three.len() / 2], &three] {
        std::fs::write(&file, piece).expect("written");
    }
    serves("three").await;
    // Replaced by an editor.
    let new = folder.path().join("new.yaml");
    std::fs::write(&new, watched("four: { model: tiny }")).expect("written");
    std::fs::rename(new, &file).expect("renamed");
    serves("four").await;
    // Not watched any more.
    std::fs::write(&file, text(&sim, "five: { model: tiny }", "")).expect("written");
    serves("five").await;
    let log = gateway.log();
    assert_eq!(log.matches("was reloaded").count(), 4, "{log}");
    assert!(log.contains("cause=Watch") && !log.contains("not reloaded"), "{log}");
}

/// A bug: between the reload and the first look at the new engine, requests found no engine.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_url_of_a_model_is_replaced_under_load_without_a_failed_request() {
    let mut place = Place::new(ONE, "").await;
    let mut other = Sim::start(&["--ttft", "0"]);
    let load = Load::start(place.gateway.address, "one", 4);
    for _ in 0..4 {
        load.answered(20).await;
        let (old, new) = (place.sim.url(), other.url());
        std::mem::swap(&mut place.sim, &mut other);
        place.write(ONE, "");
        let told = format!("model tiny: changed (urls)\n    urls: {old} -> {new}\n");
        let (ok, said) = place.run("plan").await;
        assert!(ok && said.contains(&told), "{said}");
        assert_eq!(place.reload().await.0, 200);
        eventually("the old one to go", async || {
            let engines = place.gateway.engines().await;
            (engines.len() == 1 && engines[0]["url"] == new.as_str()).then_some(())
        })
        .await;
    }
    load.answered(20).await;
    load.stop_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_passes_to_another_alias_is_told_and_one_that_is_taken_is_named_with_its_key() {
    let place = Place::new(ONE, "").await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let at = |alias: &str, address: SocketAddr| format!("{alias}: {{ model: tiny, listen: \"{address}\" }}");
    place.write(&at("one", free), "");
    assert_eq!(place.reload().await.0, 200);
    place.write(&at("two", free), "");
    let told = format!("{free} passes from aliases.one.listen to aliases.two.listen");
    for command in ["plan", "reload"] {
        let (ok, said) = place.run(command).await;
        assert!(ok && said.contains(&told), "{said}");
    }

    let taken = taken.local_addr().map(|address| (taken, address)).expect("an address");
    let admin = "the operators' API of this gateway";
    for (address, why) in [(taken.1, "Another process has it"), (place.gateway.admin, admin)] {
        place.write(&at("three", address), "");
        let (ok, said) = place.run("plan").await;
        assert!(!ok && said.contains("aliases.three.listen") && said.contains(why), "{said}");
        let (status, report) = place.reload().await;
        let (key, message) = (&report["errors"][0]["key"], report["errors"][0]["message"].as_str().expect("text"));
        assert_eq!((status, key), (422, &json!("aliases.three.listen")), "{report}");
        assert!(message.contains(why) && message.matches("in use").count() <= 1, "{message}");
        assert!(report["errors"][0]["line"].is_u64(), "{report}");
        assert_eq!(place.ask("two").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_covers_another_and_cannot_be_had_leaves_the_old_one_serving() {
    let place = Place::new(ONE, "").await;
    // Somebody has the port at another address of this machine, so that it is not to be had at all addresses.
    let other = TcpListener::bind("127.0.0.2:0").expect("a port");
    let port = other.local_addr().expect("an address").port();
    let own = |address: &str| format!("one: {{ model: tiny, listen: \"{address}:{port}\" }}");
    place.write(&own("127.0.0.1"), "");
    assert_eq!(place.reload().await.0, 200);
    place.write(&own("0.0.0.0"), "");
    let (status, report) = place.reload().await;
    assert_eq!((status, &report["outcome"]), (422, &json!("rejected")), "{report}");
    assert_eq!(report["errors"][0]["key"], "aliases.one.listen", "{report}");
    assert_eq!(place.gateway.metric("enginehouse_config_last_reload_successful").await, 0.0);
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let reply = http().post(url).json(&chat("anything")).send().await.expect("the old address serves");
    assert_eq!(reply.status(), 200);
}

/// A bug: between the end of one listener and the begin of the next there was a moment in which nobody listened.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_widened_and_narrowed_under_load_without_a_lost_request() {
    let place = Place::new(ONE, "").await;
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let own = |address: &str| format!("one: {{ model: tiny, listen: \"{address}:{port}\" }}");
    place.write(&own("127.0.0.1"), "");
    assert_eq!(place.reload().await.0, 200);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (stop, sent) = (stop.clone(), sent.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // Each time over a new connection.
                    let client =
                        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("client");
                    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
                    let reply = client.post(url).json(&chat("anything")).send().await.expect("answered");
                    assert_eq!(reply.status(), 200);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..10 {
        place.write(&own(if round % 2 == 0 { "0.0.0.0" } else { "127.0.0.1" }), "");
        let (status, report) = place.reload().await;
        assert_eq!(status, 200, "{report}");
        let least = sent.load(Ordering::Relaxed) + 16;
        eventually("requests after the change", || async { (sent.load(Ordering::Relaxed) >= least).then_some(()) })
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("no request was lost");
    }
}

/// What the command line's `reload` says of `file`, without an address and without the variables of the gateway.
fn reload_without(file: &Path, more: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(BINARY).arg("reload").arg(file).args(more).output().expect("ran");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_needs_no_variables_of_the_gateway_and_says_where_a_gateway_may_listen() {
    let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (file, sim) = (folder.path().join("gateway.yaml"), Sim::start(&["--ttft", "0"]));
    let with_key = |admin: u16| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:{admin} }}\n\
             models: {{ tiny: {{ urls: [\"{}\"], api_key: \"${{ONLY_THE_GATEWAY_HAS}}\" }} }}\n",
            sim.url()
        )
    };
    std::fs::write(&file, with_key(0)).expect("written");
    let mut command = std::process::Command::new(BINARY);
    command.arg("serve").arg(&file).arg("--state-dir").arg(state.path()).env("ONLY_THE_GATEWAY_HAS", "a-key");
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut gateway = Gateway::of(command);
    let admin = gateway.admin.to_string();
    let (ok, said) = reload_without(&file, &["--admin", &admin]);
    assert!(ok && said.contains("Nothing changed"), "{said}");

    // A file that says another address than the gateway has.
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    std::fs::write(&file, with_key(nobody).replace("${ONLY_THE_GATEWAY_HAS}", "a-key")).expect("written");
    let (ok, said) = reload_without(&file, &[]);
    assert!(
        !ok && said.contains("`admin.listen` of this file was changed") && said.contains("--admin ADDRESS"),
        "{said}"
    );
    let (ok, said) = reload_without(&file, &["--admin", &admin]);
    assert!(ok && said.contains("admin.listen: stays"), "{said}");
    gateway.stop().await;
}
