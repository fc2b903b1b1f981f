//! Failures that are known by their words: what they mean, and what to do.
//!
//! Words of vLLM 0.32, PyTorch, Transformers, the Hugging Face hub, the CUDA runtime, argparse and clap.

/// A failure that is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Any of these in a line, in lower case.
    words: &'static [&'static str],
    /// What happened and what to do.
    pub(crate) means: &'static str,
    /// It may follow from another failure, which explains more, or be lived through (an optional import, a hub that
    /// is not asked again): it counts only where nothing else is found.
    weak: bool,
}

const fn known(words: &'static [&'static str], means: &'static str) -> Known {
    Known { words, means, weak: false }
}

const fn weak(words: &'static [&'static str], means: &'static str) -> Known {
    Known { words, means, weak: true }
}

const KV_CACHE: Known = known(
    &[
        "kv cache is needed, which is larger than",
        "larger than the available kv cache memory",
        "larger than the maximum number of tokens that can be stored in kv cache",
    ],
    "the memory left for the KV cache is not enough; lower `max-model-len` or raise `gpu_memory`",
);

/// In one line the first one that fits counts.
const ALL: &[Known] = &[
    known(
        &["unrecognized arguments: --shutdown-timeout"],
        "this vLLM is too old for `--shutdown-timeout`, which Enginehouse adds so that requests in flight finish at a stop; \
         install vLLM 0.32 or later, or leave it out with `shutdown-timeout: false` in `args`",
    ),
    known(
        &[
            "unrecognized arguments:",
            "unexpected argument '",
            "invalid choice:",
            "error: argument -",
            "invalid value '",
            "error: ambiguous option:",
            "the following arguments are required:",
        ],
        "it was started with a flag that it does not take; correct `args`",
    ),
    known(
        &["address already in use", "errno 98]", "errno 98)", "eaddrinuse"],
        "its port was taken by another process meanwhile; start it again",
    ),
    known(
        &[
            "gatedrepoerror",
            "gated repo",
            "access to model",
            "awaiting a review from the repo authors",
            "is restricted and you are not in the authorized list",
        ],
        "the model is gated: accept its licence on the hub and set HF_TOKEN",
    ),
    known(
        &["invalid credentials in authorization header", "invalid user token", "token is invalid"],
        "the hub does not take its token; set another HF_TOKEN",
    ),
    weak(
        &[
            "couldn't connect to 'https://huggingface.co'",
            "we couldn't connect to",
            "localentrynotfounderror",
            "offlinemodeisenabled",
            "name resolution",
            "name or service not known",
            "max retries exceeded with url",
        ],
        "the hub cannot be reached, and the model is not on this disk; check the network and proxy, or set `source` to a folder",
    ),
    known(&["is greater than max_lora_rank"], "a LoRA adapter's rank is too large; raise `max-lora-rank` in `args`"),
    known(&["does not support lora yet", "not support lora"], "this model takes no LoRA adapters; remove `lora`"),
    known(
        &["no adapter found for", "loading lora ", "error loading lora"],
        "a LoRA adapter cannot be loaded; correct its path under `lora`",
    ),
    known(
        &[
            "is not a valid model identifier",
            "hfvalidationerror",
            "repositorynotfounderror",
            "revisionnotfounderror",
            "repository not found for url",
            "invalid repository id or local directory",
            "can't load the configuration of",
            "not appear to have a file named config.json",
            "cannot find any model weights with",
            "no such file or directory: '/", // a path in `source`, `chat-template` and the like
        ],
        "the model, or a file of it, was not found; correct `source`, or set HF_TOKEN if it is private",
    ),
    known(
        &["argument `trust_remote_code=true`", "set `trust_remote_code=true`", "contains custom code which must be"],
        "the model brings code of its own; set `trust-remote-code: true` in `args` if you trust it",
    ),
    known(
        &[
            "are not supported for now",
            "does not recognize this architecture",
            "is not supported in-tree anymore",
            "is not supported anymore. please use an older version",
            "failed to be inspected",
            "the transformers implementation is not compatible with vllm",
            "has no vllm implementation",
        ],
        "this vLLM does not support the model's architecture; upgrade vLLM (and transformers), or serve another model",
    ),
    known(
        &[
            "does not match the quantization method specified",
            "unknown quantization method",
            "is not supported for the current gpu. minimum capability",
            "is not supported for quantization method",
            "quantization is currently not supported in",
            "allow-deprecated-quantization",
        ],
        "the quantization does not fit the model, its dtype or this GPU; correct or remove `quantization` and `dtype` in `args`",
    ),
    known(&["bfloat16 is only supported on gpus"], "this GPU is too old for bfloat16; set `dtype: half` in `args`"),
    known(
        &[
            "must be divisible by tensor parallel size",
            "is not divisible by",
            "try running with a different tensor parallel size",
        ],
        "the model cannot be split over so many GPUs; set `gpus`, or `tensor-parallel-size`, to a divisor of its attention heads",
    ),
    known(
        &["larger than the number of available gpus", "is larger than the number of visible devices"],
        "it wants more GPUs than it was given; raise `gpus` or lower the parallel sizes in `args`",
    ),
    known(
        &["is greater than the derived max_model_len"],
        "`max-model-len` is more than the model was made for; lower it",
    ),
    KV_CACHE,
    known(
        &["no available memory for the cache blocks"],
        "the weights leave no memory for the KV cache; raise `gpu_memory`, give it more `gpus`, or quantize",
    ),
    known(
        &["less than desired gpu memory utilization"],
        "other processes hold memory of its GPU (`enginehouse gpus` names them); end them, or lower `gpu_memory`",
    ),
    known(
        &["out of memory", "outofmemoryerror", "cublas_status_alloc_failed"],
        "the GPU's memory is not enough; lower `gpu_memory` or `max-model-len`, or free the GPU",
    ),
    known(
        &["less than desired cpu memory utilization", "memoryerror", "cannot allocate memory", "std::bad_alloc"],
        "the host's memory is not enough",
    ),
    known(
        &["no space left on device", "not enough free disk space", "disk quota exceeded"],
        "a disk is full; make room, or set `HF_HOME` in `env` to another one",
    ),
    known(&["read-only file system"], "it cannot write where it must; set `HF_HOME` in `env` to a folder it may write"),
    known(&["too many open files"], "it may not open so many files; raise the limit (`ulimit -n`)"),
    known(
        &["nvidia driver on your system is too old", "cuda driver version is insufficient", "unsupported ptx"],
        "the GPU driver is too old for its CUDA; upgrade the driver, or install a vLLM for an older CUDA",
    ),
    known(
        &["no kernel image is available for execution"],
        "its build has no code for this GPU; install a vLLM that supports it",
    ),
    known(
        &["system not yet initialized"],
        "the GPUs' switch is not up; start the fabric manager (`systemctl start nvidia-fabricmanager`)",
    ),
    known(
        &["uncorrectable ecc error", "fallen off the bus", "gpu is lost", "hardware stack error"],
        "a GPU is broken; look for `Xid` in `dmesg`, then reset it or take it out of `gpus`",
    ),
    known(
        &[
            "no cuda gpus are available",
            "no cuda-capable device is detected",
            "failed to infer device type",
            "found no nvidia driver",
            "invalid device ordinal",
            "libcuda.so.1: cannot open shared object",
            "device string must not be empty",
        ],
        "it found no usable GPU; check `gpus` and the driver (`nvidia-smi`)",
    ),
    weak(
        &["error while loading shared libraries", "cannot open shared object file", "undefined symbol:"],
        "a shared library is missing or does not fit; reinstall it, or set LD_LIBRARY_PATH in `env`",
    ),
    weak(
        &["modulenotfounderror", "importerror:", "command not found", "packagenotfounderror"],
        "its installation is incomplete; reinstall it",
    ),
    known(&["unable to write to file </torch", "/dev/shm"], "shared memory is full; make /dev/shm larger"),
    weak(
        &["ncclerror", "nccl error", "ncclsystemerror", "ncclunhandledcudaerror", "ncclremoteerror"],
        "its GPUs could not talk to each other (NCCL); set `NCCL_DEBUG: INFO` in `env` to see why",
    ),
    weak(
        &["an illegal memory access", "device-side assert", "unspecified launch failure", "cuda error:"],
        "a computation on the GPU failed; if it does so again, try `enforce-eager: true` in `args`",
    ),
    weak(
        &["(exit code: -9)", "': -9"],
        "one of its processes was killed, perhaps by the kernel because the host's memory was full (see `dmesg`)",
    ),
    weak(&["(exit code: -7)", "': -7"], "shared memory may be full; make /dev/shm larger"),
    weak(&["(exit code: -4)", "': -4"], "its build uses instructions that this CPU does not have"),
];

