//! How far an engine is with loading, read from what it appends to its log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::supervisor::process::spawn::Log;

/// Bytes read in one look.
const MOST_BYTES: u64 = 256 * 1024;

/// Bytes by which a look may be behind before it skips to the end: only the newest lines say where the engine is.
const MOST_BEHIND: u64 = 4 * MOST_BYTES;

/// Bytes kept of a line that has no end yet.
const MOST_PARTIAL: usize = 16 * 1024;

/// What a loading engine does, in the order in which it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Its program is imported and its flags are read.
    Starting,
    /// The model's configuration was read.
    Configured,
    /// The engine core's own process came up.
    Core,
    /// The model is built, without weights.
    Building,
    /// Weights come from a hub.
    Downloading,
    /// Weights come from the disk.
    Loading,
    /// Weights are there.
    Loaded,
    /// The model is compiled.
    Compiling,
    /// Its memory is measured.
    Profiling,
    /// The KV cache is there.
    Cache,
    /// Kernels are made and tried.
    WarmingUp,
    /// CUDA graphs are recorded.
    Capturing,
    /// The engine core is done.
    Initialized,
    /// The HTTP server comes up.
    Serving,
}

/// Where a loading engine is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Progress {
    /// What it does.
    pub(crate) phase: Phase,
    /// How much of it is done, in percent.
    percent: Option<u8>,
    /// Parts done, of so many.
    parts: Option<(u64, u64)>,
    /// What the phase came to: seconds for weights, tokens for the KV cache.
    outcome: Option<f64>,
}

impl Progress {
    const fn new(phase: Phase) -> Self {
        Self { phase, percent: None, parts: None, outcome: None }
    }

    /// Whether it is further than `other`. Several workers say the same at different times; a second bar of the same
    /// phase (another set of graphs, a draft model) stays behind the first.
    fn is_past(&self, other: &Self) -> bool {
        (self.phase, self.outcome.is_some(), self.percent, self.parts)
            > (other.phase, other.outcome.is_some(), other.percent, other.parts)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.phase, self.outcome) {
            (Phase::Starting, _) => "starting",
            (Phase::Configured, _) => "model configuration read",
            (Phase::Core, _) => "starting the engine core",
            (Phase::Building, _) => "building the model",
            (Phase::Downloading, Some(seconds)) => return write!(f, "weights downloaded in {seconds:.0} s"),
            (Phase::Downloading, None) => "downloading weights",
            (Phase::Loading, _) => "loading weights",
            (Phase::Loaded, Some(seconds)) if seconds >= 10.0 => return write!(f, "weights loaded in {seconds:.0} s"),
            (Phase::Loaded, Some(seconds)) => return write!(f, "weights loaded in {seconds:.1} s"),
            (Phase::Loaded, None) => "weights loaded",
            (Phase::Compiling, _) => "compiling",
            (Phase::Profiling, _) => "measuring memory",
            (Phase::Cache, Some(tokens)) => return write!(f, "KV cache of {tokens:.0} tokens made"),
            (Phase::Cache, None) => "making the KV cache",
            (Phase::WarmingUp, _) => "warming up",
            (Phase::Capturing, _) => "capturing CUDA graphs",
            (Phase::Initialized, _) => "engine core ready",
            (Phase::Serving, _) => "starting its HTTP server",
        })?;
        match (self.percent, self.parts) {
            (None, _) => Ok(()),
            (Some(percent), None) => write!(f, ": {percent} %"),
            (Some(percent), Some((done, all))) => {
                let of = match self.phase {
                    Phase::Loading => " shards",
                    Phase::Downloading => " files",
                    _ => "",
                };
                write!(f, ": {percent} % ({done} of {all}{of})")
            }
        }
    }
}

/// Words of lines that only say where the engine is. vLLM 0.32.
const PLAIN: &[(&str, Phase)] = &[
    ("non-default args:", Phase::Starting),
    ("Resolved architecture:", Phase::Configured),
    ("Using max model len", Phase::Configured),
    ("Initializing a V1 LLM engine", Phase::Core),
    ("distributed_init_method=", Phase::Core),
    ("Starting to load model", Phase::Building),
    ("Initializing model took", Phase::Building),
    ("Starting torch.compile", Phase::Compiling),
    ("for vLLM's torch.compile", Phase::Compiling),
    ("Dynamo bytecode transform time", Phase::Compiling),
    ("a graph for compile range", Phase::Compiling),
    ("the compiled graph(s) for compile range", Phase::Compiling),
    ("Directly load AOT compilation", Phase::Compiling),
    ("Initial profiling/warmup run took", Phase::Profiling),
    ("Available KV cache memory:", Phase::Profiling),
    ("JIT kernel warmup starting", Phase::WarmingUp),
    ("JIT kernel warmup finished", Phase::WarmingUp),
    ("Warming up", Phase::WarmingUp),
    ("DeepGEMM warmup", Phase::WarmingUp),
    ("Graph capturing finished", Phase::Capturing),
    ("init engine (profile, create kv cache, warmup model) took", Phase::Initialized),
    ("Supported tasks:", Phase::Serving),
    ("Starting vLLM server on", Phase::Serving),
    ("Application startup complete", Phase::Serving),
];

