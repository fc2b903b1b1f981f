//! What is run for one engine: program, arguments and environment, from its model, replica and port.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{Model, Spawn};
use crate::secret::Secret;

/// The program name that means this very binary.
const OURSELVES: &str = "enginehouse";

/// What vLLM is told to keep idle connections open for, unless the model's `env` says otherwise; its own default, 5 s,
/// makes the reuse of a pooled connection a race.
const KEEP_ALIVE_SECONDS: u64 = 75;

/// Where vLLM reads how long to keep idle connections open, in seconds.
const KEEP_ALIVE_VARIABLE: &str = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE";

/// Where vLLM reads its key; an argument would show in the process list.
const KEY_VARIABLE: &str = "VLLM_API_KEY";

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The program: a path, or a name to look for on `PATH`.
    pub(super) program: OsString,
    /// Its arguments. No secrets: they show in logs and in the process list.
    pub(super) args: Vec<String>,
    /// Environment beyond what we were given ourselves.
    pub(super) env: BTreeMap<String, String>,
    /// The same, for values that are never printed.
    pub(super) secrets: Vec<(&'static str, Secret)>,
    /// Variables of our own environment that the engine must not see.
    pub(super) unset: Vec<&'static str>,
}

/// What to run for an engine of `model`, which is to listen on `port` of 127.0.0.1 and to see `gpus`.
///
/// `drain` is how long requests in flight may take at a stop; `own_exe` is this binary.
pub(super) fn launch(
    model: &Model,
    spawn: &Spawn,
    gpus: Option<&[String]>,
    port: u16,
    drain: Duration,
    own_exe: &Path,
) -> Launch {
    let program = match spawn.command.first().map(String::as_str) {
        None => "vllm".into(),
        Some(OURSELVES) => own_exe.as_os_str().to_owned(),
        Some(program) => program.into(),
    };
    Launch {
        program,
        args: arguments(model, spawn, gpus, port, drain),
        env: environment(spawn, gpus),
        secrets: model.api_key.iter().map(|key| (KEY_VARIABLE, key.clone())).collect(),
        // A key that is meant for somebody else would lock us out of our own engine.
        unset: if model.api_key.is_none() && !spawn.env.contains_key(KEY_VARIABLE) {
            vec![KEY_VARIABLE]
        } else {
            vec![]
        },
    }
}

/// How long an idle connection to an engine of `spawn` may be kept for reuse; `None` when nothing is known of its server.
pub(super) fn keep_alive(spawn: &Spawn) -> Option<Duration> {
    let said = spawn.env.get(KEEP_ALIVE_VARIABLE).and_then(|text| text.parse().ok());
    let seconds = if is_vllm(&spawn.command) { said.unwrap_or(KEEP_ALIVE_SECONDS) } else { return None };
    // A fifth less than the server's own limit, so that we are the first to let go.
    Some(Duration::from_secs(seconds) * 4 / 5)
}

/// Whether `command` starts vLLM itself, as `vllm serve` or `python -m vllm.…`.
fn is_vllm(command: &[String]) -> bool {
    command.is_empty()
        || command.iter().any(|word| {
            let name = Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word);
            name == "vllm" || word.starts_with("vllm.")
        })
}

/// The GPUs of one replica: an even share of all, or one of them in turn when there are fewer than replicas.
pub(super) fn share(gpus: &[String], replicas: usize, replica: usize) -> &[String] {
    let each = gpus.len() / replicas.max(1);
    if each > 0 {
        let from = replica * each;
        gpus.get(from..from + each).unwrap_or_default()
    } else {
        gpus.get(replica % gpus.len().max(1)..).map_or(&[], |rest| &rest[..rest.len().min(1)])
    }
}

