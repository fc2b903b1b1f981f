//! The flags of `enginehouse sim`: those of `vllm serve`, and what the simulation can be told to do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::{ArgAction, Parser};

use super::faults::Boot;

/// Flags of `vllm serve` that take a value and change nothing here.
const IGNORED_WITH_VALUE: &[&str] = &[
    "allowed-origins",
    "api-server-count",
    "attention-backend",
    "block-size",
    "chat-template",
    "chat-template-content-format",
    "compilation-config",
    "config-format",
    "cpu-offload-gb",
    "data-parallel-address",
    "data-parallel-backend",
    "data-parallel-rpc-port",
    "data-parallel-size",
    "data-parallel-size-local",
    "default-chat-template-kwargs",
    "distributed-executor-backend",
    "download-dir",
    "dtype",
    "generation-config",
    "gpu-memory-utilization",
    "guided-decoding-backend",
    "hf-overrides",
    "hf-token",
    "kv-cache-dtype",
    "kv-cache-memory-bytes",
    "kv-events-config",
    "kv-transfer-config",
    "limit-mm-per-prompt",
    "load-format",
    "logits-processors",
    "long-prefill-token-threshold",
    "max-logprobs",
    "max-cpu-loras",
    "max-lora-rank",
    "max-loras",
    "max-num-batched-tokens",
    "max-num-partial-prefills",
    "max-num-queued-tokens",
    "max-parallel-loading-workers",
    "max-seq-len-to-capture",
    "middleware",
    "mm-processor-kwargs",
    "model-impl",
    "num-gpu-blocks-override",
    "num-scheduler-steps",
    "moe-backend",
    "nnodes",
    "node-rank",
    "optimization-level",
    "override-generation-config",
    "override-pooler-config",
    "performance-mode",
    "pipeline-parallel-size",
    "pooler-config",
    "prefill-context-parallel-size",
    "quantization",
    "response-role",
    "revision",
    "root-path",
    "rope-scaling",
    "safetensors-load-strategy",
    "scheduling-policy",
    "seed",
    "speculative-config",
    "structured-outputs-config",
    "swap-space",
    "task",
    "tensor-parallel-size",
    "tokenizer",
    "tokenizer-mode",
    "tokenizer-revision",
    "tool-call-parser",
    "tool-parser-plugin",
    "uvicorn-log-level",
    "code-revision",
    "collect-detailed-traces",
    "otlp-traces-endpoint",
    "stream-interval",
    "async-scheduling-config",
    "decode-context-parallel-size",
    "all2all-backend",
];

/// Each name with the `no-` before it.
macro_rules! switches {
    ($($name:literal),* $(,)?) => { &[$(($name, concat!("no-", $name))),*] };
}

/// Switches of `vllm serve` that change nothing here, and their opposites.
const IGNORED_SWITCHES: &[(&str, &str)] = switches![
    "allow-credentials",
    "async-scheduling",
    "disable-cascade-attn",
    "disable-custom-all-reduce",
    "disable-fastapi-docs",
    "disable-frontend-multiprocessing",
    "disable-hybrid-kv-cache-manager",
    "disable-log-requests",
    "disable-log-stats",
    "disable-sliding-window",
    "disable-uvicorn-access-log",
    "enable-auto-tool-choice",
    "enable-chunked-prefill",
    "enable-dbo",
    "enable-eplb",
    "enable-expert-parallel",
    "enable-log-outputs",
    "enable-log-requests",
    "enable-prefix-caching",
    "enable-prompt-embeds",
    "enable-scale-out",
    "enforce-eager",
    "headless",
    "language-model-only",
    "return-tokens-as-token-ids",
    "skip-mm-profiling",
    "trust-remote-code",
];

