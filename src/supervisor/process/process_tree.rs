//! Finds every process that came from one start of an engine, wherever it went, and signals exactly those.
//!
//! A process belongs to a start when it carries the start's marker (in its environment or as a limit), is in the process
//! group of a leader whose number is still ours, was found to belong before, or descends from one that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::marker::Marker;
use super::procfs::{Identity, ProcessInfo, all_processes};

/// Rounds of looking for further processes while the known ones are held still; each finds what was forked during the one before.
const ROUNDS: usize = 8;

/// Time between two looks for what is left; nothing reports the end of processes that are not our children.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long those that tidy up after the others may take for it.
const TIDY_WITHIN: Duration = Duration::from_secs(1);

/// Whether a process is Python's resource tracker. It waits until all that shared memory with it are gone, however they
/// ended, removes what they left in `/dev/shm`, and ends; killed with them, that memory is lost until the machine restarts.
fn tidies(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = b"multiprocessing.resource_tracker";
    line.windows(words.len()).any(|part| part == words)
}

/// All processes of one start of an engine.
#[derive(Clone, Debug)]
pub(crate) struct ProcessTree {
    marker: Marker,
    /// The group, as long as its leader's number is ours: running and verified, or a child that was not reaped.
    group: Option<i32>,
    /// No process of this start is older.
    since: u64,
    /// Those that were found once: they still belong when their parent ends.
    known: BTreeSet<Identity>,
}

impl ProcessTree {
    /// What came from the start that `marker` marks; `leader` must be its first process.
    pub(crate) fn new(marker: Marker, leader: Option<Identity>) -> Self {
        let since = leader.map_or(0, |leader| leader.started);
        Self { marker, group: leader.map(|leader| leader.pid), since, known: leader.into_iter().collect() }
    }

    /// The start's marker.
    pub(crate) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The leader's number, and so its group's, may be given to another process from now on.
    pub(crate) fn disown_group(&mut self) {
        self.group = None;
    }

    /// Those that live. Reads `/proc`: with 500 processes 6 ms, and 20 ms more for the environments of those that are not older
    /// than the leader, so it is not for async workers.
    pub(crate) fn find(&self) -> Vec<ProcessInfo> {
        self.find_by(|info| info.who.started >= self.since && self.marker.is_on(info))
    }

    /// Those that live of the known ones, the group and their descendants, marked or not; as fast as it gets.
    fn find_near(&self) -> Vec<ProcessInfo> {
        self.find_by(|_| false)
    }

    fn find_by(&self, is_marked: impl Fn(&ProcessInfo) -> bool) -> Vec<ProcessInfo> {
        let processes = all_processes();
        let is_seed = |info: &ProcessInfo| {
            self.known.contains(&info.who) || self.group == Some(info.group) || (info.lives && is_marked(info))
        };
        let mut found = related(&processes, std::process::id().cast_signed(), is_seed, Identity::lives);
        found.retain(|info| info.lives);
        found
    }

    /// Remembers those that live now: they still belong when their parents end and they carry no marker.
    pub(crate) fn remember(&mut self) {
        self.known.extend(self.find_near().into_iter().map(|info| info.who));
    }

