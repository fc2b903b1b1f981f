//! Files that only this user may read, written so that nobody ever finds a part of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
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
    let file = open(OpenOptions::new().truncate(true), new)?;
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
    // The new name is on the disk only with the folder.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What is in the file at `path`. Anything else there, such as a pipe, could keep the reader for ever. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    fs::read(path)
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
