//! The same cases through the real binary, in front of engines that are real servers and follow the script.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::cases::{default_reply, recorded};
use super::{audio, compare_answer, deliberate, normal};
use crate::support;

/// What all engines of a case share.
struct Script {
    cases: Arc<Vec<Value>>,
    replies: Mutex<Vec<Value>>,
    sent: Mutex<Vec<Value>>,
}

impl Script {
    /// What the engine answers to a request; `None`: it closes the connection.
    fn reply(&self, replica: usize, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        self.sent.lock().expect("kept").push(json!({ "path": path, "body": body, "replica": replica }));
        let mut replies = self.replies.lock().expect("kept");
        let at = replies.iter().position(|reply| path.ends_with(reply[0].as_str().expect("a suffix")));
        let (status, body) = match at.map(|at| replies.remove(at)) {
            Some(reply) => (reply[1].as_u64().expect("a status"), reply[2].clone()),
            None => (200, default_reply(path, &self.cases)),
        };
        let status = u16::try_from(status).expect("a status");
        (status != 0).then(|| (status, body.to_string()))
    }
}

/// Serves until dropped.
struct Engine {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    async fn start(script: Arc<Script>, replica: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepted");
                let script = script.clone();
                connections.spawn(async move { while serve(&script, replica, &stream).await.is_some() {} });
            }
        });
        Self { address, task }
    }
}

/// Takes one request from the connection and answers it; `None`: the connection ends.
async fn serve(script: &Script, replica: usize, stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut stream = StreamRef(stream);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.byte().await?);
    }
    let head = String::from_utf8(head).expect("a head");
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let body = stream.exactly(length.unwrap_or(0)).await?;
    assert!(head.contains("Bearer dummy"), "the engine's key: {head}");
    let (status, body) = script.reply(replica, &path, &body)?;
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write(head.as_bytes()).await?;
    stream.write(body.as_bytes()).await
}

struct StreamRef<'s>(&'s TcpStream);

impl StreamRef<'_> {
    async fn byte(&mut self) -> Option<u8> {
        self.exactly(1).await.map(|bytes| bytes[0])
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            self.0.readable().await.ok()?;
            match self.0.try_read(&mut bytes[filled..]) {
                Ok(0) => return None,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        Some(bytes)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            self.0.writable().await.ok()?;
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        Some(())
    }
}

/// The gateway of one case, killed when dropped.
struct Gateway {
    _gateway: support::Gateway,
    /// The alias' own listener.
    alias: SocketAddr,
    main: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(engines: &[Engine], fields: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let urls: Vec<String> = engines.iter().map(|engine| format!("http://{}", engine.address)).collect();
        let mut gym = fields.clone();
        gym["strict"] = json!(true);
        let config = json!({
            "listen": "127.0.0.1:0",
            "admin": { "listen": "127.0.0.1:0" },
            "models": { "backing": { "urls": urls, "api_key": "dummy", "served_name": "base/model", "health": "off" } },
            "aliases": { "policy_model_proxy": { "model": "backing", "listen": "127.0.0.1:0", "gym": gym } },
        });
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, config.to_string()).expect("written");
        let mut command = Command::new(support::BINARY);
        command.arg("serve").arg(&file).arg("--state-dir").arg(folder.path().join("state")).env_remove("RUST_LOG");
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let gateway = support::Gateway::of(command);
        let (alias, main) = (gateway.alias_address("policy_model_proxy"), gateway.address);
        Self { _gateway: gateway, alias, main, _folder: folder }
    }

    /// A request of a case, to the alias' own listener.
    fn call(&self, request: &Value) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        let path = request["path"].as_str().expect("a path");
        let method = request["method"].as_str().unwrap_or("POST").parse().expect("a method");
        let call = client.request(method, format!("http://{}{path}", self.alias));
        let mut call = match (request.get("raw"), request.get("body")) {
            (Some(raw), _) => call.body(raw.as_str().expect("text").to_owned()),
            (None, Some(body)) => call.body(body.to_string()),
            (None, None) => call,
        };
        call = call.header("content-type", "application/json");
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            call = call.header(name, value.as_str().expect("text"));
        }
        call
    }
}

