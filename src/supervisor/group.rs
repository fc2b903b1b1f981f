//! Process groups of ours: signals to them, how their leader ended, and when they are empty.

use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, test_kill_process_group, waitid, waitpgid,
};

use super::machine::Exit;

/// How long to wait for processes that were killed to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Time between two looks at a group that should be empty; nothing reports the end of processes that are not our children.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Sends `signal` to every process of the group that `leader` leads. The leader must not have been reaped: its number,
/// and so the group's, could be somebody else's otherwise.
pub(super) fn signal(leader: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(leader, signal)
        && error != Errno::SRCH
    {
        tracing::warn!(group = leader.as_raw_nonzero().get(), ?signal, %error, "a process group could not be signalled");
    }
}

/// How `leader`, a child of ours, ended; `None` while it runs. Does not reap it.
pub(super) fn ended(leader: Pid) -> Option<Exit> {
    match waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT) {
        Ok(None) | Err(Errno::INTR) => None,
        Ok(Some(status)) => Some(Exit { code: status.exit_status(), signal: status.terminating_signal() }),
        // Not our child any more: somebody reaped it, so it did end.
        Err(_) => Some(Exit::default()),
    }
}

/// Returns whether the group is empty, at the latest after [`GONE_WITHIN`]. Call it after SIGKILL to the group.
pub(super) async fn emptied(group: Pid) -> bool {
    let deadline = tokio::time::Instant::now() + GONE_WITHIN;
    loop {
        // Orphans of the group are children of ours when we are process 1 of a container; nobody else reaps them then.
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
        if !has_members(group) {
            return true;
        }
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether the group has a process that is more than a zombie: a process 1 that reaps late is not our fault.
pub(super) fn has_members(group: Pid) -> bool {
    if test_kill_process_group(group) == Err(Errno::SRCH) {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| is_member(&stat, group.as_raw_nonzero().get()))
}

/// Whether `/proc/PID/stat` tells of a living process of `group`.
/// Shape: `PID (NAME) STATE PARENT GROUP …`; the name may hold blanks and parentheses (proc(5)).
fn is_member(stat: &str, group: i32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
    let mut fields = rest.split(' ');
    let state = fields.next();
    let of = fields.nth(1).and_then(|text| text.parse().ok());
    of == Some(group) && !matches!(state, Some("Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_and_strangers_are_no_members() {
        assert!(is_member("12 (VLLM::EngineCor) S 1 7 7 0", 7));
        assert!(is_member("12 (a) b) c) R 1 7 7 0", 7));
        assert!(!is_member("12 (vllm) Z 1 7 7 0", 7));
        assert!(!is_member("12 (vllm) S 7 8 7 0", 7));
        assert!(!is_member("", 7) && !is_member("12 (x)", 7) && !is_member("12 (x) S", 7));
    }
}
