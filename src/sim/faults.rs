//! Faults on demand: of one request, of the start, of the end.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::args::parse_duration;

/// How the process misbehaves as a whole.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Faults of the process")]
pub(super) struct Boot {
    /// Load this long; until then connections are refused.
    #[arg(long, value_parser = parse_duration, default_value = "0", value_name = "DURATION")]
    pub(super) ready_after: Duration,
    /// Load for ever.
    #[arg(long)]
    pub(super) never_ready: bool,
    /// End with this code while loading, after a while, with the last words of a vLLM that ran out of memory.
    #[arg(long, value_name = "CODE[:AFTER]")]
    pub(super) exit_while_loading: Option<ExitWhileLoading>,
    /// Run out of GPU memory while loading, after a while, with vLLM's traceback; exit code 1.
    #[arg(long, value_parser = parse_duration, num_args(0..=1), default_missing_value = "0", value_name = "AFTER")]
    pub(super) oom: Option<Duration>,
    /// Get stuck with the request that comes after so many: /health answers, requests are taken and run, no token comes
    /// any more. Also POST /sim/fault {"kind": "wedge"}, and "unwedge" to go on.
    #[arg(long, num_args(0..=1), default_missing_value = "0", value_name = "REQUESTS")]
    pub(super) wedge: Option<usize>,
    /// Lose the first SIGTERM that comes while loading, as vLLM does.
    #[arg(long)]
    pub(super) swallow_term: bool,
    /// Do nothing on SIGTERM and SIGINT.
    #[arg(long)]
    pub(super) ignore_term: bool,
    /// Take this long to end after SIGTERM.
    #[arg(long, value_parser = parse_duration, num_args(0..=1), default_missing_value = "5s", value_name = "DURATION")]
    pub(super) slow_term: Option<Duration>,
    /// Start a child that outlives us: in our process group, or in its own.
    #[arg(long, value_enum, num_args(0..=1), default_missing_value = "group", value_name = "WHERE")]
    pub(super) orphan: Option<Orphan>,
    /// Start a daemon that leaves our group and session and outlives us: with our environment, or without any.
    /// May be given twice.
    #[arg(long, value_enum, num_args(0..=1), default_missing_value = "session", value_name = "HOW")]
    pub(super) escape: Vec<Escape>,
}

/// What a daemon that escapes keeps of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Escape {
    /// The environment.
    Session,
    /// Nothing: no environment, another working directory.
    Clean,
}

/// Where the child goes that outlives its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Orphan {
    /// The parent's process group.
    Group,
    /// A process group of its own.
    OwnGroup,
}

/// `CODE[:AFTER]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExitWhileLoading {
    pub(super) code: u8,
    pub(super) after: Duration,
}

impl FromStr for ExitWhileLoading {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, after) = text.split_once(':').unwrap_or((text, "0"));
        let code = code.parse().map_err(|_| format!("{code:?} is no exit code; write 0 to 255, e.g. 1:500ms"))?;
        Ok(Self { code, after: parse_duration(after)? })
    }
}

impl Boot {
    /// These faults and those of ENGINEHOUSE_SIM_FAULTS: flags without dashes, separated by commas.
    pub(super) fn with_env(mut self, text: Option<&str>) -> Result<Self, String> {
        for item in text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let wrong = |why: String| format!("ENGINEHOUSE_SIM_FAULTS: {item}: {why}.");
            match name {
                "ready-after" => self.ready_after = parse_duration(value).map_err(wrong)?,
                "never-ready" => self.never_ready = true,
                "exit-while-loading" => self.exit_while_loading = Some(value.parse().map_err(wrong)?),
                "oom" => {
                    let value = if value.is_empty() { "0" } else { value };
                    self.oom = Some(parse_duration(value).map_err(wrong)?);
                }
                "wedge" => {
                    let value = if value.is_empty() { "0" } else { value };
                    let number = value.parse().map_err(|_| wrong(format!("{value:?} is no number of requests")))?;
                    self.wedge = Some(number);
                }
                "escape" if matches!(value, "" | "session") => self.escape.push(Escape::Session),
                "escape" if value == "clean" => self.escape.push(Escape::Clean),
                "swallow-term" => self.swallow_term = true,
                "ignore-term" => self.ignore_term = true,
                "slow-term" => {
                    let value = if value.is_empty() { "5s" } else { value };
                    self.slow_term = Some(parse_duration(value).map_err(wrong)?);
                }
                "orphan" => {
                    self.orphan = Some(if value == "own-group" { Orphan::OwnGroup } else { Orphan::Group });
                }
                _ => {
                    return Err(wrong(
                        "unknown; known are ready-after=, never-ready, exit-while-loading=, oom[=], wedge[=], \
                         swallow-term, ignore-term, slow-term[=], orphan[=own-group], escape[=clean]"
                            .into(),
                    ));
                }
            }
        }
        Ok(self)
    }
}

