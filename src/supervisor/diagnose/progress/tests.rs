//! Logs of engines that load, and what is read from them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::*;

const START: &str = include_str!("../../../../tests/vectors/vllm-life/start.log");

fn phrase(line: &str) -> Option<String> {
    parse(line).map(|reached| reached.starting().to_string())
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a log");
    file.write_all(bytes).expect("written");
}

fn follow(path: &Path, from: u64) -> Loading {
    Loading::new(&Log { path: path.into(), from })
}

fn look(loading: &mut Loading) -> Option<String> {
    loading.look().map(|reached| reached.starting().to_string())
}

/// Lines of vLLM's log, and what they tell.
const LINES: &[(&str, &str)] = &[
    ("(APIServer pid=1) INFO 11-21 21:12:03 [model.py:733] Resolved architecture: Q", "model configuration read"),
    (
        "(EngineCore pid=2) INFO 11-21 21:12:35 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with",
        "starting the engine core",
    ),
    (
        "(Worker_TP1 pid=3) INFO 11-21 21:13:03 [gpu_model_runner.py:5040] Starting to load model /m...",
        "building the model",
    ),
    (
        "model-00001-of-00002.safetensors:  12%|#2        | 1.20G/9.90G [00:12<01:30, 96MB/s]",
        "downloading weights: 12 %",
    ),
    ("Fetching 5 files:  40%|####      | 2/5 [00:12<00:18,  6.1s/it]", "downloading weights: 40 % (2 of 5 files)"),
    (
        "(Worker pid=3) INFO 11-21 21:13:03 [weight_utils.py:533] Time spent downloading weights for Qwen/Qwen3-32B: 93.123456 seconds",
        "weights downloaded in 93 s",
    ),
    (
        "Loading safetensors checkpoint shards:   0% Completed | 0/4 [00:00<?, ?it/s]",
        "loading weights: 0 % (0 of 4 shards)",
    ),
    (
        "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.50it/s]",
        "loading weights: 50 % (2 of 4 shards)",
    ),
    (
        "Loading pt checkpoint shards: 100% Completed | 1/1 [00:00<00:00,  1.50it/s]",
        "loading weights: 100 % (1 of 1 shards)",
    ),
    (
        "Multi-thread loading shards:  25% Completed | 1/4 [00:00<00:00,  1.50it/s]",
        "loading weights: 25 % (1 of 4 shards)",
    ),
    (
        "(Worker pid=3) INFO 11-21 21:13:03 [weight_utils.py:1043] Prefetching checkpoint files: 10% (3/30)",
        "loading weights: 10 % (3 of 30 shards)",
    ),
    (
        "(Worker pid=3) INFO 11-21 21:13:04 [default_loader.py:501] Loading weights took 0.01 seconds",
        "weights loaded in 0.0 s",
    ),
    (
        "(Worker pid=3) INFO 11-21 21:13:04 [gpu_model_runner.py:5150] Model loading took 15.27 GiB memory and 41.900000 seconds",
        "weights loaded in 42 s",
    ),
    (
        "(Worker pid=3) INFO 11-21 21:13:04 [backends.py:1105] Using cache directory: /c for vLLM's torch.compile",
        "compiling",
    ),
    (
        "(Worker pid=3) INFO 11-21 21:13:04 [backends.py:399] Compiling a graph for compile range (1, 8192) takes 5.00 s",
        "compiling",
    ),
    ("(Worker pid=3) INFO 11-21 21:13:04 [monitor.py:90] Initial profiling/warmup run took 1.00 s", "measuring memory"),
    ("(Worker pid=3) INFO 11-21 21:13:04 [gpu_worker.py:760] Available KV cache memory: 50.1 GiB", "measuring memory"),
    (
        "(EngineCore pid=2) INFO 11-21 21:13:05 [kv_cache_utils.py:2327] GPU KV cache size: 1,234 tokens, Maximum concurrency for 512 tokens per request: 4.00x",
        "KV cache of 1234 tokens made",
    ),
    ("(Worker pid=3) INFO 11-21 21:13:05 [kernel_warmup.py:176] JIT kernel warmup starting.", "warming up"),
    ("DeepGEMM warmup:  10%|#         | 12/120 [00:03<00:06,  3.5it/s]", "warming up: 10 % (12 of 120)"),
    (
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  34%|###4      | 12/35 [00:03<00:06,  3.5it/s]",
        "capturing CUDA graphs: 34 % (12 of 35)",
    ),
    (
        "Capturing decode CUDA graphs (FULL): 100%|\u{2588}\u{2588}| 35/35 [00:03<00:00]",
        "capturing CUDA graphs: 100 % (35 of 35)",
    ),
    (
        "(EngineCore pid=2) INFO 11-21 21:13:05 [core.py:402] init engine (profile, create kv cache, warmup model) took 9.01 s",
        "engine core ready",
    ),
    (
        "(APIServer pid=1) INFO 11-21 21:13:07 [entry.py:140] Starting vLLM server on http://127.0.0.1:8101",
        "starting its HTTP server",
    ),
];

#[test]
fn vllms_lines_are_understood() {
    for (line, tells) in LINES {
        assert_eq!(phrase(line).as_deref(), Some(*tells), "{line}");
    }
}

