//! Finds every process that came from one start of an engine, wherever it went, and signals exactly those.
//!
//! A process is kin when it carries the start's marker (in its environment or as a limit), is in the process group of a
//! leader whose number is still ours, was seen as kin before, or descends from one that is. It is known by its number **and** the
//! time it started: a number that the system gave to somebody else since is never signalled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpgrp, kill_process, pidfd_open, pidfd_send_signal};

use super::limit;

/// The variable that tells which start of which engine a process came from: `{engine}:{nonce}`.
pub(crate) const VARIABLE: &str = "ENGINEHOUSE_ENGINE";

/// Rounds of looking for new kin while the known ones are held still; each finds what was forked during the one before.
const ROUNDS: usize = 8;

/// Time between two looks for what is left; nothing reports the end of processes that are not our children.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often a process is looked at that shows arguments but no environment: it may be at the end of an `exec`.
const LOOKS: usize = 8;

/// How often one is looked at that shows neither: it is in the middle of an `exec`, and may have to wait for a processor.
const EXEC_LOOKS: usize = 400;

/// Time between two such looks. Few processes have no environment, so the walk takes hardly longer.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// Bytes that hold most environments; the system allows more.
const USUAL_ENVIRON: usize = 128 * 1024;

/// How long those that tidy up after the others may take for it.
const TIDY_WITHIN: Duration = Duration::from_secs(1);

/// What one start of an engine is marked with. Children inherit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    engine: String,
    nonce: String,
}

impl Marker {
    /// One that no other start ever had.
    pub(crate) fn fresh(engine: &str) -> Self {
        Self { engine: engine.to_owned(), nonce: format!("{:032x}", fastrand::u128(..)) }
    }

    /// The marker of a start that was recorded.
    pub(crate) fn of(engine: &str, nonce: &str) -> Self {
        Self { engine: engine.to_owned(), nonce: nonce.to_owned() }
    }

    /// 32 hexadecimal digits.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// What [`VARIABLE`] is set to.
    pub(crate) fn value(&self) -> String {
        format!("{}:{}", self.engine, self.nonce)
    }

    /// The resource limit that says the same, see [`limit`]. `None` when there is no proper nonce.
    pub(crate) fn limit(&self) -> Option<u64> {
        limit::number(&self.nonce)
    }

    /// Whether a process carries this marker. What is in our own group is not an engine's: commands that we start for
    /// ourselves while an engine is started get its limit, too.
    pub(crate) fn is_on(&self, seen: &Seen) -> bool {
        let limit = self.limit().filter(|_| seen.group != getpgrp().as_raw_nonzero().get());
        limit.is_some_and(|limit| limit::of(seen.who.pid) == Some(limit)) || self.is_in(&environ(seen.who.pid))
    }

    /// Whether an environment, as `/proc/PID/environ` shows it, holds this marker. The nonce decides: it is unique, and
    /// all that may be left of a damaged record.
    pub(crate) fn is_in(&self, environ: &[u8]) -> bool {
        markers_in(environ).any(|value| {
            let (front, nonce) = value.split_at(value.len().saturating_sub(self.nonce.len()));
            front.ends_with(b":") && nonce == self.nonce.as_bytes()
        })
    }
}

/// Every value of [`VARIABLE`] in an environment. A shell that starts puts a zero in the place of each `=` for an instant.
fn markers_in(environ: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_value = false;
    environ.split(|byte| *byte == 0).filter_map(move |entry| {
        let was_name = std::mem::replace(&mut is_value, entry == VARIABLE.as_bytes());
        let value = entry.strip_prefix(VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.or(was_name.then_some(entry))
    })
}

/// Which process: a number is given again, but never with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) started: u64,
}

impl Identity {
    /// Who has this number now, unless it is a zombie.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        look(pid).filter(|seen| seen.lives).map(|seen| seen.who)
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
pub(crate) struct Seen {
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

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.who.pid, self.name)
    }
}

