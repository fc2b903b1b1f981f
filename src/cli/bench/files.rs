//! The limit of open files: each request under way needs a connection.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cli::output::{Exit, Failure};

/// Files of this process that are no connections.
const OTHERS: u64 = 64;

/// Raises the limit, so that `connections` fit.
///
/// # Errors
/// When they cannot.
pub(super) fn raise(connections: u64) -> Result<(), Failure> {
    let needed = connections + OTHERS;
    let mut limit = getrlimit(Resource::Nofile);
    let have = limit.current.unwrap_or(u64::MAX);
    if have >= needed {
        return Ok(());
    }
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit).is_ok();
    let have = if raised { limit.maximum.unwrap_or(u64::MAX) } else { have };
    if have >= needed {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!(
            "enginehouse: {connections} requests at a time need {needed} open files, and this process may have {have}. Raise the \
             limit (`ulimit -Hn`), or give a smaller --concurrency."
        ),
    ))
}
