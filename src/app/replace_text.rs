//! Gives a file that people write another text.

use std::io;
use std::path::Path;

/// Puts `text` into `file`, whole if its folder can be written to; links stay, and so do its permissions. Blocks.
///
/// # Errors
/// What the system says.
pub fn replace_text(file: &Path, text: &str) -> io::Result<()> {
    // A file whose place may be written to, but not itself, is not to be changed.
    let own = std::fs::OpenOptions::new().write(true).open(file)?;
    let real = std::fs::canonicalize(file)?;
    let mut new = real.clone().into_os_string();
    new.push(".new");
    let exchanged = std::fs::write(&new, text)
        .and_then(|()| std::fs::set_permissions(&new, own.metadata()?.permissions()))
        .and_then(|()| std::fs::File::open(&new)?.sync_all())
        .and_then(|()| std::fs::rename(&new, &real));
    if exchanged.is_ok() {
        return Ok(());
    }
    let _ = std::fs::remove_file(&new);
    // A file that is mounted by itself, or whose folder is closed.
    std::fs::write(&real, text)
}