/// A stand-in for `vllm serve` 0.32 that needs no GPU: same routes, shapes, errors and streams, made-up words.
///
/// One server answers both generation and pooling requests (a real vLLM does one of them: see --runner).
/// Answers are deterministic and repeat what the request asked for. `GET /sim/last_request` shows what arrived,
/// `GET /sim/stats` counts requests and aborts, `POST /sim/fault {"kind": "status:503;retry-after:2", "times": 1}`
/// makes later requests fail.
///
/// Faults of one request (header `x-sim-fault`, or `kind` above): `status:CODE[;retry-after:S]`, hang, hang-after:EVENTS,
/// die-after:EVENTS, exit-after:EVENTS, reset, malformed, `slow-header[:DURATION]`. Headers x-sim-ttft, x-sim-gap and
/// x-sim-tokens override --ttft, --gap and --tokens for one request.
///
/// Faults of the process (--ready-after … --escape) can also be given as ENGINEHOUSE_SIM_FAULTS, separated by
/// commas: `ready-after=2s,ignore-term`.
#[derive(Clone, Debug, clap::Args)]
// As with Python's argparse, the last one of a repeated flag counts.
#[command(args_override_self = true)]
pub struct Args {
    /// What `vllm serve` would load: a hub id or path. Its text is the model's name unless --served-model-name is given.
    #[arg(value_name = "MODEL", required_unless_present = "model")]
    model_tag: Option<String>,
    /// The same as MODEL.
    #[arg(long, value_name = "MODEL", conflicts_with = "model_tag")]
    model: Option<String>,
    /// Address to listen on. (vLLM's default is 0.0.0.0.)
    #[arg(long, default_value = "127.0.0.1")]
    pub(super) host: String,
    /// Port to listen on; 0 takes a free one and prints it.
    #[arg(long, default_value_t = 8000)]
    pub(super) port: u16,
    /// Names callers may use; answers carry the first.
    #[arg(long, num_args(1..), value_name = "NAME", overrides_with = "served_model_name")]
    served_model_name: Vec<String>,
    /// Context length in tokens (a token is about 3 bytes).
    #[arg(long, default_value_t = 40_960, value_parser = parse_length, value_name = "TOKENS")]
    pub(super) max_model_len: usize,
    /// Key that /v1/* asks for; also VLLM_API_KEY.
    #[arg(long, num_args(1..), value_name = "KEY", overrides_with = "api_key")]
    api_key: Vec<String>,
    /// Adapters: NAME=PATH or {"name": …, "path": …}; given twice, the last flag counts (as in vLLM).
    #[arg(long, num_args(1..), value_name = "NAME=PATH", overrides_with = "lora_modules")]
    lora_modules: Vec<String>,
    /// Serve adapters; with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True they can be loaded at run time.
    #[arg(long)]
    enable_lora: bool,
    /// The same as VLLM_ALLOW_RUNTIME_LORA_UPDATING=True (and --enable-lora).
    #[arg(long, help_heading = "Simulation")]
    runtime_lora: bool,
    /// Let sleep free memory. The routes come with VLLM_SERVER_DEV_MODE=1, as in vLLM.
    #[arg(long)]
    pub(super) enable_sleep_mode: bool,
    /// The same as VLLM_SERVER_DEV_MODE=1: routes /sleep, /wake_up, /is_sleeping, /collective_rpc and others.
    #[arg(long, help_heading = "Simulation")]
    dev_mode: bool,
    /// Time to fall asleep, and to wake up.
    #[arg(long, default_value = "0ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(super) sleep_takes: Duration,
    /// Think first: the first words of a chat answer go to `reasoning`.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reasoning_parser: Option<String>,
    /// Seconds that requests in flight may take after SIGTERM; 0 ends them at once.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(super) shutdown_timeout: u64,
    /// What is served: both by default; a real vLLM does `generate` or `pooling`.
    #[arg(long, value_parser = ["auto", "generate", "pooling", "draft"], default_value = "auto")]
    runner: String,
    /// Taken as vLLM takes it; `embed` and friends mean --runner pooling.
    #[arg(long, value_parser = ["auto", "none", "embed", "classify", "reward"], default_value = "auto")]
    convert: String,
    /// `prompt_tokens_details` in usage.
    #[arg(long)]
    enable_prompt_tokens_details: bool,
    /// Usage in every stream, in every chunk, asked for or not.
    #[arg(long)]
    enable_force_include_usage: bool,
    /// Reply with `x-request-id`: the caller's or a new one.
    #[arg(long)]
    enable_request_id_headers: bool,
    /// Let requests bring their own `chat_template` (it is ignored then).
    #[arg(long)]
    pub(super) trust_request_chat_template: bool,
    /// Count requests for GET /load.
    #[arg(long)]
    enable_server_load_tracking: bool,
    /// Seconds between `: keep-alive` comments while a stream is silent.
    #[arg(long, value_name = "SECONDS")]
    sse_keep_alive_interval: Option<f64>,
    /// Requests that run at once; the others wait.
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_num_seqs: usize,
    /// Waiting requests above which new ones get 503.
    #[arg(long, value_name = "N")]
    pub(super) max_num_queued_reqs: Option<usize>,

