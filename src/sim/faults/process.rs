//! Faults of the process as a whole: of its start, its life and its end.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::sim::engine::Wedge;
use crate::sim::flags::parse_duration;

/// How the process misbehaves as a whole.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Faults of the process")]
pub(crate) struct ProcessFaults {
    /// Load this long; until then connections are refused.
    #[arg(long, value_parser = parse_duration, default_value = "0", value_name = "DURATION")]
    pub(crate) ready_after: Duration,
    /// Load for ever.
    #[arg(long)]
    pub(crate) never_ready: bool,
    /// Refuse to start, with this message and exit code 1, as vLLM does when flags contradict each other.
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) fail_start: Option<String>,
    /// Exit with this code while loading, optionally after a time, and log what a vLLM logs when it runs out of memory.
    #[arg(long, value_name = "CODE[:AFTER]")]
    pub(crate) exit_while_loading: Option<ExitWhileLoading>,
    /// Run out of GPU memory while loading, optionally after a time, with vLLM's traceback; exit code 1.
    #[arg(long, value_parser = parse_duration, num_args(0..=1), default_missing_value = "0", value_name = "AFTER")]
    pub(crate) oom: Option<Duration>,
    /// Die, with exit code 1, upon an inference request whose body contains this text: no answer, all connections cut.
    #[arg(long, value_name = "TEXT")]
    pub(crate) die_on: Option<String>,
    /// Hang from the request after this many on: /health answers and requests are accepted, but no token comes
    /// any more. Also POST /sim/fault {"kind": "wedge"}, and "unwedge" to go on.
    #[arg(long, num_args(0..=1), default_missing_value = "0", value_name = "REQUESTS")]
    pub(crate) wedge: Option<usize>,
    /// The same, as when the process that computes was stopped (SIGSTOP): the gauges of /metrics stay as they were before that
    /// request, so those that come later seem neither to run nor to wait, and /is_sleeping and /is_paused do not answer.
    /// Also POST /sim/fault {"kind": "core-stopped"}.
    #[arg(long, num_args(0..=1), default_missing_value = "0", value_name = "REQUESTS")]
    pub(crate) core_stopped: Option<usize>,
    /// Ignore the first SIGTERM while loading, as vLLM does.
    #[arg(long)]
    pub(crate) swallow_term: bool,
    /// Do nothing on SIGTERM and SIGINT.
    #[arg(long)]
    pub(crate) ignore_term: bool,
    /// Take this long to end after SIGTERM.
    #[arg(long, value_parser = parse_duration, num_args(0..=1), default_missing_value = "5s", value_name = "DURATION")]
    pub(crate) slow_term: Option<Duration>,
    /// Close the port on SIGTERM, finish what is under way, and then never end: vLLM 0.32 does that at times when its engine core
    /// has died.
    #[arg(long)]
    pub(crate) hang_at_end: bool,
    /// Start a child that outlives this process: in the same process group, or in its own.
    #[arg(long, value_enum, num_args(0..=1), default_missing_value = "group", value_name = "WHERE")]
    pub(crate) orphan: Option<Orphan>,
    /// Start a daemon that leaves the process group and session and outlives this process: with its environment, or with none.
    /// May be given twice.
    #[arg(long, value_enum, num_args(0..=1), default_missing_value = "session", value_name = "HOW")]
    pub(crate) escape: Vec<Escape>,
}

/// What a daemon that escapes keeps of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Escape {
    /// The environment.
    Session,
    /// Nothing: no environment, another working directory.
    Clean,
}

/// Where the child goes that outlives its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Orphan {
    /// The parent's process group.
    Group,
    /// A process group of its own.
    OwnGroup,
}

/// `CODE[:AFTER]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitWhileLoading {
    pub(crate) code: u8,
    pub(crate) after: Duration,
}

impl FromStr for ExitWhileLoading {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, after) = text.split_once(':').unwrap_or((text, "0"));
        let code = code.parse().map_err(|_| format!("{code:?} is no exit code; write 0 to 255, e.g. 1:500ms"))?;
        Ok(Self { code, after: parse_duration(after)? })
    }
}

impl ProcessFaults {
    /// After how many requests the engine gets stuck, and how.
    pub(crate) fn wedges(&self) -> Option<(usize, Wedge)> {
        let stopped = self.core_stopped.map(|after| (after, Wedge::CoreStopped));
        stopped.or(self.wedge.map(|after| (after, Wedge::Stuck)))
    }

    /// These faults and those of ENGINEHOUSE_SIM_FAULTS: flags without dashes, separated by commas, which go before.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn with_env(self, text: Option<&str>) -> Result<Self, String> {
        #[derive(clap::Parser)]
        #[command(no_binary_name = true)]
        struct Alone {
            #[command(flatten)]
            faults: ProcessFaults,
        }
        let items = text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
        let more = Alone::try_parse_from(items.map(|item| format!("--{item}")))
            .map_err(|why| format!("ENGINEHOUSE_SIM_FAULTS: {why}"))?
            .faults;
        Ok(Self {
            ready_after: if more.ready_after.is_zero() { self.ready_after } else { more.ready_after },
            never_ready: self.never_ready || more.never_ready,
            fail_start: more.fail_start.or(self.fail_start),
            exit_while_loading: more.exit_while_loading.or(self.exit_while_loading),
            oom: more.oom.or(self.oom),
            die_on: more.die_on.or(self.die_on),
            wedge: more.wedge.or(self.wedge),
            core_stopped: more.core_stopped.or(self.core_stopped),
            swallow_term: self.swallow_term || more.swallow_term,
            ignore_term: self.ignore_term || more.ignore_term,
            slow_term: more.slow_term.or(self.slow_term),
            hang_at_end: self.hang_at_end || more.hang_at_end,
            orphan: more.orphan.or(self.orphan),
            escape: self.escape.into_iter().chain(more.escape).collect(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn exit_while_loading_has_a_code_and_a_delay() {
        let parsed: ExitWhileLoading = "3:200ms".parse().unwrap();
        assert_eq!((parsed.code, parsed.after), (3, Duration::from_millis(200)));
        assert!("300".parse::<ExitWhileLoading>().is_err());
    }
}