/// What a line of an engine's log says about its loading.
pub(crate) fn parse(line: &str) -> Option<Progress> {
    if let Some(bar) = bar(line) {
        return Some(bar);
    }
    let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
    // A line whose end is not written yet must not give half a number: each has a word after it.
    let outcome = |phase, text: &str, unit: &str| {
        let number = text.split_once(unit)?.0.rsplit([' ', ':']).next()?.replace(',', "").parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(Progress { outcome: Some(number), ..Progress::new(phase) })
    };
    if let Some(rest) = after("Time spent downloading weights for ") {
        return outcome(Phase::Downloading, rest, " seconds");
    }
    if let Some(rest) = after("Loading weights took") {
        return outcome(Phase::Loaded, rest, " seconds");
    }
    if let Some((_, seconds)) = after("Model loading took").and_then(|rest| rest.split_once(" GiB memory and")) {
        return outcome(Phase::Loaded, seconds, " seconds");
    }
    if let Some(rest) = after(" KV cache size:") {
        return outcome(Phase::Cache, rest, " tokens");
    }
    PLAIN.iter().find(|(words, _)| line.contains(words)).map(|(_, phase)| Progress::new(*phase))
}

/// A progress bar: vLLM's `Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.5it/s]`, or
/// tqdm's `Capturing CUDA graphs (decode, FULL):  34%|###4      | 12/35 [00:03<00:06,  3.5it/s]`.
fn bar(line: &str) -> Option<Progress> {
    let (title, rest) = line.split_once('%')?;
    let (title, percent) = title.rsplit_once(':')?;
    let is_bar = rest.starts_with(" Completed |") || rest.starts_with('|');
    // `Prefetching checkpoint files: 10% (3/30)`
    let is_count = rest.starts_with(" (") && title.ends_with("Prefetching checkpoint files");
    let percent = percent.trim().parse::<u8>().ok().filter(|percent| *percent <= 100 && (is_bar || is_count))?;
    let weights = [".safetensors", ".bin", ".pt", ".pth", ".gguf"];
    let phase = if title.contains("Loading ") || title.contains("Multi-thread loading") || is_count {
        Phase::Loading
    } else if title.contains("Capturing ") && title.contains("CUDA graphs") {
        Phase::Capturing
    } else if title.contains("Fetching ") || weights.iter().any(|end| title.trim_end().ends_with(end)) {
        Phase::Downloading
    } else if title.contains("warmup") || title.contains("Compiling ") {
        Phase::WarmingUp
    } else {
        return None;
    };
    let counts = if is_count { rest.get(2..)?.split(')').next() } else { counts_of(rest) };
    let parts = counts.and_then(|counts| {
        let (done, all) = counts.trim().split_once('/')?;
        Some((done.parse().ok()?, all.parse().ok()?))
    });
    Some(Progress { percent: Some(percent), parts, ..Progress::new(phase) })
}

/// ` 2/4 ` of `…| 2/4 [00:01<…`.
fn counts_of(rest: &str) -> Option<&str> {
    let (before, _) = rest.split_once('[')?;
    before.rsplit('|').next()
}

/// Follows one start of an engine.
#[derive(Debug)]
pub(crate) struct Loading {
    follower: Follower,
    reached: Option<Progress>,
}

impl Loading {
    /// Follows the start that writes to `log`.
    pub(crate) fn new(log: &Log) -> Self {
        Self { follower: Follower::new(log), reached: None }
    }

    /// Reads what was written since the last look. Returns where the engine is, if that is news. Reads a file: a quick
    /// thing, but one for a thread that may wait.
    pub(crate) fn look(&mut self) -> Option<Progress> {
        let reached = &mut self.reached;
        let before = *reached;
        // A log that cannot be read tells of no progress; there is nothing else to lose by it.
        let _ = self.follower.read(|line| {
            if let Some(progress) = parse(line)
                && reached.is_none_or(|reached| progress.is_past(&reached))
            {
                *reached = Some(progress);
            }
        });
        if self.reached == before { None } else { self.reached }
    }

