//! Process groups that children of ours lead: signals to them, and how their leader ended.

use std::collections::BTreeMap;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How a process ended; neither when the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

/// Sends `signal` to every process of the group that `leader` leads. The leader must be a child of ours that was not
/// reaped: its number, and so the group's, could be another process's otherwise.
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
        // Not our child any more: it was reaped, so it did end.
        Err(_) => Some(Exit::default()),
    }
}

/// The living processes of the groups that `leaders` lead. The number of a group may be given away when that is gone: for
/// looking only. One walk of `/proc`, and none when there are no leaders.
pub(crate) fn members_of_groups(leaders: impl Iterator<Item = u32>) -> BTreeMap<u32, Vec<u32>> {
    let mut members: BTreeMap<u32, Vec<u32>> = leaders.map(|leader| (leader, vec![])).collect();
    if members.is_empty() {
        return members;
    }
    for process in super::procfs::all_processes().into_iter().filter(|process| process.lives) {
        if let Some(group) = members.get_mut(&process.group.cast_unsigned()) {
            group.push(process.who.pid.cast_unsigned());
        }
    }
    members
}
