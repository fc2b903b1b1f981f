//! The simulated engine's life: real processes that load, run out of memory, sleep, get stuck, and leave orphans behind.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use enginehouse::sim::{Args, Running, start};
use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::until;

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child of ours and what it says; killed on drop.
struct Process {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Process {
    fn start(flags: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_enginehouse"))
            .args(["sim", "tiny", "--port", "0", "--ttft", "0", "--gap", "0"])
            .args(flags)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = follow(child.stdout.take().unwrap());
        Self { child, lines, said: Vec::new() }
    }

    /// The next line with these words; the ones before it are in `said`.
    fn line(&mut self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|why| {
                panic!("{why}: no line with {words:?} in\n{}", self.said.join("\n"));
            });
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Its address, when it is ready.
    fn url(&mut self) -> String {
        let line = self.line("Starting vLLM server on http://");
        self.line("Application startup complete.");
        format!("http://{}", line.rsplit_once("http://").unwrap().1)
    }

    /// Its exit code, and all that it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = std::mem::take(&mut self.said);
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            said.push(line);
        }
        (self.child.wait().unwrap().code(), said.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(out: ChildStdout) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8(line).unwrap()).is_err() {
                break;
            }
        }
    });
    lines
}

/// A process that is not our child; killed on drop.
struct Orphan(Pid);

impl Orphan {
    /// Of a line that ends with its number.
    fn of(line: &str) -> Self {
        Self(Pid::from_raw(line.rsplit(' ').next().unwrap().parse().unwrap()).unwrap())
    }

