//! How many requests and tokens there are in a second, and how long callers wait: over the last minutes, in short intervals.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use sketches_ddsketch::{Config, DDSketch};

use super::kept::KeptRecord;
use crate::api::{Quantiles, Rates, RatesPoint, RatesView};

/// The length of an interval.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// Intervals that are kept: five minutes.
const INTERVALS: usize = 60;

/// Intervals over which rates and quantiles are told: one minute.
const RECENT: usize = 12;

/// How far a quantile may be from the true one, as a share of it.
const ACCURACY: f64 = 0.02;

/// Models that are told apart; a reload that replaces them all is no reason to keep all that ever were.
const MOST_MODELS: usize = 4096;

/// Rates of all requests, and of each model.
#[derive(Debug)]
pub(super) struct RateBook {
    all: Series,
    models: HashMap<Box<str>, Series>,
}

impl RateBook {
    pub(super) fn new(now: Instant) -> Self {
        Self { all: Series::new(now), models: HashMap::new() }
    }

    /// Counts a request that has ended.
    pub(super) fn count(&mut self, record: &KeptRecord, now: Instant) {
        self.all.count(record, now);
        let Some(model) = record.model() else { return };
        if let Some(series) = self.models.get_mut(model) {
            series.count(record, now);
        } else if self.models.len() < MOST_MODELS {
            let mut series = Series::new(now);
            series.count(record, now);
            self.models.insert(model.into(), series);
        }
    }

    /// Forgets models without a request in all that is kept.
    pub(super) fn forget(&mut self, now: Instant) {
        self.all.turn(now);
        self.models.retain(|_, series| {
            series.turn(now);
            series.intervals.iter().any(|interval| interval.requests > 0)
        });
    }

    pub(super) fn view(&mut self, now: Instant) -> RatesView {
        self.forget(now);
        let models = self.models.iter().map(|(model, series)| (model.to_string(), series.rates(now)));
        RatesView {
            window_seconds: (INTERVAL * u32::try_from(RECENT).unwrap_or(u32::MAX)).as_secs_f64(),
            interval_seconds: INTERVAL.as_secs_f64(),
            all: self.all.rates(now),
            models: models.collect(),
            history: self.all.history(),
        }
    }
}

/// The last intervals, the newest last.
#[derive(Debug)]
struct Series {
    intervals: VecDeque<Interval>,
    /// Intervals that were forgotten.
    forgotten: u64,
    /// When the newest one began.
    since: Instant,
    /// When the first one began.
    born: Instant,
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
}

fn sketch() -> DDSketch {
    DDSketch::new(Config::new(ACCURACY, 2048, 1e-6))
}