    /// Where the engine is, as far as was read.
    pub(crate) fn reached(&self) -> Option<Progress> {
        self.reached
    }
}

/// Reads what is appended to a file.
#[derive(Debug)]
struct Follower {
    path: PathBuf,
    at: u64,
    /// Device and inode of what was read last.
    file: Option<(u64, u64)>,
    /// A line without its end.
    partial: Vec<u8>,
    /// The rest of a line whose beginning was dropped is to come.
    torn: bool,
}

impl Follower {
    fn new(log: &Log) -> Self {
        Self { path: log.path.clone(), at: log.from, file: None, partial: Vec::new(), torn: false }
    }

    /// Gives `see` the new lines, and the beginning of one that has no end yet.
    fn read(&mut self, mut see: impl FnMut(&str)) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        let (identity, length) = ((metadata.dev(), metadata.ino()), metadata.len());
        let is_other = self.file.is_some_and(|known| known != identity);
        if is_other || length < self.at {
            // Rotated: renamed and made anew, or copied and truncated.
            self.at = 0;
            self.partial.clear();
            self.torn = false;
        }
        self.file = Some(identity);
        if length - self.at > MOST_BEHIND {
            self.at = length - MOST_BYTES;
            self.partial.clear();
            self.torn = true;
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        let read = file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        self.at += read as u64;
        self.take(&bytes, &mut see);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], see: &mut impl FnMut(&str)) {
        // A progress bar ends its lines with a carriage return, or begins them with one.
        let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
        // `split` gives at least one; the last has no end.
        let mut open = lines.next().unwrap_or_default();
        for next in lines {
            if self.torn {
                self.torn = false;
            } else if self.partial.is_empty() {
                see(&String::from_utf8_lossy(open));
            } else {
                self.partial.extend_from_slice(open);
                see(&String::from_utf8_lossy(&self.partial));
            }
            self.partial.clear();
            open = next;
        }
        if self.torn {
            return;
        }
        self.partial.extend_from_slice(open);
        if !self.partial.is_empty() {
            see(&String::from_utf8_lossy(&self.partial));
        }
        if self.partial.len() > MOST_PARTIAL {
            self.partial.clear();
            self.torn = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::Path;

    use super::*;

    const START: &str = include_str!("../../../tests/vectors/vllm-life/start.log");

    fn phrase(line: &str) -> Option<String> {
        parse(line).map(|progress| progress.to_string())
    }

    fn append(path: &Path, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a log");
        file.write_all(bytes).expect("written");
    }

    fn follow(path: &Path, from: u64) -> Loading {
        Loading::new(&Log { path: path.into(), from })
    }

    fn look(loading: &mut Loading) -> Option<String> {
        loading.look().map(|progress| progress.to_string())
    }

    #[test]
    fn vllms_lines_are_understood() {
        for (line, tells) in [
            (
                "(APIServer pid=1) INFO 11-21 21:12:03 [model.py:733] Resolved architecture: Q",
                "model configuration read",
            ),
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
            (
                "Fetching 5 files:  40%|####      | 2/5 [00:12<00:18,  6.1s/it]",
                "downloading weights: 40 % (2 of 5 files)",
            ),
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
            (
                "(Worker pid=3) INFO 11-21 21:13:04 [monitor.py:90] Initial profiling/warmup run took 1.00 s",
                "measuring memory",
            ),
            (
                "(Worker pid=3) INFO 11-21 21:13:04 [gpu_worker.py:760] Available KV cache memory: 50.1 GiB",
                "measuring memory",
            ),
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
        ] {
            assert_eq!(phrase(line).as_deref(), Some(tells), "{line}");
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
        append(
            &path,
            b"Loading x: 50% Completed | 2/4 [\nLoading x: 25% Completed | 1/4 [\nStarting to load model y\n",
        );
        assert_eq!(look(&mut loading).as_deref(), Some("loading weights: 50 % (2 of 4 shards)"));
        append(&path, b"Loading x: 50% Completed | 2/4 [\n");
        assert_eq!(look(&mut loading), None);
        append(
            &path,
            b"Loading weights took 2.00 seconds\nLoading x: 75% Completed | 3/4 [\nLoading weights took 9.00 seconds\n",
        );
        assert_eq!(look(&mut loading).as_deref(), Some("weights loaded in 2.0 s"));
        assert_eq!(loading.reached().map(|progress| progress.phase), Some(Phase::Loaded));
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
}
