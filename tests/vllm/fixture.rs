//! A gateway whose only engine is a real vLLM, and what the checks ask of it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::{Gateway, Wire, http, python};

/// The longest that vLLM may take to be ready, on a machine that has something else to do as well.
pub const START: Duration = Duration::from_secs(180);

/// What the environment says.
pub struct Setup {
    vllm: PathBuf,
    model: PathBuf,
    lora: Option<PathBuf>,
}

/// Reads the environment; prints why the suite is skipped when it says nothing.
pub fn setup() -> Option<Setup> {
    let (Some(vllm), Some(model)) = (path_of("ENGINEHOUSE_VLLM"), path_of("ENGINEHOUSE_VLLM_MODEL")) else {
        eprintln!(
            "SKIPPED: ENGINEHOUSE_VLLM (path of `vllm`) and ENGINEHOUSE_VLLM_MODEL (path of a tiny model) are not both \
             set. Remedy: .ci/vllm installs and sets both."
        );
        return None;
    };
    for path in [&vllm, &model] {
        assert!(path.exists(), "{} does not exist", path.display());
    }
    Some(Setup { vllm, model, lora: path_of("ENGINEHOUSE_VLLM_LORA") })
}

fn path_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl Setup {
    /// The configuration, but for addresses. vLLM on a processor: a small cache, no compilation, loopback only, no hub.
    pub fn yaml(&self) -> String {
        self.with(&json!({}))
    }

    /// The same, with `more` of the model.
    pub fn with(&self, more: &Value) -> String {
        yaml(&json!({ "tiny": self.model(more) }))
    }

    /// One model with these members set otherwise than usual; members that are objects are merged, empty ones empty them.
    pub fn model(&self, more: &Value) -> Value {
        let bin = self.vllm.parent().unwrap_or(Path::new("/usr/bin"));
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut model = json!({
            "source": self.model,
            "command": [self.vllm, "serve"],
            "start_timeout": format!("{}s", START.as_secs()),
            // Less than the harness waits for the end of a gateway.
            "stop_timeout": "20s",
            "sleep_mode": true,
            "args": {
                "max-model-len": 512, "max-num-seqs": 4, "max-num-batched-tokens": 512, "block-size": 32,
                "kv-cache-memory-bytes": 524_288, "enforce-eager": true, "dtype": "bfloat16", "seed": 0,
                "worker-cls": "sleep_on_cpu.Worker",
                // A model with random weights calls a tool when a grammar leaves it nothing else, not even white space.
                "enable-auto-tool-choice": true, "tool-call-parser": "hermes",
                "structured-outputs-config": json!({ "backend": "xgrammar", "disable_any_whitespace": true }).to_string(),
                // It thinks where a request asks for it (`enable_thinking: true`), and until its budget is spent.
                "reasoning-parser": "deepseek_v3",
                "reasoning-config":
                    json!({ "reasoning_start_str": "<think>", "reasoning_end_str": "</think>" }).to_string(),
            },
            "env": {
                "PATH": path,
                "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
                "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
                "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_HOST_IP": "127.0.0.1",
                "TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCH_COMPILE_DISABLE": "1",
                // Three processes import the same libraries: without bytecode on disk a start takes twice as long.
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPATH": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vllm/engine/sleep"),
                "VLLM_PLUGINS": "sleep_on_cpu",
                // Grammars for calls come from their schemas, not from xgrammar's own, which allow white space without end.
                "VLLM_ENFORCE_STRICT_TOOL_CALLING": "0",
            },
            "lora": self.lora.iter().map(|path| ("poet".to_owned(), json!(path))).collect::<serde_json::Map<_, _>>(),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            match (&mut model[name], value) {
                (Value::Object(usual), Value::Object(value)) if !value.is_empty() => usual.extend(value.clone()),
                (usual, value) => *usual = value.clone(),
            }
        }
        model
    }

    /// Where the adapter is.
    pub fn lora(&self) -> Option<PathBuf> {
        self.lora.clone()
    }
}

