//! Processes as `/proc` shows them, each known by its number **and** the time it started: a number that the system gave
//! to another process since is never signalled.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// How often a process is looked at that shows arguments but no environment: it may be at the end of an `exec`.
const LOOKS: usize = 8;

/// How often one is looked at that shows neither: it is in the middle of an `exec`, and may have to wait for a processor.
const EXEC_LOOKS: usize = 400;

/// Time between two such looks. Few processes have no environment, so the walk takes hardly longer.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// Bytes that hold most environments; the system allows more.
const USUAL_ENVIRON: usize = 128 * 1024;

/// Which process: a number is given again, but never with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) started: u64,
}

impl Identity {
    /// The process that has this number now, unless it is a zombie.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        look(pid).filter(|info| info.lives).map(|info| info.who)
    }

    /// Whether the process is there and more than a zombie.
    pub(crate) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Opens a descriptor of exactly this process; `None` when it is gone.
    ///
    /// # Errors
    /// What the system says, for other reasons than that.
    pub(crate) fn open(self) -> Result<Option<OwnedFd>, Errno> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The number was this process's after the descriptor was made, so it was before, too.
            Ok(descriptor) => Ok(self.lives().then_some(descriptor)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Signals this process and no other. Returns whether it was there.
    pub(crate) fn signal(self, signal: Signal) -> bool {
        let sent = match self.open() {
            Ok(None) => return false,
            Ok(Some(descriptor)) => pidfd_send_signal(&descriptor, signal),
            // A kernel or sandbox without descriptors of processes: the moment between look and signal is all that is left.
            Err(Errno::NOSYS | Errno::PERM) => match Pid::from_raw(self.pid).filter(|_| self.lives()) {
                Some(pid) => kill_process(pid, signal),
                None => return false,
            },
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => true,
            Err(Errno::SRCH) => false,
            Err(error) => {
                tracing::warn!(pid = self.pid, ?signal, %error, "a process of an engine could not be signalled");
                true
            }
        }
    }
}

/// A process as `/proc` showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessInfo {
    /// Which one.
    pub(crate) who: Identity,
    /// Its name, at most 15 bytes.
    pub(crate) name: String,
    /// Its parent's number.
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    /// Whether it is more than a zombie.
    pub(crate) lives: bool,
}

impl fmt::Display for ProcessInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.who.pid, self.name)
    }
}

/// Reads `/proc/PID/stat`. Shape: `PID (NAME) STATE PARENT GROUP …`, the 20th is the number of threads, the 22nd the
/// start; the name may hold blanks and parentheses (proc(5)).
fn parse(stat: &str) -> Option<ProcessInfo> {
    let (front, rest) = stat.rsplit_once(") ")?;
    let (pid, name) = front.split_once(" (")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let field = |number: usize| fields.get(number - 3);
    let threads: u32 = field(20)?.parse().ok()?;
    Some(ProcessInfo {
        who: Identity { pid: pid.parse().ok()?, started: field(22)?.parse().ok()? },
        name: name.to_owned(),
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        // Threads may go on after the first one ended.
        lives: !matches!(*field(3)?, "Z" | "X") || threads > 1,
    })
}

/// The process that has the number `pid` now.
pub(crate) fn look(pid: i32) -> Option<ProcessInfo> {
    let mut bytes = [0; 1024];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut bytes)).ok()?;
    parse(&String::from_utf8_lossy(bytes.get(..read)?))
}

/// Whether the process `pid` was stopped by a signal (SIGSTOP, Ctrl-Z) and waits for SIGCONT.
pub(crate) fn is_paused(pid: i32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    String::from_utf8_lossy(&stat).rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// All processes that `/proc` shows.
pub(crate) fn all_processes() -> Vec<ProcessInfo> {
    let Ok(folder) = fs::read_dir("/proc") else { return vec![] };
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(look).collect()
}

/// The environment a process was started with; empty when it may not be read.
///
/// In the middle of an `exec` the system shows none: such a process is looked at again, or it would be missed for good.
pub(crate) fn environ(pid: i32) -> Vec<u8> {
    let mut settled = 0;
    for _ in 0..EXEC_LOOKS {
        match read_at_once(pid) {
            Ok(bytes) if bytes.is_empty() => {}
            environ => return environ.unwrap_or_default(),
        }
        // The kernel's own threads have no program, and zombies have none any more.
        let is_program = fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        settled += usize::from(fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|bytes| !bytes.is_empty()));
        if !is_program || settled >= LOOKS {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    vec![]
}

/// An `exec` between two reads would tear the environment, so all of it is read by one.
fn read_at_once(pid: i32) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(format!("/proc/{pid}/environ"))?;
    let mut bytes = vec![0; USUAL_ENVIRON];
    let read = file.read(&mut bytes)?;
    bytes.truncate(read);
    if read == USUAL_ENVIRON {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_whatever_the_name() {
        let rest = "7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4711 1 2";
        let info = parse(&format!("12 (a) b (c) S {rest}")).expect("well-formed");
        assert_eq!((info.who, info.parent, info.group), (Identity { pid: 12, started: 4711 }, 7, 8));
        assert_eq!((info.name.as_str(), info.lives), ("a) b (c", true));
        assert!(parse(&format!("12 (x) Z {rest}")).expect("well-formed").lives, "its other threads go on");
        assert!(!parse(&format!("12 (x) Z {}", rest.replace(" 3 0 4711", " 1 0 4711"))).expect("well-formed").lives);
        for torn in ["", "12 (x)", "12 (x) S", "x (x) S 1 2 3", "12 (x) S 7 8 9 0 -1"] {
            assert_eq!(parse(torn), None, "{torn}");
        }
        assert_eq!(look(std::process::id().cast_signed()).map(|info| info.lives), Some(true));
    }
}
