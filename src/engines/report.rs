//! What an engine reports of its work on its own `/metrics`: how much it has to do, and how full its memory is.

use std::time::Instant;

use super::prometheus_text::value;

/// vLLM's gauges and counters (`vllm/v1/metrics/loggers.py`, 0.32): summed over the engine cores of a data-parallel engine, but
/// for the share of the KV cache, of which it is the mean.
const NAMES: [(&[u8], Number); 9] = [
    (b"vllm:num_requests_running", |report| &mut report.running),
    (b"vllm:num_requests_waiting", |report| &mut report.waiting),
    (b"vllm:kv_cache_usage_perc", |report| &mut report.kv_cache_usage),
    (b"vllm:prefix_cache_queries_total", |report| &mut report.prefix_cache_queries),
    (b"vllm:prefix_cache_hits_total", |report| &mut report.prefix_cache_hits),
    (b"vllm:prompt_tokens_total", |report| &mut report.prompt_tokens),
    (b"vllm:generation_tokens_total", |report| &mut report.generation_tokens),
    (b"vllm:num_preemptions_total", |report| &mut report.preemptions),
    (b"vllm:request_success_total", |report| &mut report.requests),
];

/// One number of a report.
type Number = fn(&mut Report) -> &mut f64;

/// What an engine reported at one moment. Counters begin with its process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// When it was read.
    pub taken: Instant,
    /// Requests that it works on.
    pub running: f64,
    /// Requests that wait in it.
    pub waiting: f64,
    /// The share of its KV cache that is in use, 0 to 1.
    pub kv_cache_usage: f64,
    /// Tokens that were looked for in its prefix cache.
    pub prefix_cache_queries: f64,
    /// Those of them that were there.
    pub prefix_cache_hits: f64,
    /// Tokens read.
    pub prompt_tokens: f64,
    /// Tokens written.
    pub generation_tokens: f64,
    /// Requests that it had to put off for lack of KV cache.
    pub preemptions: f64,
    /// Requests that it has finished.
    pub requests: f64,
    /// Tokens written in a second, since the report before; 0: there was none.
    pub generation_rate: f64,
    /// Tokens read in a second, likewise.
    pub prompt_rate: f64,
}

impl Report {
    /// Reads Prometheus text; `None`: it is not vLLM's, or without these numbers (`--disable-log-stats`).
    #[must_use]
    pub fn parse(text: &[u8], taken: Instant, before: Option<&Self>) -> Option<Self> {
        let mut report = Self {
            taken,
            running: 0.0,
            waiting: 0.0,
            kv_cache_usage: 0.0,
            prefix_cache_queries: 0.0,
            prefix_cache_hits: 0.0,
            prompt_tokens: 0.0,
            generation_tokens: 0.0,
            preemptions: 0.0,
            requests: 0.0,
            generation_rate: 0.0,
            prompt_rate: 0.0,
        };
        let mut cores = 0.0;
        // Nearly all lines of a page begin otherwise.
        for line in text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"vllm:")) {
            let Some((at, number)) =
                NAMES.iter().enumerate().find_map(|(at, (name, _))| Some((at, value(line, name)?)))
            else {
                continue;
            };
            cores += f64::from(u8::from(at == 0));
            *NAMES[at].1(&mut report) += number;
        }
        if cores == 0.0 {
            return None;
        }
        report.kv_cache_usage /= cores;
        if let Some(before) = before {
            let seconds = taken.saturating_duration_since(before.taken).as_secs_f64();
            // Of a process that was started again nothing follows.
            let rate = |now: f64, then: f64| if seconds > 0.0 && now >= then { (now - then) / seconds } else { 0.0 };
            report.generation_rate = rate(report.generation_tokens, before.generation_tokens);
            report.prompt_rate = rate(report.prompt_tokens, before.prompt_tokens);
        }
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_are_read_over_all_cores_and_rates_follow_from_two_reports() {
        let text = |generated: u32| {
            format!(
                "# HELP vllm:num_requests_running Number.\nvllm:num_requests_running{{engine=\"0\",model_name=\"m\"}} 3.0\n\
                 vllm:num_requests_running{{engine=\"1\",model_name=\"m\"}} 1.0\nvllm:num_requests_waiting{{engine=\"0\"}} 2.0\n\
                 vllm:num_requests_waiting_by_reason{{engine=\"0\",reason=\"capacity\"}} 2.0\n\
                 vllm:kv_cache_usage_perc{{engine=\"0\"}} 0.5\nvllm:kv_cache_usage_perc{{engine=\"1\"}} 0.1\n\
                 vllm:prefix_cache_queries_total{{engine=\"0\"}} 100.0\nvllm:prefix_cache_hits_total{{engine=\"0\"}} 25.0\n\
                 vllm:generation_tokens_total{{engine=\"0\"}} {generated}\nvllm:prompt_tokens_total{{engine=\"0\"}} 7.0\n\
                 vllm:request_success_total{{finished_reason=\"stop\"}} 4.0\nvllm:request_success_total{{finished_reason=\"length\"}} 1.0\n"
            )
        };
        let start = Instant::now();
        let first = Report::parse(text(100).as_bytes(), start, None).expect("vLLM's");
        assert_eq!((first.running, first.waiting, first.kv_cache_usage, first.requests), (4.0, 2.0, 0.3, 5.0));
        assert_eq!((first.prefix_cache_hits, first.generation_rate), (25.0, 0.0));
        let later = start + Duration::from_secs(2);
        let second = Report::parse(text(150).as_bytes(), later, Some(&first)).expect("vLLM's");
        assert_eq!((second.generation_rate, second.prompt_rate), (25.0, 0.0));
        let restarted = Report::parse(text(1).as_bytes(), later, Some(&first)).expect("vLLM's");
        assert_eq!(restarted.generation_rate, 0.0);
        assert_eq!(Report::parse(b"python_gc_objects_collected_total 1\n", start, None), None);
    }
}
