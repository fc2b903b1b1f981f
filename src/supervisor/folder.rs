//! The state directory: made for us alone, proved to be of use, and what to do when it is not, in words.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::private_file;

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
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(FolderError::on(folder))?;
    check_ways(folder).map_err(FolderError::on(folder))
}

/// Whether a user to whom none of it belongs could put other files or links in the place of ours: every folder that stands where
/// all can write must belong to us, and the last one is closed to others. A volume of a container is often open to all; where
/// that is the root of a file system, nobody else is expected to be there.
fn check_ways(folder: &Path) -> io::Result<()> {
    let us = rustix::process::geteuid().as_raw();
    // As it is written, links included, and where it really is.
    for way in [std::path::absolute(folder)?, folder.canonicalize()?] {
        let mut parts: Vec<_> = way.ancestors().collect();
        parts.reverse();
        let mut open_above: Option<&Path> = None;
        for part in parts {
            let owner = fs::symlink_metadata(part)?.uid();
            if let Some(above) = open_above
                && owner != us
            {
                let (part, above) = (part.display(), above.display());
                let why = format!("everybody can write to `{above}`, and `{part}` belongs to another user ({owner})");
                return Err(io::Error::other(why));
            }
            let about = fs::metadata(part)?;
            let (is_open, is_sticky) = (about.mode() & 0o002 != 0, about.mode() & 0o1000 != 0);
            if is_open && part == way && owner == us {
                fs::set_permissions(part, fs::Permissions::from_mode(0o700))?;
                continue;
            }
            let is_mounted = || {
                part.parent().and_then(|above| fs::metadata(above).ok()).is_some_and(|above| above.dev() != about.dev())
            };
            if is_open && is_mounted() {
                // Links and folders of others in it are refused all the same.
                open_above = is_sticky.then_some(part);
                continue;
            }
            if is_open && (!is_sticky || part == way) {
                let why = format!("everybody can write to `{}` and exchange what is in it", part.display());
                return Err(io::Error::other(why));
            }
            open_above = is_open.then_some(part);
        }
    }
    Ok(())
}

/// [`make`], and proves that files in it can be written, now.
///
/// # Errors
/// In words, with the remedy.
pub(crate) fn writable(folder: &Path) -> Result<(), FolderError> {
    make(folder)?;
    let path = folder.join(".writable");
    let written = private_file::open(OpenOptions::new().truncate(true), &path).and_then(|mut file| {
        file.write_all(&PROOF)?;
        // Some file systems find out only now that there is no room.
        file.sync_data()
    });
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(FolderError::on(&path))
}

#[cfg(test)]
mod tests {
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
    fn a_folder_that_others_can_exchange_is_refused_and_so_is_a_link_in_the_place_of_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        let shared = folder.path().join("shared");
        make(&shared.join("state")).expect("nobody else can write there");
        mode(&shared, 0o1777);
        make(&shared.join("state")).expect("it is ours, and nobody else can move it away");
        mode(&shared, 0o777);
        let told = make(&shared.join("state")).expect_err("anybody can move it away").to_string();
        assert!(told.contains("everybody can write to `") && told.contains("set `state_dir`"), "{told}");
        mode(&shared, 0o700);
        mode(&shared.join("state"), 0o1777);
        make(&shared.join("state")).expect("it is ours to close");
        assert_eq!(fs::metadata(shared.join("state")).expect("there").mode() & 0o7777, 0o700);
        if rustix::process::geteuid().is_root() {
            mode(&shared, 0o1777);
            std::os::unix::fs::chown(shared.join("state"), Some(65_534), None).expect("given away");
            let told = make(&shared.join("state")).expect_err("somebody else made it").to_string();
            assert!(told.contains("belongs to another user (65534)"), "{told}");
        }
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "kept").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        assert!(private_file::open(OpenOptions::new().truncate(true), &link).is_err());
        assert_eq!(fs::read_to_string(&target).expect("read"), "kept");
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
