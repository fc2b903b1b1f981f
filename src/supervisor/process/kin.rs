//! Finds every process that came from one start of an engine, wherever it went, and signals exactly those.
//!
//! A process is kin when it carries the start's marker (in its environment or as a limit), is in the process group of a
//! leader whose number is still ours, was seen as kin before, or descends from one that is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::marker::Marker;
use super::seen::{Identity, Seen, everybody};

/// Rounds of looking for new kin while the known ones are held still; each finds what was forked during the one before.
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
pub(crate) struct Kin {
    marker: Marker,
    /// The group, as long as its leader's number is ours: running and verified, or a child that was not reaped.
    group: Option<i32>,
    /// No kin is older.
    since: u64,
    /// Those that were seen once: they stay kin when their parent ends.
    known: BTreeSet<Identity>,
}

impl Kin {
    /// What came from the start that `marker` marks; `leader` must be its first process.
    pub(crate) fn new(marker: Marker, leader: Option<Identity>) -> Self {
        let since = leader.map_or(0, |leader| leader.started);
        Self { marker, group: leader.map(|leader| leader.pid), since, known: leader.into_iter().collect() }
    }

    /// The start's marker.
    pub(crate) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The leader's number, and so its group's, may be somebody else's from now on.
    pub(crate) fn disown_group(&mut self) {
        self.group = None;
    }

    /// Who lives. Reads `/proc`: with 500 processes 6 ms, and 20 ms more for the environments of those that are not older
    /// than the leader, so it is not for async workers.
    pub(crate) fn find(&self) -> Vec<Seen> {
        self.find_by(|seen| seen.who.started >= self.since && self.marker.is_on(seen))
    }

    /// Who lives of the known ones, the group and their descendants, marked or not; as fast as it gets.
    fn find_near(&self) -> Vec<Seen> {
        self.find_by(|_| false)
    }

    fn find_by(&self, is_marked: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let everybody = everybody();
        let is_seed = |seen: &Seen| {
            self.known.contains(&seen.who) || self.group == Some(seen.group) || (seen.lives && is_marked(seen))
        };
        let mut found = related(&everybody, std::process::id().cast_signed(), is_seed, Identity::lives);
        found.retain(|seen| seen.lives);
        found
    }

    /// Remembers who lives now, so that they stay kin although their parents end and they carry no marker.
    pub(crate) fn remember(&mut self) {
        self.known.extend(self.find_near().into_iter().map(|seen| seen.who));
    }

    /// Everybody who is remembered, dead or alive.
    pub(crate) fn known(&self) -> impl Iterator<Item = i32> + '_ {
        self.known.iter().map(|who| who.pid)
    }

    /// Signals all of them, one by one. Returns how many there were.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        self.find().iter().filter(|seen| seen.who.signal(signal)).count()
    }

    /// Signals those in the leader's group, one by one.
    pub(crate) fn signal_group(&self, signal: Signal) {
        for seen in self.find_near().iter().filter(|seen| self.group == Some(seen.group)) {
            seen.who.signal(signal);
        }
    }

    /// SIGKILL to all of them. They are held still first, so that none can fork and slip away while others die.
    pub(crate) fn kill(&mut self) {
        self.kill_but(|_| false);
    }

    /// SIGKILL to all but those that tidy up after the others; they end by themselves then, or [`Kin::end_now`] ends them.
    /// Returns how many it went to.
    pub(crate) fn kill_all_but_tidiers(&mut self) -> usize {
        self.kill_but(tidies)
    }

    fn kill_but(&mut self, is_spared: impl Fn(i32) -> bool) -> usize {
        let mut held = BTreeSet::new();
        let mut spared = BTreeSet::new();
        for _ in 0..ROUNDS {
            let new: Vec<_> = self.find().into_iter().map(|seen| seen.who).filter(|who| held.insert(*who)).collect();
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
    pub(crate) fn end_now(&mut self, within: Duration) -> Vec<Seen> {
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

    /// [`Kin::end_now`], off the async workers.
    pub(crate) async fn end(mut self, within: Duration) -> Vec<Seen> {
        tokio::task::spawn_blocking(move || self.end_now(within)).await.unwrap_or_default()
    }
}

/// The seeds among `everybody` and all their descendants, without `own`, its children by descent, and process 1.
///
/// `lives` looks again: a parent that still lives after its child was seen is that child's parent, and not somebody who
/// got the number since.
pub(crate) fn related(
    everybody: &[Seen],
    own: i32,
    is_seed: impl Fn(&Seen) -> bool,
    lives: impl Fn(Identity) -> bool,
) -> Vec<Seen> {
    let mut children: BTreeMap<i32, Vec<&Seen>> = BTreeMap::new();
    for seen in everybody {
        children.entry(seen.parent).or_default().push(seen);
    }
    let mine = |seen: &&Seen| seen.who.pid != own && seen.who.pid != 1;
    let mut queue: Vec<&Seen> = everybody.iter().filter(mine).filter(|seen| is_seed(seen)).collect();
    let mut met = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(seen) = queue.pop() {
        if !met.insert(seen.who) {
            continue;
        }
        found.push(seen.clone());
        if let Some(young) = children.get(&seen.who.pid)
            && lives(seen.who)
        {
            queue.extend(young.iter().filter(|young| mine(young) && young.who.started >= seen.who.started));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: i32, parent: i32, started: u64) -> Seen {
        Seen { who: Identity { pid, started }, name: "x".into(), parent, group: 0, lives: true }
    }

    fn numbers(found: &[Seen]) -> Vec<i32> {
        let mut numbers: Vec<_> = found.iter().map(|seen| seen.who.pid).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn descendants_are_kin_but_not_we_nor_process_1_nor_the_child_of_a_recycled_number() {
        let everybody =
            [seen(1, 0, 0), seen(5, 1, 9), seen(10, 1, 10), seen(11, 10, 11), seen(12, 11, 12), seen(13, 12, 11)];
        let everyone = |_: Identity| true;
        let find = |own, lives: &dyn Fn(Identity) -> bool| {
            numbers(&related(&everybody, own, |seen| seen.who.pid == 10, lives))
        };
        assert_eq!(
            find(5, &everyone),
            [10, 11, 12],
            "13 is older than its parent: the parent's number was given again"
        );
        assert_eq!(find(11, &everyone), [10], "neither we nor our children");
        assert_eq!(find(5, &|who| who.pid != 11), [10, 11], "11 ended since: 12 may be somebody else's child");
        assert_eq!(numbers(&related(&everybody, 5, |seen| seen.who.pid == 1, everyone)), Vec::<i32>::new());
    }
}
