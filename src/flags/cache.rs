//! Keeps what a program said about its flags until the program changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Larger files are none of ours.
const LARGEST: u64 = 16 << 20;

/// What an answer belongs to: when any of it changes, the program is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// Form of the file.
    form: u32,
    /// The file that is run, links resolved.
    program: PathBuf,
    /// When it was last changed: seconds, nanoseconds.
    changed: (i64, i64),
    /// Its size in bytes.
    size: u64,
    /// Its first arguments.
    words: Vec<String>,
    /// The version of vLLM beside it.
    version: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    key: Key,
    help: String,
}

impl Key {
    /// The key of `program` with these first arguments; `None` when it is not there.
    pub(super) fn of(program: &Path, words: &[String], version: Option<String>) -> Option<Self> {
        let real = fs::canonicalize(program).ok()?;
        let meta = fs::metadata(&real).ok()?;
        let changed = (meta.mtime(), meta.mtime_nsec());
        Some(Self { form: 1, program: real, changed, size: meta.len(), words: words.to_vec(), version })
    }

    /// The file of this program in `folder`: one for each, so that old answers are replaced.
    fn file(&self, folder: &Path) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(self.program.as_os_str().as_encoded_bytes());
        self.words.iter().for_each(|word| {
            hash.update([0]);
            hash.update(word);
        });
        let name: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        folder.join(format!("flags-{name}.json"))
    }
}

/// What was kept for `key`; `None` when nothing is, or nothing that can be understood.
pub(super) fn get(folder: &Path, key: &Key) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(key.file(folder)).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    (kept.key == *key).then_some(kept.help)
}

/// Keeps `help` for `key`, readable by this user only. What cannot be kept is asked again: that is no failure.
pub(super) fn put(folder: &Path, key: &Key, help: &str) {
    let file = key.file(folder);
    let part = file.with_extension(format!("{}.{:x}.part", std::process::id(), fastrand::u64(..)));
    let kept = Kept { key: key.clone(), help: help.to_owned() };
    let write = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        out.write_all(&serde_json::to_vec(&kept)?)?;
        out.flush()?;
        // Readers see the old answer or the new one, never half of one.
        fs::rename(&part, &file)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&part);
        tracing::debug!(file = %file.display(), %error, "the flags of a program cannot be kept; it will be asked again");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::testing::{Venv, only_file};
    use super::*;

    #[test]
    fn what_is_kept_is_found_until_something_changes() {
        let (venv, folder) = (Venv::real(), tempfile::tempdir().expect("a folder"));
        let folder = folder.path().join("new/enginehouse");
        let words = ["serve".to_owned()];
        let key = |version: &str| Key::of(&venv.program(), &words, Some(version.into())).expect("a program");
        let first = key("1");
        assert_eq!(get(&folder, &first), None);
        put(&folder, &first, "text");
        assert_eq!(get(&folder, &first).as_deref(), Some("text"));
        assert_eq!(fs::metadata(only_file(&folder)).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(get(&folder, &key("2")), None, "another version");
        venv.write("#!/bin/sh\n# another\n");
        assert_eq!(get(&folder, &key("1")), None, "another program");
        put(&folder, &key("2"), "newer");
        assert_eq!(get(&folder, &key("2")).as_deref(), Some("newer"));
        only_file(&folder);
    }

    #[test]
    fn a_broken_file_is_nothing_and_is_replaced() {
        let (venv, folder) = (Venv::real(), tempfile::tempdir().expect("a folder"));
        let key = Key::of(&venv.program(), &[], None).expect("a program");
        put(folder.path(), &key, "text");
        for broken in ["", "{", "{\"key\":1}", "\u{0}\u{1}"] {
            fs::write(only_file(folder.path()), broken).expect("a file");
            assert_eq!(get(folder.path(), &key), None, "{broken:?}");
            put(folder.path(), &key, "text");
            assert_eq!(get(folder.path(), &key).as_deref(), Some("text"));
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_failure() {
        let venv = Venv::real();
        let key = Key::of(&venv.program(), &[], None).expect("a program");
        put(Path::new("/dev/null/x"), &key, "text");
        assert_eq!(get(Path::new("/dev/null/x"), &key), None);
    }
}
