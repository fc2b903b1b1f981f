//! Process groups that children of ours lead: signals to them, and how their leader ended.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::supervisor::life::machine::Exit;

/// Sends `signal` to every process of the group that `leader` leads. The leader must be a child of ours that was not
/// reaped: its number, and so the group's, could be somebody else's otherwise.
pub(crate) fn signal(leader: i32, signal: Signal) {
    let Some(group) = Pid::from_raw(leader) else { return };
    if let Err(error) = kill_process_group(group, signal)
        && error != Errno::SRCH
    {
        tracing::warn!(group = leader, ?signal, %error, "a process group could not be signalled");
    }
}

/// How `leader`, a child of ours, ended; `None` while it runs. Does not reap it.
pub(crate) fn ended(leader: Pid) -> Option<Exit> {
    match waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT) {
        Ok(None) | Err(Errno::INTR) => None,
        Ok(Some(status)) => Some(Exit { code: status.exit_status(), signal: status.terminating_signal() }),
        // Not our child any more: somebody reaped it, so it did end.
        Err(_) => Some(Exit::default()),
    }
}

/// The living processes of a group. Its number may be somebody else's when the group is gone: for looking only.
pub(crate) fn members(group: u32) -> Vec<u32> {
    let everybody = super::seen::everybody().into_iter();
    let members = everybody.filter(|seen| seen.lives && seen.group == group.cast_signed());
    members.map(|seen| seen.who.pid.cast_unsigned()).collect()
}
