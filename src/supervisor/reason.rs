//! Why an engine failed, in words: from how its process ended and what it said last.

use std::time::Duration;

use super::machine::{Cause, Exit};
use crate::engines::Failure;

/// Lines of the log that are shown with a failure.
const SHOWN: usize = 20;

/// Characters of an engine's own words that are repeated in a reason.
const MOST_OWN_WORDS: usize = 300;

/// Patterns in a log, the first that is found counts, and what they mean. vLLM 0.32, PyTorch, Hugging Face, clap.
const USUAL: &[(&[&str], &str)] = &[
    (
        &[
            "unrecognized arguments:",
            "unexpected argument '",
            "invalid choice:",
            "error: argument -",
            "invalid value '",
        ],
        "it was started with a flag that it does not take; mend `args`",
    ),
    (
        &["address already in use", "errno 98]", "errno 98)"],
        "its port was taken by another process meanwhile; start it again",
    ),
    (
        &["gatedrepoerror", "gated repo", "access to model", "awaiting a review from the repo authors"],
        "the model is gated: accept its licence on the hub and set HF_TOKEN",
    ),
    (
        &[
            "is not a valid model identifier",
            "hfvalidationerror",
            "repositorynotfounderror",
            "repository not found for url",
            "invalid repository id or local directory",
            "can't load the configuration of",
            "not appear to have a file named config.json",
        ],
        "the model was not found; mend `source`, or set HF_TOKEN if it is private",
    ),
    (
        &["argument `trust_remote_code=true`", "set `trust_remote_code=true`"],
        "the model brings code of its own; set `trust-remote-code: true` in `args` if you trust it",
    ),
    (
        &[
            "out of memory",
            "outofmemoryerror",
            "no available memory for the cache blocks",
            "less than desired gpu memory utilization",
        ],
        "the GPU's memory is not enough; lower `gpu_memory` or `max-model-len`, or free the GPU",
    ),
    (
        &[
            "kv cache is needed, which is larger than",
            "larger than the available kv cache memory",
            "larger than the maximum number of tokens that can be stored in kv cache",
        ],
        "the memory left for the KV cache is not enough; lower `max-model-len` or raise `gpu_memory`",
    ),
    (&["no space left on device"], "a disk is full; make room"),
    (
        &[
            "no cuda gpus are available",
            "failed to infer device type",
            "found no nvidia driver",
            "invalid device ordinal",
            "cuda driver version is insufficient",
        ],
        "it found no usable GPU; check `gpus` and the driver (`nvidia-smi`)",
    ),
    (
        &["ncclerror", "nccl error", "ncclsystemerror", "ncclunhandledcudaerror"],
        "its GPUs could not talk to each other (NCCL)",
    ),
    (
        &["modulenotfounderror", "importerror:", "error while loading shared libraries", "command not found"],
        "its installation is incomplete; reinstall it",
    ),
    (&["memoryerror", "cannot allocate memory"], "the host's memory is not enough"),
];

/// Tells of `cause`. `lines` are the end of the engine's log, `waiting` what it was last waited for.
pub(super) fn failure(cause: &Cause, waiting: Option<&str>, start_timeout: Duration, lines: Vec<String>) -> Failure {
    let usual = usual(&lines).map(str::to_owned).or_else(|| own_words(&lines));
    let reason = match cause {
        Cause::Spawn(why) => format!("the process could not be started: {why}"),
        Cause::Exited { exit, loading } => {
            let when = if *loading { "ended while loading" } else { "died while serving" };
            let why = usual.or_else(|| signal_means(*exit).map(str::to_owned));
            let colon = if why.is_some() { ": " } else { "" };
            format!("the process {when} ({}){colon}{}", how(*exit), why.unwrap_or_default())
        }
        Cause::NeverReady => {
            let limit = humantime::format_duration(start_timeout);
            let waiting = waiting.map(|text| format!(" ({text})")).unwrap_or_default();
            let advice = usual.unwrap_or_else(|| "raise `start_timeout` if it was still loading".into());
            format!("not ready within {limit}{waiting}: {advice}")
        }
    };
    let skipped = lines.len().saturating_sub(SHOWN);
    Failure { reason, log: lines.into_iter().skip(skipped).collect() }
}

fn usual(lines: &[String]) -> Option<&'static str> {
    let text = lines.join("\n").to_ascii_lowercase();
    USUAL.iter().find(|(needles, _)| needles.iter().any(|needle| text.contains(needle))).map(|(_, means)| *means)
}

