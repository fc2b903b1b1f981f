//! Reads memory, limits and disks of this machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};

use super::facts::{Disk, Folder, LockedMemory, Memory, OpenFiles, Threads};

/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Room on the file system of `path`, which is there.
pub(super) fn disk(path: &Path) -> Option<Disk> {
    let found = statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
}

/// A folder that is written to, or will be made.
pub(super) fn folder(path: &Path) -> Folder {
    let there = path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let refused = match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if !there.is_dir() => Some(format!("`{}` is not a folder", there.display())),
        Ok(()) => None,
        Err(error) => Some(std::io::Error::from(error).to_string()),
    };
    let is_there = there == path;
    let about = fs::metadata(path).ok().filter(|_| is_there);
    Folder {
        path: path.to_owned(),
        is_there,
        refused,
        owner: about.as_ref().map(MetadataExt::uid).filter(|owner| *owner != geteuid().as_raw()),
        is_open: about.is_some_and(|about| about.mode() & 0o002 != 0),
        disk: disk(there),
    }
}

/// Memory, as `/proc` and the control group tell.
pub(super) fn memory() -> Memory {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (total, available) = (meminfo(&text, "MemTotal"), meminfo(&text, "MemAvailable"));
    let used = group_files("memory.current").into_iter().next().unwrap_or(0);
    let limit = group_files("memory.max").into_iter().min();
    let left = limit.map(|limit| limit.saturating_sub(used));
    Memory { total, available: available.into_iter().chain(left).min(), limit }
}

/// A line of `/proc/meminfo` in bytes: `MemTotal:  32653180 kB`.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The numbers in the files of this name of the control group that this process is in, and of those above; `max` is no limit.
fn group_files(name: &str) -> Vec<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = group(&text) else { return Vec::new() };
    let root = Path::new(CGROUPS);
    let own = root.join(path.trim_start_matches('/'));
    // In a container the path may be one that only the host has: its own group is the root then.
    let first = if own.is_dir() { own } else { root.to_owned() };
    let folders: Vec<PathBuf> =
        first.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect();
    folders.iter().filter_map(|folder| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()).collect()
}

/// The path of the control group in `/proc/self/cgroup` (version 2: `0::/user.slice/…`).
fn group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::")).filter(|path| !path.contains(".."))
}

/// The hard limit of open files, to which the gateway raises its own.
pub(super) fn open_files() -> OpenFiles {
    OpenFiles { hard: getrlimit(Resource::Nofile).maximum }
}

/// Memory that may be locked.
pub(super) fn locked_memory() -> LockedMemory {
    let has_rdma = fs::read_dir("/sys/class/infiniband").is_ok_and(|mut found| found.next().is_some());
    LockedMemory { hard: getrlimit(Resource::Memlock).maximum, has_rdma }
}

/// How many threads there may be.
pub(super) fn threads() -> Threads {
    Threads { of_user: getrlimit(Resource::Nproc).maximum, of_group: group_files("pids.max").into_iter().min() }
}

/// Processors that this process may use.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let text = "MemTotal:       32653180 kB\nMemFree:         100 kB\nMemAvailable:   30000000 kB\n";
        assert_eq!(meminfo(text, "MemTotal"), Some(32_653_180 * 1024));
        assert_eq!(meminfo(text, "MemAvail"), None);
        assert_eq!(group("12:pids:/x\n0::/user.slice/a.scope\n"), Some("/user.slice/a.scope"));
        assert_eq!(group("0::/../../x\n"), None);
        assert!(memory().total.is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn folders_tell_whether_they_can_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = super::folder(&folder.path().join("a/b"));
        assert_eq!((found.is_there, found.refused, found.owner, found.is_open), (false, None, None, false));
        assert!(found.disk.is_some_and(|disk| disk.total >= disk.free));
        std::fs::write(folder.path().join("file"), "").expect("written");
        assert!(super::folder(&folder.path().join("file/x")).refused.is_some());
        assert!(super::folder(Path::new("/proc/nowhere")).refused.is_some() || geteuid().is_root());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = meminfo(&text, "MemTotal");
            let _ = meminfo(&format!("MemTotal:{text}"), "MemTotal");
            let _ = group(&text);
        }
    }
}
