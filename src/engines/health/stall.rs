//! Whether an engine that answers is stalled: it has requests, and none of its counters moves.
//!
//! All of vLLM's numbers come from its engine core; when that is stuck, they stand still while `/health` still says 200.
//! Of an engine without such numbers, or that does not tell them, the gateway knows enough itself: requests are unanswered,
//! and not one byte came of it on any request. While a caller takes nothing, nothing follows from that: the engine may wait
//! for this caller, and the other requests for the engine.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::Stall;
use crate::engines::prometheus_text::value;

/// Requests that run.
const RUNNING: &[u8] = b"vllm:num_requests_running";

/// What moves while an engine works. The two token counters alone do not: vLLM counts a prompt only when all of it
/// was read, which takes minutes for a very long one. The share of the KV cache in use changes with each chunk of it.
/// The others move for requests that make no tokens, and for prompts that were in the cache.
const MOVING: [&[u8]; 7] = [
    b"vllm:generation_tokens_total",
    b"vllm:prompt_tokens_total",
    b"vllm:kv_cache_usage_perc",
    b"vllm:iteration_tokens_total_count",
    b"vllm:prefix_cache_queries_total",
    b"vllm:request_success_total",
    b"vllm:num_preemptions_total",
];

/// What one look at an engine's `/metrics` showed; summed over the engine cores of a data-parallel engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Requests that run.
    pub(super) running: u64,
    /// Requests of ours that got no byte of an answer yet, as the gateway counts them: an engine core that was stuck
    /// before they came knows nothing of them, and never counts them as running. 0 where nobody counts.
    pub(super) unanswered: u64,
    progress: Progress,
}

/// What an engine has done so far.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    /// As its counters tell.
    Counted([f64; MOVING.len()]),
    /// As the gateway sees: pieces of answers that came.
    Received(u64),
}

impl Sample {
    /// Reads Prometheus text. `None`: not vLLM's, or without these numbers (`--disable-log-stats`).
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut running = None;
        let mut moving = [0.0; MOVING.len()];
        let mut counts_tokens = false;
        for line in text.split(|byte| *byte == b'\n') {
            // Nearly all lines of a page end here.
            if !line.starts_with(b"vllm:") {
                continue;
            }
            if let Some(value) = value(line, RUNNING) {
                *running.get_or_insert(0.0) += value;
            } else if let Some((at, value)) =
                MOVING.iter().enumerate().find_map(|(at, name)| Some((at, value(line, name)?)))
            {
                moving[at] += value;
                counts_tokens |= at == 0;
            }
        }
        // A cast from a float saturates.
        running.filter(|_| counts_tokens).map(|running| Self {
            running: running as u64,
            unanswered: 0,
            progress: Progress::Counted(moving),
        })
    }

    /// What the gateway itself sees of an engine: requests that are `unanswered`, and `pieces` of answers that came;
    /// `held_up`: how many callers take nothing.
    pub(super) fn seen(unanswered: u64, pieces: u64, held_up: usize) -> Self {
        let unanswered = if held_up > 0 { 0 } else { unanswered };
        Self { running: 0, unanswered, progress: Progress::Received(pieces) }
    }

    /// The same, with what the gateway knows.
    pub(super) fn with_unanswered(self, unanswered: u64) -> Self {
        Self { unanswered, ..self }
    }

    /// Whether `self` and `before` differ in what moves; a counter that went back (a new process) did move.
    fn moved(&self, before: &Self) -> bool {
        self.progress != before.progress
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.unanswered == 0
    }
}

/// Watches one engine's samples.
#[derive(Clone, Debug)]
pub(super) struct StallDetector {
    limit: Duration,
    last: Option<(Sample, Instant)>,
}

