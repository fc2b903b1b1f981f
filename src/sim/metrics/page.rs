//! `GET /metrics`: the page, in vLLM's order.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counters::{Metrics, Now, open};
use super::histogram::FAMILIES;

/// What does not depend on requests: each value that changes stands as `$name`.
const TEMPLATE: &str = include_str!("page.txt");

/// The page.
pub(crate) fn page(metrics: &Metrics, now: Now) -> String {
    let mut out = String::with_capacity(32 * 1024);
    fixed(&mut out, metrics, now);
    histograms(&mut out, metrics);
    exchanges(&mut out, metrics);
    out
}

/// The template with its values.
fn fixed(out: &mut String, metrics: &Metrics, now: Now) {
    let [virtual_memory, resident_memory, cpu] = process();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let [stop, length, abort] = metrics.finished.each_ref().map(load);
    let at_level = |level: u8| if now.sleep_level == level { 1.0 } else { 0.0 };
    let numbers = [
        ("virtual_memory", virtual_memory),
        ("resident_memory", resident_memory),
        ("since", metrics.since),
        ("cpu", cpu),
        ("open_files", std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as f64),
        ("running", now.running as f64),
        ("waiting", now.waiting as f64),
        ("awake", at_level(0)),
        ("level_1", at_level(1)),
        ("level_2", at_level(2)),
        ("kv_usage", now.kv_usage),
        ("prompt", load(&metrics.prompt_tokens)),
        ("generated", load(&metrics.generation_tokens)),
        ("stop", stop),
        ("length", length),
        ("abort", abort),
        ("rejected", load(&metrics.rejected)),
    ];
    let mut values: HashMap<&str, String> =
        numbers.into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
    values.insert("model", metrics.model.clone());
    values.insert("kv_tokens", now.kv_tokens.to_string());
    values.insert("kv_blocks", (now.kv_tokens / 16).to_string());
    let mut parts = TEMPLATE.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        out.push_str(values.get(&part[..end]).map_or("", String::as_str));
        out.push_str(&part[end..]);
    }
}

/// Virtual and resident memory of this process in bytes, and its processor time in seconds.
fn process() -> [f64; 3] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields after the command's closing parenthesis: utime and stime are the 12th and 13th, in 1/100 s; vsize
    // (bytes) the 21st; rss (pages) the 22nd.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect())
        .unwrap_or_default();
    let field = |at: usize| fields.get(at).copied().unwrap_or(0.0);
    [field(20), field(21) * 4096.0, (field(11) + field(12)) / 100.0]
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
