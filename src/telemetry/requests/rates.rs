//! How many requests and tokens there are in a second, and how long callers wait, over the last minutes: of all requests, of those
//! for each model, and of those that ended on each engine.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Instant;

use super::kept::KeptRecord;
use super::series::{INTERVAL, POINTS, RECENT, Series};
use crate::api::{Rates, RatesView};

/// Models, and engines, that are told apart; a reload that replaces them all is no reason to keep all that ever were.
const MOST_NAMES: usize = 4096;

/// Rates of all requests, and of those of each model and engine.
#[derive(Debug)]
pub(super) struct RateBook {
    clock: Clock,
    all: Series,
    models: HashMap<Box<str>, Series>,
    engines: HashMap<Box<str>, Series>,
}

impl RateBook {
    pub(super) fn new(now: Instant) -> Self {
        let clock = Clock { born: now, since: now, number: 0 };
        Self { clock, all: Series::new(), models: HashMap::new(), engines: HashMap::new() }
    }

    /// Counts a request that has ended.
    pub(super) fn count(&mut self, record: &KeptRecord, now: Instant) {
        self.turn(now);
        self.all.count(record);
        count_for(&mut self.models, record.model(), record);
        count_for(&mut self.engines, record.engine(), record);
    }

    /// Of all requests, and of each model.
    pub(super) fn view(&mut self, now: Instant) -> RatesView {
        self.turn(now);
        let seconds = self.clock.seconds(now);
        let models = self.models.iter().map(|(model, series)| (model.to_string(), series.rates(seconds)));
        RatesView { models: models.collect(), ..view_of(&self.all, seconds) }
    }

    /// Of the requests that ended on an engine.
    pub(super) fn engine_view(&mut self, engine: &str, now: Instant) -> RatesView {
        self.turn(now);
        let seconds = self.clock.seconds(now);
        self.engines.get(engine).map_or_else(|| view_of(&Series::new(), seconds), |series| view_of(series, seconds))
    }

    /// The rates of an engine; `None`: no request ended on it in the last minutes.
    pub(super) fn engine(&mut self, engine: &str, now: Instant) -> Option<Rates> {
        self.turn(now);
        Some(self.engines.get(engine)?.rates(self.clock.seconds(now)))
    }

    /// Begins the intervals that have begun since, and forgets who had no request in all that is kept.
    fn turn(&mut self, now: Instant) {
        let over = self.clock.turn(now);
        if over.is_empty() {
            return;
        }
        over.clone().for_each(|number| self.all.turn(number));
        for names in [&mut self.models, &mut self.engines] {
            names.retain(|_, series| {
                over.clone().for_each(|number| series.turn(number));
                !series.is_silent()
            });
        }
    }
}

fn count_for(names: &mut HashMap<Box<str>, Series>, name: Option<&str>, record: &KeptRecord) {
    let Some(name) = name else { return };
    if let Some(series) = names.get_mut(name) {
        series.count(record);
    } else if names.len() < MOST_NAMES {
        let mut series = Series::new();
        series.count(record);
        names.insert(name.into(), series);
    }
}

fn view_of(series: &Series, seconds: f64) -> RatesView {
    RatesView {
        window_seconds: (INTERVAL * RECENT).as_secs_f64(),
        interval_seconds: INTERVAL.as_secs_f64(),
        all: series.rates(seconds),
        models: BTreeMap::new(),
        history: series.history(),
    }
}

/// Where the interval under way is. It is the same one for all.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// When the first interval began.
    born: Instant,
    /// When the one under way began.
    since: Instant,
    /// Which one that is, counted from 0.
    number: u64,
}

impl Clock {
    /// The intervals that are over since, as far as they are kept.
    fn turn(&mut self, now: Instant) -> Range<u64> {
        let first = self.number;
        let passed = now.saturating_duration_since(self.since);
        if passed < INTERVAL {
            return first..first;
        }
        let over = passed.as_nanos() / INTERVAL.as_nanos();
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        self.since += INTERVAL * over;
        self.number += u64::from(over);
        first.max(self.number.saturating_sub(u64::from(POINTS)))..self.number
    }

    /// Seconds of the last minute that have passed: a gateway that has just started has not had one yet.
    fn seconds(&self, now: Instant) -> f64 {
        let recent = INTERVAL * (RECENT - 1) + now.saturating_duration_since(self.since);
        recent.min(now.saturating_duration_since(self.born)).as_secs_f64().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::RatesPoint;
    use crate::openai::Usage;
    use crate::telemetry::Record;
    use crate::telemetry::record::testing::record;

    fn kept(record: &Record<'_>) -> KeptRecord {
        KeptRecord::of(record)
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
        let last = view.history.last().expect("a point");
        near(last.inter_token_p50_seconds.expect("some"), 0.005);
        assert!(last.inter_token_p95_seconds >= last.inter_token_p50_seconds);
    }

    #[test]
    fn engines_are_told_apart_and_those_that_are_gone_vanish_with_what_was_kept_of_them() {
        let start = Instant::now();
        let mut book = RateBook::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for second in 0..600 {
            for number in 0..64_u64 {
                let engine = format!("m/{number}");
                let first = Some(Duration::from_millis(10 * (number + 1)));
                book.count(&kept(&Record { engine: Some(&engine), first_token: first, ..record() }), at(second));
            }
        }
        let (fast, slow) = (book.engine("m/0", at(600)).expect("known"), book.engine("m/63", at(600)).expect("known"));
        let p50 = |rates: Rates| rates.first_token_seconds.expect("some").p50;
        assert!(p50(fast) < 0.011 && p50(slow) > 0.6, "each has its own");
        assert!((book.engine("m/5", at(600)).expect("known").requests_per_second - 1.0).abs() < 0.1);
        let view = book.engine_view("m/5", at(600));
        assert_eq!((view.history.len(), view.models.len()), (60, 0));
        assert_eq!(
            view.history.last(),
            book.engine_view("m/6", at(600))
                .history
                .last()
                .map(|point| RatesPoint {
                    first_token_p50_seconds: view.history.last().and_then(|point| point.first_token_p50_seconds),
                    first_token_p95_seconds: view.history.last().and_then(|point| point.first_token_p95_seconds),
                    ..*point
                })
                .as_ref(),
            "their intervals are the same ones"
        );
        assert_eq!(book.engine("m/64", at(600)), None);
        assert_eq!(book.engine_view("m/64", at(600)).all.requests_per_second, 0.0);
        // One goes on, the others are no more; nobody asks for any of them.
        for second in 600..1000 {
            book.count(&kept(&record()), at(second));
        }
        assert_eq!(book.engines.keys().map(|name| &**name).collect::<Vec<_>>(), ["m/0"]);
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
        assert_eq!((much_later.models.len(), much_later.history.len()), (0, 60));
        assert!(much_later.history.iter().all(|point| point.requests_per_second == 0.0));
        assert_eq!(much_later.history.last().map(|point| point.number), Some(719));
    }
}
