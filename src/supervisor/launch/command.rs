//! What is run for one engine: program, arguments and environment, from its model, replica and port.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::config::{Model, SHUTDOWN_TIMEOUT, Spawn, fill, flag_name, flag_words, is_template, is_vllm, leaves_out};
use crate::placement;
use crate::supervisor::process::spawn::Program;

/// The program name that means this very binary.
const OURSELVES: &str = "enginehouse";

/// What vLLM is told to keep idle connections open for, unless the model's `env` says otherwise; its own default, 5 s,
/// makes the reuse of a pooled connection a race.
const KEEP_ALIVE_SECONDS: u64 = 75;

/// Where vLLM reads how long to keep idle connections open, in seconds.
const KEEP_ALIVE_VARIABLE: &str = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE";

/// Where vLLM reads its key; an argument would show in the process list.
const KEY_VARIABLE: &str = "VLLM_API_KEY";

/// With it vLLM has routes to put it to sleep and to wake it.
const DEV_MODE_VARIABLE: &str = "VLLM_SERVER_DEV_MODE";

/// With it vLLM has routes to load and unload adapters.
const RUNTIME_LORA_VARIABLE: &str = "VLLM_ALLOW_RUNTIME_LORA_UPDATING";

/// Which GPUs a CUDA program sees, in which order.
const GPUS_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// What to run for an engine, and what of it makes the engine the one that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct LaunchCommand {
    /// What to run.
    pub(crate) program: Program,
    /// The arguments without what differs from engine to engine of one model.
    pub(crate) lasting: Vec<String>,
    /// How many GPUs we gave it; `None`: those that we see.
    pub(crate) placed: Option<usize>,
}

/// What to run for an engine of `model`, which is to listen on `port` of 127.0.0.1 and to see `gpus`.
///
/// `drain` is how long vLLM may go on with requests at a stop, zero where it cannot be told; `own_exe` is this binary.
pub(crate) fn launch(
    model: &Model,
    spawn: &Spawn,
    gpus: Option<&[String]>,
    port: u16,
    drain: Duration,
    own_exe: &Path,
) -> LaunchCommand {
    let path = match spawn.command.first().map(String::as_str) {
        None => "vllm".into(),
        Some(OURSELVES) => own_exe.as_os_str().to_owned(),
        Some(program) => program.into(),
    };
    let count = gpus.map_or(0, <[String]>::len);
    let here = Place { port: port.to_string(), gpus: gpus.unwrap_or_default().join(","), count };
    let anywhere = Place { port: "{port}".into(), gpus: "{gpus}".into(), count };
    let mut sorted = Value::Object(spawn.args.clone());
    sorted.sort_all_objects();
    // A key that is meant for another program would lock us out of our own engine.
    let has_key = model.api_key.is_some() || spawn.env.contains_key(KEY_VARIABLE);
    let program = Program {
        path,
        args: arguments(model, spawn, &spawn.args, &here, drain),
        env: environment(spawn, gpus),
        secrets: model.api_key.iter().map(|key| (KEY_VARIABLE, key.clone())).collect(),
        unset: if has_key { vec![] } else { vec![KEY_VARIABLE] },
    };
    // Without the drain: it may change while the engine runs.
    let lasting = arguments(model, spawn, sorted.as_object().unwrap_or(&spawn.args), &anywhere, Duration::ZERO);
    LaunchCommand { program, lasting, placed: gpus.map(<[String]>::len) }
}

