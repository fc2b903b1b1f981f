//! Why an engine failed: from how its process ended and what it said last.

use super::known;
use crate::api::{Diagnosis, FailureCause};

/// Lines of the log that are shown with a failure.
const SHOWN: usize = 20;

/// Characters of an engine's own words that are repeated in a reason.
const MOST_OWN_WORDS: usize = 300;

/// Lines at the end of a serving engine's log that can be about its death, where nothing marks where that began.
const LAST_WORDS: usize = 200;

/// What a vLLM that served says first when it dies. What stands before is about requests.
const DYING: [&str; 3] =
    ["EngineCore encountered a fatal error", "died unexpectedly", "AsyncLLM output_handler failed"];

/// What every part of vLLM says when the core is gone. It says nothing of why.
const CORE_DEAD: &str = "EngineDeadError";

/// What vLLM's server says of an error in the middle of a stream, which is told elsewhere.
const IN_A_STREAM: &str = "Caught handled exception, but response already started";

/// What a worker of vLLM says before that, and tells why; also of what it lives through, such as an adapter that is not there.
const WORKER_FAILED: &str = "WorkerProc hit an exception";

/// `cause`, with what the engine's log says of it where that can tell; `lines` are the end of the log.
pub(crate) fn diagnosed(mut cause: FailureCause, lines: &[String]) -> FailureCause {
    let about = about(&cause, lines);
    if let FailureCause::Exited { diagnosis, .. } | FailureCause::StartTimeout { diagnosis, .. } = &mut cause {
        let own = || own_words(about).map(|said| Diagnosis { advice: None, said: Some(said) });
        *diagnosis = usual(about).or_else(own).or_else(|| core_ended(about));
    }
    cause
}

/// The last lines of a log, as many as are shown with a failure.
pub(crate) fn shown(lines: Vec<String>) -> Vec<String> {
    let skipped = lines.len().saturating_sub(SHOWN);
    lines.into_iter().skip(skipped).collect()
}

/// The lines that can tell why: all of a start, the end of a service.
fn about<'a>(cause: &FailureCause, lines: &'a [String]) -> &'a [String] {
    match cause {
        // Who is killed says nothing of it: what stands there is about requests.
        FailureCause::Exited { loading: false, signal: Some(9), .. } => return &[],
        FailureCause::Exited { loading: false, .. } => {}
        _ => return lines,
    }
    let earlier = |at: usize| at.saturating_sub(LAST_WORDS);
    let from = match lines.iter().position(|line| DYING.iter().any(|words| line.contains(words))) {
        Some(at) => {
            let before = lines.get(earlier(at)..at).unwrap_or_default();
            before.iter().position(|line| line.contains(WORKER_FAILED)).map_or(at, |found| earlier(at) + found)
        }
        None => earlier(lines.len()),
    };
    lines.get(from..).unwrap_or_default()
}

/// A failure that is known, in our words and the engine's.
fn usual(lines: &[String]) -> Option<Diagnosis> {
    let (known, line) = known::find(lines.iter().filter(|line| is_telling(line)).map(|line| without_prefix(line)))?;
    let advice = known.advice(line);
    let said: String = line.trim().chars().take(MOST_OWN_WORDS).collect();
    Some(Diagnosis { advice: Some(advice), said: Some(said) })
}

/// What is said of a vLLM whose core ended without a word, as it does when it is killed.
fn core_ended(lines: &[String]) -> Option<Diagnosis> {
    let is_told = lines.iter().any(|line| {
        line.contains(CORE_DEAD) || (line.contains("died unexpectedly") && line.to_lowercase().contains("engine core"))
    });
    let advice =
        "its engine core ended without saying why; it may have been killed (`dmesg` shows whether memory ran out)";
    is_told.then(|| Diagnosis { advice: Some(advice.to_owned()), said: None })
}

/// Whether a line can name a failure: no mere remark, and no code that a traceback quotes.
fn is_telling(line: &str) -> bool {
    let remark =
        [") INFO ", ") WARNING ", ") DEBUG "].iter().any(|level| line.starts_with('(') && line.contains(level));
    let said = without_prefix(line);
    let quoted = said.starts_with("    ") || said.starts_with("  File \"");
    !remark && !quoted && !said.starts_with("INFO:") && !said.starts_with("WARNING:")
}

