//! What a simulated engine counts, as vLLM counts it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::histogram::{FAMILIES, HTTP, Tally};

/// Why a generation ended; also the value of `finish_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Abort,
}

impl Finish {
    /// vLLM's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
        }
    }
}

/// What is known of one request when its generation ends.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) arrived: Instant,
    pub(crate) started: Option<Instant>,
    pub(crate) first_token: Option<Instant>,
    pub(crate) last_token: Option<Instant>,
    pub(crate) gaps: Tally,
    pub(crate) prompt: usize,
    pub(crate) generated: usize,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) n: usize,
}

impl Record {
    pub(crate) fn new(prompt: usize, max_tokens: Option<usize>, n: usize) -> Self {
        Self {
            arrived: Instant::now(),
            started: None,
            first_token: None,
            last_token: None,
            gaps: Tally::gaps(),
            prompt,
            generated: 0,
            max_tokens,
            n,
        }
    }
}

/// Counters of the whole process.
pub(crate) struct Metrics {
    pub(super) model: String,
    pub(super) since: f64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generation_tokens: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(super) finished: [AtomicU64; 3],
    pub(super) families: Mutex<Vec<Tally>>,
    pub(super) http: Mutex<BTreeMap<(String, &'static str, String), u64>>,
    pub(super) http_time: Mutex<BTreeMap<(String, &'static str), Tally>>,
    pub(super) http_size: Mutex<BTreeMap<String, (u64, u64)>>,
}

/// Gauges: what is so right now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) kv_usage: f64,
    pub(crate) kv_tokens: usize,
    /// 0 awake, 1 weights offloaded, 2 all discarded.
    pub(crate) sleep_level: u8,
}

/// The contents of a lock; a panic elsewhere does no harm to counters.
pub(super) fn open<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"),
            since: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            prompt_tokens: AtomicU64::new(0),
            generation_tokens: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            finished: Default::default(),
            families: Mutex::new(FAMILIES.iter().map(|(.., bounds)| Tally::new(bounds)).collect()),
            http: Mutex::default(),
            http_time: Mutex::default(),
            http_size: Mutex::default(),
        }
    }

    /// A generation ended by itself or by the engine. (One that its client left is not counted, as in vLLM.)
    pub(crate) fn finished(&self, record: &Record, finish: Finish) {
        self.finished[finish as usize].fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let seconds = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_secs_f64(),
            _ => 0.0,
        };
        let arrived = Some(record.arrived);
        let decode = seconds(record.first_token, record.last_token);
        let mut all = open(&self.families);
        let mut add = |at: usize, value: f64| all[at].add(value);
        add(0, record.prompt as f64);
        add(1, record.generated as f64);
        add(2, record.prompt as f64);
        add(3, record.generated as f64);
        add(4, record.n as f64);
        if let Some(max) = record.max_tokens {
            add(5, max as f64);
        }
        add(6, seconds(arrived, record.first_token));
        add(8, decode / record.generated.saturating_sub(1).max(1) as f64);
        add(9, seconds(arrived, Some(now)));
        add(10, seconds(arrived, record.started));
        add(11, seconds(record.started, Some(now)));
        add(12, seconds(record.started, record.first_token));
        add(13, decode);
        add(14, 0.0);
        add(15, record.prompt as f64);
        all[7].merge(&record.gaps);
    }

    /// An HTTP exchange whose head was sent.
    pub(crate) fn exchanged(&self, handler: &str, method: &'static str, status: u16, request_bytes: u64, seconds: f64) {
        *open(&self.http).entry((handler.to_owned(), method, format!("{}xx", status / 100))).or_default() += 1;
        open(&self.http_time).entry((handler.to_owned(), method)).or_insert_with(|| Tally::new(HTTP)).add(seconds);
        let mut sizes = open(&self.http_size);
        let size = sizes.entry(handler.to_owned()).or_default();
        *size = (size.0 + 1, size.1 + request_bytes);
    }
}