/// The failure that `lines` tell of, and the line that does: the first one that is not weak.
/// What is tried again later, or fails because of it in other processes, comes after it.
pub(crate) fn find<'a>(lines: impl Iterator<Item = &'a str>) -> Option<(&'static Known, &'a str)> {
    let mut weak = None;
    for line in lines {
        let lower = line.to_ascii_lowercase();
        match ALL.iter().find(|known| known.words.iter().any(|words| lower.contains(words))) {
            Some(known) if !known.weak => return Some((known, line)),
            Some(known) if weak.is_none() => weak = Some((known, line)),
            _ => {}
        }
    }
    weak
}

impl Known {
    /// What it means, with what the engine itself suggests in `line`.
    pub(crate) fn advice(&self, line: &str) -> String {
        let suggested = line
            .split_once("the estimated maximum model length is ")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
            .filter(|length| *self == KV_CACHE && !length.is_empty());
        match suggested {
            Some(length) => format!(
                "the memory left for the KV cache is not enough; lower `max-model-len` to {length} or raise `gpu_memory`"
            ),
            None => self.means.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(lines: &[&str]) -> Option<&'static str> {
        find(lines.iter().copied()).map(|(known, _)| known.means)
    }

    #[test]
    fn words_are_in_lower_case_and_each_is_one_failures() {
        for (at, known) in ALL.iter().enumerate() {
            for words in known.words {
                assert_eq!(*words, words.to_ascii_lowercase());
                let first = ALL.iter().position(|other| other.words.iter().any(|other| words.contains(other)));
                assert_eq!(first, Some(at), "`{words}` is found as another failure's");
            }
        }
    }

    #[test]
    fn the_cause_wins_over_what_follows_from_it() {
        let nccl = "torch.distributed.DistBackendError: NCCL error in: x.cpp:1, remote process exited";
        let memory = "torch.OutOfMemoryError: CUDA out of memory.";
        let killed = "Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting down executor.";
        assert!(means(&[nccl, memory]).is_some_and(|means| means.contains("GPU's memory")));
        assert!(means(&[memory, nccl]).is_some_and(|means| means.contains("GPU's memory")));
        assert!(means(&[nccl, killed]).is_some_and(|means| means.contains("NCCL")), "the first of two consequences");
        assert!(means(&[killed]).is_some_and(|means| means.contains("dmesg")));
        let import = "ImportError: libavutil.so.60: cannot open shared object file: No such file or directory";
        assert!(means(&[import, memory]).is_some_and(|means| means.contains("GPU's memory")), "it went on without");
        assert!(means(&[import]).is_some_and(|means| means.contains("shared library")));
        assert_eq!(means(&["all is well", ""]), None);
    }
}