impl StallDetector {
    /// `limit`: how long nothing may move; longer than an engine takes for one step.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, last: None }
    }

    /// Starts anew: the engine was started, paused, woken.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }

    /// Looks at what was sampled at `now`. Says so each time while it is stuck.
    pub(super) fn observe(&mut self, now: Instant, sample: Sample) -> Option<Stall> {
        match self.last {
            Some((last, since)) if !sample.is_idle() && !last.is_idle() && !sample.moved(&last) => {
                let lasted = now.saturating_duration_since(since);
                // `running` may have changed without a step (an abort); the time goes on.
                self.last = Some((sample, since));
                (lasted > self.limit)
                    .then(|| Stall { requests: sample.running.max(sample.unanswered), seconds: lasted.as_secs() })
            }
            _ => {
                self.last = Some((sample, now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn sample(running: u64, tokens: f64) -> Sample {
        let mut moving = [0.0; MOVING.len()];
        moving[0] = tokens;
        Sample { running, unanswered: 0, progress: Progress::Counted(moving) }
    }

    /// What is said of samples that are ten seconds apart.
    fn story(samples: &[Sample]) -> Vec<bool> {
        let (mut hang, start) = (StallDetector::new(LIMIT), Instant::now());
        let said = |(at, sample): (u32, &Sample)| hang.observe(start + Duration::from_secs(10) * at, *sample).is_some();
        (0..).zip(samples).map(said).collect()
    }

    fn stalled_at(samples: &[Sample]) -> Option<usize> {
        story(samples).iter().position(|hung| *hung)
    }

    #[test]
    fn standing_still_with_requests_for_longer_than_the_limit_is_hung() {
        let still = [sample(2, 7.0); 9];
        assert_eq!(story(&still), [false, false, false, false, false, false, false, true, true]);
        let mut hang = StallDetector::new(LIMIT);
        let start = Instant::now();
        assert_eq!(hang.observe(start, sample(2, 7.0)), None);
        let hung = hang.observe(start + Duration::from_secs(90), sample(2, 7.0)).expect("hung");
        assert_eq!(hung, Stall { requests: 2, seconds: 90 });
        hang.reset();
        assert_eq!(hang.observe(start + Duration::from_secs(999), sample(2, 7.0)), None);
    }

    #[test]
    fn any_movement_starts_anew() {
        for (at, name) in MOVING.iter().enumerate() {
            let mut samples = [sample(1, 0.0); 12];
            for later in &mut samples[6..] {
                let Progress::Counted(moving) = &mut later.progress else { panic!("counted") };
                moving[at] += 0.001;
            }
            assert_eq!(stalled_at(&samples), None, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn an_idle_engine_is_never_hung_and_time_counts_from_its_first_request() {
        assert_eq!(stalled_at(&[sample(0, 5.0); 50]), None);
        let mut samples = vec![sample(0, 5.0); 20];
        samples.extend([sample(1, 5.0); 9]);
        assert_eq!(stalled_at(&samples), Some(27));
        samples[25] = sample(0, 5.0);
        assert_eq!(stalled_at(&samples), None);
    }

    #[test]
    fn a_counter_that_went_back_is_another_process() {
        let mut samples = vec![sample(1, 500.0); 6];
        samples.extend([sample(1, 3.0); 7]);
        assert_eq!(stalled_at(&samples), None);
        samples.push(sample(1, 3.0));
        assert_eq!(stalled_at(&samples), Some(13));
    }

    #[test]
    fn an_engine_that_was_stuck_before_its_requests_came_is_hung_too() {
        let mut stuck = sample(0, 5.0);
        stuck.unanswered = 3;
        assert_eq!(stalled_at(&[stuck; 8]), Some(7));
    }

    #[test]
    fn an_engine_without_such_numbers_is_hung_when_nothing_comes_for_requests_that_wait() {
        assert_eq!(stalled_at(&[Sample::seen(2, 7, 0); 9]), Some(7));
        assert_eq!(stalled_at(&[Sample::seen(0, 7, 0); 50]), None, "nobody waits for it");
        let working: Vec<Sample> = (0..50).map(|pieces| Sample::seen(1, pieces, 0)).collect();
        assert_eq!(stalled_at(&working), None, "something comes for another request");
        assert_eq!(stalled_at(&[Sample::seen(3, 7, 1); 50]), None, "a caller takes nothing");
        let mut slow = vec![Sample::seen(3, 7, 0); 6];
        slow.push(Sample::seen(3, 7, 1));
        slow.extend([Sample::seen(3, 7, 0); 7]);
        assert_eq!(stalled_at(&slow), None, "time counts from where no caller was waited for");
        let mut samples = vec![sample(1, 5.0); 7];
        samples.extend([Sample::seen(1, 5, 0), sample(1, 5.0), sample(1, 5.0)]);
        assert_eq!(stalled_at(&samples), None, "a page that could not be read starts anew");
    }

    #[test]
    fn vllms_page_is_read_and_summed_over_its_engine_cores() {
        let page = b"# HELP vllm:num_requests_running Number of requests in model execution batches.\n\
            # TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a } b\"} 2.0\n\
            vllm:num_requests_running{engine=\"1\",model_name=\"a } b\"} 3.0\n\
            vllm:num_requests_waiting{engine=\"0\",model_name=\"x\"} 100.0\n\
            vllm:generation_tokens_total{engine=\"0\",model_name=\"x\"} 1.5e+06\n\
            vllm:generation_tokens_total{engine=\"1\",model_name=\"x\"} 4.0 1700000000000\r\n\
            vllm:generation_tokens_created{engine=\"1\",model_name=\"x\"} 1.7e9\n\
            vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"x\"} 0.25\n\
            vllm:iteration_tokens_total_bucket{le=\"1.0\",engine=\"0\",model_name=\"x\"} 9.0\n\
            vllm:iteration_tokens_total_count{engine=\"0\",model_name=\"x\"} 9.0\n\
            process_cpu_seconds_total 3.0\n\
            vllm:prompt_tokens_total{engine=\"0\"} NaN";
        let sample = Sample::parse(page).expect("vLLM's");
        assert_eq!(sample.running, 5);
        assert_eq!(sample.progress, Progress::Counted([1_500_004.0, 0.0, 0.25, 9.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn the_real_metrics_are_there() {
        let page = include_bytes!("../../../tests/vectors/vllm-life/metrics.txt");
        let sample = Sample::parse(page).expect("vLLM's");
        assert_eq!(sample.running, 0);
        for name in MOVING {
            let is_there = page.split(|byte| *byte == b'\n').any(|line| value(line, name).is_some());
            assert!(is_there, "{} is not in a real page", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn other_pages_are_nothing() {
        for page in [
            &b""[..],
            b"<html>",
            b"\xff\xfe\0{} 1",
            b"vllm:num_requests_running",
            b"vllm:num_requests_running{engine=\"0\"}",
            b"vllm:num_requests_running{engine=\"0\" 1.0",
            b"vllm:num_requests_running 1.0",
            b"vllm:generation_tokens_total 1.0",
            b"vllm:num_requests_running NaN\nvllm:generation_tokens_total 1.0",
            b"llamacpp:requests_processing 1\nllamacpp:tokens_predicted_total 5",
            b"sglang:num_running_reqs{model_name=\"x\"} 1.0",
        ] {
            assert_eq!(Sample::parse(page), None, "{}", String::from_utf8_lossy(page));
        }
        let odd = b"vllm:num_requests_running -1\nvllm:num_requests_running{} 1e300\nvllm:generation_tokens_total 0";
        assert_eq!(Sample::parse(odd).map(|sample| sample.running), Some(u64::MAX));
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let page = include_bytes!("../../../tests/vectors/vllm-life/metrics.txt");
        let mut seed = 7_u64;
        for _ in 0..200 {
            let mut bytes = page.to_vec();
            for _ in 0..50 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(seed >> 33).expect("31 bits") % bytes.len();
                bytes[at] = seed.to_le_bytes()[1];
            }
            let _ = Sample::parse(&bytes);
        }
    }
}
