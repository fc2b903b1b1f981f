//! What is known of the process of an engine that we run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// What there is to know of an engine that we run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// What it writes to.
    pub log: PathBuf,
}

/// The process of an engine, and what it was before. All empty where others run it.
#[derive(Debug)]
pub struct Process {
    local: Option<Local>,
    gpus: ArcSwapOption<Vec<String>>,
    /// 0: there is none.
    pid: AtomicU32,
    born: Instant,
    /// Milliseconds after `born` at which its process was started; 0: it is not starting.
    started: AtomicU64,
    /// Milliseconds that its last start took; 0: not known.
    start_took: AtomicU64,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            local: None,
            gpus: ArcSwapOption::empty(),
            pid: AtomicU32::new(0),
            born: Instant::now(),
            started: AtomicU64::new(0),
            start_took: AtomicU64::new(0),
        }
    }
}

impl Process {
    pub(super) fn of(local: Local) -> Self {
        Self { local: Some(local), ..Self::default() }
    }

    /// More about it where we run it; `None`: others run it.
    #[must_use]
    pub fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// The GPUs it was given, as `CUDA_VISIBLE_DEVICES` names them, none while there is no room for it; `None`: it sees
    /// those that we see, or others run it.
    #[must_use]
    pub fn gpus(&self) -> Option<Arc<Vec<String>>> {
        self.gpus.load_full()
    }

    /// Notes the GPUs it was given.
    pub fn set_gpus(&self, gpus: Option<Vec<String>>) {
        self.gpus.store(gpus.map(Arc::new));
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Notes its process id, or that it has none any more.
    pub fn set_pid(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or(0), Ordering::Release);
    }

    /// Notes that it was just started.
    pub fn is_started(&self) {
        self.started.store(self.age().max(1), Ordering::Relaxed);
    }

    /// Notes that the engine is ready.
    pub(super) fn is_ready(&self) {
        let started = self.started.swap(0, Ordering::Relaxed);
        if started != 0 {
            self.start_took.store(self.age().saturating_sub(started).max(1), Ordering::Relaxed);
        }
    }

    /// From its last start to ready; `None` until that was seen.
    #[must_use]
    pub fn start_took(&self) -> Option<Duration> {
        Some(self.start_took.load(Ordering::Relaxed)).filter(|took| *took != 0).map(Duration::from_millis)
    }

    /// Notes how long its last start took, where an earlier gateway saw it.
    pub fn set_start_took(&self, took: Duration) {
        self.start_took.store(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Milliseconds since `born`.
    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_start_is_timed_where_it_was_seen() {
        let process = Process::default();
        process.is_ready();
        assert_eq!(process.start_took(), None, "nobody saw it start");
        process.is_started();
        assert_eq!(process.start_took(), None);
        process.is_ready();
        let took = process.start_took();
        assert!(took.is_some_and(|took| took < Duration::from_secs(60)), "{took:?}");
        process.is_ready();
        assert_eq!(process.start_took(), took, "waking is no start");
    }
}