/// The quantiles of all of these.
fn quantiles<'a>(times: impl Iterator<Item = &'a Times>) -> Option<Quantiles> {
    let mut all = sketch();
    for one in times.filter_map(|times| times.0.as_deref()) {
        // They are all made alike.
        let _ = all.merge(one);
    }
    let at = |share| all.quantile(share).ok().flatten();
    Some(Quantiles { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
}

impl Series {
    fn new(now: Instant) -> Self {
        Self { intervals: VecDeque::from([Interval::default()]), forgotten: 0, since: now, born: now }
    }

    /// Begins the intervals that have begun since.
    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) > INTERVAL * u32::try_from(INTERVALS).unwrap_or(u32::MAX) {
            let forgotten = self.forgotten + u64::try_from(self.intervals.len()).unwrap_or(0);
            *self = Self { born: self.born, forgotten, ..Self::new(now) };
        }
        while now.saturating_duration_since(self.since) >= INTERVAL {
            self.since += INTERVAL;
            self.intervals.push_back(Interval::default());
            if self.intervals.len() > INTERVALS {
                self.intervals.pop_front();
                self.forgotten += 1;
            }
        }
    }

    fn count(&mut self, record: &KeptRecord, now: Instant) {
        self.turn(now);
        let Some(interval) = self.intervals.back_mut() else { return };
        interval.requests += 1;
        interval.errors += u64::from(is_error(record));
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

    /// The rates of the last minute, the interval under way included.
    fn rates(&self, now: Instant) -> Rates {
        let recent = || self.intervals.iter().rev().take(RECENT);
        let whole = INTERVAL * u32::try_from(recent().count().saturating_sub(1)).unwrap_or(0);
        // A gateway that has just started has not had a minute yet.
        let seconds = (whole + now.saturating_duration_since(self.since))
            .min(now.saturating_duration_since(self.born))
            .as_secs_f64()
            .max(1.0);
        let sum = |of: fn(&Interval) -> u64| per_second(recent().map(of).sum(), seconds);
        Rates {
            requests_per_second: sum(|it| it.requests),
            errors_per_second: sum(|it| it.errors),
            prompt_tokens_per_second: sum(|it| it.prompt),
            completion_tokens_per_second: sum(|it| it.completion),
            first_token_seconds: quantiles(recent().map(|it| &it.first_token)),
            inter_token_seconds: quantiles(recent().map(|it| &it.between_tokens)),
            duration_seconds: quantiles(recent().map(|it| &it.duration)),
        }
    }

    /// A point for each interval that is over, the newest last.
    fn history(&self) -> Vec<RatesPoint> {
        let seconds = INTERVAL.as_secs_f64();
        let point = |(number, interval): (u64, &Interval)| RatesPoint {
            number,
            requests_per_second: per_second(interval.requests, seconds),
            errors_per_second: per_second(interval.errors, seconds),
            completion_tokens_per_second: per_second(interval.completion, seconds),
            first_token_p50_seconds: quantiles([&interval.first_token].into_iter()).map(|times| times.p50),
            first_token_p95_seconds: quantiles([&interval.first_token].into_iter()).map(|times| times.p95),
        };
        (self.forgotten..).zip(self.intervals.iter().take(self.intervals.len().saturating_sub(1))).map(point).collect()
    }
}

/// Whether the gateway or an engine is to blame. What callers did wrong, and that they left, is not counted.
fn is_error(record: &KeptRecord) -> bool {
    record.status >= 500 || matches!(record.stream_end, Some("engine_died" | "engine_error" | "timeout" | "cut"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes stay far below 2^52")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::openai::Usage;
    use crate::telemetry::Record;
    use crate::telemetry::record::testing::record;

    fn kept(record: &Record<'_>) -> KeptRecord {
        KeptRecord::of(record, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn rates_are_those_of_the_last_minute_and_quantiles_are_near() {
        let start = Instant::now();
        let mut book = RateBook::new(start);
        // Two in a second for two minutes; the time to the first token grows.
        for half in 0..240_u32 {
            let usage = Usage { prompt: 10, completion: 11, cached: 0 };
            let first = Duration::from_millis(u64::from(half));
            let told = Record {
                usage: Some(usage),
                first_token: Some(first),
                took: first + Duration::from_millis(50),
                ..record()
            };
            book.count(&kept(&told), start + Duration::from_millis(500) * half);
        }
        let view = book.view(start + Duration::from_secs(120) - Duration::from_millis(1));
        let near = |is: f64, wanted: f64| assert!((is - wanted).abs() <= wanted * 0.03, "{is} is not {wanted}");
        near(view.all.requests_per_second, 2.0);
        near(view.all.completion_tokens_per_second, 22.0);
        near(view.all.prompt_tokens_per_second, 20.0);
        let first = view.all.first_token_seconds.expect("some");
        near(first.p50, 0.18);
        near(first.p95, 0.234);
        near(view.all.inter_token_seconds.expect("some").p50, 0.005);
        assert_eq!((view.all.errors_per_second, view.history.len()), (0.0, 23));
        assert_eq!(view.history.last().map(|point| point.number), Some(22));
        assert_eq!(view.models["m"].requests_per_second, view.all.requests_per_second);
    }

    #[test]
    fn a_gateway_without_requests_tells_none_and_forgets_models() {
        let start = Instant::now();
        let mut book = RateBook::new(start);
        let told = Record { status: 503, stream: false, stream_end: None, first_token: None, usage: None, ..record() };
        book.count(&kept(&told), start);
        let soon = book.view(start + Duration::from_millis(100));
        assert_eq!((soon.all.requests_per_second, soon.all.errors_per_second), (1.0, 1.0), "not ten a second");
        assert_eq!((soon.all.first_token_seconds, soon.all.duration_seconds), (None, None));
        let later = book.view(start + Duration::from_secs(61));
        assert_eq!((later.all.requests_per_second, later.models.len()), (0.0, 1));
        let much_later = book.view(start + Duration::from_secs(3600));
        assert_eq!((much_later.models.len(), much_later.history.len()), (0, 0));
    }
}
