//! Flags of `vllm serve` that the simulation takes and forgets.

use clap::ArgAction;

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

/// vLLM's flags that are accepted and ignored.
#[derive(Clone, Debug)]
pub(super) struct Ignored;

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
