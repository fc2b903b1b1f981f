//! `GET /metrics`: vLLM's names, types and labels, with counters that move.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const LENGTHS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];
const STEPS: &[f64] = &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
const NUMBERS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0];
const PREEMPTIONS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0];
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
const GAPS: &[f64] =
    &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const WHOLE: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
const HTTP: &[f64] = &[0.1, 0.5, 1.0];

/// Why a generation ended; also the value of `finish_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Abort,
}

impl Finish {
    /// vLLM's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
        }
    }
}

/// A histogram's numbers; one stream keeps its own and merges it at the end.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Tally {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// For the time between tokens.
    pub(super) fn gaps() -> Self {
        Self::new(GAPS)
    }

    pub(super) fn add(&mut self, value: f64) {
        let at = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[at] += 1;
        self.sum += value;
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.sum += other.sum;
    }

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut total = 0;
        for (at, count) in self.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(at).map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\",{labels}}} {total}.0");
        }
        let _ = writeln!(out, "{name}_count{{{labels}}} {total}.0\n{name}_sum{{{labels}}} {:?}", self.sum);
    }
}

/// What is known of one request when its generation ends.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) arrived: Instant,
    pub(super) started: Option<Instant>,
    pub(super) first_token: Option<Instant>,
    pub(super) last_token: Option<Instant>,
    pub(super) gaps: Tally,
    pub(super) prompt: usize,
    pub(super) generated: usize,
    pub(super) max_tokens: Option<usize>,
    pub(super) n: usize,
}

