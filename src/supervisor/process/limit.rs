//! Carries the marker of a start in a resource limit: children inherit it, and they do not lose it with their
//! environment, their parent, their group or their session.
//!
//! `RLIMIT_LOCKS` limited the number of file locks until Linux 2.4.24, and nothing since (getrlimit(2)). Every process
//! still has it, `fork` and `exec` hand it on, and `/proc/PID/limits` shows it to processes. Where it cannot be set, the
//! environment, the group and descent have to do.

use std::fs::File;
use std::io::Read;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes that hold `/proc/PID/limits`: 17 lines of 78.
const LIMITS: usize = 4096;

/// Hexadecimal digits of a nonce that fit.
const DIGITS: usize = 15;

/// What every number of ours begins with: none is a limit that anyone would choose, or the highest one, which means
/// that there is none.
const OURS: u64 = 0x4000_0000_0000_0000;

/// The limit that stands for `nonce`.
pub(super) fn number(nonce: &str) -> Option<u64> {
    Some(u64::from_str_radix(nonce.get(..DIGITS)?, 16).ok()? | OURS)
}

/// Whether a limit stands for some nonce.
pub(super) fn is_ours(limit: u64) -> bool {
    limit >> (4 * DIGITS) == OURS >> (4 * DIGITS)
}

/// The limit of the process `pid`; `None` when it has none, or is gone.
pub(super) fn of(pid: i32) -> Option<u64> {
    let mut bytes = [0; LIMITS];
    let read = File::open(format!("/proc/{pid}/limits")).and_then(|mut file| file.read(&mut bytes)).ok()?;
    parse(std::str::from_utf8(bytes.get(..read)?).ok()?)
}

/// Shape: `Max file locks            SOFT                 HARD                 locks` (proc_pid_limits(5)).
fn parse(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks "))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// This process's own limit while it starts a child, which so has it from its first instant. What else is started
/// meanwhile has it, too.
pub(super) struct Set {
    before: Rlimit,
}

impl Set {
    /// Until it is dropped, `number` is our limit.
    ///
    /// # Errors
    /// When the system does not let us, as where a lower one was imposed on us.
    pub(super) fn to(number: u64) -> Result<Self, Errno> {
        let before = getrlimit(Resource::Locks);
        setrlimit(Resource::Locks, Rlimit { current: Some(number), maximum: before.maximum })?;
        Ok(Self { before })
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // It was ours before, so it may be again.
        let _ = setrlimit(Resource::Locks, Rlimit { current: self.before.current, maximum: self.before.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nonce_has_a_number_that_is_no_ones_choice() {
        assert_eq!(number("0123456789abcdef0123456789abcdef"), Some(0x4012_3456_789a_bcde));
        assert_eq!(number(&"f".repeat(32)), Some(0x4fff_ffff_ffff_ffff));
        assert_eq!((number("short"), number("no nonce, but long")), (None, None));
        assert!(is_ours(OURS) && is_ours(0x4fff_ffff_ffff_ffff));
        assert!(!is_ours(100) && !is_ours(0x5000_0000_0000_0000) && !is_ours(u64::MAX - 1));
    }

    #[test]
    fn the_limit_of_a_process_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max address space         unlimited            unlimited            bytes     \n\
                      Max file locks            4612345678901234567  unlimited            locks     \n\
                      Max pending signals       95904                95904                signals   \n";
        assert_eq!(parse(limits), Some(4_612_345_678_901_234_567));
        assert_eq!(parse(&limits.replace("4612345678901234567", "unlimited          ")), None);
        assert_eq!(parse(""), None);
        assert_eq!(of(i32::MAX), None);
    }
}
