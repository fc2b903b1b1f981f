//! Files that only this user may read, written so that nobody ever finds a part of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;

/// Writes `value` as JSON in place of what is in `path`, so that at any moment one of both is there in whole. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    replace_bytes(path, &path.with_extension("json.new"), &bytes)
}

/// Writes `text` in place of what is in `path`, in the same way. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn replace_text(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    replace_bytes(path, Path::new(&new), text.as_bytes())
}

fn replace_bytes(path: &Path, new: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = open(OpenOptions::new().truncate(true), new).inspect_err(|_| {
        // Whatever is in the way, such as what a killed gateway left, is not in the way of the next one.
        let _ = fs::remove_file(new);
    })?;
    exchange(path, (new, file), |_| Ok(()), bytes)
}

/// Writes `bytes` to the file `new`, made for this, which then takes the place of the one at `path`. `prepare`: what is done with
/// it before anything is in it. Blocks.
///
/// # Errors
/// What the system says; then `path` is as it was.
pub(crate) fn exchange(
    path: &Path,
    (new, mut file): (&Path, File),
    prepare: impl FnOnce(&File) -> io::Result<()>,
    bytes: &[u8],
) -> io::Result<()> {
    let written = prepare(&file)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(new, path));
    if written.is_err() {
        // What is left of it would only take room.
        let _ = fs::remove_file(new);
    }
    written?;
    // The new name is on the disk only with the folder; but it is there already, whatever becomes of that.
    let _ = path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
    Ok(())
}

/// What is in the file at `path`. Anything else there, such as a pipe, could keep the reader for ever. Blocks.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidData`] when it is no file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is not a regular file"));
    }
    fs::read(path)
}

/// What is in the file at `path` as `understand` has it, or why it is not understood; `None`: nothing is there. Blocks.
///
/// # Errors
/// When it cannot be read, which says nothing of what is in it.
pub(crate) fn understood<T>(
    path: &Path,
    understand: impl FnOnce(&[u8]) -> Result<T, String>,
) -> io::Result<Option<Result<T, String>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(understand(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Some(Err(error.to_string()))),
        // A user who may not even look into the folder, or for whom there is none, never kept anything there.
        Err(error) if path.parent().is_some_and(|folder| !is_reachable(folder)) => {
            tracing::debug!(path = %path.display(), %error, "nothing is kept there");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_reachable(folder: &Path) -> bool {
    // With the dot it must be possible to look into the folder itself.
    fs::metadata(folder.join(".")).is_ok_and(|found| found.is_dir())
}

/// Sets the JSON file at `path`, which is not understood, aside as `….bad`, in place of the one before: people may want to look
/// at it, and nobody reads it any more. Returns where it is. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("json.bad");
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Opens a file to write, making it for us alone where it is missing. A link in its place is not followed.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.create(true).write(true).mode(0o600).custom_flags(no_link()).open(path)
}

/// The flag with which a link is not followed when a file is opened (open(2)).
pub(crate) fn no_link() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_new_file_is_so_only_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("orders.json");
        std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("orders.json.new")).expect("a link");
        assert!(replace(&file, &[1]).is_err(), "a link is not followed");
        replace(&file, &[2]).expect("written");
        assert_eq!(read(&file).expect("read"), b"[\n  2\n]\n");
    }
}
