//! Flags of `vllm serve` that the simulation takes and forgets.

use clap::ArgAction;

/// Flags of `vllm serve` that take a value and change nothing here.
const IGNORED_WITH_VALUE: &str = "\
    all2all-backend allowed-origins api-server-count async-scheduling-config attention-backend block-size \
    chat-template chat-template-content-format code-revision collect-detailed-traces compilation-config \
    config-format cpu-offload-gb data-parallel-address data-parallel-backend data-parallel-rpc-port \
    data-parallel-size data-parallel-size-local decode-context-parallel-size default-chat-template-kwargs \
    distributed-executor-backend download-dir dtype generation-config gpu-memory-utilization \
    guided-decoding-backend hf-overrides hf-token kv-cache-dtype kv-cache-memory-bytes kv-events-config \
    kv-transfer-config limit-mm-per-prompt load-format logits-processors long-prefill-token-threshold \
    max-cpu-loras max-logprobs max-lora-rank max-loras max-num-batched-tokens max-num-partial-prefills \
    max-num-queued-tokens max-parallel-loading-workers max-seq-len-to-capture middleware mm-processor-kwargs \
    model-impl moe-backend nnodes node-rank num-gpu-blocks-override num-scheduler-steps optimization-level \
    otlp-traces-endpoint override-generation-config override-pooler-config performance-mode \
    pipeline-parallel-size pooler-config prefill-context-parallel-size quantization response-role revision \
    root-path rope-scaling safetensors-load-strategy scheduling-policy seed speculative-config stream-interval \
    structured-outputs-config swap-space task tensor-parallel-size tokenizer tokenizer-mode tokenizer-revision \
    tool-call-parser tool-parser-plugin uvicorn-log-level";

/// Switches of `vllm serve` that change nothing here, each by its opposite: without `no-` it is the switch itself.
const IGNORED_SWITCHES: &str = "\
    no-allow-credentials no-async-scheduling no-disable-cascade-attn no-disable-custom-all-reduce \
    no-disable-fastapi-docs no-disable-frontend-multiprocessing no-disable-hybrid-kv-cache-manager \
    no-disable-log-requests no-disable-log-stats no-disable-sliding-window no-disable-uvicorn-access-log \
    no-enable-auto-tool-choice no-enable-chunked-prefill no-enable-dbo no-enable-eplb no-enable-expert-parallel \
    no-enable-log-outputs no-enable-log-requests no-enable-prefix-caching no-enable-prompt-embeds \
    no-enable-scale-out no-enforce-eager no-headless no-language-model-only no-return-tokens-as-token-ids \
    no-skip-mm-profiling no-trust-remote-code";

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
        for name in IGNORED_WITH_VALUE.split(' ') {
            let mut arg = clap::Arg::new(name).long(name).num_args(1).action(ArgAction::Append).hide(true);
            // vLLM's `-tp 2` is one dash and two letters, which no POSIX parser takes; `--tp` is.
            if let Some(short) = short(name) {
                arg = arg.alias(short);
            }
            command = command.arg(arg);
        }
        for opposite in IGNORED_SWITCHES.split(' ') {
            let name = opposite.trim_start_matches("no-");
            let arg = clap::Arg::new(name).long(name).alias(opposite);
            command = command.arg(arg.action(ArgAction::Count).num_args(0).hide(true));
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}
