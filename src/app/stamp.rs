//! What tells one content of a file from another without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells one content of a path from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what `file` leads to now; `None`: nothing that can be read.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let found = std::fs::metadata(file).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// One of a file that there is not.
    #[cfg(test)]
    pub(super) fn for_test(inode: u64) -> Self {
        Self { device: 1, inode, size: 1, modified: (0, 0), changed: (0, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symlink_that_leads_elsewhere_is_another_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(path(name)).expect("made");
            std::fs::write(path(name).join("c.yaml"), "same").expect("written");
        }
        std::os::unix::fs::symlink(path("one"), path("data")).expect("linked");
        std::os::unix::fs::symlink(path("data").join("c.yaml"), path("c.yaml")).expect("linked");
        let before = Stamp::of(&path("c.yaml"));
        assert!(before.is_some() && before == Stamp::of(&path("c.yaml")));
        std::os::unix::fs::symlink(path("two"), path("new")).expect("linked");
        std::fs::rename(path("new"), path("data")).expect("swapped");
        assert_ne!(before, Stamp::of(&path("c.yaml")));
    }
}
