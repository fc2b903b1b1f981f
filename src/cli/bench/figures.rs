//! The figures of a run, as `--json` prints and `--save` keeps them; pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::args::{Api, Args};
use super::measure::Totals;
use super::samples::{Distribution, Samples};

/// Changes when a member gets another meaning.
const FORMAT: u32 = 1;

/// Stretches of a time line.
const COLUMNS: usize = 60;

/// Bars of a histogram.
const BARS: usize = 12;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Of these members.
    pub(super) format: u32,
    /// Version of this program.
    pub(super) version: String,
    /// Of the gateway, if it was found by its operators' API.
    #[serde(default)]
    pub(super) gateway_version: Option<String>,
    /// When the run began (RFC 3339).
    pub(super) started: String,
    pub(super) alias: String,
    pub(super) url: String,
    pub(super) parameters: Parameters,
    /// From the beginning to the last answer.
    pub(super) duration_seconds: f64,
    /// Whether it was ended by hand, or by an error that all requests would have had.
    pub(super) ended_early: bool,
    pub(super) requests: Requests,
    pub(super) errors: Vec<ErrorKind>,
    pub(super) throughput: Throughput,
    pub(super) tokens: Tokens,
    /// Time to first token.
    pub(super) ttft_ms: Option<Distribution>,
    /// Inter-token latency: between two pieces of an answer.
    pub(super) itl_ms: Option<Distribution>,
    /// Time per output token: (latency - TTFT) / (output tokens - 1), of each request.
    pub(super) tpot_ms: Option<Distribution>,
    /// End-to-end latency.
    pub(super) e2e_ms: Option<Distribution>,
    /// Tokens of an answer.
    pub(super) output_tokens: Option<Distribution>,
    /// How much later than due requests were sent; the times above include it.
    pub(super) lateness_ms: Option<Distribution>,
    pub(super) timeline: Series,
    /// Of TTFT, or of the latency where there is none.
    pub(super) histogram: Vec<Bar>,
}

/// How the load was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Parameters {
    /// `closed`, `rate` or `poisson`.
    pub(super) load: String,
    pub(super) concurrency: u64,
    pub(super) rate: Option<f64>,
    pub(super) requests: Option<u64>,
    pub(super) duration_seconds: Option<f64>,
    pub(super) warmup: u64,
    pub(super) timeout_seconds: f64,
    pub(super) seed: u64,
    pub(super) api: Api,
    pub(super) stream: bool,
    /// Words of a random prompt.
    pub(super) input_tokens: Option<u64>,
    /// The file with prompts.
    pub(super) prompts: Option<String>,
    pub(super) max_tokens: u64,
    /// Further members of the bodies.
    pub(super) set: Map<String, Value>,
}

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requests {
    pub(super) sent: u64,
    pub(super) succeeded: u64,
    /// Without those that were shed.
    pub(super) failed: u64,
    /// Answered 429 or 503.
    pub(super) shed: u64,
    /// Given up when the run was ended.
    pub(super) unfinished: u64,
    /// Due, but not sent before the time was over.
    pub(super) unsent: u64,
}

/// All errors of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorKind {
    /// Status and code, or what happened to the connection.
    pub(super) kind: String,
    pub(super) count: u64,
    /// Of the first one.
    pub(super) message: String,
    /// Whether the server said that it takes no more just now.
    pub(super) shed: bool,
}

/// What was answered in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Throughput {
    /// Answers in whole.
    pub(super) requests_per_second: f64,
    pub(super) output_tokens_per_second: f64,
    /// With those of the prompts; `null` where the server did not tell them.
    pub(super) total_tokens_per_second: Option<f64>,
}

/// Tokens of all answers in whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tokens {
    /// `null` where the server did not tell them.
    pub(super) input: Option<u64>,
    pub(super) output: u64,
    /// `usage`: the server's own count; `chunks`: it told none, pieces of answers were counted; `both`: of some.
    pub(super) counted_by: String,
}

/// Rates over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    /// Of one stretch.
    pub(super) seconds: f64,
    /// Pieces of answers when they came, as tokens.
    pub(super) output_tokens_per_second: Vec<f64>,
    /// Answers in whole.
    pub(super) requests_per_second: Vec<f64>,
}

/// Requests between two times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bar {
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    pub(super) count: u64,
}

/// What a run was beside its measured numbers.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    pub(super) started: String,
    pub(super) url: String,
    pub(super) gateway_version: Option<String>,
    pub(super) seconds: f64,
    pub(super) ended_early: bool,
    pub(super) sent: u64,
    pub(super) unsent: u64,
}

impl Parameters {
    pub(super) fn of(args: &Args, concurrency: u64, requests: Option<u64>) -> Self {
        let (shape, content) = (&args.shape, &args.content);
        let mut set = Map::new();
        crate::cli::data_port::Setting::apply(&content.set, &mut set);
        Self {
            load: match (shape.rate, shape.poisson) {
                (None, _) => "closed".into(),
                (Some(_), false) => "rate".into(),
                (Some(_), true) => "poisson".into(),
            },
            concurrency,
            rate: shape.rate,
            requests,
            duration_seconds: shape.duration.map(|duration| duration.as_secs_f64()),
            warmup: shape.warmup,
            timeout_seconds: shape.timeout.as_secs_f64(),
            seed: shape.seed,
            api: content.api,
            stream: !content.no_stream,
            input_tokens: content.prompts.is_none().then_some(content.input_tokens),
            prompts: content.prompts.as_ref().map(|file| file.display().to_string()),
            max_tokens: content.max_tokens,
            set,
        }
    }
}