/// The last error that the engine named itself, as Python does: `ValueError: No common block size`. vLLM repeats the
/// cause in several processes, and closes with one that says nothing.
fn own_words(lines: &[String]) -> Option<String> {
    let said = lines.iter().rev().map(|line| without_prefix(line).trim()).find(|line| {
        let named = line.split_once(": ").is_some_and(|(name, _)| {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            plain && (name.ends_with("Error") || name.ends_with("Exception"))
        });
        (named && !line.contains("See root cause above")) || line.starts_with("Value error, ")
    })?;
    Some(said.chars().take(MOST_OWN_WORDS).collect())
}

/// A line without what vLLM puts before it: `(Worker pid=1) ERROR 11-21 21:10:06 [file.py:10] `.
fn without_prefix(line: &str) -> &str {
    match line.split_once(") ERROR ").and_then(|(_, rest)| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line.split_once(" pid=").and_then(|(_, rest)| rest.split_once(") ")).map_or(line, |(_, rest)| rest),
    }
}

fn how(exit: Exit) -> String {
    match exit {
        Exit { code: Some(code), .. } => format!("exit code {code}"),
        Exit { signal: Some(signal), .. } => match signal_name(signal) {
            Some(name) => format!("signal {signal}, {name}"),
            None => format!("signal {signal}"),
        },
        Exit { code: None, signal: None } => "how is not known".to_owned(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// What the signals that need an explanation usually mean. We sent none of them ourselves when this is asked.
fn signal_means(exit: Exit) -> Option<&'static str> {
    Some(match exit.signal? {
        4 => "its build uses instructions that this CPU does not have",
        7 => "shared memory may be full; make /dev/shm larger",
        9 => "somebody killed it, perhaps the kernel because the host's memory was full (see `dmesg`)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(cause: Cause, lines: &[&str]) -> String {
        let lines = lines.iter().map(ToString::to_string).collect();
        failure(&cause, Some("connection refused"), Duration::from_secs(600), lines).reason
    }

    fn exited(code: i32) -> Cause {
        Cause::Exited { exit: Exit { code: Some(code), signal: None }, loading: true }
    }

    #[test]
    fn the_usual_failures_are_told_with_their_remedy() {
        for (line, tells) in [
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "lower `gpu_memory`"),
            ("OSError: [Errno 98] Address already in use", "port was taken"),
            ("huggingface_hub.errors.GatedRepoError: 403 Client Error", "HF_TOKEN"),
            ("HFValidationError: Repo id must be in the form 'repo_name' or", "`source`"),
            ("OSError: nope/x is not a local folder and is not a valid model identifier listed on", "`source`"),
            ("vllm: error: unrecognized arguments: --max-modell-len 3", "`args`"),
            ("error: unexpected argument '--bad' found", "`args`"),
            ("ModuleNotFoundError: No module named 'torch'", "reinstall"),
            ("ValueError: 8.0 GiB KV cache is needed, which is larger than the available", "KV cache"),
            ("torch.distributed.DistBackendError: NCCL error in: x.cpp:1", "NCCL"),
        ] {
            let told = reason(exited(1), &["INFO loading", line, "RuntimeError: Engine core initialization failed."]);
            assert!(told.starts_with("the process ended while loading (exit code 1): "), "{told}");
            assert!(told.contains(tells), "{line} -> {told}");
        }
    }

    #[test]
    fn an_unusual_failure_is_told_in_the_engines_own_words() {
        let lines = [
            "(EngineCore pid=9) ERROR 11-21 21:10:06 [core.py:1] ValueError: No common block size for 16",
            "(APIServer pid=8) RuntimeError: Engine core initialization failed. See root cause above.",
        ];
        let told = reason(exited(1), &lines);
        assert_eq!(told, "the process ended while loading (exit code 1): ValueError: No common block size for 16");
        let lines =
            ["1 validation error for ModelConfig", "  Value error, Sleep mode is not supported [type=value_error]"];
        assert!(reason(exited(1), &lines).ends_with(": Value error, Sleep mode is not supported [type=value_error]"));
        assert_eq!(
            reason(exited(1), &["Warning: no Error: here", ": "]),
            "the process ended while loading (exit code 1)"
        );
    }

    #[test]
    fn an_unknown_failure_tells_how_the_process_ended() {
        assert_eq!(reason(exited(3), &["?"]), "the process ended while loading (exit code 3)");
        let killed = Cause::Exited { exit: Exit { code: None, signal: Some(9) }, loading: false };
        assert!(
            reason(killed, &[]).starts_with("the process died while serving (signal 9, SIGKILL): somebody killed it")
        );
        assert_eq!(
            reason(Cause::NeverReady, &[]),
            "not ready within 10m (connection refused): raise `start_timeout` if it was still loading"
        );
    }

    #[test]
    fn the_last_twenty_lines_are_kept() {
        let lines: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let kept = failure(&exited(1), None, Duration::ZERO, lines).log;
        assert_eq!((kept.len(), kept[0].as_str(), kept[19].as_str()), (20, "30", "49"));
    }
}
