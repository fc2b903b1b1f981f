//! The flags of `enginehouse sim`: those of `vllm serve`, and what the simulation can be told to do.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;

use super::ignored::Ignored;
use super::values::{parse_duration, parse_length};
use crate::sim::faults::ProcessFaults;

/// A stand-in for `vllm serve` 0.32 that needs no GPU: same routes, shapes, errors and streams, made-up words.
///
/// One server answers both generation and pooling requests (a real vLLM does one of them: see --runner).
/// Answers are deterministic and repeat what the request asked for; structured outputs and forced tools get what conforms to
/// their schemas. `GET /sim/last_request` shows what arrived,
/// `GET /sim/stats` counts requests and aborts, `POST /sim/fault {"kind": "status:503;retry-after:2", "times": 1}`
/// makes later requests fail.
///
/// Faults of one request (header `x-sim-fault`, or `kind` above): `status:CODE[;retry-after:S]`, hang, hang-after:EVENTS,
/// die-after:EVENTS, tear-after:EVENTS (half of the next event, then the end of the connection), exit-after:EVENTS, reset,
/// malformed, refuse:CODE (of a stream: an error as its first event), `slow-header[:DURATION]`. Headers x-sim-ttft, x-sim-gap and
/// x-sim-tokens override --ttft, --gap and --tokens for one request.
///
/// Faults of the process (--ready-after … --escape) can also be given as ENGINEHOUSE_SIM_FAULTS, separated by
/// commas: `ready-after=2s,ignore-term`.
#[derive(Clone, Debug, clap::Args)]
// As with Python's argparse, the last one of a repeated flag counts.
#[command(args_override_self = true)]
pub struct Args {
    /// What `vllm serve` would load: a hub id or path. It is also the model's name unless --served-model-name is given.
    #[arg(value_name = "MODEL", required_unless_present = "model")]
    pub(super) model_tag: Option<String>,
    /// The same as MODEL.
    #[arg(long, value_name = "MODEL", conflicts_with = "model_tag")]
    pub(super) model: Option<String>,
    /// Address to listen on. (vLLM's default is 0.0.0.0.)
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one and prints it.
    #[arg(long, default_value_t = 8000)]
    pub(crate) port: u16,
    /// Names callers may use; answers carry the first.
    #[arg(long, num_args(1..), value_name = "NAME", overrides_with = "served_model_name")]
    pub(super) served_model_name: Vec<String>,
    /// Context length in tokens (a token is about 3 bytes).
    #[arg(long, default_value_t = 40_960, value_parser = parse_length, value_name = "TOKENS")]
    pub(crate) max_model_len: usize,
    /// Key that requests for /v1/* need; also VLLM_API_KEY.
    #[arg(long, num_args(1..), value_name = "KEY", overrides_with = "api_key")]
    pub(super) api_key: Vec<String>,
    /// Adapters: NAME=PATH or {"name": …, "path": …}; given twice, the last flag counts (as in vLLM).
    #[arg(long, num_args(1..), value_name = "NAME=PATH", overrides_with = "lora_modules")]
    pub(super) lora_modules: Vec<String>,
    /// Serve adapters; with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True they can be loaded at run time.
    #[arg(long)]
    pub(super) enable_lora: bool,
    /// The same as VLLM_ALLOW_RUNTIME_LORA_UPDATING=True (and --enable-lora).
    #[arg(long, help_heading = "Simulation")]
    pub(super) runtime_lora: bool,
    /// Let sleep free memory. The routes come with VLLM_SERVER_DEV_MODE=1, as in vLLM.
    #[arg(long)]
    pub(crate) enable_sleep_mode: bool,
    /// The same as VLLM_SERVER_DEV_MODE=1: routes /sleep, /wake_up, /is_sleeping, /collective_rpc and others.
    #[arg(long, help_heading = "Simulation")]
    pub(super) dev_mode: bool,
    /// Time to fall asleep, and to wake up.
    #[arg(long, default_value = "0ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(crate) sleep_takes: Duration,
    /// Think first: the first words of an answer are its thoughts (`reasoning`, a reasoning item, a thinking block).
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) reasoning_parser: Option<String>,
    /// Seconds that requests in flight may take after SIGTERM; 0 ends them at once.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) shutdown_timeout: u64,
    /// What is served: both by default; a real vLLM does `generate` or `pooling`.
    #[arg(long, value_parser = ["auto", "generate", "pooling", "draft"], default_value = "auto")]
    pub(super) runner: String,
    /// As in vLLM; `embed`, `classify` and the like mean --runner pooling.
    #[arg(long, value_parser = ["auto", "none", "embed", "classify", "reward"], default_value = "auto")]
    pub(super) convert: String,
    /// `prompt_tokens_details` in usage.
    #[arg(long)]
    pub(crate) enable_prompt_tokens_details: bool,
    /// Send usage in every chunk of every stream, even if the request does not ask for it.
    #[arg(long)]
    pub(crate) enable_force_include_usage: bool,
    /// Reply with `x-request-id`: the caller's or a new one.
    #[arg(long)]
    pub(crate) enable_request_id_headers: bool,
    /// Let requests bring their own `chat_template` (it is ignored then).
    #[arg(long)]
    pub(crate) trust_request_chat_template: bool,
    /// Count requests for GET /load.
    #[arg(long)]
    pub(crate) enable_server_load_tracking: bool,
    /// Seconds between `: keep-alive` comments while a stream is silent.
    #[arg(long, value_name = "SECONDS")]
    pub(super) sse_keep_alive_interval: Option<f64>,
    /// Requests that run at once; the others wait.
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(super) max_num_seqs: usize,
    /// Requests, running and waiting, above which new ones get 503, or in a burst a stream that begins with an error, as in vLLM.
    #[arg(long, value_name = "N")]
    pub(crate) max_num_queued_reqs: Option<usize>,

    /// Time to first token.
    #[arg(long, default_value = "20ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(crate) ttft: Duration,
    /// Time between tokens; 0ms: as fast as possible.
    #[arg(long, default_value = "5ms", value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(crate) gap: Duration,
    /// Tokens (words) of an answer, unless the request limits it.
    #[arg(long, default_value_t = 32, value_name = "N", help_heading = "Simulation")]
    pub(crate) tokens: usize,
    /// Requests that run at once; instead of --max-num-seqs.
    #[arg(long, value_name = "N", help_heading = "Simulation")]
    pub(super) concurrency: Option<usize>,
    /// Close connections that were idle this long after an answer; also VLLM_HTTP_TIMEOUT_KEEP_ALIVE in seconds. [default: 5s]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", help_heading = "Simulation")]
    pub(super) keep_alive: Option<Duration>,
    /// Length of an embedding.
    #[arg(long, default_value_t = 64, value_name = "N", help_heading = "Simulation")]
    pub(crate) dimensions: usize,
    /// Log a line per request.
    #[arg(long, help_heading = "Simulation")]
    pub(crate) access_log: bool,
    #[command(flatten)]
    pub(super) process_faults: ProcessFaults,
    #[command(flatten)]
    _ignored: Ignored,
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
}