    /// Time to first token.
    #[arg(long, default_value = "20ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(super) ttft: Duration,
    /// Time between tokens; 0ms streams as fast as it can.
    #[arg(long, default_value = "5ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(super) gap: Duration,
    /// Tokens (words) of an answer that nothing cuts short.
    #[arg(long, default_value_t = 32, value_name = "N", help_heading = "Simulation")]
    pub(super) tokens: usize,
    /// Requests that run at once; instead of --max-num-seqs.
    #[arg(long, value_name = "N", help_heading = "Simulation")]
    concurrency: Option<usize>,
    /// Close connections that were idle this long after an answer; also VLLM_HTTP_TIMEOUT_KEEP_ALIVE in seconds. [default: 5s]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    keep_alive: Option<Duration>,
    /// Length of an embedding.
    #[arg(long, default_value_t = 64, value_name = "N", help_heading = "Simulation")]
    pub(super) dimensions: usize,
    /// Log a line per request.
    #[arg(long, help_heading = "Simulation")]
    pub(super) access_log: bool,
    #[command(flatten)]
    boot: Boot,
    #[command(flatten)]
    _ignored: Ignored,
}

/// What the flags and the environment come to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// What would be loaded.
    pub(super) root: String,
    /// Names callers may use, the first is the one in answers.
    pub(super) names: Vec<String>,
    /// Adapters: name and path, in order.
    pub(super) adapters: Vec<(String, String)>,
    pub(super) api_keys: Vec<String>,
    pub(super) runtime_lora: bool,
    pub(super) dev_mode: bool,
    pub(super) thinks: bool,
    pub(super) generates: bool,
    pub(super) pools: bool,
    pub(super) prompt_details: bool,
    pub(super) force_usage: bool,
    pub(super) request_id_headers: bool,
    pub(super) load_tracking: bool,
    pub(super) sse_keep_alive: Option<Duration>,
    pub(super) concurrency: usize,
    pub(super) keep_alive: Duration,
    pub(super) boot: Boot,
    pub(super) args: Args,
}

impl Settings {
    /// Tokens the KV cache seems to hold.
    pub(super) fn kv_tokens(&self) -> usize {
        self.args.max_model_len.saturating_mul(self.concurrency.min(64))
    }
}

impl Args {
    /// Parses flags as the command line would, without a program name: for engines inside a process.
    ///
    /// # Errors
    /// What is wrong with a flag.
    pub fn parse<I, T>(flags: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        #[derive(Parser)]
        #[command(name = "sim", no_binary_name = true)]
        struct Alone {
            #[command(flatten)]
            args: Args,
        }
        Alone::try_parse_from(flags).map(|alone| alone.args)
    }

    /// Flags and environment together.
    pub(super) fn settle(self, env: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let root = self.model_tag.clone().or_else(|| self.model.clone()).unwrap_or_default();
        let on = |name: &str| env(name).is_some_and(|value| matches!(&*value.to_lowercase(), "1" | "true" | "yes"));
        let pools_only = self.runner == "pooling" || matches!(&*self.convert, "embed" | "classify" | "reward");
        let adapters = self.lora_modules.iter().map(|text| parse_adapter(text)).collect::<Result<Vec<_>, _>>()?;
        let keep_alive = match (self.keep_alive, env("VLLM_HTTP_TIMEOUT_KEEP_ALIVE")) {
            (Some(given), _) => given,
            (None, None) => Duration::from_secs(5),
            (None, Some(seconds)) => Duration::from_secs(seconds.parse().map_err(|_| {
                format!("VLLM_HTTP_TIMEOUT_KEEP_ALIVE is {seconds:?}, which is no whole number of seconds.")
            })?),
        };
        Ok(Settings {
            names: if self.served_model_name.is_empty() { vec![root.clone()] } else { self.served_model_name.clone() },
            root,
            api_keys: match (self.api_key.is_empty(), env("VLLM_API_KEY")) {
                (true, Some(key)) if !key.is_empty() => vec![key],
                _ => self.api_key.clone(),
            },
            runtime_lora: self.runtime_lora || self.enable_lora && on("VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
            adapters,
            dev_mode: self.dev_mode || on("VLLM_SERVER_DEV_MODE"),
            thinks: self.reasoning_parser.is_some(),
            generates: !pools_only,
            pools: self.runner != "generate",
            prompt_details: self.enable_prompt_tokens_details,
            force_usage: self.enable_force_include_usage,
            request_id_headers: self.enable_request_id_headers,
            load_tracking: self.enable_server_load_tracking,
            sse_keep_alive: self
                .sse_keep_alive_interval
                .filter(|seconds| *seconds > 0.0)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            concurrency: self.concurrency.unwrap_or(self.max_num_seqs).clamp(1, 1 << 20),
            keep_alive,
            boot: self.boot.clone().with_env(env("ENGINEHOUSE_SIM_FAULTS").as_deref())?,
            args: self,
        })
    }
}

/// `50ms`, `2s`, `0`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("{why}; write e.g. 50ms or 2s"))
}

