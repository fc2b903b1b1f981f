//! What became of the requests of a model, of an engine, or of all, in short intervals: the newest ones with all times, so that
//! quantiles follow from them, the others as points of a chart.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use sketches_ddsketch::{Config, DDSketch};

use super::kept::KeptRecord;
use crate::api::{Quantiles, Rates, RatesPoint};

/// The length of an interval.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// Intervals that are kept as points: five minutes.
pub(super) const POINTS: u32 = 60;

/// Intervals over which rates and quantiles are told: one minute.
pub(super) const RECENT: u32 = 12;

/// How far a quantile may be from the true one, as a share of it.
const ACCURACY: f64 = 0.02;

/// The last intervals.
#[derive(Debug)]
pub(super) struct Series {
    /// With all times, the newest last; at least the one under way.
    recent: VecDeque<Interval>,
    /// Those that are over, the newest last.
    points: VecDeque<RatesPoint>,
    /// Intervals that are over since the last request.
    silent: u32,
}

/// What happened in one interval.
#[derive(Debug, Default)]
struct Interval {
    requests: u64,
    errors: u64,
    prompt: u64,
    completion: u64,
    first_token: Times,
    between_tokens: Times,
    duration: Times,
}

/// Times, as far as their quantiles need them; no memory where there are none.
#[derive(Default)]
struct Times(Option<Box<DDSketch>>);

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Times").field(&self.0.as_ref().map(|sketch| sketch.count())).finish()
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let sketch = self.0.get_or_insert_with(|| Box::new(sketch()));
        sketch.add(time.as_secs_f64());
    }

    fn quantiles(&self) -> Option<Quantiles> {
        quantiles_of(self.0.as_deref()?)
    }
}

fn sketch() -> DDSketch {
    DDSketch::new(Config::new(ACCURACY, 2048, 1e-6))
}

fn quantiles_of(sketch: &DDSketch) -> Option<Quantiles> {
    let at = |share| sketch.quantile(share).ok().flatten();
    Some(Quantiles { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
}

/// The quantiles of all of these.
fn quantiles<'a>(times: impl Iterator<Item = &'a Times>) -> Option<Quantiles> {
    let mut all = sketch();
    for one in times.filter_map(|times| times.0.as_deref()) {
        // They are all made alike.
        let _ = all.merge(one);
    }
    quantiles_of(&all)
}

impl Series {
    /// One that begins with the interval under way.
    pub(super) fn new() -> Self {
        Self { recent: VecDeque::from([Interval::default()]), points: VecDeque::new(), silent: 0 }
    }

    /// The interval under way, of this `number`, is over.
    pub(super) fn turn(&mut self, number: u64) {
        if let Some(over) = self.recent.back() {
            self.silent = if over.requests == 0 { self.silent + 1 } else { 0 };
            if self.points.len() >= POINTS as usize {
                self.points.pop_front();
            }
            self.points.push_back(over.point(number));
        }
        if self.recent.len() >= RECENT as usize {
            self.recent.pop_front();
        }
        self.recent.push_back(Interval::default());
    }

    /// Whether no request is in anything that is kept.
    pub(super) fn is_silent(&self) -> bool {
        self.silent >= POINTS && self.recent.back().is_none_or(|interval| interval.requests == 0)
    }

    pub(super) fn count(&mut self, record: &KeptRecord) {
        let Some(interval) = self.recent.back_mut() else { return };
        interval.requests += 1;
        interval.errors += u64::from(record.is_failure());
        if let Some(usage) = record.usage {
            interval.prompt += usage.prompt;
            interval.completion += usage.completion;
        }
        if record.status < 400 {
            interval.duration.add(record.took);
        }
        if let Some(first) = record.first_token {
            interval.first_token.add(first);
            let rest = record.usage.and_then(|usage| u32::try_from(usage.completion.checked_sub(1)?).ok());
            if let Some(tokens) = rest.filter(|tokens| *tokens > 0 && record.stream) {
                interval.between_tokens.add(record.took.saturating_sub(first) / tokens);
            }
        }
    }

    /// The rates of the last minute, which are these last `seconds`: the interval under way is not whole.
    pub(super) fn rates(&self, seconds: f64) -> Rates {
        let sum = |of: fn(&Interval) -> u64| per_second(self.recent.iter().map(of).sum(), seconds);
        Rates {
            requests_per_second: sum(|it| it.requests),
            errors_per_second: sum(|it| it.errors),
            prompt_tokens_per_second: sum(|it| it.prompt),
            completion_tokens_per_second: sum(|it| it.completion),
            first_token_seconds: quantiles(self.recent.iter().map(|it| &it.first_token)),
            inter_token_seconds: quantiles(self.recent.iter().map(|it| &it.between_tokens)),
            duration_seconds: quantiles(self.recent.iter().map(|it| &it.duration)),
        }
    }

    /// A point for each interval that is over, the newest last.
    pub(super) fn history(&self) -> Vec<RatesPoint> {
        self.points.iter().copied().collect()
    }
}

impl Interval {
    fn point(&self, number: u64) -> RatesPoint {
        let seconds = INTERVAL.as_secs_f64();
        let (first, between) = (self.first_token.quantiles(), self.between_tokens.quantiles());
        RatesPoint {
            number,
            requests_per_second: per_second(self.requests, seconds),
            errors_per_second: per_second(self.errors, seconds),
            completion_tokens_per_second: per_second(self.completion, seconds),
            first_token_p50_seconds: first.map(|times| times.p50),
            first_token_p95_seconds: first.map(|times| times.p95),
            inter_token_p50_seconds: between.map(|times| times.p50),
            inter_token_p95_seconds: between.map(|times| times.p95),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes stay far below 2^52")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