#[test]
fn other_lines_say_nothing() {
    for line in [
        "",
        "%",
        ":%|",
        "a: 50%",
        "a: 50%| 1/2 [",
        "Loading x: 101% Completed | 1/2 [",
        "Loading x: -1% Completed | 1/2 [",
        "GPU KV cache size: 1,2",
        "Loading weights took 12",
        "Loading weights took x seconds",
        "Loading weights took NaN seconds",
        "Time spent downloading weights for ",
        "(APIServer pid=1) INFO [launcher.py:195] Route: /health, Methods: GET",
    ] {
        assert_eq!(phrase(line), None, "{line}");
    }
    assert_eq!(phrase("Loading x: 7% Completed | \u{fffd}").as_deref(), Some("loading weights: 7 %"));
}

#[test]
fn a_recorded_start_goes_through_its_phases_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m_0.log");
    let mut loading = follow(&path, 0);
    assert_eq!(look(&mut loading), None, "there is no log yet");
    let mut phrases = Vec::new();
    for line in START.lines() {
        append(&path, line.as_bytes());
        append(&path, b"\n");
        phrases.extend(look(&mut loading));
    }
    assert_eq!(
        phrases,
        [
            "starting",
            "model configuration read",
            "starting the engine core",
            "building the model",
            "loading weights: 0 % (0 of 1 shards)",
            "loading weights: 100 % (1 of 1 shards)",
            "weights loaded in 0.0 s",
            "KV cache of 2048 tokens made",
            "engine core ready",
            "starting its HTTP server",
        ]
    );
}

#[test]
fn a_late_worker_takes_nothing_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m_0.log");
    let mut loading = follow(&path, 0);
    append(&path, b"Loading x: 50% Completed | 2/4 [\nLoading x: 25% Completed | 1/4 [\nStarting to load model y\n");
    assert_eq!(look(&mut loading).as_deref(), Some("loading weights: 50 % (2 of 4 shards)"));
    append(&path, b"Loading x: 50% Completed | 2/4 [\n");
    assert_eq!(look(&mut loading), None);
    append(
        &path,
        b"Loading weights took 2.00 seconds\nLoading x: 75% Completed | 3/4 [\nLoading weights took 9.00 seconds\n",
    );
    assert_eq!(look(&mut loading).as_deref(), Some("weights loaded in 2.0 s"));
    assert_eq!(loading.reached.map(|progress| progress.phase), Some(StartPhase::WeightsLoaded));
}

#[test]
fn bars_without_a_line_end_torn_lines_and_odd_bytes_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m_0.log");
    append(&path, b"Loading x: 99% Completed | of an earlier start\n");
    let mut loading = follow(&path, std::fs::metadata(&path).expect("a log").len());
    append(&path, b"\xff\xfe\x00\rFetching 5 files:   0%|   | 0/5 [\rFetching 5 files:  20%|   | 1/5 [");
    assert_eq!(look(&mut loading).as_deref(), Some("downloading weights: 20 % (1 of 5 files)"));
    append(&path, b"\rFetching 5 fi");
    assert_eq!(look(&mut loading), None);
    append(&path, b"les:  40%|\xe2\x96");
    assert_eq!(look(&mut loading).as_deref(), Some("downloading weights: 40 %"));
    append(&path, b"\x88 | 2/5 [00");
    assert_eq!(look(&mut loading).as_deref(), Some("downloading weights: 40 % (2 of 5 files)"));
    append(&path, b"\r\nLoading weights took 12");
    assert_eq!(look(&mut loading), None);
    append(&path, b"3.5 seconds\n");
    assert_eq!(look(&mut loading).as_deref(), Some("weights loaded in 124 s"));
}

#[test]
fn rotation_and_truncation_lose_nothing_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m_0.log");
    let mut loading = follow(&path, 0);
    append(&path, b"a long line that will be gone\nResolved architecture: x\nGPU KV ca");
    assert_eq!(look(&mut loading).as_deref(), Some("model configuration read"));
    std::fs::write(&path, "Starting to load model x\n").expect("truncated");
    assert_eq!(look(&mut loading).as_deref(), Some("building the model"));
    std::fs::rename(&path, folder.path().join("m_0.log.1")).expect("rotated");
    assert_eq!(look(&mut loading), None);
    append(&path, b"0123456789012345678901234567890123456789\nLoading weights took 1.00 seconds\n");
    assert_eq!(look(&mut loading).as_deref(), Some("weights loaded in 1.0 s"));
}

#[test]
fn a_look_reads_so_much_and_skips_what_it_cannot_catch_up_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m_0.log");
    let mut loading = follow(&path, 0);
    let noise = "x".repeat(99) + "\n";
    append(&path, noise.repeat(4000).as_bytes());
    append(&path, b"Resolved architecture: x\n");
    assert_eq!(look(&mut loading), None, "400 kB take two looks");
    assert_eq!(look(&mut loading).as_deref(), Some("model configuration read"));
    append(&path, noise.repeat(20_000).as_bytes());
    append(&path, b"Starting to load model x\n");
    assert_eq!(look(&mut loading).as_deref(), Some("building the model"), "2 MB are skipped");
    append(&path, "y".repeat(1 << 20).as_bytes());
    (0..5).for_each(|_| assert_eq!(look(&mut loading), None));
    assert!(loading.follower.partial.is_empty(), "a line without end is not kept");
    append(&path, b" Loading weights took 1.00 seconds\nInitial profiling/warmup run took 1 s\n");
    assert_eq!(look(&mut loading).as_deref(), Some("measuring memory"));
}