/// `4096`, or vLLM's `4k` (thousands) and `4K` (1024s).
fn parse_length(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1000),
        Some(b'K') => (&text[..text.len() - 1], 1024),
        _ => (text, 1),
    };
    match digits.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(length) if length > 0 => Ok(length),
        _ => Err("not a number of tokens; write e.g. 4096 or 32K".into()),
    }
}

fn parse_adapter(text: &str) -> Result<(String, String), String> {
    let from_json = || {
        let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        Some((members.get("name")?.as_str()?.to_owned(), members.get("path")?.as_str()?.to_owned()))
    };
    let pair = if text.trim_start().starts_with('{') {
        from_json()
    } else {
        text.split_once('=').map(|(name, path)| (name.to_owned(), path.to_owned()))
    };
    pair.filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        format!("--lora-modules: {text:?} names no adapter. Write NAME=PATH or {{\"name\": \"…\", \"path\": \"…\"}}.")
    })
}

/// vLLM's flags that are taken and forgotten.
#[derive(Clone, Debug)]
struct Ignored;

impl clap::FromArgMatches for Ignored {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

impl clap::Args for Ignored {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        let short = |name: &str| match name {
            "tensor-parallel-size" => Some("tp"),
            "pipeline-parallel-size" => Some("pp"),
            "data-parallel-size" => Some("dp"),
            _ => None,
        };
        for name in IGNORED_WITH_VALUE {
            let mut arg = clap::Arg::new(*name).long(*name).num_args(1).action(ArgAction::Append).hide(true);
            // vLLM's `-tp 2` is one dash and two letters, which no POSIX parser takes; `--tp` is.
            if let Some(short) = short(name) {
                arg = arg.alias(short);
            }
            command = command.arg(arg);
        }
        for (name, opposite) in IGNORED_SWITCHES {
            let arg = clap::Arg::new(*name).long(*name).alias(*opposite);
            command = command.arg(arg.action(ArgAction::Count).num_args(0).hide(true));
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settle(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let env: BTreeMap<&str, &str> = env.iter().copied().collect();
        Args::parse(flags).unwrap().settle(|name| env.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn vllms_flags_are_taken_and_unknown_ones_refused() {
        let flags = [
            "/models/tiny",
            "--tensor-parallel-size",
            "2",
            "--gpu-memory-utilization=0.9",
            "--no-enable-prefix-caching",
            "--enforce-eager",
            "--max-model-len",
            "4K",
            "--served-model-name",
            "a",
            "b",
            "--lora-modules",
            "x=/x",
            r#"{"name":"y","path":"/y"}"#,
        ];
        let settings = settle(&flags, &[]).unwrap();
        assert_eq!(settings.names, ["a", "b"]);
        assert_eq!(settings.args.max_model_len, 4096);
        assert_eq!(settle(&["m", "--port", "1", "--port", "2"], &[]).unwrap().args.port, 2);
        assert_eq!(settings.adapters, [("x".into(), "/x".into()), ("y".into(), "/y".into())]);
        assert!(!settings.runtime_lora && !settings.dev_mode && settings.generates && settings.pools);
        assert!(!settle(&["m", "--enable-sleep-mode"], &[]).unwrap().dev_mode, "the flag alone gives no routes");
        let unknown = Args::parse(["m", "--max-model-length", "4"]).unwrap_err();
        assert_eq!(unknown.exit_code(), 2);
    }

    #[test]
    fn repeated_lora_modules_keep_only_the_last_as_in_vllm() {
        let settings = settle(&["m", "--lora-modules", "x=/x", "--lora-modules", "y=/y"], &[]).unwrap();
        assert_eq!(settings.adapters, [("y".into(), "/y".into())]);
    }

    #[test]
    fn the_environment_is_read() {
        let env = [
            ("VLLM_API_KEY", "k"),
            ("VLLM_SERVER_DEV_MODE", "1"),
            ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),
            ("ENGINEHOUSE_SIM_FAULTS", "ignore-term,ready-after=2s,oom=1s,wedge=3,escape,escape=clean"),
        ];
        let settings = settle(&["m", "--enable-lora"], &env).unwrap();
        assert_eq!(settings.api_keys, ["k"]);
        assert!(settings.dev_mode && settings.runtime_lora && settings.boot.ignore_term);
        assert_eq!(settings.boot.ready_after, Duration::from_secs(2));
        assert_eq!((settings.boot.oom, settings.boot.wedge), (Some(Duration::from_secs(1)), Some(3)));
        assert_eq!(settings.boot.escape.len(), 2);
        assert!(!settle(&["m"], &env[2..3]).unwrap().runtime_lora, "it takes --enable-lora, too");
        assert!(settle(&["m"], &[("ENGINEHOUSE_SIM_FAULTS", "ignore-trem")]).unwrap_err().contains("ignore-term"));
    }
}
