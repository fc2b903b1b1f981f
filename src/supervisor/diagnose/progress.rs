//! How far an engine is with loading, read from what it appends to its log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::api::{Progress, StartPhase, Starting};
use crate::supervisor::process::spawn::Log;

/// Bytes read in one look.
const MOST_BYTES: u64 = 256 * 1024;

/// Bytes by which a look may be behind before it skips to the end: only the newest lines say where the engine is.
const MOST_BEHIND: u64 = 4 * MOST_BYTES;

/// Bytes kept of a line that has no end yet.
const MOST_PARTIAL: usize = 16 * 1024;

/// Where a loading engine is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reached {
    /// What it does.
    pub(crate) phase: StartPhase,
    /// How much of it is done.
    pub(crate) progress: Progress,
}

impl Reached {
    fn new(phase: StartPhase) -> Self {
        Self { phase, progress: Progress::default() }
    }

    /// The same, as a state tells it.
    pub(crate) fn starting(self) -> Starting {
        Starting { progress: self.progress, ..Starting::at(self.phase) }
    }

    /// Whether it is further than `other`. Several workers say the same at different times; a second bar of the same
    /// phase (another set of graphs, a draft model) stays behind the first.
    fn is_past(&self, other: &Self) -> bool {
        let rank = |it: &Self| {
            let Progress { percent, done, total, result } = it.progress;
            (it.phase, result.is_some(), percent, done, total)
        };
        rank(self) > rank(other)
    }
}

/// Words of lines that only say where the engine is. vLLM 0.32.
const PLAIN: &[(&str, StartPhase)] = &[
    ("non-default args:", StartPhase::Initializing),
    ("Resolved architecture:", StartPhase::Configured),
    ("Using max model len", StartPhase::Configured),
    ("Initializing a V1 LLM engine", StartPhase::EngineCore),
    ("distributed_init_method=", StartPhase::EngineCore),
    ("Starting to load model", StartPhase::BuildingModel),
    ("Initializing model took", StartPhase::BuildingModel),
    ("Starting torch.compile", StartPhase::Compiling),
    ("for vLLM's torch.compile", StartPhase::Compiling),
    ("Dynamo bytecode transform time", StartPhase::Compiling),
    ("a graph for compile range", StartPhase::Compiling),
    ("the compiled graph(s) for compile range", StartPhase::Compiling),
    ("Directly load AOT compilation", StartPhase::Compiling),
    ("Initial profiling/warmup run took", StartPhase::MeasuringMemory),
    ("Available KV cache memory:", StartPhase::MeasuringMemory),
    ("JIT kernel warmup starting", StartPhase::WarmingUp),
    ("JIT kernel warmup finished", StartPhase::WarmingUp),
    ("Warming up", StartPhase::WarmingUp),
    ("DeepGEMM warmup", StartPhase::WarmingUp),
    ("Graph capturing finished", StartPhase::CapturingGraphs),
    ("init engine (profile, create kv cache, warmup model) took", StartPhase::EngineCoreReady),
    ("Supported tasks:", StartPhase::StartingHttpServer),
    ("Starting vLLM server on", StartPhase::StartingHttpServer),
    ("Application startup complete", StartPhase::StartingHttpServer),
];

/// What a line of an engine's log says about its loading.
pub(crate) fn parse(line: &str) -> Option<Reached> {
    if let Some(bar) = bar(line) {
        return Some(bar);
    }
    let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
    // A line whose end is not written yet must not give half a number: each has a word after it.
    let outcome = |phase, text: &str, unit: &str| {
        let number = text.split_once(unit)?.0.rsplit([' ', ':']).next()?.replace(',', "").parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0)
            .then_some(Reached { phase, progress: Progress { result: Some(number), ..Progress::default() } })
    };
    if let Some(rest) = after("Time spent downloading weights for ") {
        return outcome(StartPhase::DownloadingWeights, rest, " seconds");
    }
    if let Some(rest) = after("Loading weights took") {
        return outcome(StartPhase::WeightsLoaded, rest, " seconds");
    }
    if let Some((_, seconds)) = after("Model loading took").and_then(|rest| rest.split_once(" GiB memory and")) {
        return outcome(StartPhase::WeightsLoaded, seconds, " seconds");
    }
    if let Some(rest) = after(" KV cache size:") {
        return outcome(StartPhase::KvCache, rest, " tokens");
    }
    PLAIN.iter().find(|(words, _)| line.contains(words)).map(|(_, phase)| Reached::new(*phase))
}

/// A progress bar: vLLM's `Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.5it/s]`, or
/// tqdm's `Capturing CUDA graphs (decode, FULL):  34%|###4      | 12/35 [00:03<00:06,  3.5it/s]`.
fn bar(line: &str) -> Option<Reached> {
    let (title, rest) = line.split_once('%')?;
    let (title, percent) = title.rsplit_once(':')?;
    let is_bar = rest.starts_with(" Completed |") || rest.starts_with('|');
    // `Prefetching checkpoint files: 10% (3/30)`
    let is_count = rest.starts_with(" (") && title.ends_with("Prefetching checkpoint files");
    let percent = percent.trim().parse::<u8>().ok().filter(|percent| *percent <= 100 && (is_bar || is_count))?;
    let weights = [".safetensors", ".bin", ".pt", ".pth", ".gguf"];
    let phase = if title.contains("Loading ") || title.contains("Multi-thread loading") || is_count {
        StartPhase::LoadingWeights
    } else if title.contains("Capturing ") && title.contains("CUDA graphs") {
        StartPhase::CapturingGraphs
    } else if title.contains("Fetching ") || weights.iter().any(|end| title.trim_end().ends_with(end)) {
        StartPhase::DownloadingWeights
    } else if title.contains("warmup") || title.contains("Compiling ") {
        StartPhase::WarmingUp
    } else {
        return None;
    };
    let counts = if is_count { rest.get(2..)?.split(')').next() } else { counts_of(rest) };
    let parts: Option<(u64, u64)> = counts.and_then(|counts| {
        let (done, all) = counts.trim().split_once('/')?;
        Some((done.parse().ok()?, all.parse().ok()?))
    });
    let (done, total) = parts.unzip();
    Some(Reached { phase, progress: Progress { percent: Some(percent), done, total, result: None } })
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
    reached: Option<Reached>,
}

impl Loading {
    /// Follows the start that writes to `log`.
    pub(crate) fn new(log: &Log) -> Self {
        Self { follower: Follower::new(log), reached: None }
    }

    /// Reads what was written since the last look. Returns where the engine is, if that is news. Reads a file: a quick
    /// thing, but one for a thread that may wait.
    pub(crate) fn look(&mut self) -> Option<Reached> {
        let reached = &mut self.reached;
        let before = *reached;
        // A log that cannot be read tells of no progress; there is nothing else to lose by it.
        let _ = self.follower.read(|line| {
            if let Some(now) = parse(line)
                && reached.is_none_or(|reached| now.is_past(&reached))
            {
                *reached = Some(now);
            }
        });
        if self.reached == before { None } else { self.reached }
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
mod tests;