impl LaunchCommand {
    /// SHA-256 of what makes an engine the one that is wanted: program, arguments, environment with its secrets. Not of
    /// where it runs (port, which GPUs), nor of how long it may take to end, nor of variables that mark one start
    /// (`ENGINEHOUSE_…`). The same for one configuration over restarts, however its flags are ordered.
    pub(crate) fn fingerprint(&self) -> String {
        let Program { path, env, secrets, unset, .. } = &self.program;
        let mut hash = Sha256::new();
        // Lengths keep neighbours apart; kinds keep a variable from being taken for an argument.
        let mut add = |kind: &str, parts: &[&[u8]]| {
            hash.update(kind);
            for part in parts {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        };
        add("2", &[]);
        add("program", &[path.as_encoded_bytes()]);
        self.lasting.iter().for_each(|word| add("word", &[word.as_bytes()]));
        for (name, value) in env {
            if let Some(count) = self.placed.filter(|_| name == GPUS_VARIABLE) {
                add("gpus", &[&count.to_le_bytes()]);
            } else if !name.starts_with("ENGINEHOUSE_") {
                add("env", &[name.as_bytes(), value.as_bytes()]);
            }
        }
        let secrets: BTreeMap<&str, &str> = secrets.iter().map(|(name, key)| (*name, key.expose())).collect();
        secrets.iter().for_each(|(name, value)| add("env", &[name.as_bytes(), value.as_bytes()]));
        let unset: BTreeSet<&str> = unset.iter().copied().collect();
        unset.iter().for_each(|name| add("unset", &[name.as_bytes()]));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes room for adapters of these ranks, unless the command says itself how much there is.
    pub(crate) fn make_room_for_ranks(&mut self, ranks: &[u64]) {
        const FLAG: &str = "--max-lora-rank";
        let said = self.program.args.iter().any(|word| word == FLAG || word.starts_with("--max-lora-rank="));
        if let Some(rank) = max_lora_rank(ranks).filter(|_| !said) {
            for args in [&mut self.program.args, &mut self.lasting] {
                args.extend([FLAG.to_owned(), rank.to_string()]);
            }
        }
    }
}

/// Where an engine is to run.
struct Place {
    port: String,
    gpus: String,
    count: usize,
}

/// What vLLM must be told to hold adapters of these ranks: the next larger rank that it knows; `None` when its own
/// default will do, or none does (vLLM's own message is clearer than ours could be).
fn max_lora_rank(ranks: &[u64]) -> Option<u64> {
    /// vLLM 0.32, `config/lora.py`; the default is 16.
    const KNOWN: [u64; 9] = [1, 8, 16, 32, 64, 128, 256, 320, 512];
    let most = ranks.iter().copied().max().filter(|&most| most > 16)?;
    KNOWN.into_iter().find(|&known| known >= most)
}

/// How long an idle connection to an engine of `spawn` may be kept for reuse; `None` when nothing is known of its server.
pub(crate) fn keep_alive(spawn: &Spawn) -> Option<Duration> {
    let said = spawn.env.get(KEEP_ALIVE_VARIABLE).and_then(|text| text.parse().ok());
    let seconds = if is_vllm(&spawn.command) { said.unwrap_or(KEEP_ALIVE_SECONDS) } else { return None };
    // A fifth less than the server's own limit, so that we are the first to let go.
    Some(Duration::from_secs(seconds) * 4 / 5)
}

fn arguments(model: &Model, spawn: &Spawn, flags: &Map<String, Value>, place: &Place, drain: Duration) -> Vec<String> {
    let given = Given::new(flags);
    let served = model.served_name.as_ref().unwrap_or(&model.name);
    let mut args: Vec<String> = match spawn.command.get(1..) {
        Some(rest) => rest.to_vec(),
        None => vec!["serve".into()],
    };
    if is_template(&spawn.command) {
        let value = |name: &str| match name {
            "source" => spawn.source.clone(),
            "name" => served.to_string(),
            "host" => HOST.to_owned(),
            "port" => place.port.clone(),
            "gpus" => place.gpus.clone(),
            "gpu_memory" => spawn.gpu_memory.map(|share| share.to_string()).unwrap_or_default(),
            _ => String::new(),
        };
        args = args.iter().map(|word| fill(word, value)).collect();
    } else {
        args.push(spawn.source.clone());
        push(&mut args, "host", HOST);
        push(&mut args, "port", place.port.clone());
        push(&mut args, "served-model-name", &**served);
        ours(&mut args, spawn, &given, place, drain);
    }
    for (name, value) in &given.0 {
        if !OURS.contains(&name.as_str()) && !leaves_out(name, value) {
            args.extend(flag_words(name, value));
        }
    }
    args
}

/// Where engines listen: no other machine can reach them there.
const HOST: &str = "127.0.0.1";

/// Flags that are set here, whatever `args` says; the configuration refuses them there.
const OURS: &[&str] =
    &["host", "port", "served-model-name", "api-key", "enable-lora", "lora-modules", "enable-sleep-mode"];

/// So many adapters can take part in one batch unless `args` says otherwise; each takes GPU memory from the KV cache.
const MOST_LORAS: usize = 4;

/// What a model's settings mean in vLLM's flags.
fn ours(args: &mut Vec<String>, spawn: &Spawn, given: &Given<'_>, place: &Place, drain: Duration) {
    if let Some(part) = spawn.gpu_memory.filter(|_| !given.has(&["gpu-memory-utilization"])) {
        push(args, "gpu-memory-utilization", part.to_string());
    }
    if let Some(size) = placement::tensor_parallel_size(place.count, &spawn.args) {
        push(args, "tensor-parallel-size", size.to_string());
    }
    if is_vllm(&spawn.command) && !drain.is_zero() && !given.has(&[SHUTDOWN_TIMEOUT]) {
        // Without it a SIGTERM aborts the streams in flight, and vLLM may hang with them.
        push(args, SHUTDOWN_TIMEOUT, drain.as_millis().div_ceil(1000).to_string());
    }
    if spawn.sleep_mode {
        args.push("--enable-sleep-mode".into());
    }
    if spawn.takes_lora || !spawn.lora.is_empty() {
        args.push("--enable-lora".into());
    }
    if !spawn.lora.is_empty() {
        // One flag for all: of a repeated one vLLM keeps only the last.
        args.push("--lora-modules".into());
        args.extend(spawn.lora.iter().map(|(name, path)| adapter(name, path)));
    }
    // vLLM's default is one: requests for two adapters would wait for each other, and each change would load from disk.
    let count = spawn.lora.len();
    if count > 1 && !given.has(&["max-loras"]) {
        push(args, "max-loras", count.min(MOST_LORAS).to_string());
    }
    if count > MOST_LORAS && !given.has(&["max-loras", "max-cpu-loras"]) {
        push(args, "max-cpu-loras", count.to_string());
    }
}

/// What the user gave, by flag name as vLLM's help spells it.
struct Given<'a>(Vec<(String, &'a Value)>);

