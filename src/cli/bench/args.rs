//! The options of `enginehouse bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use clap::builder::NonEmptyStringValueParser;

use crate::cli::data_port::{Setting, Target};

/// Most requests of a run.
const MOST_REQUESTS: u64 = 10_000_000;

/// Most requests under way at a time.
const MOST_CONCURRENT: u64 = 50_000;

/// Which API is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Api {
    /// /v1/chat/completions
    Chat,
    /// /v1/completions
    Completions,
}

/// Put a load on an alias and report latencies and throughput
///
/// Without --rate the load is closed: --concurrency requests are always under way, and the next one is sent when one has
/// been answered. With --rate requests are sent when they are due, whether or not others have been answered; latencies
/// then count from the time at which a request was due, so that waiting is not left out.
///
/// The key of a caller is taken from the variable ENGINEHOUSE_API_KEY or from --key-file. The report goes to standard
/// output, progress to standard error. Ctrl-C ends the run and reports what was measured until then.
///
/// Exit codes: 0 done; 1 a request failed, or none succeeded; 2 wrong usage; 3 no gateway answers; 4 there is no such alias.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The alias or model to ask for
    #[arg(required_unless_present = "show", value_parser = NonEmptyStringValueParser::new())]
    pub(super) alias: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) shape: Shape,
    #[command(flatten)]
    pub(super) content: Content,
    #[command(flatten)]
    pub(super) output: Output,
}

/// How many requests, and when.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Load")]
pub(super) struct Shape {
    /// Requests under way at a time. With --rate: at most so many, and later ones wait (and count from when they were due) [default: 8; with --rate: 10000]
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_CONCURRENT))]
    pub(super) concurrency: Option<u64>,
    /// Requests a second, at equal distances
    #[arg(long, short = 'r', value_name = "R", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Send at random distances, as independent callers do (a Poisson process); --rate is their mean
    #[arg(long, requires = "rate")]
    pub(super) poisson: bool,
    /// Requests in all [default: 100, or without a limit where --duration is given]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_REQUESTS))]
    pub(super) requests: Option<u64>,
    /// Send requests for this long; those under way then are waited for
    #[arg(long, short = 'd', value_name = "TIME", value_parser = period)]
    pub(super) duration: Option<Duration>,
    /// Requests before the measured ones, which count for nothing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MOST_REQUESTS))]
    pub(super) warmup: u64,
    /// Give a request up after this time; it counts as failed
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = timeout)]
    pub(super) timeout: Duration,
    /// What the random prompts and distances are made from: the same number gives the same ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// What is asked.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Requests")]
pub(super) struct Content {
    /// Length of the random prompts, in words of about one token each; no two are the same
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) input_tokens: u64,
    /// Prompts from a file instead, used in turn: one per line, or JSON lines with `messages` or `prompt` and further members
    #[arg(long, value_name = "FILE", conflicts_with = "input_tokens")]
    pub(super) prompts: Option<PathBuf>,
    /// Longest answer. Models may end sooner: with vLLM, --set ignore_eos=true makes all answers so long
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) max_tokens: u64,
    /// Ask for answers in one piece: no TTFT, ITL and TPOT
    #[arg(long)]
    pub(super) no_stream: bool,
    /// Which API to use
    #[arg(long, value_enum, default_value_t = Api::Chat)]
    pub(super) api: Api,
    /// A further member of every body, or another value of one; several times
    #[arg(long, value_name = "KEY=JSON")]
    pub(super) set: Vec<Setting>,
}

/// What becomes of the figures.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Report")]
pub(super) struct Output {
    /// Print the figures as JSON (conf/bench.md explains its members)
    #[arg(long)]
    pub(super) json: bool,
    /// Write the figures to a file, for --compare
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Compare with the run that was saved to a file
    #[arg(long, value_name = "FILE")]
    pub(super) compare: Option<PathBuf>,
    /// Differences up to so many percent count as none
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(super) tolerance: f64,
    /// Send nothing: report a run that was saved to a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["alias", "save"])]
    pub(super) show: Option<PathBuf>,
    /// Failed requests do not make the command fail
    #[arg(long)]
    pub(super) allow_failures: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number is expected, for example 2.5")?;
    if (0.001..=100_000.0).contains(&rate) { Ok(rate) } else { Err("0.001 to 100000 requests a second".into()) }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "a number is expected, for example 5")?;
    if (0.0..=1000.0).contains(&percent) { Ok(percent) } else { Err("0 to 1000 percent".into()) }
}

/// Latencies are kept as microseconds in 32 bits.
fn timeout(text: &str) -> Result<Duration, String> {
    let time = period(text)?;
    if time > Duration::from_secs(3600) { Err("one hour at most".into()) } else { Ok(time) }
}

fn period(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let period = match seconds {
        Some(period) => period,
        None => humantime::parse_duration(text).map_err(|error| format!("{error}; an example: 90s"))?,
    };
    match period {
        period if period.is_zero() => Err("more than zero is expected".into()),
        period if period > Duration::from_secs(24 * 3600) => Err("24 hours at most".into()),
        period => Ok(period),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_bounded() {
        assert_eq!(period("90"), Ok(Duration::from_secs(90)));
        assert_eq!(period("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(period("2m"), Ok(Duration::from_secs(120)));
        assert!(timeout("1h").is_ok() && timeout("61m").is_err());
        assert!(["0", "-1", "25h", "x", "inf"].iter().all(|text| period(text).is_err()));
        assert_eq!(rate("2.5"), Ok(2.5));
        assert!(["0", "-1", "NaN", "1e9", "x"].iter().all(|text| rate(text).is_err()));
        assert!(percent("NaN").is_err() && percent("0").is_ok());
    }
}