/// One case: what is wrong.
async fn run(case: &Value, cases: &Arc<Vec<Value>>, audio: &Path) -> Vec<String> {
    let rewrite = |value: &Value| -> Value {
        let text = value.to_string().replace("AUDIO_DIR", &audio.display().to_string());
        serde_json::from_str(&text).expect("JSON")
    };
    let list = |name: &str| case[name].as_array().expect("a list").clone();
    let script = Arc::new(Script { cases: cases.clone(), replies: Mutex::new(list("script")), sent: Mutex::default() });
    let replicas = if list("upstream").iter().any(|sent| sent.get("replica").is_some()) { 2 } else { 1 };
    let mut engines = Vec::new();
    for replica in 0..replicas {
        engines.push(Engine::start(script.clone(), replica).await);
    }
    let gateway = Gateway::start(&engines, &rewrite(&case["config"]));
    let (mut wrong, mut cookie, mut stay) = (Vec::new(), None::<String>, Vec::new());
    for (request, expected) in list("requests").iter().zip(list("responses")) {
        let mut call = gateway.call(&rewrite(request));
        if request["new_session"] == true {
            cookie = None;
        }
        stay.push(cookie.is_some());
        if let Some(cookie) = &cookie {
            call = call.header("cookie", cookie);
        }
        let reply = call.send().await.expect("answered");
        let header = |name: &str| reply.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        if let Some(given) = header("set-cookie") {
            assert!(given.starts_with("LocalVLLMModelProxyServer___policy_model_proxy="), "{given}");
            cookie = given.split(';').next().map(str::to_owned);
        }
        let (status, kind) = (reply.status().as_u16(), header("content-type").unwrap_or_default());
        let body = reply.text().await.expect("whole");
        wrong.extend(compare_answer(&rewrite(&expected), status, &kind, &without_ids(&body)));
    }
    let sent = script.sent.lock().expect("kept").clone();
    let bare = |sent: &Value| normal(&json!({ "path": sent["path"], "body": sent["body"] }));
    let expected: Vec<Value> = list("upstream").iter().map(|sent| bare(&rewrite(sent))).collect();
    let ours: Vec<Value> = sent.iter().map(bare).collect();
    if ours != expected {
        wrong.push(format!("upstream\n  ours {}\n  gyms {}", json!(ours), json!(expected)));
    }
    if replicas == 2 {
        // Which replica a new session gets is chance; that it stays there is not.
        let at: Vec<_> = sent.iter().map(|sent| sent["replica"].as_u64()).collect();
        assert_eq!(at.len(), stay.len(), "{sent:#?}");
        let moved = (1..at.len()).any(|next| stay[next] && at[next] != at[next - 1]);
        if moved {
            wrong.push(format!("a session moved: {at:?}, kept {stay:?}"));
        }
    }
    wrong
}

/// `text` with the hexadecimal part of each `resp_…`, `msg_…` and `rs_…` replaced.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, mark)) =
        ["resp_", "msg_", "rs_"].iter().filter_map(|mark| Some((rest.find(mark)?, *mark))).min_by_key(|(at, _)| *at)
    {
        let (before, after) = rest.split_at(at + mark.len());
        out += before;
        let digits = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        let id = digits == 32;
        out += if id { "<uuid>" } else { "" };
        rest = if id { &after[digits..] } else { after };
    }
    out + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_case_through_the_binary() {
    let (cases, audio, deliberate) = (Arc::new(recorded()), Arc::new(audio()), deliberate());
    let room = Arc::new(Semaphore::new(8));
    let mut runs = tokio::task::JoinSet::new();
    for at in 0..cases.len() {
        let (cases, audio, room) = (cases.clone(), audio.clone(), room.clone());
        runs.spawn(async move {
            let _place = room.acquire().await.expect("room");
            (at, run(&cases[at], &cases, audio.path()).await)
        });
    }
    let (mut same, mut wrong) = (0, Vec::new());
    while let Some(done) = runs.join_next().await {
        let (at, found) = done.expect("no panic");
        let name = cases[at]["name"].as_str().expect("a name");
        match deliberate.get(name) {
            Some(_) if super::clients_fault(&found) => {}
            Some(why) => wrong.push(format!("{name}: no longer differs as it should ({why}): {found:#?}")),
            None if found.is_empty() => same += 1,
            None => wrong.push(format!("{name}: {}", found.join("\n"))),
        }
    }
    let (all, differ) = (cases.len(), deliberate.len());
    assert!(wrong.is_empty(), "{same} of {all} cases as Gym, {differ} on purpose not; wrong:\n{}", wrong.join("\n"));
    println!("{same} of {all} cases as Gym, {differ} on purpose not");
}

/// Engines that start elsewhere are found without being told: `base_url` is not a matter of the alias.
#[tokio::test(flavor = "multi_thread")]
async fn the_alias_is_a_gym_server_by_its_path_and_by_its_name_too() {
    let cases = Arc::new(recorded());
    let script = Arc::new(Script { cases, replies: Mutex::default(), sent: Mutex::default() });
    let engines = [Engine::start(script.clone(), 0).await];
    let gateway = Gateway::start(&engines, &json!({ "sampling_overrides": { "top_p": 0.5 } }));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let messages = json!([{ "role": "user", "content": "hi" }]);
    for (path, model) in [
        ("/a/policy_model_proxy/v1/chat/completions", json!(null)),
        ("/a/policy_model_proxy/ng-rollout/7/v1/chat/completions", json!("whatever")),
        ("/v1/chat/completions", json!("policy_model_proxy")),
    ] {
        let body = json!({ "messages": messages, "model": model });
        let reply = client.post(format!("http://{}{path}", gateway.main)).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}");
        assert!(reply.headers().contains_key("set-cookie"), "{path}");
        let sent = script.sent.lock().expect("kept").pop().expect("a call");
        assert_eq!((&sent["body"]["model"], &sent["body"]["top_p"]), (&json!("base/model"), &json!(0.5)), "{path}");
    }
}