impl Figures {
    /// What `totals` come to.
    pub(super) fn new(alias: &str, parameters: Parameters, totals: &Totals, run: Circumstances) -> Self {
        let ms = |samples: &Samples| samples.distribution(1e-3);
        let per_second = |count: u64| if run.seconds > 0.0 { count as f64 / run.seconds } else { 0.0 };
        let input = (totals.untold < totals.answered).then_some(totals.input_tokens);
        let errors = totals.faults.iter().map(|(kind, faults)| ErrorKind {
            kind: kind.clone(),
            count: faults.count,
            message: faults.message.clone(),
            shed: faults.shed,
        });
        let shown = if totals.ttft.kept().is_empty() { &totals.latency } else { &totals.ttft };
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            alias: alias.into(),
            parameters,
            duration_seconds: run.seconds,
            ended_early: run.ended_early,
            requests: Requests {
                sent: run.sent,
                succeeded: totals.answered,
                failed: totals.failed,
                shed: totals.shed,
                unfinished: totals.unfinished,
                unsent: run.unsent,
            },
            errors: errors.collect(),
            throughput: Throughput {
                requests_per_second: per_second(totals.answered),
                output_tokens_per_second: per_second(totals.output_tokens),
                total_tokens_per_second: input.map(|input| per_second(input + totals.output_tokens)),
            },
            tokens: Tokens { input, output: totals.output_tokens, counted_by: counted_by(totals).into() },
            ttft_ms: ms(&totals.ttft),
            itl_ms: ms(&totals.itl),
            tpot_ms: ms(&totals.tpot),
            e2e_ms: ms(&totals.latency),
            output_tokens: totals.lengths.distribution(1.0),
            lateness_ms: ms(&totals.late),
            timeline: series(totals, run.seconds),
            histogram: histogram(shown.kept()),
            gateway_version: run.gateway_version,
            started: run.started,
            url: run.url,
        }
    }

    /// Reads what `--save` wrote.
    ///
    /// # Errors
    /// In words, when it is something else.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| format!("no run of `enginehouse bench --save`: {error}"))?;
        if read.format == FORMAT {
            Ok(read)
        } else {
            Err(format!("it was written by version {}, whose figures mean something else", read.version))
        }
    }

    /// As `--json` prints it.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn counted_by(totals: &Totals) -> &'static str {
    match totals.untold {
        0 => "usage",
        untold if untold == totals.answered => "chunks",
        _ => "both",
    }
}

fn series(totals: &Totals, seconds: f64) -> Series {
    let (width, pieces) = totals.pieces.rates(seconds, COLUMNS);
    let (_, answers) = totals.answers.rates(seconds, COLUMNS);
    // A piece may have several tokens, or none that is counted.
    let of_piece = totals.output_tokens as f64 / totals.pieces.total().max(1) as f64;
    let tokens = if totals.pieces.total() == 0 { Vec::new() } else { pieces };
    Series {
        seconds: width,
        output_tokens_per_second: tokens.into_iter().map(|rate| rate * of_piece).collect(),
        requests_per_second: answers,
    }
}

/// Equal bars from the least to beyond the 99th percentile; the last one has all that is above.
fn histogram(micros: &[u32]) -> Vec<Bar> {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let (Some(least), Some(largest)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let most = sorted.get(sorted.len() * 99 / 100).unwrap_or(largest);
    let width = step(f64::from(most - least) / 1e3 / (BARS - 1) as f64);
    let first = (f64::from(*least) / 1e3 / width).floor() * width;
    let mut bars: Vec<Bar> = Vec::new();
    for micros in &sorted {
        let place = ((f64::from(*micros) / 1e3 - first) / width).floor().clamp(0.0, (BARS - 1) as f64) as usize;
        while bars.len() <= place {
            let from_ms = first + bars.len() as f64 * width;
            bars.push(Bar { from_ms, to_ms: from_ms + width, count: 0 });
        }
        bars[place].count += 1;
    }
    if let Some(last) = bars.last_mut() {
        last.to_ms = last.to_ms.max(f64::from(*largest) / 1e3);
    }
    bars
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn step(width: f64) -> f64 {
    let power = 10f64.powf(width.max(0.001).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= width * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_round_borders_and_hold_everything() {
        let times: Vec<u32> = (0..1000).map(|number| 20_300 + number * 40).chain([900_000]).collect();
        let bars = histogram(&times);
        assert!((bars[0].from_ms - 20.0).abs() < 1e-9 && (bars[0].to_ms - 25.0).abs() < 1e-9, "{:?}", bars[0]);
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 1001);
        assert!(bars.len() <= BARS && (bars.last().expect("a bar").to_ms - 900.0).abs() < 1e-9, "{bars:?}");
        assert_eq!(histogram(&[]), []);
        assert_eq!(histogram(&[5000, 5000]).len(), 1);
    }

    #[test]
    fn every_member_is_explained() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/bench.md");
        let explained = std::fs::read_to_string(file).expect("conf/bench.md");
        let figures: Value = serde_json::from_str(&super::super::compare::tests::run(1.0).json()).expect("JSON");
        let mut members = Vec::new();
        for (name, value) in figures.as_object().expect("an object") {
            members.push(name);
            let value = value.get(0).unwrap_or(value);
            // Parameters have the names of the options.
            members.extend(value.as_object().filter(|_| name != "parameters").into_iter().flat_map(Map::keys));
        }
        members.retain(|name| !explained.contains(&format!("`{name}`")));
        assert!(members.is_empty(), "conf/bench.md does not name {members:?}");
    }

    #[test]
    fn steps_are_round() {
        for (width, wanted) in [(0.0, 0.001), (0.3, 0.5), (1.0, 1.0), (1.2, 2.0), (30.0, 50.0), (51.0, 100.0)] {
            assert!((step(width) - wanted).abs() < 1e-9, "{width}: {}", step(width));
        }
    }
}
