//! Histograms: their bounds, their numbers, and those over requests.

use std::fmt::Write;

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

pub(super) const HTTP: &[f64] = &[0.1, 0.5, 1.0];

/// A histogram's numbers; one stream keeps its own and merges it at the end.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Tally {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// For the time between tokens.
    pub(crate) fn gaps() -> Self {
        Self::new(GAPS)
    }

    pub(crate) fn add(&mut self, value: f64) {
        let at = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[at] += 1;
        self.sum += value;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.sum += other.sum;
    }

    /// Its lines, without the head.
    pub(super) fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut total = 0;
        for (at, count) in self.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(at).map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\",{labels}}} {total}.0");
        }
        let _ = writeln!(out, "{name}_count{{{labels}}} {total}.0\n{name}_sum{{{labels}}} {:?}", self.sum);
    }
}

/// A histogram over requests: its name, its help, and its bounds.
type Family = (&'static str, &'static str, &'static [f64]);

/// vLLM's, in its order.
pub(super) const FAMILIES: [Family; 16] = [
    ("vllm:request_prompt_tokens", "Number of prefill tokens processed.", LENGTHS),
    ("vllm:request_generation_tokens", "Number of generation tokens processed.", LENGTHS),
    ("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", STEPS),
    ("vllm:request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens.", LENGTHS),
    ("vllm:request_params_n", "Histogram of the n request parameter.", NUMBERS),
    ("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", LENGTHS),
    ("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", FIRST_TOKEN),
    ("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", GAPS),
    ("vllm:request_time_per_output_token_seconds", "Histogram of time_per_output_token_seconds per request.", GAPS),
    ("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", WHOLE),
    ("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", WHOLE),
    ("vllm:request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", WHOLE),
    ("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", WHOLE),
    ("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", WHOLE),
    ("vllm:request_num_preemptions", "Histogram of the number of times a request was preempted.", PREEMPTIONS),
    (
        "vllm:request_prefill_kv_computed_tokens",
        "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
        LENGTHS,
    ),
];