    fn proc(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let path = PathBuf::from(format!("/proc/{}/{name}", self.0.as_raw_nonzero()));
        std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Its parent, group and session.
    fn relatives(&self) -> [i32; 3] {
        let stat = String::from_utf8(self.proc("stat")).unwrap();
        let mut fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(1).map(|field| field.parse().unwrap());
        [fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap()]
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

async fn engine(flags: &[&str]) -> Running {
    let common = ["tiny", "--port", "0", "--ttft", "0", "--gap", "0"];
    start(Args::parse(common.iter().chain(flags)).unwrap()).await.unwrap()
}

async fn post(url: &str, path: &str, body: Value) -> Response {
    Client::new().post(format!("{url}{path}")).json(&body).send().await.unwrap()
}

async fn said(url: &str) -> String {
    let body = json!({ "model": "tiny", "messages": [{ "role": "user", "content": "How are you?" }] });
    let answer: Value = post(url, "/v1/chat/completions", body).await.json().await.unwrap();
    answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

/// The sum of a metric's samples.
async fn metric(url: &str, name: &str) -> f64 {
    let page = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let samples = page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn loading_is_told_as_vllm_tells_it() {
    let mut process = Process::start(&["--ready-after", "50ms", "--max-model-len", "4096"], &[]);
    process.url();
    let text = process.said.join("\n");
    let mut rest = text.as_str();
    for words in [
        "Resolved architecture: ",
        "Initializing a V1 LLM engine (v0.32.0)",
        "Starting to load model tiny...",
        "Loading safetensors checkpoint shards:   0% Completed | 0/4 [",
        "Loading safetensors checkpoint shards:  25% Completed | 1/4 [",
        "Loading safetensors checkpoint shards: 100% Completed | 4/4 [",
        "Loading weights took 0.03 seconds",
        "Model loading took 15.27 GiB memory and ",
        "for vLLM's torch.compile",
        "GPU KV cache size: 262,144 tokens, Maximum concurrency for 4,096 tokens per request: 64.00x",
        "\rCapturing CUDA graphs (decode, FULL):   0%|          | 0/3 [",
        "\rCapturing CUDA graphs (decode, FULL): 100%|##########| 3/3 [",
        "Graph capturing finished in ",
        "init engine (profile, create kv cache, warmup model) took ",
        "Supported tasks: ",
        "Starting vLLM server on ",
    ] {
        rest = rest.split_once(words).unwrap_or_else(|| panic!("{words:?} is missing, or too early, in\n{text}")).1;
    }
}

#[test]
fn an_engine_without_room_fails_as_vllm_does() {
    for (flags, env) in [
        (&["--oom", "10ms"][..], &[][..]),
        (&["--ready-after", "10s"][..], &[("ENGINEHOUSE_SIM_FAULTS", "oom=10ms")][..]),
        (&["--exit-while-loading", "1:10ms"][..], &[][..]),
    ] {
        let (code, text) = Process::start(flags, env).end();
        assert_eq!(code, Some(1));
        let cause = text.find("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate").unwrap();
        let consequence = text.find("RuntimeError: Engine core initialization failed. See root cause above.").unwrap();
        assert!(cause < consequence && text.contains("WorkerProc failed to start.") && text.contains("Traceback"));
        assert!(!text.contains("Loading weights took"), "{text}");
    }
}

#[test]
fn an_engine_that_is_never_ready_stops_in_the_middle() {
    let mut process = Process::start(&["--never-ready", "--ready-after", "20ms"], &[]);
    process.line("Loading safetensors checkpoint shards:  25%");
    assert!(process.child.try_wait().unwrap().is_none());
}

#[test]
fn daemons_escape_from_group_session_and_environment_and_outlive_the_engine() {
    let mut process = Process::start(&["--escape", "--escape", "clean"], &[("MARK", "of-this-test")]);
    let orphans = [Orphan::of(&process.line("escaped, pid ")), Orphan::of(&process.line("escaped, pid "))];
    let engine = i32::try_from(process.child.id()).unwrap();
    for orphan in &orphans {
        let [parent, group, session] = orphan.relatives();
        assert_ne!(parent, engine);
        assert_eq!(group, session, "it leads a session of its own");
        assert_ne!(group, engine);
    }
    let has_mark = |orphan: &Orphan| String::from_utf8_lossy(&orphan.proc("environ")).contains("MARK=of-this-test");
    assert!(has_mark(&orphans[0]) && !has_mark(&orphans[1]));
    process.url();
    drop(process);
    for orphan in &orphans {
        assert_eq!(test_kill_process(orphan.0), Ok(()), "it outlives the engine");
    }
}

#[tokio::test]
async fn a_stuck_engine_answers_and_makes_nothing() {
    let engine = engine(&["--wedge", "1"]).await;
    let url = engine.url();
    assert!(said(&url).await.starts_with("You said:"), "the first is answered");
    let tokens = metric(&url, "vllm:generation_tokens_total").await;
    let read = metric(&url, "vllm:prompt_tokens_total").await;
    assert!(tokens > 0.0 && read > 0.0);
    let body = json!({ "prompt": "x", "stream": true });
    let ask = || Client::new().post(format!("{url}/v1/completions")).json(&body).send();
    let mut stream = ask().await.unwrap();
    let leaver = ask().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    until("both run", async || metric(&url, "vllm:num_requests_running").await == 2.0).await;
    assert_eq!(reqwest::get(format!("{url}/health")).await.unwrap().status(), StatusCode::OK);
    drop(leaver);
    let stats = engine.stats();
    until("the client's end is seen", async || stats.counts().aborted == 1).await;
    assert_eq!(metric(&url, "vllm:num_requests_running").await, 2.0, "its core does not know");
    assert_eq!(metric(&url, "vllm:generation_tokens_total").await, tokens);
    assert_eq!(metric(&url, "vllm:prompt_tokens_total").await, read);

    let freed: Value = post(&url, "/sim/fault", json!({ "kind": "unwedge" })).await.json().await.unwrap();
    assert_eq!(freed["wedged"], false);
    let mut text = String::new();
    while let Some(chunk) = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap() {
        text += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    until("nothing runs", async || metric(&url, "vllm:num_requests_running").await == 0.0).await;
    assert!(metric(&url, "vllm:generation_tokens_total").await > tokens);
}

#[tokio::test]
async fn a_running_engine_can_be_stuck_in_the_middle_of_a_stream() {
    let engine = engine(&["--gap", "1ms", "--tokens", "1000000", "--max-model-len", "10000000"]).await;
    let url = engine.url();
    let stream = post(&url, "/v1/completions", json!({ "prompt": "x", "stream": true, "max_tokens": 1_000_000 })).await;
    assert_eq!(stream.status(), StatusCode::OK);
    let moves = async |from: f64| metric(&url, "vllm:generation_tokens_total").await > from;
    until("tokens come", async || moves(0.0).await).await;
    let before = metric(&url, "vllm:generation_tokens_total").await;
    until("counters move while it streams", async || moves(before).await).await;
    post(&url, "/sim/fault", json!({ "kind": "wedge" })).await;
    // What was made before it got stuck may still be counted.
    let mut last = -1.0;
    until("counters stand still", async || {
        let now = metric(&url, "vllm:generation_tokens_total").await;
        std::mem::replace(&mut last, now) == now
    })
    .await;
    assert_eq!(metric(&url, "vllm:num_requests_running").await, 1.0);
    post(&url, "/sim/fault", json!({ "kind": "none" })).await;
    until("tokens come again", async || moves(last).await).await;
}

#[tokio::test]
async fn weights_thrown_away_are_noise_until_they_are_loaded_again() {
    let engine = engine(&["--enable-sleep-mode", "--dev-mode"]).await;
    let url = engine.url();
    let reload = || post(&url, "/collective_rpc", json!({ "method": "reload_weights" }));
    assert_eq!(post(&url, "/sleep?level=2", json!({})).await.status(), StatusCode::OK);
    assert_eq!(reload().await.status(), StatusCode::INTERNAL_SERVER_ERROR, "there is no room for them");
    let woken: Value = post(&url, "/wake_up?tags=weights", json!({})).await.json().await.unwrap();
    assert_eq!(woken, json!({ "status": "sleeping", "tags": ["weights"] }));
    let woken: Value = post(&url, "/wake_up?tags=kv_cache", json!({})).await.json().await.unwrap();
    assert_eq!(woken["status"], "awake");
    assert!(said(&url).await.starts_with("!!!!"));
    post(&url, "/sleep?level=1", json!({})).await;
    post(&url, "/wake_up", json!({})).await;
    assert!(said(&url).await.starts_with("!!!!"), "level 1 does not bring them back");
    let loaded: Value = reload().await.json().await.unwrap();
    assert_eq!(loaded, json!({ "results": [null] }));
    assert!(said(&url).await.starts_with("You said:"));
    post(&url, "/sleep?level=1&mode=wait", json!({})).await;
    post(&url, "/wake_up", json!({})).await;
    assert!(said(&url).await.starts_with("You said:"), "level 1 keeps them");
    for body in [json!([]), json!({})] {
        assert_eq!(post(&url, "/collective_rpc", body).await.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn sleep_is_told_in_the_log_and_its_routes_take_the_dev_mode() {
    let mut without = Process::start(&["--enable-sleep-mode"], &[]);
    let url = without.url();
    for path in ["/sleep", "/wake_up", "/collective_rpc", "/pause"] {
        assert_eq!(post(&url, path, json!({})).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let env = [("VLLM_SERVER_DEV_MODE", "1")];
    let mut with = Process::start(&["--enable-sleep-mode", "--sleep-takes", "20ms"], &env);
    let url = with.url();
    post(&url, "/sleep", json!({})).await;
    with.line("Sleep mode freed 65.39 GiB memory, 1.85 GiB memory is still in use.");
    with.line("It took 0.020000 seconds to fall asleep.");
    assert_eq!(metric(&url, "vllm:engine_sleep_state").await, 1.0);
    post(&url, "/sleep", json!({})).await;
    with.line("Executor is already sleeping.");
    post(&url, "/wake_up", json!({})).await;
    with.line("wake up the engine with tags: None");
    with.line("It took 0.020000 seconds to wake up tags {'weights', 'kv_cache'}.");
}

#[tokio::test]
async fn adapters_come_at_run_time_only_where_vllm_would_let_them() {
    let env = [("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True")];
    let order = json!({ "lora_name": "sql", "lora_path": "/adapters/sql" });
    for (flags, env, status) in [
        (&["--enable-lora"][..], &[][..], StatusCode::NOT_FOUND),
        (&[][..], &env[..], StatusCode::NOT_FOUND),
        (&["--enable-lora"][..], &env[..], StatusCode::OK),
    ] {
        let mut process = Process::start(flags, env);
        let url = process.url();
        assert_eq!(post(&url, "/v1/load_lora_adapter", order.clone()).await.status(), status, "{flags:?} {env:?}");
    }
    let modules =
        ["--enable-lora", "--lora-modules", "a=/a", r#"{"name": "b", "path": "/b", "base_model_name": "tiny"}"#];
    let mut process = Process::start(&modules, &[]);
    let models: Value = reqwest::get(process.url() + "/v1/models").await.unwrap().json().await.unwrap();
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().map(|card| card["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["tiny", "a", "b"]);
}

#[tokio::test]
async fn a_certain_prompt_kills_the_process() {
    let mut process = Process::start(&["--die-on", "poison"], &[]);
    let url = process.url() + "/v1/completions";
    let ask = async |prompt: &str| Client::new().post(&url).json(&json!({ "prompt": prompt })).send().await;
    assert_eq!(ask("food").await.unwrap().status(), StatusCode::OK);
    assert!(ask("a bit of poison").await.is_err(), "it dies without an answer");
    let (code, said) = process.end();
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn flags_that_do_not_go_together_end_the_start_with_a_reason() {
    let (code, said) = Process::start(&["--fail-start", "no such dtype: int3"], &[]).end();
    assert_eq!(code, Some(1));
    assert!(said.ends_with("ValueError: no such dtype: int3"), "{said}");
    let (code, said) = Process::start(&[], &[("ENGINEHOUSE_SIM_FAULTS", "fail-start=told by the environment")]).end();
    assert_eq!((code, said.contains("told by the environment")), (Some(1), true));
    let (code, _) = Process::start(&["--no-such-flag", "1"], &[]).end();
    assert_eq!(code, Some(2));
}
