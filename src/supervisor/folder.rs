//! The state directory: made for us alone, proved to be of use, and what to do when it is not, in words.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What is written to prove that there is room: more than some file systems keep beside a file's name.
const PROOF: [u8; 4096] = [b'\n'; 4096];

/// A file or folder of the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to `{}`: {source}; {}", path.display(), remedy(source))]
pub(crate) struct FolderError {
    /// Which.
    pub(crate) path: PathBuf,
    /// What the system says.
    pub(crate) source: io::Error,
}

impl FolderError {
    /// The error of an operation on `path`.
    pub(crate) fn on(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

/// What to do about it.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there, or set `state_dir` to a disk with room",
        ErrorKind::ReadOnlyFilesystem => "set `state_dir` to a disk that can be written",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a part of this path is a file: move it away, or set `state_dir` to a folder"
        }
        ErrorKind::NotFound => "mount or make the folder above it, or set `state_dir`",
        _ => "correct its permissions, or set `state_dir` to a folder of this user",
    }
}

/// Makes `folder` where it is missing, only for us: prompts may be logged.
///
/// # Errors
/// In words, with the remedy.
pub(crate) fn make(folder: &Path) -> Result<(), FolderError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(FolderError::on(folder))
}

/// [`make`], and proves that files in it can be written, now.
///
/// # Errors
/// In words, with the remedy.
pub(crate) fn writable(folder: &Path) -> Result<(), FolderError> {
    make(folder)?;
    let path = folder.join(".writable");
    let written = private(OpenOptions::new().truncate(true), &path).and_then(|mut file| {
        file.write_all(&PROOF)?;
        // Some file systems find out only now that there is no room.
        file.sync_data()
    });
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(FolderError::on(&path))
}

/// Writes `value` as JSON in place of what is in `path`, so that at any moment one of both is there in whole. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let written = private(OpenOptions::new().truncate(true), &new).and_then(|mut file| {
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if written.is_err() {
        // What is left of it would only take room.
        let _ = fs::remove_file(&new);
    }
    written?;
    // The new name is on the disk only with the folder.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Opens a file to write, making it for us alone where it is missing.
pub(crate) fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.create(true).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folders_are_for_us_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        writable(&path).expect("made");
        writable(&path).expect("it was there");
        assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&path).expect("made").count(), 0, "the proof is gone");
    }

    #[test]
    fn what_is_wrong_is_told_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let told = writable(&file.path().join("x")).expect_err("a file is no folder").to_string();
        assert!(told.contains("a part of this path is a file"), "{told}");
        let told = writable(file.path()).expect_err("a file is no folder").to_string();
        assert!(told.contains("a part of this path is a file"), "{told}");
        let told = writable(Path::new("/proc/nowhere")).expect_err("nothing is made there").to_string();
        assert!(told.starts_with("cannot write to `/proc/nowhere`: "), "{told}");
        let full = FolderError::on(Path::new("/x"))(ErrorKind::StorageFull.into()).to_string();
        assert!(full.contains("make room there"), "{full}");
    }
}