/// How one request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Answer with this status, perhaps with `Retry-After`.
    Status { code: u16, retry_after: Option<u64> },
    /// Never answer.
    Hang,
    /// Send so many events (of a plain answer: half of it), then nothing more.
    HangAfter(usize),
    /// Send so many events (of a plain answer: half of it), then cut the connection.
    DieAfter(usize),
    /// Send so many events, then end the process.
    ExitAfter(usize),
    /// Reset the connection without an answer.
    Reset,
    /// Answer with something that is no JSON.
    Malformed,
    /// Answer properly, but so much later.
    SlowHeader(Duration),
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split(';').map(|part| part.split_once(':').unwrap_or((part, "")));
        let (name, value) = parts.next().unwrap_or_default();
        let number =
            |what: &str| value.parse::<usize>().map_err(|_| format!("{name}: {value:?} is no number of {what}"));
        let fault = match name {
            "status" => {
                let code = value.parse().ok().filter(|code| (200..600).contains(code));
                let mut retry_after = None;
                for (name, value) in parts {
                    match (name, value.parse()) {
                        ("retry-after", Ok(seconds)) => retry_after = Some(seconds),
                        _ => return Err(format!("{name}:{value} is not retry-after:SECONDS")),
                    }
                }
                let code = code.ok_or_else(|| format!("status: {value:?} is no status from 200 to 599"))?;
                return Ok(Self::Status { code, retry_after });
            }
            "hang" => Self::Hang,
            "hang-after" => Self::HangAfter(number("events")?),
            "die-after" => Self::DieAfter(number("events")?),
            "exit-after" => Self::ExitAfter(number("events")?),
            "reset" => Self::Reset,
            "malformed" => Self::Malformed,
            "slow-header" if value.is_empty() => Self::SlowHeader(Duration::from_secs(5)),
            "slow-header" => Self::SlowHeader(parse_duration(value)?),
            _ => {
                return Err(format!(
                    "no fault {name:?}; known are status:CODE[;retry-after:S], hang, hang-after:N, die-after:N, \
                     exit-after:N, reset, malformed, slow-header[:DURATION], and for POST /sim/fault also wedge, unwedge, none"
                ));
            }
        };
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Faults waiting for requests, first in, first out.
#[derive(Debug, Default)]
pub(super) struct FaultQueue(Mutex<VecDeque<Planned>>);

#[derive(Debug)]
struct Planned {
    fault: Fault,
    times: usize,
    /// Only requests to this path; otherwise any inference request.
    path: Option<String>,
}

impl FaultQueue {
    /// The next `times` requests (to `path`) fail so. Returns how many faults wait.
    pub(super) fn plan(&self, fault: Fault, times: usize, path: Option<String>) -> usize {
        let planned = Planned { fault, times, path };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(planned);
        self.waiting()
    }

    /// How many faults wait.
    pub(super) fn waiting(&self) -> usize {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.iter().fold(0, |sum, planned| sum.saturating_add(planned.times))
    }

    /// Forgets them all.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault of a request to `path`.
    pub(super) fn take(&self, path: &str, inference: bool) -> Option<Fault> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = queue.iter().position(|planned| match &planned.path {
            Some(only) => only == path,
            None => inference,
        })?;
        let planned = queue.get_mut(at)?;
        let fault = planned.fault.clone();
        planned.times = planned.times.saturating_sub(1);
        if planned.times == 0 {
            queue.remove(at);
        }
        Some(fault)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_parse() {
        assert_eq!("status:503;retry-after:2".parse(), Ok(Fault::Status { code: 503, retry_after: Some(2) }));
        assert_eq!("die-after:3".parse(), Ok(Fault::DieAfter(3)));
        assert_eq!("slow-header:2s".parse(), Ok(Fault::SlowHeader(Duration::from_secs(2))));
        for wrong in ["", "status", "status:99", "die-after:x", "nope", "status:503;retry:1"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn planned_faults_are_used_up_in_order_and_by_path() {
        let queue = FaultQueue::default();
        queue.plan(Fault::Hang, 2, None);
        queue.plan(Fault::Reset, 1, Some("/health".into()));
        assert_eq!(queue.take("/health", false), Some(Fault::Reset));
        assert_eq!(queue.take("/health", false), None);
        assert_eq!(queue.take("/v1/completions", true), Some(Fault::Hang));
        assert_eq!(queue.take("/v1/completions", true), Some(Fault::Hang));
        assert_eq!(queue.take("/v1/completions", true), None);
    }

    #[test]
    fn exit_while_loading_has_a_code_and_a_delay() {
        let parsed: ExitWhileLoading = "3:200ms".parse().unwrap();
        assert_eq!((parsed.code, parsed.after), (3, Duration::from_millis(200)));
        assert!("300".parse::<ExitWhileLoading>().is_err());
    }
}
