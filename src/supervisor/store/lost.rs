//! Engines of this deployment that no record tells of, because it was deleted or damaged: they are found by what their
//! processes carry.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::record::{Record, Records};
use crate::ids::EngineId;
use crate::supervisor::folder::FolderError;
use crate::supervisor::process::marker::{self, Marker};
use crate::supervisor::process::procfs::{self, Identity};

/// The variable with the record of its start in an engine's environment.
pub(crate) const RECORD_VARIABLE: &str = "ENGINEHOUSE_RECORD";

/// Bytes of the hash of a state directory that identify it.
const ID_BYTES: usize = 8;

/// The gateways that run on one state directory, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deployment {
    state_dir: PathBuf,
    id: String,
}

impl Deployment {
    /// Those on `state_dir`, which need not be there.
    pub(crate) fn of(state_dir: &Path) -> Self {
        let absolute = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let there = existing(&absolute);
        let mut state_dir = there.canonicalize().unwrap_or_else(|_| there.to_owned());
        state_dir.extend(absolute.strip_prefix(there).unwrap_or(Path::new("")));
        let hash = Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
        Self { id: hash.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect(), state_dir }
    }

    /// What its engines carry.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether the process `pid` is of our user, and has the same folder where our state directory is: another container may have
    /// one of its own at the same path.
    fn can_be_of(&self, pid: i32) -> bool {
        let there = existing(&self.state_dir);
        let theirs = Path::new("/proc").join(pid.to_string()).join("root");
        let theirs = fs::metadata(theirs.join(there.strip_prefix("/").unwrap_or(there)));
        is_ours(pid)
            && matches!((fs::metadata(there), theirs), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
    }
}

/// Whether a process runs as our user, and was started as such: another user may have started a program that is set to run as
/// ours, with an environment of its choice.
fn is_ours(pid: i32) -> bool {
    let us = rustix::process::geteuid().as_raw().to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // Real, effective, saved and file system user (proc_pid_status(5)).
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.is_some_and(|users| users.split_ascii_whitespace().count() == 4)
        && line.is_some_and(|users| users.split_ascii_whitespace().all(|user| user == us))
}

/// The part of `path` that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"))
}

/// All engines of `deployment` that were left: those that `records` tell of, and those that no record tells of. What a
/// damaged record tells is used where the engine does not tell more itself. Blocks: it looks into `/proc`.
///
/// # Errors
/// When the records cannot be read.
pub(crate) fn all(records: &Records, deployment: &Deployment) -> Result<Vec<Record>, FolderError> {
    let mut all = records.load()?;
    let known: Vec<Record> = all.iter().filter(|record| !record.is_trail()).cloned().collect();
    let lost = find(deployment, &known);
    all.retain(|record| !record.is_trail() || lost.iter().all(|lost| lost.nonce != record.nonce));
    for Record { engine, process, .. } in &lost {
        let pid = process.as_ref().map(|process| process.pid);
        tracing::warn!(%engine, pid, "an engine that no record tells of was found by what its processes carry");
    }
    all.extend(lost);
    Ok(all)
}

/// Those that none of `known` tells of. One without a leader, or of which there is another already, can only be ended: its
/// record has no process.
pub(crate) fn find(deployment: &Deployment, known: &[Record]) -> Vec<Record> {
    let starts = starts(deployment);
    // A record of a start that has ended says nothing of one that lives.
    let lives = |record: &&Record| starts.get(&record.nonce).is_some_and(|start| start.leader.is_some());
    let mut engines: Vec<String> = known.iter().filter(lives).map(|record| record.engine.clone()).collect();
    let is_known = |start: &Start| known.iter().any(|record| record.nonce == start.marker.nonce());
    let mut starts: Vec<Start> = starts.into_values().filter(|start| !is_known(start)).collect();
    // What is left of an earlier start takes no engine's place.
    starts.sort_by_key(|start| start.leader.is_none());
    let starts = starts.into_iter();
    let records = starts.map(|Start { marker, leader }| {
        let is_first = !engines.iter().any(|engine| engine == marker.engine());
        let restored = leader.filter(|_| is_first).and_then(|leader| restored(leader, &marker, deployment));
        let record = restored.unwrap_or_else(|| Record::trail(marker.engine(), &marker));
        engines.push(record.engine.clone());
        record
    });
    records.collect()
}

/// One start of an engine.
struct Start {
    marker: Marker,
    leader: Option<Identity>,
}