/// The error that the engine named itself, as Python does: `ValueError: No common block size`. The first one, since
/// vLLM's processes tell of each other's ends; but of exceptions that led to one another the last, which was meant to be
/// read.
fn own_words(lines: &[String]) -> Option<String> {
    let mut found: Option<&str> = None;
    let mut goes_on = true;
    for line in lines.iter().filter(|line| is_telling(line)) {
        let said = without_prefix(line).trim();
        if is_chained(said) {
            goes_on = true;
        } else if goes_on && is_error(said) {
            (found, goes_on) = (Some(said), false);
        }
    }
    Some(found?.chars().take(MOST_OWN_WORDS).collect())
}

/// What Python writes between an exception and the one it led to.
fn is_chained(line: &str) -> bool {
    line.starts_with("During handling of the above exception") || line.starts_with("The above exception was the direct")
}

/// Whether a line is an error with its message.
fn is_error(line: &str) -> bool {
    let named = line.split_once(": ").is_some_and(|(name, message)| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        plain && (name.ends_with("Error") || name.ends_with("Exception")) && !message.is_empty()
    });
    // Pydantic says what is wrong in a line of its own.
    let says_nothing =
        ["See root cause above", " validation error", CORE_DEAD, IN_A_STREAM].iter().any(|words| line.contains(words));
    (named && !says_nothing) || line.starts_with("Value error, ")
}