impl Record {
    pub(super) fn new(prompt: usize, max_tokens: Option<usize>, n: usize) -> Self {
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

/// One of the histograms over requests.
struct Family {
    name: &'static str,
    help: &'static str,
    bounds: &'static [f64],
}

const FAMILIES: [Family; 16] = [
    Family { name: "vllm:request_prompt_tokens", help: "Number of prefill tokens processed.", bounds: LENGTHS },
    Family { name: "vllm:request_generation_tokens", help: "Number of generation tokens processed.", bounds: LENGTHS },
    Family {
        name: "vllm:iteration_tokens_total",
        help: "Histogram of number of tokens per engine_step.",
        bounds: STEPS,
    },
    Family {
        name: "vllm:request_max_num_generation_tokens",
        help: "Histogram of maximum number of requested generation tokens.",
        bounds: LENGTHS,
    },
    Family { name: "vllm:request_params_n", help: "Histogram of the n request parameter.", bounds: NUMBERS },
    Family {
        name: "vllm:request_params_max_tokens",
        help: "Histogram of the max_tokens request parameter.",
        bounds: LENGTHS,
    },
    Family {
        name: "vllm:time_to_first_token_seconds",
        help: "Histogram of time to first token in seconds.",
        bounds: FIRST_TOKEN,
    },
    Family {
        name: "vllm:inter_token_latency_seconds",
        help: "Histogram of inter-token latency in seconds.",
        bounds: GAPS,
    },
    Family {
        name: "vllm:request_time_per_output_token_seconds",
        help: "Histogram of time_per_output_token_seconds per request.",
        bounds: GAPS,
    },
    Family {
        name: "vllm:e2e_request_latency_seconds",
        help: "Histogram of e2e request latency in seconds.",
        bounds: WHOLE,
    },
    Family {
        name: "vllm:request_queue_time_seconds",
        help: "Histogram of time spent in WAITING phase for request.",
        bounds: WHOLE,
    },
    Family {
        name: "vllm:request_inference_time_seconds",
        help: "Histogram of time spent in RUNNING phase for request.",
        bounds: WHOLE,
    },
    Family {
        name: "vllm:request_prefill_time_seconds",
        help: "Histogram of time spent in PREFILL phase for request.",
        bounds: WHOLE,
    },
    Family {
        name: "vllm:request_decode_time_seconds",
        help: "Histogram of time spent in DECODE phase for request.",
        bounds: WHOLE,
    },
    Family {
        name: "vllm:request_num_preemptions",
        help: "Histogram of the number of times a request was preempted.",
        bounds: PREEMPTIONS,
    },
    Family {
        name: "vllm:request_prefill_kv_computed_tokens",
        help: "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
        bounds: LENGTHS,
    },
];

/// Counters of the whole process.
pub(super) struct Metrics {
    model: String,
    since: f64,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) generation_tokens: AtomicU64,
    pub(super) rejected: AtomicU64,
    finished: [AtomicU64; 3],
    families: Mutex<Vec<Tally>>,
    http: Mutex<BTreeMap<(String, &'static str, String), u64>>,
    http_time: Mutex<BTreeMap<(String, &'static str), Tally>>,
    http_size: Mutex<BTreeMap<String, (u64, u64)>>,
}

/// Gauges: what is so right now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    pub(super) running: usize,
    pub(super) waiting: usize,
    pub(super) kv_usage: f64,
    pub(super) kv_tokens: usize,
    /// 0 awake, 1 weights offloaded, 2 all discarded.
    pub(super) sleep_level: u8,
}

fn open<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"),
            since: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            prompt_tokens: AtomicU64::new(0),
            generation_tokens: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            finished: Default::default(),
            families: Mutex::new(FAMILIES.iter().map(|family| Tally::new(family.bounds)).collect()),
            http: Mutex::default(),
            http_time: Mutex::default(),
            http_size: Mutex::default(),
        }
    }

    /// A generation ended by itself or by the engine. (One that its client left is not counted, as in vLLM.)
    pub(super) fn finished(&self, record: &Record, finish: Finish) {
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
    pub(super) fn exchanged(&self, handler: &str, method: &'static str, status: u16, request_bytes: u64, seconds: f64) {
        *open(&self.http).entry((handler.to_owned(), method, format!("{}xx", status / 100))).or_default() += 1;
        open(&self.http_time).entry((handler.to_owned(), method)).or_insert_with(|| Tally::new(HTTP)).add(seconds);
        let mut sizes = open(&self.http_size);
        let size = sizes.entry(handler.to_owned()).or_default();
        *size = (size.0 + 1, size.1 + request_bytes);
    }

    /// The page.
    pub(super) fn page(&self, now: Now) -> String {
        let mut out = String::with_capacity(32 * 1024);
        self.process(&mut out);
        self.engine(&mut out, now);
        self.histograms(&mut out);
        self.exchanges(&mut out);
        out
    }

    fn process(&self, out: &mut String) {
        head(out, "python_info", "gauge", "Python platform information");
        let _ = writeln!(
            out,
            "python_info{{implementation=\"enginehouse sim\",major=\"3\",minor=\"11\",patchlevel=\"7\",version=\"3.11.7\"}} 1.0"
        );
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Fields after the command's closing parenthesis: utime and stime are the 12th and 13th, in 1/100 s; vsize
        // (bytes) the 21st; rss (pages) the 22nd.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect())
            .unwrap_or_default();
        let field = |at: usize| fields.get(at).copied().unwrap_or(0.0);
        let fds = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        for (name, kind, help, value) in [
            ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(20)),
            ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", field(21) * 4096.0),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                self.since,
            ),
            (
                "process_cpu_seconds_total",
                "counter",
                "Total user and system CPU time spent in seconds.",
                (field(11) + field(12)) / 100.0,
            ),
            ("process_open_fds", "gauge", "Number of open file descriptors.", fds as f64),
        ] {
            head(out, name, kind, help);
            let _ = writeln!(out, "{name} {value:?}");
        }
    }

    fn engine(&self, out: &mut String, now: Now) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let awake = |on: bool| if on { 1.0 } else { 0.0 };
        let mut family = |kind: &str, name: &str, help: &str, samples: &[(&str, f64)]| {
            head(out, name, kind, help);
            for (label, value) in samples {
                let engine = if name == "vllm:admission_rejections_total" { "" } else { "engine=\"0\"," };
                let _ = writeln!(out, "{name}{{{engine}model_name=\"{}\"{label}}} {value:?}", self.model);
            }
        };
        let (running, waiting) = (now.running as f64, now.waiting as f64);
        family(
            "gauge",
            "vllm:num_requests_running",
            "Number of requests in model execution batches.",
            &[("", running)],
        );
        family("gauge", "vllm:num_requests_waiting", "Number of requests waiting to be processed.", &[("", waiting)]);
        family(
            "gauge",
            "vllm:num_requests_waiting_by_reason",
            "Number of waiting requests by reason.",
            &[(",reason=\"capacity\"", waiting), (",reason=\"deferred\"", 0.0)],
        );
        family(
            "gauge",
            "vllm:engine_sleep_state",
            "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded \
             = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
            &[
                (",sleep_state=\"awake\"", awake(now.sleep_level == 0)),
                (",sleep_state=\"weights_offloaded\"", awake(now.sleep_level == 1)),
                (",sleep_state=\"discard_all\"", awake(now.sleep_level == 2)),
            ],
        );
        family(
            "gauge",
            "vllm:kv_cache_usage_perc",
            "KV-cache usage. 1 means 100 percent usage.",
            &[("", now.kv_usage)],
        );
        for (name, help) in [
            ("vllm:estimated_flops_per_gpu_total", "Estimated number of floating point operations per GPU."),
            ("vllm:estimated_read_bytes_per_gpu_total", "Estimated number of bytes read from memory per GPU."),
            ("vllm:estimated_write_bytes_per_gpu_total", "Estimated number of bytes written to memory per GPU."),
            ("vllm:prefix_cache_hits_total", "Prefix cache hits, in terms of number of cached tokens."),
            ("vllm:external_prefix_cache_queries_total", "External prefix cache queries."),
            ("vllm:external_prefix_cache_hits_total", "External prefix cache hits."),
            ("vllm:mm_cache_queries_total", "Multi-modal cache queries, in terms of number of queried items."),
            ("vllm:mm_cache_hits_total", "Multi-modal cache hits, in terms of number of cached items."),
            ("vllm:num_preemptions_total", "Cumulative number of preemption from the engine."),
            ("vllm:prompt_tokens_cached_total", "Number of cached prompt tokens (local + external)."),
        ] {
            family("counter", name, help, &[("", 0.0)]);
        }
        let prompt = load(&self.prompt_tokens);
        family(
            "counter",
            "vllm:prefix_cache_queries_total",
            "Prefix cache queries, in terms of number of queried tokens.",
            &[("", prompt)],
        );
        family("counter", "vllm:prompt_tokens_total", "Number of prefill tokens processed.", &[("", prompt)]);
        family(
            "counter",
            "vllm:prompt_tokens_by_source_total",
            "Number of prompt tokens by source.",
            &[
                (",source=\"local_compute\"", prompt),
                (",source=\"local_cache_hit\"", 0.0),
                (",source=\"external_kv_transfer\"", 0.0),
            ],
        );
        let sources = ["device", "host", "p2p", "disk", "external_unspecified"].map(|s| format!(",source=\"{s}\""));
        family(
            "counter",
            "vllm:prompt_tokens_cached_by_source_total",
            "Prefix-cache hit tokens by the cache tier that supplied them.",
            &sources.each_ref().map(|source| (source.as_str(), 0.0)),
        );
        family(
            "counter",
            "vllm:generation_tokens_total",
            "Number of generation tokens processed.",
            &[("", load(&self.generation_tokens))],
        );
        family(
            "counter",
            "vllm:request_success_total",
            "Count of successfully processed requests.",
            &[
                (",finished_reason=\"stop\"", load(&self.finished[0])),
                (",finished_reason=\"length\"", load(&self.finished[1])),
                (",finished_reason=\"abort\"", load(&self.finished[2])),
                (",finished_reason=\"error\"", 0.0),
                (",finished_reason=\"repetition\"", 0.0),
            ],
        );
        family(
            "counter",
            "vllm:admission_rejections_total",
            "Number of admission attempts rejected by a queue limit, by reason.",
            &[(",reason=\"max_num_queued_reqs\"", load(&self.rejected)), (",reason=\"max_num_queued_tokens\"", 0.0)],
        );
        head(out, "vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
        let _ = writeln!(
            out,
            "vllm:cache_config_info{{block_size=\"16\",cache_dtype=\"auto\",enable_prefix_caching=\"True\",engine=\"0\",\
             gpu_memory_utilization=\"0.92\",kv_cache_size_tokens=\"{}\",num_gpu_blocks=\"{}\"}} 1.0",
            now.kv_tokens,
            now.kv_tokens / 16
        );
    }

    fn histograms(&self, out: &mut String) {
        let labels = format!("engine=\"0\",model_name=\"{}\"", self.model);
        for (family, tally) in FAMILIES.iter().zip(open(&self.families).iter()) {
            head(out, family.name, "histogram", family.help);
            tally.write(out, family.name, &labels);
        }
    }

    fn exchanges(&self, out: &mut String) {
        head(out, "http_requests_total", "counter", "Total number of requests by method, status and handler.");
        for ((handler, method, status), count) in open(&self.http).iter() {
            let _ = writeln!(
                out,
                "http_requests_total{{handler=\"{handler}\",method=\"{method}\",status=\"{status}\"}} {count}.0"
            );
        }
        head(out, "http_request_size_bytes", "summary", "Content length of incoming requests by handler.");
        for (handler, (count, sum)) in open(&self.http_size).iter() {
            let _ = writeln!(
                out,
                "http_request_size_bytes_count{{handler=\"{handler}\"}} {count}.0\n\
                 http_request_size_bytes_sum{{handler=\"{handler}\"}} {sum}.0"
            );
        }
        head(out, "http_request_duration_seconds", "histogram", "Latency with only few buckets by handler.");
        for ((handler, method), tally) in open(&self.http_time).iter() {
            tally.write(out, "http_request_duration_seconds", &format!("handler=\"{handler}\",method=\"{method}\""));
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_move_and_buckets_add_up() {
        let metrics = Metrics::new("m\"x");
        let mut record = Record::new(7, Some(3), 1);
        record.generated = 3;
        record.gaps.add(0.02);
        metrics.finished(&record, Finish::Length);
        metrics.exchanged("/v1/chat/completions", "POST", 200, 10, 0.2);
        let page = metrics.page(Now { running: 2, ..Now::default() });
        for line in [
            r#"vllm:num_requests_running{engine="0",model_name="m\"x"} 2.0"#,
            r#"vllm:request_success_total{engine="0",model_name="m\"x",finished_reason="length"} 1.0"#,
            r#"vllm:inter_token_latency_seconds_bucket{le="0.025",engine="0",model_name="m\"x"} 1.0"#,
            r#"vllm:request_prompt_tokens_sum{engine="0",model_name="m\"x"} 7.0"#,
            r#"http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 1.0"#,
        ] {
            assert!(page.lines().any(|have| have == line), "{line} is missing from\n{page}");
        }
    }
}
