//! Gives a file that people write another text.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

use crate::private_file;

/// Puts `text` into `file`, whole if its folder can be written to; links stay, and so do its owner and its permissions. Where
/// that fails, such as on a full disk, the file is as it was. Blocks.
///
/// # Errors
/// What the system says.
pub fn replace_text(file: &Path, text: &str) -> io::Result<()> {
    // A file whose place may be written to, but not itself, is not to be changed.
    let own = OpenOptions::new().read(true).write(true).open(file)?;
    let real = fs::canonicalize(file)?;
    match exchange(&real, &own, text) {
        Err(error) if is_in_place(&error) => in_place(&own, text.as_bytes()),
        done => done,
    }
}

/// Whether the reason is that another file cannot come into its place: its folder is closed, or the file is mounted by itself.
/// For any other reason writing in place would fail, too, and leave a part of the text.
fn is_in_place(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::ResourceBusy)
}

/// Writes the text beside `real` and puts it into its place. `own`: the file that is there.
fn exchange(real: &Path, own: &File, text: &str) -> io::Result<()> {
    let new = beside(real);
    // Private until it has the owner and the permissions of the other one: it may hold keys.
    let file = private_file::open(OpenOptions::new().create_new(true), &new)?;
    let there = own.metadata()?;
    let as_it_was = |file: &File| same_owner(file, &there).and_then(|()| file.set_permissions(there.permissions()));
    private_file::exchange(real, (&new, file), as_it_was, text.as_bytes())
}

/// Gives the open `file` another text. First what makes it longer, which is what a full disk refuses: then it is cut off again, and
/// nothing was lost.
fn in_place(file: &File, text: &[u8]) -> io::Result<()> {
    let mut old = Vec::new();
    (&*file).read_to_end(&mut old)?;
    let (head, tail) = text.split_at(old.len().min(text.len()));
    let written = file
        .write_all_at(tail, head.len() as u64)
        .and_then(|()| file.write_all_at(head, 0))
        .and_then(|()| file.set_len(text.len() as u64))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // As well as can be: its room is still its own.
        let _ = file.write_all_at(&old, 0).and_then(|()| file.set_len(old.len() as u64));
    }
    written
}

/// A name that nothing has: `.NAME.PID.new`, hidden, because whoever lists configurations must not see it.
fn beside(real: &Path) -> PathBuf {
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    real.with_file_name(format!(".{name}.{}-{:08x}.new", std::process::id(), fastrand::u32(..)))
}

fn same_owner(file: &File, there: &fs::Metadata) -> io::Result<()> {
    let here = file.metadata()?;
    if (here.uid(), here.gid()) == (there.uid(), there.gid()) {
        return Ok(());
    }
    fchown(file, Some(there.uid()), Some(there.gid()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_has_another_text_and_the_same_permissions_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("a.yaml"), folder.path().join("link.yaml"));
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        replace_text(&link, "new").expect("replaced");
        assert_eq!(fs::read_to_string(&file).expect("read"), "new");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
        assert!(replace_text(&folder.path().join("none.yaml"), "new").is_err());
    }

    #[test]
    fn a_file_is_changed_in_place_to_any_length() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "old").expect("written");
        for text in ["a longer text", "short", "", "again"] {
            let open = OpenOptions::new().read(true).write(true).open(file.path()).expect("opened");
            in_place(&open, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(file.path()).expect("read"), text);
        }
    }

    #[test]
    fn a_full_disk_is_no_reason_to_write_in_place() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::Other, ErrorKind::AlreadyExists] {
            assert!(!is_in_place(&io::Error::from(kind)), "{kind:?}");
        }
        assert!(is_in_place(&io::Error::from(ErrorKind::ResourceBusy)));
    }
}