/// Reads `/proc/PID/stat`. Shape: `PID (NAME) STATE PARENT GROUP …`, the 20th is the number of threads, the 22nd the
/// start; the name may hold blanks and parentheses (proc(5)).
fn parse(stat: &str) -> Option<Seen> {
    let (front, rest) = stat.rsplit_once(") ")?;
    let (pid, name) = front.split_once(" (")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let field = |number: usize| fields.get(number - 3);
    let threads: u32 = field(20)?.parse().ok()?;
    Some(Seen {
        who: Identity { pid: pid.parse().ok()?, started: field(22)?.parse().ok()? },
        name: name.to_owned(),
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        // Threads may go on after the first one ended.
        lives: !matches!(*field(3)?, "Z" | "X") || threads > 1,
    })
}

/// Who has the number `pid` now.
pub(crate) fn look(pid: i32) -> Option<Seen> {
    let mut bytes = [0; 1024];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut bytes)).ok()?;
    parse(&String::from_utf8_lossy(bytes.get(..read)?))
}

/// Everybody that `/proc` shows.
pub(crate) fn everybody() -> Vec<Seen> {
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

/// Whether a process came from some start of some engine, of whichever gateway, by what it carries.
pub(crate) fn comes_from_some_engine(pid: i32) -> bool {
    limit::of(pid).is_some_and(limit::is_ours) || is_marked(&environ(pid))
}

/// Whether an environment is that of some start of some engine, of whichever gateway.
pub(crate) fn is_marked(environ: &[u8]) -> bool {
    markers_in(environ).next().is_some()
}

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
    fn proc_is_read_whatever_the_name() {
        let rest = "7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4711 1 2";
        let seen = parse(&format!("12 (a) b (c) S {rest}")).expect("well-formed");
        assert_eq!((seen.who, seen.parent, seen.group), (Identity { pid: 12, started: 4711 }, 7, 8));
        assert_eq!((seen.name.as_str(), seen.lives), ("a) b (c", true));
        assert!(parse(&format!("12 (x) Z {rest}")).expect("well-formed").lives, "its other threads go on");
        assert!(!parse(&format!("12 (x) Z {}", rest.replace(" 3 0 4711", " 1 0 4711"))).expect("well-formed").lives);
        for torn in ["", "12 (x)", "12 (x) S", "x (x) S 1 2 3", "12 (x) S 7 8 9 0 -1"] {
            assert_eq!(parse(torn), None, "{torn}");
        }
        assert_eq!(look(std::process::id().cast_signed()).map(|seen| seen.lives), Some(true));
    }

    #[test]
    fn a_marker_is_exact() {
        let marker = Marker::of("m/0", &"a1".repeat(16));
        let environ = |value: &str| format!("A=b\0{VARIABLE}={value}\0C=d\0").into_bytes();
        assert!(marker.is_in(&environ(&marker.value())));
        assert!(!marker.is_in(&environ(&Marker::fresh("m/0").value())));
        assert!(!marker.is_in(&environ(&format!("{}0", marker.value()))));
        assert!(!marker.is_in(&environ(marker.nonce())), "a nonce without engine is not ours");
        assert!(!marker.is_in(format!("X{VARIABLE}={}\0", marker.value()).as_bytes()));
        assert!(marker.is_in(format!("A=b\0{VARIABLE}\0{}\0", marker.value()).as_bytes()), "a shell that starts");
        assert!(!marker.is_in(b"") && !is_marked(b"") && is_marked(&environ("x")));
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

    #[test]
    fn a_process_in_the_middle_of_an_exec_is_not_missed() {
        let marker = Marker::fresh("m/0");
        let mut shell = std::process::Command::new("bash");
        // Execs itself again and again.
        let script = "i=$((${1:-0} + 1)); [ $i -lt 300 ] && exec bash -c \"$0\" \"$0\" $i; exec sleep 300";
        let mut child = shell.args(["-c", script, script]).env(VARIABLE, marker.value()).spawn().expect("bash");
        let who = Identity::of(child.id().cast_signed()).expect("it lives");
        let (mut looks, mut in_a_row, mut worst) = (0, 0, 0);
        while look(who.pid).is_some_and(|seen| seen.name != "sleep") {
            looks += 1;
            in_a_row = if marker.is_in(&environ(who.pid)) { 0 } else { in_a_row + 1 };
            worst = worst.max(in_a_row);
        }
        who.signal(Signal::KILL);
        child.wait().expect("our child");
        // Before nothing is said to be left, it is looked for at least twice in a row (`Kin::end_now`).
        assert!(looks > 10 && worst < 2, "missed {worst} times in a row of {looks}");
    }
}
