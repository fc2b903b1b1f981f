//! `GET /metrics`: the page, in vLLM's order.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counters::{Metrics, Now, open};
use super::histogram::FAMILIES;

/// Counters of what a simulation never does.
const NEVER: [(&str, &str); 10] = [
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
];

/// A family of samples: its name, its help, and each sample's further labels with its value.
type Family = (&'static str, &'static str, Vec<(&'static str, f64)>);

/// The page.
pub(crate) fn page(metrics: &Metrics, now: Now) -> String {
    let mut out = String::with_capacity(32 * 1024);
    process(&mut out, metrics.since);
    engine(&mut out, metrics, now);
    histograms(&mut out, metrics);
    exchanges(&mut out, metrics);
    out
}

fn process(out: &mut String, since: f64) {
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
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", since),
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

fn engine(out: &mut String, metrics: &Metrics, now: Now) {
    let never = NEVER.map(|(name, help)| (name, help, vec![("", 0.0)]));
    let counted = never.into_iter().chain(counters(metrics)).map(|family| ("counter", family));
    for (kind, (name, help, samples)) in gauges(now).into_iter().map(|family| ("gauge", family)).chain(counted) {
        head(out, name, kind, help);
        // The one family that is the API server's and not an engine's.
        let engine = if name == "vllm:admission_rejections_total" { "" } else { "engine=\"0\"," };
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{{{engine}model_name=\"{}\"{labels}}} {value:?}", metrics.model);
        }
    }
    head(out, "vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
    let _ = writeln!(
        out,
        "vllm:cache_config_info{{block_size=\"16\",cache_dtype=\"auto\",enable_prefix_caching=\"True\",engine=\"0\",\
         gpu_memory_utilization=\"0.92\",kv_cache_size_tokens=\"{}\",num_gpu_blocks=\"{}\"}} 1.0",
        now.kv_tokens,
        now.kv_tokens / 16
    );
}

fn gauges(now: Now) -> [Family; 5] {
    let (running, waiting) = (now.running as f64, now.waiting as f64);
    let at_level = |level: u8| if now.sleep_level == level { 1.0 } else { 0.0 };
    [
        ("vllm:num_requests_running", "Number of requests in model execution batches.", vec![("", running)]),
        ("vllm:num_requests_waiting", "Number of requests waiting to be processed.", vec![("", waiting)]),
        (
            "vllm:num_requests_waiting_by_reason",
            "Number of waiting requests by reason.",
            vec![(",reason=\"capacity\"", waiting), (",reason=\"deferred\"", 0.0)],
        ),
        (
            "vllm:engine_sleep_state",
            "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded \
             = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
            vec![
                (",sleep_state=\"awake\"", at_level(0)),
                (",sleep_state=\"weights_offloaded\"", at_level(1)),
                (",sleep_state=\"discard_all\"", at_level(2)),
            ],
        ),
        ("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", vec![("", now.kv_usage)]),
    ]
}

fn counters(metrics: &Metrics) -> [Family; 7] {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let prompt = load(&metrics.prompt_tokens);
    let [stop, length, abort] = metrics.finished.each_ref().map(load);
    [
        (
            "vllm:prefix_cache_queries_total",
            "Prefix cache queries, in terms of number of queried tokens.",
            vec![("", prompt)],
        ),
        ("vllm:prompt_tokens_total", "Number of prefill tokens processed.", vec![("", prompt)]),
        (
            "vllm:prompt_tokens_by_source_total",
            "Number of prompt tokens by source.",
            vec![
                (",source=\"local_compute\"", prompt),
                (",source=\"local_cache_hit\"", 0.0),
                (",source=\"external_kv_transfer\"", 0.0),
            ],
        ),
        (
            "vllm:prompt_tokens_cached_by_source_total",
            "Prefix-cache hit tokens by the cache tier that supplied them.",
            vec![
                (",source=\"device\"", 0.0),
                (",source=\"host\"", 0.0),
                (",source=\"p2p\"", 0.0),
                (",source=\"disk\"", 0.0),
                (",source=\"external_unspecified\"", 0.0),
            ],
        ),
        (
            "vllm:generation_tokens_total",
            "Number of generation tokens processed.",
            vec![("", load(&metrics.generation_tokens))],
        ),
        (
            "vllm:request_success_total",
            "Count of successfully processed requests.",
            vec![
                (",finished_reason=\"stop\"", stop),
                (",finished_reason=\"length\"", length),
                (",finished_reason=\"abort\"", abort),
                (",finished_reason=\"error\"", 0.0),
                (",finished_reason=\"repetition\"", 0.0),
            ],
        ),
        (
            "vllm:admission_rejections_total",
            "Number of admission attempts rejected by a queue limit, by reason.",
            vec![
                (",reason=\"max_num_queued_reqs\"", load(&metrics.rejected)),
                (",reason=\"max_num_queued_tokens\"", 0.0),
            ],
        ),
    ]
}

fn histograms(out: &mut String, metrics: &Metrics) {
    let labels = format!("engine=\"0\",model_name=\"{}\"", metrics.model);
    for ((name, help, _), tally) in FAMILIES.iter().zip(open(&metrics.families).iter()) {
        head(out, name, "histogram", help);
        tally.write(out, name, &labels);
    }
}

fn exchanges(out: &mut String, metrics: &Metrics) {
    head(out, "http_requests_total", "counter", "Total number of requests by method, status and handler.");
    for ((handler, method, status), count) in open(&metrics.http).iter() {
        let _ = writeln!(
            out,
            "http_requests_total{{handler=\"{handler}\",method=\"{method}\",status=\"{status}\"}} {count}.0"
        );
    }
    head(out, "http_request_size_bytes", "summary", "Content length of incoming requests by handler.");
    for (handler, (count, sum)) in open(&metrics.http_size).iter() {
        let _ = writeln!(
            out,
            "http_request_size_bytes_count{{handler=\"{handler}\"}} {count}.0\n\
             http_request_size_bytes_sum{{handler=\"{handler}\"}} {sum}.0"
        );
    }
    head(out, "http_request_duration_seconds", "histogram", "Latency with only few buckets by handler.");
    for ((handler, method), tally) in open(&metrics.http_time).iter() {
        tally.write(out, "http_request_duration_seconds", &format!("handler=\"{handler}\",method=\"{method}\""));
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::super::counters::{Finish, Record};
    use super::*;

    #[test]
    fn counters_move_and_buckets_add_up() {
        let metrics = Metrics::new("m\"x");
        let mut record = Record::new(7, Some(3), 1);
        record.generated = 3;
        record.gaps.add(0.02);
        metrics.finished(&record, Finish::Length);
        metrics.exchanged("/v1/chat/completions", "POST", 200, 10, 0.2);
        let page = page(&metrics, Now { running: 2, ..Now::default() });
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