    /// All that are remembered, dead or alive.
    pub(crate) fn known(&self) -> impl Iterator<Item = i32> + '_ {
        self.known.iter().map(|who| who.pid)
    }

    /// Signals all of them, one by one. Returns how many there were.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        self.find().iter().filter(|info| info.who.signal(signal)).count()
    }

    /// Signals those in the leader's group, one by one.
    pub(crate) fn signal_group(&self, signal: Signal) {
        for info in self.find_near().iter().filter(|info| self.group == Some(info.group)) {
            info.who.signal(signal);
        }
    }

    /// SIGKILL to all of them. They are held still first, so that none can fork and slip away while others die.
    pub(crate) fn kill(&mut self) {
        self.kill_but(|_| false);
    }

    /// SIGKILL to all but those that tidy up after the others; they end by themselves then, or [`ProcessTree::end_now`] ends them.
    /// Returns how many it went to.
    pub(crate) fn kill_all_but_tidiers(&mut self) -> usize {
        self.kill_but(tidies)
    }

    fn kill_but(&mut self, is_spared: impl Fn(i32) -> bool) -> usize {
        let mut held = BTreeSet::new();
        let mut spared = BTreeSet::new();
        for _ in 0..ROUNDS {
            let new: Vec<_> = self.find().into_iter().map(|info| info.who).filter(|who| held.insert(*who)).collect();
            if new.is_empty() {
                break;
            }
            for who in new {
                self.known.insert(who);
                if is_spared(who.pid) {
                    spared.insert(who);
                } else {
                    who.signal(Signal::STOP);
                }
            }
        }
        held.difference(&spared).filter(|who| who.signal(Signal::KILL)).count()
    }

    /// Kills all, and waits until none is left or `within` is over; returns who survived. Those that tidy up after the
    /// others get a moment for it. Blocks.
    pub(crate) fn end_now(&mut self, within: Duration) -> Vec<ProcessInfo> {
        let begun = std::time::Instant::now();
        loop {
            if begun.elapsed() < TIDY_WITHIN.min(within) {
                self.kill_all_but_tidiers();
            } else {
                self.kill();
            }
            let left = self.find();
            if left.is_empty() || begun.elapsed() >= within {
                return left;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// [`ProcessTree::end_now`], off the async workers.
    pub(crate) async fn end(mut self, within: Duration) -> Vec<ProcessInfo> {
        tokio::task::spawn_blocking(move || self.end_now(within)).await.unwrap_or_default()
    }
}

/// The seeds among `processes` and all their descendants, without `own`, its children by descent, and process 1.
///
/// `lives` looks again: a parent that still lives after its child was seen is that child's parent, and not a
/// later process with the same number.
pub(crate) fn related(
    processes: &[ProcessInfo],
    own: i32,
    is_seed: impl Fn(&ProcessInfo) -> bool,
    lives: impl Fn(Identity) -> bool,
) -> Vec<ProcessInfo> {
    let mut children: BTreeMap<i32, Vec<&ProcessInfo>> = BTreeMap::new();
    for info in processes {
        children.entry(info.parent).or_default().push(info);
    }
    let mine = |info: &&ProcessInfo| info.who.pid != own && info.who.pid != 1;
    let mut queue: Vec<&ProcessInfo> = processes.iter().filter(mine).filter(|info| is_seed(info)).collect();
    let mut met = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(info) = queue.pop() {
        if !met.insert(info.who) {
            continue;
        }
        found.push(info.clone());
        if let Some(young) = children.get(&info.who.pid)
            && lives(info.who)
        {
            queue.extend(young.iter().filter(|young| mine(young) && young.who.started >= info.who.started));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: i32, parent: i32, started: u64) -> ProcessInfo {
        ProcessInfo { who: Identity { pid, started }, name: "x".into(), parent, group: 0, lives: true }
    }

    fn numbers(found: &[ProcessInfo]) -> Vec<i32> {
        let mut numbers: Vec<_> = found.iter().map(|info| info.who.pid).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn descendants_belong_but_not_we_nor_process_1_nor_the_child_of_a_recycled_number() {
        let processes =
            [seen(1, 0, 0), seen(5, 1, 9), seen(10, 1, 10), seen(11, 10, 11), seen(12, 11, 12), seen(13, 12, 11)];
        let everyone = |_: Identity| true;
        let find = |own, lives: &dyn Fn(Identity) -> bool| {
            numbers(&related(&processes, own, |info| info.who.pid == 10, lives))
        };
        assert_eq!(
            find(5, &everyone),
            [10, 11, 12],
            "13 is older than its parent: the parent's number was given again"
        );
        assert_eq!(find(11, &everyone), [10], "neither we nor our children");
        assert_eq!(find(5, &|who| who.pid != 11), [10, 11], "11 ended since: 12 may be somebody else's child");
        assert_eq!(numbers(&related(&processes, 5, |info| info.who.pid == 1, everyone)), Vec::<i32>::new());
    }
}