/// The configuration with these models and the aliases of `tiny`, but for addresses.
pub fn yaml(models: &Value) -> String {
    let thinking = |on: bool| json!({ "chat_template_kwargs": { "enable_thinking": on } });
    let mut configuration = json!({ "models": models });
    let rendered = json!({ "use_completions_api": true, "render_chat_template": true });
    let mut ids = rendered.clone();
    ids["return_token_id_information"] = true.into();
    if models.get("tiny").is_some() {
        configuration["aliases"] = json!({
            "tiny-think": { "model": "tiny", "overrides": thinking(true) },
            "tiny-instant": { "model": "tiny", "overrides": thinking(false) },
            "tiny-short": { "model": "tiny", "limits": { "max_tokens": 8 }, "overrides": thinking(false) },
            "tiny-chat": { "model": "tiny", "dialect": { "responses": "chat", "messages": "chat" } },
            "tiny-gym": { "model": "tiny", "gym": {} },
            "tiny-gym-ids": { "model": "tiny", "gym": { "return_token_id_information": true } },
            "tiny-gym-rendered": { "model": "tiny", "gym": rendered },
            "tiny-gym-rendered-ids": { "model": "tiny", "gym": ids },
            "tiny-chat-short": { "model": "tiny-chat", "limits": { "max_tokens": 8 }, "overrides": thinking(false) },
        });
    }
    // YAML is a superset of JSON; the members go one by one, as the harness writes some before them.
    let members = configuration.as_object().expect("an object").iter();
    members.map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// A gateway and its engine (vLLM), for the checks of this suite.
pub struct Fixture {
    pub gateway: Gateway,
    pub lora: Option<PathBuf>,
    /// Where the engine listens.
    pub engine: String,
    // Dropped after the gateway.
    pub group: Group,
    pub deployment: Deployment,
}

/// A process group that does not outlive a test that failed.
pub struct Group(pub i32);

impl Group {
    /// Process ids and names of the living members.
    pub fn members(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let member = |stat: String| {
            // `PID (NAME) STATE PARENT GROUP …` (proc(5)); the name may hold anything.
            let (name, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let state = fields.next()?;
            let group: i32 = fields.nth(1)?.parse().ok()?;
            (group == self.0 && state != "Z").then(|| format!("{name})"))
        };
        stats.filter_map(member).collect()
    }

    /// Files of shared memory that the members have: lost memory, if they are left.
    pub fn shared_memory(&self) -> BTreeSet<PathBuf> {
        let ids = self.members().into_iter().filter_map(|member| Some(member.split_once(' ')?.0.to_owned()));
        let maps = ids.filter_map(|id| fs::read_to_string(format!("/proc/{id}/maps")).ok());
        // `ADDRESSES RIGHTS OFFSET DEVICE INODE PATH`; what has no name any more is `(deleted)`.
        let path = |line: &str| Some(PathBuf::from(&line[line.find("/dev/shm/")?..])).filter(|path| path.exists());
        maps.flat_map(|text| text.lines().filter_map(path).collect::<Vec<_>>()).collect()
    }

    fn kill(&self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.0).filter(|_| !self.members().is_empty()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fails when one of the files is left.
pub fn assert_gone(files: &BTreeSet<PathBuf>) {
    let left: Vec<_> = files.iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "shared memory is left: {left:?}");
}

/// Runs a check and prints what it found and how long it took.
pub async fn step<T: Said>(what: &str, check: impl Future<Output = T>) -> T {
    let since = Instant::now();
    eprintln!("..   {what}");
    let found = check.await;
    eprintln!("ok   {what}: {}({:.2} s)", found.said(), since.elapsed().as_secs_f64());
    found
}

/// What a check has to say for itself.
pub trait Said {
    fn said(&self) -> String;
}

impl Said for String {
    fn said(&self) -> String {
        format!("{self} ")
    }
}

impl Said for () {
    fn said(&self) -> String {
        String::new()
    }
}

impl Said for Fixture {
    fn said(&self) -> String {
        format!("process group {} at {} ", self.group.0, self.engine)
    }
}

/// An answer with status 200, or whatever else a check compares.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Fixture {
    /// What the gateway says of the engine.
    pub async fn describe(gateway: &Gateway) -> Value {
        gateway.engines().await.into_iter().next().expect("one engine")
    }

    /// What the gateway says of its engine.
    pub async fn itself(&self) -> Value {
        Self::describe(&self.gateway).await
    }

    /// Has the gateway do something with its engines.
    pub async fn api(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = http().request(method, format!("http://{}/api/v1/{path}", self.gateway.admin));
        if let Some(body) = body {
            request = request.json(body);
        }
        // A start takes longer than callers wait.
        let reply = request.timeout(START).send().await.expect("answered");
        Answer { status: reply.status().as_u16(), body: reply.json().await.expect("JSON") }
    }

    /// Has the gateway do something with its engines; it must.
    pub async fn order(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.api(method, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// What a model says to the usual question when it leaves nothing to chance.
    pub async fn words(&self, model: &str) -> String {
        let mut body = chat(model, 12);
        body["temperature"] = 0.into();
        let answer = self.ok("/v1/chat/completions", &body).await;
        assert_eq!(answer["model"], model);
        answer["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
    }

    /// A stream of 400 tokens that has begun.
    pub async fn stream(&self) -> Wire {
        let mut body = chat("tiny", 400);
        body["stream"] = true.into();
        let mut wire = self.wire("/v1/chat/completions", &body).await;
        wire.read_until(b"\n\n").await;
        wire
    }

    /// The same, that may take long.
    pub async fn long_stream(&self) -> reqwest::Response {
        let mut body = chat("tiny", 400);
        body["stream"] = true.into();
        let url = self.gateway.url("/v1/chat/completions");
        http().post(url).json(&body).timeout(START).send().await.expect("begun")
    }

    /// POSTs through the gateway.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let reply = http().post(self.gateway.url(path)).json(body).send().await.expect("answered");
        Answer { status: reply.status().as_u16(), body: reply.json().await.expect("JSON") }
    }

    /// POSTs and takes nothing but a success.
    pub async fn ok(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
        answer.body
    }

    /// GETs through the gateway.
    pub async fn get(&self, path: &str) -> Answer {
        let reply = http().get(self.gateway.url(path)).send().await.expect("answered");
        Answer { status: reply.status().as_u16(), body: reply.json().await.unwrap_or(Value::Null) }
    }

    /// Tokens of the prompt of [`chat`], with thinking or without, as the engine says when it is asked directly.
    pub async fn prompt_tokens(&self, thinking: bool) -> u32 {
        let mut body = chat("tiny", 1);
        body["chat_template_kwargs"] = json!({ "enable_thinking": thinking });
        let reply = http().post(format!("{}/tokenize", self.engine)).json(&body).send().await.expect("answered");
        let answer: Value = reply.json().await.expect("JSON");
        let count = answer["count"].as_u64().unwrap_or_else(|| panic!("no count in {answer}"));
        u32::try_from(count).expect("few tokens")
    }

    /// A metric of the engine itself, summed over its labels.
    pub async fn engines_metric(&self, name: &str) -> f64 {
        let text = http().get(format!("{}/metrics", self.engine)).send().await.expect("engine").text().await;
        sum(&text.expect("text"), name, &[])
    }

    /// A metric of the gateway, summed over the samples that have all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let url = format!("http://{}/metrics", self.gateway.admin);
        let text = http().get(url).send().await.expect("admin").text().await.expect("text");
        sum(&text, name, labels)
    }

    /// Waits until the engine does nothing; how long that took.
    pub async fn idle(&self) -> Duration {
        let since = Instant::now();
        while self.engines_metric("vllm:num_requests_running").await
            + self.engines_metric("vllm:num_requests_waiting").await
            > 0.0
        {
            assert!(since.elapsed() < Duration::from_secs(2), "the engine is still busy");
        }
        since.elapsed()
    }

    /// Waits until the engine runs this many requests.
    pub async fn running(&self, count: f64) {
        let since = Instant::now();
        while self.engines_metric("vllm:num_requests_running").await < count {
            assert!(since.elapsed() < Duration::from_secs(10), "the engine does not run {count} requests");
        }
    }

    /// A connection of our own to the gateway, on which a request was sent.
    pub async fn wire(&self, path: &str, body: &Value) -> Wire {
        let address: SocketAddr = self.gateway.address;
        let mut wire = Wire::to(address).await;
        wire.post(path, body.to_string().as_bytes()).await;
        wire
    }

    /// Runs the script of an official package, with `ENGINEHOUSE_PYTHON`, which must have it, or a Python that happens to:
    /// vLLM's own brings both.
    ///
    /// `script`: of `tests/clients`; `names`: of a model, and of an alias that says little.
    pub async fn python(&self, package: &str, script: &str, names: [&str; 2], more: &[&str]) -> String {
        let is_named = std::env::var_os("ENGINEHOUSE_PYTHON").is_some_and(|path| !path.is_empty());
        let beside = || python::at(path_of("ENGINEHOUSE_VLLM")?.with_file_name("python"), package);
        let python = if is_named { python::with(package) } else { beside().or_else(|| python::with(package)) };
        assert!(python.is_some() || !is_named, "ENGINEHOUSE_PYTHON cannot import `{package}`");
        let Some(python) = python else { return "skipped".into() };
        let door = if script == "gym_client.py" { format!("/a/{}", names[0]) } else { String::new() };
        let gateway = self.gateway.url(&door);
        let arguments = ["--gateway", &gateway, "--engine", &self.engine, "--model", names[0], "--short", names[1]];
        python.run(script, &[arguments.as_slice(), more].concat()).await
    }
}

/// The sum of the samples of `name` that have all of `labels`, in Prometheus' text format.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let fits = labels.is_empty() || labels.starts_with('{');
        (fits && wanted.iter().all(|label| labels.contains(label.as_str()))).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

/// A chat request that runs to `max_tokens`.
pub fn chat(model: &str, max_tokens: u32) -> Value {
    json!({
        "model": model, "max_tokens": max_tokens, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Hello, what is the capital of France?" }],
    })
}

/// Shows `value` in milliseconds.
pub fn ms(value: Duration) -> impl Display {
    format!("{:.1} ms", value.as_secs_f64() * 1000.0)
}