/// All starts of engines of `deployment` of which a process lives, by nonce.
fn starts(deployment: &Deployment) -> BTreeMap<String, Start> {
    let mut starts = BTreeMap::new();
    let own = std::process::id().cast_signed();
    for info in procfs::all_processes().into_iter().filter(|info| info.lives && info.who.pid != own) {
        let pid = info.who.pid;
        for marker in Marker::all_in(&procfs::environ(pid)) {
            if marker.deployment() != Some(deployment.id()) || !deployment.can_be_of(pid) {
                continue;
            }
            let start = starts.entry(marker.nonce().to_owned()).or_insert(Start { marker, leader: None });
            // Each engine is started as the leader of a group.
            let is_older = start.leader.is_none_or(|leader| info.who.started < leader.started);
            if info.group == pid && is_older {
                start.leader = Some(info.who);
            }
        }
    }
    starts
}

/// The record of the start of `leader`, as it carries it.
fn restored(leader: Identity, marker: &Marker, deployment: &Deployment) -> Option<Record> {
    let environ = procfs::environ(leader.pid);
    let json = marker::values_of(RECORD_VARIABLE, &environ).next()?;
    let mut record = Record::restored(json, marker, leader)?;
    // Not where it says: the file will be written to.
    let name = EngineId::new(&record.model, record.replica).file_stem();
    record.log = deployment.state_dir.join("logs").join(format!("{name}.log"));
    record.log_from = fs::metadata(&record.log).map_or(0, |about| about.len());
    Some(record)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::supervisor::process::reaper;
    use crate::supervisor::testing::KilledOnDrop;

    fn start(deployment: &Deployment, engine: &str, record: Option<&Record>) -> (KilledOnDrop, Marker) {
        let marker = match record {
            Some(record) => record.marker().of_deployment(deployment.id()),
            None => Marker::fresh(engine).of_deployment(deployment.id()),
        };
        let mut command = Command::new("sleep");
        command.arg("300").env(marker::VARIABLE, marker.value()).stdin(Stdio::null());
        if let Some(record) = record {
            command.env(RECORD_VARIABLE, serde_json::to_string(record).expect("JSON"));
        }
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        (KilledOnDrop(reaper::apart(|| command.spawn()).expect("sleep")), marker)
    }

    #[test]
    fn a_deployment_is_known_by_its_folder_wherever_it_is_looked_for_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |path: &str| Deployment::of(&folder.path().join(path));
        let before = of("a/state");
        assert_ne!(before.id(), of("b/state").id());
        fs::create_dir_all(folder.path().join("a/state")).expect("made");
        assert_eq!(before, of("a/state"), "also where it was deleted");
        std::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("link")).expect("linked");
        assert_eq!(before, of("link/state"));
    }

    #[test]
    fn engines_without_a_record_are_found_and_those_of_other_deployments_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, others) = (Deployment::of(&folder.path().join("a")), Deployment::of(&folder.path().join("b")));
        let about = |model: &str| {
            let marker = Marker::fresh(&format!("{model}/0"));
            Record {
                port: 9001,
                spec: "00ff".into(),
                log: "/etc/passwd".into(),
                ..Record::about_to_start(model, 0, &marker)
            }
        };
        let (whole, known, foreign) = (about("whole"), about("known"), about("foreign"));
        let (started, _) = start(&ours, "", Some(&whole));
        let (_known, _) = start(&ours, "", Some(&known));
        let (_foreign, _) = start(&others, "", Some(&foreign));
        let (_bare, bare) = start(&ours, "bare/0", None);
        let mut found = find(&ours, std::slice::from_ref(&known));
        found.sort_by(|a, b| b.engine.cmp(&a.engine));
        let names: Vec<&str> = found.iter().map(|record| record.engine.as_str()).collect();
        assert_eq!(names, ["whole/0", "bare/0"]);
        let pid = found[0].process.as_ref().map(|process| process.pid);
        assert_eq!((pid, found[0].port), (Some(started.0.id().cast_signed()), 9001), "it can be taken over");
        assert_eq!(found[0].log, ours.state_dir.join("logs/whole_0.log"), "no other file is written to");
        assert_eq!((&found[1].process, found[1].nonce.as_str()), (&None, bare.nonce()), "it can only be ended");
        assert_eq!(found[1].marker().nonce(), bare.nonce());
        let ended = Record { nonce: "0".repeat(32), ..whole };
        let found = find(&ours, &[ended, known.clone()]);
        assert!(found.iter().any(|record| record.process.is_some()), "one that ended takes no place: {found:?}");
        let twin = about("whole");
        let (_twin, _) = start(&ours, "", Some(&twin));
        let found = find(&ours, &[twin, known]);
        assert!(found.iter().all(|record| record.process.is_none()), "there is one of that name already: {found:?}");
    }
}
