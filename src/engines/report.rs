//! What an engine reports of its work on its own `/metrics`: how much it has to do, and how full its memory is.

use std::time::Instant;

use super::prometheus_text::value;
use crate::api::ReportView;

/// vLLM's gauges and counters (`vllm/v1/metrics/loggers.py`, 0.32): summed over the engine cores of a data-parallel engine, but
/// for the share of the KV cache, of which it is the mean.
const NAMES: [(&[u8], Number); 9] = [
    (b"vllm:num_requests_running", |report| &mut report.view.running),
    (b"vllm:num_requests_waiting", |report| &mut report.view.waiting),
    (b"vllm:kv_cache_usage_perc", |report| &mut report.view.kv_cache_usage),
    (b"vllm:prefix_cache_queries_total", |report| &mut report.view.prefix_cache_queries),
    (b"vllm:prefix_cache_hits_total", |report| &mut report.view.prefix_cache_hits),
    (b"vllm:prompt_tokens_total", |report| &mut report.view.prompt_tokens),
    (b"vllm:generation_tokens_total", |report| &mut report.view.generation_tokens),
    (b"vllm:num_preemptions_total", |report| &mut report.view.preemptions),
    (b"vllm:request_success_total", |report| &mut report.requests),
];

/// One number of a report.
type Number = fn(&mut Report) -> &mut f64;

/// What an engine reported at one moment. Counters begin with its process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// When it was read.
    pub taken: Instant,
    /// Requests that it has finished.
    pub requests: f64,
    /// What operators are told.
    pub view: ReportView,
}

impl Report {
    /// Reads Prometheus text; `None`: it is not vLLM's, or without these numbers (`--disable-log-stats`).
    #[must_use]
    pub fn parse(text: &[u8], taken: Instant, before: Option<&Self>) -> Option<Self> {
        let mut report = Self { taken, requests: 0.0, view: ReportView::default() };
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
        report.view.kv_cache_usage /= cores;
        if let Some(before) = before {
            let seconds = taken.saturating_duration_since(before.taken).as_secs_f64();
            // Of a process that was started again nothing follows.
            let rate = |now: f64, then: f64| if seconds > 0.0 && now >= then { (now - then) / seconds } else { 0.0 };
            let (now, then) = (&mut report.view, &before.view);
            now.generation_tokens_per_second = rate(now.generation_tokens, then.generation_tokens);
            now.prompt_tokens_per_second = rate(now.prompt_tokens, then.prompt_tokens);
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
        let told = first.view;
        assert_eq!((told.running, told.waiting, told.kv_cache_usage, first.requests), (4.0, 2.0, 0.3, 5.0));
        assert_eq!((told.prefix_cache_hits, told.generation_tokens_per_second), (25.0, 0.0));
        let later = start + Duration::from_secs(2);
        let second = Report::parse(text(150).as_bytes(), later, Some(&first)).expect("vLLM's");
        let told = second.view;
        assert_eq!((told.generation_tokens_per_second, told.prompt_tokens_per_second), (25.0, 0.0));
        let restarted = Report::parse(text(1).as_bytes(), later, Some(&first)).expect("vLLM's");
        assert_eq!(restarted.view.generation_tokens_per_second, 0.0);
        assert_eq!(Report::parse(b"python_gc_objects_collected_total 1\n", start, None), None);
    }
}