/// A line without what vLLM puts before it: `(Worker pid=1) ERROR 11-21 21:10:06 [file.py:10] `.
fn without_prefix(line: &str) -> &str {
    match line.split_once(") ERROR ").and_then(|(_, rest)| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line.split_once(" pid=").and_then(|(_, rest)| rest.split_once(") ")).map_or(line, |(_, rest)| rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{HealthProblem, StartPhase, Starting};

    fn reason(cause: FailureCause, lines: &[&str]) -> String {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        diagnosed(cause, &lines).to_string()
    }

    fn never_ready() -> FailureCause {
        let refused = HealthProblem::Refused { request: "GET /health".into() };
        let reached = Starting { problem: Some(refused), ..Starting::at(StartPhase::Launched) };
        FailureCause::StartTimeout { seconds: 600.0, reached: Some(Box::new(reached)), diagnosis: None }
    }

    fn exited(code: i32) -> FailureCause {
        FailureCause::Exited { code: Some(code), signal: None, loading: true, diagnosis: None }
    }

    /// Lines of logs, and a part of what they tell.
    const LINES: &[(&str, &str)] = &[
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "lower `gpu_memory`"),
        ("ValueError: No available memory for the cache blocks. Try increasing", "raise `gpu_memory`"),
        (
            "ValueError: Free memory on device cuda:0 (10.1/79.1 GiB) on startup is less than desired GPU memory utilization (0.9, 71.2 GiB).",
            "enginehouse gpus",
        ),
        (
            "ValueError: The model's max seq len (40960) is larger than the maximum number of tokens that can be stored in KV cache (100).",
            "lower `max-model-len` or",
        ),
        ("OSError: [Errno 98] Address already in use", "port was taken"),
        (
            "[Errno 98] error while attempting to bind on address ('127.0.0.1', 8101): address already in use",
            "port was taken",
        ),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error", "HF_TOKEN"),
        ("You are trying to access a gated repo.", "HF_TOKEN"),
        ("HFValidationError: Repo id must be in the form 'repo_name' or", "`source`"),
        ("OSError: nope/x is not a local folder and is not a valid model identifier listed on", "`source`"),
        ("ValueError: Invalid repository ID or local directory specified: 'x'.", "`source`"),
        ("vllm: error: unrecognized arguments: --max-modell-len 3", "`args`"),
        ("vllm: error: unrecognized arguments: --shutdown-timeout 30", "too old for `--shutdown-timeout`"),
        ("error: unexpected argument '--bad' found", "`args`"),
        ("ModuleNotFoundError: No module named 'torch'", "reinstall"),
        ("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory", "shared library"),
        ("ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", "nvidia-smi"),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp:1", "NCCL"),
        ("RuntimeError: NCCL error: unhandled system error", "NCCL_DEBUG"),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).", "upgrade the driver"),
        ("RuntimeError: CUDA error: no CUDA-capable device is detected", "nvidia-smi"),
        ("RuntimeError: Found no NVIDIA driver on your system.", "nvidia-smi"),
        ("OSError: [Errno 28] No space left on device", "make room"),
        (
            "ValueError: Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures:",
            "upgrade vLLM",
        ),
        (
            "ValueError: The checkpoint you are trying to load has model type `foo` but Transformers does not recognize this architecture.",
            "upgrade vLLM",
        ),
        (
            "  Value error, Quantization method specified in the model config (fp8) does not match the quantization method specified in the `quantization` argument (awq).",
            "`quantization`",
        ),
        ("ValueError: Total number of attention heads (14) must be divisible by tensor parallel size (4).", "divisor"),
        ("ValueError: LoRA rank 64 is greater than max_lora_rank 16.", "`max-lora-rank`"),
        (
            "(EngineCore pid=9) ERROR 11-21 21:10:06 [multiproc_executor.py:316] Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.",
            "dmesg",
        ),
    ];

    #[test]
    fn the_usual_failures_are_told_with_their_remedy() {
        for (line, tells) in LINES {
            let told = reason(exited(1), &["INFO loading", line, "RuntimeError: Engine core initialization failed."]);
            assert!(told.starts_with("the process ended while loading (exit code 1): "), "{told}");
            assert!(told.contains(tells), "{line} -> {told}");
            assert!(told.contains("(it said: "), "{told}");
        }
    }

    #[test]
    fn vllms_own_suggestion_is_in_the_remedy() {
        let line = "(EngineCore pid=9) ERROR 11-21 21:10:06 [core.py:1] ValueError: To serve at least one request with \
            the model's max seq len (40960), (5.62 GiB KV cache is needed, which is larger than the available KV cache \
            memory (3.01 GiB). Based on the available memory, the estimated maximum model length is 21936. Try increasing";
        let told = reason(exited(1), &[line]);
        assert!(told.contains("lower `max-model-len` to 21936 or raise `gpu_memory`"), "{told}");
    }

    #[test]
    fn the_cause_is_told_and_not_what_it_led_to() {
        let told = reason(
            exited(1),
            &[
                "(APIServer pid=8) WARNING 11-21 21:06:09 [system_utils.py:255] can cause errors like `OSError: Too many open files`",
                "(Worker_TP0 pid=9) ERROR 11-21 21:10:06 [x.py:1] Traceback (most recent call last):",
                "(Worker_TP0 pid=9) ERROR 11-21 21:10:06 [x.py:1]   File \"gated repo.py\", line 3, in address already in use",
                "(Worker_TP0 pid=9) ERROR 11-21 21:10:06 [x.py:1]     raise ImportError: No space left on device",
                "(Worker_TP0 pid=9) ERROR 11-21 21:10:06 [x.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried",
                "(Worker_TP1 pid=10) ERROR 11-21 21:10:07 [x.py:1] RuntimeError: NCCL error: remote process exited",
                "(EngineCore pid=7) ERROR 11-21 21:10:08 [x.py:1] OSError: [Errno 98] Address already in use",
                "(APIServer pid=8) RuntimeError: Engine core initialization failed. See root cause above.",
            ],
        );
        assert!(told.contains("the GPU's memory is not enough"), "{told}");
        assert!(told.ends_with("(it said: torch.OutOfMemoryError: CUDA out of memory. Tried)"), "{told}");
    }

    #[test]
    fn of_exceptions_that_led_to_one_another_the_last_is_told() {
        let told = reason(
            exited(1),
            &[
                "KeyError: 'foo'",
                "",
                "During handling of the above exception, another exception occurred:",
                "",
                "Traceback (most recent call last):",
                "ValueError: there is no foo",
                "Traceback (most recent call last):",
                "RuntimeError: a worker failed",
            ],
        );
        assert!(told.ends_with(": ValueError: there is no foo"), "{told}");
    }

    #[test]
    fn a_death_is_not_explained_by_a_request_of_long_ago() {
        let died = || FailureCause::Exited { code: Some(0), signal: None, loading: false, diagnosis: None };
        let old = "(APIServer pid=8) ERROR 11-21 21:10:06 [x.py:1] OSError: [Errno 28] No space left on device";
        let mut lines = vec![old];
        lines.extend(["INFO:     127.0.0.1:1 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK"; 300]);
        assert_eq!(reason(died(), &lines), "the process died while serving (exit code 0)");
        let marked = [
            old,
            "(EngineCore pid=9) ERROR 11-21 21:10:06 [core.py:1512] EngineCore encountered a fatal error.",
            "(EngineCore pid=9) ERROR 11-21 21:10:06 [core.py:1512] torch.OutOfMemoryError: CUDA out of memory.",
        ];
        assert!(reason(died(), &marked).contains("GPU's memory"), "{}", reason(died(), &marked));
    }

    #[test]
    fn a_worker_tells_why_its_core_died_but_not_what_it_lived_through() {
        let worker = |words: &str| {
            let line = |text: &str| format!("(Worker pid=9) ERROR 11-21 21:10:06 [x.py:1] {text}");
            [line("WorkerProc hit an exception."), line(words)]
        };
        let mut lines: Vec<String> =
            worker("FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/adapter_config.json'").into();
        lines.extend(vec!["INFO:     127.0.0.1:1 - \"GET /health HTTP/1.1\" 200 OK".into(); 300]);
        lines.extend(worker("torch.OutOfMemoryError: CUDA out of memory."));
        lines.push("(EngineCore pid=9) ERROR 11-21 21:10:06 [core.py:1] EngineCore encountered a fatal error.".into());
        let died = FailureCause::Exited { code: Some(0), signal: None, loading: false, diagnosis: None };
        let told = diagnosed(died, &lines).to_string();
        assert!(told.contains("GPU's memory"), "{told}");
    }

    #[test]
    fn who_was_killed_had_no_time_to_say_why() {
        let died = |signal| FailureCause::Exited { code: None, signal: Some(signal), loading: false, diagnosis: None };
        let adapter = "(EngineCore pid=9) ERROR 11-21 21:10:06 [x.py:1] FileNotFoundError: [Errno 2] No such file or \
            directory: '/nowhere/adapter_config.json'";
        assert!(reason(died(9), &[adapter]).contains("somebody killed it"), "{}", reason(died(9), &[adapter]));
        assert!(reason(died(6), &[adapter]).contains("correct `source`"), "an abort may well be told before");
    }

    #[test]
    fn recorded_failures_are_told() {
        for (log, tells) in [
            (include_str!("../../../tests/vectors/vllm-life/bad-model-path.log"), "correct `source`"),
            (include_str!("../../../tests/vectors/vllm-life/sleep-mode-refused.log"), "Sleep mode is not supported"),
            (include_str!("../../../tests/vectors/vllm-life/engine-failed-to-start.log"), "(exit code 1)"),
        ] {
            let told = reason(exited(1), &log.lines().collect::<Vec<_>>());
            assert!(told.contains(tells), "{told}");
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
    fn a_core_that_was_killed_is_the_reason_and_not_what_others_say_of_it() {
        let died = FailureCause::Exited { code: Some(0), signal: None, loading: false, diagnosis: None };
        let lines = [
            "(APIServer pid=8) ERROR 11-21 21:10:06 [core_client.py:600] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
            "(APIServer pid=8) ERROR 11-21 21:10:06 [async_llm.py:708] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
            "(APIServer pid=8)   File \"/x/starlette/_exception_handler.py\", line 50, in wrapped_app",
            "(APIServer pid=8) RuntimeError: Caught handled exception, but response already started.",
            "(APIServer pid=8) INFO:     Shutting down",
        ];
        let told = reason(died.clone(), &lines);
        assert!(told.contains("its engine core ended without saying why"), "{told}");
        assert!(!told.contains("RuntimeError") && !told.contains("EngineDeadError"), "{told}");
        let mut with_cause = vec![
            "(EngineCore pid=9) ERROR 11-21 21:10:05 [core.py:1] EngineCore encountered a fatal error.",
            "(EngineCore pid=9) ERROR 11-21 21:10:05 [core.py:1] KeyError: 'req-1'",
        ];
        with_cause.extend(lines);
        assert!(reason(died, &with_cause).ends_with(": KeyError: 'req-1'"));
    }

    #[test]
    fn an_unknown_failure_tells_how_the_process_ended() {
        assert_eq!(reason(exited(3), &["?"]), "the process ended while loading (exit code 3)");
        let killed = FailureCause::Exited { code: None, signal: Some(9), loading: false, diagnosis: None };
        assert!(
            reason(killed, &[]).starts_with("the process died while serving (signal 9, SIGKILL): somebody killed it")
        );
        assert_eq!(
            reason(never_ready(), &[]),
            "not ready within 10m (the process runs; not ready yet: GET /health: connection refused): raise `start_timeout` if \
             it was still loading"
        );
    }

    #[test]
    fn the_last_twenty_lines_are_kept() {
        let lines: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let kept = shown(lines);
        assert_eq!((kept.len(), kept[0].as_str(), kept[19].as_str()), (20, "30", "49"));
    }
}