impl<'a> Given<'a> {
    fn new(args: &'a Map<String, Value>) -> Self {
        Self(args.iter().map(|(name, value)| (flag_name(name), value)).collect())
    }

    fn has(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(name, _)| names.contains(&name.as_str()))
    }
}

fn push(args: &mut Vec<String>, name: &str, value: impl Into<Value>) {
    args.extend(flag_words(name, &value.into()));
}

/// One adapter for `--lora-modules`: `name=path`, which vLLM splits at `=` unless there is a comma; JSON otherwise.
fn adapter(name: &str, path: &str) -> String {
    if [name, path].iter().any(|part| part.contains(['=', ','])) {
        serde_json::json!({ "name": name, "path": path }).to_string()
    } else {
        format!("{name}={path}")
    }
}

fn environment(spawn: &Spawn, gpus: Option<&[String]>) -> BTreeMap<String, String> {
    // Unbuffered: what a dying engine said last is in its log.
    let mut env = BTreeMap::from([("PYTHONUNBUFFERED".to_owned(), "1".to_owned())]);
    if is_vllm(&spawn.command) {
        env.insert(KEEP_ALIVE_VARIABLE.into(), KEEP_ALIVE_SECONDS.to_string());
    }
    if spawn.sleep_mode {
        env.insert(DEV_MODE_VARIABLE.into(), "1".into());
    }
    if spawn.takes_lora {
        env.insert(RUNTIME_LORA_VARIABLE.into(), "True".into());
    }
    if let Some(gpus) = gpus {
        env.insert(GPUS_VARIABLE.into(), gpus.join(","));
        // Indices mean what nvidia-smi shows, not "fastest first".
        env.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
    }
    env.extend(spawn.env.clone());
    env
}

#[cfg(test)]
mod tests;