fn arguments(model: &Model, spawn: &Spawn, gpus: Option<&[String]>, port: u16, drain: Duration) -> Vec<String> {
    let given = Given::new(&spawn.args);
    let mut args: Vec<String> = match spawn.command.get(1..) {
        Some(rest) => rest.to_vec(),
        None => vec!["serve".into()],
    };
    let served = model.served_name.as_ref().unwrap_or(&model.name);
    args.push(spawn.source.clone());
    push(&mut args, "host", "127.0.0.1");
    push(&mut args, "port", port.to_string());
    push(&mut args, "served-model-name", &**served);
    if let Some(part) = spawn.gpu_memory.filter(|_| !given.has(&["gpu-memory-utilization"])) {
        push(&mut args, "gpu-memory-utilization", part.to_string());
    }
    if let Some(count) = gpus.map(<[String]>::len).filter(|&count| count > 1 && !given.has(PARALLEL)) {
        push(&mut args, "tensor-parallel-size", count.to_string());
    }
    if is_vllm(&spawn.command) && !drain.is_zero() && !given.has(&["shutdown-timeout"]) {
        // Without it a SIGTERM aborts the streams in flight, and vLLM may hang with them.
        push(&mut args, "shutdown-timeout", drain.as_millis().div_ceil(1000).to_string());
    }
    if !spawn.lora.is_empty() {
        // One flag for all: of a repeated one vLLM keeps only the last.
        args.extend(["--enable-lora".into(), "--lora-modules".into()]);
        args.extend(spawn.lora.iter().map(|(name, path)| adapter(name, path)));
    }
    for (name, value) in &given.0 {
        let ours = matches!(name.as_str(), "host" | "port" | "served-model-name" | "api-key")
            || (!spawn.lora.is_empty() && matches!(name.as_str(), "enable-lora" | "lora-modules"));
        if !ours {
            flag(&mut args, name, value);
        }
    }
    args
}

/// Flags of vLLM that say how its GPUs are shared out.
const PARALLEL: &[&str] = &[
    "tensor-parallel-size",
    "tp",
    "pipeline-parallel-size",
    "pp",
    "data-parallel-size",
    "dp",
    "data-parallel-size-local",
    "dpl",
];

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

/// `max_model_len` and `--max-model-len` are `max-model-len`; what follows a dot (`compilation-config.use_x`) names a
/// member of a JSON value and keeps its spelling.
fn flag_name(name: &str) -> String {
    let name = name.trim_start_matches('-');
    match name.split_once('.') {
        Some((flag, member)) => format!("{}.{member}", flag.replace('_', "-")),
        None => name.replace('_', "-"),
    }
}

fn flag(args: &mut Vec<String>, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(true) => args.push(format!("--{name}")),
        Value::Bool(false) => args.push(format!("--no-{name}")),
        Value::Array(values) => {
            args.push(format!("--{name}"));
            args.extend(values.iter().filter(|value| !value.is_null()).map(text));
        }
        value => push(args, name, text(value)),
    }
}

