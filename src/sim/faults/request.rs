//! Faults of single requests: how one fails, and those that wait for requests to come.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::sim::flags::parse_duration;

/// How one request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answer with this status, perhaps with `Retry-After`.
    Status { code: u16, retry_after: Option<u64> },
    /// Never answer.
    Hang,
    /// Send so many events (of a plain answer: half of it), then nothing more.
    HangAfter(usize),
    /// Send so many events (of a plain answer: half of it), then cut the connection.
    DieAfter(usize),
    /// Send so many events and half of the next one (of a plain answer: half of it), then cut the connection.
    TearAfter(usize),
    /// Send so many events, then end the process.
    ExitAfter(usize),
    /// Reset the connection without an answer.
    Reset,
    /// Answer with something that is no JSON.
    Malformed,
    /// Give the request up with this status; of a stream, with an error as its first event after a head of 200.
    Refuse(u16),
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
            "tear-after" => Self::TearAfter(number("events")?),
            "exit-after" => Self::ExitAfter(number("events")?),
            "reset" => Self::Reset,
            "malformed" => Self::Malformed,
            "refuse" => match value.parse() {
                Ok(code) if (400..600).contains(&code) => Self::Refuse(code),
                _ => return Err(format!("refuse: {value:?} is no status from 400 to 599")),
            },
            "slow-header" if value.is_empty() => Self::SlowHeader(Duration::from_secs(5)),
            "slow-header" => Self::SlowHeader(parse_duration(value)?),
            _ => {
                return Err(format!(
                    "no fault {name:?}; known are status:CODE[;retry-after:S], hang, hang-after:N, die-after:N, \
                     tear-after:N, exit-after:N, reset, malformed, refuse:CODE, slow-header[:DURATION], and for POST \
                     /sim/fault also wedge, core-stopped, unwedge, core-dead, none"
                ));
            }
        };
        Ok(fault)
    }
}

/// Faults waiting for requests, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue(Mutex<VecDeque<Planned>>);

#[derive(Debug)]
struct Planned {
    fault: Fault,
    times: usize,
    /// Only requests to this path; otherwise any inference request.
    path: Option<String>,
}

impl FaultQueue {
    /// The next `times` requests (to `path`) fail so. Returns how many faults wait.
    pub(crate) fn plan(&self, fault: Fault, times: usize, path: Option<String>) -> usize {
        let planned = Planned { fault, times, path };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(planned);
        self.waiting()
    }

    /// How many faults wait.
    pub(crate) fn waiting(&self) -> usize {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.iter().fold(0, |sum, planned| sum.saturating_add(planned.times))
    }

    /// Forgets them all.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault of a request to `path`.
    pub(crate) fn take(&self, path: &str, inference: bool) -> Option<Fault> {
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
        assert_eq!("tear-after:2".parse(), Ok(Fault::TearAfter(2)));
        assert_eq!("slow-header:2s".parse(), Ok(Fault::SlowHeader(Duration::from_secs(2))));
        for wrong in ["", "status", "refuse:200", "status:99", "die-after:x", "nope", "status:503;retry:1"] {
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
}