/// A flag and its value; in one word when the value could be taken for a flag.
fn push(args: &mut Vec<String>, name: &str, value: impl Into<String>) {
    let value = value.into();
    if value.starts_with('-') {
        args.push(format!("--{name}={value}"));
    } else {
        args.extend([format!("--{name}"), value]);
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
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
    if let Some(gpus) = gpus {
        env.insert("CUDA_VISIBLE_DEVICES".into(), gpus.join(","));
        // Indices mean what nvidia-smi shows, not "fastest first".
        env.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
    }
    env.extend(spawn.env.clone());
    env
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Gpus;
    use crate::supervisor::testing::{model, spawn};

    fn run(model: &Model, spawn: &Spawn, replica: usize) -> Launch {
        launch(
            model,
            spawn,
            gpus(spawn, replica).as_deref(),
            9001,
            Duration::from_secs(30),
            Path::new("/usr/bin/enginehouse"),
        )
    }

    fn gpus(spawn: &Spawn, replica: usize) -> Option<Vec<String>> {
        match &spawn.gpus {
            Gpus::Listed(gpus) => Some(share(gpus, spawn.replicas, replica).to_vec()),
            Gpus::AsVisible | Gpus::Any(_) => None,
        }
    }

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    fn args(of: Value) -> Map<String, Value> {
        of.as_object().cloned().expect("an object")
    }

    #[test]
    fn the_least_is_vllm_serve() {
        let launch = run(&model("m"), &spawn(&["vllm", "serve"]), 0);
        assert_eq!(launch.program, "vllm");
        assert_eq!(
            launch.args,
            words("serve org/model --host 127.0.0.1 --port 9001 --served-model-name m --shutdown-timeout 30")
        );
        assert_eq!(
            launch.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["PYTHONUNBUFFERED=1", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE=75"]
        );
        assert_eq!((launch.secrets.len(), launch.unset), (0, vec!["VLLM_API_KEY"]));
    }

    #[test]
    fn everything_at_once() {
        let mut model = model("m");
        model.served_name = Some("org/name".into());
        model.api_key = Some(Secret::new("sk-1"));
        let mut spawn = spawn(&["/opt/vllm/bin/vllm", "serve"]);
        spawn.gpus = Gpus::Listed(["0", "1", "2", "3"].map(String::from).into());
        spawn.gpu_memory = Some(0.9);
        spawn.replicas = 2;
        spawn.lora = BTreeMap::from([("sql".into(), "/a/sql".into()), ("odd".into(), "/a/x=y".into())]);
        spawn.env = BTreeMap::from([("CUDA_DEVICE_ORDER".into(), "FASTEST_FIRST".into()), ("A".into(), "b".into())]);
        spawn.args = args(json!({
            "max_model_len": 32768,
            "--enable-prefix-caching": true,
            "enable-chunked-prefill": false,
            "dtype": "bfloat16",
            "seed": -1,
            "middleware": ["a", "b", null],
            "speculative-config": { "method": "ngram", "num_speculative_tokens": 3 },
            "compilation_config.pass_config": "x",
            "quantization": null,
        }));
        let launch = run(&model, &spawn, 1);
        assert_eq!(launch.program, "/opt/vllm/bin/vllm");
        assert_eq!(
            launch.args,
            words(
                r#"serve org/model --host 127.0.0.1 --port 9001 --served-model-name org/name
                --gpu-memory-utilization 0.9 --tensor-parallel-size 2 --shutdown-timeout 30
                --enable-lora --lora-modules {"name":"odd","path":"/a/x=y"} sql=/a/sql
                --max-model-len 32768 --enable-prefix-caching --no-enable-chunked-prefill --dtype bfloat16 --seed=-1
                --middleware a b --speculative-config {"method":"ngram","num_speculative_tokens":3}
                --compilation-config.pass_config x"#
            )
        );
        assert_eq!(launch.env["CUDA_VISIBLE_DEVICES"], "2,3");
        assert_eq!(launch.env["CUDA_DEVICE_ORDER"], "FASTEST_FIRST", "the user's environment wins");
        assert_eq!(launch.env["A"], "b");
        assert_eq!(launch.secrets[0].0, "VLLM_API_KEY");
        assert!(launch.unset.is_empty());
        assert!(!format!("{launch:?}").contains("sk-1"), "a key shows nowhere");
    }

    #[test]
    fn what_the_user_sets_is_not_set_again() {
        let mut spawn = spawn(&[]);
        spawn.gpus = Gpus::Listed(["0", "1"].map(String::from).into());
        spawn.gpu_memory = Some(0.5);
        spawn.args = args(json!({
            "pipeline_parallel_size": 2, "gpu_memory_utilization": 0.8, "shutdown-timeout": 5,
            "host": "0.0.0.0", "api_key": "sk-1",
        }));
        assert_eq!(
            run(&model("m"), &spawn, 0).args,
            words(
                "serve org/model --host 127.0.0.1 --port 9001 --served-model-name m
                --pipeline-parallel-size 2 --gpu-memory-utilization 0.8 --shutdown-timeout 5"
            )
        );
    }

    #[test]
    fn another_server_gets_no_flags_that_only_vllm_has() {
        let launch = run(&model("m"), &spawn(&["enginehouse", "sim"]), 0);
        assert_eq!(launch.program, "/usr/bin/enginehouse");
        assert_eq!(launch.args, words("sim org/model --host 127.0.0.1 --port 9001 --served-model-name m"));
        assert_eq!(launch.env.len(), 1);
    }

    #[test]
    fn gpus_are_shared_evenly_or_in_turn() {
        let gpus = ["0", "1", "2", "3"].map(String::from);
        let shares = |count: usize, replicas| -> Vec<String> {
            (0..replicas).map(|replica| share(&gpus[..count], replicas, replica).join(",")).collect()
        };
        assert_eq!(shares(4, 2), ["0,1", "2,3"]);
        assert_eq!(shares(4, 1), ["0,1,2,3"]);
        assert_eq!(shares(1, 3), ["0", "0", "0"]);
        assert_eq!(shares(2, 3), ["0", "1", "0"]);
        assert_eq!(shares(0, 2), ["", ""]);
    }

    #[test]
    fn connections_are_reused_for_less_than_the_engine_keeps_them() {
        assert_eq!(keep_alive(&spawn(&["vllm", "serve"])), Some(Duration::from_secs(60)));
        assert_eq!(
            keep_alive(&spawn(&["python", "-m", "vllm.entrypoints.cli.main", "serve"])),
            Some(Duration::from_secs(60))
        );
        assert_eq!(keep_alive(&spawn(&["enginehouse", "sim"])), None);
        let mut own = spawn(&["vllm", "serve"]);
        own.env.insert(KEEP_ALIVE_VARIABLE.into(), "10".into());
        assert_eq!(keep_alive(&own), Some(Duration::from_secs(8)));
    }
}
